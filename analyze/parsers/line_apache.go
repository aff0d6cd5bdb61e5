package parsers

import "github.com/exhibit-dfir/exhibit/analyze"

// apacheError reads error logs of Apache httpd, versions 2.2 and 2.4. Times
// are local without zone.
//
// Format: Apache HTTP Server 2.4, core, "ErrorLogFormat", and the messages of
// its modules. The peer is written before the message, which a client may have
// part in.
var apacheError = register(analyze.Parser{
	Name:    "apache_error",
	Doc:     "error logs of Apache httpd",
	Version: 1,
	Family:  "text",
	Types:   []string{"apache:error_log:entry"},
	Match:   apacheErrorMap.matches,
	Parse:   apacheErrorMap.parse,
})

const apacheLevels = "{level:=emerg|alert|crit|error|warn|notice|info|debug|trace1|trace2|trace3|trace4|trace5|trace6|trace7|trace8}"

var apacheErrorMap = &lineMap{
	dataType: "apache:error_log:entry", short: "WEBLOG", source: "Apache error log", joins: true, share: 4,
	forms: []lineForm{
		{pattern: "[{time:ctime}] [{module}:" + apacheLevels + "] [pid {pid:int}{?:tid {tid:int}}] [{_:=client|remote} {src_ip:addrport}] {message}"},
		{pattern: "[{time:ctime}] [{module}:" + apacheLevels + "] [pid {pid:int}{?:tid {tid:int}}] ({errno:int}){error}: [{_:=client|remote} {src_ip:addrport}] {message}"},
		{pattern: "[{time:ctime}] [{module}:" + apacheLevels + "] [pid {pid:int}{?:tid {tid:int}}] {source_line:word}: [{_:=client|remote} {src_ip:addrport}] {message}"},
		{pattern: "[{time:ctime}] [{module}:" + apacheLevels + "] [pid {pid:int}{?:tid {tid:int}}] {message}"},
		{pattern: "[{time:ctime}] [" + apacheLevels + "] [client {src_ip:addr}] {message}"},
		{pattern: "[{time:ctime}] [" + apacheLevels + "] {message}"},
	},
	rules: [][]lineRule{
		{{pattern: "AH{event_code:int}: {_}"}},
		{{pattern: "{_:last}, referer: {referer}"}},
		{
			{pattern: "{?AH{_:int}: }client denied by server configuration: {file:last}, referer: {_}", action: "access-denied", category: "web", outcome: "failure"},
			{pattern: "{?AH{_:int}: }client denied by server configuration: {file}", action: "access-denied", category: "web", outcome: "failure"},
			{pattern: "{?AH{_:int}: }user {user:last}: authentication failure for {_}", action: "user-login", category: "authentication", outcome: "failure"},
			{pattern: "{?AH{_:int}: }user {user:last} not found: {_}", action: "user-login", category: "authentication", outcome: "failure"},
			{pattern: "{?AH{_:int}: }user `{user}' in realm `{_}", action: "user-login", category: "authentication", outcome: "failure"},
			{pattern: "{?AH{_:int}: }client used wrong authentication scheme{_}", action: "user-login", category: "authentication", outcome: "failure"},
			{pattern: "{?AH{_:int}: }File does not exist: {file:last}, referer: {_}", action: "file-not-found", category: "web", outcome: "failure"},
			{pattern: "{?AH{_:int}: }File does not exist: {file}", action: "file-not-found", category: "web", outcome: "failure"},
			{pattern: "{?AH{_:int}: }script not found or unable to stat: {file}", action: "file-not-found", category: "web", outcome: "failure"},
			{pattern: "{?AH{_:int}: }script '{file:last}' not found or unable to stat{_}", action: "file-not-found", category: "web", outcome: "failure"},
			{pattern: "{?AH{_:int}: }{_:=Apache/}{version:word} {_}resuming normal operations{_}", action: "service-started", category: "process"},
			{pattern: "{?AH{_:int}: }Command line: '{cmdline:last}'{_}", action: "service-started", category: "process"},
			{pattern: "{?AH{_:int}: }caught SIGTERM, shutting down{_}", action: "service-stopped", category: "process"},
			{pattern: "{?AH{_:int}: }SIGHUP received. {_}", action: "service-restarted", category: "process"},
			{pattern: "{?AH{_:int}: }Graceful restart requested{_}", action: "service-restarted", category: "process"},
			{pattern: "{?AH{_:int}: }child pid {target_pid:int} exit signal {signal}", action: "process-crashed", category: "process", outcome: "failure"},
			{pattern: "ModSecurity: Access denied with code {code:int}{_}", action: "request-blocked", category: "web", outcome: "failure"},
			{pattern: "{?[client {_}] }ModSecurity: Access denied{_}", action: "request-blocked", category: "web", outcome: "failure"},
			{pattern: "{?[client {_}] }ModSecurity: Warning. {_}", action: "request-suspicious", category: "web"},
		},
	},
}
