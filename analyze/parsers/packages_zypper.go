package parsers

import (
	"bytes"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// zypperHistory reads the history of libzypp, /var/log/zypp/history: fields
// with "|" between, the first a local time without zone, the second an act.
//
//	install|NAME|VERSION|ARCH|REQUESTED BY|REPOSITORY|CHECKSUM
//	remove|NAME|VERSION|ARCH|REQUESTED BY
//	command|USER@HOST|COMMAND LINE
//	radd|ALIAS|URL   rremove|ALIAS   rurl|ALIAS|URL   ralias|OLD|NEW
//
// Lines that begin with "#" are the output of scripts and belong to the act
// before them.
//
// Format: libzypp, zypp/HistoryLog.h.
var zypperHistory = register(analyze.Parser{
	Name:    "zypper_history",
	Doc:     "history of libzypp: packages, repositories, commands",
	Version: 1,
	Family:  "package",
	Types:   []string{"linux:zypper_history:entry"},
	Match:   func(_ *evidence.Item, head []byte) bool { return zypperLines.matches(head) },
	Parse:   zypperLines.parse,
})

var zypperLines = packageLog{
	dataType: "linux:zypper_history:entry", source: "zypper history",
	stamp: func(line []byte, s *logtime.Stamp) (from, to int, body []byte, ok bool) {
		n := logtime.Parse(line, s)
		if n == 0 || s.Year == 0 || n >= len(line) || line[n] != '|' {
			return 0, 0, nil, false
		}
		return 0, n, line[n+1:], true
	},
	known: func(body []byte) bool {
		verb, _, _ := bytes.Cut(body, []byte("|"))
		switch string(bytes.TrimSpace(verb)) {
		case "install", "remove", "command", "radd", "rremove", "rurl", "ralias", "patch":
			return true
		}
		return false
	},
	act: zypperAct,
}

func zypperAct(ev *timeline.Event, out *timeline.Appender, body []byte) {
	field := bytes.Split(body, []byte("|"))
	at := func(i int) []byte {
		if i < len(field) {
			return field[i]
		}
		return nil
	}
	switch string(bytes.TrimSpace(field[0])) {
	case "install":
		ev.Action = "package-installed"
		zypperPackage(ev, out, at)
		textAttr(out, "repository", at(5))
		textAttr(out, "checksum", at(6))
	case "remove":
		ev.Action = "package-removed"
		zypperPackage(ev, out, at)
	case "command":
		zypperRequester(ev, out, at(1))
		ev.Cmdline = out.Text(cutText(at(2)))
	case "radd":
		ev.Action, ev.URL = "repository-added", out.Text(cutText(at(2)))
		textAttr(out, "repository", at(1))
	case "rremove":
		ev.Action = "repository-removed"
		textAttr(out, "repository", at(1))
	case "rurl":
		ev.Action, ev.URL = "repository-changed", out.Text(cutText(at(2)))
		textAttr(out, "repository", at(1))
	case "ralias":
		ev.Action = "repository-changed"
		textAttr(out, "old_repository", at(1))
		textAttr(out, "repository", at(2))
	}
}

func zypperPackage(ev *timeline.Event, out *timeline.Appender, at func(int) []byte) {
	ev.Unit = out.Intern(at(1))
	packageVersion(out, "version", at(2))
	textAttr(out, "arch", at(3))
	zypperRequester(ev, out, at(4))
}

// zypperRequester reads USER@HOST.
func zypperRequester(ev *timeline.Event, out *timeline.Appender, b []byte) {
	if user, _, ok := bytes.Cut(b, []byte("@")); ok {
		ev.User = out.Intern(user)
	}
	textAttr(out, "requested_by", b)
}
