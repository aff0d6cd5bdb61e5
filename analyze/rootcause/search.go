package rootcause

import (
	"slices"
	"sort"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// keyOf returns the symbol of commandKey of a command, which is worked out once
// per command and not per record.
func (x *index) keyOf(cmd sym) sym {
	if cmd == 0 {
		return 0
	}
	k, ok := x.cmdKeys[cmd]
	if !ok {
		k = x.of(commandKey(x.text[cmd]))
		x.cmdKeys[cmd] = k
	}
	return k
}

// sudoKeyOf is keyOf for the command with sudo before it.
func (x *index) sudoKeyOf(cmd sym) sym {
	k, ok := x.sudoKeys[cmd]
	if !ok {
		k = x.of(commandKey("sudo " + x.text[cmd]))
		x.sudoKeys[cmd] = k
	}
	return k
}

// dated returns those of a list of facts in the order of time, the undated ones
// last, that lie between two times, both included.
func (x *index) dated(list []int32, lo, hi int64) []int32 {
	after := func(t int64) int {
		return sort.Search(len(list), func(i int) bool {
			ts := x.facts[list[i]].ts
			return ts == timeline.None || ts >= t
		})
	}
	from := after(lo)
	return list[from:max(from, after(hi+1))]
}

// procsBetween returns the numbers of the images that started between two
// times, both included: they are in the order of their starts.
func (x *index) procsBetween(lo, hi int64) (from, to int) {
	from = sort.Search(len(x.procs), func(i int) bool { return x.procs[i].start >= lo })
	to = sort.Search(len(x.procs), func(i int) bool { return x.procs[i].start > hi })
	return from, max(from, to)
}

// unitsNear returns the services, in order, that were started around t.
func (x *index) unitsNear(t int64) []int32 {
	var out []int32
	for _, s := range x.dated(x.unitStarts, t-unitWindow, t+unitWindow) {
		out = append(out, x.unit(x.facts[s].host, x.facts[s].unit))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// wording lists the commands without a process by their words: many records
// have few different ones, and each needs to be read once only.
type wording struct {
	facts    map[sym][]int32
	crontab  []int32
	services []int32 // start or enable services
}

func (x *index) findWording() {
	x.wording = wording{facts: make(map[sym][]int32)}
	w := &x.wording
	for _, i := range x.commands {
		if f := &x.facts[i]; f.cmd != 0 && f.ts != timeline.None {
			w.facts[f.cmd] = append(w.facts[f.cmd], i)
		}
	}
	for c, list := range w.facts {
		cmd := x.text[c]
		if strings.Contains(cmd, "crontab") && !strings.Contains(cmd, "-l") {
			w.crontab = append(w.crontab, list...)
		}
		if strings.Contains(cmd, "systemctl") && starter("systemctl", cmd) {
			w.services = append(w.services, list...)
		}
	}
	slices.Sort(w.crontab) // facts are in the order of time
	slices.Sort(w.services)
}

// containing returns the commands without a process, dated and not after until,
// that contain a text and pass a test of their words.
func (x *index) containing(text string, until int64, test func(cmd string) bool) []int32 {
	var out []int32
	for c, list := range x.wording.facts {
		if cmd := x.text[c]; strings.Contains(cmd, text) && (test == nil || test(cmd)) {
			out = append(out, x.dated(list, timeline.None+1, until)...)
		}
	}
	slices.Sort(out)
	return out
}
