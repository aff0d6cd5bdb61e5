package logtime_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
)

func TestWrittenFormsAreRead(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"2026-11-23T06:03:21.442811+01:30 x", 32, "2026-11-23 6:3:21.442811000/6 5400"},
		{"2026-11-23T06:03:21Z", 20, "2026-11-23 6:3:21.000000000/0 0"},
		{"2026-11-23  06:03:21 x", 20, "2026-11-23 6:3:21.000000000/0 local"},
		{"2026-11-23 06:03:21,5 x", 21, "2026-11-23 6:3:21.500000000/1 local"},
		{"2026/11/23 06:03:21 [error]", 19, "2026-11-23 6:3:21.000000000/0 local"},
		{"2026-11-23 06:03:21.1234567891 UTC [1]", 34, "2026-11-23 6:3:21.123456789/9 0"},
		{"2026-11-23T06:03:21-0800", 24, "2026-11-23 6:3:21.000000000/0 -28800"},
		{"Nov 23 06:03:21 x", 15, "0-11-23 6:3:21.000000000/0 local"},
		{"Nov  3 06:03:21.25 x", 18, "0-11-3 6:3:21.250000000/2 local"},
		{"Feb 7 16:01:07 x", 14, "0-2-7 16:1:7.000000000/0 local"},
		{"Feb 29 16:01:60", 15, "0-2-29 16:1:60.000000000/0 local"},
		{"Nov 23 2026 06:03:21 x", 20, "2026-11-23 6:3:21.000000000/0 local"},
		{"Mon Nov 23 06:03:21.5 2026] x", 26, "2026-11-23 6:3:21.500000000/1 local"},
		{"23/Nov/2026:06:03:21 +0100] x", 26, "2026-11-23 6:3:21.000000000/0 3600"},
		{"19-Oct-2022 05:34:02.425 client", 24, "2022-10-19 5:34:2.425000000/3 local"},
		{"2026-02-29 00:00:00", 0, ""},
		{"2026-13-01 00:00:00", 0, ""},
		{"Nov 31 00:00:00", 0, ""},
		{"Nov 23 24:00:00", 0, ""},
		{"2026-11-23 0x:00:00", 0, ""},
		{"", 0, ""},
	} {
		var s logtime.Stamp
		n := logtime.Parse([]byte(c.text), &s)
		if n != c.n {
			t.Errorf("%q: took %d bytes, want %d", c.text, n, c.n)
			continue
		}
		zone := "local"
		if s.Zoned {
			zone = fmt.Sprint(s.Offset)
		}
		got := fmt.Sprintf("%d-%d-%d %d:%d:%d.%09d/%d %s", s.Year, s.Month, s.Day, s.Hour, s.Minute, s.Sec, s.Nanos, s.Digits, zone)
		if n > 0 && got != c.want {
			t.Errorf("%q: got %s, want %s", c.text, got, c.want)
		}
	}
}

func TestWallAgreesWithTheCalendar(t *testing.T) {
	for _, year := range []int{1601, 1900, 1969, 1970, 1999, 2000, 2024, 2026, 2100, 2261} {
		for d := range 366 {
			want := time.Date(year, 1, 1+d, 3, 4, 5, 0, time.UTC)
			s := logtime.Stamp{Month: int(want.Month()), Day: want.Day(), Hour: 3, Minute: 4, Sec: 5}
			if got, ok := s.Wall(want.Year()); !ok || got != want.Unix() {
				t.Fatalf("%v: got %d, %v, want %d", want, got, ok, want.Unix())
			}
		}
	}
	if _, ok := (&logtime.Stamp{Month: 2, Day: 29}).Wall(2026); ok {
		t.Error("29 February 2026 exists")
	}
}

func TestClockKnowsTransitions(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("skipped: no zone data on this machine")
	}
	wall := func(text string) int64 {
		u, err := time.Parse("2006-01-02 15:04:05", text)
		if err != nil {
			t.Fatal(err)
		}
		return u.Unix()
	}
	c := logtime.NewClock(berlin)
	for range 2 { // the second round meets the remembered period
		if got := c.Instant(wall("2026-07-01 12:00:00")); got.Unix != wall("2026-07-01 10:00:00") || got.Last != got.Unix || got.Offset != 7200 {
			t.Errorf("summer: %+v", got)
		}
		if got := c.Instant(wall("2026-10-25 02:30:00")); got.Unix != wall("2026-10-25 00:30:00") || got.Last != wall("2026-10-25 01:30:00") || got.Offset != 7200 {
			t.Errorf("repeated hour: %+v", got)
		}
		if got := c.Instant(wall("2026-03-29 02:30:00")); !got.Gap {
			t.Errorf("hour that was left out: %+v", got)
		}
		for _, w := range []string{"2026-10-25 01:59:59", "2026-10-25 03:00:00", "2026-03-29 01:59:59", "2026-03-29 03:00:00"} {
			got := c.Instant(wall(w))
			if back := time.Unix(got.Unix, 0).In(berlin).Format("2006-01-02 15:04:05"); back != w || got.Last != got.Unix || got.Gap {
				t.Errorf("%s: %+v shows %s", w, got, back)
			}
		}
	}
}

func stamps(y *logtime.Steps, texts ...string) {
	for i, text := range texts {
		var s logtime.Stamp
		if logtime.Parse([]byte(text), &s) == 0 {
			panic(text)
		}
		y.Add(int64(i), &s)
	}
}

func years(y *logtime.Steps, n int) string {
	var got []int
	w := y.Walker()
	for i := range n {
		got = append(got, w.Year(int64(i)))
		if y.Year(int64(i)) != got[i] {
			panic("walker and search disagree")
		}
	}
	return fmt.Sprint(got)
}

func TestYearsAreFoundFromTheEnd(t *testing.T) {
	unix := func(year, month, day int) int64 {
		return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Unix()
	}
	for _, c := range []struct {
		name   string
		texts  []string
		before int64
		around int
		want   string
	}{
		{"one year", []string{"Mar 01 00:00:00", "Nov 20 00:00:00"}, unix(2026, 11, 23), 2026, "[2026 2026]"},
		{"over new year", []string{"Dec 31 23:00:00", "Jan 01 00:00:00"}, unix(2026, 1, 2), 2026, "[2025 2026]"},
		{"twice over", []string{"Dec 31 23:00:00", "Jan 01 00:00:00", "Dec 02 00:00:00", "Jan 02 00:00:00"}, unix(2026, 1, 3), 2026, "[2024 2025 2025 2026]"},
		{"late line of december", []string{"Dec 31 23:59:59", "Jan 01 00:00:00", "Dec 31 23:59:58", "Jan 01 00:00:01"}, unix(2026, 1, 2), 2026, "[2025 2026 2025 2026]"},
		{"silent half a year", []string{"Feb 01 00:00:00", "Oct 01 00:00:00"}, unix(2026, 10, 2), 2026, "[2026 2026]"},
		{"last line after the anchor", []string{"Nov 25 00:00:00", "Nov 26 00:00:00"}, unix(2026, 11, 23), 2026, "[2025 2025]"},
		{"leap day", []string{"Feb 29 00:00:00", "Mar 01 00:00:00"}, unix(2026, 11, 23), 2026, "[2024 2024]"},
		{"leap day two years back", []string{"Feb 29 00:00:00", "Dec 01 00:00:00", "Jan 01 00:00:00"}, unix(2026, 11, 23), 2026, "[2024 2024 2025]"},
	} {
		var y logtime.Steps
		stamps(&y, c.texts...)
		y.FixBefore(c.before, c.around)
		if got := years(&y, len(c.texts)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAStampWithYearAnchorsTheOthers(t *testing.T) {
	var y logtime.Steps
	stamps(&y, "Dec 31 23:00:00", "2019-01-01 00:00:00", "Jan 02 00:00:00", "2022-05-01 00:00:00", "May 02 00:00:00")
	if !y.Fixed() {
		t.Fatal("the year was not taken")
	}
	if year, ok := y.Current(); !ok || year != 2022 {
		t.Errorf("the last year is %d, %v", year, ok)
	}
	if got := years(&y, 5); got != "[2018 2019 2019 2022 2022]" {
		t.Errorf("got %s", got)
	}
}

func TestStepsAreBounded(t *testing.T) {
	var y logtime.Steps
	var s logtime.Stamp
	for i := range int64(100_000) {
		s = logtime.Stamp{Month: 1 + int(i%2)*11, Day: 1}
		y.Add(i, &s)
	}
	if !y.Overflowed() {
		t.Error("a log that changes its year on every line was remembered whole")
	}
}

func BenchmarkClock(b *testing.B) {
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		b.Skip("skipped: no zone data on this machine")
	}
	c := logtime.NewClock(loc)
	wall := int64(1_780_000_000)
	for b.Loop() {
		c.Instant(wall)
		wall++
	}
}
