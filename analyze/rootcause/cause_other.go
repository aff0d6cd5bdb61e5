package rootcause

import (
	"path"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// causesOfFlow returns the processes that opened a connection or held its
// socket, the newest before until.
func (x *index) causesOfFlow(n int32, until int64) []cause {
	w := &x.flows[n]
	last := make(map[int32]cause)
	for _, i := range w.facts {
		f := &x.facts[i]
		p := x.factOf[i]
		if p < 0 || f.ts > until && f.act != actSocket {
			continue
		}
		rule := flowConnect
		if f.act == actSocket {
			rule = flowSocket
		}
		ts := min(f.ts, until)
		last[p] = cause{from: ref{KindProcess, p}, rule: rule, ts: ts, until: ts, facts: []int32{i}, mult: x.rarity(x.byExe[x.procs[p].exe], len(x.procs))}
	}
	var out []cause
	for _, c := range last {
		out = append(out, c)
	}
	if len(out) > 0 {
		return newest(out, maxFanIn)
	}
	ip := x.text[w.remote]
	for i := range x.procs {
		p := &x.procs[i]
		if p.start <= until && p.cmd != 0 && strings.Contains(x.text[p.cmd], ip) && !roleOf(x.text[p.exe]).daemon() {
			out = append(out, cause{from: ref{KindProcess, int32(i)}, rule: flowNamed, ts: p.start, until: p.start, facts: first(p.facts, 1), mult: 1})
		}
	}
	for _, i := range x.containing(ip, until, nil) {
		ts := x.facts[i].ts
		out = append(out, cause{from: ref{KindEvent, i}, rule: flowNamed, ts: ts, until: ts, facts: []int32{i}, mult: 1})
	}
	for n := range x.jobs {
		j := &x.jobs[n]
		if strings.Contains(x.text[j.cmd], ip) && x.firstRun(int32(n)) <= until {
			out = append(out, cause{from: ref{KindJob, int32(n)}, rule: flowNamed, ts: x.firstRun(int32(n)), until: until, facts: first(j.runs, 1), mult: 1})
		}
	}
	return newest(out, maxFanIn)
}

// causesOfVisit returns the changed file that a request asks for: a web shell
// has a history of its own.
func (x *index) causesOfVisit(n int32, until int64) []cause {
	v := &x.visits[n]
	var out []cause
	for _, f := range x.filesOfPath(v) {
		if !x.changed(f, until) {
			continue
		}
		out = append(out, cause{from: ref{KindFile, f}, rule: requestFile, ts: x.lastChange(f, until), until: until, facts: x.proofOfChange(f, until), mult: 1})
	}
	return newest(out, maxFanIn)
}

// filesOfPath returns the files that a request's path may name: those whose
// path ends with it.
func (x *index) filesOfPath(v *visit) []int32 {
	p := x.text[v.path]
	b := path.Base(p)
	if len(b) < 3 || !strings.Contains(b, ".") || strings.HasPrefix(b, "index.") {
		return nil
	}
	var out []int32
	for _, n := range x.byBase[b] {
		f := &x.files[n]
		if (v.host == 0 || f.host == 0 || f.host == v.host) && strings.HasSuffix(x.text[f.path], p) && servable(p) {
			out = append(out, n)
		}
	}
	return out
}

// servable reports whether a web server would run the file rather than hand it
// out.
func servable(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".php", ".phtml", ".php5", ".php7", ".phar", ".jsp", ".jspx", ".asp", ".aspx", ".ashx", ".cgi", ".pl", ".py", ".sh", ".cfm", ".war":
		return true
	}
	return false
}

func (x *index) visitsChangedFile(v int32, until int64) bool {
	return slices.ContainsFunc(x.filesOfPath(&x.visits[v]), func(f int32) bool { return x.changed(f, until) })
}

// causesOfPackage returns who ran the package manager.
func (x *index) causesOfPackage(n int32) []cause {
	if n >= 0 {
		return append(x.makersOf(n), x.codeOf(n)...)
	}
	i := -n - 1
	f := &x.facts[i]
	want := x.keyOf(f.cmd)
	var out []cause
	from, to := x.procsBetween(f.ts-3600*second, f.ts+5*second)
	for p := from; p < to; p++ {
		q := &x.procs[p]
		if q.host != f.host || q.start > f.ts+5*second || f.ts-q.start > 3600*second || !q.started {
			continue
		}
		cmd := x.text[q.cmd]
		switch {
		case want != 0 && x.keyOf(q.cmd) == want, want == 0 && packagerOf(x.text[q.exe], cmd) != "" && !x.belowPackager(int32(p)):
			out = append(out, cause{from: ref{KindProcess, int32(p)}, rule: packageCommand, ts: q.start, until: q.start, facts: first(q.facts, 1), mult: 1})
		}
	}
	if len(out) == 0 && f.user != 0 {
		out = x.openSessions(f, eventUser, []int32{i})
	}
	return newest(out, maxFanIn)
}

// causesOfEvent returns what a record that is neither process nor file hangs
// on: its process, its session, else the sessions its account had open.
func (x *index) causesOfEvent(i int32) []cause {
	f := &x.facts[i]
	if p := x.factOf[i]; p >= 0 {
		q := &x.procs[p]
		switch role := roleOf(x.text[q.exe]); {
		case role == roleWeb || role == roleServer:
			if out := x.served(f.host, f.ts, x.text[f.cmd]); len(out) > 0 {
				return out
			}
			fallthrough
		case !role.daemon():
			return []cause{{from: ref{KindProcess, p}, rule: eventProcess, ts: f.ts, until: f.ts, facts: []int32{i}, mult: 1}}
		}
	}
	if x.inboundEvent(i) {
		return nil
	}
	if n, ok := x.flowOf[i]; ok {
		return x.causesOfFlow(n, f.ts)
	}
	if f.ts == timeline.None {
		return nil
	}
	if f.session != 0 {
		if s, ok := x.sessionByID(f.host, f.session, f.ts); ok && x.sessions[s].kind != sessionManager {
			return []cause{{from: ref{KindSession, s}, rule: eventSession, ts: x.sessions[s].start, until: f.ts, facts: []int32{i}, mult: 1}}
		}
	}
	return x.openSessions(f, eventUser, []int32{i})
}

// inboundEvent reports whether a record is of a captured connection that came
// from outside.
func (x *index) inboundEvent(i int32) bool {
	f := &x.facts[i]
	return f.act == actFlow && f.from == fromCapture && f.sip != 0 && !x.opt.internal(x.text[f.sip]) && x.opt.internal(x.text[f.dip])
}

// openSessions returns the sessions that the account of a record had open. One
// that is alone, or on the record's terminal, is an exact join.
func (x *index) openSessions(f *fact, rule ruleID, proof []int32) []cause {
	if f.user == 0 && f.session == 0 {
		return nil // of sessions whose account nothing names none is this record's
	}
	// newest keeps the latest: of a case with many thousand open sessions the
	// others need not be judged.
	var list []int32
	if f.end > f.ts { // an undated line of a history between two bounds
		l := x.byAccount[account{f.host, f.user}]
		for _, b := range slices.Backward(l.upTo(f.end + 1)) {
			e := &x.sessions[b.s]
			if (e.end == timeline.None || e.end+5*second >= f.ts) && e.kind != sessionCron && e.kind != sessionManager {
				list = append(list, b.s)
			}
			if x.enough(list) {
				break
			}
		}
	} else {
		list = x.sessionsOf(f, 0)
	}
	var out []cause
	for _, s := range list {
		e := &x.sessions[s]
		c := cause{from: ref{KindSession, s}, rule: rule, ts: e.start, until: max(f.ts, e.start), facts: append(first(proof, 1), first(e.facts, 2)...), mult: x.fits(s)}
		if rule == eventUser && (len(list) == 1 && f.end == f.ts || f.tty != 0 && e.tty == f.tty) {
			c.rule, c.mult = eventSession, 1
		}
		out = append(out, c)
	}
	return newest(out, maxFanIn)
}
