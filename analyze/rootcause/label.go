package rootcause

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// ident names a node the same way in every run over the same case.
func (x *index) ident(r ref) string {
	t := func(s sym) string { return x.text[s] }
	switch r.kind {
	case KindProcess:
		p := &x.procs[r.n]
		return fmt.Sprintf("process\x00%s\x00%d\x00%d\x00%s", t(p.host), p.pid, p.start, t(p.exe))
	case KindSession:
		e := &x.sessions[r.n]
		return fmt.Sprintf("session\x00%s\x00%s\x00%d\x00%s", t(e.host), t(e.id), e.start, t(e.user))
	case KindFile:
		return "file\x00" + t(x.files[r.n].host) + "\x00" + t(x.files[r.n].path)
	case KindUnit:
		return "unit\x00" + t(x.units[r.n].host) + "\x00" + t(x.units[r.n].name)
	case KindJob:
		j := &x.jobs[r.n]
		return "job\x00" + t(j.host) + "\x00" + t(j.user) + "\x00" + t(j.cmd)
	case KindFlow:
		return fmt.Sprintf("flow\x00%s\x00%d", t(x.flows[r.n].remote), x.flows[r.n].port)
	case KindRequest:
		v := &x.visits[r.n]
		return "request\x00" + t(v.client) + "\x00" + t(v.path)
	case KindPackage:
		if r.n >= 0 {
			return "package\x00" + x.ident(ref{KindProcess, r.n})
		}
		return "package\x00" + x.facts[-r.n-1].id.String()
	}
	return string(r.kind) + "\x00" + x.facts[r.n].id.String()
}

// label is the short name of a node, detail the line below it.
func (x *index) label(r ref) (label, detail string) {
	t := func(s sym) string { return x.text[s] }
	switch r.kind {
	case KindProcess:
		p := &x.procs[r.n]
		name := baseOf(t(p.exe))
		if name == "" {
			name, _, _ = strings.Cut(t(p.cmd), " ")
			name = baseOf(name)
		}
		return fmt.Sprintf("%s (pid %d)", name, p.pid), t(p.cmd)
	case KindSession:
		return x.sessionLabel(r.n), x.sessionDetail(r.n)
	case KindFile:
		p := t(x.files[r.n].path)
		what := ""
		if pl := placeOf(p); pl != nil {
			what = pl.what
		} else if isLog(p) {
			what = "a log"
		}
		return p, what
	case KindUnit:
		return t(x.units[r.n].name), "service"
	case KindJob:
		return "cron job of " + orUnknown(t(x.jobs[r.n].user)), t(x.jobs[r.n].cmd)
	case KindFlow:
		w := &x.flows[r.n]
		return fmt.Sprintf("%s port %d", t(w.remote), w.port), plural(w.all, "record") + " of traffic"
	case KindRequest:
		v := &x.visits[r.n]
		return "web requests for " + t(v.path), "from " + t(v.client) + ", " + plural(v.all, "request")
	case KindPackage:
		if r.n >= 0 {
			p := &x.procs[r.n]
			return "installation", packagerOf(t(p.exe), t(p.cmd))
		}
		f := &x.facts[-r.n-1]
		return "installation of " + t(f.unit), t(f.note)
	}
	f := &x.facts[r.n]
	switch f.act {
	case actSudo:
		return "sudo by " + orUnknown(t(f.user)), t(f.cmd)
	case actCommand:
		return "command of " + orUnknown(t(f.user)), t(f.cmd)
	case actAccount:
		return strings.ReplaceAll(t(f.note), "-", " ") + " " + t(f.target), t(f.user)
	case actFlow:
		return fmt.Sprintf("connection from %s to port %d", t(f.sip), f.dport), "captured traffic"
	case actLogin:
		if f.fail {
			return "failed login as " + orUnknown(t(f.user)), "from " + t(f.sip)
		}
	}
	return "event", t(f.exe) + " " + t(f.file)
}

func (x *index) sessionLabel(n int32) string {
	e := &x.sessions[n]
	user := orUnknown(x.text[e.user])
	switch {
	case e.src != 0:
		return "login of " + user + " from " + x.text[e.src]
	case e.kind == sessionConsole:
		return "login of " + user + " at " + x.text[e.tty]
	}
	return "session " + x.text[e.id] + " of " + user
}

func (x *index) sessionDetail(n int32) string {
	e := &x.sessions[n]
	var parts []string
	if e.method != 0 {
		parts = append(parts, "by "+x.text[e.method])
	}
	if e.id != 0 {
		parts = append(parts, "session "+x.text[e.id])
	}
	if e.key != 0 {
		parts = append(parts, x.text[e.key])
	}
	return strings.Join(parts, ", ")
}

func orUnknown(s string) string {
	if s == "" {
		return "an unknown account"
	}
	return s
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// clock writes a time as the narrative does.
func clock(ts int64) string {
	if ts == timeline.None || ts == 1<<63-1 {
		return "at an unknown time"
	}
	return time.Unix(0, ts).UTC().Format("2006-01-02 15:04:05")
}

func hour(ts int64) string {
	if ts == timeline.None || ts == 1<<63-1 {
		return "?"
	}
	return time.Unix(0, ts).UTC().Format("15:04:05")
}

// shorten cuts a command line for the narrative, at a character boundary.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// quoted puts evidence between quotation marks on one line, control and
// direction characters made visible.
func quoted(s string, n int) string { return "“" + plainText(shorten(s, n)) + "”" }

// plainText replaces characters that could act on a terminal or change the
// order of reading.
func plainText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0,
			r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f, r == 0x2028, r == 0x2029:
			return '�'
		}
		return r
	}, s)
}
