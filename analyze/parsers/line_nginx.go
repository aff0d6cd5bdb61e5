package parsers

import "github.com/exhibit-dfir/exhibit/analyze"

// nginxError reads error logs of nginx. Times are local without zone.
//
// Format: nginx, ngx_log.c and ngx_http_core_module's ngx_http_log_error: what
// the request was follows the message, in a fixed order. Paths and requests in
// it are the client's text: where "client: " stands twice, attr ambiguous says
// so and neither is taken for the client.
var nginxError = register(analyze.Parser{
	Name:    "nginx_error",
	Doc:     "error logs of nginx",
	Version: 1,
	Family:  "text",
	Types:   []string{"nginx:error_log:entry"},
	Match:   nginxErrorMap.matches,
	Parse:   nginxErrorMap.parse,
})

var nginxErrorMap = &lineMap{
	dataType: "nginx:error_log:entry", short: "WEBLOG", source: "nginx error log", joins: true, share: 4,
	forms: []lineForm{
		{pattern: "{time} [{level:=emerg|alert|crit|error|warn|notice|info|debug}] {pid:int}#{tid:int}: {?*{connection:int} }{message}"},
	},
	rules: [][]lineRule{
		{
			{pattern: "{_}, client: {src_ip:addr}{?, server: {domain}}{?, request: {request:quoted}}{?, subrequest: {subrequest:quoted}}{?, upstream: {upstream:quoted}}{?, host: {http_host:quoted}}{?, referrer: {referer:quoted}}{?, {_}}", once: []string{", client: "}},
			{pattern: "{_}, client: {src_ip:addr}{?, {_}}", once: []string{", client: "}},
			{pattern: "client {src_ip:addrport} connected to {dst_ip:addrport}"},
		},
		{
			{pattern: "open() \"{file}\" failed (2: {_}", action: "file-not-found", category: "web", outcome: "failure"},
			{pattern: "open() \"{file}\" failed ({errno:int}: {_}", action: "file-open", category: "web", outcome: "failure"},
			{pattern: "\"{file}\" is not found (2: {_}", action: "file-not-found", category: "web", outcome: "failure"},
			{pattern: "directory index of \"{file}\" is forbidden{_}", action: "access-denied", category: "web", outcome: "failure"},
			{pattern: "access forbidden by rule{_}", action: "access-denied", category: "web", outcome: "failure"},
			{pattern: "user \"{user}\" was not found in {_}", action: "user-login", category: "authentication", outcome: "failure"},
			{pattern: "user \"{user}\": password mismatch{_}", action: "user-login", category: "authentication", outcome: "failure"},
			{pattern: "no user/password was provided{_}", action: "user-login", category: "authentication", outcome: "failure"},
			{pattern: "limiting requests{_}", action: "request-limited", category: "web", outcome: "failure"},
			{pattern: "limiting connections{_}", action: "request-limited", category: "web", outcome: "failure"},
			{pattern: "FastCGI sent in stderr: {_}", action: "script-error", category: "web"},
			{pattern: "ModSecurity: Access denied{_}", action: "request-blocked", category: "web", outcome: "failure"},
			{pattern: "[client {_}] ModSecurity: Access denied{_}", action: "request-blocked", category: "web", outcome: "failure"},
			{pattern: "ModSecurity: Warning. {_}", action: "request-suspicious", category: "web"},
			{pattern: "worker process {target_pid:int} exited on signal {signal}", action: "process-crashed", category: "process", outcome: "failure"},
			{pattern: "start worker processes", action: "service-started", category: "process"},
			{pattern: "signal {_} received{?, {_}}, exiting", action: "service-stopped", category: "process"},
			{pattern: "signal 15 (SIGTERM) received{_}", action: "service-stopped", category: "process"},
			{pattern: "reconfiguring", action: "service-reloaded", category: "process"},
		},
	},
}
