package gathering

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collectors"
)

func TestSizesAreReadWithTheirUnit(t *testing.T) {
	for in, want := range map[string]int64{"": 0, "0": 0, "512": 512, "1K": 1 << 10, "256M": 256 << 20, "2GiB": 2 << 30, "1t": 1 << 40} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"M", "-1", "1.5G", "lots", "9999999999T", "1MM"} {
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
			chosen, err := Chosen(ctx)
			if err != nil {
				return err
			}
			n := 0
			for _, k := range chosen {
				if k.Name == collectors.MemoryName {
					n++
				}
			}
			if (n == 1) != c.taken || n > 1 || profileName(ctx) != c.profile {
				t.Errorf("%q: memory %d times, profile %q", c.args, n, profileName(ctx))
			}
			if c.profile == "linux_kernel,memory" && slices.ContainsFunc(chosen, func(k collect.Collector) bool { return k.Name == "linux_users" }) {
				t.Errorf("%q: more than was named", c.args)
			}
			return nil
		}}
		if err := app.Run(append([]string{"test"}, c.args...)); err != nil {
			t.Errorf("%q: %v", c.args, err)
		}
	}
}
