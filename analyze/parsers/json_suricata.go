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
	Version: 2,
	Family:  "net",
	Types: []string{
		"suricata:eve:event", "suricata:eve:alert", "suricata:eve:flow", "suricata:eve:dns", "suricata:eve:http", "suricata:eve:tls", "suricata:eve:ssh",
		"suricata:eve:fileinfo", "suricata:eve:stats", "suricata:eve:quic", "suricata:eve:smb", "suricata:eve:dcerpc", "suricata:eve:krb5",
		"suricata:eve:rdp", "suricata:eve:dhcp", "suricata:eve:ftp", "suricata:eve:smtp", "suricata:eve:nfs", "suricata:eve:tftp", "suricata:eve:anomaly",
	},
	Match: suricataMap.matches,
	Parse: suricataMap.parse,
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
		{"domain", []string{"dns.rrname", "dns.queries.rrname", "tls.sni", "quic.sni", "http.hostname"}},
		{"url", []string{"http.url"}},
		{"file", []string{"fileinfo.filename", "files.filename", "ftp_data.filename", "smb.filename", "nfs.filename", "tftp.file"}},
		{"sha256", []string{"fileinfo.sha256", "files.sha256"}},
		{"user", []string{"smb.ntlmssp.user", "rdp.cookie"}},
		{"event_code", []string{"alert.signature_id", "event_type"}},
	},
	rules: []jsonRule{
		{category: "network"},
		// Alerts and files have the members of their protocol, too: what they are
		// themselves comes behind.
		{path: "event_type", value: "quic", action: "tls-handshake", dataType: "suricata:eve:quic"},
		{path: "event_type", value: "smb", action: "smb-command", dataType: "suricata:eve:smb"},
		{path: "smb.filename", action: "smb-create", category: "file"},
		{path: "smb.share", action: "smb-tree-connect", columns: []jsonColumn{{"file", []string{"smb.share"}}}},
		{path: "smb.ntlmssp.user", action: "login", category: "authentication"},
		{path: "smb.status", value: "STATUS_SUCCESS", outcome: "success"},
		{path: "smb.status", value: "STATUS_LOGON_FAILURE", outcome: "failure"},
		{path: "smb.status", value: "STATUS_ACCESS_DENIED", outcome: "failure"},
		{path: "event_type", value: "dcerpc", action: "rpc-call", dataType: "suricata:eve:dcerpc"},
		{path: "event_type", value: "krb5", action: "kerberos-ticket", category: "authentication", dataType: "suricata:eve:krb5", columns: []jsonColumn{{"user", []string{"krb5.cname"}}, {"event_code", []string{"krb5.error_code", "krb5.msg_type"}}}},
		{path: "krb5.cname", value: "<empty>", columns: []jsonColumn{{"user", nil}}},
		{path: "krb5.error_code", outcome: "failure"},
		{path: "event_type", value: "rdp", action: "rdp-connect", dataType: "suricata:eve:rdp"},
		{path: "event_type", value: "dhcp", action: "dhcp", dataType: "suricata:eve:dhcp"},
		{path: "event_type", value: "ftp", action: "ftp-command", dataType: "suricata:eve:ftp"},
		{path: "ftp.command", value: "USER", columns: []jsonColumn{{"user", []string{"ftp.command_data"}}}},
		{path: "ftp.command", value: "RETR", action: "ftp-download", category: "file", columns: []jsonColumn{{"file", []string{"ftp.command_data"}}}},
		{path: "ftp.command", value: "STOR", action: "ftp-upload", category: "file", columns: []jsonColumn{{"file", []string{"ftp.command_data"}}}},
		{path: "ftp.command", value: "DELE", action: "ftp-delete", category: "file", columns: []jsonColumn{{"file", []string{"ftp.command_data"}}}},
		{path: "event_type", value: "ftp_data", action: "file-transfer", category: "file", dataType: "suricata:eve:ftp"},
		{path: "event_type", value: "smtp", action: "mail", category: "email", dataType: "suricata:eve:smtp"},
		{path: "event_type", value: "nfs", action: "file-access", category: "file", dataType: "suricata:eve:nfs"},
		{path: "event_type", value: "tftp", action: "file-transfer", category: "file", dataType: "suricata:eve:tftp"},
		{path: "event_type", value: "anomaly", action: "protocol-anomaly", dataType: "suricata:eve:anomaly", columns: []jsonColumn{{"event_code", []string{"anomaly.event"}}}},
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
	message: []string{"event_type", "alert.signature", "alert.category", "src_ip", "src_port", "dest_ip", "dest_port", "proto", "dns.rrname", "dns.queries.rrname", "tls.sni", "http.http_method", "http.hostname", "http.url", "http.status", "quic.sni", "smb.command", "smb.filename", "smb.share", "smb.ntlmssp.user", "smb.status", "krb5.msg_type", "krb5.cname", "krb5.sname", "krb5.error_code", "rdp.cookie", "dhcp.dhcp_type", "dhcp.client_mac", "dhcp.hostname", "dhcp.assigned_ip", "ftp.command", "ftp.command_data", "ftp_data.filename", "smtp.mail_from", "smtp.rcpt_to", "nfs.procedure", "nfs.filename", "tftp.file", "anomaly.event"},
}
