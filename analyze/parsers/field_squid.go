package parsers

import "github.com/exhibit-dfir/exhibit/analyze"

// squidAccess reads access logs of Squid in its native format. Times are UTC:
// seconds since 1970, of the end of the request.
//
// Format: Squid wiki, "Squid Log Files", access.log; squid.conf logformat squid.
var squidAccess = register(analyze.Parser{
	Name:    "squid_access",
	Doc:     "access logs of Squid, native format",
	Version: 1,
	Family:  "text",
	Types:   []string{"squid:access"},
	Match:   squidMap.matches,
	Parse:   squidMap.parse,
})

var squidMap = &fieldMap{
	dataType: "squid:access", short: "WEBLOG", source: "Squid access log",
	desc: "Recorded Time", utc: true, time: "epoch", split: splitBlanks,
	forms: []fieldForm{
		{names: "time elapsed_ms src_ip result size method url user hierarchy content_type"},
	},
	rules: []lineRule{
		{in: "result", pattern: "{squid_status:word}/{event_code:int}", action: "http-request", category: "web"},
		{in: "hierarchy", pattern: "{hierarchy_code:word}/{dst_ip}"},
		{in: "url", pattern: "{_:word}://{domain:word}/{_}"},
		{in: "url", pattern: "{domain:word}:{dst_port:int}"},
		{in: "event_code", pattern: "{_:=1|2|3}{_}", outcome: "success"},
		{in: "event_code", pattern: "{_:=4|5}{_}", outcome: "failure"},
		{in: "result", pattern: "TCP_DENIED{_}", outcome: "failure"},
	},
}
