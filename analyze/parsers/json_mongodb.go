package parsers

import (
	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// mongodbLog reads the log of MongoDB since version 4.4: one JSON object a
// line.
//
// Format: MongoDB manual, "Log Messages".
var mongodbLog = register(analyze.Parser{
	Name:    "mongodb_log",
	Doc:     "structured logs of MongoDB",
	Version: 1,
	Family:  "text",
	Types:   []string{"mongodb:log:entry"},
	Match:   mongodbMap.matches,
	Parse:   mongodbMap.parse,
})

var mongodbMap = jsonMap{
	dataType: "mongodb:log:entry", short: "LOG", source: "MongoDB log",
	keys:  []string{"t", "s", "c", "ctx", "msg"},
	times: []jsonTime{{path: "t.$date"}}, desc: "Recorded Time", kind: timeline.Recorded,
	columns: []jsonColumn{
		{"user", []string{"attr.principalName", "attr.user", "attr.user.user"}},
		{"src_ip", []string{"attr.remote", "attr.client"}},
		{"event_code", []string{"id"}},
		{"channel", []string{"c"}},
		{"pid", []string{"attr.pid"}},
		{"cmdline", []string{"attr.options.cmdLine"}},
	},
	rules: []jsonRule{
		{path: "msg", value: "Connection accepted", action: "connection-opened", category: "network"},
		{path: "msg", value: "Connection ended", action: "connection-closed", category: "network"},
		{path: "msg", value: "Authentication failed", action: "user-login", category: "authentication", outcome: "failure"},
		{path: "msg", value: "Failed to authenticate", action: "user-login", category: "authentication", outcome: "failure"},
		{path: "msg", value: "Authentication succeeded", action: "user-login", category: "authentication", outcome: "success"},
		{path: "msg", value: "Successfully authenticated", action: "user-login", category: "authentication", outcome: "success"},
		{path: "msg", value: "Checking authorization failed", action: "access-denied", category: "authentication", outcome: "failure"},
		{path: "msg", value: "MongoDB starting", action: "service-starting", category: "process"},
		{path: "msg", value: "Waiting for connections", action: "service-started", category: "process"},
		{path: "msg", value: "Received signal", action: "service-stopping", category: "process"},
		{path: "msg", value: "Shutting down", action: "service-stopping", category: "process"},
		{path: "msg", value: "Slow query", action: "database-query", category: "database"},
		{path: "msg", value: "CMD: drop", action: "collection-dropped", category: "database"},
		{path: "msg", value: "dropDatabase - starting", action: "database-dropped", category: "database"},
	},
	message: []string{"msg", "attr.error", "attr.namespace", "attr.ns", "attr.db"},
}
