package parsers

import (
	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// suricataEVE reads eve.json of Suricata: alerts, flows and what its protocol
// decoders saw. A flow is a span from its first to its last packet.
//
// Format: Suricata user guide, "EVE JSON Format".
var suricataEVE = register(analyze.Parser{
	Name:    "suricata_eve",
	Doc:     "eve.json of Suricata: alerts, flows, protocol events",
	Version: 1,
	Family:  "net",
	Types:   []string{"suricata:eve:event", "suricata:eve:alert", "suricata:eve:flow", "suricata:eve:dns", "suricata:eve:http", "suricata:eve:tls", "suricata:eve:ssh", "suricata:eve:fileinfo", "suricata:eve:stats"},
	Match:   suricataMap.matches,
	Parse:   suricataMap.parse,
})

var suricataMap = jsonMap{
	dataType: "suricata:eve:event", short: "IDS", source: "Suricata EVE",
	keys:  []string{"timestamp", "event_type"},
	times: []jsonTime{{path: "flow.start", desc: "Start Time"}, {path: "netflow.start", desc: "Start Time"}, {path: "timestamp"}}, end: jsonTime{path: "flow.end"}, desc: "Event Logged", kind: timeline.Observed,
	columns: []jsonColumn{
		{"src_ip", []string{"src_ip"}},
		{"src_port", []string{"src_port"}},
		{"dst_ip", []string{"dest_ip"}},
		{"dst_port", []string{"dest_port"}},
		{"domain", []string{"dns.rrname", "dns.queries.rrname", "tls.sni", "http.hostname"}},
		{"url", []string{"http.url"}},
		{"file", []string{"fileinfo.filename", "files.filename"}},
		{"sha256", []string{"fileinfo.sha256", "files.sha256"}},
		{"event_code", []string{"alert.signature_id", "event_type"}},
	},
	rules: []jsonRule{
		{category: "network"},
		{path: "event_type", value: "alert", action: "alert", category: "intrusion_detection", dataType: "suricata:eve:alert"},
		{path: "event_type", value: "flow", action: "flow", dataType: "suricata:eve:flow"},
		{path: "event_type", value: "dns", action: "dns-query", dataType: "suricata:eve:dns"},
		{path: "dns.type", value: "answer", action: "dns-answer"},
		{path: "event_type", value: "http", action: "http-request", category: "web", dataType: "suricata:eve:http"},
		{path: "event_type", value: "tls", action: "tls-handshake", dataType: "suricata:eve:tls"},
		{path: "event_type", value: "ssh", action: "ssh-handshake", dataType: "suricata:eve:ssh"},
		{path: "event_type", value: "fileinfo", action: "file-transfer", category: "file", dataType: "suricata:eve:fileinfo"},
		{path: "event_type", value: "stats", action: "statistics", category: "host", dataType: "suricata:eve:stats"},
		{path: "alert.action", value: "blocked", outcome: "failure"},
		{path: "alert.action", value: "allowed", outcome: "success"},
	},
	message: []string{"event_type", "alert.signature", "alert.category", "src_ip", "src_port", "dest_ip", "dest_port", "proto", "dns.rrname", "dns.queries.rrname", "tls.sni", "http.http_method", "http.hostname", "http.url", "http.status"},
}
