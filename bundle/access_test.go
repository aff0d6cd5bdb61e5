package bundle

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// counting counts the bytes read from a file.
type counting struct {
	r io.ReaderAt
	n atomic.Int64
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n.Add(int64(n))
	return n, err
}

// plenty is endless text that compresses well but differs every page.
type plenty struct{ page [4096]byte }

func newPlenty() *plenty {
	p := new(plenty)
	for i := range p.page {
		p.page[i] = "Mar 14 15:09:26 web01 sshd[4711]: Accepted publickey\n"[i%53]
	}
	return p
}

func (p *plenty) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		m := copy(b[n:], p.page[:])
		binary.LittleEndian.PutUint64(p.page[:], binary.LittleEndian.Uint64(p.page[:])+1)
		n += m
	}
	return n, nil
}

func TestOneItemOfAMultiGigabyteBundleReadsLessThanAMebibyte(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: writes 4.3 GB")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "big"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := newTestWriter(t, f, testOptions())
	const big, bigSize, small = 16, 270 << 20, 20000
	text := newPlenty()
	addNth := func(i int) {
		addBytes(t, w, fmt.Sprintf("/home/user%d/notes/%d.txt", i%100, i), fmt.Appendf(nil, "note number %d\n", i))
	}
	for i := range big {
		for j := range small / big {
			addNth(i*small/big + j)
		}
		it := evidence.Item{Kind: evidence.KindFile, Path: fmt.Sprintf("/var/log/big%d", i), Size: bigSize}
		if _, err := w.Add(context.Background(), it, Input{R: text}); err != nil {
			t.Fatal(err)
		}
	}
	sealBundle(t, w)
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	table, err := tableOf(f, info.Size())
	if err != nil || len(table) < 1000 {
		t.Fatalf("%d frames, want more than 1000: %v", len(table), err)
	}
	for _, i := range []int{0, 777, 12345, small - 1} {
		c := &counting{r: f}
		r, err := Open(c, info.Size())
		if err != nil {
			t.Fatal(err)
		}
		opened := c.n.Load()
		content, err := r.Open(fmt.Sprintf("files/file/home/user%d/notes/%d.txt", i%100, i))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(content)
		if err != nil || string(got) != fmt.Sprintf("note number %d\n", i) {
			t.Fatalf("read %q: %v", got, err)
		}
		t.Logf("item %d of a file of %d bytes with %d frames: %d bytes to open, %d more for the item", i, info.Size(), len(table), opened, c.n.Load()-opened)
		if c.n.Load() >= 1<<20 {
			t.Errorf("item %d: %d bytes read", i, c.n.Load())
		}
	}
}

func TestContentReadsAnyRangeAcrossHolesAndSegments(t *testing.T) {
	file, contents, _ := sample(t)
	r := openBytes(t, file)
	for member, want := range contents {
		c, err := r.Open(member)
		if err != nil {
			t.Fatal(err)
		}
		for _, off := range []int64{0, 1, 8190, 12280, 8<<20 - 3, int64(len(want)) - 2, int64(len(want))} {
			p := make([]byte, 5000)
			n, err := c.ReadAt(p, max(off, 0))
			if off < 0 || off >= int64(len(want)) {
				if n != 0 && off >= 0 || err != io.EOF && off >= 0 {
					t.Errorf("%s: read %d bytes at %d: %v", member, n, off, err)
				}
				continue
			}
			end := min(off+5000, int64(len(want)))
			if !bytes.Equal(p[:n], want[off:end]) || (n < len(p)) != (err == io.EOF) {
				t.Errorf("%s: %d bytes at %d differ: %v", member, n, off, err)
			}
		}
	}
	if _, err := r.Open("files/file/none"); err == nil {
		t.Error("a member that is not there opens")
	}
}

func TestManifestLinesResolveToTheirLeaf(t *testing.T) {
	file, _, _ := sample(t)
	r := openBytes(t, file)
	next := int64(0)
	for it, err := range r.Evidence().Items() {
		if err != nil {
			t.Fatal(err)
		}
		if it.Kind != evidence.KindManifest {
			continue
		}
		c, err := r.Evidence().Open(it.Member)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(c)
		if err != nil || int64(len(b)) != it.Size {
			t.Fatalf("%s: %d bytes, want %d: %v", it.Member, len(b), it.Size, err)
		}
		off := int64(0)
		for i, line := range bytes.SplitAfter(b, []byte("\n")) {
			if len(line) == 0 {
				continue
			}
			leaf, err := r.LeafAt(it.Member, off+int64(len(line))/2)
			if err != nil || leaf != next+int64(i/2) {
				t.Errorf("%s line %d: leaf %d, want %d: %v", it.Member, i, leaf, next+int64(i/2), err)
			}
			off += int64(len(line))
		}
		next += int64(bytes.Count(b, []byte("\n")) / 2)
	}
	if next != r.Seal().Size {
		t.Errorf("manifest batches hold %d records, want %d", next, r.Seal().Size)
	}
}
