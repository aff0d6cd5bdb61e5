package parsers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func TestCronTable(t *testing.T) { parsertest.Run(t, cronTable, "testdata/cron_table") }

func TestAtJob(t *testing.T) { parsertest.Run(t, atJob, "testdata/at_job") }

func TestSystemdUnit(t *testing.T) { parsertest.Run(t, systemdUnit, "testdata/systemd_unit") }

func TestLinuxStartup(t *testing.T) { parsertest.Run(t, linuxStartup, "testdata/linux_startup") }

func FuzzCronTable(f *testing.F) { parsertest.Fuzz(f, cronTable, "testdata/cron_table") }

func FuzzAtJob(f *testing.F) { parsertest.Fuzz(f, atJob, "testdata/at_job") }

func FuzzSystemdUnit(f *testing.F) { parsertest.Fuzz(f, systemdUnit, "testdata/systemd_unit") }

func FuzzLinuxStartup(f *testing.F) { parsertest.Fuzz(f, linuxStartup, "testdata/linux_startup") }

func TestPlacesOfCronTables(t *testing.T) {
	for path, want := range map[string]struct {
		kind    int
		account string
	}{
		"/etc/crontab": {cronSystem, ""}, "etc/crontab": {cronNone, ""}, "/mnt/etc/cron.d/x": {cronSystem, ""},
		"/var/spool/cron/crontabs/alice": {cronAccount, "alice"}, "/var/spool/cron/root": {cronAccount, "root"},
		"/var/spool/cron/tabs/root": {cronAccount, "root"}, "/var/cron/tabs/root": {cronAccount, "root"},
		"/var/spool/cron/atjobs/a00001": {cronNone, ""}, "/etc/anacrontab": {cronAnacron, ""}, "/home/a/crontab": {cronNone, ""},
	} {
		if kind, account := cronKind(path); kind != want.kind || account != want.account {
			t.Errorf("%s: %d %q", path, kind, account)
		}
	}
}

// ssh-keygen's fingerprints are those of the rows.
func TestFingerprintsAreThoseOfSSH(t *testing.T) {
	keygen := testenv.Tool(t, "ssh-keygen")
	for _, kind := range []string{"ed25519", "ecdsa"} {
		path := filepath.Join(t.TempDir(), "key")
		if out, err := exec.Command(keygen, "-q", "-t", kind, "-N", "", "-C", "a comment", "-f", path).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		public, err := os.ReadFile(path + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		want, err := exec.Command(keygen, "-l", "-f", path+".pub").Output()
		if err != nil {
			t.Fatal(err)
		}
		line := append([]byte(`from="10.0.0.0/8",command="/bin/sh -c \"id\"" `), public...)
		res := parsertest.Parse(t, linuxStartup, parsertest.Sample{Name: "k", Data: line, Facts: parsertest.Facts{Path: "/root/.ssh/authorized_keys"}})
		if len(res.Events) != 1 || len(res.Problems) > 0 {
			t.Fatalf("%d events, problems %v", len(res.Events), res.Problems)
		}
		ev := res.Events[0]
		got, _ := ev.Attr("key_fingerprint")
		comment, _ := ev.Attr("comment")
		if !strings.Contains(string(want), " "+got+" ") || comment != "a comment" || ev.Cmdline != `/bin/sh -c "id"` || ev.User != "root" {
			t.Errorf("%s %q %q, ssh-keygen has %s", got, comment, ev.Cmdline, want)
		}
	}
}

func TestStateIsNotDatedWithoutTheFilesTime(t *testing.T) {
	res := parsertest.Parse(t, linuxStartup, parsertest.Sample{Name: "p", Data: []byte("/lib/x.so\n"), Facts: parsertest.Facts{Path: "/etc/ld.so.preload"}})
	if len(res.Events) != 1 || res.Events[0].TSState != timeline.TimeNone || res.Events[0].TSKind != timeline.State {
		t.Errorf("%+v", res.Events)
	}
}

// A backslash behind a comment must not hide the line after it, and "#" begins
// no comment in front of an account's number.
func TestCommentsHideNothing(t *testing.T) {
	for path, text := range map[string]string{
		"/etc/sudoers":              "# comment \\\nmallory ALL=(ALL) NOPASSWD: ALL\n#1001 ALL=(ALL) ALL\n#includedir /tmp/s\n#\n",
		"/etc/rc.local":             "# comment \\\nsh -c a\n  # x\\\nsh -c b\n: \\\n c\n",
		"/etc/udev/rules.d/1.rules": "# comment \\\nRUN+=\"/a\"\nRUN+=\"/b\"\nRUN+=\\\n\"/c\"",
	} {
		res := parsertest.Parse(t, linuxStartup, parsertest.Sample{Name: "x", Data: []byte(text), Facts: parsertest.Facts{Path: path}})
		if len(res.Events) != 3 || len(res.Problems) > 0 {
			t.Errorf("%s: %d events, problems %v", path, len(res.Events), res.Problems)
		}
	}
}

func TestWhatIsNoScheduleIsNoJob(t *testing.T) {
	for line, want := range map[string]bool{
		"* * * * * x": true, "0-59/5 1,2 * JAN-mar Mon x": true, "@reboot x": true, "@every_minute x": true, "1~30 * * * * x": true,
		"this is not a job at all": false, "0 0 * * monday x": false, "* * * * x": false, "@ x": false, "* * * * *": false,
	} {
		if _, _, _, ok := cronJob(cronAccount, []byte(line)); ok != want {
			t.Errorf("%q: %v", line, ok)
		}
	}
}
