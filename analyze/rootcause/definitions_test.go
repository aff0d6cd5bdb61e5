package rootcause

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func TestCronCommandsAreReadAsCronDoes(t *testing.T) {
	for _, c := range []struct{ line, file, want string }{
		{"* * * * * root /opt/a  -b", "/etc/cron.d/a", "/opt/a -b"},
		{"*/5 0 1 * mon\troot\ttest -x /x && /x", "/etc/crontab", "test -x /x && /x"},
		{"@reboot root /opt/a", "/etc/cron.d/a", "/opt/a"},
		{"@daily /opt/a", "/var/spool/cron/crontabs/u", "/opt/a"},
		{"1 2 3 4 5 echo 50\\% done%input", "/var/spool/cron/crontabs/u", "echo 50% done"},
		{"PATH=/bin:/sbin", "/etc/crontab", ""},
		{"1 2 3", "/etc/crontab", ""},
	} {
		if got := cronCommand(c.line, c.file); got != c.want {
			t.Errorf("%q in %s: %q, want %q", c.line, c.file, got, c.want)
		}
	}
}

func TestFingerprintsAreThoseOfSSHKeygen(t *testing.T) {
	tool := testenv.Tool(t, "ssh-keygen")
	key := filepath.Join(t.TempDir(), "key")
	if out, err := exec.CommandContext(t.Context(), tool, "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), tool, "-l", "-f", key+".pub").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(string(out))[1]
	pub, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if got := fingerprint(`from="10.0.0.0/8",no-pty ` + strings.TrimSpace(string(pub))); got != want {
		t.Errorf("fingerprint %s, want %s", got, want)
	}
}

func TestCommandsOfDifferentRecordsAgree(t *testing.T) {
	for _, pair := range [][2]string{
		{"/usr/bin/find /etc/hostname -exec /bin/bash ;", "find /etc/hostname -exec /bin/bash ';'"},
		{"/opt/a b c", "/bin/sh -c '/opt/a b c'"},
		{"/opt/a b c", "/bin/sh -c /opt/a  b c"},
		{"sudo /usr/bin/id -u", "sudo id -u"},
	} {
		if a, b := commandKey(pair[0]), commandKey(pair[1]); a != b {
			t.Errorf("%q and %q differ: %q, %q", pair[0], pair[1], a, b)
		}
	}
	if commandKey("rm -rf /a") == commandKey("rm -rf /b") {
		t.Error("different commands agree")
	}
}

func TestDefinitionsKnowWhereTheirLinesAre(t *testing.T) {
	d := definitions{commands: map[string][]definition{}, keys: map[string][]definition{}}
	text := "# a comment\n\n* * * * * root /opt/a\r\n1 1 1 1 1 root /opt/b"
	d.add("cron", []byte(text), definition{path: "/etc/cron.d/x"})
	for cmd, want := range map[string]string{"a": "* * * * * root /opt/a", "b": "1 1 1 1 1 root /opt/b"} {
		list := d.commands[cmd]
		if len(list) != 1 {
			t.Fatalf("%s: %d definitions", cmd, len(list))
		}
		r := list[0].ref
		if got := strings.TrimSpace(text[r.Offset : r.Offset+r.Length]); got != want {
			t.Errorf("%s: bytes %q, want %q", cmd, got, want)
		}
	}
}

func FuzzDefinitions(f *testing.F) {
	for _, s := range []string{
		"* * * * * root /opt/a -b\n@daily x\n", "[Service]\nExecStart=-/usr/sbin/x -D\n", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOy9DAUWC7oM root@k\n",
		"%%%\\%\n=\n@\n", "\x00\xff\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for kind, file := range map[string]string{"cron": "/etc/cron.d/x", "unit": "/etc/systemd/system/x.service", "key": "/root/.ssh/authorized_keys"} {
			d := definitions{commands: map[string][]definition{}, keys: map[string][]definition{}}
			d.add(kind, b, definition{path: file})
			for _, m := range []map[string][]definition{d.commands, d.keys} {
				for _, list := range m {
					for _, e := range list {
						if got := string(bytes.TrimSpace(b[e.ref.Offset : e.ref.Offset+e.ref.Length])); got != e.line {
							t.Fatalf("line %q is not at its place: %q", e.line, got)
						}
					}
				}
			}
		}
		for _, p := range pathsIn(string(b), "/tmp") {
			if p[0] != '/' {
				t.Fatalf("path %q is not absolute", p)
			}
		}
		_ = commandKey(string(b))
		_ = namesIn(string(b))
		_ = packagerOf(string(b), string(b))
		_ = carries(string(b), string(b))
	})
}
