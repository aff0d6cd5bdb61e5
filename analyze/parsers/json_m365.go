package parsers

import (
	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// m365Audit reads the unified audit log of Microsoft 365 as JSON. Its times
// have no zone and are UTC.
//
// Format: "Office 365 Management Activity API schema", common schema.
var m365Audit = register(analyze.Parser{
	Name:    "m365_audit",
	Doc:     "unified audit log of Microsoft 365",
	Version: 1,
	Family:  "cloud",
	Types:   []string{"m365:auditlog:entry"},
	Match:   m365Map.matches,
	Parse:   m365Map.parse,
})

var m365Map = jsonMap{
	dataType: "m365:auditlog:entry", short: "CLOUD", source: "Microsoft 365 audit log",
	keys:  []string{"CreationTime", "Operation", "RecordType", "UserType", "Workload"},
	times: []jsonTime{{path: "CreationTime"}}, desc: "Recorded Time", kind: timeline.Observed,
	columns: []jsonColumn{
		{"user", []string{"UserId", "UserKey"}},
		{"src_ip", []string{"ClientIP", "ClientIPAddress", "ActorIpAddress"}},
		{"session", []string{"SessionId"}},
		{"event_code", []string{"Operation"}},
		{"channel", []string{"Workload"}},
		{"file", []string{"SourceFileName", "ObjectId"}},
		{"url", []string{"SiteUrl"}},
	},
	rules: []jsonRule{
		{action: "api-call", category: "api"},
		{path: "Operation", value: "UserLoggedIn", action: "user-login", category: "authentication", outcome: "success"},
		{path: "Operation", value: "UserLoginFailed", action: "user-login", category: "authentication", outcome: "failure"},
		{path: "Operation", value: "New-InboxRule", action: "mail-rule-created", category: "configuration"},
		{path: "Operation", value: "Set-InboxRule", action: "mail-rule-changed", category: "configuration"},
		{path: "Operation", value: "MailItemsAccessed", action: "mail-read", category: "email"},
		{path: "Operation", value: "FileDownloaded", action: "file-downloaded", category: "file"},
		{path: "ResultStatus", value: "Success", outcome: "success"},
		{path: "ResultStatus", value: "Succeeded", outcome: "success"},
		{path: "ResultStatus", value: "True", outcome: "success"},
		{path: "ResultStatus", value: "Failed", outcome: "failure"},
		{path: "ResultStatus", value: "False", outcome: "failure"},
	},
	message: []string{"Workload", "Operation", "UserId", "ObjectId", "ResultStatus"},
}
