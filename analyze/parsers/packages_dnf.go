package parsers

import (
	"bytes"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// dnfLog reads the logs of DNF: dnf.log, dnf.rpm.log, dnf.librepo.log and
// dnf5.log. A line is "TIME±ZONE [PID] LEVEL MESSAGE", the number in dnf5's
// only; the level is attr severity.
var dnfLog = register(analyze.Parser{
	Name:    "dnf_log",
	Doc:     "dnf.log, dnf.rpm.log, dnf5.log: what DNF did",
	Version: 1,
	Family:  "package",
	Types:   []string{"linux:dnf_log:entry"},
	Match: func(it *evidence.Item, head []byte) bool {
		name := it.Path[strings.LastIndexByte(it.Path, '/')+1:]
		// Programs of all kinds write a time and a level.
		return (strings.HasPrefix(name, "dnf") || bytes.Contains(head, []byte("--- logging initialized ---"))) && dnfLines.matches(head)
	},
	Parse: dnfLines.parse,
})

var dnfLines = packageLog{
	dataType: "linux:dnf_log:entry", source: "dnf log",
	stamp: func(line []byte, s *logtime.Stamp) (from, to int, body []byte, ok bool) {
		n := logtime.Parse(line, s)
		if n == 0 || s.Year == 0 || n >= len(line) || line[n] != ' ' {
			return 0, 0, nil, false
		}
		return 0, n, line[n+1:], true
	},
	known: func(body []byte) bool {
		_, level, _ := dnfFields(body)
		switch string(level) {
		case "ALL", "TRACE", "SUBDEBUG", "DDEBUG", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "SUPERCRITICAL":
			return true
		}
		return false
	},
	act: dnfAct,
}

// dnfFields splits "[PID] LEVEL MESSAGE".
func dnfFields(body []byte) (pid, level, message []byte) {
	if rest, ok := bytes.CutPrefix(body, []byte("[")); ok {
		if number, tail, ok := bytes.Cut(rest, []byte("] ")); ok {
			pid, body = number, tail
		}
	}
	level, message, _ = bytes.Cut(body, []byte(" "))
	return pid, level, message
}

func dnfAct(ev *timeline.Event, out *timeline.Appender, body []byte) {
	pid, level, message := dnfFields(body)
	setInt(&ev.PID, pid)
	textAttr(out, "severity", level)
	rpmAct(ev, out, message)
	for _, p := range [...]struct{ before, after string }{
		{"Command: ", ""}, {`--- DNF5 launched with arguments: "`, `" ---`},
	} {
		if command, ok := bytes.CutPrefix(message, []byte(p.before)); ok {
			ev.Cmdline = out.Text(bytes.TrimSuffix(command, []byte(p.after)))
		}
	}
}
