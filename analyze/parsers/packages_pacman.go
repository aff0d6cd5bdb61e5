package parsers

import (
	"bytes"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// pacmanLog reads pacman.log: "[TIME±ZONE] [PROGRAM] MESSAGE"; before pacman
// 5.2 the time is local, without zone and seconds, and before 4.1 there is no
// program. Attr program is who wrote: ALPM, PACMAN, ALPM-SCRIPTLET.
var pacmanLog = register(analyze.Parser{
	Name:    "pacman_log",
	Doc:     "pacman.log: packages, commands, output of their scripts",
	Version: 1,
	Family:  "package",
	Types:   []string{"linux:pacman_log:entry"},
	Match:   func(_ *evidence.Item, head []byte) bool { return pacmanLines.matches(head) },
	Parse:   pacmanLines.parse,
})

var pacmanLines = packageLog{
	dataType: "linux:pacman_log:entry", source: "pacman log",
	stamp: pacmanStamp,
	known: func(body []byte) bool {
		program, message := pacmanProgram(body)
		switch string(program) {
		case "ALPM", "PACMAN", "ALPM-SCRIPTLET":
			return true
		}
		verb, _, _ := bytes.Cut(message, []byte(" "))
		return program == nil && (pacmanVerb(verb) != "" || bytes.HasPrefix(message, []byte("synchronizing package lists")))
	},
	act: pacmanAct,
}

// pacmanStamp reads "[2026-11-23T10:00:01+0100] " and "[2012-11-23 10:00] ".
func pacmanStamp(line []byte, s *logtime.Stamp) (from, to int, body []byte, ok bool) {
	end := bytes.Index(line[:min(len(line), 48)], []byte("] "))
	if end < 0 || line[0] != '[' {
		return 0, 0, nil, false
	}
	text := line[1:end]
	if len(text) == len("2012-11-23 10:00") {
		text = append(text[:len(text):len(text)], ":00"...)
	}
	if logtime.Parse(text, s) != len(text) || s.Year == 0 {
		return 0, 0, nil, false
	}
	return 1, end, line[end+2:], true
}

// pacmanProgram splits "[PROGRAM] MESSAGE".
func pacmanProgram(body []byte) (program, message []byte) {
	if rest, ok := bytes.CutPrefix(body, []byte("[")); ok {
		if p, tail, ok := bytes.Cut(rest, []byte("] ")); ok {
			return p, tail
		}
	}
	return nil, body
}

func pacmanVerb(verb []byte) string {
	switch string(verb) {
	case "installed", "reinstalled":
		return "package-installed"
	case "upgraded", "downgraded":
		return "package-upgraded"
	case "removed":
		return "package-removed"
	}
	return ""
}

func pacmanAct(ev *timeline.Event, out *timeline.Appender, body []byte) {
	if ev.TSState == timeline.TimeOK && len(ev.TSRaw) == len("2012-11-23 10:00") {
		ev.TSPrec = timeline.Minute
	}
	program, message := pacmanProgram(body)
	textAttr(out, "program", program)
	if command, ok := bytes.CutPrefix(message, []byte("Running '")); ok && string(program) == "PACMAN" {
		ev.Cmdline = out.Text(bytes.TrimSuffix(command, []byte("'")))
		return
	}
	if program != nil && string(program) != "ALPM" {
		return // what a script prints is no act of the package manager
	}
	verb, rest, _ := bytes.Cut(message, []byte(" "))
	name, version, ok := bytes.Cut(rest, []byte(" ("))
	action := pacmanVerb(verb)
	if action == "" || !ok {
		return
	}
	ev.Action, ev.Unit = action, out.Intern(name)
	version = bytes.TrimSuffix(version, []byte(")"))
	from, to, both := bytes.Cut(version, []byte(" -> "))
	if both {
		packageVersion(out, "old_version", from)
		version = to
	}
	packageVersion(out, "version", version)
}
