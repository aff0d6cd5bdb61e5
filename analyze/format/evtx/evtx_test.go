package evtx_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/format/evtx"
	"github.com/exhibit-dfir/exhibit/analyze/format/evtx/evtxtest"
)

var noon = time.Date(2024, 2, 29, 12, 0, 0, 123456700, time.UTC)

func event(code uint16, data ...evtxtest.Pair) evtxtest.Event {
	return evtxtest.Event{
		Time: evtxtest.Time(noon), Provider: "Test-Provider", Code: code, Level: 4, Keywords: 0x8020000000000000,
		Channel: "Test", Computer: "host.example", PID: 600, TID: 604, User: evtxtest.SID(21, 1, 2, 3, 1001), Data: data,
	}
}

func pair(name string, v evtxtest.Value) evtxtest.Pair { return evtxtest.Pair{Name: name, Value: v} }

// read returns every record as a line and every damage as one.
func read(t testing.TB, b []byte) (records, damage []string) {
	t.Helper()
	r, err := evtx.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := r.Next()
		for _, d := range r.Damage() {
			damage = append(damage, fmt.Sprintf("%s %d+%d %s", d.Loss, d.Offset, d.Length, d.Detail))
		}
		if errors.Is(err, io.EOF) {
			return records, damage
		} else if err != nil {
			t.Fatal(err)
		}
		if rec.Offset < 0 || rec.Length < 28 || rec.Offset+rec.Length > int64(len(b)) {
			t.Fatalf("record at %d+%d of %d bytes", rec.Offset, rec.Length, len(b))
		}
		records = append(records, line(rec))
	}
}

func line(rec *evtx.Record) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d %s", rec.ID, rec.System[evtx.EventID])
	for _, d := range rec.Data {
		fmt.Fprintf(&s, " %s=%s", d.Key, d.Value)
	}
	for _, f := range []struct {
		name string
		set  bool
	}{{"carved", rec.Carved}, {"unlinked", rec.Unlinked}, {"foreign", rec.Foreign}, {"escaped", rec.Escaped}} {
		if f.set {
			s.WriteString(" +" + f.name)
		}
	}
	if rec.Damage != "" {
		s.WriteString(" !" + rec.Damage)
	}
	return s.String()
}

func TestSystem(t *testing.T) {
	for _, literal := range []bool{false, true} {
		e := event(4624)
		e.Literal = literal
		b := evtxtest.New().Add(e).Bytes()
		r, err := evtx.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		rec, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		want := map[evtx.Field]string{
			evtx.Provider: "Test-Provider", evtx.EventID: "4624", evtx.Version: "0", evtx.Level: "4", evtx.Keywords: "0x8020000000000000",
			evtx.TimeCreated: "2024-02-29T12:00:00.1234567Z", evtx.EventRecordID: "1", evtx.ProcessID: "600", evtx.ThreadID: "604",
			evtx.Channel: "Test", evtx.Computer: "host.example", evtx.UserID: "S-1-5-21-1-2-3-1001",
		}
		if literal {
			delete(want, evtx.UserID)
		}
		for f, got := range rec.System {
			if string(got) != want[evtx.Field(f)] {
				t.Errorf("literal %v: field %d is %q, want %q", literal, f, got, want[evtx.Field(f)])
			}
		}
		if ns, ok := evtx.Nanos(rec.Created); !ok || ns != noon.UnixNano() {
			t.Errorf("literal %v: created at %d, want %d", literal, ns, noon.UnixNano())
		}
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		value evtxtest.Value
		want  string
	}{
		{evtxtest.String("über\x00"), "A=über"},
		{evtxtest.Value{Type: 0x01, Data: []byte{'a', 0, 0x00, 0xd8, 'b', 0}}, `A=a\uD800b +escaped`},
		{evtxtest.Value{Type: 0x01, Data: []byte{'a', 0, 'b'}}, `A=a\x62 +escaped`},
		{evtxtest.Value{Type: 0x02, Data: []byte("caf\xe9\x00")}, "A=café"},
		{evtxtest.Value{Type: 0x03, Data: []byte{0xff}}, "A=-1"},
		{evtxtest.Value{Type: 0x05, Data: []byte{0xfe, 0xff}}, "A=-2"},
		{evtxtest.Value{Type: 0x07, Data: []byte{0xfd, 0xff, 0xff, 0xff}}, "A=-3"},
		{evtxtest.Value{Type: 0x09, Data: []byte{0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}, "A=-4"},
		{evtxtest.Uint64(1<<64 - 1), "A=18446744073709551615"},
		{evtxtest.Value{Type: 0x0b, Data: []byte{0, 0, 0xc0, 0x3f}}, "A=1.5"},
		{evtxtest.Value{Type: 0x0c, Data: []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x3f}}, "A=1.5"},
		{evtxtest.Value{Type: 0x0d, Data: []byte{1, 0, 0, 0}}, "A=true"},
		{evtxtest.Binary([]byte{0, 0xab, 0xff}), "A=00ABFF"},
		{evtxtest.Value{Type: 0x0f, Data: []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}, "A={04030201-0605-0807-090A-0B0C0D0E0F10}"},
		{evtxtest.Value{Type: 0x10, Data: []byte{0x10, 0, 0, 0}}, "A=0x10"},
		{evtxtest.Filetime(0), "A=1601-01-01T00:00:00.0000000Z"},
		{evtxtest.Filetime(1<<64 - 1), "A=18446744073709551615"},
		{evtxtest.Value{Type: 0x12, Data: []byte{0xe8, 7, 2, 0, 4, 0, 29, 0, 23, 0, 59, 0, 58, 0, 0xe7, 3}}, "A=2024-02-29T23:59:58.999Z"},
		{evtxtest.SID(32, 544), "A=S-1-5-32-544"},
		{evtxtest.Value{Type: 0x13, Data: []byte{1, 9, 0}}, "A=010900 !a SID has the wrong size"},
		{evtxtest.Value{Type: 0x14, Data: []byte{0xff, 0, 0, 0}}, "A=0xff"},
		{evtxtest.Hex64(0x3e7), "A=0x3e7"},
		{evtxtest.Strings("one", "", "three"), "A=one A= A=three"},
		{evtxtest.Value{Type: 0x88, Data: []byte{1, 0, 0, 0, 2, 0, 0, 0}}, "A=1 A=2"},
		{evtxtest.Value{Type: 0x88, Data: []byte{1, 0, 0, 0, 2, 0}}, "A=1 A=0200 !an array of type 0x08 cannot be read"},
		{evtxtest.Value{Type: 0x08, Data: []byte{1, 2}}, "A=0102 !a value of type 0x08 has 2 bytes"},
		{evtxtest.Value{Type: 0x77, Data: []byte{1, 2}}, "A=0102 !a value of unknown type 0x77"},
		{evtxtest.Null(), ""},
	} {
		got, damage := read(t, evtxtest.New().Add(event(1, pair("A", c.value))).Bytes())
		want := strings.TrimSpace("1 1 " + c.want)
		if len(got) != 1 || got[0] != want || len(damage) > 0 {
			t.Errorf("type 0x%02x %x: %q %q, want %q", c.value.Type, c.value.Data, got, damage, want)
		}
	}
}

// Names: of Data, of Data without a name, and of what UserData holds.
func TestNames(t *testing.T) {
	f := evtxtest.New()
	f.Add(event(1, pair("A", evtxtest.String("1")), pair("B", evtxtest.String("2"))))
	f.Add(event(2, pair("", evtxtest.String("1")), pair("", evtxtest.String("2"))))
	e := event(3, pair("SubjectUserName", evtxtest.String("ann")))
	e.UserData = "LogFileCleared"
	f.Add(e)
	e.Literal, e.Code = true, 4
	f.Add(e)
	got, damage := read(t, f.Bytes())
	want := []string{"1 1 A=1 B=2", "2 2 Data=1 Data=2", "3 3 SubjectUserName=ann", "4 4 SubjectUserName=ann"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || len(damage) > 0 {
		t.Errorf("got %q %q\nwant %q", got, damage, want)
	}
}

func sample(n int) *evtxtest.File {
	f := evtxtest.New()
	for i := range n {
		f.Add(event(uint16(100+i%3), pair("A", evtxtest.String(strings.Repeat("x", 40))), pair("N", evtxtest.Uint32(uint32(i)))))
	}
	return f
}

func TestManyChunks(t *testing.T) {
	got, damage := read(t, sample(1000).Bytes())
	if len(got) != 1000 || len(damage) > 0 {
		t.Fatalf("%d records, damage %q", len(got), damage)
	}
	for i, s := range got {
		if !strings.HasPrefix(s, fmt.Sprintf("%d %d A=x", i+1, 100+i%3)) || !strings.HasSuffix(s, fmt.Sprintf(" N=%d", i)) {
			t.Fatalf("record %d is %q", i, s)
		}
	}
}

// free returns the offset in the file of the free space of chunk i.
func free(b []byte, i int) int {
	at := 4096 + i<<16
	return at + int(binary.LittleEndian.Uint32(b[at+48:]))
}

func TestDamage(t *testing.T) {
	whole := sample(20).Bytes()
	record := func(b []byte, n int) int { // offset of record n, from 0
		at := 4096 + 512
		for range n {
			at += int(binary.LittleEndian.Uint32(b[at+4:]))
		}
		return at
	}
	for _, c := range []struct {
		name    string
		change  func(b []byte) []byte
		records int    // that are neither carved nor unlinked
		has     string // in some record
		damage  string // in the first damage
	}{
		{"a record in the middle without its magic number", func(b []byte) []byte {
			b[record(b, 5)] = 0
			evtxtest.SealChunk(b[4096:])
			return b
		}, 19, "", "no record can be read here"},
		{"a record overwritten with zeros", func(b []byte) []byte {
			clear(b[record(b, 5):record(b, 6)])
			evtxtest.SealChunk(b[4096:])
			return b
		}, 19, "", "zeros where records should be"},
		{"a wrong checksum", func(b []byte) []byte { b[4096+52]++; return b }, 20, "", "the checksum of the chunk's header is wrong"},
		{"a file header without magic number", func(b []byte) []byte { b[0] = 'X'; return b }, 20, "", "the file header has no magic number"},
		{"only the chunk", func(b []byte) []byte { return b[4096:] }, 20, "", "no file header"},
		{"a chunk without magic number", func(b []byte) []byte {
			return append(b, bytes.Replace(b[4096:], []byte("ElfChnk"), []byte("XlfChnk"), 1)...)
		}, 20, "1 100 A=", "a chunk without its magic number"},
		{"a cut file", func(b []byte) []byte { return b[:record(b, 7)+20] }, 7, "", "the file ends inside of a chunk"},
		{"space behind the last chunk, never used", func(b []byte) []byte { return append(b, make([]byte, 4096)...) }, 20, "", ""},
		{"a template whose id differs", func(b []byte) []byte {
			b[record(b, 0)+24+4+2]++ // the first record's instance names another id than the definition
			evtxtest.SealChunk(b[4096:])
			return b
		}, 20, "the template of the record was written over", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, damage := read(t, c.change(bytes.Clone(whole)))
			n, has := 0, c.has == ""
			for _, s := range got {
				if !strings.Contains(s, "+carved") && !strings.Contains(s, "+unlinked") {
					n++
				}
				has = has || strings.Contains(s, c.has)
			}
			if n != c.records || !has {
				t.Errorf("%d records, want %d; %q missing: %v\n%s", n, c.records, c.has, !has, strings.Join(got, "\n"))
			}
			if c.damage == "" {
				if len(damage) > 0 {
					t.Errorf("damage %q, want none", damage)
				}
			} else if len(damage) == 0 || !strings.Contains(damage[0], c.damage) {
				t.Errorf("damage %q, want %q", damage, c.damage)
			}
		})
	}
}

// A log that was not closed has records beyond what its chunk states; what
// lies there in a closed one is older.
func TestBeyondTheEnd(t *testing.T) {
	b := sample(20).Bytes()
	at := 4096 + 512
	for range 12 {
		at += int(binary.LittleEndian.Uint32(b[at+4:]))
	}
	binary.LittleEndian.PutUint32(b[4096+48:], uint32(at-4096))
	evtxtest.SealChunk(b[4096:])
	for _, dirty := range []bool{false, true} {
		flag := " +carved"
		if dirty {
			b, flag = evtxtest.Dirty(b), " +unlinked"
		}
		got, damage := read(t, b)
		if len(got) != 20 || len(damage) > 0 {
			t.Fatalf("dirty %v: %d records, damage %q", dirty, len(got), damage)
		}
		for i, s := range got {
			if strings.HasSuffix(s, flag) != (i >= 12) {
				t.Errorf("dirty %v: record %d is %q", dirty, i, s)
			}
		}
	}
}

// A record in the slack whose template was written over is read with one of
// the same id; without one, its number and time remain.
func TestForeignTemplate(t *testing.T) {
	b := sample(20).Bytes()
	end := free(b, 0)
	old := bytes.Clone(b[4096+512 : end])
	second := sample(1).Break().Add(event(7, pair("Z", evtxtest.String("z")))).Bytes()
	chunk := second[4096+1<<16:]
	// Old records, with offsets that now mean something else.
	at := int(binary.LittleEndian.Uint32(chunk[48:]))
	copy(chunk[at:], old)
	got, _ := read(t, second)
	if len(got) < 15 {
		t.Fatalf("%d records", len(got))
	}
	var carved, foreign int
	for _, s := range got[2:] {
		if strings.Contains(s, "+carved") {
			carved++
		}
		if strings.Contains(s, "+foreign") {
			foreign++
			if !strings.Contains(s, " A=xxxx") || strings.Contains(s, "!") {
				t.Errorf("read with another template: %q", s)
			}
		}
	}
	if carved != len(got)-2 || foreign < 15 {
		t.Errorf("%d carved and %d with another template, of %d:\n%s", carved, foreign, len(got), strings.Join(got, "\n"))
	}
}

// A chunk cannot make its reader write without end: one template that names
// one long value a thousand times, in every record that fits.
func TestBoundedOutput(t *testing.T) {
	var data []evtxtest.Pair
	for range 1000 {
		data = append(data, pair("", evtxtest.Value{Type: 0x01}))
	}
	data[0].Value = evtxtest.String(strings.Repeat("x", 15_000))
	b := evtxtest.New().Add(event(1, data...)).Bytes()
	// Every substitution names the long value.
	for i := 4096; i+4 < len(b); i++ {
		if b[i] == 0x02 && b[i+1] == 0x0e && b[i+4] == 0x01 && b[i+5] == 0x04 {
			b[i+2], b[i+3] = 0, 0
		}
	}
	r, err := evtx.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	total, told := 0, false
	for {
		rec, err := r.Next()
		if err != nil {
			break
		}
		for _, d := range rec.Data {
			total += len(d.Value)
		}
		told = told || rec.Damage != ""
	}
	if total < 10<<20 || total > 34<<20 {
		t.Errorf("%d bytes of text from one chunk, damage told: %v", total, told)
	}
}

func TestIsEvtx(t *testing.T) {
	b := sample(1).Bytes()
	for _, c := range []struct {
		name string
		head []byte
		want bool
	}{{"a log", b, true}, {"a chunk", b[4096:], true}, {"a damaged header", append(make([]byte, 4096), b[4096:]...), true}, {"nothing", nil, false}, {"zeros", make([]byte, 70000), false}} {
		if got := evtx.IsEvtx(c.head); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if _, err := evtx.NewReader(bytes.NewReader([]byte("no")), 2); !errors.Is(err, evtx.ErrNotEvtx) {
		t.Errorf("error %v", err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(sample(5).Bytes()[:4096+8192])
	e := event(3, pair("SubjectUserName", evtxtest.String("ann")))
	e.UserData, e.Literal = "LogFileCleared", true
	f.Add(evtxtest.New().Add(e).Bytes()[4096 : 4096+4096])
	f.Add(evtxtest.New().Add(event(1, pair("A", evtxtest.Strings("a", "b")))).Bytes()[4096 : 4096+4096])
	f.Fuzz(func(t *testing.T, b []byte) {
		if !evtx.IsEvtx(b) {
			b = append([]byte("ElfChnk\x00"), b...)
		}
		read(t, b)
	})
}
