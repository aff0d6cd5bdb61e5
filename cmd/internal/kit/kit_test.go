package kit

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

func testKit(t testing.TB) []File {
	t.Helper()
	key, err := chainofcustody.NewRunKey()
	if err != nil {
		t.Fatal(err)
	}
	return buildWith(t, &chainofcustody.Identity{ID: "alice@lab", Key: key})
}

func buildWith(t testing.TB, id *chainofcustody.Identity) []File {
	t.Helper()
	files, err := Build(Contents{
		Job: &chainofcustody.Job{
			NotBefore: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC), NotAfter: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), Run: []string{"max-time=9m"},
		},
		Programs: map[string][]byte{"exhibit-collector": bytes.Repeat([]byte("program "), 1000)},
		Files:    map[string][]byte{"ca.pem": []byte("authority\n"), "collector_key": []byte("secret\n")},
		Readme:   func(j *chainofcustody.Job) string { return "ask " + j.Signer.ID + "\n" },
	}, id)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// forms are a kit in every form, by the name of its file.
func forms(t testing.TB, dir string, files []File) []string {
	t.Helper()
	out := []string{filepath.Join(dir, "folder")}
	if err := WriteFolder(out[0], files); err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"kit.zip":     func(b *bytes.Buffer) error { return WriteZip(b, files) },
		"kit.tar.zst": func(b *bytes.Buffer) error { return WriteTar(b, files) },
		"single":      func(b *bytes.Buffer) error { return WriteSingle(b, files) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		out = append(out, path)
	}
	slices.Sort(out[1:])
	return out
}

func TestEveryFormReadsBackAsItWasBuilt(t *testing.T) {
	files := testKit(t)
	for i, path := range forms(t, t.TempDir(), files) {
		l, err := Load(path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if want := []string{FormFolder, FormTar, FormZip, FormSingle}[i]; l.Form != want {
			t.Errorf("%s is read as %s", path, l.Form)
		}
		if p := l.Problems(); p != nil {
			t.Errorf("%s: %q", path, p)
		}
		for _, f := range files {
			if got := l.Loaded()[f.Name]; !bytes.Equal(got.Data, f.Data) || got.Mode != f.Mode {
				t.Errorf("%s: %s is read with mode %v and %d bytes, want %v and %d", path, f.Name, got.Mode, len(got.Data), f.Mode, len(f.Data))
			}
		}
	}
}

func TestSameContentsMakeTheSameBytes(t *testing.T) {
	key, err := chainofcustody.NewRunKey()
	if err != nil {
		t.Fatal(err)
	}
	id := &chainofcustody.Identity{ID: "alice@lab", Key: key}
	a, b := forms(t, t.TempDir(), buildWith(t, id)), forms(t, t.TempDir(), buildWith(t, id))
	for i := 1; i < len(a); i++ {
		one, err1 := os.ReadFile(a[i])
		two, err2 := os.ReadFile(b[i])
		if errors.Join(err1, err2) != nil || !bytes.Equal(one, two) {
			t.Errorf("%s differs from one time to the next (%v)", filepath.Base(a[i]), errors.Join(err1, err2))
		}
	}
}

// TestEveryChangedFileIsNamed changes, drops and adds files of a folder.
func TestEveryChangedFileIsNamed(t *testing.T) {
	files := testKit(t)
	for _, f := range files {
		for name, change := range map[string]func(path string) error{
			"first byte": func(path string) error { return rewrite(path, func(b []byte) []byte { b[0] ^= 1; return b }) },
			"last byte":  func(path string) error { return rewrite(path, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }) },
			"longer":     func(path string) error { return rewrite(path, func(b []byte) []byte { return append(b, 0) }) },
			"gone":       os.Remove,
		} {
			dir := filepath.Join(t.TempDir(), "kit")
			if err := errors.Join(WriteFolder(dir, files), change(filepath.Join(dir, f.Name))); err != nil {
				t.Fatal(err)
			}
			l, err := Load(dir)
			switch {
			case f.Name == JobFile || f.Name == JobSigFile:
				if !errors.Is(err, ErrChanged) && !errors.Is(err, ErrNone) && !(f.Name == JobSigFile && name == "longer") {
					t.Errorf("%s, %s: %v", f.Name, name, err)
				}
			case err != nil:
				t.Errorf("%s, %s: %v", f.Name, name, err)
			case !slices.ContainsFunc(l.Problems(), func(p string) bool { return strings.HasPrefix(p, f.Name+" ") }):
				t.Errorf("%s, %s: problems %q", f.Name, name, l.Problems())
			}
			if k, err := ReadFolder(dir); f.Name != "exhibit-collector" && f.Name != SumsFile && name != "longer" && err == nil && k.Check() == nil {
				t.Errorf("%s, %s: the collector takes it for whole", f.Name, name)
			}
		}
	}
}

func rewrite(path string, change func([]byte) []byte) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, change(b), 0o600))
}

func TestWhatDoesNotBelongIsNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kit")
	if err := errors.Join(WriteFolder(dir, testKit(t)), os.WriteFile(filepath.Join(dir, "evil.dll"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	l, err := Load(dir)
	if err != nil || !slices.Equal(l.Problems(), []string{"evil.dll does not belong to the kit"}) {
		t.Errorf("%v, %q", err, l.Problems())
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); !errors.Is(err, ErrShape) {
		t.Errorf("a link in a kit: %v", err)
	}
}

// TestOneFileIsProgramAndKit holds the form that the package comment states.
func TestOneFileIsProgramAndKit(t *testing.T) {
	files := testKit(t)
	var b bytes.Buffer
	if err := WriteSingle(&b, files); err != nil {
		t.Fatal(err)
	}
	program := bytes.Repeat([]byte("program "), 1000)
	if !bytes.HasPrefix(b.Bytes(), program) || !bytes.HasSuffix(b.Bytes(), []byte("exhibit kit 1, after 000000008000 bytes")) {
		t.Error("the file does not begin with the program, or end with its length")
	}
	held, length, err := appended(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil || length != 8000 {
		t.Fatalf("length %d, %v", length, err)
	}
	if got, err := fs.ReadFile(held, "ca.pem"); err != nil || string(got) != "authority\n" {
		t.Errorf("ca.pem: %q, %v", got, err)
	}
	if _, _, err := appended(bytes.NewReader(program), 8000); !errors.Is(err, ErrNone) {
		t.Errorf("a program by itself: %v", err)
	}
	if err := WriteSingle(&b, append(slices.Clone(files), File{"second", 0o755, program})); !errors.Is(err, ErrShape) {
		t.Errorf("two programs in one file: %v", err)
	}
}

func TestFilesOfAKitAreReadWithinBounds(t *testing.T) {
	m := memory{}
	for _, name := range []string{"", "a/b", "..", "../x", `a\b`, "c:", ".hidden", "exhibit-kit/exhibit-kit/x"} {
		if err := m.add(name, 0o644, strings.NewReader("x")); !errors.Is(err, ErrShape) {
			t.Errorf("%q is taken: %v", name, err)
		}
	}
	if err := m.add("a", fs.ModeDir|0o755, strings.NewReader("")); !errors.Is(err, ErrShape) {
		t.Errorf("a folder is taken: %v", err)
	}
	if err := errors.Join(m.add("a", 0o644, strings.NewReader("x"))); err != nil {
		t.Fatal(err)
	}
	if err := m.add("A", 0o644, strings.NewReader("x")); !errors.Is(err, ErrShape) {
		t.Errorf("a name that differs in case alone is taken: %v", err)
	}
	big := fstest.MapFS{"job.json": {Data: make([]byte, chainofcustody.MaxOrderSize+1)}}
	if _, err := read(big, "big", ""); !errors.Is(err, ErrShape) {
		t.Errorf("a job file over its size: %v", err)
	}
}

// FuzzLoad reads hostile kits of every form of a file: none may lead to a
// panic, and what is taken for unchanged is what was signed.
func FuzzLoad(f *testing.F) {
	files := testKit(f)
	want := map[string]evidence.Digest{}
	for _, file := range files {
		want[file.Name] = evidence.Sum(file.Data)
	}
	for _, path := range forms(f, f.TempDir(), files)[1:] {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "kit")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Load(path)
		if err != nil || l.Signer.Key != signerOf(files) || len(l.Problems()) > 0 {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if name != JobSigFile && evidence.Sum(l.Loaded()[name].Data) != want[name] {
				t.Fatalf("%s is another one and passes for unchanged", name)
			}
		}
	})
}

func signerOf(files []File) string {
	for _, f := range files {
		if f.Name == JobFile {
			if j, err := chainofcustody.ParseJob(f.Data); err == nil {
				return j.Signer.Key
			}
		}
	}
	return ""
}
