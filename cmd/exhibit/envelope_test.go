package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"filippo.io/age"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// scene is a case with a signing key, an age key, and a folder to collect.
type scene struct {
	t         *testing.T
	dir       string // of the case
	root      string
	key       string // file of the age identity
	recipient string
}

func newScene(t *testing.T) *scene {
	t.Helper()
	work := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(work, "config"))
	for _, name := range []string{"EXHIBIT_IDENTITY", "EXHIBIT_CASE", "EXHIBIT_KEY", "EXHIBIT_ID"} {
		t.Setenv(name, "")
		os.Unsetenv(name)
	}
	s := &scene{t: t, dir: filepath.Join(work, "case"), root: filepath.Join(work, "root"), key: filepath.Join(work, "age.key")}
	for path, text := range map[string]string{"etc/hostname": "web01\n", "etc/passwd": "root:x:0:0::/root:/bin/sh\n", "var/log/auth.log": authLog} {
		path = filepath.Join(s.root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.recipient = strings.TrimSpace(s.run(0, "key", "age", s.key).stdout)
	s.run(0, "key", "new", filepath.Join(work, "examiner"), "--id", "alice@lab")
	s.run(0, "case", "init", s.dir)
	return s
}

const authLog = "Mar 14 15:09:26 web01 sshd[4711]: Accepted publickey for root from 203.0.113.7 port 4242 ssh2\n"

// run calls the program and checks its exit code.
func (s *scene) run(code int, args ...string) ran {
	s.t.Helper()
	r := call(s.t, newApp(), args...)
	if r.code != code {
		s.t.Fatalf("%q: exit code %d, want %d\n%s\n%s", args, r.code, code, r.stdout, r.stderr)
	}
	return r
}

// in calls the program inside the case.
func (s *scene) in(code int, args ...string) ran {
	s.t.Helper()
	return s.run(code, append([]string{"--case", s.dir}, args...)...)
}

// opening is in with the age identity.
func (s *scene) opening(code int, args ...string) ran {
	s.t.Helper()
	return s.in(code, append([]string{"--identity", s.key}, args...)...)
}

func (s *scene) one(pattern string) string {
	s.t.Helper()
	names, err := filepath.Glob(filepath.Join(s.dir, pattern))
	if err != nil || len(names) != 1 {
		s.t.Fatalf("%s: %q, %v", pattern, names, err)
	}
	return names[0]
}

func mustContain(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in:\n%s", p, text)
		}
	}
}

func TestAnEncryptedExhibitThroughEveryCommand(t *testing.T) {
	s := newScene(t)
	s.addNoise()
	s.in(0, "collect", "--root", s.root, "--recipient", s.recipient)
	path := s.one("exhibits/EX-001/*.exhibit.tar.zst.age")

	// Without the key: what a custodian can check, and what is not checked.
	r := s.in(command.Trust, "verify", "EX-001")
	mustContain(t, r.stdout, "UNOPENED", "byte for byte, the one that alice@lab", "NOT CHECKED", "seal code")
	for _, args := range [][]string{{"ls", "EX-001"}, {"cat", "EX-001", "/etc/hostname"}, {"extract", "EX-001", "-d", filepath.Join(s.dir, "x")}, {"timeline", "build"}} {
		r := s.in(command.WrongKey, args...)
		mustContain(t, r.stderr, "encrypted", "--identity")
	}
	s.in(0, "custody", "verify")
	other := filepath.Join(s.dir, "other.key")
	s.run(0, "key", "age", other, "--classic")
	r = s.in(command.WrongKey, "--identity", other, "verify", "EX-001")
	if n := strings.Count(r.stderr, "\n"); n != 2 || r.stdout != "" {
		t.Errorf("a wrong key: %d lines\n%s%s", n, r.stdout, r.stderr)
	}

	// With it, everything.
	mustContain(t, s.opening(0, "verify", "EX-001", "--explain").stdout, "VERIFIED", "envelope", "seal beside")
	if out := s.opening(0, "cat", "EX-001", "/etc/hostname").stdout; out != "web01\n" {
		t.Errorf("cat writes %q", out)
	}
	mustContain(t, s.opening(0, "ls", "EX-001").stdout, "/etc/passwd")
	s.opening(0, "extract", "EX-001", "-d", filepath.Join(s.dir, "x"))
	s.opening(0, "timeline", "build")
	id := eventID(t, s.in(0, "--json", "timeline", "query", "*").stdout)
	mustContain(t, s.opening(0, "prove", id).stdout, "holds")
	mustContain(t, s.in(command.WrongKey, "prove", id).stderr, "encrypted")
	s.opening(0, "why", id)
	s.opening(0, "report", "EX-001")
	s.opening(0, "custody", "verify")
	t.Setenv("EXHIBIT_IDENTITY", s.key)
	s.in(0, "ls", "EX-001")
	events, err := filepath.Glob(filepath.Join(s.dir, "custody/EX-001/*-opened-*.json"))
	if err != nil || len(events) < 4 {
		t.Errorf("%d events say that it was opened, %v", len(events), err)
	}

	// A changed file is told from the signed one without the key.
	os.Unsetenv("EXHIBIT_IDENTITY")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	mustContain(t, s.in(command.Integrity, "verify", "EX-001").stdout, "ALTERED")
	s.in(command.Integrity, "custody", "verify")
	r = s.opening(command.Integrity, "verify", "EX-001")
	mustContain(t, r.stdout, "DAMAGED", "Of the envelope: 1 chunks of 64 KiB cannot be decrypted")
}

func eventID(t *testing.T, lines string) string {
	t.Helper()
	for line := range strings.Lines(lines) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if id, ok := row["event_id"].(string); ok {
			return id
		}
	}
	t.Fatalf("no event in %q", lines)
	return ""
}

// TestNothingOnTheHostCanReopenABundle looks for every key in every file that a
// collection writes.
func TestNothingOnTheHostCanReopenABundle(t *testing.T) {
	s := newScene(t)
	out := t.TempDir()
	path := filepath.Join(out, "host.exhibit.tar.zst")
	s.run(0, "collect", "--root", s.root, "--recipient", s.recipient, "-o", path)
	secret, err := os.ReadFile(s.key)
	if err != nil {
		t.Fatal(err)
	}
	line := secret[bytes.Index(secret, []byte("AGE-SECRET")):]
	ids, err := age.ParseIdentities(bytes.NewReader(line))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path + ".age")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	header, err := age.ExtractHeader(f)
	if err != nil {
		t.Fatal(err)
	}
	fileKey, err := age.DecryptHeader(header, ids...)
	if err != nil {
		t.Fatal(err)
	}
	needles := map[string][]byte{
		"the identity": bytes.TrimSpace(line), "the file key": fileKey, "the file key as hexadecimal": []byte(hex.EncodeToString(fileKey)),
		"the file key as base64": []byte(base64.RawStdEncoding.EncodeToString(fileKey)),
		"a name of the host":     []byte("web01"), "a path of the host": []byte("auth.log"),
	}
	seen := 0
	err = filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		b, err := os.ReadFile(path)
		for what, needle := range needles {
			if bytes.Contains(b, needle) {
				t.Errorf("%s stands in %s", what, filepath.Base(path))
			}
		}
		return err
	})
	if err != nil || seen != 7 {
		t.Errorf("%d files were written, want the bundle and six of its seal: %v", seen, err)
	}
}

func TestRecoverKeepsEncryptedWhatWasEncrypted(t *testing.T) {
	s := newScene(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "host.exhibit.tar.zst.age")
	s.addNoise()
	s.run(0, "collect", "--root", s.root, "--recipient", s.recipient, "-o", path)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(dir, "cut.age")
	if err := os.WriteFile(cut, b[:len(b)-70_000], 0o600); err != nil {
		t.Fatal(err)
	}
	saved := filepath.Join(dir, "saved.exhibit.tar.zst")
	s.run(command.WrongKey, "recover", cut, "-o", saved)
	s.run(command.Usage, "--identity", s.key, "recover", cut, "-o", saved)
	s.run(command.Usage, "--identity", s.key, "recover", cut, "-o", saved, "--plain", "--recipient", s.recipient)
	s.run(command.Partial, "--identity", s.key, "recover", cut, "-o", saved, "--recipient", s.recipient)
	s.run(command.Failure, "--identity", s.key, "recover", cut, "-o", saved, "--recipient", s.recipient)
	s.run(command.WrongKey, "ls", saved+".age")
	s.run(0, "--identity", s.key, "ls", saved+".age")
	s.run(command.Partial, "--identity", s.key, "recover", cut, "-o", saved, "--plain")
	s.run(0, "ls", saved)
	header := filepath.Join(dir, "header.age")
	if err := os.WriteFile(header, b[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	mustContain(t, s.run(command.Failure, "--identity", s.key, "verify", header).stdout, "UNREADABLE")
	mustContain(t, s.run(command.Failure, "verify", header).stdout, "UNREADABLE")
}

// addNoise makes the bundle to be collected some frames and chunks long.
func (s *scene) addNoise() {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.root, "var/log/syslog"), noise(3<<20), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// noise is data that does not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func TestACustodianWithoutAKeyReceivesAnEncryptedBundle(t *testing.T) {
	s := newScene(t)
	path := filepath.Join(t.TempDir(), "host.exhibit.tar.zst.age")
	var sum struct {
		Code string `json:"seal_code"`
	}
	out := s.run(0, "--json", "collect", "--root", s.root, "--recipient", s.recipient, "-o", path).stdout
	if err := json.Unmarshal([]byte(out), &sum); err != nil {
		t.Fatal(err)
	}
	mustContain(t, s.in(0, "custody", "receive", path, "--code", sum.Code).stdout, "UNOPENED", sum.Code)
	s.one("exhibits/EX-001/*.age.seal")
	s.in(command.Trust, "verify", "EX-001")
	s.in(0, "custody", "verify")
	mustContain(t, s.opening(0, "verify", "EX-001").stdout, "VERIFIED", "alice@lab")
	s.in(command.Integrity, "verify", path, "--code", "AAAAA-BBBBB-CCCCC-DDDDD")
	if err := os.WriteFile(path+".seal/seal.txt.bak", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// Another bundle's seal beside it.
	second := filepath.Join(t.TempDir(), "second.age")
	s.run(0, "collect", "--root", s.root, "--recipient", s.recipient, "-o", second)
	inCase := s.one("exhibits/EX-001/*.age")
	if err := os.RemoveAll(inCase + ".seal"); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(inCase+".seal", os.DirFS(second+".seal")); err != nil {
		t.Fatal(err)
	}
	mustContain(t, s.in(command.Integrity, "verify", "EX-001").stdout, "ALTERED")
	mustContain(t, s.opening(0, "verify", "EX-001").stdout, "is that of another bundle")
	s.opening(0, "custody", "verify") // the folder's seal did not get into the log
}

func TestTheSealOfAStreamedBundleStandsInTheSummary(t *testing.T) {
	s := newScene(t)
	r := s.run(0, "--json", "collect", "--root", s.root, "--recipient", s.recipient, "-o", "-")
	var sum struct {
		Seal  string            `json:"seal"`
		Bytes int64             `json:"bundle_bytes"`
		Files map[string]string `json:"seal_files"`
	}
	if err := json.Unmarshal([]byte(r.stderr), &sum); err != nil {
		t.Fatalf("%v\n%s", err, r.stderr)
	}
	folder := fstest.MapFS{}
	for name, text := range sum.Files {
		folder[name] = &fstest.MapFile{Data: []byte(text)}
	}
	seal, _, err := bundle.ReadSealFolder(folder)
	if err != nil || seal.ID.String() != sum.Seal || int64(len(r.stdout)) != sum.Bytes {
		t.Errorf("seal %s, %v; %d bytes, the summary says %d", seal.Code(), err, len(r.stdout), sum.Bytes)
	}
	path := filepath.Join(t.TempDir(), "streamed.age")
	if err := os.WriteFile(path, []byte(r.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	mustContain(t, s.run(command.Trust, "--identity", s.key, "verify", path).stdout, "INTACT-SIGNER-UNKNOWN")
	mustContain(t, s.run(0, "collect", "--root", s.root, "--recipient", s.recipient, "-o", "-").stderr, "exhibit.bundle.v1/", "ssh-ed25519 ")
}

func TestRecipientsThatCannotWorkAreRefusedBeforeCollecting(t *testing.T) {
	s := newScene(t)
	classic := strings.TrimSpace(s.run(0, "key", "age", filepath.Join(s.dir, "classic"), "--classic").stdout)
	list := filepath.Join(s.dir, "list")
	if err := os.WriteFile(list, []byte("# lab\n"+classic+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := s.in(command.Usage, "collect", "--root", s.root, "--recipient", s.recipient, "--recipients-file", list)
	mustContain(t, r.stderr, "cannot be mixed", "1 of the keys are post-quantum, 1 are classic", "hint: ", "leave the age1pq1")
	s.in(command.Usage, "collect", "--root", s.root, "--recipient", "age1nobody")
	s.in(command.Usage, "collect", "--root", s.root, "--recipients-file", filepath.Join(s.dir, "none"))
	if names, _ := os.ReadDir(filepath.Join(s.dir, "custody")); len(names) > 0 {
		t.Errorf("an exhibit number was spent: %v", names)
	}
	s.in(0, "collect", "--root", s.root, "--recipients-file", list)
}

func TestConvertWritesTheSameEvidenceInOtherForms(t *testing.T) {
	s := newScene(t)
	s.in(0, "collect", "--root", s.root)
	s.in(0, "collect", "--root", s.root, "--recipient", s.recipient)
	dir := t.TempDir()
	for _, c := range []struct {
		exhibit, out string
		more         []string
		verify       int
	}{
		{"EX-001", "a.tar", nil, command.Trust},
		{"EX-001", "a.tar.gz", nil, command.Trust},
		{"EX-001", "a.zip", nil, command.Failure},
		{"EX-001", "a.tar.gz.age", []string{"--recipient", s.recipient}, command.Trust},
		{"EX-002", "b.tar", []string{"--plain"}, command.Trust},
		{"EX-002", "b.tar.zst", []string{"--plain"}, command.Trust},
		{"EX-002", "b.zip", []string{"--recipient", s.recipient}, command.Failure},
	} {
		out := filepath.Join(dir, c.out)
		args := append([]string{"--json", "convert", c.exhibit, "-o", out}, c.more...)
		var m converted
		if err := json.Unmarshal([]byte(s.opening(0, args...).stdout), &m); err != nil {
			t.Fatal(err)
		}
		made := filepath.Join(dir, m.Outputs[0].File)
		if len(c.more) > 1 && !strings.HasSuffix(made, ".age") {
			t.Errorf("encrypted to %s", made)
		}
		digest, err := command.FileDigest(made)
		if err != nil || digest.String() != m.Outputs[0].SHA256 {
			t.Errorf("%s has SHA-256 %s, the manifest says %s, %v", c.out, digest, m.Outputs[0].SHA256, err)
		}
		var onDisk converted
		b, err := os.ReadFile(made + ".manifest.json")
		if err != nil || json.Unmarshal(b, &onDisk) != nil || onDisk.SealID != m.SealID {
			t.Errorf("the manifest beside %s: %v %s", c.out, err, b)
		}
		s.opening(command.Failure, args...) // nothing is overwritten
		r := s.run(c.verify, "--identity", s.key, "verify", made)
		if c.verify == command.Trust {
			mustContain(t, r.stdout, m.Code)
			mustContain(t, s.run(0, "--identity", s.key, "cat", made, "/etc/hostname").stdout, "web01")
		}
	}
	s.opening(command.Usage, "convert", "EX-001", "-o", filepath.Join(dir, "a.rar"))
	s.opening(command.Usage, "convert", "EX-002", "-o", filepath.Join(dir, "c.tar")) // in clear without --plain
	a, err := filepath.Glob(filepath.Join(s.dir, "custody/EX-001/*-copied-*.json"))
	d, err2 := filepath.Glob(filepath.Join(s.dir, "custody/EX-001/*-derived-*.json"))
	if len(a) != 3 || len(d) != 1 || err != nil || err2 != nil {
		t.Errorf("custody has %d copies and %d derived", len(a), len(d))
	}
	s.opening(0, "custody", "verify")
	// Encrypted to others, a bundle is the same file inside.
	inner, err := os.ReadFile(filepath.Join(dir, "b.tar.zst"))
	if err != nil || !bytes.HasPrefix(inner, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		t.Errorf("the decrypted bundle begins with %x, %v", inner[:4], err)
	}
}

func TestBundlesThatContinueEachOtherAreCheckedAsAChain(t *testing.T) {
	s := newScene(t)
	dir := t.TempDir()
	path := func(n string) string { return filepath.Join(dir, n+".exhibit.tar.zst") }
	s.run(0, "collect", "--root", s.root, "-o", path("a"))
	s.run(0, "collect", "--root", s.root, "-o", path("b"), "--continues", path("a"), "--recipient", s.recipient)
	b := path("b") + ".age"
	s.run(0, "collect", "--root", s.root, "-o", path("c"), "--continues", b)
	id := s.sealID(path("c"))
	s.run(0, "collect", "--root", s.root, "-o", path("d"), "--continues", id)
	s.run(command.Usage, "collect", "--root", s.root, "-o", path("e"), "--continues", "nothing")
	open := func(code int, files ...string) ran {
		t.Helper()
		return s.run(code, append([]string{"--identity", s.key, "verify"}, files...)...)
	}
	mustContain(t, open(command.Trust, path("a"), b, path("c"), path("d")).stdout, "chain holds", "none is missing between them", "nothing here can say")
	mustContain(t, open(command.Partial, path("a"), path("c"), path("d")).stdout, "chain missing")
	mustContain(t, open(command.Partial, path("c"), path("a"), b, path("d")).stdout, "chain reordered")
	mustContain(t, s.run(command.Partial, "verify", path("a"), b, path("c")).stdout, "UNOPENED", "chain unknown")
	mustContain(t, open(command.Trust, path("d")).stdout, "continues the bundle with seal code")
	mustContain(t, s.run(0, "ls", path("d")).stdout, "continues the bundle with seal code")
	if r := open(command.Trust, path("a")); strings.Contains(r.stdout, "chain") {
		t.Errorf("one file is called a chain:\n%s", r.stdout)
	}
}

func (s *scene) sealID(path string) string {
	s.t.Helper()
	var rep struct {
		Seal string `json:"seal_id"`
	}
	out := s.run(command.Trust, "--json", "verify", path).stdout
	if err := json.Unmarshal([]byte(out), &rep); err != nil {
		s.t.Fatal(err)
	}
	return rep.Seal
}

func TestUnzippedConversionPassesTheShippedVerifier(t *testing.T) {
	unzip, python := testenv.Tool(t, "unzip"), testenv.Tool(t, "python3")
	s := newScene(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "host.exhibit.tar.zst")
	s.run(0, "collect", "--root", s.root, "-o", path)
	s.run(0, "convert", path, "-o", filepath.Join(dir, "host.zip"))
	runIn(t, dir, unzip, "-q", "host.zip", "-d", "out")
	mustContain(t, runIn(t, filepath.Join(dir, "out"), python, "exhibit/verify.py"), "contents and root agree")
}

func runIn(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
	return string(out)
}
