package rootcause

import (
	"cmp"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// scope is everything that came of an entry, found by going forward from it
// over the same rules as the walk went back.
type scope struct {
	x        *index
	sessions map[int32]bool
	procs    map[int32]bool
	files    map[int32]bool
	jobs     map[int32]bool
	units    map[int32]bool
	edges    []effect
	reached  map[ref]bool
	from     int64
}

// effect is one consequence worth showing.
type effect struct {
	rank int
	from ref
	to   ref
	cause
}

// scopeRounds bounds how often persistence may lead to further processes that
// lead to further persistence.
const scopeRounds = 4

// forward collects what came of an entry.
func (x *index) forward(w *walk, top *arrival) *scope {
	sc := &scope{
		x: x, sessions: map[int32]bool{}, procs: map[int32]bool{}, files: map[int32]bool{}, jobs: map[int32]bool{}, units: map[int32]bool{},
		reached: map[ref]bool{}, from: top.first,
	}
	for _, n := range top.nodes {
		switch r := w.nodes[n].ref; r.kind {
		case KindSession:
			e := &x.sessions[r.n]
			for _, o := range x.sameStay(r.n) {
				if (e.src != 0 || o.s == r.n) && o.start >= top.first {
					sc.sessions[o.s] = true
				}
			}
		case KindPackage:
			if r.n >= 0 {
				sc.procs[r.n] = true
			}
		}
	}
	// What lies between entry and alert is known to come of the entry.
	ok := w.leads(top.nodes)
	for i := range w.nodes {
		if r := w.nodes[i].ref; ok[i] {
			switch r.kind {
			case KindProcess:
				sc.procs[r.n] = true
			case KindFile:
				sc.files[r.n] = true
			case KindJob:
				sc.jobs[r.n] = true
			case KindUnit:
				sc.units[r.n] = true
			case KindSession:
				sc.sessions[r.n] = true
			}
		}
	}
	for range scopeRounds {
		before := len(sc.procs) + len(sc.files) + len(sc.jobs) + len(sc.units) + len(sc.sessions)
		sc.spreadProcesses()
		sc.spreadFiles()
		sc.spreadServices()
		if before == len(sc.procs)+len(sc.files)+len(sc.jobs)+len(sc.units)+len(sc.sessions) {
			break
		}
	}
	sc.traffic()
	sc.commands()
	slices.SortStableFunc(sc.edges, func(a, b effect) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.ts, b.ts), compareRefs(a.to, b.to))
	})
	return sc
}

// Ranks of consequences, the most telling first.
const (
	rankPersistence = iota
	rankLogin
	rankLog
	rankService
	rankTraffic
	rankRoot
	rankTool
	rankFile
)

func (sc *scope) add(rank int, c cause, to ref) {
	sc.reached[to] = true
	sc.edges = append(sc.edges, effect{rank: rank, from: c.from, to: to, cause: c})
}

// spreadProcesses takes in children, members of sessions, runs of jobs, main
// processes of units and runs of files.
func (sc *scope) spreadProcesses() {
	x := sc.x
	for i := range x.procs {
		n := int32(i)
		p := &x.procs[i]
		if sc.procs[n] || p.start < sc.from {
			continue
		}
		if p.sess >= 0 && sc.sessions[p.sess] && x.sessions[p.sess].kind != sessionManager {
			sc.procs[n] = true
			continue
		}
		m, ok := x.maker(n)
		if ok && sc.procs[m] && !roleOf(x.text[x.procs[m].exe]).daemon() {
			sc.procs[n] = true
			continue
		}
		if len(sc.files)+len(sc.jobs)+len(sc.units) == 0 || !ok || !roleOf(x.text[x.procs[m].exe]).daemon() && p.parent >= 0 {
			continue
		}
		for _, c := range append(x.jobOf(n), x.unitOf(n)...) {
			if c.from.kind == KindJob && sc.jobs[c.from.n] || c.from.kind == KindUnit && sc.units[c.from.n] {
				sc.procs[n] = true
			}
		}
	}
}

// spreadFiles takes in what the processes wrote, as far as it can carry
// anything on, and notes what is telling in itself.
func (sc *scope) spreadFiles() {
	x := sc.x
	for n := range x.files {
		f := &x.files[n]
		for _, w := range f.writes {
			p := x.factOf[w]
			a := &x.facts[w]
			if p < 0 || !sc.procs[p] || a.ts < sc.from || a.act == actDelete && !isLog(x.text[f.path]) || a.fail {
				continue
			}
			if roleOf(x.text[x.procs[p].exe]).daemon() {
				continue
			}
			if !sc.files[int32(n)] && !noCarrier(x.text[f.path]) {
				sc.files[int32(n)] = true
			}
			rank := rankFile
			switch {
			case persistent(x.text[f.path]) != "":
				rank = rankPersistence
			case isLog(x.text[f.path]):
				rank = rankLog
			case a.act == actAttr || a.act == actDelete || strings.HasPrefix(x.text[f.path], "/dev/"):
				continue
			}
			rule := fileWrite
			if a.act == actAttr {
				rule = fileAttr
			}
			if a.act == actRename && a.file == f.path {
				continue
			}
			if !sc.reached[ref{KindFile, int32(n)}] {
				sc.add(rank, cause{from: ref{KindProcess, p}, rule: rule, ts: a.ts, until: a.ts, facts: []int32{w}}, ref{KindFile, int32(n)})
			}
			break
		}
	}
}

// taken reports whether a cause belongs to the scope, and is sure enough to
// carry it on.
func (sc *scope) taken(c cause) bool {
	if c.rule.class() == Inferred && c.mult < 0.9 {
		return false
	}
	switch c.from.kind {
	case KindFile:
		return sc.files[c.from.n]
	case KindProcess:
		return sc.procs[c.from.n]
	case KindEvent:
		p := sc.x.factOf[c.from.n]
		return p >= 0 && sc.procs[p]
	}
	return false
}

// spreadServices takes in jobs and units that the files define and logins that
// they made possible.
func (sc *scope) spreadServices() {
	x := sc.x
	for n := range x.jobs {
		if ran := x.firstRun(int32(n)); !sc.jobs[int32(n)] && ran >= sc.from {
			for _, c := range x.causesOfJob(int32(n), ran) {
				if sc.taken(c) && !sc.jobs[int32(n)] {
					sc.jobs[int32(n)] = true
					c.ts = ran
					sc.add(rankService, c, ref{KindJob, int32(n)})
				}
			}
		}
	}
	for n := range x.units {
		u := &x.units[n]
		if sc.units[int32(n)] || len(u.starts) == 0 {
			continue
		}
		at := x.facts[u.starts[len(u.starts)-1]].ts
		if at < sc.from {
			continue
		}
		for _, c := range x.causesOfUnit(int32(n), at) {
			if c.rule == unitFile && sc.taken(c) && !sc.units[int32(n)] && c.ts >= sc.from {
				sc.units[int32(n)] = true
				c.ts = at
				sc.add(rankService, c, ref{KindUnit, int32(n)})
			}
		}
	}
	for n := range x.sessions {
		e := &x.sessions[n]
		if sc.sessions[int32(n)] || !e.login || e.start < sc.from {
			continue
		}
		for _, c := range x.causesOfSession(int32(n)) {
			if sc.taken(c) && c.ts >= sc.from && !sc.sessions[int32(n)] {
				sc.sessions[int32(n)] = true
				c.ts = e.start
				sc.add(rankLogin, c, ref{KindSession, int32(n)})
			}
		}
	}
}

// traffic notes the connections of the processes, one per address and port.
func (sc *scope) traffic() {
	x := sc.x
	for n := range x.flows {
		w := &x.flows[n]
		for _, i := range w.facts {
			p := x.factOf[i]
			if f := &x.facts[i]; p >= 0 && sc.procs[p] && f.ts >= sc.from && !roleOf(x.text[x.procs[p].exe]).daemon() && w.port != 53 {
				sc.add(rankTraffic, cause{from: ref{KindProcess, p}, rule: flowConnect, ts: f.ts, until: f.ts, facts: []int32{i}}, ref{KindFlow, int32(n)})
				break
			}
		}
	}
}

// tools are programs whose use says something by itself: fetching, packing,
// changing times, wiping, making accounts, looking for more.
var tools = map[string]bool{
	"curl": true, "wget": true, "scp": true, "sftp": true, "rsync": true, "nc": true, "ncat": true, "socat": true, "tar": true, "zip": true, "7z": true,
	"touch": true, "shred": true, "useradd": true, "usermod": true, "passwd": true, "chpasswd": true, "crontab": true, "systemctl": true,
	"insmod": true, "modprobe": true, "nmap": true, "ssh": true, "chattr": true, "base64": true, "gcc": true, "make": true, "docker": true, "iptables": true, "cp": true, "mv": true, "install": true, "dd": true, "rm": true, "su": true, "sudo": true, "python": true, "setsid": true, "nohup": true,
}

// makerOf returns what of the scope brought about image i: its parent, or what
// the service that started it acted for.
func (sc *scope) makerOf(i int32) (cause, bool) {
	x := sc.x
	p := &x.procs[i]
	for _, c := range x.makersOf(i) {
		in := false
		switch c.from.kind {
		case KindProcess:
			in = sc.procs[c.from.n] && !roleOf(x.text[x.procs[c.from.n].exe]).daemon()
		case KindSession:
			in = sc.sessions[c.from.n]
		case KindJob:
			in = sc.jobs[c.from.n]
		case KindUnit:
			in = sc.units[c.from.n]
		}
		if in {
			c.ts, c.until = p.start, p.start
			return c, true
		}
	}
	return cause{}, false
}

// commands notes when the processes became root and the telling tools.
func (sc *scope) commands() {
	x := sc.x
	rooted := make(map[int32]bool)
	perTool := make(map[string]int)
	for i := range x.procs {
		n := int32(i)
		p := &x.procs[i]
		if !sc.procs[n] || p.start < sc.from {
			continue
		}
		m, ok := x.maker(n)
		by, found := sc.makerOf(n)
		if !found {
			continue
		}
		if ok && p.uid == 0 && x.procs[m].uid > 0 && p.sess >= 0 && !rooted[p.sess] {
			rooted[p.sess] = true
			sc.add(rankRoot, by, ref{KindProcess, n})
			continue
		}
		name := baseOf(x.text[p.exe])
		if tools[name] {
			perTool[name]++
		}
		if p.cmd != 0 && (tools[name] && perTool[name] <= 3 || sc.hiddenProgram(n)) {
			sc.add(rankTool, by, ref{KindProcess, n})
		}
	}
	for _, i := range x.commands {
		f := &x.facts[i]
		if f.act != actSudo || f.ts < sc.from || f.ts == timeline.None {
			continue
		}
		if list := x.sessionsOf(f, 2); len(list) == 1 && sc.sessions[list[0]] {
			sc.add(rankRoot, cause{from: ref{KindSession, list[0]}, rule: eventSession, ts: f.ts, until: f.ts, facts: []int32{i}}, ref{KindEvent, i})
		}
	}
}

// hiddenProgram reports whether an image runs from, or interprets a script in,
// a folder for temporary files or one whose name hides it.
func (sc *scope) hiddenProgram(i int32) bool {
	x := sc.x
	p := &x.procs[i]
	exe := x.text[p.exe]
	if odd(exe) {
		return true
	}
	if !interprets(exe) || roleOf(exe) == roleShell {
		return false
	}
	return slices.ContainsFunc(pathsIn(x.text[p.cmd], x.text[p.cwd]), odd)
}

func odd(p string) bool {
	for _, d := range [...]string{"/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/"} {
		if strings.HasPrefix(p, d) {
			return true
		}
	}
	return strings.Contains(p, "/.") && !strings.Contains(p, "/.local/") && !strings.Contains(p, "/.config/") && !strings.Contains(p, "/.cache/")
}
