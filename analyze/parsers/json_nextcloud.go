package parsers

import (
	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// nextcloudLog reads nextcloud.log and audit.log of Nextcloud and ownCloud.
//
// Format: Nextcloud administration manual, "Logging".
var nextcloudLog = register(analyze.Parser{
	Name:    "nextcloud_log",
	Doc:     "logs of Nextcloud and ownCloud",
	Version: 2,
	Family:  "text",
	Types:   []string{"nextcloud:log:entry"},
	Match:   nextcloudMap.matches,
	Parse:   nextcloudMap.parse,
})

var nextcloudMap = jsonMap{
	dataType: "nextcloud:log:entry", short: "LOG", source: "Nextcloud log",
	keys:  []string{"reqId", "level", "time", "remoteAddr", "app", "message"},
	times: []jsonTime{{path: "time"}}, desc: "Recorded Time", kind: timeline.Recorded,
	columns: []jsonColumn{
		{"user", []string{"user"}},
		{"src_ip", []string{"remoteAddr"}},
		{"url", []string{"url"}},
	},
	meaning: &ruleSet{list: []lineRule{
		{pattern: "Login failed: '{user:last}' (Remote IP: {_}", action: "user-login", category: "authentication", outcome: "failure"},
		{pattern: "Login failed: {user:last} (Remote IP: {_}", action: "user-login", category: "authentication", outcome: "failure"},
		{pattern: "Login successful: \"{user:last}\"{_}", action: "user-login", category: "authentication", outcome: "success"},
		{pattern: "Bruteforce attempt from \"{_}\" detected for action \"{attempted}\".", action: "attack-detected", category: "intrusion_detection"},
		{pattern: "Trusted domain error. {_}", action: "access-denied", category: "web", outcome: "failure"},
		{pattern: "File accessed: \"{file:last}\"", action: "file-read", category: "file"},
		{pattern: "File written to: \"{file:last}\"", action: "file-written", category: "file"},
		{pattern: "File deleted: \"{file:last}\"", action: "file-deleted", category: "file"},
	}},
	message: []string{"message"},
}
