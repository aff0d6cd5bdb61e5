package parsers

import (
	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// awsCloudTrail reads the log files of AWS CloudTrail, {"Records": […]}, and
// records on a line each as log shippers write them.
//
// Format: AWS CloudTrail user guide, "CloudTrail record contents".
var awsCloudTrail = register(analyze.Parser{
	Name:    "aws_cloudtrail",
	Doc:     "AWS CloudTrail: calls of the AWS API",
	Version: 1,
	Family:  "cloud",
	Types:   []string{"aws:cloudtrail:entry"},
	Match:   cloudTrailMap.matches,
	Parse:   cloudTrailMap.parse,
})

var cloudTrailMap = jsonMap{
	dataType: "aws:cloudtrail:entry", short: "CLOUD", source: "AWS CloudTrail",
	records: "Records", keys: []string{"eventVersion", "eventSource", "eventName", "eventTime"},
	times: []jsonTime{{path: "eventTime"}}, desc: "Recorded Time", kind: timeline.Observed,
	columns: []jsonColumn{
		{"user", []string{"userIdentity.userName", "userIdentity.sessionContext.sessionIssuer.userName", "userIdentity.arn", "userIdentity.invokedBy"}},
		{"sid", []string{"userIdentity.principalId"}},
		{"session", []string{"userIdentity.accessKeyId"}},
		{"src_ip", []string{"sourceIPAddress"}},
		{"event_code", []string{"eventName"}},
		{"channel", []string{"eventSource"}},
		{"file", []string{"requestParameters.key"}},
		{"unit", []string{"requestParameters.bucketName", "requestParameters.instanceId", "requestParameters.roleName"}},
	},
	rules: []jsonRule{
		{action: "api-call", category: "api", outcome: "success"},
		{path: "eventName", value: "ConsoleLogin", action: "user-login", category: "authentication"},
		{path: "eventName", value: "AssumeRole", action: "role-assumed", category: "iam"},
		{path: "eventName", value: "CreateUser", action: "account-created", category: "iam"},
		{path: "eventName", value: "DeleteUser", action: "account-deleted", category: "iam"},
		{path: "eventName", value: "CreateAccessKey", action: "access-key-created", category: "iam"},
		{path: "eventName", value: "StopLogging", action: "log-stopped", category: "configuration"},
		{path: "eventName", value: "DeleteTrail", action: "log-deleted", category: "configuration"},
		{path: "errorCode", outcome: "failure"},
		{path: "responseElements.ConsoleLogin", value: "Failure", outcome: "failure"},
	},
	message: []string{"eventSource", "eventName", "userIdentity.arn", "sourceIPAddress", "errorCode", "errorMessage"},
}
