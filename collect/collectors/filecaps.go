package collectors

import (
	"encoding/binary"
	"strconv"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// capabilityXattr holds struct vfs_cap_data or vfs_ns_cap_data of
// linux/capability.h, little-endian: magic_etc, whose top byte is the revision
// and lowest bit the effective flag; permitted and inheritable of 32
// capabilities, once (revision 1) or twice; in revision 3 the root of a user
// namespace.
const capabilityXattr = "security.capability"

// capabilityNames are those of linux/capability.h by number.
var capabilityNames = [...]string{
	"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "linux_immutable",
	"net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot",
	"sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease",
	"audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read",
	"perfmon", "bpf", "checkpoint_restore",
}

// fileCapabilities decodes the attribute; false for a revision or length that
// the kernel would refuse.
func fileCapabilities(b []byte) (*record.Capabilities, bool) {
	if len(b) < 4 {
		return nil, false
	}
	magic := binary.LittleEndian.Uint32(b)
	c := &record.Capabilities{Revision: int(magic >> 24), Effective: magic&1 != 0}
	words, length := 2, 0
	switch c.Revision {
	case 1:
		words, length = 1, 12
	case 2:
		length = 20
	case 3:
		length = 24
	}
	if len(b) != length {
		return nil, false
	}
	c.Permitted = []string{}
	for w := range words {
		c.Permitted = appendCapabilities(c.Permitted, binary.LittleEndian.Uint32(b[4+8*w:]), 32*w)
		c.Inheritable = appendCapabilities(c.Inheritable, binary.LittleEndian.Uint32(b[8+8*w:]), 32*w)
	}
	if c.Revision == 3 {
		c.RootID = binary.LittleEndian.Uint32(b[20:])
	}
	return c, true
}

func appendCapabilities(names []string, set uint32, first int) []string {
	for bit := range 32 {
		if set&(1<<bit) == 0 {
			continue
		}
		name := strconv.Itoa(first + bit)
		if first+bit < len(capabilityNames) {
			name = capabilityNames[first+bit]
		}
		names = append(names, "cap_"+name)
	}
	return names
}
