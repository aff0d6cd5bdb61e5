package report

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"golang.org/x/crypto/ssh"
)

// run executes shell text in a folder and returns everything it printed.
func run(t *testing.T, dir, commands string) (string, error) {
	t.Helper()
	cmd := exec.Command("sh", "-c", commands)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestPrintedShellLoopVerifiesTheCustodyLog(t *testing.T) {
	testenv.Tool(t, "ssh-keygen")
	c := sampleCase(t)
	loop := CustodyLoop("EX-001")
	out, err := run(t, c.Dir(), loop)
	if err != nil || strings.Count(out, "good ") != 7 || strings.Contains(out, "BAD") {
		t.Fatalf("untouched log: %v\n%s", err, out)
	}
	events, _, err := c.Log("EX-001")
	if err != nil {
		t.Fatal(err)
	}
	path := c.Path(chainofcustody.CustodyDir, "EX-001", events[3].File)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{1, 40, len(whole) / 2, len(whole) - 3} {
		changed := append([]byte(nil), whole...)
		changed[i] ^= 4
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, _ := run(t, c.Dir(), loop); !strings.Contains(out, "BAD "+events[3].File) || !strings.Contains(out, "BAD "+events[4].File+": predecessor") {
			t.Errorf("byte %d changed, yet:\n%s", i, out)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if out, _ := run(t, c.Dir(), loop); !strings.Contains(out, "BAD "+events[4].File+": predecessor") {
		t.Errorf("event removed, yet:\n%s", out)
	}
}

func TestDocumentsPrintTheLoopThatIsTested(t *testing.T) {
	for _, name := range []string{"docs/format/custody.md", "docs/custody.md"} {
		text, err := os.ReadFile(filepath.Join(testenv.Root(t), name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), CustodyLoop("EX-001")) {
			t.Errorf("%s prints another loop", name)
		}
	}
}

// fakeBundle packs the members the recipe touches, signed as a bundle is.
func fakeBundle(t *testing.T, dir string, d *Data) {
	t.Helper()
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	key, err := chainofcustody.RunKeyOf(private)
	if err != nil {
		t.Fatal(err)
	}
	seal := []byte("exhibit.bundle.v1/0195\n1\n" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n")
	sshsig, err := key.Sign(chainofcustody.NamespaceSeal, seal)
	if err != nil {
		t.Fatal(err)
	}
	note := fmt.Sprintf("%s\n— exhibit.bundle.v1/0195 %s\n", seal, base64.StdEncoding.EncodeToString(append([]byte("abcd"), ed25519.Sign(private, seal)...)))
	pub := ssh.MarshalAuthorizedKey(key.PublicKey())
	binding, err := person(t, "alice@lab", "", "", "").Key.Sign(chainofcustody.NamespaceCustody, pub)
	if err != nil {
		t.Fatal(err)
	}
	content := []byte("root:x:0:0\n")
	d.Bundle.Sample = Sample{"files/root/etc/passwd", evidence.Sum(content).String()}
	for name, data := range map[string][]byte{
		"exhibit/seal.txt": seal, "exhibit/seal.txt.sig": sshsig, "exhibit/seal.note": []byte(note),
		"exhibit/collector.pub": pub, "exhibit/collector-key.sig": binding, "files/root/etc/passwd": content,
		"exhibit/manifest/000000.jsonl": []byte(`{"sha256":"` + d.Bundle.Sample.SHA256 + `"}` + "\n"),
	} {
		path := filepath.Join(dir, "src", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.Bundle.File, d.Bundle.Path = "a bundle's name.exhibit.tar.zst", ""
	// The seed of Ed25519 in PKCS#8 lets openssl write the public half.
	der := append([]byte("\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"), private.Seed()...)
	if err := os.WriteFile(filepath.Join(dir, "key.der"), der, 0o600); err != nil {
		t.Fatal(err)
	}
	pack := "openssl pkey -inform DER -in key.der -pubout -out src/exhibit/collector.pem && tar -C src -cf - exhibit files | zstd -q > " + shell(d.Bundle.File)
	if out, err := run(t, dir, pack); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, err := os.ReadFile(filepath.Join(dir, d.Bundle.File))
	if err != nil {
		t.Fatal(err)
	}
	d.Bundle.SHA256, d.Bundle.SealID = evidence.Sum(file).String(), evidence.Sum(seal).String()
	d.Bundle.CollectorKey = string(pub)
}

func TestEveryCommandOfTheRecipeWorksAsPrinted(t *testing.T) {
	for _, tool := range []string{"ssh-keygen", "openssl", "zstd", "tar", "python3", "awk"} {
		testenv.Tool(t, tool)
	}
	c := sampleCase(t)
	d := sample(t)
	fakeBundle(t, c.Dir(), &d)
	page := sanitized(d)
	for _, s := range page.recipe() {
		if strings.Contains(s.Commands, "verify.py") {
			continue // the bundle's own program has its own tests
		}
		out, err := run(t, c.Dir(), s.Commands)
		if err != nil {
			t.Errorf("%s: %v\n%s\n%s", s.Title, err, s.Commands, out)
			continue
		}
		switch {
		case strings.Contains(s.Expect, "beginning"):
			if strings.Count(out, "good ") != len(d.Events) {
				t.Errorf("%s:\n%s", s.Title, out)
			}
		case strings.Contains(s.Expect, "annex B"):
			for _, e := range d.Events {
				if !strings.Contains(out, e.Key) {
					t.Errorf("%s lacks %s:\n%s", s.Title, e.Key, out)
				}
			}
		case !strings.Contains(out, s.Expect):
			t.Errorf("%s: output lacks %q:\n%s", s.Title, s.Expect, out)
		}
	}
}

func TestPrintedShellLoopVerifiesTheVectors(t *testing.T) {
	testenv.Tool(t, "ssh-keygen")
	dir := filepath.Join(testenv.Root(t), "testdata", "vectors", "custody", "case")
	out, err := run(t, dir, CustodyLoop("EX-001"))
	if err != nil || strings.Count(out, "good ") != 5 || strings.Contains(out, "BAD") {
		t.Errorf("%v\n%s", err, out)
	}
}
