package parsers

import "github.com/exhibit-dfir/exhibit/analyze"

// namedLog reads logs that BIND writes to files of its own. Times are local
// without zone.
//
// Format: BIND 9 administrator reference manual, "logging", channels to files
// with print-time.
var namedLog = register(analyze.Parser{
	Name:    "named_log",
	Doc:     "logs of BIND",
	Version: 1,
	Family:  "text",
	Types:   []string{"bind:log:entry"},
	Match:   namedMap.matches,
	Parse:   namedMap.parse,
})

var namedMap = &lineMap{
	dataType: "bind:log:entry", short: "LOG", source: "BIND log", byRules: true, share: 4,
	forms: []lineForm{
		{pattern: "{time} {message}"},
	},
	rules: [][]lineRule{namedPeers, namedRules},
}
