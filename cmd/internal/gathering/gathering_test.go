package gathering

import (
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collectors"
)

func TestSizesAreReadWithTheirUnit(t *testing.T) {
	for in, want := range map[string]int64{"": 0, "0": 0, "512": 512, "1K": 1 << 10, "256M": 256 << 20, "2GiB": 2 << 30, "1t": 1 << 40} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"M", "-1", "1.5G", "lots", "9999999999T", "1MM", "B", "iB"} {
		if n, err := ParseSize(in); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", in, n)
		}
	}
}

func TestBundleNamesAreInert(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 8, 7, 0, time.UTC)
	for _, c := range []struct{ caseID, host, want string }{
		{"CASE-7", "web01", "CASE-7-web01-20261123T090807Z" + Suffix},
		{"", "web01.example.net", "web01.example.net-20261123T090807Z" + Suffix},
		{"../..", "a/b\n\x1b", "_-a_b__-20261123T090807Z" + Suffix},
	} {
		if got := FileName(c.caseID, c.host, at); got != c.want {
			t.Errorf("FileName(%q, %q) = %q, want %q", c.caseID, c.host, got, c.want)
		}
		if strings.ContainsAny(FileName(c.caseID, c.host, at), "/\\\n\x1b ") {
			t.Error("a name can leave its folder")
		}
	}
}

func TestCollectorsAreChosenByName(t *testing.T) {
	all := collectors.All()
	first := all[0].Name
	only, err := choose(all, first)
	if err != nil || len(only) != 1 || only[0].Name != first {
		t.Errorf("choose(%s): %d collectors, %v", first, len(only), err)
	}
	without, err := choose(all, "!"+first)
	if err != nil || len(without) != len(all)-1 {
		t.Errorf("choose(!%s): %d of %d collectors, %v", first, len(without), len(all), err)
	}
	if _, err := choose(all, "no_such"); err == nil || !strings.Contains(err.Error(), "no_such") {
		t.Errorf("an unknown name gave %v", err)
	}
}

func TestRotationIsASizeOrATime(t *testing.T) {
	for in, want := range map[string]struct {
		size int64
		time time.Duration
	}{"": {}, "64M": {size: 64 << 20}, "1G": {size: 1 << 30}, "5m": {time: 5 * time.Minute}, "90s": {time: 90 * time.Second}, "1h30m": {time: 90 * time.Minute}} {
		if size, every, err := rotation(in); err != nil || size != want.size || every != want.time {
			t.Errorf("rotation(%q) = %d, %v, %v", in, size, every, err)
		}
	}
	for _, in := range []string{"0", "1023K", "100", "10ms", "-5m", "-64M", "often"} {
		if size, every, err := rotation(in); err == nil {
			t.Errorf("rotation(%q) = %d, %v, want an error", in, size, every)
		}
	}
}

// flagsOf is a command line of the flags of collecting.
func flagsOf(t *testing.T, args ...string) *cli.Context {
	t.Helper()
	set := flag.NewFlagSet("collect", flag.ContinueOnError)
	for _, f := range Flags() {
		if err := f.Apply(set); err != nil {
			t.Fatal(err)
		}
	}
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return cli.NewContext(cli.NewApp(), set, nil)
}

func TestAResumedCaptureKeepsWhatItWasTold(t *testing.T) {
	first := flagsOf(t, "--capture=30s", "--interface=eth0", "--capture-filter=udp port 53", "--promiscuous", "--capture-rotate=64M")
	record := captureRecord(first)
	again := flagsOf(t, "--capture=30s", "--interface=eth0")
	if err := resumeCapture(again, record, "x"); err != nil {
		t.Fatal(err)
	}
	opt, err := captureOptions(again)
	if err != nil || opt.Filter != "udp port 53" || len(opt.Program) == 0 || !opt.Promiscuous || opt.RotateBytes != 64<<20 {
		t.Errorf("%+v, %v", opt, err)
	}
	other := flagsOf(t, "--capture=30s", "--capture-filter=tcp", "--promiscuous=false")
	if err := resumeCapture(other, record, "x"); err != nil || other.String("capture-filter") != "tcp" || other.Bool("promiscuous") {
		t.Errorf("what is said now is overruled: %q, %v", other.String("capture-filter"), err)
	}
	without := flagsOf(t)
	if err := resumeCapture(without, record, "x"); err != nil || without.IsSet("capture-filter") {
		t.Errorf("a run without a capture has a filter: %v", err)
	}
	if err := resumeCapture(flagsOf(t, "--capture=30s"), map[string]string{"capture_filter_ddd": "f"}, "x"); err == nil {
		t.Error("a program is left out without a word")
	}
}

func TestAResumedRunHasTheBudgetOfTheOneBefore(t *testing.T) {
	before := map[string]string{}
	collect.Budget{CPU: 25, IORate: 1 << 20, MaxSize: 1 << 30, MaxTime: 9 * time.Minute, MaxMemory: 128 << 20}.Describe(before)
	before["split"] = "1073741824"
	for _, tc := range []struct {
		name      string
		args      []string
		want      collect.Budget
		split     int64
		inherited string
	}{
		{
			"nothing said",
			[]string{"--output=x", "--root=/"},
			collect.Budget{CPU: 25, IORate: 1 << 20, MaxSize: 1 << 30, MaxTime: 9 * time.Minute, MaxMemory: 128 << 20},
			1 << 30, "cpu io-rate max-size split max-time max-memory polite",
		},
		{
			"some said",
			[]string{"--output=x", "--cpu=50", "--io-rate=0", "--max-time=0", "--split=0", "--polite"},
			collect.Budget{CPU: 50, MaxSize: 1 << 30, MaxMemory: 128 << 20, Polite: true},
			0, "max-size max-memory",
		},
		{
			"one bundle only",
			[]string{"--output=-", "--cpu=0", "--io-rate=2M", "--max-size=0", "--max-memory=0", "--max-time=1s", "--polite=false"},
			collect.Budget{IORate: 2 << 20, MaxTime: time.Second},
			0, "",
		},
	} {
		c := flagsOf(t, tc.args...)
		c.Command = &cli.Command{Name: "resume", Flags: Flags()}
		r := &Resumed{Header: bundle.Header{Options: before}}
		if err := r.takeBudget(c, "x"); err != nil {
			t.Fatal(err)
		}
		got, err := budget(c)
		if err != nil || got != tc.want {
			t.Errorf("%s: %+v, %v", tc.name, got, err)
		}
		if n, err := splitSize(c); err != nil || n != tc.split {
			t.Errorf("%s: split %d, %v", tc.name, n, err)
		}
		if text := strings.Join(r.Inherited, " "); text != tc.inherited {
			t.Errorf("%s: inherited %q", tc.name, text)
		}
	}
	r := &Resumed{Header: bundle.Header{Options: map[string]string{"cpu": "many"}}}
	c := flagsOf(t)
	c.Command = &cli.Command{Name: "resume", Flags: Flags()}
	if err := r.takeBudget(c, "x"); err == nil {
		t.Error("a budget that is none was taken")
	}
	if _, err := budget(flagsOf(t, "--cpu=0")); err == nil {
		t.Error("a run that resumes none has a budget of nothing")
	}
}

// Who resumes learns that secrets are taken: the bundle that says so lay on the
// host meanwhile.
func TestAResumedRunTellsThatItTakesSecrets(t *testing.T) {
	for _, tc := range []struct {
		profile string
		args    []string
		want    bool
	}{
		{"all; with secrets", nil, true},
		{"all; with secrets; processes 412,sshd; artifacts A", nil, true},
		{"all; with secrets", []string{"--take-secrets=false"}, false},
		{"all", nil, false},
		{"all; processes x; with secrets", nil, false},
		{"all; frozen processes x; with secrets", nil, false},
		{"all; artifacts x; with secrets", nil, false},
	} {
		c := flagsOf(t, tc.args...)
		r := &Resumed{Header: bundle.Header{Profile: tc.profile}, Held: &collect.HeldBefore{}}
		if err := r.takeSecrets(c); err != nil || c.Bool("take-secrets") != tc.want || strings.Contains(r.Told(), "secrets") != tc.want {
			t.Errorf("%s %q: %v, %v, %q", tc.profile, tc.args, c.Bool("take-secrets"), err, r.Told())
		}
	}
}

// An order names collectors: memory must be among them, or the run departs.
func TestMemoryIsTakenOnlyWhereItIsNamed(t *testing.T) {
	for _, c := range []struct {
		args    []string
		taken   bool
		profile string
	}{
		{nil, false, "all"},
		{[]string{"--memory"}, true, "all,memory"},
		{[]string{"--memory-from", "0x1000"}, true, "all,memory"},
		{[]string{"--collectors", "linux_kernel"}, false, "linux_kernel"},
		{[]string{"--collectors", "!linux_kernel"}, false, "!linux_kernel"},
		{[]string{"--collectors", "linux_kernel", "--memory"}, true, "linux_kernel,memory"},
		{[]string{"--collectors", "linux_kernel,memory"}, true, "linux_kernel,memory"},
		{[]string{"--collectors", "linux_kernel,memory", "--memory"}, true, "linux_kernel,memory"},
	} {
		app := &cli.App{Flags: Flags(), Action: func(ctx *cli.Context) error {
			selected, err := Select(ctx)
			if err != nil {
				return err
			}
			n := 0
			for _, k := range selected.Collectors {
				if k.Name == collectors.MemoryName {
					n++
				}
			}
			if (n == 1) != c.taken || n > 1 || selected.Text != c.profile {
				t.Errorf("%q: memory %d times, profile %q", c.args, n, selected.Text)
			}
			if c.profile == "linux_kernel,memory" && slices.ContainsFunc(selected.Collectors, func(k collect.Collector) bool { return k.Name == "linux_users" }) {
				t.Errorf("%q: more than was named", c.args)
			}
			return nil
		}}
		if err := app.Run(append([]string{"test"}, c.args...)); err != nil {
			t.Errorf("%q: %v", c.args, err)
		}
	}
}

// An order says whose memory is taken, and a run under it takes that and no
// other.
func TestProcessesWhoseMemoryIsTakenStandInTheOrder(t *testing.T) {
	for _, c := range []struct {
		args []string
		text string
	}{
		{[]string{"--process-memory", "412", "--process-memory", "sshd,finding"}, "all; processes 412,sshd,finding"},
		{[]string{"--process-memory", "412", "--process-memory", "412"}, "all; processes 412"},
		{[]string{"-c", "linux_kernel", "--process-memory", "finding", "--freeze"}, "linux_kernel; frozen processes finding"},
		{[]string{"--profile", "network", "--process-memory", "sshd"}, "network; processes sshd"},
		{[]string{"--take-secrets", "--process-memory", "sshd"}, "all; with secrets; processes sshd"},
	} {
		var text string
		var names []string
		read := func(ctx *cli.Context) error {
			selected, err := Select(ctx)
			if err != nil {
				return err
			}
			text, names = selected.Text, nil
			for _, k := range selected.Collectors {
				names = append(names, k.Name)
			}
			return nil
		}
		app := &cli.App{Flags: Flags(), Action: read}
		if err := app.Run(append([]string{"test"}, c.args...)); err != nil || text != c.text || !slices.Contains(names, collectors.ProcessMemoryName) {
			t.Errorf("%q: %q with %v, %v", c.args, text, names, err)
		}
		first := names
		ordered := &cli.App{Flags: Flags(), Action: func(ctx *cli.Context) error {
			o := &Order{Order: &chainofcustody.Order{Profile: text}}
			if err := o.takeSelection(ctx); err != nil {
				return err
			}
			return read(ctx)
		}}
		if err := ordered.Run([]string{"test"}); err != nil || text != c.text || !slices.Equal(names, first) {
			t.Errorf("under an order for %q: %q with %v, %v", c.text, text, names, err)
		}
	}
	for _, args := range [][]string{{"--freeze"}, {"--process-memory", "0"}, {"--process-memory", ""}, {"--process-memory", "a/b"}, {"--process-memory", "a;b"}} {
		app := &cli.App{Flags: Flags(), ExitErrHandler: func(*cli.Context, error) {}, Action: func(ctx *cli.Context) error {
			_, err := Select(ctx)
			return err
		}}
		if err := app.Run(append([]string{"test"}, args...)); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}
