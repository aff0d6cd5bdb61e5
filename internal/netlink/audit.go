package netlink

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// AuditStatus is struct audit_status of linux/audit.h.
type AuditStatus struct {
	Enabled, Failure, PID, RateLimit, BacklogLimit, Lost, Backlog, Features uint32
}

const (
	auditGet       = 1000 // AUDIT_GET
	auditListRules = 1013 // AUDIT_LIST_RULES
	auditWords     = 64   // AUDIT_BITMASK_SIZE, AUDIT_MAX_FIELDS
	auditRuleSize  = 4*(3+4*auditWords) + 4
	maxSyscalls    = 32 * auditWords
)

func parseAuditStatus(b []byte) (AuditStatus, bool) {
	if len(b) < 32 { // what the first kernels had
		return AuditStatus{}, false
	}
	s := AuditStatus{
		Enabled: u32(b[4:]), Failure: u32(b[8:]), PID: u32(b[12:]), RateLimit: u32(b[16:]), BacklogLimit: u32(b[20:]),
		Lost: u32(b[24:]), Backlog: u32(b[28:]),
	}
	if len(b) >= 36 {
		s.Features = u32(b[32:])
	}
	return s, true
}

// auditLists are AUDIT_FILTER_*, auditActions AUDIT_NEVER and so on.
var (
	auditLists   = []string{"user", "task", "entry", "watch", "exit", "exclude", "filesystem", "io_uring"}
	auditActions = []string{"never", "possible", "always"}
	auditFields  = map[uint32]string{
		0: "pid", 1: "uid", 2: "euid", 3: "suid", 4: "fsuid", 5: "gid", 6: "egid", 7: "sgid", 8: "fsgid", 9: "auid", 10: "pers",
		11: "arch", 12: "msgtype", 13: "subj_user", 14: "subj_role", 15: "subj_type", 16: "subj_sen", 17: "subj_clr", 18: "ppid",
		19: "obj_user", 20: "obj_role", 21: "obj_type", 22: "obj_lev_low", 23: "obj_lev_high", 24: "loginuid_set",
		25: "sessionid", 26: "fstype", 100: "devmajor", 101: "devminor", 102: "inode", 103: "exit", 104: "success", 105: "path",
		106: "perm", 107: "dir", 108: "filetype", 109: "obj_uid", 110: "obj_gid", 111: "field_compare", 112: "exe",
		113: "saddr_fam", 200: "a0", 201: "a1", 202: "a2", 203: "a3", 210: "key",
	}
	auditOps = map[uint32]string{
		0x40000000: "=", 0x30000000: "!=", 0x10000000: "<", 0x20000000: ">", 0x50000000: "<=", 0x60000000: ">=",
		0x08000000: "&", 0x48000000: "&=",
	}
	auditTexts  = map[uint32]bool{13: true, 14: true, 15: true, 16: true, 17: true, 19: true, 20: true, 21: true, 22: true, 23: true, 105: true, 107: true, 112: true, 210: true}
	auditArches = map[uint32]string{0xc000003e: "b64", 0x40000003: "b32", 0xc00000b7: "b64", 0x40000028: "b32"}
)

// AuditRule reads struct audit_rule_data as auditctl(8) would be told it.
// System calls are numbers: their names depend on the machine.
func AuditRule(b []byte) (string, bool) {
	if len(b) < auditRuleSize {
		return "", false
	}
	list, action, count := u32(b)&0x7fffffff, u32(b[4:]), u32(b[8:])
	mask, at := b[12:], func(table, i int) uint32 { return u32(b[12+4*(table*auditWords+i):]) }
	text := b[auditRuleSize:]
	if size := u32(b[auditRuleSize-4:]); int64(size) < int64(len(text)) {
		text = text[:size]
	}
	var s strings.Builder
	fmt.Fprintf(&s, "-a %s,%s", nthName(auditActions, int(action)), nthName(auditLists, int(list)))
	calls := auditCalls(mask[:4*auditWords])
	var rest strings.Builder
	for i := range int(min(count, auditWords)) {
		field, value := at(1, i), at(2, i)
		name, known := auditFields[field]
		if !known {
			name = "field" + strconv.FormatUint(uint64(field), 10)
		}
		op, known := auditOps[at(3, i)&0x78000000]
		if !known {
			op = "?"
		}
		to := &rest
		var v string
		switch {
		case auditTexts[field]:
			if int64(value) > int64(len(text)) {
				value = uint32(len(text))
			}
			v, text = string(text[:value]), text[value:]
		case field == 11 && auditArches[value] != "":
			v, to = auditArches[value], &s
		case field == 106: // perm
			for i, c := range "xwra" {
				if value&(1<<i) != 0 {
					v += string(c)
				}
			}
		case field == 103, field == 9 && value == 0xffffffff:
			v = strconv.Itoa(int(int32(value)))
		default:
			v = strconv.FormatUint(uint64(value), 10)
		}
		if field == 210 {
			for key := range strings.SplitSeq(v, "\x01") {
				fmt.Fprintf(to, " -F key=%s", key)
			}
			continue
		}
		fmt.Fprintf(to, " -F %s%s%s", name, op, v)
	}
	if list == 4 || list == 2 || list == 7 { // of system calls
		s.WriteString(calls)
	}
	return s.String() + rest.String(), true
}

func auditCalls(mask []byte) string {
	var numbers []string
	all := true
	for i := range maxSyscalls {
		if binary.NativeEndian.Uint32(mask[4*(i/32):])&(1<<(i%32)) != 0 {
			numbers = append(numbers, strconv.Itoa(i))
		} else if i < maxSyscalls-32 { // the last word has the classes of calls
			all = false
		}
	}
	switch {
	case all:
		return " -S all"
	case len(numbers) == 0:
		return ""
	}
	return " -S " + strings.Join(numbers, ",")
}
