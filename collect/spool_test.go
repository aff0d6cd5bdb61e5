package collect

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

func TestASpoolGivesBackItsLinesInOrder(t *testing.T) {
	var s Spool
	var want strings.Builder
	for i := range 20000 {
		line := fmt.Sprintf("line %d %s\n", i, strings.Repeat("x", i%40))
		want.WriteString(line)
		if _, err := s.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("y", 3*spoolChunk) + "\n" // longer than a chunk
	want.WriteString(long)
	_, _ = s.Write([]byte(long))
	text, size := s.Take()
	got, err := io.ReadAll(text)
	if err != nil || string(got) != want.String() || size != int64(want.Len()) {
		t.Errorf("%d of %d bytes came back (said: %d), %v", len(got), want.Len(), size, err)
	}
	if s.Lost() != 0 {
		t.Errorf("%d lines lost", s.Lost())
	}
}

func TestAnEmptySpoolIsEmpty(t *testing.T) {
	var s Spool
	text, size := s.Take()
	if got, err := io.ReadAll(text); len(got) != 0 || err != nil || size != 0 {
		t.Errorf("%q, %d, %v", got, size, err)
	}
}

func TestAFullSpoolCountsWhatItRefuses(t *testing.T) {
	s := Spool{held: maxSpool + 1}
	_, _ = s.Write([]byte("no room\n"))
	if _, size := s.Take(); s.Lost() != 1 || size != 0 {
		t.Errorf("%d lines lost, %d bytes kept", s.Lost(), size)
	}
}

func TestAClockThatIsSetIsTold(t *testing.T) {
	hour := int64(time.Hour)
	start := record.Clock{Realtime: 1000 * hour, Boottime: 5 * hour}
	for _, c := range []struct {
		name string
		end  record.Clock
		set  bool
	}{
		{"it went on", record.Clock{Realtime: 1001 * hour, Boottime: 6 * hour}, false},
		{"it was disciplined", record.Clock{Realtime: 1001*hour + int64(3*time.Second), Boottime: 6 * hour}, false},
		{"it was set back", record.Clock{Realtime: 999 * hour, Boottime: 6 * hour}, true},
		{"it was set forward", record.Clock{Realtime: 1000*hour + int64(10*time.Second), Boottime: 5*hour + 1}, true},
		{"there is no other clock", record.Clock{Realtime: 1 * hour}, false},
	} {
		if p, set := clockSet(start, c.end); set != c.set {
			t.Errorf("%s: set %v: %s", c.name, set, p.Detail)
		}
	}
}
