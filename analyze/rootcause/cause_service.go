package rootcause

import (
	"path"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// causesOfUnit returns the file that defines a service and the command that
// started it.
func (x *index) causesOfUnit(n int32, until int64) []cause {
	u := &x.units[n]
	name := x.text[u.name]
	start := until
	for _, s := range u.starts {
		if x.facts[s].ts <= until+unitWindow {
			start = x.facts[s].ts
		}
	}
	out := x.definers(u.host, name, max(until, start))
	if w := stem(name); strings.HasSuffix(name, ".service") {
		out = append(out, x.definers(u.host, w+".timer", max(until, start))...)
	}
	for _, word := range [...]string{name, stem(name)} {
		for _, i := range x.named[word] {
			p := &x.procs[i]
			if p.host != u.host || p.start > start+unitWindow || start-p.start > 600*second || !starter(x.text[p.exe], x.text[p.cmd]) {
				continue
			}
			out = append(out, cause{from: ref{KindProcess, i}, rule: unitCommand, ts: p.start, until: p.start, facts: first(p.facts, 1), mult: 1})
		}
	}
	for _, i := range x.dated(x.wording.services, start-600*second+1, start+unitWindow) {
		f := &x.facts[i]
		if f.host == u.host && strings.Contains(x.text[f.cmd], stem(name)) {
			out = append(out, cause{from: ref{KindEvent, i}, rule: unitCommand, ts: f.ts, until: f.ts, facts: []int32{i}, mult: 1})
		}
	}
	if len(out) == 0 && !x.sinceBoot(u.host, start) {
		out = x.rootedBefore(u.host, start, unitSession)
	}
	return newest(out, maxFanIn)
}

// sinceBoot reports whether t lies in the first two minutes after a start of the
// host, when services start by themselves.
func (x *index) sinceBoot(host sym, t int64) bool {
	b := x.bootStart(host, t)
	return b != timeline.None && t-b < 120*second
}

// starter reports whether a command starts or enables services.
func starter(exe, cmd string) bool {
	switch baseOf(exe) {
	case "systemctl", "service", "invoke-rc.d", "initctl", "rc-service":
	default:
		return false
	}
	for _, verb := range [...]string{" start", " restart", " enable", " reload", " try-restart", " reenable"} {
		if strings.Contains(cmd, verb) {
			return true
		}
	}
	return false
}

// definers returns the files that define a unit, its drop-ins included.
func (x *index) definers(host sym, name string, until int64) []cause {
	var out []cause
	add := func(n int32) {
		f := &x.files[n]
		p := x.text[f.path]
		if f.host != host && f.host != 0 && host != 0 {
			return
		}
		if u, ok := unitOfFile(p); !ok || u != name || !x.changed(n, until) && !x.packaged(n, until) {
			return
		}
		out = append(out, cause{
			from: ref{KindFile, n}, rule: unitFile, ts: x.lastChange(n, until), until: until, facts: x.proofOfChange(n, until), mult: 1,
		})
	}
	for _, n := range x.byBase[name] {
		add(n)
	}
	for _, drop := range [...]string{"override.conf"} {
		for _, n := range x.byBase[drop] {
			add(n)
		}
	}
	return out
}

// proofOfChange returns the records of a file's latest change before until.
func (x *index) proofOfChange(n int32, until int64) []int32 {
	at := x.lastChange(n, until)
	var out []int32
	f := &x.files[n]
	for _, list := range [...][]int32{f.writes, f.stats} {
		for _, i := range list {
			if x.facts[i].ts == at {
				out = keep(out, i)
			}
		}
	}
	return first(out, 3)
}

// firstRun returns when a job ran first.
func (x *index) firstRun(n int32) int64 { return x.facts[x.jobs[n].runs[0]].ts }

// causesOfJob returns the cron table a command comes from: the one that
// contains it, else the one that changed last before its first run.
func (x *index) causesOfJob(n int32, until int64) []cause {
	j := &x.jobs[n]
	cmd, ran := x.text[j.cmd], x.firstRun(n)
	var out []cause
	for _, d := range x.defs.of(x.defs.commands[commandKey(cmd)], x.text[j.host]) {
		if persistent(d.path) != "cron" {
			continue
		}
		f := x.file(j.host, x.of(d.path))
		out = append(out, cause{
			from: ref{KindFile, f}, rule: jobTable, ts: min(ran, x.lastChange(f, ran)), until: ran,
			facts: append(x.proofOfChange(f, ran), j.runs[0]), mult: 1, quote: d.line,
		})
	}
	if len(out) == 0 {
		out = x.tablesBefore(n, ran)
	}
	for _, i := range x.named["crontab"] {
		p := &x.procs[i]
		if p.host == j.host && baseOf(x.text[p.exe]) == "crontab" && p.start <= ran && ran-p.start < 3600*second && !strings.Contains(x.text[p.cmd], " -l") {
			out = append(out, cause{from: ref{KindProcess, i}, rule: jobCommand, ts: p.start, until: p.start, facts: first(p.facts, 1), mult: 0.5})
		}
	}
	for _, i := range x.dated(x.wording.crontab, ran-3600*second+1, ran) {
		f := &x.facts[i]
		if f.host == j.host {
			out = append(out, cause{from: ref{KindEvent, i}, rule: jobCommand, ts: f.ts, until: f.ts, facts: []int32{i}, mult: 0.5})
		}
	}
	return newest(out, maxFanIn)
}

// tablesBefore returns the cron tables that may hold a job, by the time of
// their change and by name: a table is called like what it runs more often
// than not.
func (x *index) tablesBefore(n int32, ran int64) []cause {
	j := &x.jobs[n]
	cmd := x.text[j.cmd]
	var out []cause
	named := false
	for _, i := range x.cronFiles {
		f := &x.files[i]
		p := x.text[f.path]
		if f.host != j.host && f.host != 0 || persistent(p) != "cron" || !x.changed(i, ran) {
			continue
		}
		user := strings.HasPrefix(p, "/var/spool/cron/")
		if !user && !systemTable(p) && !inDir(cmd, p) {
			continue
		}
		if user && path.Base(p) != x.text[j.user] {
			continue
		}
		c := cause{
			from: ref{KindFile, i}, rule: jobTime, ts: x.lastChange(i, ran), until: ran,
			facts: append(x.proofOfChange(i, ran), j.runs[0]), mult: 0.2,
		}
		if b := path.Base(p); len(b) > 2 && strings.Contains(cmd, b) || user || inDir(cmd, p) {
			c.mult, named = 1, true
		}
		for _, l := range x.dated(x.cronLoad, ran-120*second+1, ran+70*second) {
			if a := &x.facts[l]; a.file == f.path && a.host == j.host && a.ts <= ran+70*second && ran-a.ts < 120*second {
				c.mult, c.facts = min(1, c.mult+0.5), append(c.facts, l)
			}
		}
		out = append(out, c)
	}
	if named { // a table of that name makes the others unlikely
		for k := range out {
			if out[k].mult < 0.9 {
				out[k].mult *= 0.1
			}
		}
	}
	return newest(out, 8)
}

// systemTable reports whether cron(8) reads p as a system table: /etc/crontab,
// and the files of /etc/cron.d whose names hold no dot.
func systemTable(p string) bool {
	if p == "/etc/crontab" {
		return true
	}
	name, ok := strings.CutPrefix(p, "/etc/cron.d/")
	return ok && !strings.ContainsAny(name, "./~#")
}
