package utmp

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
)

const samples = "../../parsers/testdata/"

func load(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(samples, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEveryLayoutIsDetected(t *testing.T) {
	for name, want := range map[string]string{
		"linux_utmp/wtmp.x86_64": "384le", "linux_utmp/wtmp.ppc": "384be",
		"linux_utmp/wtmp.aarch64": "400le", "linux_utmp/wtmp.s390x": "400be",
		"linux_utmp/damaged-shifted.wtmp": "384le",
	} {
		if l, n := Detect(load(t, name)); l.Name != want || n != 9 {
			t.Errorf("%s: %s with %d records, want %s with 9", name, l.Name, n, want)
		}
	}
	for name, want := range map[string]int64{
		"linux_lastlog/lastlog.292le": 292, "linux_lastlog/lastlog.296le": 296,
		"linux_lastlog/lastlog.292be": 292, "linux_lastlog/lastlog.296be": 296,
	} {
		if size, used := LastlogSize(load(t, name)); size != want || used != 3 {
			t.Errorf("%s: %d bytes a record, %d used; want %d and 3", name, size, used, want)
		}
	}
}

func TestOtherContentIsNotDetected(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing": nil, "zeros": make([]byte, 4096), "text": bytes.Repeat([]byte("Nov 23 12:00:00 host sshd[1]: x\n"), 100),
	} {
		if l, n := Detect(b); n != 0 {
			t.Errorf("%s: %d records of %s", name, n, l.Name)
		}
		if _, n := LastlogSize(b); n != 0 {
			t.Errorf("%s: %d last logins", name, n)
		}
	}
}

func TestWhatIsNothingButRecordsIsPossible(t *testing.T) {
	records := load(t, "linux_utmp/wtmp.x86_64")
	for name, c := range map[string]struct {
		head []byte
		want bool
	}{
		"384le": {records, true}, "384be": {load(t, "linux_utmp/wtmp.ppc"), true},
		"400le": {load(t, "linux_utmp/wtmp.aarch64"), true}, "400be": {load(t, "linux_utmp/wtmp.s390x"), true},
		"cut": {records[:len(records)-100], true}, "shifted": {load(t, "linux_utmp/damaged-shifted.wtmp"), false},
		"text before": {append(bytes.Repeat([]byte("x"), 384), records...), false},
		"nothing":     {nil, false}, "zeros": {make([]byte, 4096), false},
	} {
		if got := Possible(c.head); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		l, _ := Detect(c.head)
		if n, sensible := l.Sequence(c.head); sensible && n == len(c.head)/l.Size && !Possible(c.head) {
			t.Errorf("%s: %d records of %s were not found possible", name, n, l.Name)
		}
	}
}

func TestRecordsAcrossTheWindowAreWhole(t *testing.T) {
	one := load(t, "linux_utmp/wtmp.aarch64")
	r := NewReader(bytes.NewReader(bytes.Repeat(one, 300)), layouts[1])
	n := int64(0)
	for {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil || rec.Offset != n*400 {
			t.Fatalf("record %d at %d: %v", n, rec.Offset, err)
		}
		n++
	}
	if n != 2700 || len(r.Damage()) > 0 {
		t.Errorf("%d records", n)
	}
}

func FuzzReader(f *testing.F) {
	for _, name := range []string{"wtmp.x86_64", "wtmp.s390x", "damaged-shifted.wtmp", "damaged-zeroed.wtmp"} {
		f.Add(load(f, "linux_utmp/"+name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, _ := Detect(b)
		r := NewReader(bytes.NewReader(b), l)
		end := int64(0)
		for {
			rec, err := r.Next()
			if err == io.EOF {
				return
			}
			if err != nil || rec.Offset < end || rec.Offset+int64(l.Size) > int64(len(b)) {
				t.Fatalf("record at %d after one that ends at %d: %v", rec.Offset, end, err)
			}
			end = rec.Offset + int64(l.Size)
		}
	})
}

func FuzzLastlogReader(f *testing.F) {
	f.Add(load(f, "linux_lastlog/lastlog.292le"), int64(300), int64(9000))
	f.Add(load(f, "linux_lastlog/lastlog.296be"), int64(-5), int64(1<<62))
	f.Fuzz(func(t *testing.T, b []byte, hole, length int64) {
		if hole < 0 || length < 0 || hole > 1<<40 || length > 1<<40 {
			hole, length = 0, 0
		}
		r, err := NewLastlogReader(bytes.NewReader(b), int64(len(b)), []Hole{{hole, length}})
		if err != nil {
			t.Fatal(err)
		}
		uid := int64(-1)
		for {
			rec, err := r.Next()
			if err == io.EOF {
				return
			}
			if err != nil || rec.UID <= uid || rec.Offset+rec.Length > int64(len(b)) {
				t.Fatalf("account %d after %d: %v", rec.UID, uid, err)
			}
			uid = rec.UID
		}
	})
}
