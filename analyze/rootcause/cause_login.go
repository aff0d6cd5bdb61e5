package rootcause

import (
	"sort"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// causesOfSession returns what made a login possible: a key that was put
// there, an account that was made or given a password, a client on another
// host. A login without any of these is where somebody came in.
func (x *index) causesOfSession(n int32) []cause {
	e := &x.sessions[n]
	if e.kind == sessionCron {
		return nil
	}
	var out []cause
	if m := x.text[e.method]; m == "" || strings.Contains(m, "publickey") || e.key != 0 {
		out = append(out, x.keysOf(n)...)
	}
	for _, i := range x.accounts {
		f := &x.facts[i]
		whom := f.target
		if whom == 0 {
			whom = f.user
		}
		if f.host != e.host || whom != e.user || whom == 0 || f.ts > e.start || strings.HasPrefix(x.text[f.note], "group") {
			continue
		}
		if strings.Contains(x.text[e.method], "publickey") && x.text[f.note] != "account-created" {
			continue
		}
		out = append(out, cause{from: ref{KindEvent, i}, rule: loginAccount, ts: f.ts, until: f.ts, facts: []int32{i}, mult: 1})
	}
	out = append(out, x.clientsOf(n)...)
	if e.src != 0 && !x.opt.internal(x.text[e.src]) {
		out = append(out, x.contacted(n)...)
	}
	return newest(out, maxFanIn)
}

// keysOf returns the key lists that let a login in.
func (x *index) keysOf(n int32) []cause {
	e := &x.sessions[n]
	var out []cause
	for _, d := range x.defs.of(x.defs.keys[x.text[e.key]], x.text[e.host]) {
		if who, ok := accountOfKeyList(d.path); !ok || who != x.text[e.user] {
			continue
		}
		f := x.file(e.host, x.of(d.path))
		if !x.changed(f, e.start) {
			continue
		}
		out = append(out, cause{
			from: ref{KindFile, f}, rule: loginKey, ts: x.lastChange(f, e.start), until: e.start,
			facts: append(x.proofOfChange(f, e.start), first(e.facts, 1)...), mult: 1, quote: d.line,
		})
	}
	if len(out) > 0 || e.method == 0 && e.key == 0 {
		return out
	}
	for _, i := range x.keyFiles {
		f := &x.files[i]
		who, ok := accountOfKeyList(x.text[f.path])
		if !ok || who != x.text[e.user] || f.host != e.host && f.host != 0 || !x.changed(i, e.start) {
			continue
		}
		at := x.lastChange(i, e.start)
		if at < x.firstSession(e.host) || x.keyUsedBefore(n, at) {
			continue
		}
		out = append(out, cause{
			from: ref{KindFile, i}, rule: loginKeyTime, ts: at, until: e.start,
			facts: append(x.proofOfChange(i, e.start), first(e.facts, 1)...), mult: 1,
		})
	}
	return out
}

// firstSession returns when the records of logins on a host begin: of keys put
// there earlier nobody can say whether they had been used before.
func (x *index) firstSession(host sym) int64 {
	if s, ok := x.firstOn[host]; ok {
		return x.sessions[s].start
	}
	return timeline.None
}

// keyUsedBefore reports whether the key of session n, or where the records do
// not say which key, its account and address, had logged in before t.
func (x *index) keyUsedBefore(n int32, t int64) bool {
	e := &x.sessions[n]
	l := x.byAccount[account{e.host, e.user}]
	for _, b := range l.upTo(t) {
		o := &x.sessions[b.s]
		if o.login &&
			(e.key != 0 && o.key == e.key || e.key == 0 && o.src == e.src) {
			return true
		}
	}
	return false
}

// clientsOf returns the ssh clients of other hosts of the case at the moment
// of a login.
func (x *index) clientsOf(n int32) []cause {
	e := &x.sessions[n]
	if e.kind != sessionRemote {
		return nil
	}
	var out []cause
	for _, exe := range [...]string{"ssh", "scp", "sftp", "sshpass"} {
		list := x.clients[exe]
		from := sort.Search(len(list), func(k int) bool { return x.procs[list[k]].start >= e.start-joinWindow })
		for _, i := range list[from:] {
			if x.procs[i].start > e.start+2*second {
				break
			}
			p := &x.procs[i]
			if d := e.start - p.start; p.host == e.host || d < -2*second || d > joinWindow {
				continue
			}
			c := cause{from: ref{KindProcess, i}, rule: loginRemote, ts: p.start, until: p.start, facts: append(first(p.facts, 1), first(e.facts, 1)...), mult: 0.4}
			cmd := x.text[p.cmd]
			if strings.Contains(cmd, x.text[e.user]+"@") || strings.Contains(cmd, x.text[e.host]) && e.host != 0 {
				c.mult = 1
			}
			out = append(out, c)
		}
	}
	return out
}

// contacted returns the traffic from this host to the address a login came
// from, when there was some before.
func (x *index) contacted(n int32) []cause {
	e := &x.sessions[n]
	var out []cause
	for _, w := range x.byRemote[e.src] {
		f := &x.flows[w]
		var at *fact
		var proof int32
		for _, i := range f.facts {
			if a := &x.facts[i]; a.ts <= e.start && a.ts != timeline.None && a.pid > 0 {
				at, proof = a, i
			}
		}
		if at != nil {
			out = append(out, cause{from: ref{KindFlow, w}, rule: loginContacted, ts: at.ts, until: at.ts, facts: []int32{proof}, mult: 0.6})
		}
	}
	return out
}
