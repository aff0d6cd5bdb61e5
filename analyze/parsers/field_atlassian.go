package parsers

import (
	"bytes"

	"github.com/exhibit-dfir/exhibit/analyze"
)

// bitbucketAccess reads access logs of Bitbucket: HTTP, SSH and internal
// requests. Times are local without zone. Behind a proxy the address is a
// list; then src_ip is not set.
//
// Format: Atlassian, "How to read the Bitbucket Data Center log formats".
var bitbucketAccess = register(analyze.Parser{
	Name:    "bitbucket_access",
	Doc:     "access logs of Bitbucket",
	Version: 1,
	Family:  "text",
	Types:   []string{"atlassian:bitbucket:access"},
	Match:   bitbucketAccessMap.matches,
	Parse:   bitbucketAccessMap.parse,
})

var bitbucketAccessMap = &fieldMap{
	dataType: "atlassian:bitbucket:access", short: "WEBLOG", source: "Bitbucket access log",
	desc: "Recorded Time", split: splitBars,
	forms: []fieldForm{
		{names: "remote_address protocol request_id user time request clients event_code bytes_read bytes_written labels duration_ms session"},
		{names: "remote_address protocol request_id mesh_id user time request clients event_code bytes_read bytes_written labels duration_ms extra session"},
	},
	rules: []lineRule{
		{in: "remote_address", pattern: "{src_ip:addr}"},
		{in: "request", pattern: "\"{method:=GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|TRACE} {url:last} {http_version:word}\"", action: "http-request", category: "web"},
		{in: "request", pattern: "\"SSH - {cmdline:last}\"", action: "ssh-command", category: "process"},
		{in: "clients", pattern: "\"{referer:last}\" \"{user_agent}\""},
		{in: "event_code", pattern: "{_:=1|2|3}{_}", outcome: "success"},
		{in: "event_code", pattern: "{_:=4|5}{_}", outcome: "failure"},
	},
}

// bitbucketAudit reads audit logs of Bitbucket. Times are UTC.
//
// Format: Atlassian, "Audit events in Bitbucket Server", versions before 7.0.
var bitbucketAudit = register(analyze.Parser{
	Name:    "bitbucket_audit",
	Doc:     "audit logs of Bitbucket before version 7",
	Version: 1,
	Family:  "text",
	Types:   []string{"atlassian:bitbucket:audit"},
	Match:   bitbucketAuditMap.matches,
	Parse:   bitbucketAuditMap.parse,
})

var bitbucketAuditMap = &fieldMap{
	dataType: "atlassian:bitbucket:audit", short: "LOG", source: "Bitbucket audit log",
	desc: "Recorded Time", utc: true, time: "milli", split: splitBars,
	forms: []fieldForm{
		{names: "remote_address event_code user time entity details request_id session"},
	},
	rules: []lineRule{
		{in: "remote_address", pattern: "{src_ip:addr}"},
		{in: "event_code", pattern: "UserLoggedInEvent", action: "user-login", category: "authentication", outcome: "success"},
		{in: "event_code", pattern: "UserAuthenticationFailedEvent", action: "user-login", category: "authentication", outcome: "failure"},
		{in: "event_code", pattern: "UserCreatedEvent", action: "account-created", category: "iam"},
		{in: "event_code", pattern: "UserDeletedEvent", action: "account-deleted", category: "iam"},
		{in: "event_code", pattern: "RepositoryCreatedEvent", action: "repository-created", category: "configuration"},
		{in: "event_code", pattern: "RepositoryDeletedEvent", action: "repository-deleted", category: "configuration"},
	},
}

// splitBars splits at bars, with the blanks around them and the bar that may
// end the line.
func splitBars(line []byte, into [][]byte) [][]byte {
	line = bytes.TrimRight(line, " ")
	line, _ = bytes.CutSuffix(line, []byte(" |"))
	from := len(into)
	into = splitBarsOnly(line, into)
	for i := from; i < len(into); i++ {
		into[i] = bytes.TrimSpace(into[i])
	}
	return into
}

var splitBarsOnly = splitAt(" | ")

// confluenceAccess reads access logs of Confluence before version 7.11; later
// ones are in Apache's form.
//
// Format: Atlassian, "Audit Confluence Using the Tomcat Valve Component".
var confluenceAccess = register(analyze.Parser{
	Name:    "confluence_access",
	Doc:     "access logs of Confluence",
	Version: 1,
	Family:  "text",
	Types:   []string{"confluence:access"},
	Match:   confluenceAccessMap.matches,
	Parse:   confluenceAccessMap.parse,
})

var confluenceAccessMap = &lineMap{
	dataType: "confluence:access", short: "WEBLOG", source: "Confluence access log", desc: "Recorded Time",
	forms: []lineForm{
		{pattern: "[{time}] {user:word} {thread:word} {src_ip:word} {method:word} {url:word} {protocol:word} {event_code:int} {duration_ms:int}ms {size:word} {referer:word} {user_agent}", action: "http-request", category: "web"},
	},
	rules: [][]lineRule{{
		{in: "event_code", pattern: "{_:=1|2|3}{_}", outcome: "success"},
		{in: "event_code", pattern: "{_:=4|5}{_}", outcome: "failure"},
	}},
}
