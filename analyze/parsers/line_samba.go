package parsers

import "github.com/exhibit-dfir/exhibit/analyze"

// sambaLog reads the logs of Samba's daemons: a header with time, level and
// place in the source, and the message in the lines behind it. Times are local
// without zone.
//
// Format: Samba, lib/util/debug.c; auth/auth_log.c for logins.
var sambaLog = register(analyze.Parser{
	Name:    "samba_log",
	Doc:     "logs of Samba",
	Version: 2,
	Family:  "text",
	Types:   []string{"samba:log:entry"},
	Match:   sambaMap.matches,
	Parse:   sambaMap.parse,
})

var sambaMap = &lineMap{
	dataType: "samba:log:entry", short: "LOG", source: "Samba log", joins: true, share: 20,
	forms: []lineForm{
		{pattern: "[{time},{ }{level:int}] {message}"},
		{pattern: "[{time},{ }{level:int}, pid={pid:int}{_}] {message}"},
	},
	rules: [][]lineRule{
		{{pattern: "{source_line:word}\n{_}"}},
		{
			{pattern: "{_}Auth: [{service}] user [{account_domain}]\\[{user}] at [{_}] with [{method}] status [NT_STATUS_OK] workstation [{client}] remote host [{_:=ipv4|ipv6}:{src_ip:addrport}] {_}", action: "user-login", category: "authentication", outcome: "success", once: []string{"] status [", "remote host ["}},
			{pattern: "{_}Auth: [{service}] user [{account_domain}]\\[{user}] at [{_}] with [{method}] status [{status:word}] workstation [{client}] remote host [{_:=ipv4|ipv6}:{src_ip:addrport}] {_}", action: "user-login", category: "authentication", outcome: "failure", once: []string{"] status [", "remote host ["}},
			{pattern: "{_}uthentication for user [{user}] -> [{_}] FAILED with error {status:word}{_:=,|\n| }{_}", action: "user-login", category: "authentication", outcome: "failure"},
			{pattern: "{_}uthentication for user [{user}] -> [{_}] FAILED with error {status:word}", action: "user-login", category: "authentication", outcome: "failure"},
			{pattern: "{_}uthentication for user [{user}] -> [{_}] -> [{_}] succeeded{_}", action: "user-login", category: "authentication", outcome: "success"},
			{pattern: "{_}\n{ }{client:word} ({_:=ipv4|ipv6}:{src_ip:addrport}) connect to service {share:word} {_}as user {user:word} (uid={uid:int}, {_}", action: "share-connected", category: "network", outcome: "success"},
			{pattern: "{_}\n{ }{client:word} ({_:=ipv4|ipv6}:{src_ip:addrport}) closed connection to service {share}", action: "share-disconnected", category: "network"},
		},
	},
}
