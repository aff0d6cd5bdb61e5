package parsers

import (
	"bytes"
	"context"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// packageLog reads the log of a package manager that writes a line for each
// act; lines without a time belong to the one before them.
type packageLog struct {
	dataType, source string

	// stamp finds the time at the line's beginning and returns where it is
	// and what the line says behind it.
	stamp func(line []byte, s *logtime.Stamp) (from, to int, body []byte, ok bool)
	known func(body []byte) bool // a line that only this program writes
	act   func(ev *timeline.Event, out *timeline.Appender, body []byte)
}

// matches wants half of the first lines to have a time, and one that only
// this program writes.
func (p *packageLog) matches(head []byte) bool {
	if bytes.IndexByte(head[:min(len(head), 16)], 0) >= 0 {
		return false
	}
	lines := textline.Of(head)
	total, good, known := 0, 0, false
	var s logtime.Stamp
	for total < headLines && lines.Next() {
		if len(lines.Line) == 0 {
			continue
		}
		total++
		if _, _, body, ok := p.stamp(lines.Line, &s); ok {
			good++
			known = known || p.known(body)
		}
	}
	return known && 2*good >= total
}

func (p *packageLog) parse(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	times := newLogTimes(src.Host)
	content, err := times.open(src, out, func(line []byte, s *logtime.Stamp) bool {
		_, _, _, ok := p.stamp(line, s)
		return ok
	})
	if err != nil {
		return err
	}
	records := newTextRecords(out)
	lines := textline.NewReader(content)
	var s logtime.Stamp
	for lines.Next() {
		records.damage(lines)
		if len(lines.Line) == 0 {
			continue
		}
		from, to, body, ok := p.stamp(lines.Line, &s)
		if !ok {
			if !records.join(lines) {
				p.name(records.ev)
			}
			continue
		}
		ev := records.begin(lines)
		p.name(ev)
		times.set(ev, out, &s, lines.Line[from:to], lines.Offset)
		if ev.Message = out.Text(body[:min(len(body), joinText)]); ev.Message == "" {
			ev.Message = out.Text(lines.Line[:min(len(lines.Line), joinText)])
		}
		p.act(ev, out, body)
		if out.Err() != nil {
			return nil
		}
	}
	records.finish()
	return lines.Err()
}

func (p *packageLog) name(ev *timeline.Event) {
	ev.DataType, ev.SourceShort, ev.SourceLong = p.dataType, "PKG", p.source
	ev.TSDesc, ev.Category = "Package State", packageCategory
}

// rpmVerbs are the words that yum and dnf put in front of a package.
var rpmVerbs = map[string]string{
	"Installed": "package-installed", "Install": "package-installed", "Dep-Installed": "package-installed",
	"Reinstall": "package-installed", "Obsolete": "package-installed", "Obsoleting": "package-installed",
	"Updated": "package-upgraded", "Update": "package-upgraded", "Upgrade": "package-upgraded", "Downgrade": "package-upgraded",
	"Upgraded": "package-replaced", "Downgraded": "package-replaced", "Reinstalled": "package-replaced", "Cleanup": "package-replaced",
	"Erased": "package-removed", "Erase": "package-removed", "Removed": "package-removed", "Remove": "package-removed", "Obsoleted": "package-removed",
}

// rpmAct reads "VERB: NAME-VERSION-RELEASE.ARCH".
func rpmAct(ev *timeline.Event, out *timeline.Appender, body []byte) {
	verb, pkg, ok := bytes.Cut(body, []byte(": "))
	action := rpmVerbs[string(verb)]
	if !ok || action == "" || bytes.IndexByte(pkg, ' ') >= 0 {
		return
	}
	ev.Action = action
	rpmName(ev, out, pkg)
}

// rpmName splits [EPOCH:]NAME-[EPOCH:]VERSION-RELEASE.ARCH; yum writes the
// epoch in front of the name. What is not of this form is all name.
func rpmName(ev *timeline.Event, out *timeline.Appender, b []byte) {
	rest, arch := b, []byte(nil)
	if i := bytes.LastIndexByte(b, '.'); i > 0 {
		rest, arch = b[:i], b[i+1:]
	}
	release := bytes.LastIndexByte(rest, '-')
	if release <= 0 {
		ev.Unit = out.Intern(b)
		return
	}
	version := bytes.LastIndexByte(rest[:release], '-')
	if version <= 0 {
		ev.Unit = out.Intern(b)
		return
	}
	name := rest[:version]
	if i := bytes.IndexByte(name, ':'); i > 0 {
		if _, ok := parseInt(name[:i]); ok {
			textAttr(out, "epoch", name[:i])
			name = name[i+1:]
		}
	}
	ev.Unit = out.Intern(name)
	textAttr(out, "arch", arch)
	packageVersion(out, "version", rest[version+1:])
}
