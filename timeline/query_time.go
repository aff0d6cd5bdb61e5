package timeline

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// timeLayouts are the spellings of a time in a query with the span each
// leaves open. A year or month is as long as the calendar says.
var timeLayouts = []struct {
	layout string
	end    func(time.Time) time.Time
}{
	{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
	{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
	{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
	{"2006-01-02T15", func(t time.Time) time.Time { return t.Add(time.Hour) }},
	{"2006-01-02T15:04", func(t time.Time) time.Time { return t.Add(time.Minute) }},
	{"2006-01-02T15:04:05", func(t time.Time) time.Time { return t.Add(time.Second) }},
}

// ParseTime reads a time of a query: a year, year and month, date, or a date
// and a time of day down to nanoseconds ("T" or a blank between them), with
// an optional zone (Z, +hh:mm), UTC without one; or an integer of at least
// five digits, taken as ns since the Unix epoch. What is left out stays open:
// first and last are the first and last ns of what s stands for.
func ParseTime(s string) (first, last int64, ok bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && len(strings.TrimPrefix(s, "-")) >= 5 {
		return n, n, n != None
	}
	if len(s) > 10 && s[10] == ' ' {
		s = s[:10] + "T" + s[11:]
	}
	for _, l := range timeLayouts {
		for _, zone := range []string{"", "Z07:00"} {
			if zone != "" && len(l.layout) <= len("2006-01-02") {
				continue
			}
			t, err := time.Parse(l.layout+zone, s)
			if err != nil {
				continue
			}
			end := l.end(t)
			if dot := strings.IndexByte(s, '.'); dot >= 0 {
				end = t.Add(fractionUnit(s[dot+1:]))
			}
			first, last = clampNanos(t), clampNanos(end)
			if last < math.MaxInt64 {
				last--
			}
			return first, last, true
		}
	}
	return 0, 0, false
}

// fractionUnit is the span one unit of the last digit stands for.
func fractionUnit(s string) time.Duration {
	unit := time.Second
	for i := 0; i < len(s) && '0' <= s[i] && s[i] <= '9' && unit > 1; i++ {
		unit /= 10
	}
	return unit
}

func clampNanos(t time.Time) int64 {
	switch year := t.Year(); {
	case year < 1678:
		return math.MinInt64 + 1
	case year > 2261:
		return math.MaxInt64
	}
	return t.UnixNano()
}
