package parsers

import (
	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// gcpLog reads entries of Google Cloud logging: audit logs and others.
//
// Format: Cloud Logging API v2, "LogEntry", with "AuditLog" in protoPayload.
var gcpLog = register(analyze.Parser{
	Name:    "gcp_log",
	Doc:     "Google Cloud logging: audit and other entries",
	Version: 1,
	Family:  "cloud",
	Types:   []string{"gcp:log:entry"},
	Match:   gcpMap.matches,
	Parse:   gcpMap.parse,
})

var gcpMap = jsonMap{
	dataType: "gcp:log:entry", short: "CLOUD", source: "Google Cloud log",
	records: "entries", keys: []string{"logName", "insertId", "timestamp"},
	times: []jsonTime{{path: "timestamp"}, {path: "receiveTimestamp"}}, desc: "Recorded Time", kind: timeline.Observed,
	columns: []jsonColumn{
		{"user", []string{"protoPayload.authenticationInfo.principalEmail", "jsonPayload.actor.user"}},
		{"src_ip", []string{"protoPayload.requestMetadata.callerIp", "httpRequest.remoteIp"}},
		{"event_code", []string{"protoPayload.methodName", "jsonPayload.event_subtype"}},
		{"channel", []string{"logName"}},
		{"file", []string{"protoPayload.resourceName"}},
		{"unit", []string{"protoPayload.serviceName"}},
		{"url", []string{"httpRequest.requestUrl"}},
	},
	rules: []jsonRule{
		{path: "protoPayload.methodName", action: "api-call", category: "api", outcome: "success"},
		{path: "protoPayload.status.code", outcome: "failure"},
		{path: "httpRequest.requestUrl", action: "http-request", category: "web"},
	},
	message: []string{"protoPayload.serviceName", "protoPayload.methodName", "protoPayload.authenticationInfo.principalEmail", "protoPayload.resourceName", "textPayload", "protoPayload.status.message"},
}
