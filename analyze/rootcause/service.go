package rootcause

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// unit is one service of one host.
type unit struct {
	host, name sym
	starts     []int32 // facts
}

// job is one scheduled command of one account on one host.
type job struct {
	host, user, cmd sym     // the command as cron logged it
	key             sym     // commandKey of it
	runs            []int32 // facts
}

type jobKey struct{ host, user, cmd sym }

func (x *index) findServices() {
	x.unitByID = make(map[hostPath]int32)
	x.jobByID = make(map[jobKey]int32)
	x.jobsByCmd = make(map[hostPath][]int32)
	x.runsByPID = make(map[hostPID][]jobRunOf)
	for i := range x.facts {
		f := &x.facts[i]
		switch f.act {
		case actStart:
			if f.unit != 0 && !transient(x.text[f.unit]) {
				n := x.unit(f.host, f.unit)
				x.units[n].starts = append(x.units[n].starts, int32(i))
				if f.ts != timeline.None {
					x.unitStarts = append(x.unitStarts, int32(i))
				}
			}
		case actCron:
			if f.cmd == 0 {
				continue
			}
			k := jobKey{f.host, f.user, x.keyOf(f.cmd)}
			n, ok := x.jobByID[k]
			if !ok {
				n = int32(len(x.jobs))
				x.jobs = append(x.jobs, job{host: k.host, user: k.user, cmd: f.cmd, key: k.cmd})
				x.jobsByCmd[hostPath{k.host, k.cmd}] = append(x.jobsByCmd[hostPath{k.host, k.cmd}], n)
				x.jobByID[k] = n
			}
			x.jobs[n].runs = append(x.jobs[n].runs, int32(i))
			if f.pid > 0 {
				p := hostPID{f.host, f.pid}
				x.runsByPID[p] = append(x.runsByPID[p], jobRunOf{int32(i), n})
			}
		case actSocket, actBind:
			x.bindings = append(x.bindings, int32(i))
		}
	}
}

// jobRunOf is a record of a run and the job it is of.
type jobRunOf struct{ fact, job int32 }

// jobsNear returns the jobs, in order, that a process of this command or these
// numbers may be a run of.
func (x *index) jobsNear(host, cmd sym, t int64, pids ...int32) []int32 {
	var out []int32
	if x.text[cmd] != "" {
		out = append(out, x.jobsByCmd[hostPath{host, cmd}]...)
	}
	for _, pid := range pids {
		list := x.runsByPID[hostPID{host, pid}]
		from, _ := slices.BinarySearchFunc(list, t-jobWindow, func(r jobRunOf, t int64) int { return cmp.Compare(x.facts[r.fact].ts, t) })
		for _, r := range list[from:] {
			if x.facts[r.fact].ts > t+jobWindow {
				break
			}
			out = append(out, r.job)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// unit returns the number of a service; audit names it without ".service".
func (x *index) unit(host, name sym) int32 {
	n := x.text[name]
	if !strings.Contains(n, ".") {
		name = x.of(n + ".service")
	}
	k := hostPath{host, name}
	if u, ok := x.unitByID[k]; ok {
		return u
	}
	u := int32(len(x.units))
	x.units = append(x.units, unit{host: host, name: name})
	x.unitByID[k] = u
	return u
}

// transient reports whether a unit is made by a login or by the system itself
// and says nothing of who asked for it.
func transient(name string) bool {
	return strings.HasSuffix(name, ".scope") || strings.HasSuffix(name, ".slice") || strings.HasSuffix(name, ".target") ||
		strings.HasSuffix(name, ".mount") || strings.HasSuffix(name, ".device") || strings.HasSuffix(name, ".socket") ||
		strings.HasPrefix(name, "user@") || strings.HasPrefix(name, "user-runtime-dir@") || strings.HasPrefix(name, "session-")
}

// stem returns a unit's name without its kind and instance: the word by which
// files and programs of the service are called.
func stem(unit string) string {
	s := strings.TrimSuffix(path.Base(unit), path.Ext(unit))
	s, _, _ = strings.Cut(s, "@")
	return s
}

// unitOfFile returns the unit that a unit file or a drop-in defines.
func unitOfFile(p string) (string, bool) {
	if persistent(p) != "unit" {
		return "", false
	}
	if d := path.Dir(p); strings.HasSuffix(d, ".wants") || strings.HasSuffix(d, ".requires") {
		return "", false // enables a unit, does not define it
	} else if strings.HasSuffix(d, ".d") {
		return path.Base(strings.TrimSuffix(d, ".d")), true
	}
	if strings.HasPrefix(p, "/etc/init.d/") {
		return path.Base(p) + ".service", true
	}
	return path.Base(p), true
}

// plainCommand brings a command to the form in which cron tables, cron's log
// and sh -c agree.
func plainCommand(c string) string {
	c = strings.TrimSpace(c)
	for _, p := range [...]string{"/bin/sh -c ", "/bin/bash -c ", "/usr/bin/bash -c ", "/usr/bin/sh -c ", "sh -c ", "bash -c "} {
		if rest, ok := strings.CutPrefix(c, p); ok {
			c = rest
			break
		}
	}
	if len(c) > 1 && (c[0] == '"' || c[0] == '\'') && c[len(c)-1] == c[0] {
		c = c[1 : len(c)-1]
	}
	return strings.Join(strings.Fields(c), " ")
}

// commandKey is what records of one command agree in, however they quote it
// and whether or not they give the program its folder.
func commandKey(c string) string {
	c = strings.Map(func(r rune) rune {
		if r == '\'' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, plainCommand(c))
	head, rest, ok := strings.Cut(c, " ")
	if !ok {
		return baseOf(head)
	}
	if head == "sudo" {
		p, args, _ := strings.Cut(rest, " ")
		rest = strings.TrimSpace(baseOf(p) + " " + args)
	}
	return baseOf(head) + " " + strings.TrimSpace(rest)
}
