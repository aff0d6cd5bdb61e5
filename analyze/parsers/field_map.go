package parsers

import (
	"bytes"
	"context"
	"strconv"
	"sync"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/linepattern"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// fieldMap says how a log whose lines are fields in a fixed order becomes
// events. Names are those of columns or of attributes, as in a lineMap; time
// is when, end the end of a span. A line with another number of fields than
// the form allows keeps its time and its text, and nothing is taken from it
// that might stand in the wrong place.
type fieldMap struct {
	dataType, short, source string

	desc string
	utc  bool   // times without a zone are UTC by the format's definition
	time string // form of the times, as in linepattern's {time:FORM}
	// split appends the fields of a line.
	split func(line []byte, into [][]byte) [][]byte
	// header is a line that some writers put in front; it is no record.
	header    string
	forms     []fieldForm
	zoned     bool // a zone's abbreviation may stand behind the time
	multiline bool // a value in double quotes may have lines of its own
	// rules apply to the fields they name, all that fit, in their order;
	// messageRules to the field message: the first that fits.
	rules, messageRules []lineRule
	after               func(*timeline.Event)

	once   sync.Once
	stamp  *linepattern.Pattern
	lead   *linepattern.Pattern // of a line that begins with its time
	ready  []readyFields
	fitted []readyRule
	said   []readyRule
}

// fieldForm is a form of lines: the names of its fields, one word each. least
// is how many must be there; 0 means all. first lists what the first field may
// be; empty: anything.
type fieldForm struct {
	names string
	first []string
	least int
}

type readyFields struct {
	*fieldForm
	targets   []lineTarget
	time, end int // places, -1: none
}

func (m *fieldMap) prepare() {
	m.once.Do(func() {
		form := "{time:" + m.time + "}"
		if m.zoned {
			form += "{? {zone:zone}}"
		}
		m.stamp = linepattern.MustCompile(form)
		m.lead = linepattern.MustCompile("{time:" + m.time + "}{_}")
		for i := range m.forms {
			m.ready = append(m.ready, m.forms[i].prepare())
		}
		m.fitted, m.said = readyRules(m.rules), readyRules(m.messageRules)
	})
}

func (f *fieldForm) prepare() readyFields {
	r := readyFields{fieldForm: f, time: -1, end: -1}
	for i, name := range bytes.Fields([]byte(f.names)) {
		r.targets = append(r.targets, lineTargetOf(string(name)))
		switch string(name) {
		case "time":
			r.time = i
		case "end":
			r.end = i
		}
	}
	return r
}

// form returns the form that a line's fields have, nil where they have none.
func (m *fieldMap) form(fields [][]byte, f *linepattern.Fields) *readyFields {
	for i := range m.ready {
		r := &m.ready[i]
		if r.time < len(fields) && r.begins(fields) && m.stamp.Match(fields[r.time], f) {
			return r
		}
	}
	return nil
}

func (r *readyFields) begins(fields [][]byte) bool {
	for _, w := range r.first {
		if string(fields[0]) == w {
			return true
		}
	}
	return len(r.first) == 0
}

// fits reports whether so many fields are a whole record.
func (r *readyFields) fits(n int) bool {
	return n == len(r.targets) || r.least > 0 && n >= r.least && n < len(r.targets)
}

// leads reports whether a line may be a record, by what it begins with: most
// lines of other files are not worth being split.
func (m *fieldMap) leads(line []byte, f *linepattern.Fields) bool {
	if len(line) > joinText || m.header != "" && string(line) == m.header {
		return len(line) <= joinText
	}
	for i := range m.ready {
		r := &m.ready[i]
		switch {
		case r.time == 0 && m.lead.Match(line, f):
			return true
		case r.time == 0:
		case len(r.first) == 0:
			return true
		}
		for _, w := range r.first {
			if len(line) > len(w) && string(line[:len(w)]) == w {
				return true
			}
		}
	}
	return false
}

// hasPeer reports whether an address, or none, stands where one belongs.
func (r *readyFields) hasPeer(fields [][]byte) bool {
	for i, v := range fields {
		if !r.targets[i].source || isAddress(v) {
			continue
		}
		switch string(v) {
		case "", "-", "[local]":
			continue
		}
		port := bytes.LastIndexByte(v, ':')
		if port < 0 || !isAddress(bytes.Trim(v[:port], "[]")) {
			return false
		}
	}
	return true
}

// matches asks for half of the first lines to be whole records.
func (m *fieldMap) matches(_ *evidence.Item, head []byte) bool {
	if bytes.IndexByte(head[:min(len(head), 512)], 0) >= 0 {
		return false
	}
	m.prepare()
	lines := textline.Of(head)
	total, good := 0, 0
	var f linepattern.Fields
	var fields [][]byte
	var text []byte
	for total < headLines && lines.Next() {
		if len(lines.Line) == 0 {
			continue
		}
		if m.multiline && (len(text) > 0 || m.leads(lines.Line, &f)) {
			text = append(append(text, lines.Line...), '\n')
			if bytes.Count(text, []byte{'"'})%2 != 0 && len(text) < joinText {
				continue
			}
			lines.Line, text = text[:len(text)-1], text[:0]
		}
		total++
		if !m.leads(lines.Line, &f) {
			if total >= 8 && good == 0 {
				return false
			}
			continue
		}
		if m.header != "" && string(lines.Line) == m.header {
			good++
			continue
		}
		fields = m.split(lines.Line[:min(len(lines.Line), joinText)], fields[:0])
		if r := m.form(fields, &f); r != nil && r.fits(len(fields)) && r.hasPeer(fields) {
			good++
		}
		if good == 0 && total >= 8 {
			return false
		}
	}
	return good > 0 && 2*good >= total
}

func (m *fieldMap) parse(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	m.prepare()
	e := fieldEvents{
		fieldMap: m, out: out, times: newLogTimes(src.Host), values: newLineValues(out),
		records: newTextRecords(out), bad: badLines{out: out, code: evidence.Corrupt, what: "no known form"},
	}
	lines := textline.NewReader(src)
	for lines.Next() {
		e.records.damage(lines)
		if len(lines.Line) > 0 && (m.header == "" || string(lines.Line) != m.header) {
			e.part(lines)
		}
		if out.Err() != nil {
			return nil
		}
	}
	e.whole()
	e.bad.end()
	return lines.Err()
}

// part takes a line, which is a record or a part of one.
func (e *fieldEvents) part(l *textline.Reader) {
	if !e.multiline {
		e.line(l)
		return
	}
	if len(e.text) > 0 && (l.NULs > 0 || len(e.text)+len(l.Line) > joinBytes) {
		e.whole() // the quote that would end it is lost
	}
	if len(e.text) == 0 {
		e.rec = textline.Reader{Offset: l.Offset, Number: l.Number, Truncated: l.Truncated}
	} else {
		e.text = append(e.text, '\n')
	}
	e.text = append(e.text, l.Line...)
	e.rec.Length = l.Offset + l.Length - e.rec.Offset
	e.quotes += bytes.Count(l.Line, []byte{'"'})
	if e.quotes%2 == 0 {
		e.whole()
	}
}

// whole reads the lines that were taken together.
func (e *fieldEvents) whole() {
	if len(e.text) == 0 {
		return
	}
	e.rec.Line = e.text
	e.line(&e.rec)
	e.text, e.quotes = e.text[:0], 0
}

// fieldEvents makes events of lines of fields.
type fieldEvents struct {
	*fieldMap
	out     *timeline.Appender
	times   *logTimes
	values  lineValues
	records textRecords
	bad     badLines
	fields  [][]byte
	stamps  linepattern.Fields

	rec    textline.Reader // record of several lines
	text   []byte          // its text
	quotes int             // in it
}

func (e *fieldEvents) line(l *textline.Reader) {
	e.fields = e.split(l.Line, e.fields[:0])
	f := e.form(e.fields, &e.stamps)
	ev := e.records.begin(l)
	ev.DataType, ev.SourceShort, ev.SourceLong = e.dataType, e.short, e.source
	if e.desc != "" {
		ev.TSDesc = e.desc
	}
	ev.Message = e.out.Text(l.Line[:min(len(l.Line), joinText)])
	if f == nil {
		e.bad.add(l)
		return
	}
	if e.zoned && e.stamps.Values[0] != nil {
		applyZone(ev, &e.stamps.Stamp, e.stamps.Values[0], e.times.zone)
		e.out.Attr("zone", e.stamps.Values[0])
	}
	setStamp(e.times, ev, e.out, &e.stamps, l.Offset, e.utc)
	if !f.fits(len(e.fields)) {
		e.wrong(l, len(e.fields), len(f.targets))
		return
	}
	if f.end >= 0 && f.end < len(e.fields) {
		e.until(ev, e.fields[f.end])
	}
	var message []byte
	for i, v := range e.fields {
		if e.multiline {
			v = undoubled(v)
		}
		switch t := &f.targets[i]; {
		case t.message && len(bytes.TrimSpace(v)) > 0:
			message = v
			ev.Message = e.out.Text(v[:min(len(v), joinText)])
		case i != f.time && !t.message:
			e.values.set(ev, t, v)
		}
	}
	e.values.applyAll(ev, e.fitted)
	e.values.apply(ev, e.said, message)
	if e.after != nil {
		e.after(ev)
	}
}

func (e *fieldEvents) wrong(l *textline.Reader, have, want int) {
	e.out.Problem(evidence.Corrupt, l.Offset, l.Length,
		"line of "+strconv.Itoa(have)+" fields instead of "+strconv.Itoa(want)+"; only its time is read")
}

// until makes the event a span.
func (e *fieldEvents) until(ev *timeline.Event, v []byte) {
	if ev.TSState != timeline.TimeOK || !e.stamp.Match(v, &e.stamps) {
		return
	}
	end := *ev
	setStamp(e.times, &end, e.out, &e.stamps, ev.RecOff, e.utc)
	if end.TSState == timeline.TimeOK && end.TS >= ev.TS {
		ev.TSEnd = end.TS
	}
}

// setStamp dates an event. Times of some formats are UTC by definition.
func setStamp(times *logTimes, ev *timeline.Event, out *timeline.Appender, f *linepattern.Fields, offset int64, utc bool) {
	s := &f.Stamp
	if !utc || s.Zoned && s.Offset != 0 {
		times.set(ev, out, s, f.Time, offset)
		return
	}
	s.Zoned = true
	times.set(ev, out, s, f.Time, offset)
	if ev.TSState == timeline.TimeOK {
		ev.TZSrc, ev.TZOff = timeline.ZoneFormat, timeline.None
	}
}

// undoubled undoes the doubling of quotes.
func undoubled(v []byte) []byte {
	if bytes.Contains(v, []byte(`""`)) {
		return bytes.ReplaceAll(v, []byte(`""`), []byte(`"`))
	}
	return v
}

// splitBlanks splits at runs of blanks. A field in double quotes or brackets
// is one, without them; a backslash keeps a quote.
func splitBlanks(line []byte, into [][]byte) [][]byte {
	open := [2]bool{true, true} // a quote, a bracket may still have its end
	for at := 0; at < len(line); {
		if line[at] == ' ' {
			at++
			continue
		}
		end := -1
		if k := bytes.IndexByte([]byte{'"', '['}, line[at]); k >= 0 && open[k] {
			end = fieldEnd(line, at)
			open[k] = end >= 0 // what has no end has none further on either
		}
		if end < 0 {
			end = at
			for end < len(line) && line[end] != ' ' {
				end++
			}
			into = append(into, line[at:end])
		} else {
			into = append(into, line[at+1:end-1])
		}
		at = end
	}
	return into
}

// fieldEnd returns the place behind a field in quotes or brackets that ends
// before a blank or the line's end, -1 where there is none.
func fieldEnd(line []byte, at int) int {
	closing := byte('"')
	switch line[at] {
	case '"':
	case '[':
		closing = ']'
	default:
		return -1
	}
	for i := at + 1; i < len(line); i++ {
		switch {
		case line[i] == '\\' && closing == '"':
			i++
		case line[i] == closing && (i+1 == len(line) || line[i+1] == ' '):
			return i + 1
		}
	}
	return -1
}

// splitAt splits at every place of a text.
func splitAt(separator string) func([]byte, [][]byte) [][]byte {
	return func(line []byte, into [][]byte) [][]byte {
		for {
			field, rest, more := bytes.Cut(line, []byte(separator))
			into = append(into, field)
			if !more {
				return into
			}
			line = rest
		}
	}
}
