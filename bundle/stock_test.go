package bundle

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// run executes a command in dir and returns its output.
func run(t *testing.T, dir, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(testenv.Tool(t, name), args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustRun(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	out, err := run(t, dir, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// unpacked writes the sample to a file and unpacks it with GNU tar.
func unpacked(t *testing.T) (dir string, contents map[string][]byte) {
	t.Helper()
	file, contents, _ := sample(t)
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "b.tar.zst"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	testenv.Tool(t, "zstd")
	mustRun(t, dir, "tar", "--zstd", "-xf", "b.tar.zst")
	return dir, contents
}

// folder reads all files below dir, the bundle itself left out.
func folder(t *testing.T, dir string) map[string]evidence.Digest {
	t.Helper()
	got := map[string]evidence.Digest{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		got[name] = evidence.Sum(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestStockToolsUnpackTheSameContent(t *testing.T) {
	file, contents, _ := sample(t)
	dir := t.TempDir()
	bundlePath := filepath.Join(dir, "b.tar.zst")
	if err := os.WriteFile(bundlePath, file, 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, dir, "zstd", "-q", "-t", bundlePath)
	mustRun(t, dir, "zstd", "-q", "-d", bundlePath, "-o", filepath.Join(dir, "b.tar"))
	for _, tool := range []struct {
		name   string
		args   []string
		packed bool // shows sparse files in their packed form
	}{
		{name: "tar", args: []string{"-xf", "../b.tar"}},
		{name: "tar", args: []string{"--zstd", "-xf", "../b.tar.zst"}},
		{name: "bsdtar", args: []string{"-xf", "../b.tar.zst"}},
		{name: "7z", args: []string{"x", "-y", "../b.tar"}, packed: true},
	} {
		t.Run(tool.name+" "+strings.Join(tool.args, " "), func(t *testing.T) {
			out := filepath.Join(dir, "out")
			if err := os.RemoveAll(out); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(out, 0o700); err != nil {
				t.Fatal(err)
			}
			mustRun(t, out, tool.name, tool.args...)
			checkUnpacked(t, out, contents, tool.packed)
		})
	}
}

func checkUnpacked(t *testing.T, dir string, contents map[string][]byte, packed bool) {
	t.Helper()
	got := folder(t, dir)
	for name, want := range contents {
		switch {
		case strings.HasSuffix(name, "capture.pcapng"):
			var joined []byte
			for n := range 2 {
				b, err := os.ReadFile(filepath.Join(dir, segmentName(name, n)))
				if err != nil {
					t.Fatal(err)
				}
				joined = append(joined, b...)
			}
			if !bytes.Equal(joined, want) {
				t.Errorf("%s: segments do not join to the content", name)
			}
		case packed && strings.HasSuffix(name, "lastlog"):
			// 7-Zip does not know GNU.sparse and shows map and data.
		case got[name] != evidence.Sum(want):
			t.Errorf("%s differs or is missing", name)
		}
	}
}

func TestUnpackedTimesAreThoseOfTheHost(t *testing.T) {
	dir, _ := unpacked(t)
	info, err := os.Stat(filepath.Join(dir, "files/file/etc/hosts"))
	if err != nil {
		t.Fatal(err)
	}
	if want := testTime.Add(-3600e9); !info.ModTime().Equal(want) {
		t.Errorf("modified %s, want %s", info.ModTime(), want)
	}
	if info.Mode().Perm()&0o222 != 0 {
		t.Errorf("mode %s can be written to", info.Mode())
	}
}

func TestSSHKeygenAcceptsTheSealAndRefusesAChangedOne(t *testing.T) {
	dir, _ := unpacked(t)
	testenv.Tool(t, "ssh-keygen")
	script := `echo "collector $(cat exhibit/collector.pub)" > allowed_signers
ssh-keygen -Y verify -f allowed_signers -I collector -n exhibit-seal -s exhibit/seal.txt.sig < exhibit/seal.txt`
	mustRun(t, dir, "sh", "-c", script)
	flipByte(t, filepath.Join(dir, "exhibit/seal.txt"), 70)
	if out, err := run(t, dir, "sh", "-c", script); err == nil {
		t.Errorf("changed seal accepted: %s", out)
	}
}

func TestOpenSSLAcceptsTheSealAndRefusesAChangedOne(t *testing.T) {
	dir, _ := unpacked(t)
	testenv.Tool(t, "openssl")
	script := `sed -n 's/^.* .* //p' exhibit/seal.note | base64 -d | tail -c 64 > sig &&
openssl pkeyutl -verify -pubin -inkey exhibit/collector.pem -rawin -in exhibit/seal.txt -sigfile sig`
	mustRun(t, dir, "sh", "-c", script)
	flipByte(t, filepath.Join(dir, "exhibit/seal.txt"), 70)
	if out, err := run(t, dir, "sh", "-c", script); err == nil {
		t.Errorf("changed seal accepted: %s", out)
	}
}

func flipByte(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestShippedPythonVerifierRecomputesTheRootAndNamesWhatChanged(t *testing.T) {
	dir, _ := unpacked(t)
	if out := mustRun(t, dir, "python3", "exhibit/verify.py"); !strings.Contains(out, "12 records") {
		t.Errorf("says %q", out)
	}
	flipByte(t, filepath.Join(dir, "files/file/etc/hosts"), 3)
	flipByte(t, filepath.Join(dir, "exhibit/manifest/000001.jsonl"), 20)
	out, err := run(t, dir, "python3", "exhibit/verify.py")
	if err == nil || !strings.Contains(out, "files/file/etc/hosts") || !strings.Contains(out, "ROOT DIFFERS") {
		t.Errorf("change not named (%v): %s", err, out)
	}
}

func TestShippedShellVerifierProvesOneItemAndNamesWhatChanged(t *testing.T) {
	dir, contents := unpacked(t)
	for _, tool := range []string{"sha256sum", "awk", "base64", "od", "sed"} {
		testenv.Tool(t, tool)
	}
	for member := range contents {
		mustRun(t, dir, "sh", "exhibit/verify.sh", member)
	}
	flipByte(t, filepath.Join(dir, "exhibit/leaves.txt"), 3)
	if out, err := run(t, dir, "sh", "exhibit/verify.sh", "files/file/etc/hosts"); err == nil || !strings.Contains(out, "ROOT DIFFERS") {
		t.Errorf("changed leaf not found (%v): %s", err, out)
	}
	flipByte(t, filepath.Join(dir, "files/file/etc/hosts"), 3)
	if out, err := run(t, dir, "sh", "exhibit/verify.sh", "files/file/etc/hosts"); err == nil || !strings.Contains(out, "CHANGED: files/file/etc/hosts") {
		t.Errorf("changed item not named (%v): %s", err, out)
	}
}

func TestShippedShellVerifierChecksAProofFile(t *testing.T) {
	file, _, _ := sample(t)
	r := openBytes(t, file)
	dir := t.TempDir()
	script, err := VerifierScript("verify.sh")
	if err != nil {
		t.Fatal(err)
	}
	for index := range r.Seal().Size {
		p, err := r.Prove(index)
		if err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string][]byte{"verify.sh": script, "content": p.Content, "meta": p.Meta, "p.tlog-proof": p.Text()} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		mustRun(t, dir, "sh", "verify.sh", "content", "meta", "p.tlog-proof")
		flipByte(t, filepath.Join(dir, "meta"), 12)
		if out, err := run(t, dir, "sh", "verify.sh", "content", "meta", "p.tlog-proof"); err == nil {
			t.Errorf("changed line of record %d accepted: %s", index, out)
		}
	}
}
