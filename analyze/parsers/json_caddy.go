package parsers

import (
	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// caddyLog reads access logs of the web server Caddy.
//
// Format: Caddy, "How Logging Works".
var caddyLog = register(analyze.Parser{
	Name:    "caddy_access",
	Doc:     "access logs of Caddy",
	Version: 1,
	Family:  "text",
	Types:   []string{"caddy:access_log:entry"},
	Match:   caddyMap.matches,
	Parse:   caddyMap.parse,
})

var caddyMap = jsonMap{
	dataType: "caddy:access_log:entry", short: "WEBLOG", source: "Caddy access log",
	keys:  []string{"ts", "logger", "request", "status"},
	times: []jsonTime{{path: "ts", unit: "s"}, {path: "ts"}}, desc: "Recorded Time", kind: timeline.Recorded,
	columns: []jsonColumn{
		{"user", []string{"user_id"}},
		{"src_ip", []string{"request.remote_ip", "request.remote_addr"}},
		{"src_port", []string{"request.remote_port"}},
		{"domain", []string{"request.host"}},
		{"url", []string{"request.uri"}},
		{"event_code", []string{"status"}},
	},
	rules:   []jsonRule{{action: "http-request", category: "web"}},
	message: []string{"request.remote_ip", "request.method", "request.host", "request.uri", "status"},
}
