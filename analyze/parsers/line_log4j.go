package parsers

import "github.com/exhibit-dfir/exhibit/analyze"

// log4jLog reads logs in the forms that Log4j and Logback have by custom:
// time, level, thread in brackets, class. Confluence, Jira and Bitbucket,
// ZooKeeper, Hadoop and others write so. Stack traces are part of the record.
// Times are local without zone.
//
// Format: Log4j, PatternLayout, as these products configure it; Atlassian,
// "Bitbucket Data Center and Server debug logging".
var log4jLog = register(analyze.Parser{
	Name:    "log4j_log",
	Doc:     "logs in the forms of Log4j and Logback: Confluence, Bitbucket, ZooKeeper, Hadoop and others",
	Version: 1,
	Family:  "text",
	Types:   []string{"log4j:log:entry", "atlassian:bitbucket:line", "atlassian:confluence:line"},
	Match:   log4jMap.matches,
	Parse:   log4jMap.parse,
})

const log4jLevel = "{level:=TRACE|DEBUG|INFO|WARN|ERROR|FATAL}{ }"

var log4jMap = &lineMap{
	dataType: "log4j:log:entry", short: "LOG", source: "Log4j log", joins: true, share: 10,
	forms: []lineForm{
		{pattern: "{time:iso} " + log4jLevel + "[{thread}] {user:word} {request_id:word} {session:word} {src_ip:addr} \"{request}\" {logger:word} {message}", dataType: "atlassian:bitbucket:line"},
		{pattern: "{time:iso} " + log4jLevel + "[{thread}] [{logger:word}] {method:word} {message}", dataType: "atlassian:confluence:line"},
		{pattern: "{time:iso} " + log4jLevel + "[{thread}] {logger:word}: {message}"},
		{pattern: "{time:iso} " + log4jLevel + "[{thread}] {logger:word} {message}"},
		{pattern: "{time:iso} - " + log4jLevel + "[{thread}] - {message}"},
	},
	rules: [][]lineRule{{
		{pattern: "Received connection request /{src_ip:addrport}", action: "connection-opened", category: "network"},
		{pattern: "Accepted socket connection from /{src_ip:addrport}", action: "connection-opened", category: "network"},
		{pattern: "Closed socket connection for client /{src_ip:addrport} {_}", action: "connection-closed", category: "network"},
	}},
}
