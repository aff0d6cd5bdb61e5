// Package authmsg reads the messages that login, privilege, scheduling,
// account and service programs of Unix hosts write to syslog and the journal:
// who did what, from where, with what result.
//
// The grammars follow the format strings of the programs themselves: OpenSSH
// (auth.c, packet.c, sshd.c), Linux-PAM pam_unix, sudo (logging.c), util-linux
// and shadow su, login and account tools, Vixie cron and cronie, systemd
// (src/core/job.c, src/login), and the kernel's printk texts.
//
// Log text is hostile: a user name, a directory or a command may imitate any
// part of a message. Every grammar is therefore anchored at the start of the
// message, addresses are validated, and where two readings of one message are
// possible Fields.Ambiguous says so. Nothing is allocated: the byte fields
// are parts of the message.
package authmsg

import "math"

// None is the value of an integer field that the message does not state.
const None int64 = math.MinInt64

// Values of Fields.DataType.
const (
	Line    = "syslog:line" // any other program
	Sshd    = "syslog:sshd"
	Sudo    = "syslog:sudo"
	Su      = "syslog:su"
	Cron    = "syslog:cron"
	Account = "syslog:account"
	Systemd = "syslog:systemd"
	Kernel  = "syslog:kernel"
	Login   = "syslog:login"
)

// Values of Fields.Outcome.
const (
	Success = "success"
	Failure = "failure"
)

// Values of Fields.Category, ECS event.category.
const (
	Authentication = "authentication"
	Session        = "session"
	Process        = "process"
	Network        = "network"
	Configuration  = "configuration"
	Driver         = "driver"
	IAM            = "iam"
	Host           = "host"
)

// Fields is what one message states. Byte fields are parts of the message and
// live as long as it does; nil is "not stated". Integer fields are None when
// not stated.
type Fields struct {
	DataType string // always set
	Action   string // what was done; "" for a message of no particular meaning
	Outcome  string // Success, Failure or ""
	Category string // "" when Action is ""

	User        []byte // account that acts; for a failed login the one that was tried
	TargetUser  []byte // account acted on: sudo's and su's target, the account that was changed
	SrcIP       []byte // remote address, validated; "::ffff:" of a mapped IPv4 address is left out
	SrcHost     []byte // remote name, where the message has a name instead of an address
	DstIP       []byte // local address of a connection or a listening socket
	Method      []byte // authentication method: password, publickey, ...
	KeyType     []byte // ED25519, RSA-CERT, ...
	Fingerprint []byte // of the public key: SHA256:..., or MD5 as hex pairs
	Cmdline     []byte // command that was run
	CWD         []byte // directory it was run in
	TTY         []byte
	Session     []byte // logind's session id
	SessionName []byte // logind's class or sshd's kind of session
	Unit        []byte // systemd unit, scheduled job
	Group       []byte // group acted on
	Device      []byte // network interface, USB port
	Module      []byte // kernel module
	Process     []byte // program name in a kernel message
	File        []byte // file the message names
	Service     []byte // PAM service
	Reason      []byte // the message's own words on why

	SrcPort   int64
	DstPort   int64
	UID       int64 // of User
	TargetUID int64 // of TargetUser
	PID       int64 // of the process the message is about, not of the one that wrote it

	// Ambiguous: the message can be read in more than one way, because a
	// part chosen by a user imitates the format. The reading given is the
	// one in which the imitation is the user's text.
	Ambiguous bool
}

// Parse reads the message msg of program into out. It reports whether the
// message has a known form; DataType is set in any case. The program may come
// with a directory ("/usr/sbin/cron") or in the old form "su(pam_unix)".
func Parse(program, msg []byte, out *Fields) bool {
	*out = Fields{DataType: Line, SrcPort: None, DstPort: None, UID: None, TargetUID: None, PID: None}
	name := baseName(program)
	if cut, ok := cutSuffix(name, "(pam_unix)"); ok {
		out.DataType = dataType(cut)
		out.Service = cut
		return parsePAM(trimSpace(msg), out)
	}
	out.DataType = dataType(name)
	msg = trimSpace(msg)
	if out.DataType != Kernel && parseModule(msg, out) {
		return true
	}
	switch out.DataType {
	case Sshd:
		return parseSshd(msg, out)
	case Sudo:
		return parseSudo(msg, out)
	case Su:
		return parseSu(msg, out)
	case Cron:
		return parseCron(msg, out)
	case Account:
		return parseAccount(msg, out)
	case Systemd:
		return parseSystemd(name, msg, out)
	case Kernel:
		return parseKernel(msg, out)
	case Login:
		return parseLogin(msg, out)
	}
	return false
}

// dataType returns the kind of messages that a program writes.
func dataType(program []byte) string {
	switch string(program) {
	case "sshd", "sshd-session", "sshd-auth", "dropbear":
		return Sshd
	case "sudo":
		return Sudo
	case "su", "su-l":
		return Su
	case "cron", "CRON", "crond", "CROND", "crontab", "anacron", "atd", "run-parts":
		return Cron
	case "useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel", "gpasswd", "newusers",
		"passwd", "chpasswd", "chage", "chfn", "chsh", "adduser", "deluser", "vipw", "chgpasswd":
		return Account
	case "systemd", "(systemd)", "systemd-logind", "systemd-user", "systemd-shutdown":
		return Systemd
	case "kernel":
		return Kernel
	case "login", "-- root", "gdm-password", "gdm-password]", "gdm-autologin", "gdm3", "gdm", "lightdm",
		"sddm", "sddm-helper", "xdm", "polkit-agent-helper-1", "systemd-homed", "doas", "pkexec":
		return Login
	}
	return Line
}

// Repeated takes apart syslogd's "message repeated N times: [ MESSAGE]". ok
// is false for any other message. n counts the repetitions that were not
// written, at least 1.
func Repeated(msg []byte) (n int64, inner []byte, ok bool) {
	rest, ok := cutPrefix(msg, "message repeated ")
	if !ok {
		return 0, nil, false
	}
	n, rest, ok = number(rest)
	if !ok || n < 1 {
		return 0, nil, false
	}
	rest, ok = cutPrefix(rest, " times: [")
	if !ok || len(rest) == 0 || rest[len(rest)-1] != ']' {
		return 0, nil, false
	}
	return n, trimSpace(rest[:len(rest)-1]), true
}

// is sets what was done.
func (f *Fields) is(action, outcome, category string) bool {
	f.Action, f.Outcome, f.Category = action, outcome, category
	return true
}
