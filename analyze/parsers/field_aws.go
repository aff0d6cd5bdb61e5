package parsers

import (
	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// awsELB reads access logs of Amazon's load balancers: application, classic
// and network (TLS). Times are UTC.
//
// Format: Elastic Load Balancing user guides, "Access logs".
var awsELB = register(analyze.Parser{
	Name:    "aws_elb",
	Doc:     "access logs of AWS load balancers",
	Version: 1,
	Family:  "cloud",
	Types:   []string{"aws:elb:access"},
	Match:   awsELBMap.matches,
	Parse:   awsELBMap.parse,
})

var awsELBMap = &fieldMap{
	dataType: "aws:elb:access", short: "WEBLOG", source: "AWS load balancer access log",
	desc: "Recorded Time", utc: true, split: splitBlanks,
	forms: []fieldForm{
		{first: []string{"http", "https", "h2", "grpcs", "ws", "wss"}, least: 25, names: "type time unit src_ip dst_ip request_processing_time target_processing_time response_processing_time " +
			"event_code target_status_code received_bytes sent_bytes request user_agent ssl_cipher ssl_protocol target_group_arn trace_id domain chosen_cert_arn " +
			"matched_rule_priority request_creation_time actions_executed redirect_url error_reason target_port_list target_status_code_list classification classification_reason " +
			"conn_trace_id transformed_host transformed_uri request_transform_status"},
		{first: []string{"tls"}, names: "type version time unit listener src_ip dst_ip connection_time tls_handshake_time received_bytes sent_bytes incoming_tls_alert " +
			"chosen_cert_arn chosen_cert_serial tls_cipher tls_protocol_version tls_named_group domain alpn_fe_protocol alpn_be_protocol alpn_client_preference_list tls_connection_creation_time"},
		{least: 12, names: "time unit src_ip dst_ip request_processing_time target_processing_time response_processing_time " +
			"event_code target_status_code received_bytes sent_bytes request user_agent ssl_cipher ssl_protocol"},
	},
	rules: httpRules,
}

// httpRules read a request line and a status.
var httpRules = []lineRule{
	{in: "request", pattern: "{method:word} {url:last} {protocol:word}", action: "http-request", category: "web"},
	{in: "event_code", pattern: "{_:=1|2|3}{_}", outcome: "success"},
	{in: "event_code", pattern: "{_:=4|5}{_}", outcome: "failure"},
}

// awsS3Access reads server access logs of S3 buckets.
//
// Format: Amazon S3 user guide, "Amazon S3 server access log format".
var awsS3Access = register(analyze.Parser{
	Name:    "aws_s3_access",
	Doc:     "server access logs of S3 buckets",
	Version: 1,
	Family:  "cloud",
	Types:   []string{"aws:s3:access"},
	Match:   awsS3Map.matches,
	Parse:   awsS3Map.parse,
})

var awsS3Map = &fieldMap{
	dataType: "aws:s3:access", short: "CLOUD", source: "S3 access log",
	desc: "Recorded Time", utc: true, split: splitBlanks,
	forms: []fieldForm{
		{least: 18, names: "bucket_owner bucket time src_ip user request_id operation file request event_code error_code bytes_sent object_size " +
			"total_time turn_around_time referer user_agent version_id s3_host_id signature_version cipher_suite auth_type domain tls_version access_point_arn acl_required source_region"},
	},
	rules: append([]lineRule{
		{in: "operation", pattern: "{_:=REST.GET.|WEBSITE.GET.}{_}", action: "object-read", category: "file"},
		{in: "operation", pattern: "{_:=REST.PUT.|REST.POST.|REST.COPY.}{_}", action: "object-written", category: "file"},
		{in: "operation", pattern: "{_:=REST.DELETE.|BATCH.DELETE.}{_}", action: "object-deleted", category: "file"},
	}, s3Rules...),
}

var s3Rules = []lineRule{
	{in: "request", pattern: "{method:word} {url:last} {protocol:word}"}, httpRules[1], httpRules[2],
}

// awsVPCFlow reads flow logs of Amazon VPC in the default format, version 2. A
// record is a span.
//
// Format: Amazon VPC user guide, "Flow log records".
var awsVPCFlow = register(analyze.Parser{
	Name:    "aws_vpc_flow",
	Doc:     "flow logs of Amazon VPC in the default format",
	Version: 2,
	Family:  "net",
	Types:   []string{"aws:vpc:flow"},
	Match:   awsVPCFlowMap.matches,
	Parse:   awsVPCFlowMap.parse,
})

var awsVPCFlowMap = &fieldMap{
	dataType: "aws:vpc:flow", short: "FLOW", source: "AWS VPC flow log",
	desc: "Start Time", utc: true, time: "epoch", split: splitBlanks,
	header: "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status",
	forms: []fieldForm{
		{first: []string{"2"}, names: "version account interface src_ip dst_ip src_port dst_port protocol packets bytes time end verdict log_status"},
	},
	after: flowPorts,
	rules: []lineRule{
		{in: "verdict", pattern: "ACCEPT", action: "connection-allowed", category: "network", outcome: "success"},
		{in: "verdict", pattern: "REJECT", action: "connection-blocked", category: "network", outcome: "failure"},
	},
}

// flowPorts takes the zeros back that stand for the ports of protocols that
// have none.
func flowPorts(ev *timeline.Event) {
	switch protocol, _ := ev.Attr("protocol"); protocol {
	case "6", "17", "132":
	default:
		if ev.SrcPort == 0 && ev.DstPort == 0 {
			ev.SrcPort, ev.DstPort = timeline.None, timeline.None
		}
	}
}
