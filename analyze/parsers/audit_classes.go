package parsers

import "github.com/exhibit-dfir/exhibit/analyze/format/authmsg"

// callKind says which records tell what a system call did.
type callKind uint8

const (
	callOther callKind = iota
	callExec
	callOpen
	callFile
	callRename
	callLink
	callConnect
	callBind
	callAccept
	callSend
)

// callClass is what a system call means in the timeline.
type callClass struct {
	kind             callKind
	action, category string
}

const fileCategory = "file"

// classOf returns the meaning of a system call by name.
func classOf(name string) callClass {
	switch name {
	case "execve", "execveat":
		return callClass{callExec, "process-started", authmsg.Process}
	case "open", "openat", "openat2", "creat", "open_by_handle_at", "truncate", "ftruncate", "truncate64", "ftruncate64":
		return callClass{callOpen, "file-opened", fileCategory}
	case "mkdir", "mkdirat", "mknod", "mknodat":
		return callClass{callFile, "file-created", fileCategory}
	case "unlink", "unlinkat", "rmdir":
		return callClass{callFile, "file-deleted", fileCategory}
	case "rename", "renameat", "renameat2":
		return callClass{callRename, "file-renamed", fileCategory}
	case "link", "linkat", "symlink", "symlinkat":
		return callClass{callLink, "file-linked", fileCategory}
	case "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "chown32", "fchown32", "lchown32",
		"utime", "utimes", "futimesat", "utimensat", "utimensat_time64",
		"setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr":
		return callClass{callFile, "file-attributes-changed", fileCategory}
	case "connect":
		return callClass{callConnect, "connection-opened", authmsg.Network}
	case "bind":
		return callClass{callBind, "socket-bound", authmsg.Network}
	case "accept", "accept4":
		return callClass{callAccept, "connection-accepted", authmsg.Network}
	case "sendto", "sendmsg", "sendmmsg":
		return callClass{callSend, "data-sent", authmsg.Network}
	case "init_module", "finit_module":
		return callClass{callFile, "module-loaded", authmsg.Driver}
	case "delete_module":
		return callClass{callFile, "module-unloaded", authmsg.Driver}
	case "ptrace":
		return callClass{callOther, "process-traced", authmsg.Process}
	case "kill", "tkill", "tgkill":
		return callClass{callOther, "process-signalled", authmsg.Process}
	case "mount", "fsmount", "move_mount":
		return callClass{callFile, "file-system-mounted", authmsg.Host}
	case "umount", "umount2":
		return callClass{callFile, "file-system-unmounted", authmsg.Host}
	case "settimeofday", "clock_settime", "clock_settime64", "adjtimex", "clock_adjtime", "stime":
		return callClass{callOther, "time-changed", authmsg.Host}
	}
	return callClass{callFile, "syscall", authmsg.Process}
}

// meaning is what a record that is no part of a system call means.
type meaning struct {
	action, category string
	account          accountRole
}

// accountRole says what the acct field of a record is.
type accountRole uint8

const (
	noAccount accountRole = iota
	actorAccount
	targetAccount
)

// meaningOf returns the meaning of a record type, audit-records.h.
func meaningOf(typ []byte) meaning {
	switch string(typ) {
	case "USER_LOGIN":
		return meaning{"user-login", authmsg.Authentication, actorAccount}
	case "USER_LOGOUT":
		return meaning{"user-logout", authmsg.Authentication, actorAccount}
	case "USER_AUTH":
		return meaning{"authentication", authmsg.Authentication, actorAccount}
	case "USER_ACCT":
		return meaning{"authorization", authmsg.Authentication, actorAccount}
	case "USER_START":
		return meaning{"session-opened", authmsg.Session, actorAccount}
	case "USER_END":
		return meaning{"session-closed", authmsg.Session, actorAccount}
	case "CRED_ACQ":
		return meaning{"credentials-acquired", authmsg.Authentication, actorAccount}
	case "CRED_REFR":
		return meaning{"credentials-refreshed", authmsg.Authentication, actorAccount}
	case "CRED_DISP":
		return meaning{"credentials-disposed", authmsg.Authentication, actorAccount}
	case "LOGIN":
		return meaning{"login-identity-set", authmsg.Session, noAccount}
	case "USER_CMD":
		return meaning{"privilege-used", authmsg.Process, noAccount}
	case "USER_CHAUTHTOK":
		return meaning{"password-changed", authmsg.IAM, targetAccount}
	}
	return meaningOfOther(typ)
}

func meaningOfOther(typ []byte) meaning {
	switch string(typ) {
	case "ADD_USER":
		return meaning{"account-created", authmsg.IAM, targetAccount}
	case "DEL_USER":
		return meaning{"account-deleted", authmsg.IAM, targetAccount}
	case "USER_MGMT", "ACCT_LOCK", "ACCT_UNLOCK", "CHUSER_ID", "CHGRP_ID":
		return meaning{"account-changed", authmsg.IAM, targetAccount}
	case "ADD_GROUP":
		return meaning{"group-created", authmsg.IAM, targetAccount}
	case "DEL_GROUP":
		return meaning{"group-deleted", authmsg.IAM, targetAccount}
	case "GRP_MGMT", "GRP_CHAUTHTOK":
		return meaning{"group-changed", authmsg.IAM, targetAccount}
	case "SERVICE_START", "DAEMON_START":
		return meaning{"service-started", authmsg.Process, noAccount}
	case "SERVICE_STOP", "DAEMON_END":
		return meaning{"service-stopped", authmsg.Process, noAccount}
	case "DAEMON_ABORT":
		return meaning{"service-failed", authmsg.Process, noAccount}
	case "CONFIG_CHANGE", "DAEMON_CONFIG", "DAEMON_RECONFIG", "FEATURE_CHANGE":
		return meaning{"audit-config-changed", authmsg.Configuration, noAccount}
	case "MAC_POLICY_LOAD", "MAC_STATUS", "MAC_CONFIG_CHANGE", "NETFILTER_CFG":
		return meaning{"configuration-changed", authmsg.Configuration, noAccount}
	case "SYSTEM_BOOT":
		return meaning{"boot", authmsg.Host, noAccount}
	case "SYSTEM_SHUTDOWN":
		return meaning{"shutdown", authmsg.Host, noAccount}
	case "SYSTEM_RUNLEVEL":
		return meaning{"runlevel-changed", authmsg.Host, noAccount}
	case "TIME_INJOFFSET", "TIME_ADJNTPVAL":
		return meaning{"time-changed", authmsg.Host, noAccount}
	case "ANOM_PROMISCUOUS":
		return meaning{"promiscuous-mode", authmsg.Network, noAccount}
	case "ANOM_ABEND":
		return meaning{"process-crashed", authmsg.Process, noAccount}
	case "KERN_MODULE":
		return meaning{"module-loaded", authmsg.Driver, noAccount}
	case "AVC", "USER_AVC", "SELINUX_ERR", "APPARMOR_DENIED", "SECCOMP":
		return meaning{"access-checked", authmsg.Process, noAccount}
	case "TTY", "USER_TTY":
		return meaning{"terminal-input", authmsg.Process, noAccount}
	}
	return meaning{}
}
