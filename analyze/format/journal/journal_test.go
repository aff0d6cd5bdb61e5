package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// samples are small journals with one entry, number 5, taken out of the index.
var samples = []string{
	"../../parsers/testdata/linux_journal/regular.journal",
	"../../parsers/testdata/linux_journal/compact.journal",
}

func TestGeneratedJournalsEqualJournalctl(t *testing.T) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			path := generate(t, l, 1500)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			rows, damage, unlinked := read(t, b)
			if len(damage) > 0 || unlinked > 0 {
				t.Errorf("%d unlinked; damage %v", unlinked, damage)
			}
			sameRows(t, rows, journalctl(t, path))
		})
	}
}

func TestAnEntryOutsideTheIndexIsYieldedAndMarked(t *testing.T) {
	for _, path := range samples {
		r, entries := entriesOf(t, load(t, path))
		if len(entries) != 11 || r.Header().Entries != 10 {
			t.Fatalf("%d entries, the header states %d", len(entries), r.Header().Entries)
		}
		for i, e := range entries {
			if e.Unlinked != (i == 4) || e.Seqnum != uint64(i+1) {
				t.Errorf("entry %d: number %d, unlinked %v", i, e.Seqnum, e.Unlinked)
			}
		}
		if d := r.Damage(); len(d) > 0 {
			t.Errorf("damage %v", d)
		}
	}
}

// entriesOf reads all entries; their fields are copied.
func entriesOf(t testing.TB, b []byte) (*Reader, []Entry) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var all []Entry
	for {
		e, err := r.Next()
		if err == io.EOF {
			return r, all
		}
		if err != nil {
			t.Fatal(err)
		}
		c := *e
		c.Fields = slices.Clone(e.Fields)
		all = append(all, c)
	}
}

func TestTextEditedInPlaceIsNoticed(t *testing.T) {
	for _, path := range samples {
		b := load(t, path)
		at := bytes.Index(b, []byte("203.0.113.7 port 40022"))
		if at < 0 {
			t.Fatal("the sample lacks the text to edit")
		}
		copy(b[at:], "203.0.113.9")
		r, entries := entriesOf(t, b)
		damage := r.Damage()
		if len(entries) != 11 || len(damage) != 1 {
			t.Fatalf("%d entries, damage %v", len(entries), damage)
		}
		if d := damage[0]; d.Loss != Corrupt || int64(at) < d.Offset || int64(at) >= d.Offset+d.Length {
			t.Errorf("the edit at %d is reported as %+v", at, d)
		}
	}
}

func TestAnObjectWithAWrongSizeHidesNoLinkedEntry(t *testing.T) {
	for _, path := range samples {
		b := load(t, path)
		_, before := entriesOf(t, b)
		// Make the first field of the third entry reach over entries 3 to 5.
		victim := before[2].Fields[0].Offset
		for _, f := range before[2].Fields {
			if f.Offset > before[1].Offset {
				victim = f.Offset
				break
			}
		}
		next := before[5].Offset
		binary.LittleEndian.PutUint64(b[victim+8:], uint64(next-victim))
		r, after := entriesOf(t, b)
		var seq []uint64
		for _, e := range after {
			seq = append(seq, e.Seqnum)
		}
		// 5 is not in the index, so nothing tells of it.
		if want := []uint64{1, 2, 3, 4, 6, 7, 8, 9, 10, 11}; !slices.Equal(seq, want) {
			t.Errorf("entries %v, want %v", seq, want)
		}
		if len(r.Damage()) == 0 {
			t.Error("no damage reported")
		}
	}
}

func TestEntriesAfterATornBlockAreFound(t *testing.T) {
	for _, path := range samples {
		for _, fill := range []byte{0, 0xff, 'A'} {
			b := load(t, path)
			_, before := entriesOf(t, b)
			from, to := before[3].Offset, before[5].Offset+before[5].Length
			for i := from; i < to; i++ {
				b[i] = fill
			}
			r, after := entriesOf(t, b)
			if len(after) != 8 || after[3].Seqnum != 7 {
				t.Errorf("filled with %#x: %d entries", fill, len(after))
			}
			if d := r.Damage(); len(d) == 0 || d[0].Offset < from || d[0].Offset >= to {
				t.Errorf("filled with %#x: damage %v", fill, d)
			}
		}
	}
}

func TestALinkedEntryWithABrokenHeaderIsRescued(t *testing.T) {
	for _, path := range samples {
		for _, at := range []int64{0, 3, 8, 11} { // type, reserved, size
			for _, victim := range []int{2, 10} {
				b := load(t, path)
				_, before := entriesOf(t, b)
				b[before[victim].Offset+at] ^= 0x41
				r, after := entriesOf(t, b)
				if len(after) != len(before) {
					t.Fatalf("byte %d changed: %d entries", at, len(after))
				}
				if e := after[victim]; !e.Damaged || len(e.Fields) != len(before[victim].Fields) || e.Unlinked {
					t.Errorf("byte %d changed: entry %+v", at, e)
				}
				if d := r.Damage(); len(d) != 1 || d[0].Offset != before[victim].Offset {
					t.Errorf("byte %d changed: damage %v", at, d)
				}
			}
		}
	}
}

func TestOtherContentIsRefused(t *testing.T) {
	for _, b := range [][]byte{nil, []byte("LPKSHHRH"), bytes.Repeat([]byte{'x'}, 4096)} {
		if _, err := NewReader(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrNotJournal) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
		if IsJournal(b) {
			t.Errorf("%d bytes are taken for a journal", len(b))
		}
	}
}

type failingAt struct{}

func (f failingAt) ReadAt([]byte, int64) (int, error) { return 0, os.ErrPermission }

func TestAReadErrorEndsTheRun(t *testing.T) {
	if _, err := NewReader(failingAt{}, 1<<20); !errors.Is(err, os.ErrPermission) {
		t.Errorf("got %v", err)
	}
}

func TestHashesEqualTheReferenceVectors(t *testing.T) {
	// lookup3.c's driver5 prints these for seeds 0, 0.
	if got := jenkins([]byte("Four score and seven years ago")); got != 0x17770551ce7226e6 {
		t.Errorf("jenkins: %#x", got)
	}
	if got := jenkins(nil); got != 0xdeadbeefdeadbeef {
		t.Errorf("jenkins of nothing: %#x", got)
	}
	// Appendix A of the SipHash paper.
	var key [16]byte
	msg := make([]byte, 15)
	for i := range key {
		key[i] = byte(i)
	}
	for i := range msg {
		msg[i] = byte(i)
	}
	if got := sipHash(msg, &key); got != 0xa129ca6149be45e5 {
		t.Errorf("siphash: %#x", got)
	}
}

func TestLongValuesAreCutAndTheirSizeKept(t *testing.T) {
	const size = MaxValue + 5000
	var b bytes.Buffer
	b.WriteString("__REALTIME_TIMESTAMP=1700000000000000\n_BOOT_ID=b8a1abcd1a6916c74da4f9fc3c6da5d7\nMESSAGE=dump\nCOREDUMP\n")
	b.Write(binary.LittleEndian.AppendUint64(nil, size))
	b.WriteString(strings.Repeat("core", size/4))
	b.WriteString("\n\n")
	for _, l := range layouts[:2] {
		path := write(t, l, b.Bytes())
		_, entries := entriesOf(t, load(t, path))
		if len(entries) != 1 {
			t.Fatalf("%s: %d entries", l.name, len(entries))
		}
		for _, f := range entries[0].Fields {
			if string(f.Name) != "COREDUMP" {
				continue
			}
			if f.Size != size || len(f.Value) > MaxValue || len(f.Value) < MaxValue-64 {
				t.Errorf("%s: size %d, %d bytes given", l.name, f.Size, len(f.Value))
			}
		}
		if len(entries[0].Fields) < 2 {
			t.Errorf("%s: fields %d", l.name, len(entries[0].Fields))
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, path := range samples {
		f.Add(load(f, path))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		end := int64(0)
		for n := 0; ; n++ {
			e, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil || n > len(b)/64 {
				t.Fatal(n, err)
			}
			if e.Offset < end || e.Offset+e.Length > int64(len(b)) {
				t.Fatalf("entry at %d+%d after one that ends at %d", e.Offset, e.Length, end)
			}
			end = e.Offset + e.Length
			for _, field := range e.Fields {
				if field.Offset < 0 || field.Offset+field.Length > int64(len(b)) || int64(len(field.Value)) > field.Size {
					t.Fatalf("field %q at %d+%d", field.Name, field.Offset, field.Length)
				}
			}
		}
	})
}

// A hostile file must not cost more than its size allows: here entry arrays
// that overlap, each reaching to the end of the file.
func TestOverlappingEntryArraysAreBounded(t *testing.T) {
	b := load(t, samples[0])
	le := binary.LittleEndian
	first := uint64(len(b))
	const count = 40_000
	b = append(b, make([]byte, count*24+1<<20)...)
	end := uint64(len(b))
	for i := range uint64(count) {
		at := first + 24*i
		b[at] = typeEntryArray
		le.PutUint64(b[at+8:], (end-at)/8*8)
		le.PutUint64(b[at+16:], at+24)
	}
	le.PutUint64(b[176:], first)
	counted := &countingAt{r: bytes.NewReader(b)}
	r, err := NewReader(counted, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if d := r.Damage(); len(d) == 0 {
		t.Error("no damage reported")
	}
	if counted.n > 4*int64(len(b)) {
		t.Errorf("%d bytes of a file of %d were read", counted.n, len(b))
	}
}

type countingAt struct {
	r io.ReaderAt
	n int64
}

func (c *countingAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}
