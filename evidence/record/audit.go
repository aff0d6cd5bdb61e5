package record

// Names of the record sets about the kernel's audit system.
const (
	Audit      = "live/audit.jsonl"       // one AuditStatus line
	AuditRules = "live/audit-rules.jsonl" // AuditRule lines
)

// AuditStatus is the state of the audit system (audit_status of auditctl -s).
type AuditStatus struct {
	Enabled      int64 `json:"enabled"` // 2: locked until the next start
	Failure      int64 `json:"failure"` // 0 silent, 1 printk, 2 panic
	PID          int64 `json:"pid"`     // of auditd; 0: nobody listens
	RateLimit    int64 `json:"rate_limit"`
	BacklogLimit int64 `json:"backlog_limit"`
	Lost         int64 `json:"lost"`
	Backlog      int64 `json:"backlog"`
	Features     int64 `json:"features"`
}

// AuditRule is one rule. Text is as auditctl(8) would be told it, with the
// numbers of system calls; Data is struct audit_rule_data, hexadecimal.
type AuditRule struct {
	Text Bytes  `json:"text"`
	Data string `json:"data"`
}
