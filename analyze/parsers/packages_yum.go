package parsers

import (
	"bytes"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// yumLog reads the log of yum: "Jan 05 12:34:56 Installed: PACKAGE", local
// times without zone and year.
var yumLog = register(analyze.Parser{
	Name:    "yum_log",
	Doc:     "yum.log: packages that were installed, updated and erased",
	Version: 1,
	Family:  "package",
	Types:   []string{"linux:yum_log:entry"},
	Match:   func(_ *evidence.Item, head []byte) bool { return yumLines.matches(head) },
	Parse:   yumLines.parse,
})

var yumLines = packageLog{
	dataType: "linux:yum_log:entry", source: "yum log",
	stamp: func(line []byte, s *logtime.Stamp) (from, to int, body []byte, ok bool) {
		n := logtime.Parse(line, s)
		if n == 0 || s.Year != 0 || n >= len(line) || line[n] != ' ' {
			return 0, 0, nil, false
		}
		return 0, n, line[n+1:], true
	},
	known: func(body []byte) bool {
		verb, pkg, ok := bytes.Cut(body, []byte(": "))
		return ok && rpmVerbs[string(verb)] != "" && bytes.IndexByte(pkg, ' ') < 0
	},
	act: rpmAct,
}
