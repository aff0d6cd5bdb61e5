package rootcause

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// session is one stay of an account on a host: a login over the network or at
// the console, a cron job's session, or one of which only the number is known.
type session struct {
	host, user sym
	id         sym   // audit session and logind id, which pam_systemd keeps equal
	pid        int32 // the login daemon's process, -1 unknown
	src        sym
	sport      int32
	method     sym
	key        sym
	tty        sym
	start, end int64
	kind       sessionKind
	facts      []int32
	login      bool   // a record states the login
	recorded   uint16 // origins that state the login, as bits
	rooted     int64  // when a command first ran as root in it, None for never
}

type sessionKind uint8

const (
	sessionUnknown sessionKind = iota
	sessionRemote
	sessionConsole
	sessionCron
	sessionManager // systemd --user
)

// joinWindow is how far two records of one login may lie apart: login daemons
// write before and after the session is set up, on a busy host much later.
const joinWindow = 60 * second

// findSessions makes sessions of login records and joins their copies: the
// same daemon process, the same session number, or the same account, address
// and minute.
func (x *index) findSessions() {
	x.sessByID = make(map[hostSession][]int32)
	x.sessByPID = make(map[hostPID][]int32)
	x.attempts = make(map[hostIP]*attempts)
	x.recent = make(map[stay][]int32)
	for i := range x.facts {
		f := &x.facts[i]
		if f.ts == timeline.None || f.act != actLogin {
			continue
		}
		if f.fail {
			x.attempt(int32(i))
			continue
		}
		s := x.sessionOfLogin(f)
		if s < 0 {
			s = x.newSession(f)
		}
		x.enrich(s, int32(i))
	}
	x.logins = x.loginsByAccount()
	x.numberSessions()
	x.logins, x.recent = nil, nil
	x.extendSessions()
	x.indexSessions()
}

func (x *index) newSession(f *fact) int32 {
	s := int32(len(x.sessions))
	x.remember(s, stay{f.host, f.user, 0})
	x.sessions = append(x.sessions, session{
		host: f.host, user: f.user, pid: -1, start: f.ts, end: timeline.None, rooted: timeline.None, sport: -1,
	})
	return s
}

// sessionOfLogin finds the session that a login record is a further copy of.
func (x *index) sessionOfLogin(f *fact) int32 {
	if f.session != 0 {
		if s, ok := x.sessionByID(f.host, f.session, f.ts); ok {
			return s
		}
	}
	if f.pid > 0 {
		if s, ok := x.sessionByPID(f.host, f.pid, f.ts, joinWindow); ok && x.compatible(s, f) {
			return s
		}
	}
	list := x.recent[stay{f.host, f.user, f.sip}]
	for i := len(list) - 1; i >= 0 && f.ts-x.sessions[list[i]].start <= joinWindow; i-- {
		s := list[i]
		e := &x.sessions[s]
		exact := e.sport > 0 && f.sport > 0
		if e.host != f.host || !x.compatible(s, f) || e.src != f.sip || e.user != f.user || exact && e.sport != f.sport {
			continue
		}
		// Two daemon processes are two logins, unless one record is of the
		// daemon's child, as in wtmp.
		if f.pid > 0 && e.pid > 0 && f.pid != e.pid && (f.from == fromLog || f.from == fromJournal) {
			continue
		}
		return s
	}
	return -1
}

func (x *index) compatible(s int32, f *fact) bool {
	e := &x.sessions[s]
	return (e.user == 0 || f.user == 0 || e.user == f.user) && (e.src == 0 || f.sip == 0 || e.src == f.sip)
}

// enrich adds what a record says to a session.
func (x *index) enrich(s int32, i int32) {
	f, e := &x.facts[i], &x.sessions[s]
	e.facts = keep(e.facts, i)
	e.start = min(e.start, f.ts)
	was := stay{e.host, e.user, e.src}
	for _, p := range [...]struct{ to, from *sym }{
		{&e.user, &f.user}, {&e.src, &f.sip}, {&e.method, &f.method}, {&e.key, &f.key}, {&e.tty, &f.tty},
	} {
		if *p.to == 0 {
			*p.to = *p.from
		}
	}
	if is := (stay{e.host, e.user, e.src}); is != was {
		x.remember(s, is)
	}
	if e.sport <= 0 {
		e.sport = f.sport
	}
	if f.act == actLogin {
		e.login = true
		e.recorded |= 1 << f.from
	}
	// logind and friends speak of sessions that are not their own.
	if f.pid > 0 && f.act == actLogin && (e.pid <= 0 || f.from == fromLog || f.from == fromJournal) {
		e.pid = f.pid
		k := hostPID{f.host, f.pid}
		if !slices.Contains(x.sessByPID[k], s) {
			x.sessByPID[k] = append(x.sessByPID[k], s)
		}
	}
	if f.session != 0 {
		x.number(s, f.session)
	}
	e.kind = max(e.kind, x.kindOf(f))
	if e.src != 0 && !isLoopback(x.text[e.src]) {
		e.kind = sessionRemote
	}
}

func isLoopback(ip string) bool { return strings.HasPrefix(ip, "127.") || ip == "::1" }

func (x *index) kindOf(f *fact) sessionKind {
	switch {
	case roleOf(x.text[f.exe]) == roleCron:
		return sessionCron
	case f.tty != 0 && strings.HasPrefix(x.text[f.tty], "tty") && path.Base(x.text[f.exe]) != "sshd" && x.text[f.tty] != "tty":
		return sessionConsole
	}
	return sessionUnknown
}

func (x *index) number(s int32, id sym) {
	e := &x.sessions[s]
	if e.id != 0 {
		return
	}
	e.id = id
	k := hostSession{e.host, id}
	x.sessByID[k] = append(x.sessByID[k], s)
	slices.SortFunc(x.sessByID[k], func(a, b int32) int {
		return int(clampSign(x.sessions[a].start - x.sessions[b].start))
	})
}

func clampSign(d int64) int64 {
	switch {
	case d < 0:
		return -1
	case d > 0:
		return 1
	}
	return 0
}

// sessionByID returns the session of that number in the boot of t: numbers
// start again with every boot.
func (x *index) sessionByID(host, id sym, t int64) (int32, bool) {
	list := x.sessByID[hostSession{host, id}]
	for i := len(list) - 1; i >= 0; i-- {
		e := &x.sessions[list[i]]
		if e.start <= t+joinWindow && x.sameBoot(host, e.start, t) {
			return list[i], true
		}
	}
	return 0, false
}

// sessionByPID returns the session whose login daemon has that number, begun
// not later than slack after t and not ended long before.
func (x *index) sessionByPID(host sym, pid int32, t, slack int64) (int32, bool) {
	list := x.sessByPID[hostPID{host, pid}]
	for i := len(list) - 1; i >= 0; i-- {
		e := &x.sessions[list[i]]
		if e.start > t+slack || !x.sameBoot(host, e.start, t) {
			continue
		}
		if e.end != timeline.None && t > e.end+joinWindow {
			return 0, false
		}
		return list[i], true
	}
	return 0, false
}

// numberSessions gives sessions their numbers: a record that has the login
// daemon's process and a session number joins them; then logind's word of a
// new session for the account; what is left are sessions without a login.
func (x *index) numberSessions() {
	for i := range x.facts {
		f := &x.facts[i]
		if f.session == 0 || f.pid <= 0 || f.ts == timeline.None || f.from == fromFiles {
			continue
		}
		if s, ok := x.sessionByPID(f.host, f.pid, f.ts, 5*second); ok && x.sessions[s].id == 0 && f.ts-x.sessions[s].start < 2*joinWindow {
			if _, taken := x.sessionByID(f.host, f.session, f.ts); !taken {
				x.number(s, f.session)
			}
		}
	}
	for i := range x.facts {
		f := &x.facts[i]
		if f.session == 0 || f.ts == timeline.None || f.from == fromFiles {
			continue
		}
		s, ok := x.sessionByID(f.host, f.session, f.ts)
		if !ok {
			s = -1
			if f.act == actOpened {
				s = x.unnumbered(f)
			}
			if s < 0 {
				s = x.newSession(f)
			}
			x.number(s, f.session)
		}
		switch f.act {
		case actLogin, actOpened, actAuth:
			if x.belongs(s, f) {
				x.enrich(s, int32(i))
			}
		case actClosed, actLogout:
			e := &x.sessions[s]
			if f.from != fromAudit || roleOf(x.text[f.exe]) == roleLogin {
				e.end = max(e.end, f.ts)
			}
		case actExec, actSeen:
			if e := &x.sessions[s]; e.kind == sessionUnknown && roleOf(x.text[f.exe]) == roleCron {
				e.kind = sessionCron
			}
		}
		if e := &x.sessions[s]; e.user == 0 && f.act != actSeen {
			e.user = f.user
		}
	}
}

// belongs reports whether a record of opening speaks of the session itself and
// not of sudo or su inside it.
func (x *index) belongs(s int32, f *fact) bool {
	switch path.Base(x.text[f.exe]) {
	case "sudo", "su", "pkexec", "runuser":
		return false
	}
	return x.compatible(s, f)
}

// unnumbered returns the one login of the account shortly before logind's
// announcement that has no number yet.
func (x *index) unnumbered(f *fact) int32 {
	found := int32(-1)
	list := x.logins[account{f.host, f.user}]
	upTo, _ := slices.BinarySearchFunc(list, f.ts+1, func(b begun, t int64) int { return cmp.Compare(b.start, t) })
	for i := upTo - 1; i >= 0 && list[i].start >= f.ts-joinWindow; i-- {
		s := list[i].s
		e := &x.sessions[s]
		if e.user != f.user || e.id != 0 || !e.login || f.ts < e.start || f.ts-e.start > joinWindow {
			continue
		}
		if found >= 0 {
			return -1 // two candidates: no exact join
		}
		found = s
	}
	return found
}

// openMax is how long a session without a recorded end is taken to last.
const openMax = 24 * 3600 * second

// open reports whether a session was open at t. A whole second is taken for
// any moment of it: histories and old logs write no fractions, so that what
// was done right after a login seems to lie before it.
func (x *index) open(e *session, t int64) bool {
	if t == timeline.None {
		return false
	}
	if t < e.start && (t%second != 0 || t+second <= e.start) {
		return false
	}
	if e.end != timeline.None {
		return t <= e.end+5*second
	}
	return t-e.start < openMax && x.sameBoot(e.host, e.start, t)
}
