package collectors

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

const yescrypt = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7"

func TestAccountsAreDecodedWithoutTheirHashes(t *testing.T) {
	passwd := "root:x:0:0:root:/root:/bin/bash\n# comment\n+::::::\nold:aaV5TJ5u9Ujms:7:7::/:\nopen::8:8::/home/open:/bin/sh\nbroken:x:1\nweb:x:33:33::/var/www:/usr/sbin/nologin\nlost:x:9:9::/:/bin/sh\nroot:x:0:0:second:/tmp:/bin/sh\n"
	shadow := "root:" + yescrypt + ":20000:0:99999:7:::\nweb:!*:19000::::::\nghost:!$6$saltsaltsalt$hash:0:::::20100:\nroot::::::::\nx\n"
	accounts, bad, badShadow := parseAccounts([]byte(passwd), []byte(shadow))
	var got []string
	for _, a := range accounts {
		got = append(got, fmt.Sprintf("%s %d %d %s %s %s locked=%v fp=%v %d %d %v", a.Name, a.Line, a.ShadowLine, a.Password, a.In, a.Algorithm, a.Locked, a.Fingerprint != "", a.Changed/dayNS, a.Expires/dayNS, a.MustChange))
	}
	want := []string{
		"root 1 1 set shadow yescrypt locked=false fp=true 20000 0 false",
		"old 4 0 set passwd des-crypt locked=false fp=false 0 0 false",
		"open 5 0 empty passwd  locked=false fp=false 0 0 false",
		"web 7 2 none shadow  locked=true fp=false 19000 0 false",
		"lost 8 0 unknown   locked=false fp=false 0 0 false",
		"root 9 0 unknown   locked=false fp=false 0 0 false",
		"ghost 0 3 set shadow sha512-crypt locked=true fp=true 0 20100 true",
	}
	if bad != 1 || badShadow != 2 || !slices.Equal(got, want) {
		t.Errorf("%d, %d bad\n%q, want\n%q", bad, badShadow, got, want)
	}
	text, err := json.Marshal(accounts)
	check(t, err)
	for _, secret := range []string{"X3DX6M94c7o", "F5Jx5fExr", "aaV5TJ5u9Ujms", "saltsaltsalt"} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s is in the records", secret)
		}
	}
	for hash, want := range map[string]string{
		"$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW": "bcrypt", "$5$rounds=5000$toolongsalt$h": "sha256-crypt", "$1$salt$h": "md5-crypt",
		"$3$$8846f7eaee8fb117ad06bdd830b7586c": "nt", "_J9..rasmBYk8r9AiWNc": "bsdi-crypt", "$gy$j9T$salt$h": "gost-yescrypt", "$md5,rounds=1$s$h$x": "sunmd5", "{SSHA}x": "?", "$9$a$b": "?",
	} {
		if got, _ := cryptAlgorithm(hash); got != want {
			t.Errorf("%s is %s, want %s", hash, got, want)
		}
	}
}

// passwd(1) of this machine says what state each account is in.
func TestAccountsOfThisMachineAreAsPasswdSays(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: shadow is readable by root only")
	}
	passwd, err := os.ReadFile("/etc/passwd")
	check(t, err)
	shadow, err := os.ReadFile("/etc/shadow")
	check(t, err)
	accounts, _, _ := parseAccounts(passwd, shadow)
	said := map[string][]string{}
	for line := range strings.Lines(shell(t, testenv.Tool(t, "passwd")+" -S -a")) {
		f := strings.Fields(line)
		said[f[0]] = f
	}
	if len(said) < 5 {
		t.Fatalf("passwd says %v", said)
	}
	for _, a := range accounts {
		want := said[string(a.Name)]
		if want == nil {
			continue
		}
		state := map[string]string{"set": "P", "empty": "NP", "none": "L"}[a.Password]
		if a.Locked {
			state = "L"
		}
		if state != want[1] || a.MaxDays != nil && fmt.Sprint(*a.MaxDays) != want[4] {
			t.Errorf("%s: %s, %v; passwd says %q", a.Name, state, a.MaxDays, want)
		}
	}
}

func TestGroupsAreDecoded(t *testing.T) {
	groups, bad := parseGroups([]byte("root:x:0:\nsudo:x:27:alice,bob\nopen::30:\nbroken:x\n"), []byte("sudo:!:carol:bob,dave\nopen:::\n"))
	text, err := json.Marshal(groups)
	check(t, err)
	const want = `[{"name":"root","line":1,"gid":0,"members":[],"password":"unknown"},{"name":"sudo","line":2,"gid":27,"members":["alice","bob","dave"],"admins":["carol"],"password":"none"},` +
		`{"name":"open","line":3,"gid":30,"members":[],"password":"empty"}]`
	if string(text) != want || bad != 1 {
		t.Errorf("%d bad, %s", bad, text)
	}
}

const sudoersText = `# comment
Defaults env_reset
Defaults:alice !requiretty
User_Alias ADMINS = alice, bob : OPS = carol
Cmnd_Alias SHELLS = /bin/sh, /bin/bash
root ALL=(ALL:ALL) ALL
%sudo	ALL=(ALL:ALL) ALL
ADMINS, #1000, "sp ace" web1, web2 = NOPASSWD: SHELLS, PASSWD: /usr/bin/id, (www) /usr/bin/less /var/log/*
alice ALL = (root) NOPASSWD:SETENV: /bin/a \
  , !/bin/b : db1 = /bin/c x\:y\,z
`

// cvtsudoers is sudo's own reader.
func TestSudoersAreReadAsSudoReadsThem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sudoers")
	check(t, os.WriteFile(file, []byte(sudoersText), 0o440))
	var said struct {
		UserSpecs []struct {
			Users []map[string]any `json:"User_List"`
			Hosts []map[string]any `json:"Host_List"`
			Specs []struct {
				RunAs    []map[string]any `json:"runasusers"`
				Options  []map[string]any `json:"Options"`
				Commands []map[string]any `json:"Commands"`
			} `json:"Cmnd_Specs"`
		} `json:"User_Specs"`
	}
	check(t, json.Unmarshal([]byte(shell(t, testenv.Tool(t, "cvtsudoers")+" -f json "+file)), &said))
	one := func(m map[string]any) string {
		text := ""
		for key, v := range m {
			switch {
			case key == "negated":
				text = "!" + text
			case key == "usergroup":
				text += "%" + fmt.Sprint(v)
			case key == "userid":
				text += "#" + fmt.Sprint(v)
			default:
				text += fmt.Sprint(v)
			}
		}
		return text
	}
	list := func(all []map[string]any) string {
		var out []string
		for _, m := range all {
			out = append(out, one(m))
		}
		return strings.Join(out, ",")
	}
	var want []string
	for _, u := range said.UserSpecs {
		for _, s := range u.Specs {
			want = append(want, fmt.Sprintf("%s|%s|%s|%v|%s", list(u.Users), list(u.Hosts), list(s.RunAs), optionOf(s.Options, "authenticate"), list(s.Commands)))
		}
	}
	var got []string
	rules, _ := parseSudoers("/etc/sudoers", []byte(sudoersText))
	clean := func(list []record.Bytes) string {
		return strings.NewReplacer(`"`, "", `\`, "").Replace(string(bytes.Join(slices.Collect(func(yield func([]byte) bool) {
			for _, b := range list {
				if !yield(b) {
					return
				}
			}
		}), []byte(","))))
	}
	kinds := map[string]int{}
	for _, r := range rules {
		kinds[r.Kind]++
		if r.Kind != "rule" {
			continue
		}
		auth := "-"
		switch {
		case slices.Contains(r.Tags, "NOPASSWD"):
			auth = "false"
		case slices.Contains(r.Tags, "PASSWD"):
			auth = "true"
		}
		users, _, _ := strings.Cut(string(r.RunAs), ":")
		got = append(got, fmt.Sprintf("%s|%s|%s|%s|%s", clean(r.Who), clean(r.Hosts), users, auth, clean(r.Commands)))
	}
	if !slices.Equal(got, want) {
		t.Errorf("ours\n%s\nsudo's\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if kinds["defaults"] != 2 || kinds["alias"] != 3 || kinds["unread"] != 0 {
		t.Errorf("%v", kinds)
	}
	if rules[0].Line != 2 || rules[len(rules)-1].Line != 9 {
		t.Errorf("lines %d to %d", rules[0].Line, rules[len(rules)-1].Line)
	}
}

func optionOf(options []map[string]any, name string) string {
	for _, o := range options {
		if v, ok := o[name]; ok {
			return fmt.Sprint(v)
		}
	}
	return "-"
}

// A rule has each option once, however often it is written, and none costs
// the memory of all before it.
func TestOptionsOfSudoersReplaceEachOther(t *testing.T) {
	rules, _ := parseSudoers("/etc/sudoers", []byte("a ALL = "+strings.Repeat("CWD=/a CHROOT=/c ", 20_000)+"CWD=/b "+strings.Repeat("NOPASSWD: x, PASSWD: y, ", 5_000)+"z"))
	if len(rules) != 10_000 {
		t.Fatalf("%d rules", len(rules))
	}
	for _, r := range rules {
		if len(r.Tags) != 3 || r.Tags[0] != "CHROOT=/c" || r.Tags[1] != "CWD=/b" {
			t.Fatalf("%d tags, %q", len(r.Tags), r.Tags[:min(len(r.Tags), 3)])
		}
	}
}

// Lines that go on do not cost the length of all before them each.
func TestLinesThatGoOnAreJoinedInOneGo(t *testing.T) {
	text := []byte(strings.Repeat("a\\\n", maxAuthConfig/3))
	before := testenv.CPUSeconds()
	parsePAM("/etc/pam.d/x", text, false)
	parseSudoers("/etc/sudoers", text)
	if took := testenv.CPUSeconds() - before; took > 3 {
		t.Errorf("%.1f CPU s", took)
	}
}

// Neither blanks nor colons without end take more than a moment.
func TestLongSudoersAreReadInOneGo(t *testing.T) {
	const n = maxAccountFile / 4
	for _, text := range []string{"a," + strings.Repeat(" ", 4*n) + "b c = d", "a b" + strings.Repeat("=c:", n), strings.Repeat("a,", 2*n) + "b c" + strings.Repeat("=d:e", n/4) + "=f"} {
		before := testenv.CPUSeconds()
		parseSudoers("/etc/sudoers", []byte(text))
		if took := testenv.CPUSeconds() - before; took > 5 {
			t.Errorf("%q…: %.1f CPU s", text[:10], took)
		}
	}
}

func TestAuthorizedKeysAreThoseOfSshKeygen(t *testing.T) {
	keygen := testenv.Tool(t, "ssh-keygen")
	dir := t.TempDir()
	var pubs []string
	for _, kind := range []string{"ed25519", "ecdsa"} {
		shell(t, keygen+" -q -t "+kind+" -N '' -C 'me@"+kind+"' -f "+dir+"/"+kind)
		pub, err := os.ReadFile(dir + "/" + kind + ".pub")
		check(t, err)
		pubs = append(pubs, string(pub))
	}
	h := plant(t, "etc/hostname")
	write(t, h, "/etc/passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nnobody:x:65534:65534::nowhere:/bin/sh\n")
	write(t, h, "/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\nAuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys/%u\nMatch User alice\n AuthorizedKeysFile=/srv/all\n")
	write(t, h, "/etc/ssh/sshd_config.d/x.conf", "Match Address 192.0.2.1\nAuthorizedKeysFile %h/.config/odd%%\n")
	write(t, h, "/root/.ssh/authorized_keys", "# note\nfrom=\"192.0.2.1\",command=\"/bin/sh -c 'id'\",no-pty "+pubs[0]+"\nhunter2\n")
	write(t, h, "/root/.ssh/authorized_keys2", pubs[1])
	write(t, h, "/etc/ssh/keys/alice", pubs[1])
	write(t, h, "/srv/all", pubs[0])
	write(t, h, "/home/alice/.config/odd%", pubs[0])
	write(t, h, "/etc/sudoers", "root ALL=(ALL) ALL\n@includedir /etc/sudoers.d\n")
	write(t, h, "/etc/sudoers.d/10-web", "www-data ALL=NOPASSWD: ALL\n")
	write(t, h, "/etc/sudoers.d/left.out", "x ALL=ALL\n")
	out := newMemoryTaker(h)
	check(t, linuxAccounts.Run(context.Background(), h, out))
	text := out.streams[record.AuthorizedKeys]
	var got []string
	for line := range bytes.Lines(text) {
		var k record.AuthorizedKey
		check(t, json.Unmarshal(line, &k))
		said := ""
		if k.Fingerprint != "" {
			said = strings.Fields(shell(t, keygen+" -lf "+dir+"/"+strings.TrimPrefix(string(k.Comment), "me@")+".pub"))[1]
		}
		got = append(got, fmt.Sprintf("%s %s:%d %v %s%s options=%d %v", k.User, k.File, k.Line, k.Configured, k.Type, k.Error, len(k.Options), said == k.Fingerprint))
	}
	const ed, ec = "ssh-ed25519", "ecdsa-sha2-nistp256"
	want := []string{
		"alice /home/alice/.config/odd%:1 true " + ed + " options=0 true",
		"root /root/.ssh/authorized_keys:2 true " + ed + " options=3 true",
		"root /root/.ssh/authorized_keys:4 true no key that can be read options=0 true",
		"alice /etc/ssh/keys/alice:1 true " + ec + " options=0 true",
		" /srv/all:1 true " + ed + " options=0 true",
		"root /root/.ssh/authorized_keys2:1 false " + ec + " options=0 true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want\n%q", got, want)
	}
	if bytes.Contains(text, []byte("hunter2")) {
		t.Error("a line that is no key was repeated")
	}
	var rules []string
	for line := range bytes.Lines(out.streams[record.SudoRules]) {
		var r record.SudoRule
		check(t, json.Unmarshal(line, &r))
		rules = append(rules, fmt.Sprintf("%s:%d %s %s %s", r.File, r.Line, r.Kind, r.Who, r.Tags))
	}
	if want := []string{"/etc/sudoers:1 rule [root] []", "/etc/sudoers.d/10-web:1 rule [www-data] [NOPASSWD]"}; !slices.Equal(rules, want) {
		t.Errorf("%q, want %q", rules, want)
	}
}

func FuzzAccountFiles(f *testing.F) {
	f.Add([]byte("root:x:0:0::/root:/bin/sh\n"), []byte("root:"+yescrypt+":1::::::\n"))
	f.Add([]byte(sudoersText), []byte("@include x\n"))
	f.Add([]byte("sudo:x:27:a,b\n"), []byte("sudo:!:c:d\n"))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		accounts, _, _ := parseAccounts(one, two)
		for _, a := range accounts {
			if len(a.Name) == 0 || a.Password == "" || a.Fingerprint != "" && len(a.Fingerprint) != 64 {
				t.Fatalf("%+v", a)
			}
		}
		parseGroups(one, two)
		rules, _ := parseSudoers("/etc/sudoers", one)
		for _, r := range rules {
			if r.Line < 1 || r.Kind == "rule" && (len(r.Who) == 0 || len(r.Hosts) == 0 || len(r.Commands) == 0) {
				t.Fatalf("%+v", r)
			}
		}
		decodeKey(record.AuthorizedKey{}, two)
	})
}
