package parsers

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze/format/audit"
	"github.com/exhibit-dfir/exhibit/analyze/format/authmsg"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// program fills the event from the record that says what it is about: one
// that a program wrote, or one of the kernel that is no part of a system
// call. In an event that also has a SYSCALL record, that record says who.
func (p *auditEvents) program(r *audit.Record) {
	ev, out := p.ev, p.out
	m := meaningOf(r.Type)
	if m.action != "" || ev.Action == "" {
		ev.Action, ev.Category = m.action, m.category
	}
	ev.EventCode = out.Intern(r.Type)
	if len(p.message) > 0 {
		p.message = append(p.message, "; "...)
	}
	p.message = append(p.message, r.Type...)
	s := programFields{enriched: r.Enriched}
	fields := audit.NewFields(r.Body)
	var f audit.Field
	for fields.Next(&f) {
		p.programField(&s, &f)
	}
	p.who(r, &s, m)
	p.result(r, &s)
	p.unit(r)
}

// programFields is what the record said that needs a decision at its end.
type programFields struct {
	enriched            []byte
	uid, auid, id, acct []byte
	res, operation      []byte
	hasAcct             bool
}

// programField puts one field where it belongs.
func (p *auditEvents) programField(s *programFields, f *audit.Field) {
	ev, out := p.ev, p.out
	value := f.Value
	if audit.Encoded(f.Key) {
		p.scratch = audit.Decode(p.scratch[:0], f.Value, f.Quoted)
		value = p.scratch
	}
	if len(value) == 0 || string(value) == "?" || string(value) == "(null)" || string(value) == "(none)" {
		return
	}
	if f.Nested || p.call.present || !plumbing(f.Key) {
		p.say(f.Key, value)
	}
	if p.call.present && plumbing(f.Key) {
		return // the SYSCALL record said it
	}
	switch string(f.Key) {
	case "pid":
		setInt(&ev.PID, value)
	case "ppid":
		setInt(&ev.PPID, value)
	case "uid":
		s.uid = value
	case "auid":
		s.auid = value
	case "ses":
		if string(value) != audit.Unset {
			ev.Session = out.Intern(value)
		}
	case "exe":
		ev.Exe = out.Intern(value)
	case "cwd":
		ev.CWD = out.Intern(value)
	case "cmd", "data":
		ev.Cmdline = out.Text(value)
	case "acct":
		s.acct, s.hasAcct = bytes.Clone(value), true
	case "id":
		s.id = value
	case "addr":
		if a, err := netip.ParseAddr(string(value)); err == nil {
			ev.SrcIP = out.Str(a.Unmap().String())
		} else {
			out.Attr("addr", value)
		}
	case "res", "success", "result":
		s.res = value
	case "terminal", "tty":
		out.Attr("tty", value)
	case "op":
		s.operation = value
		out.AttrRaw("op", out.Intern(value), 's')
	case "unit":
		ev.Unit = out.Intern(value)
	default:
		out.AttrRaw(out.Intern(f.Key), out.Text(value), 's')
	}
}

// plumbing knows the fields that say which process wrote the record.
func plumbing(key []byte) bool {
	switch string(key) {
	case "pid", "ppid", "uid", "auid", "ses", "subj", "tty", "comm", "exe", "gid":
		return true
	}
	return false
}

// say adds a field to the message.
func (p *auditEvents) say(key, value []byte) {
	if len(p.message) > 4096 {
		return
	}
	p.message = append(append(append(append(p.message, ' '), key...), '='), value...)
}

// who sets the acting account. For logins and sessions it is the account that
// the record is about; sudo and su open sessions of another account, and who
// acts there is the login's owner.
func (p *auditEvents) who(r *audit.Record, s *programFields, m meaning) {
	ev, out := p.ev, p.out
	if p.call.present {
		if string(r.Type) == "LOGIN" {
			p.loginSet(r, s)
		}
		return
	}
	uidName, auidName := enriched(s.enriched, "UID"), enriched(s.enriched, "AUID")
	p.loginAttrs(s.auid, auidName)
	role := m.account
	if role == actorAccount && switchesAccount(ev.Exe) && string(r.Type) != "USER_AUTH" && string(r.Type) != "USER_ACCT" {
		role = targetAccount
	}
	switch {
	case role == actorAccount && s.hasAcct:
		ev.User = out.Intern(s.acct)
		p.writer(s.uid)
	case role == actorAccount && len(s.id) > 0:
		p.account(s.id, enriched(s.enriched, "ID"))
		p.writer(s.uid)
	case role == targetAccount:
		if s.hasAcct {
			out.AttrRaw("target_user", out.Intern(s.acct), 's')
		} else if len(s.id) > 0 {
			out.AttrRaw("target_uid", out.Intern(s.id), 'i')
			if name := p.accountName(s.id, enriched(s.enriched, "ID")); name != "" {
				out.AttrRaw("target_user", name, 's')
			}
		}
		if len(s.auid) > 0 && string(s.auid) != audit.Unset {
			p.account(s.auid, auidName)
			p.writer(s.uid)
		} else {
			p.account(s.uid, uidName)
		}
	case string(r.Type) == "LOGIN":
		p.loginSet(r, s)
	case len(s.uid) == 0:
		p.account(s.auid, auidName) // the kernel names the login's owner only
	default:
		p.account(s.uid, uidName)
	}
}

// loginSet reads a LOGIN record: a process gets its login identity and
// session, which its descendants keep.
func (p *auditEvents) loginSet(r *audit.Record, s *programFields) {
	var auid, ses []byte
	fields := audit.NewFields(r.Body)
	var f audit.Field
	for fields.Next(&f) { // old kernels write "old auid=N new auid=M": the last counts
		switch string(f.Key) {
		case "auid":
			auid = f.Value
		case "ses":
			ses = f.Value
		}
	}
	if len(auid) == 0 {
		return
	}
	p.ev.UID, p.ev.User = timeline.None, ""
	p.account(auid, enriched(r.Enriched, "AUID"))
	p.writer(s.uid)
	if len(ses) > 0 && string(ses) != audit.Unset {
		p.ev.Session = p.out.Intern(ses)
	}
}

// writer keeps the account of the process that wrote the record.
func (p *auditEvents) writer(uid []byte) {
	if len(uid) > 0 && string(uid) != audit.Unset {
		p.out.AttrRaw("uid", p.out.Intern(uid), 'i')
	}
}

func enriched(fields []byte, key string) []byte {
	if f, ok := fieldOf(fields, key); ok {
		return f.Value
	}
	return nil
}

// switchesAccount knows the programs that run something as another account.
func switchesAccount(exe string) bool {
	switch exe {
	case "/usr/bin/sudo", "/usr/bin/su", "/bin/su", "/usr/bin/pkexec", "/usr/bin/doas", "/usr/sbin/runuser", "/usr/bin/runuser", "/sbin/runuser":
		return true
	}
	return false
}

// result sets the outcome; "1" and "0" are what the kernel writes.
func (p *auditEvents) result(r *audit.Record, s *programFields) {
	ev := p.ev
	switch string(s.res) {
	case "success", "1", "yes":
		ev.Outcome = authmsg.Success
	case "failed", "0", "no":
		ev.Outcome = authmsg.Failure
	}
	switch string(r.Type) {
	case "SERVICE_START":
		if ev.Outcome == authmsg.Failure {
			ev.Action = "service-failed"
		}
	case "USER_CHAUTHTOK":
		// usermod and chage write it for other changes, too.
		if op := s.operation; len(op) > 0 && !bytes.Contains(op, []byte("chauthtok")) && !bytes.Contains(op, []byte("password")) {
			ev.Action = "account-changed"
		}
	case "AVC", "APPARMOR_DENIED":
		if bytes.Contains(r.Body, []byte("denied")) || bytes.Contains(r.Body, []byte("DENIED")) {
			ev.Outcome = authmsg.Failure
		}
	}
}

// unit names the service: of auditd's own records, and of those of systemd,
// which writes service units without their suffix.
func (p *auditEvents) unit(r *audit.Record) {
	switch string(r.Type) {
	case "DAEMON_START", "DAEMON_END", "DAEMON_ABORT":
		p.ev.Unit = "auditd.service"
	case "SERVICE_START", "SERVICE_STOP":
		if p.ev.Unit != "" && strings.HasSuffix(p.ev.Exe, "/systemd") {
			p.ev.Unit = p.out.Join(p.ev.Unit, ".service")
		}
	}
}
