package ntfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/format/ntfs/ntfstest"
)

var journalStart = ntfstest.Time(time.Date(2025, 3, 9, 7, 0, 0, 100, time.UTC))

// journal has n records of all versions with names of many lengths, and where
// they begin.
func journal(n int) (b []byte, at []int64) {
	j := ntfstest.NewJournal(1 << 33)
	for i := range n {
		c := ntfstest.Change{
			File: ntfstest.Ref(uint64(100+i), 3), Parent: ntfstest.Ref(5, 5), Time: journalStart + uint64(i),
			Reason: 1 << (i % 3), Name: strings.Repeat("ü", i%255) + ".txt",
		}
		c.Major = uint16(2 + i%2)
		if i%255 > 250 {
			c.Name = "x"
		}
		if i%17 == 16 {
			c.Major, c.Extents = 4, [][2]int64{{0, 4096}, {8192, 4096}}
		}
		at = append(at, int64(j.Add(c)))
	}
	return j.Bytes(), at
}

func changes(t testing.TB, b []byte, holes []Hole) (offsets []int64, damage []Damage) {
	t.Helper()
	r := NewUSNReader(bytes.NewReader(b), int64(len(b)), holes)
	for {
		c, err := r.Next()
		damage = append(damage, r.Damage()...)
		if errors.Is(err, io.EOF) {
			return offsets, damage
		} else if err != nil {
			t.Fatal(err)
		}
		offsets = append(offsets, c.Offset)
	}
}

func TestEveryChangeIsReadBeyondWindows(t *testing.T) {
	b, want := journal(9000) // three windows
	if len(b) < 3*usnWindow {
		t.Fatal("the journal is too small to test windows")
	}
	got, damage := changes(t, b, nil)
	if len(damage) > 0 || !slices.Equal(got, want) {
		t.Errorf("%d of %d records, damage %v", len(got), len(want), damage)
	}
}

func TestHolesAreNotRead(t *testing.T) {
	b, at := journal(3)
	const hole = 1 << 40
	r := NewUSNReader(io.NewSectionReader(offsetReader{b, hole}, 0, hole+int64(len(b))), hole+int64(len(b)), []Hole{{0, hole}})
	for i := range at {
		c, err := r.Next()
		if err != nil || c.Offset != hole+at[i] {
			t.Fatalf("record %d: %v %v", i, c, err)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// offsetReader has b at an offset and refuses to be read before it.
type offsetReader struct {
	b  []byte
	at int64
}

func (o offsetReader) ReadAt(p []byte, off int64) (int, error) {
	if off < o.at {
		return 0, fmt.Errorf("read at %d, inside of the hole", off)
	}
	return bytes.NewReader(o.b).ReadAt(p, off-o.at)
}

// Whatever is done to some bytes, every record that they do not touch is read,
// and nothing else is.
func TestChangesAroundDamageAreKept(t *testing.T) {
	b, at := journal(400)
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		from := rng.IntN(len(b) - 600)
		to := from + 1 + rng.IntN(500)
		bad := bytes.Clone(b)
		for i := from; i < to; i++ {
			bad[i] = byte(rng.Uint32())
		}
		got, damage := changes(t, bad, nil)
		if len(damage) == 0 && len(got) < len(at) {
			t.Fatalf("round %d: %d of %d records and no damage told", round, len(got), len(at))
		}
		for i, off := range at {
			end := int64(len(b))
			if i+1 < len(at) {
				end = at[i+1]
			}
			if (end <= int64(from) || off >= int64(to)) && !slices.Contains(got, off) {
				t.Fatalf("round %d: damage at %d to %d lost the record at %d to %d", round, from, to, off, end)
			}
		}
		for _, off := range got {
			if !slices.Contains(at, off) && (off < int64(from)-usnPage || off >= int64(to)) {
				t.Fatalf("round %d: a record at %d was invented", round, off)
			}
		}
	}
}

// Bytes that were inserted or lost move the records off their places.
func TestChangesBehindShiftedBytesAreFound(t *testing.T) {
	b, at := journal(300)
	cut := at[100] + 5
	for _, n := range []int{1, 3, 8, 4099} {
		got, _ := changes(t, slices.Concat(b[:cut], bytes.Repeat([]byte{0xaa}, n), b[cut:]), nil)
		if len(got) < len(at)-2 {
			t.Errorf("%d bytes inserted: %d of %d records", n, len(got), len(at))
		}
		got, _ = changes(t, slices.Concat(b[:cut], b[cut+int64(n):]), nil)
		if len(got) < len(at)-2-n/100 {
			t.Errorf("%d bytes lost: %d of %d records", n, len(got), len(at))
		}
	}
}

func TestZeroedPagesBetweenRecordsAreDamage(t *testing.T) {
	b, _ := journal(400)
	clear(b[8192:20480])
	_, damage := changes(t, b, nil)
	if len(damage) != 1 || damage[0].Offset > 8192 || damage[0].Offset+damage[0].Length < 20480 {
		t.Errorf("%v", damage)
	}
	// What is in front of the first record and behind the last is not.
	b, at := journal(3)
	got, damage := changes(t, slices.Concat(make([]byte, 1<<20), b, make([]byte, 1<<20)), nil)
	if len(got) != len(at) || len(damage) != 0 {
		t.Errorf("%d records, %v", len(got), damage)
	}
}

func TestACutJournalSaysSo(t *testing.T) {
	b, at := journal(2)
	for n := at[1] + 1; n < at[1]+60; n++ {
		got, damage := changes(t, b[:n], nil)
		if len(got) != 1 || len(damage) != 1 || damage[0].Loss != Truncated || damage[0].Offset != at[1] || damage[0].Length != n-at[1] {
			t.Fatalf("cut at %d: %v, %v", n, got, damage)
		}
	}
}

func FuzzUSN(f *testing.F) {
	b, _ := journal(40)
	f.Add(b)
	f.Add(b[1000:])
	f.Fuzz(func(t *testing.T, b []byte) {
		offsets, damage := changes(t, b, []Hole{{8, 100}, {-5, 1 << 62}})
		last := int64(-1)
		for _, off := range offsets {
			if off <= last {
				t.Fatal("records out of order")
			}
			last = off
		}
		for _, d := range damage {
			if d.Offset < 0 || d.Length < 0 || d.Offset+d.Length > int64(len(b)) {
				t.Fatalf("damage %+v outside", d)
			}
		}
	})
}
