package parsers

import (
	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// osqueryResults reads the results log of osqueryd: rows that a scheduled query
// added or removed, at the time of the query.
//
// Format: osquery, "Logging", event format.
var osqueryResults = register(analyze.Parser{
	Name:    "osquery_results",
	Doc:     "results of osquery's scheduled queries",
	Version: 1,
	Family:  "live",
	Types:   []string{"osquery:result"},
	Match:   osqueryMap.matches,
	Parse:   osqueryMap.parse,
})

var osqueryMap = jsonMap{
	dataType: "osquery:result", short: "LOG", source: "osquery result",
	keys:  []string{"name", "hostIdentifier", "unixTime", "action"},
	times: []jsonTime{{path: "unixTime", unit: "s"}}, desc: "Query Run", kind: timeline.State,
	columns: []jsonColumn{
		{"host", []string{"decorations.hostname", "hostIdentifier"}},
		{"user", []string{"columns.username", "columns.user"}},
		{"pid", []string{"columns.pid"}},
		{"ppid", []string{"columns.parent"}},
		{"exe", []string{"columns.path"}},
		{"cmdline", []string{"columns.cmdline"}},
		{"src_ip", []string{"columns.local_address"}},
		{"src_port", []string{"columns.local_port"}},
		{"dst_ip", []string{"columns.remote_address"}},
		{"dst_port", []string{"columns.remote_port"}},
		{"sha256", []string{"columns.sha256"}},
		{"event_code", []string{"name"}},
	},
	rules: []jsonRule{
		{path: "action", value: "added", action: "state-added", category: "host"},
		{path: "action", value: "removed", action: "state-removed", category: "host"},
		{path: "action", value: "snapshot", action: "state", category: "host"},
	},
	message: []string{"name", "action", "columns.path", "columns.cmdline", "columns.username"},
}
