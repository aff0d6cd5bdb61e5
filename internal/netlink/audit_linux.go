package netlink

import "golang.org/x/sys/unix"

// Audit returns the state of the kernel's audit system.
func Audit() (status AuditStatus, err error) {
	err = ask(unix.NETLINK_AUDIT, auditGet, auditGet, 0, nil, 1, func(b []byte) { status, _ = parseAuditStatus(b) })
	return status, notThere(err)
}

// AuditRules hands on the rules of the audit system, struct audit_rule_data
// each, valid until yield returns. It only lists: the auditor stays who it is.
func AuditRules(yield func([]byte)) error {
	return notThere(ask(unix.NETLINK_AUDIT, auditListRules, auditListRules, 0, nil, maxMessages, yield))
}
