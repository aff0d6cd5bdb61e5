package collectors

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

func TestParsePAM(t *testing.T) {
	const text = "# comment\n" +
		"auth\trequired   pam_unix.so nullok # end\n" +
		"-session optional pam_systemd.so\n" +
		"auth [success=2 default=ignore] pam_x.so arg=[a b] \\\n   second\n" +
		"@include common-auth\nauth include other\nAccount substack other\n" +
		"password sufficient /lib/security/$ISA/pam_odd.so\n" +
		"nonsense\nwrong required pam_unix.so\n\n"
	rules, bad := parsePAM("/etc/pam.d/x", []byte(text), false)
	var got []string
	for _, r := range rules {
		got = append(got, fmt.Sprintf("%d %s %s %s %q %v", r.use.Line, r.use.Type, r.use.Control, r.module, r.use.Args, r.use.Silent))
	}
	want := []string{
		`2 auth required pam_unix.so ["nullok"] false`,
		`3 session optional pam_systemd.so [] true`,
		`4 auth [success=2 default=ignore] pam_x.so ["arg=[a" "b]" "second"] false`,
		`9 password sufficient /lib/security/$ISA/pam_odd.so [] false`,
	}
	if bad != 2 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d bad\n%q, want\n%q", bad, got, want)
	}
	rules, bad = parsePAM("/etc/pam.conf", []byte("login auth required pam_unix.so\nlogin auth\n"), true)
	if len(rules) != 1 || bad != 1 || string(rules[0].use.Service) != "login" {
		t.Errorf("%+v, %d bad", rules, bad)
	}
	if absolute, _ := pamFile("/lib/security/$ISA/pam_odd.so"); absolute != "/lib/security/pam_odd.so" {
		t.Error(absolute)
	}
}

func TestParseNSS(t *testing.T) {
	uses, bad := parseNSS("/etc/nsswitch.conf", []byte("# c\npasswd: files systemd[NOTFOUND=return] sss\nhosts:\tfiles mdns4_minimal [!UNAVAIL=return] dns # x\nbroken\nx: ../../tmp/evil\n"))
	var got []string
	for _, u := range uses {
		got = append(got, fmt.Sprintf("%d %s %s %s", u.use.Line, u.use.Service, u.service, u.use.Control))
	}
	want := []string{"2 passwd files ", "2 passwd systemd [NOTFOUND=return]", "2 passwd sss ", "3 hosts files ", "3 hosts mdns4_minimal [!UNAVAIL=return]", "3 hosts dns "}
	if bad != 2 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d bad\n%q, want\n%q", bad, got, want)
	}
}

func FuzzAuthConfiguration(f *testing.F) {
	f.Add([]byte("auth [success=1 default=ignore] pam_unix.so nullok \\\n more\n"))
	f.Add([]byte("passwd: files [NOTFOUND=return] sss\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, service := range []bool{false, true} {
			rules, _ := parsePAM("/x", text, service)
			for _, r := range rules {
				if absolute, base := pamFile(r.module); r.use.Line < 1 || absolute != "" && absolute[0] != '/' || strings.HasPrefix(base, "../") {
					t.Fatalf("%+v: %q %q", r, absolute, base)
				}
			}
		}
		uses, _ := parseNSS("/x", text)
		for _, u := range uses {
			if u.service == "" || strings.Contains(u.service, "/") {
				t.Fatalf("service %q", u.service)
			}
		}
		for _, dir := range loaderDirs(text) {
			if dir[0] != '/' {
				t.Fatalf("folder %q", dir)
			}
		}
	})
}

func authModulesOf(t *testing.T, text []byte) map[string]record.AuthModule {
	t.Helper()
	found := map[string]record.AuthModule{}
	for line := range bytes.Lines(text) {
		var m record.AuthModule
		check(t, json.Unmarshal(line, &m))
		found[strings.TrimSpace(fmt.Sprintf("%s %s %s %s", m.Kind, m.State, m.Name, m.Path))] = m
	}
	return found
}

func TestModulesOfPAMAndNSSAreResolvedFromConfiguration(t *testing.T) {
	root, _ := debRoot(t)
	plain := func(name, text string) {
		t.Helper()
		program(t, root, name, text)
		check(t, os.Chmod(filepath.Join(root, name), 0o644))
	}
	plain("etc/pam.d/common-auth", "auth required pam_good.so try\nauth required pam_own.so\n-auth optional pam_gone.so\nauth required /opt/x/pam_far.so\n")
	plain("etc/pam.d/sshd", "@include common-auth\nsession optional pam_good.so\n")
	plain("etc/nsswitch.conf", "passwd: files x evil gone\n")
	plain("etc/ld.so.conf.d/local.conf", "/opt/lib\n")
	plain("usr/lib/x86_64-linux-gnu/security/pam_good.so", "good")
	plain("usr/lib/x86_64-linux-gnu/security/pam_own.so", "own")
	plain("usr/lib/security/pam_idle.so", "idle")
	plain("opt/x/pam_far.so", "far")
	plain("opt/lib/libnss_evil.so.2", "evil")
	plain("usr/lib/x86_64-linux-gnu/libnss_x-1.so", "x")
	check(t, os.Symlink("../x86_64-linux-gnu/libnss_x-1.so", filepath.Join(root, "usr/lib/x86_64-linux-gnu/libnss_x.so.2")))
	sums := filepath.Join(root, "var/lib/dpkg/info/beta.md5sums")
	text, err := os.ReadFile(sums)
	check(t, err)
	text = append(text, fmt.Sprintf("%x  lib/x86_64-linux-gnu/security/pam_good.so\n%032x  lib/x86_64-linux-gnu/libnss_x-1.so\n", md5.Sum([]byte("good")), 7)...)
	check(t, os.WriteFile(sums, text, 0o644))

	_, out := compared(t, openHost(t, root))
	found := authModulesOf(t, out.streams[record.AuthModules])
	const lib = "/usr/lib/x86_64-linux-gnu"
	want := []string{
		"nss builtin files", "nss missing gone", "nss named evil /opt/lib/libnss_evil.so.2", "nss named x " + lib + "/libnss_x.so.2", "nss unnamed x-1 " + lib + "/libnss_x-1.so",
		"pam missing pam_gone.so", "pam named /opt/x/pam_far.so /opt/x/pam_far.so", "pam named pam_good.so " + lib + "/security/pam_good.so",
		"pam named pam_own.so " + lib + "/security/pam_own.so", "pam unnamed pam_idle.so /usr/lib/security/pam_idle.so",
	}
	if got := keysOf(found); !reflect.DeepEqual(got, want) {
		t.Fatalf("%q, want\n%q; problems %+v", got, want, out.problems)
	}
	good := found[want[7]]
	if good.Check != "same" || string(good.Package) != "beta" || good.SHA256 != fmt.Sprintf("%x", sha256.Sum256([]byte("good"))) || len(good.Uses) != 2 ||
		string(good.Uses[0].File) != "/etc/pam.d/common-auth" || string(good.Uses[0].Args[0]) != "try" || good.Uses[1].Line != 2 {
		t.Errorf("%+v", good)
	}
	if own := found[want[8]]; own.Check != "unowned" || own.Size != 3 || own.Mtime == 0 {
		t.Errorf("%+v", own)
	}
	if far := found[want[6]]; far.Check != "unknown" || far.SHA256 == "" { // no database is asked about /opt
		t.Errorf("%+v", far)
	}
	if x := found[want[3]]; x.Check != "changed" || string(x.Target) != lib+"/libnss_x-1.so" || x.Algorithm != "md5" {
		t.Errorf("%+v", x)
	}
	if gone := found[want[5]]; !gone.Uses[0].Silent || gone.Path != nil {
		t.Errorf("%+v", gone)
	}
}

// Rules without end are told and not held.
func TestRulesOfPAMAndNSSWithoutEnd(t *testing.T) {
	root, _ := debRoot(t)
	for name, text := range map[string]string{
		"etc/pam.d/a": strings.Repeat("auth required a\n", maxAuthRules), "etc/pam.d/b": "auth required b\n",
		"etc/nsswitch.conf": "passwd:" + strings.Repeat(" x", maxAuthRules+1) + "\n", "etc/ld.so.conf": strings.Repeat("/l\n", 2*maxLoaderDirs),
	} {
		program(t, root, name, text)
	}
	_, out := compared(t, openHost(t, root))
	told := fmt.Sprintf("%+v", out.problems)
	for _, name := range []string{"/etc/pam.d", "/etc/nsswitch.conf", "/etc/ld.so.conf"} {
		if !strings.Contains(told, "Path:"+name+" ") {
			t.Errorf("nothing is told of %s: %.500s", name, told)
		}
	}
	if m := authModulesOf(t, out.streams[record.AuthModules])["pam missing a"]; len(m.Uses) != maxAuthUses || m.Omitted != maxAuthRules-maxAuthUses {
		t.Errorf("%d uses, %d more", len(m.Uses), m.Omitted)
	}
}

// On this machine every module that a rule of PAM names must be a file that
// hashes as it is, or be missing.
func TestModulesOfThisMachine(t *testing.T) {
	if _, err := os.Stat("/etc/pam.d/common-auth"); err != nil {
		t.Skip("skipped: this machine has no PAM as Debian has it")
	}
	h := openHost(t, "/")
	out := newMemoryTaker(h)
	c := &comparison{host: h, out: out, table: &packageTable{host: h, out: out, seed: maphash.MakeSeed()}, left: maxComparedBytes}
	check(t, c.authModules(context.Background()))
	named := 0
	for key, m := range authModulesOf(t, out.streams[record.AuthModules]) {
		if m.State != "named" {
			continue
		}
		named++
		text, err := os.ReadFile(string(m.Path))
		if err != nil || m.SHA256 != fmt.Sprintf("%x", sha256.Sum256(text)) || m.Check != "unknown" {
			t.Errorf("%s: %+v, %v", key, m, err)
		}
	}
	if named < 3 {
		t.Errorf("%d modules are named and there", named)
	}
}
