package parsers

import "github.com/exhibit-dfir/exhibit/analyze"

// fail2banLog reads the log of Fail2ban: failures found, addresses banned.
// Times are local without zone.
//
// Format: fail2ban, server/server.py, the default format of its log.
var fail2banLog = register(analyze.Parser{
	Name:    "fail2ban_log",
	Doc:     "logs of Fail2ban",
	Version: 1,
	Family:  "text",
	Types:   []string{"fail2ban:log:entry"},
	Match:   fail2banMap.matches,
	Parse:   fail2banMap.parse,
})

var fail2banMap = &lineMap{
	dataType: "fail2ban:log:entry", short: "LOG", source: "Fail2ban log", joins: true, share: 10,
	forms: []lineForm{
		{pattern: "{time} fail2ban.{component:word}{ }[{pid:int}]: {level:word}{ }{message}"},
		{pattern: "{time} fail2ban.{component:word}: {level:word}{ }{message}"},
	},
	rules: [][]lineRule{fail2banRules},
}
