package parsers

import (
	"strconv"

	"github.com/exhibit-dfir/exhibit/analyze/format/audit"
	"github.com/exhibit-dfir/exhibit/analyze/format/authmsg"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// auditCall is a SYSCALL record. Byte fields are as written.
type auditCall struct {
	present                           bool
	arch, number, success, exit       []byte
	args                              [4][]byte
	ppid, pid, auid, uid, gid, euid   []byte
	tty, ses, subj                    []byte
	comm, exe, key                    audit.Field
	userName, auditName, euidNameText []byte
}

func (c *auditCall) read(r *audit.Record) {
	c.present = true
	fields := audit.NewFields(r.Body)
	var f audit.Field
	for fields.Next(&f) {
		if to := c.column(f.Key); to != nil {
			*to = f.Value
			continue
		}
		switch string(f.Key) {
		case "comm":
			c.comm = f
		case "exe":
			c.exe = f
		case "key":
			c.key = f
		}
	}
	fields = audit.NewFields(r.Enriched)
	for fields.Next(&f) {
		switch string(f.Key) {
		case "UID":
			c.userName = f.Value
		case "AUID":
			c.auditName = f.Value
		case "EUID":
			c.euidNameText = f.Value
		}
	}
}

// column returns where a plain field of the record goes.
func (c *auditCall) column(key []byte) *[]byte {
	switch string(key) {
	case "arch":
		return &c.arch
	case "syscall":
		return &c.number
	case "success":
		return &c.success
	case "exit":
		return &c.exit
	case "a0":
		return &c.args[0]
	case "a1":
		return &c.args[1]
	case "a2":
		return &c.args[2]
	case "a3":
		return &c.args[3]
	case "ppid":
		return &c.ppid
	case "pid":
		return &c.pid
	case "auid", "loginuid":
		return &c.auid
	case "uid":
		return &c.uid
	case "gid":
		return &c.gid
	case "euid":
		return &c.euid
	case "tty":
		return &c.tty
	case "ses":
		return &c.ses
	case "subj":
		return &c.subj
	}
	return nil
}

// systemCall fills the event from its SYSCALL record and those around it.
func (p *auditEvents) systemCall() {
	ev, out, c := p.ev, p.out, &p.call
	number, known := parseInt(c.number)
	name := ""
	if known {
		name = p.calls.Name(c.arch, number)
	}
	if name == "" {
		name = out.Join("syscall ", out.Intern(c.number))
	}
	ev.EventCode = name
	out.AttrRaw("syscall", name, 's')
	p.actor()
	class := classOf(name)
	ev.Action, ev.Category = class.action, class.category
	switch string(c.success) {
	case "yes":
		ev.Outcome = authmsg.Success
	case "no":
		ev.Outcome = authmsg.Failure
		if class.kind == callConnect && string(c.exit) == "-115" {
			ev.Outcome = "" // EINPROGRESS: how it ended is not recorded
		}
	}
	ev.CWD = out.Intern(p.cwd)
	p.object(class, name)
	p.callAttrs()
	p.describe(name)
}

// actor fills the process and the account.
func (p *auditEvents) actor() {
	ev, out, c := p.ev, p.out, &p.call
	setInt(&ev.PID, c.pid)
	setInt(&ev.PPID, c.ppid)
	p.account(c.uid, c.userName)
	if string(c.ses) != audit.Unset {
		ev.Session = out.Intern(c.ses)
	}
	p.scratch = audit.Decode(p.scratch[:0], c.exe.Value, c.exe.Quoted)
	ev.Exe = out.Intern(p.scratch)
}

// account sets the acting account from a number and the name that auditd
// added to it, or else the host's own name for it.
func (p *auditEvents) account(uid, name []byte) {
	ev := p.ev
	if string(uid) == audit.Unset || !setInt(&ev.UID, uid) {
		return
	}
	if ev.User = p.accountName(uid, name); ev.User == "" {
		ev.User = p.out.Str(userName(p.host, ev.UID))
	}
}

func (p *auditEvents) accountName(uid, name []byte) string {
	if len(name) > 0 && string(name) != "unset" && !hasPrefixBytes(name, "unknown(") {
		return p.out.Intern(name)
	}
	if n, ok := parseInt(uid); ok {
		return p.out.Str(userName(p.host, n))
	}
	return ""
}

func hasPrefixBytes(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// object fills what the call was done to.
func (p *auditEvents) object(class callClass, name string) {
	ev := p.ev
	switch class.kind {
	case callExec:
		p.commandLine(true)
		p.files(name)
	case callOpen:
		p.files(name)
		if p.created() {
			ev.Action = "file-created"
		} else if openedForWrite(name, p.call.args) {
			ev.Action = "file-opened-for-write"
		}
	case callConnect, callBind, callAccept, callSend:
		p.peer(class.kind)
	default:
		p.files(name)
		if p.bound {
			p.peer(callSend)
		}
	}
	if class.kind != callExec && len(p.title) > 0 {
		p.commandLine(false)
	}
}

// commandLine sets the command line from EXECVE, or from PROCTITLE.
func (p *auditEvents) commandLine(isExec bool) {
	const limit = 64 << 10
	if isExec && p.execve {
		if want := p.args.Want(); want > p.args.Len() {
			p.ev.Flags |= timeline.TruncatedRec
		}
	} else {
		p.args.SetTitle(p.title)
		if isExec && p.args.Len() > 0 {
			// A process whose execve failed keeps its old title.
			source := "proctitle"
			if string(p.call.success) == "no" {
				source = "proctitle of the caller"
			}
			p.out.AttrRaw("cmdline_source", source, 's')
		}
	}
	p.scratch = p.args.Shell(p.scratch[:0], limit)
	if len(p.scratch) == limit {
		p.ev.Flags |= timeline.TruncatedRec
	}
	p.ev.Cmdline = p.out.Text(p.scratch)
}

func (p *auditEvents) created() bool {
	for i := range p.paths {
		if p.paths[i].isCreated {
			return true
		}
	}
	return false
}

// openedForWrite looks at the flags of the open family: O_WRONLY, O_RDWR,
// O_CREAT or O_TRUNC, asm-generic/fcntl.h.
func openedForWrite(name string, args [4][]byte) bool {
	var flags []byte
	switch name {
	case "open":
		flags = args[1]
	case "openat":
		flags = args[2]
	case "creat", "truncate", "ftruncate", "truncate64", "ftruncate64":
		return true
	default:
		return false // openat2 and open_by_handle_at: not in the registers
	}
	n, err := strconv.ParseUint(string(flags), 16, 64)
	return err == nil && n&(0o3|0o100|0o1000) != 0
}

// peer sets the address of a socket call. Who begins a connection is the
// source: the far side of accept, the near side of connect and send. A bound
// address is where others will connect to.
func (p *auditEvents) peer(kind callKind) {
	if !p.bound {
		return
	}
	ev, out, s := p.ev, p.out, &p.socket
	switch s.Family {
	case audit.FamilyInet, audit.FamilyInet6:
		p.scratch = s.Addr.AppendTo(p.scratch[:0])
		if kind == callAccept {
			ev.SrcIP, ev.SrcPort = out.Intern(p.scratch), int64(s.Port)
		} else {
			ev.DstIP, ev.DstPort = out.Intern(p.scratch), int64(s.Port)
		}
	case audit.FamilyUnix:
		if ev.File == "" {
			ev.File = out.Text(s.Path)
		}
		out.AttrRaw("socket", "unix", 's')
	case audit.FamilyNetlink:
		out.AttrRaw("socket", "netlink", 's')
	case audit.FamilyPacket:
		out.AttrRaw("socket", "packet", 's')
		out.AttrInt("ifindex", int64(s.ID))
	default:
		out.AttrInt("socket_family", int64(s.Family))
	}
}

// callAttrs adds what has no column.
func (p *auditEvents) callAttrs() {
	out, c := p.out, &p.call
	raw := func(key string, value []byte, typ byte) {
		if len(value) > 0 && string(value) != "(none)" && string(value) != "(null)" {
			out.AttrRaw(key, out.Intern(value), typ)
		}
	}
	if arch := audit.Arch(c.arch); arch != "" {
		out.AttrRaw("arch", arch, 's')
	} else {
		raw("arch", c.arch, 's')
	}
	raw("success", c.success, 's')
	raw("exit", c.exit, 's')
	for i, key := range [...]string{"a0", "a1", "a2", "a3"} {
		if len(c.args[i]) > 0 {
			out.Attr(key, c.args[i])
		}
	}
	p.loginAttrs(c.auid, c.auditName)
	raw("euid", c.euid, 'i')
	raw("gid", c.gid, 'i')
	raw("tty", c.tty, 's')
	raw("subj", c.subj, 's')
	p.scratch = audit.Decode(p.scratch[:0], c.comm.Value, c.comm.Quoted)
	raw("comm", p.scratch, 's')
	p.scratch = audit.Decode(p.scratch[:0], c.key.Value, c.key.Quoted)
	raw("key", p.scratch, 's')
}

// loginAttrs adds who logged in originally.
func (p *auditEvents) loginAttrs(auid, name []byte) {
	if len(auid) == 0 || string(auid) == audit.Unset {
		return
	}
	p.out.AttrRaw("auid", p.out.Intern(auid), 'i')
	if n := p.accountName(auid, name); n != "" {
		p.out.AttrRaw("auid_name", n, 's')
	}
}

// describe writes the message: the call, its object, and how it failed.
func (p *auditEvents) describe(name string) {
	ev, m := p.ev, p.message
	m = append(m, name...)
	failed := string(p.call.success) == "no"
	started := ev.Action == "process-started" && (!failed || p.execve)
	switch {
	case started && ev.Cmdline != "":
		m = append(append(m, ' '), ev.Cmdline[:min(len(ev.Cmdline), 4096)]...)
	case ev.File != "":
		m = append(append(m, ' '), ev.File...)
		if ev.File2 != "" {
			m = append(append(m, " -> "...), ev.File2...)
		}
	case ev.DstIP != "":
		m = appendEndpoint(append(m, ' '), ev.DstIP, ev.DstPort)
	case ev.SrcIP != "":
		m = appendEndpoint(append(m, " from "...), ev.SrcIP, ev.SrcPort)
	}
	if ev.Exe != "" && !started {
		m = append(append(m, " by "...), ev.Exe...)
	}
	switch {
	case failed && ev.Outcome == "":
		m = append(m, " in progress"...)
	case failed:
		m = append(append(m, " failed: "...), p.call.exit...)
	}
	p.message = m
}

func appendEndpoint(m []byte, ip string, port int64) []byte {
	m = append(append(m, ip...), " port "...)
	return strconv.AppendInt(m, port, 10)
}
