package rootcause_test

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/rootcause"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/memory"
)

// story builds a made-up case, event by event, as the parsers would emit it.
type story struct {
	t      *testing.T
	host   string
	now    time.Time
	events []*timeline.Event
	pid    int64
	audit  bool // with audit records of programs and files
	count  int
	sink   func(*timeline.Event) // takes finished events instead of events
	last   *timeline.Event
}

func tell(t *testing.T, host string) *story {
	return &story{t: t, host: host, now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), pid: 1000, audit: true}
}

// after moves the clock.
func (s *story) after(d time.Duration) *story { s.now = s.now.Add(d); return s }

func (s *story) at(clock string) *story {
	t, err := time.Parse("2006-01-02 15:04:05", clock)
	if err != nil {
		s.t.Fatal(err)
	}
	s.now = t.UTC()
	return s
}

func (s *story) event(dataType, action string) *timeline.Event {
	n := s.count
	s.count++
	var b [9]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	b[8] = s.host[len(s.host)-1]
	sum := evidence.Sum(b[:])
	ev := &timeline.Event{
		TS: timeline.None, TSEnd: timeline.None, TSLo: timeline.None, TSHi: timeline.None, TZOff: timeline.None, Skew: timeline.None,
		RecOff: timeline.None, RecLen: timeline.None, Line: timeline.None, RecNo: timeline.None, UID: timeline.None,
		PID: timeline.None, PPID: timeline.None, SrcPort: timeline.None, DstPort: timeline.None,
		DataType: dataType, Action: action, Host: s.host,
	}
	copy(ev.ID[:], sum[:])
	ev.SetTime(s.now)
	if s.sink == nil {
		s.events = append(s.events, ev)
	} else {
		s.flush()
		s.last = ev
	}
	s.now = s.now.Add(200 * time.Millisecond)
	return ev
}

// flush hands the event over that was made last.
func (s *story) flush() {
	if s.last != nil {
		s.sink(s.last)
		s.last = nil
	}
}

func attr(ev *timeline.Event, key, value string) {
	ev.Attrs = append(ev.Attrs, timeline.Attr{Key: key, Value: value, Type: 's'})
}

// fail is a failed password.
func (s *story) fail(user, ip string) {
	ev := s.event("syslog:sshd", "user-login")
	ev.Outcome, ev.User, ev.SrcIP, ev.PID = "failure", user, ip, s.next()
	attr(ev, "method", "password")
}

func (s *story) next() int64 { s.pid += 3; return s.pid }

// login is an ssh login: sshd's line, the audit record that numbers the
// session and the shell. It returns the session and the shell's process.
func (s *story) login(user, ip, method, key string, ses int) (string, *timeline.Event) {
	pid := s.next()
	ev := s.event("syslog:sshd", "user-login")
	ev.Outcome, ev.User, ev.SrcIP, ev.SrcPort, ev.PID, ev.Exe = "success", user, ip, 40000+pid, pid, "/usr/sbin/sshd"
	attr(ev, "method", method)
	if key != "" {
		attr(ev, "key_fingerprint", key)
	}
	session := strconv.Itoa(ses)
	open := s.event("syslog:systemd", "session-opened")
	open.Session, open.User, open.PID = session, user, 300
	if !s.audit {
		return session, ev
	}
	num := s.event("linux:audit:event", "user-login")
	num.Outcome, num.User, num.PID, num.Session, num.Exe, num.SrcIP = "success", user, pid, session, "/usr/sbin/sshd", ip
	uid := int64(1000)
	if user == "root" {
		uid = 0
	}
	sh := s.exec(&timeline.Event{PID: pid + 1, Session: session, UID: uid}, "/usr/bin/bash", "-bash")
	sh.User = user
	return session, sh
}

// exec is the start of a program by the process of parent.
func (s *story) exec(parent *timeline.Event, exe, cmd string) *timeline.Event {
	ev := s.event("linux:audit:event", "process-started")
	ev.PID, ev.PPID, ev.Session, ev.UID, ev.User = s.next(), parent.PID, parent.Session, parent.UID, parent.User
	ev.Exe, ev.Cmdline, ev.CWD, ev.Outcome = exe, cmd, "/", "success"
	return ev
}

// write is a record of a process writing a file.
func (s *story) write(by *timeline.Event, action, path string) *timeline.Event {
	ev := s.event("linux:audit:event", action)
	ev.PID, ev.PPID, ev.Session, ev.UID, ev.User, ev.Exe, ev.File = by.PID, by.PPID, by.Session, by.UID, by.User, by.Exe, path
	return ev
}

// stat is a file time.
func (s *story) stat(path, owner string) *timeline.Event {
	ev := s.event("fs:stat", "")
	ev.File, ev.TSDesc = path, "Content Modification Time; Metadata Modification Time"
	attr(ev, "owner", owner)
	return ev
}

// connect is a record of a process connecting.
func (s *story) connect(by *timeline.Event, ip string, port int64) *timeline.Event {
	ev := s.event("linux:audit:event", "connection-opened")
	ev.PID, ev.PPID, ev.Session, ev.Exe, ev.DstIP, ev.DstPort = by.PID, by.PPID, by.Session, by.Exe, ip, port
	return ev
}

// cron is a run of a scheduled command: cron's line, and its shell.
func (s *story) cron(user, cmd string) *timeline.Event {
	pid := s.next()
	ev := s.event("syslog:cron", "scheduled-command-run")
	ev.User, ev.Cmdline, ev.PID = user, cmd, pid
	if !s.audit {
		return ev
	}
	return s.exec(&timeline.Event{PID: pid, Session: "4294967295", UID: 0, User: user}, "/usr/bin/dash", "/bin/sh -c "+cmd)
}

// daemon is a service that was started by systemd.
func (s *story) daemon(exe, unit string) *timeline.Event {
	st := s.event("syslog:systemd", "service-started")
	st.Unit, st.PID = unit, 1
	return s.exec(&timeline.Event{PID: 1, Session: "4294967295", UID: 0, User: "root"}, exe, exe)
}

func (s *story) boot() *timeline.Event { return s.event("linux:utmp:event", "boot") }

// request is a captured web request.
func (s *story) request(client, method, url string) *timeline.Event {
	ev := s.event("net:http", "http-request")
	ev.Host, ev.SrcIP, ev.DstIP, ev.DstPort, ev.URL = "", client, "10.0.0.5", 80, url
	attr(ev, "method", method)
	return ev
}

// noise is the daily life of a host that has nothing to do with the case.
func (s *story) noise(n int) {
	for i := range n {
		_, sh := s.login("carol", "10.0.0.77", "publickey", "SHA256:carol", 500+i)
		s.exec(sh, "/usr/bin/ls", "ls -la")
		s.exec(sh, "/usr/bin/vim", "vim /home/carol/notes.txt")
		s.write(sh, "file-opened-for-write", "/home/carol/notes.txt")
		s.fail("carol", "10.0.0.78")
		s.request("10.0.0.90", "GET", "http://shop/index.html")
		s.after(time.Minute)
	}
}

func ask(t *testing.T, stories ...*story) func(alert ...*timeline.Event) *rootcause.Graph {
	t.Helper()
	var all []*timeline.Event
	for _, s := range stories {
		all = append(all, s.events...)
	}
	eng := memory.New(all)
	return func(alert ...*timeline.Event) *rootcause.Graph {
		t.Helper()
		var ids []timeline.ID
		for _, ev := range alert {
			ids = append(ids, ev.ID)
		}
		g, err := rootcause.Why(t.Context(), eng, ids, rootcause.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
}

// firstEntry checks who is named first.
func firstEntry(t *testing.T, g *rootcause.Graph, kind, account, address string) {
	t.Helper()
	if len(g.Entries) == 0 {
		t.Errorf("no entry; gaps: %v", g.Gaps)
		return
	}
	e := g.Entries[0]
	if e.Kind != kind || account != "" && e.Account != account || address != "" && e.Address != address {
		t.Errorf("first entry is %s of %q from %q (%.2f): %s\nwant %s of %q from %q", e.Kind, e.Account, e.Address, e.Score, describe(g), kind, account, address)
	}
	for _, e := range g.Entries {
		if e.Account == "carol" {
			t.Errorf("names the harmless account: %s (%.2f)", e.Title, e.Score)
		}
	}
}

func describe(g *rootcause.Graph) string {
	out := ""
	for _, e := range g.Entries {
		out += fmt.Sprintf("\n  entry %.2f %s", e.Score, e.Title)
	}
	for _, e := range g.Edges {
		out += fmt.Sprintf("\n  %s %.2f %s -> %s (%s)", e.Class, e.Score, g.Nodes[e.From].Label, g.Nodes[e.To].Label, e.Rule)
	}
	return out
}
