package rootcause

import (
	"path"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// causesOfFile returns who brought a file into the state it was in at until.
func (x *index) causesOfFile(n int32, until int64) []cause {
	out := x.writersOf(n, until)
	if len(out) == 0 || !slices.ContainsFunc(out, func(c cause) bool { return c.rule == fileWrite || c.rule == fileRename }) {
		out = append(out, x.namersOf(n, until)...)
	}
	if len(out) == 0 {
		out = append(out, x.uploadsOf(n, until)...)
	}
	if len(out) == 0 {
		out = append(x.installsAt(n, until), x.sessionsAt(n, until)...)
	}
	return out
}

// installWindow is how far the record of an installation may lie from the
// times of the files it brought.
const installWindow = 60 * second

// installsAt returns the installations that ran when a file changed.
func (x *index) installsAt(n int32, until int64) []cause {
	f := &x.files[n]
	var out []cause
	for _, t := range x.changeTimes(n, until) {
		for _, p := range x.dated(x.packages, t.ts-installWindow, t.ts+installWindow) {
			a := &x.facts[p]
			if d := a.ts - t.ts; a.ts != timeline.None && d < installWindow && d > -installWindow && (a.host == f.host || f.host == 0) {
				out = append(out, cause{from: ref{KindPackage, -p - 1}, rule: filePackage, ts: min(a.ts, t.ts), until: until, facts: []int32{p, t.fact}, mult: 1})
			}
		}
	}
	return newest(out, 4)
}

// packaged reports whether the file changed while something was installed.
func (x *index) packaged(n int32, until int64) bool { return len(x.installsAt(n, until)) > 0 }

// writersOf returns the processes that were recorded writing the file, since
// it was last made anew.
func (x *index) writersOf(n int32, until int64) []cause {
	f := &x.files[n]
	since := x.madeAnew(n, until)
	perExe := make(map[sym]int)
	last := make(map[ref]cause)
	for _, w := range f.writes {
		a := &x.facts[w]
		if a.ts > until || a.ts < since || a.act == actDelete || a.fail {
			continue
		}
		if a.act == actRename {
			if a.file2 != f.path {
				continue // it lost this name
			}
			src := ref{KindFile, x.file(a.host, a.file)}
			last[src] = cause{from: src, rule: fileRename, ts: a.ts, until: a.ts - 1, facts: []int32{w}, mult: 1}
		}
		p := x.factOf[w]
		if p < 0 {
			continue
		}
		switch role := roleOf(x.text[x.procs[p].exe]); {
		case isLog(x.text[f.path]) && role.daemon(), role == roleInit:
			continue // ordinary writers of logs, and who acts for others, say nothing
		case role == roleWeb || role == roleServer:
			for _, c := range x.served(a.host, a.ts, "") {
				c.rule, c.facts = fileRequest, append(c.facts, w)
				c.mult = max(c.mult, 0.1)
				last[c.from] = c
			}
			continue
		}
		perExe[x.procs[p].exe]++
		k := ref{KindProcess, p}
		last[k] = writing(a, w, k, last[k])
	}
	return newest(x.weighWriters(last, perExe, len(f.writes)), maxFanIn)
}

// madeAnew returns when the file last came about under its name before until:
// what was written earlier is gone.
func (x *index) madeAnew(n int32, until int64) int64 {
	f := &x.files[n]
	since := timeline.None
	for _, w := range f.writes {
		a := &x.facts[w]
		if a.ts <= until && (a.act == actCreate || a.act == actRename && a.file2 == f.path) {
			since = a.ts
		}
	}
	return since
}

// writing is the step to the process of a record of writing, joined with the
// step that an earlier record of the same process made.
func writing(a *fact, w int32, from ref, old cause) cause {
	c := cause{from: from, rule: fileWrite, ts: a.ts, until: a.ts, facts: []int32{w}, mult: 1}
	if a.act == actAttr {
		c.rule = fileAttr
	}
	if old.mult > 0 && old.rule == fileWrite {
		c.rule = fileWrite
		c.facts = append(first(old.facts, 3), w)
	}
	return c
}

// weighWriters gives the rare writer more than the frequent one, and content
// more than attributes.
func (x *index) weighWriters(last map[ref]cause, perExe map[sym]int, writes int) []cause {
	written := false
	for _, c := range last {
		written = written || c.rule == fileWrite
	}
	out := make([]cause, 0, len(last))
	for _, c := range last {
		if c.from.kind == KindProcess {
			c.mult = x.rarity(perExe[x.procs[c.from.n].exe], max(8, writes))
			if c.rule == fileAttr {
				c.mult *= 0.5
				if written {
					c.mult *= 0.3
				}
			}
		}
		out = append(out, c)
	}
	return out
}

// maxFanIn bounds the steps back from one node: the newest are kept, the rest
// is counted as pruned.
const maxFanIn = 48

func newest(list []cause, n int) []cause {
	slices.SortFunc(list, func(a, b cause) int {
		if a.ts != b.ts {
			return int(clampSign(b.ts - a.ts))
		}
		return compareRefs(a.from, b.from)
	})
	return list[:min(len(list), n)]
}

// readers are programs that only look at the files they are given.
var readers = map[string]bool{
	"cat": true, "ls": true, "grep": true, "egrep": true, "tail": true, "head": true, "less": true, "more": true, "stat": true,
	"file": true, "md5sum": true, "sha256sum": true, "wc": true, "find": true, "test": true, "[": true, "diff": true, "readlink": true,
	"rm": true, "strings": true, "du": true, "getfattr": true, "lsattr": true, "sleep": true, "pgrep": true, "pkill": true, "kill": true,
}

// namersOf returns the commands that name the file before the time that
// matters: those that can write, not the file's own runs.
func (x *index) namersOf(n int32, until int64) []cause {
	f := &x.files[n]
	p := x.text[f.path]
	base := path.Base(p)
	var out []cause
	for _, i := range x.named[base] {
		q := &x.procs[i]
		if q.start > until || q.host != f.host && f.host != 0 || q.exe == f.path || readers[baseOf(x.text[q.exe])] || roleOf(x.text[q.exe]).daemon() {
			continue
		}
		paths := pathsIn(x.text[q.cmd], x.text[q.cwd])
		switch {
		case strings.HasPrefix(x.text[q.cmd], p), interprets(x.text[q.exe]) && len(paths) > 0 && paths[0] == p: // it runs the file
		case slices.Contains(paths, p):
			if x.shellOfJob(i) {
				continue
			}
			out = append(out, cause{from: ref{KindProcess, i}, rule: fileNamed, ts: q.start, until: q.start, facts: first(q.facts, 1), mult: x.nearChange(n, q.start)})
		case x.distinct(base) && strings.Contains(x.text[q.cmd], base) && !x.shellOfJob(i):
			out = append(out, cause{from: ref{KindProcess, i}, rule: fileBase, ts: q.start, until: q.start, facts: first(q.facts, 1), mult: 0.3 * x.nearChange(n, q.start)})
		}
	}
	if !x.distinct(base) {
		return newest(out, maxFanIn)
	}
	for _, i := range x.containing(base, until, func(cmd string) bool { return !readers[baseOf(firstWord(cmd, ""))] }) {
		c := &x.facts[i]
		if c.host != f.host && f.host != 0 {
			continue
		}
		cmd := x.text[c.cmd]
		mult := 0.3
		rule := fileBase
		if strings.Contains(cmd, p) {
			mult, rule = 1, fileNamed
		}
		out = append(out, cause{from: ref{KindEvent, i}, rule: rule, ts: c.ts, until: c.ts, facts: []int32{i}, mult: mult * x.nearChange(n, c.ts)})
	}
	return newest(out, maxFanIn)
}

// shellOfJob reports whether image i is the shell that runs a scheduled
// command: it names the file in order to run it.
func (x *index) shellOfJob(i int32) bool {
	return roleOf(x.text[x.procs[i].exe]) == roleShell && len(x.jobOf(i)) > 0
}

// distinct reports whether a file name tells something: not everybody uses it.
func (x *index) distinct(base string) bool {
	return len(base) >= 4 && x.commons[base] <= 200 && len(x.byBase[base]) <= 20
}

// nearChange weighs a command by how near it is to a time at which the file is
// known to have changed; 1 when no such time is known.
func (x *index) nearChange(n int32, t int64) float64 {
	best, known := 0.0, false
	for _, s := range x.files[n].stats {
		a := &x.facts[s]
		if !changeTime(x.text[a.note]) || a.ts == timeline.None {
			continue
		}
		known = true
		best = max(best, proximity(a.ts-t))
	}
	if !known {
		return 1
	}
	return max(best, 0.1)
}

// webAccounts are the accounts web servers run under.
var webAccounts = map[string]bool{"www-data": true, "apache": true, "nginx": true, "http": true, "httpd": true, "wwwrun": true, "www": true}

// uploadsOf returns the requests that were served while a file of the web
// server's account came about.
func (x *index) uploadsOf(n int32, until int64) []cause {
	f := &x.files[n]
	var out []cause
	for _, t := range x.changeTimes(n, until) {
		if !webAccounts[x.text[t.user]] {
			continue
		}
		for _, c := range x.served(f.host, t.ts, "") {
			c.rule = fileRequest
			c.facts = append(c.facts, t.fact)
			c.mult = max(c.mult, 0.05)
			out = append(out, c)
		}
	}
	return newest(out, maxFanIn)
}

type changed struct {
	ts   int64
	fact int32
	user sym
}

func (x *index) changeTimes(n int32, until int64) []changed {
	var out []changed
	for _, s := range x.files[n].stats {
		a := &x.facts[s]
		if a.ts <= until && a.ts != timeline.None && changeTime(x.text[a.note]) {
			out = append(out, changed{a.ts, s, a.user})
		}
	}
	return out
}

// sessionsAt returns the sessions that were open when the file changed and
// that may write it: the owner's, and those with root's rights.
func (x *index) sessionsAt(n int32, until int64) []cause {
	f := &x.files[n]
	var out []cause
	times := x.changeTimes(n, until)
	if len(times) == 0 {
		return x.rootedBefore(f.host, until, fileSession)
	}
	for _, t := range times {
		x.sessionsOn(f.host, t.ts, 0, func(s int32) {
			e := &x.sessions[s]
			if !x.open(e, t.ts) || e.kind == sessionCron || e.kind == sessionManager {
				return
			}
			rooted := e.rooted != timeline.None && e.rooted <= t.ts
			if !rooted && (t.user == 0 || e.user != t.user) {
				return
			}
			out = append(out, cause{from: ref{KindSession, s}, rule: fileSession, ts: t.ts, until: t.ts, facts: []int32{t.fact}})
		})
	}
	if len(out) == 0 && x.changedAfter(n, until) {
		// The time that matters was overwritten by a later change.
		return x.rootedBefore(f.host, until, fileSession)
	}
	out = newest(out, maxFanIn)
	for i := range out { // only what stays is judged
		c := &out[i]
		c.facts = append(append([]int32(nil), first(x.sessions[c.from.n].facts, 2)...), c.facts...)
		c.mult = x.fits(c.from.n)
	}
	return out
}

// changedAfter reports whether a file is known to have changed after t, so that
// its times no longer tell of changes before.
func (x *index) changedAfter(n int32, t int64) bool {
	for _, s := range x.files[n].stats {
		if a := &x.facts[s]; a.ts > t && changeTime(x.text[a.note]) {
			return true
		}
	}
	return false
}

// rootedBefore returns the sessions with root's rights in the hour before t:
// all that is left where no record tells who did something only root may do.
func (x *index) rootedBefore(host sym, t int64, rule ruleID) []cause {
	var out []cause
	l := x.byHost[host]
	for i := l.before(t+1) - 1; i >= 0 && l.until[i] >= t-3600*second; i-- {
		s := l.list[i].s
		e := &x.sessions[s]
		if e.kind == sessionCron || e.kind == sessionManager || e.rooted == timeline.None || e.rooted > t || e.start > t {
			continue
		}
		last := t
		if e.end != timeline.None {
			last = min(t, e.end)
		} else if !x.open(e, t) {
			continue
		}
		if t-last < 3600*second {
			out = append(out, cause{from: ref{KindSession, s}, rule: rule, ts: last, until: t, facts: first(e.facts, 3)})
		}
	}
	out = newest(out, maxFanIn)
	for i := range out {
		out[i].mult = 0.5 * x.fits(out[i].from.n)
	}
	return out
}

// fits weighs a session as the origin of something by what is unusual about
// it: an outside address, guessing before it, an address seen for the first
// time.
func (x *index) fits(s int32) float64 {
	e := &x.sessions[s]
	w := 0.2
	if e.src != 0 && !x.opt.internal(x.text[e.src]) {
		w += 0.3
	}
	if _, guessed := x.guessingBefore(s); guessed {
		w += 0.4
	}
	if same := x.sameStay(s); len(same) == 0 || e.start-same[0].start <= 3600*second {
		w += 0.1
	}
	if !e.login {
		w *= 0.3 // only its number is known: often no login at all
	}
	return w
}
