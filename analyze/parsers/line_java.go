package parsers

import "github.com/exhibit-dfir/exhibit/analyze"

// javaLog reads the logs of Java servers that write time, level and thread
// through Log4j or Logback: Confluence, Jira and Bitbucket, ZooKeeper, Hadoop
// and others. Stack traces are part of the record. Times are local without
// zone.
//
// Format: Log4j, PatternLayout, as these products configure it; Atlassian,
// "Bitbucket Data Center and Server debug logging".
var javaLog = register(analyze.Parser{
	Name:    "java_log",
	Doc:     "logs of Java servers: Confluence, Bitbucket, ZooKeeper, Hadoop and others",
	Version: 1,
	Family:  "text",
	Types:   []string{"java:log:entry", "atlassian:bitbucket:line", "atlassian:confluence:line"},
	Match:   javaMap.matches,
	Parse:   javaMap.parse,
})

const javaLevel = "{level:=TRACE|DEBUG|INFO|WARN|ERROR|FATAL}{ }"

var javaMap = &lineMap{
	dataType: "java:log:entry", short: "LOG", source: "Java server log", joins: true, share: 10,
	forms: []lineForm{
		{pattern: "{time:iso} " + javaLevel + "[{thread}] {user:word} {request_id:word} {session:word} {src_ip:addr} \"{request}\" {logger:word} {message}", dataType: "atlassian:bitbucket:line"},
		{pattern: "{time:iso} " + javaLevel + "[{thread}] [{logger:word}] {method:word} {message}", dataType: "atlassian:confluence:line"},
		{pattern: "{time:iso} " + javaLevel + "[{thread}] {logger:word}: {message}"},
		{pattern: "{time:iso} " + javaLevel + "[{thread}] {logger:word} {message}"},
		{pattern: "{time:iso} - " + javaLevel + "[{thread}] - {message}"},
	},
	rules: [][]lineRule{{
		{pattern: "Received connection request /{src_ip:addrport}", action: "connection-opened", category: "network"},
		{pattern: "Accepted socket connection from /{src_ip:addrport}", action: "connection-opened", category: "network"},
		{pattern: "Closed socket connection for client /{src_ip:addrport} {_}", action: "connection-closed", category: "network"},
	}},
}
