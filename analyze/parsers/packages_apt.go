package parsers

import (
	"bytes"
	"context"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/authmsg"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// aptHistory reads apt's history.log: blocks of "Key: value" lines, times
// local without zone. One event per block, a span from Start-Date to End-Date.
var aptHistory = register(analyze.Parser{
	Name:    "apt_history",
	Doc:     "apt history.log: what was installed on whose request",
	Version: 1,
	Family:  "package",
	Types:   []string{"linux:apt_history_log:entry"},
	Match: func(_ *evidence.Item, head []byte) bool {
		return bytes.HasPrefix(bytes.TrimLeft(head, "\r\n"), []byte("Start-Date: "))
	},
	Parse: parseApt,
})

func parseApt(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	p := aptBlocks{out: out, times: newLogTimes(src.Host), bad: badLines{out: out, code: evidence.Corrupt, what: "no part of a block"}, records: newTextRecords(out)}
	lines := textline.NewReader(src)
	for lines.Next() {
		p.records.damage(lines)
		p.line(lines)
		if out.Err() != nil {
			return nil
		}
	}
	p.end()
	p.bad.end()
	return lines.Err()
}

// aptBlocks makes an event of each block.
type aptBlocks struct {
	out     *timeline.Appender
	times   *logTimes
	bad     badLines
	records textRecords

	ev    *timeline.Event
	kinds int // of changes in the block
}

func (p *aptBlocks) line(l *textline.Reader) {
	if len(l.Line) == 0 {
		p.end()
		return
	}
	key, value, ok := bytes.Cut(l.Line, []byte(": "))
	if ok && string(key) == "Start-Date" {
		p.end()
		p.begin(l, value)
		return
	}
	if !ok || p.ev == nil {
		p.bad.add(l)
		return
	}
	p.ev.RecLen = l.Offset + l.Length - p.ev.RecOff
	p.field(l, key, value)
}

func (p *aptBlocks) begin(l *textline.Reader, value []byte) {
	ev := p.records.begin(l)
	p.ev, p.kinds = ev, 0
	ev.DataType, ev.SourceShort, ev.SourceLong = "linux:apt_history_log:entry", "PKG", "apt history"
	ev.TSDesc, ev.Category = "Package State", packageCategory
	var s logtime.Stamp
	if n := logtime.Parse(value, &s); n > 0 {
		p.times.set(ev, p.out, &s, value[:n], l.Offset)
	} else {
		p.out.Problem(evidence.Undated, l.Offset, l.Length, "block without a readable time")
	}
}

// valueText is how much of a list of packages goes into an attribute.
const valueText = 64 << 10

func (p *aptBlocks) field(l *textline.Reader, key, value []byte) {
	ev, out := p.ev, p.out
	switch string(key) {
	case "Commandline":
		ev.Cmdline = out.Text(value)
	case "Requested-By":
		p.requester(value)
	case "End-Date":
		p.endDate(value)
	case "Error":
		ev.Outcome = authmsg.Failure
		out.Attr("error", value)
	case "Install", "Reinstall":
		p.change("package-installed", "install", value)
	case "Upgrade", "Downgrade":
		p.change("package-upgraded", "upgrade", value)
	case "Remove":
		p.change("package-removed", "remove", value)
	case "Purge":
		p.change("package-purged", "purge", value)
	default:
		out.AttrRaw(out.Intern(key), out.Text(value[:min(len(value), valueText)]), 's')
	}
}

// requester reads "NAME (UID)".
func (p *aptBlocks) requester(value []byte) {
	name, tail, _ := bytes.Cut(value, []byte(" ("))
	p.ev.User = p.out.Intern(name)
	setInt(&p.ev.UID, bytes.TrimSuffix(tail, []byte(")")))
	p.out.AttrRaw("requested_by", p.out.Text(value), 's')
}

// endDate makes the event a span.
func (p *aptBlocks) endDate(value []byte) {
	var s logtime.Stamp
	if logtime.Parse(value, &s) == 0 || p.ev.TS == timeline.None {
		return
	}
	if wall, ok := s.Wall(s.Year); ok {
		end := *p.ev
		p.times.instant(&end, &s, wall)
		if end.TS >= p.ev.TS {
			p.ev.TSEnd = end.TS
		}
	}
}

// change adds one kind of change: "NAME:ARCH (VERSION, ...), NAME:ARCH ...".
func (p *aptBlocks) change(action, key string, value []byte) {
	ev, out := p.ev, p.out
	p.kinds++
	if p.kinds == 1 {
		ev.Action = action
	} else {
		ev.Action = "packages-changed"
	}
	out.AttrRaw(key, out.Text(value[:min(len(value), valueText)]), 's')
	first, version, _ := bytes.Cut(value, []byte(" ("))
	if p.kinds > 1 || bytes.Count(value, []byte("), ")) > 0 {
		ev.Unit = ""
		return
	}
	packageName(ev, out, first)
	version = bytes.TrimSuffix(version, []byte(")"))
	from, to, both := bytes.Cut(version, []byte(", "))
	if key == "upgrade" && both {
		packageVersion(out, "old_version", from)
		packageVersion(out, "version", to)
		return
	}
	packageVersion(out, "version", from)
}

func (p *aptBlocks) end() {
	if p.ev == nil {
		return
	}
	if p.ev.Message = p.ev.Cmdline; p.ev.Message == "" {
		p.ev.Message = "package changes"
	}
	p.ev = nil
}
