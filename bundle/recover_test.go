package bundle

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
)

func recovered(t *testing.T, b []byte) ([]byte, *RecoverReport) {
	t.Helper()
	var out bytes.Buffer
	before := bytes.Clone(b)
	rep, err := Recover(context.Background(), bytes.NewReader(b), int64(len(b)), &out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, before) {
		t.Fatal("the original was changed")
	}
	return out.Bytes(), rep
}

func TestRecoveredCutBundleOpensAndVerifiesAsPrefix(t *testing.T) {
	file, contents, _ := sample(t)
	table, err := tableOf(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * len(table) { // where a frame ends, a byte before and a byte behind
		f := table[i/3]
		end := f.file + int64(f.packed) + int64(i%3) - 1
		if i < 3 && verify(t, file[:end], trustTest(t)).Proven == 0 { // the header alone may be cut
			continue
		}
		out, rep := recovered(t, file[:end])
		r := openBytes(t, out)
		n := int64(0)
		for it, err := range r.Items() {
			if err != nil {
				t.Fatal(err)
			}
			if it.Kind.HasContent() {
				checkContent(t, r, it, contents[it.Member])
			}
			if _, err := r.Prove(it.Index); err != nil {
				t.Errorf("cut at byte %d: %v", end, err)
			}
			n++
		}
		v := verify(t, out, trustTest(t))
		if n != rep.Proven || n != rep.Original.Proven || v.Verdict != VerifiedPrefix || v.Proven != n {
			t.Errorf("cut at byte %d: %d items, %+v\n%s", end, n, rep, explain(v))
		}
	}
}

func TestRecoveredDamagedBundleKeepsEverythingThatIsProven(t *testing.T) {
	file, contents, _ := sample(t)
	table, err := tableOf(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range table {
		b := bytes.Clone(file)
		b[f.file+int64(f.packed)-1] ^= 0xff // its checksum
		before := verify(t, b, trustTest(t))
		out, rep := recovered(t, b)
		after := verify(t, out, trustTest(t))
		if before.Verdict != Damaged || (after.Verdict != Damaged && rep.LostSize > 0) {
			t.Errorf("frame %d: before %s\nafter %s", i, explain(before), explain(after))
		}
		if after.Contents != before.Contents || after.Proven != before.Proven || after.AlteredItems != 0 {
			t.Errorf("frame %d: %d contents and %d records before, %d and %d after\n%s", i,
				before.Contents, before.Proven, after.Contents, after.Proven, explain(after))
		}
		whole := 0
		r := openBytes(t, out)
		for it, err := range r.Items() {
			if err != nil {
				t.Fatal(err)
			}
			if c, err := r.Open(it.Member); err == nil && it.Kind.HasContent() {
				got := make([]byte, it.Size)
				if n, _ := c.ReadAt(got, 0); int64(n) == it.Size && bytes.Equal(got, contents[it.Member]) {
					whole++
				}
			}
		}
		if int64(whole) != before.Contents {
			t.Errorf("frame %d: %d whole contents can be read, want %d", i, whole, before.Contents)
		}
	}
}

func TestNothingIsRecoveredFromAFileWithoutACheckpoint(t *testing.T) {
	file, _, _ := sample(t)
	_, err := Recover(context.Background(), bytes.NewReader(file[:200]), 200, new(bytes.Buffer))
	if !errors.Is(err, ErrNothing) {
		t.Errorf("got %v", err)
	}
}

func TestExtractedFilesAreInertAndWhole(t *testing.T) {
	file, contents, _ := sample(t)
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	n := 0
	opt := ExtractOptions{Manifest: true, Done: func(_ evidence.Item, err error) error { n++; return err }}
	if err := Extract(context.Background(), openBytes(t, file), root, nil, opt); err != nil {
		t.Fatal(err)
	}
	got := folder(t, dir)
	for name, want := range contents {
		if got[name] != evidence.Sum(want) {
			t.Errorf("%s differs", name)
		}
	}
	if n != len(contents)+4 || len(got) != n {
		t.Errorf("%d items, %d files, want %d", n, len(got), len(contents)+4)
	}
	err = Extract(context.Background(), openBytes(t, file), root, nil, ExtractOptions{})
	if !errors.Is(err, os.ErrExist) {
		t.Errorf("existing files were replaced: %v", err)
	}
}
