package parsers

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/linepattern"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// lineMap says how the lines of one service's log become events: it is the
// whole of such a parser. Patterns are those of package linepattern. A field
// that has the name of a column goes there; message is the message; zone is
// the abbreviation of the time's zone; every other one is an attribute. "-"
// and nothing say nothing.
type lineMap struct {
	dataType, short, source string

	desc string // ts_desc; Event Logged where empty
	utc  bool   // times without a zone are UTC by the format's definition
	// joins: lines that begin no record belong to the one before them. Else,
	// and where such a line begins with a time, it is an event of its own and
	// a problem.
	joins bool
	// indented: only lines that begin with a blank are joined.
	indented bool
	// byRules: the forms alone would fit other logs; a line counts when one of
	// the first list of rules fits its message.
	byRules bool
	// share: of so many of the first lines one must be a record; 2 where 0.
	share int

	forms []lineForm
	// rules say what a message means. In each of the lists the first that fits
	// applies.
	rules [][]lineRule

	once  sync.Once
	ready []readyForm
	known [][]readyRule
}

// lineForm is a form of lines that begin a record, and what all of them mean.
type lineForm struct {
	pattern                             string
	dataType, action, category, outcome string

	weak bool // other logs have lines like it: it does not help to recognise the log
	// again: the log writes a time only when it changes, so a line of this form
	// has that of the record before it.
	again bool
	// after: a line of this form begins a record only when the open one has a
	// line that begins with this text already.
	after string
	// never are texts that no message has, unless a name in front of it imitates
	// the form: then attr ambiguous says so, and of the line only the time is
	// taken.
	never []string
}

// lineRule reads a field, the message where in is empty, and says what it
// means when the pattern fits.
type lineRule struct {
	pattern                   string
	action, category, outcome string

	dataType, in string
	// once are texts that stand there once, unless somebody imitates the
	// format: then it is open who wrote what, attr ambiguous says so and the
	// rule does not apply.
	once []string
	// where are attributes one of which must be one of the values is: the same
	// words may stand in records of another kind.
	where, is []string
}

type readyForm struct {
	*lineForm
	pattern *linepattern.Pattern
	targets []lineTarget
	zone    int // place of the field zone, -1: none
}

type readyRule struct {
	*lineRule
	pattern *linepattern.Pattern
	targets []lineTarget
	column  *timeline.Column // of in; nil: an attribute
}

// prepare compiles the patterns. It is done when they are first needed.
func (m *lineMap) prepare() {
	m.once.Do(func() {
		for i := range m.forms {
			f := &m.forms[i]
			p := linepattern.MustCompile(f.pattern)
			m.ready = append(m.ready, readyForm{f, p, lineTargets(p), slices.Index(p.Names(), "zone")})
		}
		for _, list := range m.rules {
			m.known = append(m.known, readyRules(list))
		}
	})
}

func readyRules(list []lineRule) []readyRule {
	ready := make([]readyRule, len(list))
	for i := range list {
		p := linepattern.MustCompile(list[i].pattern)
		ready[i] = readyRule{&list[i], p, lineTargets(p), nil}
		if c := columnNamed[list[i].in]; c != nil && c.Str != nil {
			ready[i].column = c
		}
	}
	return ready
}

// ruleSet is rules that are compiled when they are first needed.
type ruleSet struct {
	list  []lineRule
	once  sync.Once
	ready []readyRule
}

func (r *ruleSet) rules() []readyRule {
	r.once.Do(func() { r.ready = readyRules(r.list) })
	return r.ready
}

// matches asks for enough of the first lines to begin a record.
func (m *lineMap) matches(_ *evidence.Item, head []byte) bool {
	if bytes.IndexByte(head[:min(len(head), 512)], 0) >= 0 {
		return false
	}
	m.prepare()
	share := max(m.share, 2)
	lines := textline.Of(head)
	total, good := 0, 0
	var f linepattern.Fields
	for total < headLines && lines.Next() {
		if len(lines.Line) == 0 {
			continue
		}
		total++
		for i := range m.ready {
			if !m.ready[i].weak && m.ready[i].pattern.Match(lines.Line, &f) && m.meant(&m.ready[i], &f) {
				good++
				break
			}
		}
		if good == 0 && total >= 4*share {
			return false
		}
	}
	return good > 0 && share*good >= total
}

// meant reports whether a rule knows the message of a line, where that counts.
func (m *lineMap) meant(r *readyForm, f *linepattern.Fields) bool {
	if !m.byRules {
		return true
	}
	var found linepattern.Fields
	i := slices.IndexFunc(r.targets, func(t lineTarget) bool { return t.message })
	return slices.ContainsFunc(m.known[0], func(k readyRule) bool { return k.pattern.Match(f.Values[i], &found) })
}

// stamp finds the time of a line.
func (m *lineMap) stamp(f *linepattern.Fields) stampReader {
	return func(line []byte, s *logtime.Stamp) bool {
		for i := range m.ready {
			if p := m.ready[i].pattern; p.Dated() && p.Match(line, f) && f.Time != nil {
				*s = f.Stamp
				return true
			}
		}
		return false
	}
}

func (m *lineMap) parse(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	m.prepare()
	e := lineEvents{
		lineMap: m, out: out, times: newLogTimes(src.Host), values: newLineValues(out),
		records: newTextRecords(out), bad: badLines{out: out, code: evidence.Corrupt, what: "no known form"},
	}
	content, err := e.times.open(src, out, m.stamp(&e.fields))
	if err != nil {
		return err
	}
	lines := textline.NewReader(content)
	for lines.Next() {
		e.records.damage(lines)
		if len(lines.Line) == 0 {
			e.blank++
			continue
		}
		e.line(lines)
		if out.Err() != nil {
			return nil
		}
	}
	e.end()
	e.bad.end()
	return lines.Err()
}

// lineEvents makes events of lines.
type lineEvents struct {
	*lineMap
	out     *timeline.Appender
	times   *logTimes
	values  lineValues
	records textRecords
	fields  linepattern.Fields
	bad     badLines

	ev     *timeline.Event // open record
	text   []byte          // its message, where further lines may join
	joined int64
	blank  int  // empty lines that came since
	doubt  bool // it imitates its own format

	last  logtime.Stamp // of the record that had a time last
	timed bool
}

// has reports whether the open record has a line that begins with the text.
func (e *lineEvents) has(text string) bool {
	if e.ev == nil {
		return false
	}
	i := bytes.Index(e.text, []byte(text))
	return i == 0 || i > 0 && e.text[i-1] == '\n'
}

func (e *lineEvents) line(l *textline.Reader) {
	for i := range e.ready {
		if f := &e.ready[i]; f.pattern.Match(l.Line, &e.fields) && (f.after == "" || e.has(f.after)) {
			e.begin(l, f)
			return
		}
	}
	var s logtime.Stamp
	at, n := 0, logtime.Parse(l.Line, &s)
	if n == 0 && l.Line[0] == '[' {
		at, n = 1, logtime.Parse(l.Line[1:], &s)
	}
	if n == 0 && e.joins && (!e.indented || l.Line[0] == ' ' || l.Line[0] == '\t') && e.ev != nil && l.NULs == 0 && l.Offset+l.Length-e.ev.RecOff <= joinBytes {
		e.join(l)
		return
	}
	e.stray(l, &s, l.Line[at:at+n])
}

// open begins an event at a line.
func (e *lineEvents) open(l *textline.Reader) *timeline.Event {
	e.end()
	ev := e.records.begin(l)
	ev.DataType, ev.SourceShort, ev.SourceLong = e.dataType, e.short, e.source
	if e.desc != "" {
		ev.TSDesc = e.desc
	}
	return ev
}

// stray keeps a line of no known form.
func (e *lineEvents) stray(l *textline.Reader, s *logtime.Stamp, raw []byte) {
	ev := e.open(l)
	if len(raw) > 0 {
		e.fields.Stamp, e.fields.Time = *s, raw
		setStamp(e.times, ev, e.out, &e.fields, l.Offset, e.utc)
	}
	ev.Message = e.out.Text(l.Line[:min(len(l.Line), joinText)])
	e.bad.add(l)
	e.blank = 0
	if e.joins && len(raw) > 0 { // its further lines are its own
		e.ev, e.joined, e.doubt = ev, 0, false
		e.text = append(e.text[:0], l.Line[:min(len(l.Line), joinText)]...)
	}
}

// zoneOffsets are abbreviations that the time zone database uses for one
// offset only, in hours. Others are taken for the host's zone, and the event
// says so.
var zoneOffsets = map[string]int{
	"UTC": 0, "GMT": 0, "WET": 0, "WEST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3, "MSK": 3,
	"JST": 9, "KST": 9, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13, "HST": -10, "EDT": -4, "MDT": -6, "PDT": -7,
}

// applyZone takes the abbreviation of a zone for what it means: that which the
// host's own zone has at that time, or the one meaning that it has anywhere.
func applyZone(ev *timeline.Event, s *logtime.Stamp, v []byte, host *time.Location) {
	if s.Zoned || len(v) == 0 {
		return
	}
	offset, ok := zoneOffset(v)
	if !ok {
		offset, ok = offsetIn(host, s, string(v))
	}
	if !ok {
		ev.Flags |= timeline.InferredTime
		return
	}
	s.Zoned, s.Offset = true, offset
}

// offsetIn finds the offset for which a zone uses the abbreviation at the
// stamp's time.
func offsetIn(zone *time.Location, s *logtime.Stamp, name string) (seconds int, ok bool) {
	wall, ok := s.Wall(s.Year)
	if !ok {
		return 0, false
	}
	for _, side := range [...]int64{-86400, 86400} {
		_, off := time.Unix(wall+side, 0).In(zone).Zone()
		if have, now := time.Unix(wall-int64(off), 0).In(zone).Zone(); now == off && have == name {
			return off, true
		}
	}
	return 0, false
}

// zoneOffset returns the seconds east of UTC that an abbreviation stands for.
func zoneOffset(v []byte) (seconds int, ok bool) {
	if hours, ok := zoneOffsets[string(v)]; ok {
		return hours * 3600, true
	}
	n := hourOffset(v)
	return int(n), n != timeline.None
}

// hourOffset reads +hh or -hh, as zones without a name are written; None
// where v is no such thing.
func hourOffset(v []byte) int64 {
	if len(v) != 3 || v[0] != '+' && v[0] != '-' || !isDigit(v[1]) || !isDigit(v[2]) {
		return timeline.None
	}
	n := int64(v[1]-'0')*10 + int64(v[2]-'0')
	if v[0] == '-' {
		n = -n
	}
	return n * 3600
}

func (e *lineEvents) begin(l *textline.Reader, f *readyForm) {
	ev := e.open(l)
	if f.zone >= 0 {
		applyZone(ev, &e.fields.Stamp, e.fields.Values[f.zone], e.times.zone)
	}
	if e.fields.Time != nil {
		setStamp(e.times, ev, e.out, &e.fields, l.Offset, e.utc)
		e.last, e.timed = e.fields.Stamp, true
	} else if f.again && e.timed {
		e.fields.Stamp = e.last
		setStamp(e.times, ev, e.out, &e.fields, l.Offset, e.utc)
		e.out.AttrStr("time_from", "the record before")
	}
	setMeaning(ev, f.dataType, f.action, f.category, f.outcome)
	message := l.Line
	e.doubt = f.imitated(&e.fields)
	for i := range f.targets {
		t, v := &f.targets[i], e.fields.Values[i]
		switch {
		case e.doubt:
		case t.message:
			message = v
		default:
			e.values.set(ev, t, v)
		}
	}
	if e.doubt {
		e.out.AttrStr("ambiguous", "the line imitates its own format")
	}
	if len(bytes.TrimSpace(message)) == 0 {
		message = l.Line // a message is never empty
	}
	ev.Message = e.out.Text(message[:min(len(message), joinText)])
	e.ev, e.joined, e.blank = ev, 0, 0
	if e.joins {
		e.text = append(e.text[:0], message[:min(len(message), joinText)]...)
		return
	}
	e.meaning(message)
	e.ev = nil
}

// join adds a line to the open record, with the empty lines between.
func (e *lineEvents) join(l *textline.Reader) {
	e.joined += int64(e.blank) + 1
	for ; e.blank >= 0 && len(e.text) < joinText; e.blank-- {
		e.text = append(e.text, '\n')
	}
	if e.blank = 0; len(e.text) < joinText {
		e.text = append(e.text, l.Line[:min(len(l.Line), joinText)]...)
	}
	e.ev.RecLen = l.Offset + l.Length - e.ev.RecOff
}

// end completes the open record.
func (e *lineEvents) end() {
	if e.ev == nil {
		return
	}
	if e.joined > 0 {
		e.ev.Message = e.out.Text(e.text)
		e.out.AttrInt("joined_lines", e.joined)
	}
	e.meaning(e.text)
	e.ev = nil
}

// imitated reports whether the message has what it never has.
func (f *readyForm) imitated(found *linepattern.Fields) bool {
	i := slices.IndexFunc(f.targets, func(t lineTarget) bool { return t.message })
	return i >= 0 && slices.ContainsFunc(f.never, func(s string) bool { return bytes.Contains(found.Values[i], []byte(s)) })
}

// meaning reads the message, and fields that rules name, by the rules.
func (e *lineEvents) meaning(message []byte) {
	if e.doubt {
		return
	}
	for _, list := range e.known {
		e.values.apply(e.ev, list, message)
	}
}

func setMeaning(ev *timeline.Event, dataType, action, category, outcome string) {
	for _, s := range [...]struct {
		column *string
		value  string
	}{{&ev.DataType, dataType}, {&ev.Action, action}, {&ev.Category, category}, {&ev.Outcome, outcome}} {
		if s.value != "" {
			*s.column = s.value
		}
	}
}
