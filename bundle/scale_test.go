package bundle

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"sort"
	"sync/atomic"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// peakMemory watches what the runtime holds from the system until stopped.
func peakMemory() (stop func() uint64) {
	done, peak := make(chan struct{}), make(chan uint64)
	go func() {
		s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		most := uint64(0)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			metrics.Read(s)
			most = max(most, s[0].Value.Uint64()-s[1].Value.Uint64())
			select {
			case <-done:
				peak <- most
				return
			case <-tick.C:
			}
		}
	}()
	return func() uint64 { close(done); return <-peak }
}

// TestAMillionItemsFitInAQuarterGibibyte takes minutes: it runs where
// EXHIBIT_SCALE is set, to the folder where the bundle is to be left.
func TestAMillionItemsFitInAQuarterGibibyte(t *testing.T) {
	dir := os.Getenv("EXHIBIT_SCALE")
	if dir == "" {
		t.Skip("set EXHIBIT_SCALE to a folder: seals and verifies a million items")
	}
	const items, limit = 1_000_000, 256 << 20
	f, err := os.Create(filepath.Join(dir, "million.exhibit.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stop := peakMemory()
	sealMany(t, f, items)
	writing := stop()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	debug.FreeOSMemory()
	stop = peakMemory()
	r, err := Verify(t.Context(), f, st.Size(), trustTest(t))
	if err != nil {
		t.Fatal(err)
	}
	verifying := stop()
	if r.Verdict != Verified || r.Records != items+2 {
		t.Error(explain(r))
	}
	tail := packedTail(t, f, st.Size())
	t.Logf("%d items, %d bytes; peak %d MiB sealing, %d MiB verifying; leaves, indexes, checkpoints, seal: %.1f bytes an item",
		items, st.Size(), writing>>20, verifying>>20, float64(tail)/items)
	if writing > limit || verifying > limit {
		t.Errorf("peak %d bytes sealing, %d verifying", writing, verifying)
	}
	if tail > 130*items {
		t.Errorf("%d bytes an item beside content and records", tail/items)
	}
}

// sealMany seals a bundle of small items.
func sealMany(t *testing.T, f io.Writer, items int) {
	t.Helper()
	w, err := NewWriter(f, testHeader(), testKey(t), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var buf [64]byte
	for i := range items {
		binary.BigEndian.PutUint64(buf[:], uint64(i))
		it := evidence.Item{
			Kind: evidence.KindFile, Path: fmt.Sprintf("/srv/data/%03d/%06d.bin", i/1000, i), Size: int64(len(buf)),
			Stat: &evidence.Stat{Mode: 0o100644, Inode: uint64(i), Nlink: 1, Size: int64(len(buf)), Modified: testTime},
		}
		if _, err := w.Add(context.Background(), it, Input{R: bytes.NewReader(buf[:])}); err != nil {
			t.Fatal(err)
		}
	}
	sealBundle(t, w)
}

// packedTail is the compressed size of what follows the last record: what the
// tree and the indexes cost.
func packedTail(t *testing.T, r io.ReaderAt, size int64) int64 {
	t.Helper()
	b, err := Open(r, size)
	if err != nil {
		t.Fatal(err)
	}
	from := b.frames.frames.at(b.frames.frames.holding(b.leafLoc.off))
	return size - from.file
}

// giant is a bundle whose middle is one frame, over and over: as large as one
// likes, without the bytes.
type giant struct {
	head, frame, tail []byte
	repeats           int64
	read              atomic.Int64
}

func (g *giant) size() int64 {
	return int64(len(g.head)) + g.repeats*int64(len(g.frame)) + int64(len(g.tail))
}

func (g *giant) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		part, at := g.head, off
		if middle := int64(len(g.head)); off >= middle {
			part, at = g.frame, (off-middle)%int64(len(g.frame))
			if end := middle + g.repeats*int64(len(g.frame)); off >= end {
				part, at = g.tail, off-end
			}
		}
		if at >= int64(len(part)) {
			break
		}
		n := copy(p[done:], part[at:])
		done, off = done+n, off+int64(n)
	}
	g.read.Add(int64(done))
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// newGiant makes a bundle of many small items and, behind their content, a
// member that is one frame of 512 KiB that does not compress, repeated. Records,
// tree and indexes are a writer's; the repeated member has no record, which
// only matters to who reads all of it.
func newGiant(t *testing.T, items int, repeats int64) *giant {
	t.Helper()
	g := &giant{repeats: repeats}
	var table []span
	pk := testPacker(t)
	packed := func(plain []byte) (out []byte, spans []span) {
		for size := 64 << 10; len(plain) > 0; {
			n := min(len(plain), size)
			job := &frameJob{plain: plain[:n]}
			pk.pack(job)
			out, spans, plain = append(out, job.packed...), append(spans, job.spans...), plain[n:]
		}
		return out, spans
	}
	one := &frameJob{plain: noise(plainFrame)}
	pk.pack(one)
	g.frame = one.packed

	var file bytes.Buffer
	w := newTestWriter(t, &file, testOptions())
	for i := range items {
		addBytes(t, w, fmt.Sprintf("/srv/%d", i), fmt.Appendf(nil, "content %d\n", i))
	}
	sealBundle(t, w)
	parts := takeApart(t, file.Bytes()).parts
	at := 0
	for i, p := range parts {
		if _, batch := batchOf(p.name); batch {
			at = i // the last one: no content stands behind it
		}
	}
	_, offs := assemble(parts)
	before, _ := assemble(parts[:at])
	front := before[:len(before)-2*tarBlock]
	huge := entry{name: "files/file/dev/sdb.img", size: repeats * plainFrame, mtime: testTime.Truncate(time.Second)}
	grown := appendHeader(bytes.Clone(front), &huge)
	moveIndex(parts, int64(len(grown)-len(front))+huge.size, offs[at])
	after, _ := assemble(parts[at:])

	g.head, table = packed(grown)
	for range repeats {
		table = append(table, one.spans...)
	}
	tail, spans := packed(after)
	g.tail = appendSeekTable(tail, append(table, spans...))
	return g
}

// moveIndex adds a distance to the offsets in the manifest index and the
// locator that lie behind a place.
func moveIndex(parts []part, shift, from int64) {
	rows := &parts[index(parts, rowsMember)]
	var out []byte
	for line := range bytes.Lines(rows.data) {
		var v [5]int64
		fmt.Sscan(string(line), &v[0], &v[1], &v[2], &v[3], &v[4])
		if v[2] >= from {
			v[2] += shift
		}
		out = fmt.Appendf(out, "%d %d %d %d %d\n", v[0], v[1], v[2], v[3], v[4])
	}
	grown := int64(len(pad(bytes.Clone(out), len(out)))) - int64(len(pad(bytes.Clone(rows.data), len(rows.data))))
	_, offs := assemble(parts)
	rowsAt := offs[index(parts, rowsMember)]
	rows.data = out
	loc := &parts[index(parts, locatorMember)]
	text := []byte("exhibit-locator 1\n")
	for line := range bytes.Lines(loc.data) {
		var what string
		var off, size int64
		if n, _ := fmt.Sscan(string(line), &what, &off, &size); n != 3 {
			continue
		}
		if off > rowsAt {
			off += grown
		}
		if what == "manifest-index" {
			size = int64(len(out))
		}
		text = fmt.Appendf(text, "%s %d %d\n", what, off+shift, size)
	}
	loc.data = text
}

func TestTwoHundredGigabytesOpenAtOnce(t *testing.T) {
	g := newGiant(t, 20_000, 200_000_000_000/plainFrame)
	size := g.size()
	var took []time.Duration
	for range 5 {
		g.read.Store(0)
		start := time.Now()
		r, err := Open(g, size)
		if err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(start))
		opened := g.read.Swap(0)
		c, err := r.Open("files/file/srv/12345")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if err != nil || string(got) != "content 12345\n" {
			t.Fatalf("read %q, %v", got, err)
		}
		if n := g.read.Load(); n > 1<<20 || opened > 1<<20+8*int64(r.frames.frames.len()) {
			t.Errorf("%d bytes read to open, %d for the item", opened, n)
		}
		t.Logf("%d bytes in %d frames: %d bytes read to open, %d more for an item", size, r.frames.frames.len(), opened, g.read.Load())
	}
	sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
	t.Logf("opened in %s (median of %d)", took[len(took)/2], len(took))
}
