package bundle

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// farApart is content of three short stretches in terabytes of nothing.
type farApart map[int64]string

func (f farApart) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for at, text := range f {
		for i := range text {
			if k := at + int64(i) - off; k >= 0 && k < int64(len(p)) {
				p[k] = text[i]
			}
		}
	}
	return len(p), nil
}

const (
	farSize = 3 << 40
	farAt   = 2 << 40
)

// sparseBundle seals one item of three terabytes, nearly all of it hole.
func sparseBundle(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := newTestWriter(t, &out, testOptions())
	block := strings.Repeat("first block ", 43)[:512]
	last := strings.Repeat("the far end ", 43)[:512]
	it := evidence.Item{
		Kind: evidence.KindFile, Path: "/var/log/lastlog", Size: farSize,
		Holes: []evidence.Extent{{Offset: 512, Length: farAt - 512}, {Offset: farAt + 512, Length: farSize - farAt - 512}},
	}
	got, err := w.Add(context.Background(), it, Input{At: farApart{0: block, farAt: last}})
	if err != nil {
		t.Fatal(err)
	}
	if want := evidence.Sum([]byte(block + last)); got.SHA256 != want || !got.SumsStored || got.Stored != 1024 {
		t.Fatalf("recorded with %s, stored %d, sums of stored bytes %v; want %s", got.SHA256, got.Stored, got.SumsStored, want)
	}
	sealBundle(t, w)
	return out.Bytes()
}

func TestHugeHolesAreLeftOutOfTheSumsAndSaidSo(t *testing.T) {
	b := sparseBundle(t)
	if v := verify(t, b, trustTest(t)); v.Verdict != Verified {
		t.Error(explain(v))
	}
	r := openBytes(t, b)
	it, err := r.Item(1)
	if err != nil || !it.SumsStored || it.Size != farSize {
		t.Fatalf("item %+v, %v", it, err)
	}
	c, err := r.Open(it.Member)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 12)
	if _, err := c.ReadAt(got, farAt); err != nil || string(got) != "the far end " {
		t.Errorf("read %q: %v", got, err)
	}
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := Extract(t.Context(), r, root, nil, ExtractOptions{}); err != nil {
		t.Fatalf("extract: %v", err)
	}
	st, err := os.Stat(filepath.Join(dir, it.Member))
	if err != nil || st.Size() != farSize {
		t.Fatalf("extracted: %v, %v", st, err)
	}
}

func TestSumsOfSmallHolesTakeThemIn(t *testing.T) {
	var out bytes.Buffer
	w := newTestWriter(t, &out, testOptions())
	content := append(bytes.Repeat([]byte("a"), 512), make([]byte, 4096)...)
	got, err := w.Add(context.Background(), evidence.Item{
		Kind: evidence.KindFile, Path: "/x", Size: int64(len(content)), Holes: []evidence.Extent{{Offset: 512, Length: 4096}},
	}, Input{At: bytes.NewReader(content)})
	if err != nil || got.SumsStored || got.SHA256 != evidence.Sum(content) {
		t.Errorf("item %+v, %v", got, err)
	}
}

func TestShippedVerifiersKnowSumsOfStoredBytes(t *testing.T) {
	zstd, tar, python := testenv.Tool(t, "zstd"), testenv.Tool(t, "tar"), testenv.Tool(t, "python3")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "b.tar.zst"), sparseBundle(t), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) ([]byte, error) {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		return cmd.CombinedOutput()
	}
	if out, err := run("sh", "-c", zstd+" -dq < b.tar.zst | "+tar+" x"); err != nil {
		t.Skipf("skipped: this file system or tar cannot hold a file of 3 TiB: %v: %s", err, out)
	}
	member := openBytes(t, sparseBundle(t))
	it, err := member.Item(1)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{python, "exhibit/verify.py"}, {"sh", "exhibit/verify.sh", it.Member}} {
		if out, err := run(args[0], args[1:]...); err != nil {
			t.Errorf("%v: %v: %s", args, err, out)
		}
	}
	path := filepath.Join(dir, it.Member)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("X"), farAt+3); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for _, args := range [][]string{{python, "exhibit/verify.py"}, {"sh", "exhibit/verify.sh", it.Member}} {
		if out, err := run(args[0], args[1:]...); err == nil {
			t.Errorf("%v accepts a changed byte: %s", args, out)
		}
	}
}

func TestManyHugeSparseFilesVerifyAndSurviveDamageElsewhere(t *testing.T) {
	var out bytes.Buffer
	opt := testOptions()
	opt.CheckpointItems = 1
	w := newTestWriter(t, &out, opt)
	addBytes(t, w, "/first", noise(1<<20))
	for i := range 3 {
		it := evidence.Item{
			Kind: evidence.KindFile, Path: "/var/log/lastlog", Rule: string(rune('a' + i)), Size: farSize,
			Holes: []evidence.Extent{{Offset: 512, Length: farAt - 512}, {Offset: farAt + 512, Length: farSize - farAt - 512}},
		}
		if _, err := w.Add(context.Background(), it, Input{At: farApart{0: "first", farAt: "last"}}); err != nil {
			t.Fatal(err)
		}
	}
	sealBundle(t, w)
	if v := verify(t, out.Bytes(), trustTest(t)); v.Verdict != Verified || v.Contents != 4 {
		t.Errorf("9 TiB in three files: %s", explain(v))
	}
	table, err := tableOf(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range table {
		b := bytes.Clone(out.Bytes())
		b[f.file+int64(f.packed)-1] ^= 0xff
		if v := verify(t, b, trustTest(t)); v.Verdict != Damaged || v.AlteredItems != 0 || v.Contents < 3 {
			t.Errorf("frame %d damaged: %s", i, explain(v))
		}
	}
}
