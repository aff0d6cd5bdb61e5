package parsers

import (
	"bytes"
	"io"
	"strconv"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// logTimes turns the written times of one text log into instants: the zone is
// the record's own or the host's, the year the record's own or inferred.
type logTimes struct {
	clock   *logtime.Clock
	zone    *time.Location
	zoneSrc string

	steps   logtime.Steps
	walker  *logtime.Walker // nil: the log is read once, years come from the lines before
	yearSrc string
	other   int // second possible year relative to the first; 0: only one
}

func newLogTimes(host *analyze.Host) *logTimes {
	return &logTimes{clock: logtime.NewClock(host.Zone), zone: host.Zone, zoneSrc: host.ZoneSrc, yearSrc: timeline.YearMonotonic}
}

// stampReader finds the time in a line.
type stampReader func(line []byte, s *logtime.Stamp) bool

// open prepares reading a log in order and returns its content. A log whose
// first time leaves the year out is read twice: the first pass finds where
// its years change.
func (l *logTimes) open(src *analyze.Source, out *timeline.Appender, find stampReader) (io.Reader, error) {
	head := make([]byte, analyze.HeadSize)
	n, err := io.ReadFull(src, head)
	head = head[:n]
	whole := io.MultiReader(bytes.NewReader(head), src)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		if n == 0 {
			return nil, err
		}
		out.Problem(evidence.Truncated, int64(n), -1, "content ends in an error: "+err.Error())
		whole = bytes.NewReader(head)
	}
	if !yearless(head, find) {
		return whole, nil
	}
	at, size, err := src.RandomAccess()
	if at == nil {
		return nil, err
	}
	if err != nil {
		out.Problem(evidence.Truncated, -1, -1, "content ends in an error: "+err.Error())
	}
	if src.Chain != "" {
		// What was read for the head is gone from a decoded stream.
		at, size = follows{head, at}, size+int64(n)
	}
	l.firstPass(io.NewSectionReader(at, 0, size), find)
	l.anchor(src)
	if l.yearSrc == "" {
		out.Problem(evidence.Undated, -1, -1, "neither the log nor anything known of it states a year")
	}
	if l.steps.Overflowed() {
		out.Problem(evidence.Inconsistent, -1, -1, "the order of months changes too often for the years to be found")
	}
	return io.NewSectionReader(at, 0, size), nil
}

// follows reads tail behind head.
type follows struct {
	head []byte
	tail io.ReaderAt
}

// ReadAt implements io.ReaderAt.
func (f follows) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if off < int64(len(f.head)) {
		n = copy(p, f.head[off:])
		off += int64(n)
	}
	if n == len(p) {
		return n, nil
	}
	m, err := f.tail.ReadAt(p[n:], off-int64(len(f.head)))
	return n + m, err
}

// yearless reports whether the first time in head leaves the year out.
func yearless(head []byte, find stampReader) bool {
	lines := textline.Of(head)
	var s logtime.Stamp
	for lines.Next() {
		if find(lines.Line, &s) {
			return s.Year == 0
		}
	}
	return false
}

func (l *logTimes) firstPass(r io.Reader, find stampReader) {
	lines := textline.NewReader(r)
	var s logtime.Stamp
	for lines.Next() {
		if !find(lines.Line, &s) {
			continue
		}
		l.steps.Add(lines.Offset, &s)
		if year := clockSetting(lines.Line); year != 0 && !l.steps.Fixed() {
			l.steps.Fix(year)
		}
	}
}

// clockSetting reads the year from the kernel's "setting system clock to
// 2026-11-23T06:02:27 UTC", which it writes at boot.
func clockSetting(line []byte) int {
	i := bytes.Index(line, []byte("setting system clock to "))
	if i < 0 {
		return 0
	}
	var s logtime.Stamp
	if logtime.Parse(line[i+len("setting system clock to "):], &s) == 0 {
		return 0
	}
	return s.Year
}

const (
	day      = 24 * time.Hour
	halfYear = 180 * day
)

// anchor ties the log's years to the first of these that is known: the
// user's word, a year in the log, the date in a rotated file's name, the time
// in a gzip header, the file's last write on its host, the collection.
func (l *logTimes) anchor(src *analyze.Source) {
	defer func() { l.walker = l.steps.Walker() }()
	var modified time.Time
	if st := src.Item.Stat; st != nil {
		modified = st.Modified
	}
	rotated := dateInName(src.Item.Path)
	switch {
	case !l.steps.Seen():
	case src.Year != 0:
		l.steps.FixFirst(src.Year)
		l.yearSrc = timeline.YearUser
	case l.steps.Fixed():
		l.yearSrc = timeline.YearMonotonic
	case !rotated.IsZero():
		l.before(rotated, timeline.YearRotation)
	case !src.GzipTime.IsZero():
		l.before(src.GzipTime, timeline.YearGzip)
	case !modified.IsZero():
		l.before(modified, timeline.YearFileTimes)
	case !src.Host.Collected.IsZero():
		// It may be older, by any number of years.
		l.before(src.Host.Collected, timeline.YearNone)
		l.other = -1
	default:
		l.yearSrc = ""
	}
}

// before anchors the end of the log to t. A day of grace covers clocks that
// were wrong and files that were rotated in another zone.
func (l *logTimes) before(t time.Time, source string) {
	local := t.In(l.zone)
	_, off := local.Zone()
	earlier := l.steps.FixBefore(t.Add(day).Unix()+int64(off), local.Year())
	l.yearSrc = source
	if time.Duration(earlier)*time.Second > halfYear {
		l.other = 1
	}
}

// dateInName finds the date that logrotate's dateext puts into a name:
// -20261123, -2026-11-23 or .20261123, followed by nothing that is a digit.
// It returns the end of that day, the zero time when there is none.
func dateInName(path string) time.Time {
	for i := len(path) - 9; i >= 0 && path[i] != '/'; i-- {
		if path[i] != '-' && path[i] != '.' && path[i] != '_' {
			continue
		}
		for _, layout := range [...]string{"20060102", "2006-01-02"} {
			end := i + 1 + len(layout)
			if end > len(path) || end < len(path) && path[end] >= '0' && path[end] <= '9' {
				continue
			}
			if t, err := time.Parse(layout, path[i+1:end]); err == nil && t.Year() > 1980 {
				return t.Add(day)
			}
		}
	}
	return time.Time{}
}

// set fills the time columns of the open event, whose line is at offset.
func (l *logTimes) set(ev *timeline.Event, out *timeline.Appender, s *logtime.Stamp, raw []byte, offset int64) {
	ev.TSRaw = out.Text(raw)
	ev.TSPrec = precision(s.Digits)
	year := s.Year
	switch {
	case year != 0:
		if l.walker == nil {
			l.steps.Add(offset, s)
		}
	case l.walker != nil && l.yearSrc != "":
		year = l.walker.Year(offset)
	case l.walker == nil:
		l.steps.Add(offset, s)
		year, _ = l.steps.Current()
	}
	if year == 0 {
		ev.YearSrc, ev.TSPrec = timeline.YearNone, ""
		return
	}
	if s.Year == 0 {
		ev.YearSrc = l.yearSrc
		ev.Flags |= timeline.InferredTime
	}
	wall, ok := s.Wall(year)
	if !ok {
		ev.TSPrec = ""
		out.Problem(evidence.Undated, ev.RecOff, ev.RecLen, "29 February of "+strconv.Itoa(year)+", which has none")
		return
	}
	l.instant(ev, s, wall)
	if s.Year == 0 && l.other != 0 {
		if wall, ok := s.Wall(year + l.other); ok {
			other := *ev
			l.instant(&other, s, wall)
			ev.TSLo, ev.TSHi = min(ev.TS, other.TS), max(ev.TS, other.TS)
		}
	}
}

// instant sets TS from wall clock seconds in the stamp's zone or the host's.
func (l *logTimes) instant(ev *timeline.Event, s *logtime.Stamp, wall int64) {
	const second = int64(time.Second)
	if wall < -9_000_000_000 || wall > 9_000_000_000 { // 1684 to 2255
		ev.TSState, ev.TSPrec = timeline.TimeNone, ""
		return
	}
	nanos := int64(s.Nanos)
	if s.Zoned {
		ev.SetNanos((wall-int64(s.Offset))*second + nanos)
		ev.TZOff, ev.TZSrc = int64(s.Offset/60), timeline.ZoneInRecord
		return
	}
	in := l.clock.Instant(wall)
	ev.SetNanos(in.Unix*second + nanos)
	ev.TZOff, ev.TZSrc = in.Offset/60, l.zoneSrc
	if in.Last != in.Unix {
		ev.TSLo, ev.TSHi = ev.TS, in.Last*second+nanos
		ev.Flags |= timeline.InferredTime
	}
	if in.Gap || l.zoneSrc == timeline.ZoneAssumed {
		ev.Flags |= timeline.InferredTime
	}
}

// precision names what so many digits behind the second resolve.
func precision(digits int) string {
	switch {
	case digits == 0:
		return timeline.Second
	case digits <= 3:
		return timeline.Millisecond
	case digits <= 6:
		return timeline.Microsecond
	}
	return timeline.Nanosecond
}
