package rootcause

import (
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// proc is one program image of one process: (host, boot, pid, start, exe).
// A process that executes another program is two of them, linked by prev.
type proc struct {
	host       sym
	pid, ppid  int32
	uid        int32
	start, end int64
	exe, cmd   sym
	cwd, user  sym
	id         sym // session number
	sess       int32
	tty, unit  sym
	parent     int32
	prev       int32 // the same process before it executed this program
	started    bool  // a record states the start
	facts      []int32
}

func (x *index) procAt(host sym, pid int32, t int64) (int32, bool) {
	if pid <= 0 {
		return 0, false
	}
	p, ok := latest(x.byPID[hostPID{host, pid}], t, func(i int32) int64 { return x.procs[i].start })
	if !ok || !x.sameBoot(host, x.procs[p].start, t) {
		return 0, false
	}
	return p, true
}

// findProcesses makes program images of execution records, of the live list
// and of every record that names a process together with its program.
func (x *index) findProcesses() {
	x.byPID = make(map[hostPID][]int32)
	x.factOf = make([]int32, len(x.facts))
	for i := range x.facts {
		x.factOf[i] = -1
		f := &x.facts[i]
		if f.pid <= 0 || f.ts == timeline.None || f.from == fromFiles || f.from == fromCapture {
			continue
		}
		x.factOf[i] = x.process(int32(i))
	}
	x.linkProcesses()
}

// process returns the image a fact belongs to, a new one where needed.
func (x *index) process(i int32) int32 {
	f := &x.facts[i]
	p, ok := x.procAt(f.host, f.pid, f.ts)
	switch {
	case f.act == actExec && f.from != fromLive:
		if ok && x.procs[p].start == f.ts && x.procs[p].cmd == f.cmd {
			break // a second copy of the same record
		}
		return x.newProc(i, true)
	case f.act == actExec: // the live list has fork times and later names
		if q, found := x.liveTwin(f); found {
			p, ok = q, true
			break
		}
		return x.newProc(i, true)
	case f.exe == 0:
		if !ok {
			return -1
		}
	case !ok || !x.sameImage(p, f):
		return x.newProc(i, false)
	}
	x.join(p, i)
	return p
}

// sameImage reports whether a record that names a process and its program
// speaks of image p.
func (x *index) sameImage(p int32, f *fact) bool {
	e := &x.procs[p]
	if e.exe == 0 || e.exe == f.exe {
		// A process number used again by the same program in another session.
		return e.id == 0 || f.ownSession() == 0 || e.id == f.ownSession()
	}
	a, b := x.text[e.exe], x.text[f.exe]
	return baseOf(a) == baseOf(b) && (strings.HasPrefix(a, "/") != strings.HasPrefix(b, "/") || e.cmd == f.cmd)
}

// ownSession returns the session that a record's process belongs to, which is
// not the one its message speaks of.
func (f *fact) ownSession() sym {
	if f.from != fromAudit && (f.act == actOpened || f.act == actClosed) {
		return 0
	}
	return f.session
}

// ownCommand returns the command line of a record's process, which is not the
// one its message speaks of.
func (f *fact) ownCommand() sym {
	if f.act == actCron || f.act == actCommand || f.act == actPackage {
		return 0
	}
	return f.cmd
}

func baseOf(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }

// liveTwin finds the image of a process that the live list shows: the last one
// of that number in the boot, if it runs the same program.
func (x *index) liveTwin(f *fact) (int32, bool) {
	list := x.byPID[hostPID{f.host, f.pid}]
	if len(list) == 0 {
		return 0, false
	}
	p := list[len(list)-1]
	e := &x.procs[p]
	near := e.start-f.ts < 10*second && f.ts-e.start < 10*second
	same := e.cmd != 0 && e.cmd == f.cmd || e.exe == f.exe
	return p, same && (near || x.sameBoot(f.host, e.start, f.ts) && e.cmd == f.cmd)
}

func (x *index) newProc(i int32, started bool) int32 {
	f := &x.facts[i]
	p := int32(len(x.procs))
	x.procs = append(x.procs, proc{
		host: f.host, pid: f.pid, ppid: f.ppid, uid: f.uid, start: f.ts, end: f.end,
		exe: f.exe, cmd: f.ownCommand(), cwd: f.cwd, user: f.user, id: f.ownSession(), sess: -1,
		tty: f.tty, parent: -1, prev: -1, started: started,
	})
	k := hostPID{f.host, f.pid}
	x.byPID[k] = append(x.byPID[k], p)
	x.join(p, i)
	return p
}

// join adds what a fact says of image p.
func (x *index) join(p, i int32) {
	f, e := &x.facts[i], &x.procs[p]
	if f.act == actExec || len(e.facts) == 0 {
		e.facts = keep(e.facts, i)
	}
	e.end = max(e.end, f.end)
	if e.ppid <= 0 {
		e.ppid = f.ppid
	}
	if e.id == 0 {
		e.id = f.ownSession()
	}
	if e.cmd == 0 {
		e.cmd = f.ownCommand()
	}
	// What systemd says is about the services it starts, not about itself.
	if e.unit == 0 && f.act != actStart && f.act != actStop && roleOf(x.text[e.exe]) != roleInit && strings.HasSuffix(x.text[f.unit], ".service") {
		e.unit = f.unit
	}
	if e.tty == 0 {
		e.tty = f.tty
	}
	if e.uid < 0 {
		e.uid = f.uid
	}
}

// linkProcesses finds parents, and the earlier image of the same process. A
// process number that comes back with another parent is another process.
func (x *index) linkProcesses() {
	x.kids = make([]int32, len(x.procs))
	x.byExe = make(map[sym]int)
	x.byPair = make(map[[2]sym]int)
	before := make(map[hostPID]int32)
	for i := range x.procs {
		p := &x.procs[i]
		k := hostPID{p.host, p.pid}
		if q, ok := before[k]; ok {
			e := &x.procs[q]
			if (p.ppid == e.ppid || p.ppid <= 0 || e.ppid <= 0) && (p.id == e.id || p.id == 0 || e.id == 0) &&
				x.sameBoot(p.host, e.start, p.start) && p.start-e.start < imageMax {
				p.prev = q
			}
		}
		before[k] = int32(i)
		if q, ok := x.procAt(p.host, p.ppid, p.start); ok && q != int32(i) {
			p.parent = q
			x.kids[q]++
		}
		x.byExe[p.exe]++
		x.byPair[[2]sym{x.parentExe(int32(i)), p.exe}]++
	}
}

// imageMax bounds the time between two images that count as one process when
// only parent and session say so.
const imageMax = 3600 * second

func (x *index) parentExe(i int32) sym {
	p := &x.procs[i]
	if p.prev >= 0 {
		return x.procs[p.prev].exe
	}
	if p.parent >= 0 {
		return x.procs[p.parent].exe
	}
	return 0
}

// cause returns the image that made image i: itself before, else its parent.
func (x *index) maker(i int32) (int32, bool) {
	p := &x.procs[i]
	if p.prev >= 0 {
		return p.prev, true
	}
	return p.parent, p.parent >= 0
}

// joinSessions gives every image its session: by number, else by the login
// daemon among its ancestors.
func (x *index) joinSessions() {
	x.bySess = make(map[sym][]int32)
	for i := range x.procs {
		p := &x.procs[i]
		if p.id != 0 {
			if s, ok := x.sessionByID(p.host, p.id, p.start); ok {
				p.sess = s
			}
		} else if s, ok := x.sessionByPID(p.host, p.pid, p.start, 0); ok {
			p.sess = s
		} else if m, ok := x.maker(int32(i)); ok && x.procs[m].sess >= 0 && m < int32(i) && roleOf(x.text[x.procs[m].exe]) != roleInit {
			p.sess = x.procs[m].sess
		}
		if p.sess < 0 {
			continue
		}
		s := &x.sessions[p.sess]
		if s.kind == sessionUnknown && !s.login {
			switch roleOf(x.text[p.exe]) {
			case roleCron:
				s.kind = sessionCron
			case roleInit:
				s.kind = sessionManager
			}
		}
	}
}
