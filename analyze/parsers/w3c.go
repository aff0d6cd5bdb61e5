package parsers

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// w3cLog reads logs in the W3C Extended Log File Format: those of IIS, the
// Windows firewall, CloudFront, and of Exchange, which puts commas between the
// fields. The directive #Fields names the fields of the lines behind it. Times
// are UTC, unless the directive "#Time Format" says Local. Where the lines
// have no date, it is that of #Date, and goes on by a day when the clock starts
// again. Fields without a column are attributes under their own names.
//
// Format: W3C working draft WD-logfile-960323; IIS, "W3C Extended Log File
// Format"; Exchange, "Message tracking"; CloudFront, "Standard logging".
var w3cLog = register(analyze.Parser{
	Name:    "w3c_log",
	Doc:     "W3C extended logs: IIS, Windows firewall, CloudFront, Exchange",
	Version: 2,
	Family:  "text",
	Types:   []string{"w3c:log:line", "iis:log:line", "windows:firewall_log:entry", "aws:cloudfront:access", "exchange:tracking:entry"},
	Match:   matchW3C,
	Parse:   parseW3C,
})

var w3cFields = []byte("#Fields:")

// matchW3C wants the directive, and nothing but directives before it.
func matchW3C(_ *evidence.Item, head []byte) bool {
	lines := textline.Of(bytes.TrimPrefix(head, utf8Mark))
	for n := 0; n < headLines && lines.Next(); n++ {
		switch {
		case bytes.HasPrefix(lines.Line, w3cFields):
			return bytes.ContainsAny(lines.Line[len(w3cFields):], " \t,")
		case len(lines.Line) > 0 && lines.Line[0] != '#':
			return false
		}
	}
	return false
}

// utf8Mark may stand in front of a text; never written to.
var utf8Mark = []byte("\xef\xbb\xbf")

// w3cColumns are the columns of the fields that have one. Where two fields go
// to one column, the later one of a line is displaced to an attribute.
var w3cColumns = map[string]string{
	"c-ip": "src_ip", "client-ip": "src_ip", "src-ip": "src_ip",
	"c-port": "src_port", "src-port": "src_port",
	"s-ip": "dst_ip", "server-ip": "dst_ip", "dst-ip": "dst_ip",
	"s-port": "dst_port", "dst-port": "dst_port",
	"cs-username": "user", "cs-host": "domain", "cs(Host)": "domain",
	"sc-status": "event_code", "event-id": "event_code",
	"cs-uri": "url", "cs-uri-stem": "url", "cs-method": "method",
	"cs(User-Agent)": "user_agent", "cs(Referer)": "referer",
	"pid": "pid",
}

func parseW3C(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	p := w3cEvents{
		out: out, times: newLogTimes(src.Host), values: newLineValues(out), records: newTextRecords(out),
		kind: "w3c:log:line", long: "W3C extended log", utc: true,
		bad: badLines{out: out, code: evidence.Corrupt, what: "other fields than the log names"},
	}
	lines := textline.NewReader(src)
	for lines.Next() {
		p.records.damage(lines)
		line := lines.Line
		if lines.Number == 1 {
			line = bytes.TrimPrefix(line, utf8Mark)
		}
		switch {
		case len(line) == 0:
		case line[0] == '#':
			p.directive(line)
		default:
			p.record(lines)
		}
		if out.Err() != nil {
			return nil
		}
	}
	p.bad.end()
	return lines.Err()
}

// w3cEvents makes events of lines.
type w3cEvents struct {
	out     *timeline.Appender
	times   *logTimes
	values  lineValues
	records textRecords
	bad     badLines

	kind, long string
	utc        bool
	date       []byte // of #Date, where lines have none
	clock      int    // seconds of the day of the line before
	days       int    // since that date

	targets                    []lineTarget
	separator                  byte
	dateAt, timeAt, at, query  int // places of these fields, -1: none
	status, method, verb, stem int
	fields                     [][]byte
	stamp                      []byte
}

// directive reads a line that says something of those behind it.
func (p *w3cEvents) directive(line []byte) {
	name, value, _ := bytes.Cut(line[1:], []byte(":"))
	value = bytes.TrimSpace(value)
	switch string(name) {
	case "Date":
		p.date, p.days, p.clock = append([]byte(nil), value[:min(len(value), 10)]...), 0, 0
	case "Time Format":
		p.utc = !bytes.EqualFold(value, []byte("Local"))
	case "Software":
		p.software(string(value))
	case "Fields":
		p.define(value)
	}
}

func (p *w3cEvents) software(name string) {
	switch {
	case strings.HasPrefix(name, "Microsoft Internet Information Services"):
		p.kind, p.long = "iis:log:line", "IIS log"
	case strings.HasPrefix(name, "Microsoft Windows Firewall"):
		p.kind, p.long = "windows:firewall_log:entry", "Windows firewall log"
	case strings.HasPrefix(name, "Microsoft Exchange"):
		p.kind, p.long = "exchange:tracking:entry", "Exchange log"
	}
}

// w3cDaysMax bounds the days since the last #Date, which programs write at least
// whenever they start.
const w3cDaysMax = 3660

// w3cFieldsMax bounds the fields that a line may name.
const w3cFieldsMax = 256

func (p *w3cEvents) define(value []byte) {
	list := strings.FieldsFunc(string(value), func(r rune) bool { return r == ' ' || r == '\t' || r == ',' })
	list = list[:min(len(list), w3cFieldsMax)]
	p.separator = ' '
	if bytes.IndexByte(value, ',') >= 0 {
		p.separator = ','
	}
	p.targets = make([]lineTarget, len(list))
	for i, name := range list {
		column := w3cColumns[name]
		if column == "" {
			column = "w3c_field"
		}
		p.targets[i] = lineTargetOf(column)
		if column == "w3c_field" {
			p.targets[i].name = p.out.Intern([]byte(name[:min(len(name), 128)]))
		}
	}
	p.dateAt, p.timeAt = slices.Index(list, "date"), slices.Index(list, "time")
	p.at = slices.Index(list, "date-time")
	p.query, p.stem = slices.Index(list, "cs-uri-query"), slices.Index(list, "cs-uri-stem")
	p.status, p.method, p.verb = slices.Index(list, "sc-status"), slices.Index(list, "cs-method"), slices.Index(list, "action")
	if slices.Contains(list, "x-edge-location") {
		p.kind, p.long = "aws:cloudfront:access", "CloudFront access log"
	}
}

// split takes a line apart: at tabs where it has some, else as the directive
// does.
func (p *w3cEvents) split(line []byte) {
	p.fields = p.fields[:0]
	switch {
	case p.separator == ',':
		p.fields = splitCSV(line, p.fields)
	case bytes.IndexByte(line, '\t') >= 0:
		p.fields = splitTabs(line, p.fields)
	default:
		p.fields = splitSpaces(line, p.fields)
	}
}

// splitSpaces splits at runs of spaces.
func splitSpaces(line []byte, into [][]byte) [][]byte {
	for {
		line = bytes.TrimLeft(line, " ")
		if len(line) == 0 {
			return into
		}
		var field []byte
		field, line, _ = bytes.Cut(line, []byte(" "))
		into = append(into, field)
	}
}

var splitTabs = splitAt("\t")

// splitCSV splits at commas. A field in double quotes is one, without them,
// and a doubled quote in it stays so.
func splitCSV(line []byte, into [][]byte) [][]byte {
	open := true // a quote may still have its end
	for {
		if len(line) > 0 && line[0] == '"' && open {
			end := csvQuoteEnd(line)
			open = end >= 0
			if end > 0 {
				into = append(into, line[1:end])
				if end+1 == len(line) {
					return into
				}
				line = line[end+2:]
				continue
			}
		}
		field, rest, more := bytes.Cut(line, []byte(","))
		into = append(into, field)
		if !more {
			return into
		}
		line = rest
	}
}

// csvQuoteEnd returns the place of the quote that ends the field at the start
// of line, 0 where another comes first, -1 where there is none.
func csvQuoteEnd(line []byte) int {
	for i := 1; i < len(line); i++ {
		if line[i] != '"' {
			continue
		}
		switch {
		case i+1 == len(line), line[i+1] == ',':
			return i
		case line[i+1] == '"':
			i++
		default:
			return 0
		}
	}
	return -1
}

func (p *w3cEvents) record(l *textline.Reader) {
	p.split(l.Line)
	ev := p.records.begin(l)
	ev.DataType, ev.SourceShort, ev.SourceLong = p.kind, "WEBLOG", p.long
	ev.Message = p.out.Text(l.Line[:min(len(l.Line), joinText)])
	if len(p.targets) == 0 || len(p.fields) == 0 {
		p.bad.add(l)
		return
	}
	p.dated(ev, l.Line, l.Offset)
	if len(p.fields) != len(p.targets) {
		p.bad.add(l)
		return
	}
	for i, v := range p.fields {
		if i != p.dateAt && i != p.timeAt && i != p.at && i != p.query {
			p.values.set(ev, &p.targets[i], v)
		}
	}
	p.meaning(ev)
}

// dated reads the time from its fields, which come first in every known log
// and so are where they belong even in a line that is cut short.
func (p *w3cEvents) dated(ev *timeline.Event, line []byte, offset int64) {
	var s logtime.Stamp
	field := func(i int) []byte {
		if i < 0 || i >= len(p.fields) {
			return nil
		}
		return p.fields[i]
	}
	raw, written := field(p.at), []byte(nil)
	clock := field(p.timeAt)
	if p.at < 0 && clock != nil {
		date := field(p.dateAt)
		if p.dateAt < 0 {
			date = p.date
		}
		p.stamp = append(append(append(p.stamp[:0], date...), ' '), clock...)
		raw, written = p.stamp, clock
		if i := bytes.Index(line, date); p.dateAt >= 0 && p.timeAt == p.dateAt+1 && i >= 0 {
			written = line[i:min(i+len(raw), len(line))] // with whatever stands between
		}
	}
	if n := logtime.Parse(raw, &s); n == 0 || n != len(raw) || s.Year == 0 {
		return
	}
	if written != nil {
		raw = written
	}
	if p.at < 0 && p.dateAt < 0 {
		ev.Flags |= timeline.InferredTime
	}
	s.Zoned = s.Zoned || p.utc
	p.times.set(ev, p.out, &s, raw, offset)
	if p.at < 0 && p.dateAt < 0 && ev.TSState == timeline.TimeOK {
		now := s.Hour*3600 + s.Minute*60 + s.Sec
		if now+12*3600 < p.clock {
			p.days++
		}
		p.clock = now
		if p.days > w3cDaysMax {
			ev.TS, ev.TSState, ev.TZSrc, ev.TZOff = timeline.None, timeline.TimeNone, "", timeline.None
			return
		}
		ev.SetNanos(ev.TS + int64(p.days)*int64(day))
	}
	if p.utc && ev.TSState == timeline.TimeOK && p.at < 0 {
		ev.TZSrc, ev.TZOff = timeline.ZoneFormat, timeline.None
	}
}

func (p *w3cEvents) meaning(ev *timeline.Event) {
	if p.query >= 0 {
		if q := p.fields[p.query]; string(q) != "-" && len(q) > 0 {
			if p.stem >= 0 {
				ev.URL = p.out.Join(ev.URL, "?", p.out.Text(cutText(q)))
			} else {
				p.values.set(ev, &p.targets[p.query], q)
			}
		}
	}
	if p.method >= 0 {
		ev.Action, ev.Category = "http-request", "web"
	}
	if p.status >= 0 && len(p.fields[p.status]) == 3 {
		switch c := p.fields[p.status][0]; { // 000: the client was gone before there was an answer
		case c >= '4':
			ev.Outcome = "failure"
		case c >= '1':
			ev.Outcome = "success"
		}
	}
	if p.verb >= 0 && p.kind == "windows:firewall_log:entry" {
		ev.Category = "network"
		switch string(p.fields[p.verb]) {
		case "DROP":
			ev.Action, ev.Outcome = "connection-blocked", "failure"
		case "ALLOW", "OPEN", "OPEN-INBOUND":
			ev.Action, ev.Outcome = "connection-allowed", "success"
		case "CLOSE":
			ev.Action = "connection-closed"
		}
	}
}
