package rootcause

import (
	"cmp"
	"net/url"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// serviceWeight is what is left of an edge to a service when nothing tells on
// whose behalf it acted.
const serviceWeight = 0.05

func (x *index) causesOfProcess(i int32, alert bool) []cause {
	p := &x.procs[i]
	if !alert && packagerOf(x.text[p.exe], x.text[p.cmd]) != "" && !x.belowPackager(i) {
		return []cause{{from: ref{KindPackage, i}, rule: packageRun, ts: p.start, until: p.start, facts: p.facts, mult: 1}}
	}
	out := x.makersOf(i)
	return append(out, x.codeOf(i)...)
}

// belowPackager reports whether another package manager started image i.
func (x *index) belowPackager(i int32) bool {
	for range 6 {
		m, ok := x.maker(i)
		if !ok {
			return false
		}
		if q := &x.procs[m]; packagerOf(x.text[q.exe], x.text[q.cmd]) != "" {
			return true
		}
		i = m
	}
	return false
}

// makersOf returns who or what started image i. Services pass causality only
// through the session, job, unit, request or connection they acted for.
func (x *index) makersOf(i int32) []cause {
	p := &x.procs[i]
	if p.pid == 1 {
		return nil
	}
	m, ok := x.maker(i)
	if !ok {
		return x.withoutParent(i)
	}
	q := &x.procs[m]
	rule := execParent
	if p.prev >= 0 {
		rule = execSelf
	}
	parent := cause{from: ref{KindProcess, m}, rule: rule, ts: p.start, until: p.start, facts: first(p.facts, 2), mult: 1}
	role := roleOf(x.text[q.exe])
	if !role.daemon() || role == roleOf(x.text[p.exe]) && p.exe == q.exe && rule == execSelf {
		parent.mult = x.rarity(x.byPair[[2]sym{q.exe, p.exe}], len(x.procs))
		out := []cause{parent}
		// The shell of a session keeps both: the parent leads to the login
		// anyhow, unless it belongs to another session.
		if p.sess >= 0 && q.sess != p.sess {
			out = append(out, x.memberOf(i)...)
		}
		if x.isService(m) {
			out = append(out, x.served(p.host, p.start, x.text[p.cmd])...)
		}
		return out
	}
	var out []cause
	switch role {
	case roleCron:
		out = x.jobOf(i)
	case roleWeb, roleServer:
		out = x.served(p.host, p.start, x.text[p.cmd])
		if role == roleServer {
			out = append(out, x.inbound(p.host, m, p.start)...)
		}
	case roleInit:
		out = append(x.memberOf(i), x.unitOf(i)...)
	default:
		out = x.memberOf(i)
	}
	if len(out) == 0 {
		out = x.memberOf(i)
	}
	if len(out) > 0 {
		return out
	}
	parent.rule, parent.mult = execDaemon, serviceWeight
	return []cause{parent}
}

// withoutParent explains an image whose parent no record names.
func (x *index) withoutParent(i int32) []cause {
	p := &x.procs[i]
	if out := x.jobOf(i); len(out) > 0 {
		return out
	}
	if out := x.sudoOf(i); len(out) > 0 {
		return out
	}
	if out := x.memberOf(i); len(out) > 0 {
		return out
	}
	if x.ofServiceAccount(i) {
		if out := x.served(p.host, p.start, x.text[p.cmd]); len(out) > 0 {
			return out
		}
	}
	if out := x.unitOf(i); len(out) > 0 || roleOf(x.text[p.exe]).daemon() {
		return out
	}
	f := fact{host: p.host, user: p.user, ts: p.start, tty: p.tty}
	if p.user == 0 {
		return nil
	}
	return x.openSessions(&f, sessionUser, p.facts)
}

// ofServiceAccount reports whether an image without a known parent or session
// runs under a service's account: the workers of a web server are forked and
// execute nothing, so that no record tells of them.
func (x *index) ofServiceAccount(i int32) bool {
	p := &x.procs[i]
	if p.sess >= 0 || p.parent >= 0 || p.prev >= 0 || roleOf(x.text[p.exe]).daemon() || p.ppid == 1 {
		return false
	}
	return webAccounts[x.text[p.user]] || p.uid > 0 && p.uid < 1000
}

// sudoWindow is how long after its log line sudo starts the command: it may ask
// for a password in between.
const sudoWindow = 60 * second

// sudoOf returns the use of sudo that ran image i: sudo starts its command from
// a monitor process that no record names.
func (x *index) sudoOf(i int32) []cause {
	p := &x.procs[i]
	key := x.keyOf(p.cmd)
	if key == 0 {
		return nil
	}
	var out []cause
	for _, s := range x.dated(x.sudos[key], p.start-sudoWindow, p.start+5*second) {
		f := &x.facts[s]
		if d := p.start - f.ts; f.host != p.host || f.fail || d < -5*second || d > sudoWindow || f.session != 0 && p.id != 0 && f.session != p.id {
			continue
		}
		c := cause{from: ref{KindEvent, s}, rule: sudoCommand, ts: p.start, until: p.start, facts: append([]int32{s}, first(p.facts, 1)...), mult: 1}
		if q := x.factOf[s]; q >= 0 && q != i && x.procs[q].start <= p.start && baseOf(x.text[x.procs[q].exe]) == "sudo" {
			c.from = ref{KindProcess, q}
		}
		out = append(out, c)
	}
	return newest(out, 2)
}

func first(list []int32, n int) []int32 { return list[:min(len(list), n)] }

// memberOf returns the session an image belongs to.
func (x *index) memberOf(i int32) []cause {
	p := &x.procs[i]
	if p.sess < 0 {
		return nil
	}
	s := &x.sessions[p.sess]
	if s.kind == sessionManager || s.start > p.start+joinWindow {
		return nil
	}
	if s.kind == sessionCron {
		return x.jobOf(i)
	}
	proof := append(append([]int32(nil), first(s.facts, 3)...), first(p.facts, 1)...)
	return []cause{{from: ref{KindSession, p.sess}, rule: sessionMember, ts: s.start, until: p.start, facts: proof, mult: 1}}
}

// isService reports whether an image is the main process of a service that is
// no known daemon: an application server, or somebody's implant.
func (x *index) isService(i int32) bool {
	p := &x.procs[i]
	if p.sess >= 0 || roleOf(x.text[p.exe]).daemon() {
		return false
	}
	m, ok := x.maker(i)
	return p.unit != 0 || p.ppid == 1 || ok && roleOf(x.text[x.procs[m].exe]) == roleInit
}

// jobWindow is how far cron's log line may lie from the start of the command.
const jobWindow = 90 * second

// jobOf returns the scheduled command that image i is a run of: the same
// command line, or the cron process that logged the run as parent.
func (x *index) jobOf(i int32) []cause {
	p := &x.procs[i]
	key := x.keyOf(p.cmd)
	var out []cause
	for _, n := range x.jobsNear(p.host, key, p.start, p.pid, p.ppid) {
		j := &x.jobs[n]
		same := key != 0 && j.key == key
		from, _ := slices.BinarySearchFunc(j.runs, p.start-jobWindow, func(r int32, t int64) int { return cmp.Compare(x.facts[r].ts, t) })
		for _, r := range j.runs[from:] {
			f := &x.facts[r]
			d := p.start - f.ts
			if d < -jobWindow {
				break
			}
			if same || f.pid > 0 && (f.pid == p.ppid || f.pid == p.pid) && d > -5*second {
				out = append(out, cause{from: ref{KindJob, n}, rule: jobRun, ts: f.ts, until: f.ts, facts: []int32{r}, mult: 1, fan: 1})
				break
			}
		}
	}
	return out
}

// unitOf returns the service that image i is the main process of.
func (x *index) unitOf(i int32) []cause {
	p := &x.procs[i]
	var out []cause
	if p.unit != 0 {
		n := x.unit(p.host, p.unit)
		return []cause{{from: ref{KindUnit, n}, rule: unitMain, ts: p.start, until: p.start, facts: x.startNear(n, p.start), mult: 1}}
	}
	for _, d := range x.defs.of(x.defs.commands[commandKey(x.text[p.cmd])], x.text[p.host]) {
		if name, ok := unitOfFile(d.path); ok {
			n := x.unit(p.host, x.of(name))
			out = append(out, cause{
				from: ref{KindUnit, n}, rule: unitMain, ts: p.start, until: p.start + unitWindow,
				facts: x.startNear(n, p.start), mult: 1, quote: d.line,
			})
		}
	}
	if len(out) > 0 || p.sess >= 0 {
		return out
	}
	for _, n := range x.unitsNear(p.start) {
		u := &x.units[n]
		if u.host != p.host {
			continue
		}
		for _, s := range x.dated(u.starts, p.start-unitWindow, p.start+unitWindow) {
			if d := x.facts[s].ts - p.start; d < unitWindow && d > -unitWindow {
				mult := 0.3
				if w := stem(x.text[u.name]); len(w) > 2 && (strings.Contains(x.text[p.exe], w) || strings.Contains(x.text[p.cmd], w)) {
					mult = 1
				}
				out = append(out, cause{from: ref{KindUnit, n}, rule: unitTime, ts: x.facts[s].ts, until: x.facts[s].ts, facts: []int32{s}, mult: mult})
				break
			}
		}
	}
	return out
}

// unitWindow is how far the record of a service's start may lie from that of
// its process.
const unitWindow = 15 * second

// startNear returns the record of a service's start that is nearest before t.
func (x *index) startNear(n int32, t int64) []int32 {
	starts := x.units[n].starts
	i := len(starts)
	if t != timeline.None {
		i = sort.Search(i, func(k int) bool { return x.facts[starts[k]].ts > t+unitWindow })
	}
	if i == 0 {
		return nil
	}
	return starts[i-1 : i : i]
}

// served returns the requests that a web server may have been serving at t. A
// request that contains the command is an exact join; the others share what
// their visitors' records say: visitors whose requests are always followed by
// programs outweigh those who are merely there.
func (x *index) served(host sym, t int64, cmd string) []cause {
	lo, hi := t-requestLate, t+requestEarly
	var out []cause
	done := make(map[int32]bool)
	for at := x.requestsFrom(lo); at < len(x.requests); at++ {
		r := x.requests[at]
		f := &x.facts[r]
		if f.ts > hi {
			break
		}
		v := x.visitOf[r]
		if f.host != 0 && f.host != host || done[v] || isLoopback(x.text[f.sip]) {
			continue
		}
		c := cause{from: ref{KindRequest, v}, rule: requestTime, ts: min(f.ts, t), until: min(f.ts, t), facts: []int32{r}}
		if carries(x.text[f.url], cmd) {
			c.rule = requestCommand
		}
		w := &x.visits[v]
		c.mult = float64(w.served) / float64(w.all) * x.rarity(w.all, len(x.requests))
		if strings.EqualFold(x.text[f.method], "POST") || strings.EqualFold(x.text[f.method], "PUT") || strings.Contains(x.text[f.url], "?") {
			c.mult *= 3
		}
		if x.visitsChangedFile(v, t) {
			c.mult *= 4
		}
		c.mult = min(1, c.mult)
		done[v] = true
		out = append(out, c)
	}
	return out
}

func (x *index) requestsFrom(t int64) int {
	lo, hi := 0, len(x.requests)
	for lo < hi {
		m := (lo + hi) / 2
		if x.facts[x.requests[m]].ts < t {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// carries reports whether a request's parameters contain the command that was
// run, or the other way round.
func carries(u, cmd string) bool {
	_, q, ok := strings.Cut(u, "?")
	if !ok || cmd == "" {
		return false
	}
	cmd = plainCommand(cmd)
	for part := range strings.SplitSeq(q, "&") {
		_, v, _ := strings.Cut(part, "=")
		if dec, err := url.QueryUnescape(v); err == nil {
			v = plainCommand(dec)
		}
		if len(v) >= 2 && len(cmd) >= 2 && (strings.Contains(v, cmd) || strings.Contains(cmd, v) && len(v) >= 4 || v == cmd) {
			return true
		}
	}
	return false
}

// inbound returns the connections from outside into a service at t.
func (x *index) inbound(host sym, server int32, t int64) []cause {
	ports := make(map[int32]bool)
	for _, b := range x.bindings {
		f := &x.facts[b]
		if f.host == host && f.sport > 0 && (x.factOf[b] == server || f.exe == x.procs[server].exe) {
			ports[f.sport] = true
		}
	}
	if n, ok := servicePorts[baseOf(x.text[x.procs[server].exe])]; ok {
		ports[n] = true
	}
	var out []cause
	for n := range x.flows {
		w := &x.flows[n]
		if !ports[w.port] || w.first > t || w.last < t-60*second {
			continue
		}
		for _, i := range w.facts {
			f := &x.facts[i]
			if f.act == actFlow && f.sip != 0 && f.ts <= t && f.end >= t-60*second {
				out = append(out, cause{from: ref{KindEvent, i}, rule: inboundTime, ts: f.ts, until: f.ts, facts: []int32{i}, mult: 0.5})
			}
		}
	}
	return newest(out, maxFanIn)
}

// servicePorts are the ports at which services listen unless told otherwise
// (IANA service names, and each service's own default).
var servicePorts = map[string]int32{
	"redis-server": 6379, "mysqld": 3306, "mariadbd": 3306, "postgres": 5432, "mongod": 27017, "vsftpd": 21, "proftpd": 21,
	"smbd": 445, "exim4": 25, "master": 25, "named": 53, "dockerd": 2375, "memcached": 11211,
}

// codeOf returns the files that image i executes: its program, and the scripts
// its command line names. System programs count only when somebody was seen
// writing them.
func (x *index) codeOf(i int32) []cause {
	p := &x.procs[i]
	var out []cause
	m, ok := x.maker(i)
	parented := ok && !roleOf(x.text[x.procs[m].exe]).daemon()
	add := func(path string, rule ruleID, count int) {
		n, ok := x.lookFile(p.host, path)
		if !ok || noCarrier(path) || !x.changed(n, p.start) && (parented || !x.packaged(n, p.start)) {
			return
		}
		out = append(out, cause{
			from: ref{KindFile, n}, rule: rule, ts: x.lastChange(n, p.start), until: p.start,
			facts: first(p.facts, 1), mult: 0.6 * x.rarity(count, len(x.procs)), fan: count,
		})
	}
	exe := x.text[p.exe]
	if exe != "" && exe[0] == '/' {
		add(exe, exeFile, x.byExe[p.exe])
	}
	if interprets(exe) {
		for k, tok := range pathsIn(x.text[p.cmd], x.text[p.cwd]) {
			if tok != exe && k < 3 {
				add(tok, scriptFile, x.commons[path.Base(tok)])
				if len(out) > 0 && out[len(out)-1].rule == scriptFile {
					break
				}
			}
		}
	}
	return out
}

// interprets reports whether a program runs the script its arguments name.
func interprets(exe string) bool {
	if roleOf(exe) == roleShell {
		return true
	}
	b := path.Base(exe)
	for _, p := range [...]string{"python", "perl", "ruby", "php", "node", "lua", "tclsh", "java", "run-parts", "awk"} {
		if strings.HasPrefix(b, p) {
			return true
		}
	}
	return false
}

// lastChange returns the latest time at which a file is known to have changed
// before until.
func (x *index) lastChange(n int32, until int64) int64 {
	at := timeline.None
	f := &x.files[n]
	for _, list := range [...][]int32{f.writes, f.stats} {
		for _, i := range list {
			a := &x.facts[i]
			if a.ts <= until && a.ts > at && (a.act != actStat || changeTime(x.text[a.note])) {
				at = a.ts
			}
		}
	}
	if at == timeline.None {
		return until
	}
	return at
}
