package collectors

import "github.com/exhibit-dfir/exhibit/collect"

// linuxAudit writes live/audit.jsonl and live/audit-rules.jsonl: what is to be
// logged now, which may differ from the files in /etc/audit.
var linuxAudit = register(collect.Collector{
	Name: "linux_audit",
	Doc:  "State and rules of the kernel's audit system",
	Tier: collect.TierKernel,
	Live: true,
	Run:  collectAudit,
})
