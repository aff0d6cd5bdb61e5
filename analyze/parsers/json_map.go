package parsers

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/evtx"
	"github.com/exhibit-dfir/exhibit/analyze/format/jsonl"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// jsonMap says how the JSON records of one source become events: it is the
// whole of such a parser. Paths are member names joined by dots; an array
// stands for its elements. Every member is an attribute under its path, those
// that go to a column too.
type jsonMap struct {
	dataType, short, source string

	records string   // member of the only object whose array holds the records
	keys    []string // members that a record of this source has, all of them
	not     []string // members that none has

	times   []jsonTime // the first that is there dates the event
	end     jsonTime   // end of a span
	desc    string
	kind    string
	columns []jsonColumn
	rules   []jsonRule // every one that fits applies, in this order
	message []string   // paths whose values, in this order, make the message

	// local: times without a zone, and with an abbreviation that has more than
	// one meaning, are in the host's zone, not UTC.
	local   bool
	meaning *ruleSet // reads the message
	foreign bool     // the records are about other hosts than that which has the file; "-" says nothing
	descOf  string   // path whose value says what the time means
	each    bool     // every one of the times gives an event
	after   func(*jsonEvents, *timeline.Event)
}

// jsonTime is a time and its form: "" for text, "l2t" for a date before members
// "time" and "timezone", "filetime" for 100 ns since 1601, else the unit since
// 1970. desc goes before that of the map.
type jsonTime struct{ path, unit, desc string }

// noTime reports whether the text of a time says that there is none.
func noTime(v []byte) bool { return len(v) == 0 || string(v) == "0" || string(v) == "-" }

// jsonColumn gives a column the first of the paths that has a value.
type jsonColumn struct {
	column string
	paths  []string
}

// jsonRule says what a record means whose member path has the value; any
// value, where that is empty. Its columns are filled anew from the paths given
// here alone.
type jsonRule struct {
	path, value                         string
	action, category, outcome, dataType string
	columns                             []jsonColumn
}

// jsonRecordMax bounds one record, jsonValues its members and jsonPath the
// names of one.
const (
	jsonRecordMax = 16 << 20
	jsonValues    = 2000
	jsonPath      = 512
)

// beginsLikeJSON keeps everything else from being looked at as JSON.
func beginsLikeJSON(head []byte) bool {
	head = bytes.TrimLeft(head[:min(len(head), 64)], " \t\r\n")
	return len(head) > 0 && (head[0] == '{' || head[0] == '[')
}

// matches decides by the first record.
func (m *jsonMap) matches(_ *evidence.Item, head []byte) bool {
	if !beginsLikeJSON(head) {
		return false
	}
	r := jsonl.NewRecords(bytes.NewReader(head), m.records, len(head)+1)
	rec, _, err := r.Next()
	if err != nil && !errors.Is(err, jsonl.ErrBroken) || len(rec) == 0 {
		return false
	}
	var s jsonl.Scanner
	s.Reset(rec)
	if !s.Object() {
		return false
	}
	found := 0
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		if slices.Contains(m.not, string(key)) {
			return false
		}
		if slices.Contains(m.keys, string(key)) {
			found++
		}
		s.Skip()
	}
	return found == len(m.keys)
}

func (m *jsonMap) parse(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	return m.parseRecords(src, src.Host, out)
}

func (m *jsonMap) parseRecords(content io.Reader, host *analyze.Host, out *timeline.Appender) error {
	e := jsonEvents{jsonMap: m, out: out, host: host, at: map[string]int{}}
	if m.meaning != nil {
		e.lines = newLineValues(out)
	}
	r := jsonl.NewRecords(content, m.records, jsonRecordMax)
	for {
		rec, off, err := r.Next()
		switch {
		case errors.Is(err, io.EOF) || err == nil && out.Err() != nil:
			return nil
		case errors.Is(err, jsonl.ErrLong):
			out.Problem(evidence.TooBig, off, -1, "a record is longer than the limit")
		case errors.Is(err, jsonl.ErrBroken):
			out.Problem(evidence.Truncated, off, int64(len(rec)), "a record is broken off")
		case err != nil:
			return err
		default:
			e.event(rec, off)
		}
	}
}

// jsonValue is a member of a record: where it is in the text of all.
type jsonValue struct {
	path, text []byte
	kind       byte
}

// jsonEvents makes events of records.
type jsonEvents struct {
	*jsonMap
	out  *timeline.Appender
	host *analyze.Host

	scan    jsonl.Scanner
	values  []jsonValue
	at      map[string]int // first value of each path
	paths   []byte
	more    bool // the record has more members than are read
	message []byte
	lines   lineValues
}

func (e *jsonEvents) event(rec []byte, off int64) {
	e.values, e.paths, e.more = e.values[:0], e.paths[:0], false
	clear(e.at)
	e.scan.Reset(rec)
	e.flatten("")
	if err := e.scan.End(); err != nil {
		e.out.Problem(evidence.Corrupt, off, int64(len(rec)), "no record: "+err.Error())
		if len(e.values) == 0 {
			return
		}
	}
	e.make(off, int64(len(rec)), func(ev *timeline.Event) {
		if e.scan.Err() != nil {
			ev.Flags |= timeline.CorruptRec
		}
	})
}

// make appends the event of the values at hand, or one for each of their times.
// finish is called with each.
func (e *jsonEvents) make(off, length int64, finish func(*timeline.Event)) {
	made := false
	if e.each {
		for i := range e.jsonMap.times {
			if t := &e.jsonMap.times[i]; !noTime(e.get(t.path)) {
				finish(e.one(off, length, e.jsonMap.times[i:i+1]))
				made = true
			}
		}
	}
	if !made {
		finish(e.one(off, length, e.jsonMap.times))
	}
}

// one appends an event that one of the times dates.
func (e *jsonEvents) one(off, length int64, times []jsonTime) *timeline.Event {
	out := e.out
	ev := out.Event(off, length)
	if e.foreign {
		ev.Host, ev.HostID = "", ""
	}
	ev.DataType, ev.SourceShort, ev.SourceLong = e.dataType, e.short, e.source
	ev.TSDesc, ev.TSKind = e.desc, e.kind
	e.time(ev, times)
	for i := range e.values {
		v := &e.values[i]
		out.AttrRaw(out.Intern(v.path), out.Text(cutText(v.text)), v.kind)
		if len(v.text) > valueMax {
			out.AttrStr("cut", string(v.path)+" "+strconv.Itoa(len(v.text)))
		}
	}
	if e.more {
		out.AttrStr("cut", "members beyond a limit")
		out.Problem(evidence.TooBig, off, length, "a record has more members than are read")
	}
	e.setColumns(ev, e.columns)
	for _, r := range e.rules {
		e.apply(ev, &r)
	}
	if e.descOf != "" {
		if v := e.get(e.descOf); len(v) > 0 {
			ev.TSDesc = out.Intern(cutText(v))
		}
	}
	ev.Message = e.text()
	if e.meaning != nil {
		e.lines.apply(ev, e.meaning.rules(), bytes.TrimRight(e.message, "\r\n"))
	}
	if e.after != nil {
		e.after(e, ev)
	}
	return ev
}

// setColumns gives each column the first of its paths that has a value.
func (e *jsonEvents) setColumns(ev *timeline.Event, columns []jsonColumn) {
	for _, c := range columns {
		for _, path := range c.paths {
			if v := e.get(path); len(v) > 0 && !(e.foreign && string(v) == "-") {
				setColumn(ev, e.out, c.column, v)
				break
			}
		}
	}
}

// flatten reads one value, whose path is prefix.
func (e *jsonEvents) flatten(prefix string) {
	s := &e.scan
	switch {
	case s.Is('{'):
		if !s.Object() {
			return
		}
		for key, ok := s.Key(); ok; key, ok = s.Key() {
			if len(prefix)+len(key) > jsonPath {
				e.more = true
				s.Skip()
				continue
			}
			e.flatten(joinPath(prefix, key))
		}
	case s.Is('['):
		s.Array(func() { e.flatten(prefix) })
	case s.Is('"'):
		e.add(prefix, s.Text(), 's')
	default:
		raw := s.Raw()
		switch {
		case len(raw) == 0 || raw[0] == 'n': // null says nothing
		case raw[0] == 't' || raw[0] == 'f':
			e.add(prefix, raw, 's')
		case bytes.ContainsAny(raw, ".eE"):
			e.add(prefix, raw, 'f')
		default:
			e.add(prefix, raw, 'i')
		}
	}
}

func joinPath(prefix string, key []byte) string {
	if prefix == "" {
		return string(key)
	}
	return prefix + "." + string(key)
}

func (e *jsonEvents) add(path string, text []byte, kind byte) {
	if e.scan.Err() != nil {
		return
	}
	if len(e.values) >= jsonValues {
		e.more = true
		return
	}
	from := len(e.paths)
	e.paths = append(e.paths, path...)
	if _, ok := e.at[path]; !ok {
		e.at[path] = len(e.values)
	}
	e.values = append(e.values, jsonValue{e.paths[from:len(e.paths):len(e.paths)], text, kind})
}

// get returns the first value of a path.
func (e *jsonEvents) get(path string) []byte {
	if i, ok := e.at[path]; ok {
		return e.values[i].text
	}
	return nil
}

func (e *jsonEvents) apply(ev *timeline.Event, r *jsonRule) {
	if r.path != "" {
		v := e.get(r.path)
		if r.value == "" && len(v) == 0 || r.value != "" && string(v) != r.value {
			return
		}
	}
	for _, c := range r.columns {
		clearColumn(ev, c.column)
		for _, path := range c.paths {
			if v := e.get(path); len(v) > 0 {
				setColumn(ev, e.out, c.column, v)
				break
			}
		}
	}
	for _, s := range [...]struct {
		column *string
		value  string
	}{{&ev.Action, r.action}, {&ev.Category, r.category}, {&ev.Outcome, r.outcome}, {&ev.DataType, r.dataType}} {
		if s.value != "" {
			*s.column = s.value
		}
	}
}

// text joins the values of the message's paths.
func (e *jsonEvents) text() string {
	b := e.message[:0]
	for _, path := range e.jsonMap.message {
		if v := e.get(path); len(v) > 0 {
			if len(b) > 0 {
				b = append(b, ' ')
			}
			b = append(b, cutText(v)...)
		}
	}
	e.message = b
	if len(bytes.TrimSpace(b)) == 0 {
		return "record of " + e.source
	}
	return e.out.Text(bytes.TrimRight(b, "\r\n"))
}

// time dates the event by the first time that is there.
func (e *jsonEvents) time(ev *timeline.Event, times []jsonTime) {
	for _, t := range times {
		v := e.get(t.path)
		if len(v) == 0 || e.foreign && noTime(v) {
			continue
		}
		ns, prec, ok := e.instant(ev, t, v)
		if !ok {
			ev.TSRaw = e.out.Text(cutText(v))
			continue
		}
		ev.SetNanos(ns)
		ev.TSPrec, ev.TSRaw = prec, e.out.Text(v)
		if t.desc != "" {
			ev.TSDesc = t.desc
		}
		break
	}
	if v := e.get(e.end.path); len(v) > 0 && ev.TSState == timeline.TimeOK {
		if ns, _, ok := e.instant(ev, e.end, v); ok && ns >= ev.TS {
			ev.TSEnd = ns
		}
	}
}

// instant reads one time. Text without a zone is UTC in all of these formats.
func (e *jsonEvents) instant(ev *timeline.Event, t jsonTime, v []byte) (ns int64, prec string, ok bool) {
	switch t.unit {
	case "":
	case "l2t":
		return e.zoned(ev, v)
	case "filetime":
		filetime, err := strconv.ParseUint(string(v), 10, 64)
		ns, ok = evtx.Nanos(filetime)
		ev.TZSrc = timeline.ZoneFormat
		return ns, timeline.HundredNano, ok && err == nil
	default:
		ns, prec, ok = epochTime(v, t.unit)
		ev.TZSrc = timeline.ZoneFormat
		return ns, prec, ok
	}
	var s logtime.Stamp
	n := logtime.Parse(v, &s)
	if n == 0 || s.Year == 0 {
		return 0, "", false
	}
	if e.local {
		applyZone(ev, &s, bytes.TrimSpace(v[n:]), e.host.Zone)
	}
	sec, ok := s.Wall(s.Year)
	if !ok || sec > math.MaxInt64/1_000_000_001 || sec < math.MinInt64/1_000_000_001 {
		return 0, "", false
	}
	ev.TZSrc = timeline.ZoneFormat
	if e.local && !s.Zoned {
		in := logtime.NewClock(e.host.Zone).Instant(sec)
		ev.TZSrc, ev.TZOff = e.host.ZoneSrc, in.Offset/60
		if in.Last != in.Unix {
			ev.TSLo, ev.TSHi = in.Unix*1e9+int64(s.Nanos), in.Last*1e9+int64(s.Nanos)
		}
		if in.Last != in.Unix || in.Gap || e.host.ZoneSrc == timeline.ZoneAssumed {
			ev.Flags |= timeline.InferredTime
		}
		return in.Unix*1e9 + int64(s.Nanos), precisionOf(s.Digits), true
	}
	if s.Zoned {
		ev.TZSrc, ev.TZOff = timeline.ZoneInRecord, int64(s.Offset/60)
		sec -= int64(s.Offset)
	}
	return sec*1e9 + int64(s.Nanos), precisionOf(s.Digits), true
}

// precisionOf names the precision of a fraction with so many digits.
func precisionOf(digits int) string {
	switch {
	case digits == 0:
		return timeline.Second
	case digits <= 3:
		return timeline.Millisecond
	case digits <= 6:
		return timeline.Microsecond
	case digits == 7:
		return timeline.HundredNano
	}
	return timeline.Nanosecond
}

// epochTime reads decimal seconds, ms, us or ns since 1970 exactly.
func epochTime(v []byte, unit string) (ns int64, prec string, ok bool) {
	digits := map[string]int{"s": 9, "ms": 6, "us": 3, "ns": 0}[unit]
	whole, fraction, _ := strings.Cut(string(v), ".")
	if strings.Trim(whole, "-") == "" {
		return 0, "", false
	}
	fraction = fraction[:min(len(fraction), digits)]
	prec = precisionOf(9 - digits + len(fraction))
	n, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", digits-len(fraction)), 10, 64)
	return n, prec, err == nil
}
