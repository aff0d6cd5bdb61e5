package parsers

import (
	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// kubernetesAudit reads audit logs of the Kubernetes API server: one event per
// stage of a request.
//
// Format: Kubernetes, "Auditing", audit.k8s.io/v1 Event.
var kubernetesAudit = register(analyze.Parser{
	Name:    "kubernetes_audit",
	Doc:     "audit log of the Kubernetes API server",
	Version: 1,
	Family:  "cloud",
	Types:   []string{"kubernetes:audit:event"},
	Match:   kubernetesMap.matches,
	Parse:   kubernetesMap.parse,
})

var kubernetesMap = jsonMap{
	dataType: "kubernetes:audit:event", short: "CLOUD", source: "Kubernetes audit log",
	records: "items", keys: []string{"auditID", "stage", "requestURI", "verb"},
	times: []jsonTime{{path: "stageTimestamp"}, {path: "requestReceivedTimestamp"}}, desc: "Recorded Time", kind: timeline.Observed,
	columns: []jsonColumn{
		{"user", []string{"impersonatedUser.username", "user.username"}},
		{"src_ip", []string{"sourceIPs"}},
		{"event_code", []string{"verb"}},
		{"channel", []string{"stage"}},
		{"url", []string{"requestURI"}},
		{"unit", []string{"objectRef.name"}},
	},
	rules: []jsonRule{
		{action: "api-call", category: "api"},
		{path: "objectRef.subresource", value: "exec", action: "container-exec", category: "process"},
		{path: "annotations.authorization.k8s.io/decision", value: "allow", outcome: "success"},
		{path: "annotations.authorization.k8s.io/decision", value: "forbid", outcome: "failure"},
	},
	message: []string{"verb", "requestURI", "user.username", "sourceIPs", "responseStatus.code", "stage"},
}
