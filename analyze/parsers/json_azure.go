package parsers

import (
	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// azureActivity reads activity logs of Azure as its REST interface gives them,
// and as its libraries for Python write them down.
//
// Format: Azure Monitor, "Azure activity log event schema".
var azureActivity = register(analyze.Parser{
	Name:    "azure_activity",
	Doc:     "Azure activity log: operations on resources",
	Version: 1,
	Family:  "cloud",
	Types:   []string{"azure:activitylog:entry"},
	Match:   azureActivityMap.matches,
	Parse:   azureActivityMap.parse,
})

var azureActivityMap = jsonMap{
	dataType: "azure:activitylog:entry", short: "CLOUD", source: "Azure activity log",
	records: "value", keys: []string{"caller", "authorization", "claims"},
	times: []jsonTime{{path: "eventTimestamp"}, {path: "event_timestamp"}}, desc: "Recorded Time", kind: timeline.Observed,
	columns: []jsonColumn{
		{"user", []string{"caller"}},
		{"src_ip", []string{"httpRequest.clientIpAddress", "http_request.client_ip_address", "claims.ipaddr"}},
		{"event_code", []string{"operationName.value", "operation_name.value"}},
		{"channel", []string{"category.value"}},
		{"file", []string{"resourceId", "resource_id"}},
	},
	rules: []jsonRule{
		{action: "api-call", category: "api"},
		{path: "status.value", value: "Succeeded", outcome: "success"},
		{path: "status.value", value: "Failed", outcome: "failure"},
	},
	message: []string{"operationName.value", "operation_name.value", "status.value", "caller", "resourceId", "resource_id"},
}

// azureGateway reads access logs of Azure's application gateway.
//
// Format: "Back-end health and resource logs for Application Gateway".
var azureGateway = register(analyze.Parser{
	Name:    "azure_gateway",
	Doc:     "access logs of Azure's application gateway",
	Version: 1,
	Family:  "cloud",
	Types:   []string{"azure:application_gateway_access:entry"},
	Match:   azureGatewayMap.matches,
	Parse:   azureGatewayMap.parse,
})

var azureGatewayMap = jsonMap{
	dataType: "azure:application_gateway_access:entry", short: "WEBLOG", source: "Azure application gateway",
	records: "records", keys: []string{"timeStamp", "operationName", "properties", "resourceId"},
	times: []jsonTime{{path: "timeStamp"}}, desc: "Recorded Time", kind: timeline.Recorded,
	columns: []jsonColumn{
		{"src_ip", []string{"properties.clientIP", "properties.clientIp"}},
		{"src_port", []string{"properties.clientPort"}},
		{"dst_ip", []string{"properties.serverRouted"}},
		{"domain", []string{"properties.originalHost", "properties.host"}},
		{"url", []string{"properties.originalRequestUriWithArgs", "properties.requestUri"}},
		{"event_code", []string{"properties.httpStatus"}},
		{"channel", []string{"category"}},
	},
	rules:   []jsonRule{{action: "http-request", category: "web"}},
	message: []string{"properties.clientIP", "properties.httpMethod", "properties.originalHost", "properties.requestUri", "properties.httpStatus"},
}
