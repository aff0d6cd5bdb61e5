package parsers

import (
	"bytes"
	"context"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// dpkgLog reads dpkg.log, dpkg(1) "log": a local time without zone, then
//
//	startup TYPE COMMAND
//	status STATE PACKAGE INSTALLED-VERSION
//	ACTION PACKAGE INSTALLED-VERSION AVAILABLE-VERSION
//	conffile FILE DECISION
var dpkgLog = register(analyze.Parser{
	Name:    "dpkg_log",
	Doc:     "dpkg.log: package actions and states",
	Version: 1,
	Family:  "package",
	Types:   []string{"linux:dpkg_log:entry"},
	Match:   matchDpkg,
	Parse:   parseDpkg,
})

const packageCategory = "package"

func matchDpkg(_ *evidence.Item, head []byte) bool {
	lines := textline.Of(head)
	total, good := 0, 0
	var s logtime.Stamp
	for total < headLines && lines.Next() {
		if len(lines.Line) == 0 {
			continue
		}
		total++
		if body, _, ok := dpkgLine(lines.Line, &s); ok {
			verb, _, _ := bytes.Cut(body, []byte(" "))
			if dpkgVerb(verb) {
				good++
			}
		}
	}
	return good > 0 && 2*good >= total
}

// dpkgLine splits a line into its time and the rest.
func dpkgLine(line []byte, s *logtime.Stamp) (body []byte, stamp int, ok bool) {
	n := logtime.Parse(line, s)
	if n == 0 || s.Year == 0 || n >= len(line) || line[n] != ' ' {
		return nil, 0, false
	}
	return line[n+1:], n, true
}

func dpkgVerb(verb []byte) bool {
	switch string(verb) {
	case "startup", "status", "conffile", "install", "upgrade", "configure", "trigproc", "disappear", "remove", "purge":
		return true
	}
	return false
}

func parseDpkg(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	times := newLogTimes(src.Host)
	records := newTextRecords(out)
	bad := badLines{out: out, code: evidence.Corrupt, what: "no package action"}
	lines := textline.NewReader(src)
	var s logtime.Stamp
	for lines.Next() {
		records.damage(lines)
		if len(lines.Line) == 0 {
			continue
		}
		body, n, ok := dpkgLine(lines.Line, &s)
		if !ok {
			bad.add(lines)
			continue
		}
		ev := records.begin(lines)
		ev.DataType, ev.SourceShort, ev.SourceLong = "linux:dpkg_log:entry", "PKG", "dpkg log"
		ev.TSDesc, ev.Category = "Package State", packageCategory
		times.set(ev, out, &s, lines.Line[:n], lines.Offset)
		if ev.Message = out.Text(body); ev.Message == "" {
			ev.Message = out.Text(lines.Line)
		}
		dpkgAction(ev, out, body)
		if out.Err() != nil {
			return nil
		}
	}
	bad.end()
	return lines.Err()
}

func dpkgAction(ev *timeline.Event, out *timeline.Appender, body []byte) {
	word := bytes.SplitN(body, []byte(" "), 5)
	at := func(i int) []byte {
		if i < len(word) {
			return word[i]
		}
		return nil
	}
	switch string(at(0)) {
	case "install":
		ev.Action = "package-installed"
	case "upgrade":
		ev.Action = "package-upgraded"
	case "configure":
		ev.Action = "package-configured"
	case "remove", "disappear":
		ev.Action = "package-removed"
	case "purge":
		ev.Action = "package-purged"
	case "trigproc":
		ev.Action = "package-triggered"
	case "status":
		ev.Action = "package-state-changed"
		out.AttrRaw("state", out.Intern(at(1)), 's')
		packageName(ev, out, at(2))
		packageVersion(out, "version", at(3))
		return
	case "conffile":
		ev.File = out.Text(at(1))
		out.AttrRaw("decision", out.Intern(at(2)), 's')
		return
	default:
		return
	}
	packageName(ev, out, at(1))
	switch ev.Action {
	case "package-installed", "package-upgraded":
		packageVersion(out, "old_version", at(2))
		packageVersion(out, "version", at(3))
	default:
		packageVersion(out, "version", at(2))
	}
}

// packageName splits NAME:ARCH.
func packageName(ev *timeline.Event, out *timeline.Appender, b []byte) {
	name, arch, _ := bytes.Cut(b, []byte(":"))
	ev.Unit = out.Intern(name)
	if len(arch) > 0 {
		out.AttrRaw("arch", out.Intern(arch), 's')
	}
}

func packageVersion(out *timeline.Appender, key string, b []byte) {
	if len(b) > 0 && string(b) != "<none>" {
		out.AttrRaw(key, out.Intern(b), 's')
	}
}
