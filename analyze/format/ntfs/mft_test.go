package ntfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/format/ntfs/ntfstest"
)

type found struct {
	number uint64
	path   string
	note   PathNote
	names  int
	damage string
}

func files(t testing.TB, b []byte) (all []found, damage []Damage) {
	t.Helper()
	m, err := NewMFT(bytes.NewReader(b), int64(len(b)), nil)
	if errors.Is(err, ErrNoRecords) {
		return nil, nil
	} else if err != nil {
		t.Fatal(err)
	}
	for {
		f, err := m.Next()
		damage = append(damage, m.Damage()...)
		if errors.Is(err, io.EOF) {
			return all, append(damage, m.Damage()...)
		} else if err != nil {
			t.Fatal(err)
		}
		out := found{number: f.Number, names: len(f.Names), damage: strings.Join(f.Damage, "; ")}
		if n := f.Name(); n != nil {
			var path []byte
			path, out.note = m.AppendPath(nil, n.Parent, n.Name)
			out.path = string(path)
		}
		all = append(all, out)
	}
}

// record is one that is in use, with one name.
func record(number uint32, flags uint16, parent uint64, name string) ntfstest.Record {
	t := ntfstest.Same(journalStart)
	return ntfstest.Record{Number: number, Sequence: 1, Flags: flags, Links: 1, Attributes: []ntfstest.Attribute{
		ntfstest.Standard(t, 0, 0), ntfstest.Name(parent, t, 3, name),
	}}
}

// tree has n records: every tenth is a folder, in the one before it.
func tree(n int) []ntfstest.Record {
	records := []ntfstest.Record{record(5, 3, ntfstest.Ref(5, 5), ".")}
	records[0].Sequence = 5
	parent := ntfstest.Ref(5, 5)
	for i := 6; i < n; i++ {
		r := record(uint32(i), 1, parent, fmt.Sprintf("file %d", i))
		if i%10 == 0 {
			r = record(uint32(i), 3, parent, fmt.Sprintf("folder %d", i))
			parent = ntfstest.Ref(uint64(i), 1)
		}
		records = append(records, r)
	}
	return records
}

func TestPathsAreMadeOverWindows(t *testing.T) {
	records := tree(3000) // three windows
	for i := 1000; i < len(records); i++ {
		if r := &records[i]; r.Number%10 == 0 {
			r.Attributes[1] = ntfstest.Name(ntfstest.Ref(uint64(r.Number-10), 1), ntfstest.Same(journalStart), 3, strings.Repeat("long ", 10)+fmt.Sprint(r.Number))
		}
	}
	b := ntfstest.Table(records...)
	all, damage := files(t, b)
	if len(all) != 2995 || len(damage) != 0 {
		t.Fatalf("%d files, damage %v", len(all), damage)
	}
	if last := all[30]; last.number != 35 || last.path != "/folder 10/folder 20/folder 30/file 35" || last.note != PathWhole {
		t.Errorf("%+v", last)
	}
	// Too deep: the path hangs off a folder on the way.
	if last := all[len(all)-1]; last.path[0] != '<' || len(last.path) > maxPath+300 || last.note != PathOrphan || !strings.HasSuffix(last.path, " 2990/file 2999") {
		t.Errorf("%d bytes, %+v", len(last.path), last.note)
	}
}

func TestFoldersInARingAreLeft(t *testing.T) {
	all, _ := files(t, ntfstest.Table(
		record(6, 3, ntfstest.Ref(7, 1), "a"), record(7, 3, ntfstest.Ref(6, 1), "b"), record(8, 1, ntfstest.Ref(6, 1), "file"), record(9, 3, ntfstest.Ref(9, 1), "self"),
	))
	for _, f := range all {
		if f.note != PathOrphan || f.path[0] != '<' || len(f.path) > maxPath+300 {
			t.Errorf("record %d: %v, %d bytes", f.number, f.note, len(f.path))
		}
	}
}

// A record number in a header that is another one than the place says decides
// only where the file is a part.
func TestPartsOfATable(t *testing.T) {
	b := ntfstest.Table(tree(100)...)
	part := b[20*1024:]
	all, _ := files(t, part)
	if len(all) != 80 || all[0].number != 20 || all[5].path != "<10-1>/folder 20/file 25" {
		t.Errorf("%d files, %+v %+v", len(all), all[0], all[5])
	}
	stale := tree(100)
	stale[50-5].Number = 50
	whole := ntfstest.Table(stale...)
	whole[55*1024+0x2c] = 60 // the header of record 55 says that it is folder 60
	all, _ = files(t, whole)
	if f := all[60-5+1]; f.number != 61 || f.path != "/folder 10/folder 20/folder 30/folder 40/folder 50/folder 60/file 61" {
		t.Errorf("%+v", f)
	}
}

func TestExtensionRecordsOfOneFile(t *testing.T) {
	at := ntfstest.Same(journalStart)
	base := record(20, 1, ntfstest.Ref(5, 5), "one")
	base.Attributes = append(base.Attributes, ntfstest.List())
	more := ntfstest.Record{Number: 21, Sequence: 1, Flags: 1, Base: ntfstest.Ref(20, 1), Attributes: []ntfstest.Attribute{ntfstest.Name(ntfstest.Ref(5, 5), at, 0, "two")}}
	// In front of its base record, with the name of a folder.
	front := ntfstest.Record{Number: 10, Sequence: 1, Flags: 1, Base: ntfstest.Ref(30, 1), Attributes: []ntfstest.Attribute{ntfstest.Name(ntfstest.Ref(5, 5), at, 0, "folder")}}
	folder := ntfstest.Record{Number: 30, Sequence: 1, Flags: 3, Attributes: []ntfstest.Attribute{ntfstest.Standard(at, 0, 0), ntfstest.List()}}
	inside := record(31, 1, ntfstest.Ref(30, 1), "inside")
	other := more
	other.Number, other.Base = 22, ntfstest.Ref(20, 9) // an earlier use of record 20
	all, _ := files(t, ntfstest.Table(base, more, other, front, folder, inside))
	want := []found{
		{number: 20, path: "/one", names: 2},
		{number: 22, path: "/two", names: 1},
		{number: 30, path: "/folder", names: 1},
		{number: 31, path: "/folder/inside", names: 1},
	}
	if !slices.Equal(all, want) {
		t.Errorf("%+v", all)
	}
}

// What a host says to be petabytes of zeros is not read.
func TestHolesOfATableAreNotRead(t *testing.T) {
	const hole = 1 << 50
	head, tail := ntfstest.Table(tree(3000)...), record(0, 1, ntfstest.Ref(5, 5), "far").Bytes(1024)
	r := sparse{head, tail, hole}
	m, err := NewMFT(r, hole+1024, []Hole{{int64(len(head)), hole - int64(len(head))}})
	if err != nil {
		t.Fatal(err)
	}
	n, last := 0, int64(0)
	for {
		f, err := m.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		n, last = n+1, f.Offset
	}
	if n != 2996 || last != hole {
		t.Errorf("%d files, the last at %d", n, last)
	}
}

// sparse has head, then nothing but zeros up to tail. Reading far into the
// zeros is refused.
type sparse struct {
	head, tail []byte
	at         int64
}

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case off >= s.at:
		return bytes.NewReader(s.tail).ReadAt(p, off-s.at)
	case off > int64(len(s.head))+4*mftWindow:
		return 0, fmt.Errorf("read at %d, inside of the hole", off)
	}
	clear(p)
	if off < int64(len(s.head)) {
		copy(p, s.head[off:])
	}
	return len(p), nil
}

// One record that states another size does not change what the others are.
func TestTheSizeOfRecordsIsThatOfMost(t *testing.T) {
	b := ntfstest.Table(tree(40)...)[5*1024:]
	le.PutUint32(b[0x1c:], 512)
	le.PutUint16(b[6:], 2)
	all, _ := files(t, b)
	if len(all) != 35 || all[0].damage == "" || all[1].damage != "" {
		t.Errorf("%d files, %+v", len(all), all[:2])
	}
}

// Records of 4096 bytes have eight sectors.
func TestLargeRecords(t *testing.T) {
	var b []byte
	for _, r := range tree(40) {
		b = append(b, make([]byte, 4096*int(r.Number)+4096-len(b))...)
		copy(b[4096*int(r.Number):], r.Bytes(4096))
	}
	all, damage := files(t, b)
	if len(all) != 35 || len(damage) != 0 || all[10].path != "/folder 10/file 15" {
		t.Errorf("%d files, %v", len(all), damage)
	}
}

// Whatever is done to some bytes, every record that they do not touch is read.
func TestFilesAroundDamageAreKept(t *testing.T) {
	b := ntfstest.Table(tree(200)...)
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 200 {
		from := 6*1024 + rng.IntN(len(b)-12*1024)
		to := from + 1 + rng.IntN(3000)
		bad := bytes.Clone(b)
		for i := from; i < to; i++ {
			bad[i] = byte(rng.Uint32())
		}
		all, _ := files(t, bad)
		got := map[uint64]bool{}
		for _, f := range all {
			got[f.number] = true
		}
		for n := uint64(5); n < 200; n++ {
			if (int64(n)*1024 >= int64(to) || int64(n)*1024+1024 <= int64(from)) && !got[n] {
				t.Fatalf("round %d: damage at %d to %d lost record %d", round, from, to, n)
			}
		}
	}
}

func TestFilesBehindShiftedBytesAreFound(t *testing.T) {
	b := ntfstest.Table(tree(200)...)
	for _, n := range []int{1, 100, 1500} {
		cut := 50*1024 + 300
		for what, bad := range map[string][]byte{
			"inserted": slices.Concat(b[:cut], bytes.Repeat([]byte{0xee}, n), b[cut:]),
			"lost":     slices.Concat(b[:cut], b[cut+n:]),
		} {
			all, damage := files(t, bad)
			if len(all) < 195-3 || len(damage) == 0 {
				t.Errorf("%d bytes %s: %d files, damage %v", n, what, len(all), damage)
			}
			for _, f := range all {
				if want := fmt.Sprintf(" %d", f.number); f.number > 5 && !strings.HasSuffix(f.path, want) {
					t.Fatalf("%d bytes %s: record %d is %s", n, what, f.number, f.path)
				}
			}
		}
	}
}

func TestTornRecordsSaySo(t *testing.T) {
	b := ntfstest.Table(tree(20)...)
	b[12*1024+1022]++
	all, _ := files(t, b)
	if f := all[12-5]; f.number != 12 || !strings.Contains(f.damage, "sector 1") {
		t.Errorf("%+v", f)
	}
	// A folder that is not whole names no path.
	b[10*1024+510]++
	all, _ = files(t, b)
	if f := all[15-5]; f.path != "<10-1>/file 15" || f.note != PathOrphan {
		t.Errorf("%+v", f)
	}
	// A program that copied the records may have undone the fix-ups.
	b = ntfstest.Table(tree(20)...)
	for n := 5; n < 20; n++ {
		fixUp(b[n*1024 : n*1024+1024])
	}
	for i, f := range first(files(t, b)) {
		if f.damage != "" {
			t.Errorf("file %d: %+v", i, f)
		}
	}
}

func first(all []found, _ []Damage) []found { return all }

// generated is a $MFT of n records, every eighth a folder, that is written as
// it is read.
type generated struct{ n int }

func (g generated) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		i := int(off+int64(done)) / 1024
		if i >= g.n {
			return done, io.EOF
		}
		flags, parent := uint16(1), ntfstest.Ref(uint64(max(5, i/64*8)), 1)
		if i%8 == 0 {
			flags = 3
		}
		done += copy(p[done:], record(uint32(i), flags, parent, fmt.Sprintf("a name of usual length %d.txt", i)).Bytes(1024)[int(off+int64(done))%1024:])
	}
	return done, nil
}

// BenchmarkMillionFiles says what a $MFT of a million records holds in memory.
func BenchmarkMillionFiles(b *testing.B) {
	const n = 1_000_000
	var path []byte
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		m, err := NewMFT(generated{n}, n*1024, nil)
		if err != nil {
			b.Fatal(err)
		}
		for {
			f, err := m.Next()
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
			if name := f.Name(); name != nil {
				path, _ = m.AppendPath(path[:0], name.Parent, name.Name)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-held")
		b.ReportMetric(float64(after.HeapSys)/1e6, "MB-heap")
		runtime.KeepAlive(m)
	}
}

func FuzzMFT(f *testing.F) {
	f.Add(ntfstest.Table(tree(40)...)[5*1024:])
	f.Add(ntfstest.Table(tree(12)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, damage := files(t, b)
		for _, d := range damage {
			if d.Offset < 0 || d.Length < -1 || d.Offset+d.Length > int64(len(b)) {
				t.Fatalf("damage %+v outside", d)
			}
		}
	})
}
