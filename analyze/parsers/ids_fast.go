package parsers

import (
	"bytes"
	"context"
	"net/netip"
	"strconv"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// idsFast reads fast.log of Suricata and alert.fast of Snort, a line per
// alert:
//
//	TIME [**] [GID:SID:REV] TEXT [**] [Classification: …] [Priority: N] {PROTO} SRC -> DST
//
// Suricata writes MM/DD/YYYY-hh:mm:ss.ffffff, Snort MM/DD-…, with its option
// -y YY/MM/DD-…, all in the sensor's local time. "[Drop]" and "[wDrop]" before
// the number say that the packet was dropped, or would have been.
//
// Format: Suricata user guide, "Line based alerts log (fast.log)"; Snort users
// manual, "alert_fast".
var idsFast = register(analyze.Parser{
	Name:    "ids_fast",
	Doc:     "fast.log of Suricata and alert.fast of Snort: alerts by line",
	Version: 1,
	Family:  "net",
	Types:   []string{"snort:fastlog:alert"},
	Match:   matchFast,
	Parse:   parseFast,
})

func matchFast(_ *evidence.Item, head []byte) bool {
	lines := textline.Of(head)
	total, good := 0, 0
	var a fastAlert
	for total < headLines && lines.Next() {
		if len(lines.Line) == 0 {
			continue
		}
		total++
		if a.parse(lines.Line) {
			good++
		}
	}
	return good > 0 && 2*good >= total
}

// fastAlert is one line taken apart.
type fastAlert struct {
	stamp          logtime.Stamp
	time           []byte // as written
	suricata       bool   // by the form of its time
	action         []byte // Drop, wDrop
	gid, sid, rev  []byte
	text           []byte
	class          []byte
	priority       []byte
	proto          []byte
	source, target []byte
}

var stars = []byte(" [**] ")

func (a *fastAlert) parse(line []byte) bool {
	*a = fastAlert{}
	n := a.readTime(line)
	if n == 0 {
		return false
	}
	a.time = line[:n]
	rest, ok := bytes.CutPrefix(bytes.TrimLeft(line[n:], " "), stars[1:])
	if !ok {
		return false
	}
	for _, name := range []string{"[Drop] ", "[wDrop] "} {
		if after, ok := bytes.CutPrefix(rest, []byte(name)); ok {
			a.action = []byte(name[1 : len(name)-2])
			if rest, ok = bytes.CutPrefix(after, stars[1:]); !ok {
				return false
			}
		}
	}
	number, rest, ok := bytes.Cut(rest, []byte("] "))
	if !ok || len(number) < 6 || number[0] != '[' {
		return false
	}
	parts := bytes.Split(number[1:], []byte(":"))
	if len(parts) != 3 {
		return false
	}
	for _, p := range parts {
		if _, err := strconv.ParseUint(string(p), 10, 32); err != nil {
			return false
		}
	}
	a.gid, a.sid, a.rev = parts[0], parts[1], parts[2]
	i := bytes.LastIndex(rest, stars) // the text is the rule's: it may hold stars
	if i < 0 {
		return false
	}
	a.text = rest[:i]
	a.tail(rest[i+len(stars):])
	return true
}

// tail reads what follows the text; each part may be missing.
func (a *fastAlert) tail(b []byte) {
	if v, rest, ok := bracketed(b, "[Classification: "); ok {
		a.class, b = v, rest
	}
	if v, rest, ok := bracketed(b, "[Priority: "); ok {
		a.priority, b = v, rest
	}
	if len(b) > 0 && b[0] == '{' {
		var ok bool
		if a.proto, b, ok = bytes.Cut(b[1:], []byte("} ")); !ok {
			return
		}
	}
	a.source, a.target, _ = bytes.Cut(b, []byte(" -> "))
}

func bracketed(b []byte, open string) (value, rest []byte, ok bool) {
	inner, ok := bytes.CutPrefix(b, []byte(open))
	if !ok {
		return nil, b, false
	}
	value, rest, ok = bytes.Cut(inner, []byte("]"))
	return value, bytes.TrimLeft(rest, " "), ok
}

// readTime reads one of the three forms and returns its length, 0 for none.
func (a *fastAlert) readTime(b []byte) int {
	date, _, ok := bytes.Cut(b[:min(len(b), 12)], []byte("-"))
	if !ok {
		return 0
	}
	var n [3]int
	fields := bytes.Split(date, []byte("/"))
	if len(fields) < 2 || len(fields) > 3 {
		return 0
	}
	for i, f := range fields {
		v, err := strconv.Atoi(string(f))
		if err != nil || len(f) != 2 && !(i == 2 && len(f) == 4) {
			return 0
		}
		n[i] = v
	}
	s := &a.stamp
	switch {
	case len(fields) == 2:
		s.Month, s.Day = n[0], n[1]
	case len(fields[2]) == 4:
		s.Month, s.Day, s.Year, a.suricata = n[0], n[1], n[2], true
	default:
		s.Year, s.Month, s.Day = 2000+n[0], n[1], n[2]
	}
	// The clock is read as part of a time of the form that is known.
	at := len(date) + 1
	end := at
	for end < len(b) && (b[end] >= '0' && b[end] <= '9' || b[end] == ':' || b[end] == '.') {
		end++
	}
	var c logtime.Stamp
	iso := append([]byte("2000-01-01T"), b[at:end]...)
	if got := logtime.Parse(iso, &c); got != len(iso) {
		return 0
	}
	s.Hour, s.Minute, s.Sec, s.Nanos, s.Digits = c.Hour, c.Minute, c.Sec, c.Nanos, c.Digits
	year := s.Year
	if year == 0 {
		year = 2000 // a leap year
	}
	if _, ok := s.Wall(year); !ok || s.Month < 1 || s.Month > 12 || s.Day < 1 || s.Day > 31 || year < 1990 {
		return 0
	}
	return end
}

func fastStamp(line []byte, s *logtime.Stamp) bool {
	var a fastAlert
	ok := a.parse(line)
	*s = a.stamp
	return ok
}

func parseFast(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	times := newLogTimes(src.Host)
	content, err := times.open(src, out, fastStamp)
	if err != nil {
		return err
	}
	records := newTextRecords(out)
	bad := badLines{out: out, code: evidence.Corrupt, what: "no alert"}
	lines := textline.NewReader(content)
	var a fastAlert
	for lines.Next() {
		records.damage(lines)
		if len(lines.Line) == 0 {
			continue
		}
		if !a.parse(lines.Line) {
			bad.add(lines)
			continue
		}
		ev := records.begin(lines)
		ev.DataType, ev.SourceShort, ev.SourceLong = "snort:fastlog:alert", "IDS", "IDS alert log"
		ev.TSDesc, ev.TSKind = "Alert Raised", timeline.Observed
		ev.Action, ev.Category = "alert", "intrusion_detection"
		times.set(ev, out, &a.stamp, a.time, lines.Offset)
		a.fill(ev, out)
		if out.Err() != nil {
			return nil
		}
	}
	bad.end()
	return lines.Err()
}

func (a *fastAlert) fill(ev *timeline.Event, out *timeline.Appender) {
	ev.Message = out.Text(a.text)
	if ev.Message == "" {
		ev.Message = out.Join("alert ", out.Text(a.sid))
	}
	ev.EventCode = out.Intern(a.sid)
	ev.Channel = out.Intern(bytes.ToLower(a.proto))
	ported := bytes.EqualFold(a.proto, []byte("TCP")) || bytes.EqualFold(a.proto, []byte("UDP")) || bytes.EqualFold(a.proto, []byte("SCTP"))
	var from, to int64
	ev.SrcIP, from = a.end(out, a.source, ported)
	ev.DstIP, to = a.end(out, a.target, ported)
	switch {
	case ported:
		ev.SrcPort, ev.DstPort = from, to
	case bytes.Contains(a.proto, []byte("ICMP")) && from >= 0 && to >= 0: // Suricata writes them like ports
		out.AttrInt("icmp_type", from)
		out.AttrInt("icmp_code", to)
	}
	for _, f := range [...]struct {
		key   string
		value []byte
	}{
		{"gid", a.gid},
		{"sid", a.sid},
		{"rev", a.rev},
		{"classification", a.class},
		{"priority", a.priority},
		{"action", a.action},
		{"proto", a.proto},
		{"source", a.source},
		{"destination", a.target},
	} {
		if len(f.value) > 0 {
			out.Attr(f.key, f.value)
		}
	}
	if string(a.action) == "Drop" {
		ev.Outcome = "failure"
	}
}

// end reads an address, behind which a port stands for the protocols that
// have one and always with Suricata.
func (a *fastAlert) end(out *timeline.Appender, b []byte, ported bool) (ip string, port int64) {
	port = timeline.None
	if addr, err := netip.ParseAddr(string(b)); err == nil && (addr.Is4() || !ported && !a.suricata) {
		return out.Str(addr.String()), port
	}
	i := bytes.LastIndexByte(b, ':')
	if i < 0 {
		return "", port
	}
	addr, err := netip.ParseAddr(string(bytes.Trim(b[:i], "[]")))
	if err != nil {
		if addr, err = netip.ParseAddr(string(b)); err == nil {
			return out.Str(addr.String()), port
		}
		return "", port
	}
	if n, err := strconv.ParseUint(string(b[i+1:]), 10, 16); err == nil {
		port = int64(n)
	}
	return out.Str(addr.String()), port
}
