package parsers

import (
	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// falcoAlerts reads the JSON output of Falco.
//
// Format: Falco, "Falco Alerts", json_output.
var falcoAlerts = register(analyze.Parser{
	Name:    "falco",
	Doc:     "alerts of Falco",
	Version: 1,
	Family:  "audit",
	Types:   []string{"falco:alert"},
	Match:   falcoMap.matches,
	Parse:   falcoMap.parse,
})

var falcoMap = jsonMap{
	dataType: "falco:alert", short: "LOG", source: "Falco alert",
	keys:  []string{"output", "priority", "rule", "time"},
	times: []jsonTime{{path: "output_fields.evt.time", unit: "ns"}, {path: "time"}}, desc: "Event Logged", kind: timeline.Observed,
	columns: []jsonColumn{
		{"user", []string{"output_fields.user.name"}},
		{"uid", []string{"output_fields.user.uid"}},
		{"pid", []string{"output_fields.proc.pid"}},
		{"ppid", []string{"output_fields.proc.ppid"}},
		{"exe", []string{"output_fields.proc.exepath", "output_fields.proc.exe"}},
		{"cmdline", []string{"output_fields.proc.cmdline"}},
		{"parent_exe", []string{"output_fields.proc.pname"}},
		{"file", []string{"output_fields.fd.name"}},
		{"container_id", []string{"output_fields.container.id"}},
		{"host", []string{"hostname"}},
		{"event_code", []string{"rule"}},
	},
	rules:   []jsonRule{{action: "alert", category: "intrusion_detection"}},
	message: []string{"priority", "rule", "output"},
}
