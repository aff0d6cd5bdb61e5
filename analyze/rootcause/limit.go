package rootcause

import (
	"github.com/exhibit-dfir/exhibit/timeline"
)

// How records are given up when there are more than the index may hold: the
// kinds that repeat the most, and say the least one by one, first.
type tier uint8

const (
	tierMass    tier = iota // connections, requests, sightings, file times
	tierRoutine             // logins, sudo, cron, sessions, services
	tierAct                 // programs, files written, commands
	tierKept                // never given up
)

var tierNames = [tierKept]string{
	"connections, requests, process sightings or file times",
	"logins, uses of sudo, cron runs, sessions or services",
	"starts of programs, writes to files or entered commands",
}

// tierPart is the eighths of the room before the alert that each tier keeps
// even if others need it.
var tierPart = [tierKept]int{1, 2, 5}

func tierOf(a act) tier {
	switch a {
	case actSeen, actFlow, actRequest, actConnect, actStat, actSocket:
		return tierMass
	case actLogin, actLogout, actOpened, actClosed, actAuth, actSudo, actCron, actCronLoad, actStart, actStop:
		return tierRoutine
	case actAccount, actBoot, actShutdown, actPackage:
		return tierKept
	}
	return tierAct
}

// repeated is what makes records of one kind the same for the walk. The first
// of each stays, however old: it tells since when.
type repeated struct {
	act             act
	fail            bool
	host, user, cmd sym
}

// maxFirst bounds how many first records stay for that reason.
const maxFirst = 1 << 16

// room makes room for a record and reports whether there is any. Before the
// alert the oldest go; after it, what comes once the index is full.
func (r *reader) room(f *fact) bool {
	t := tierOf(f.act)
	if t == tierKept || r.wanted[f.id] {
		return true
	}
	if f.ts != timeline.None && f.ts > r.alert {
		if len(r.facts) < r.opt.MaxFacts {
			return true
		}
		r.dropped[t]++
		return false
	}
	return true
}

// thinWhenFull is called before a fact is made, because thin renames texts.
func (r *reader) thinWhenFull() {
	limit := r.opt.MaxFacts
	if r.before >= max(limit-limit/4, r.fullAt) {
		r.thin()
		r.fullAt = r.before + limit/8 + 1024 // what stays must not make every event thin again
	}
}

// add holds a record if there is room for it.
func (r *reader) add(f fact) bool {
	if !r.room(&f) {
		return false
	}
	if len(r.facts) == cap(r.facts) { // append alone would take up to twice as much as is ever used
		grown := make([]fact, len(r.facts), max(1024, min(2*len(r.facts), max(r.opt.MaxFacts, len(r.facts)+len(r.facts)/8))))
		copy(grown, r.facts)
		r.facts = grown
	}
	r.facts = append(r.facts, f)
	if f.ts == timeline.None || f.ts <= r.alert {
		r.before++
	}
	return true
}

// thin gives up the oldest records before the alert, down to half the room.
func (r *reader) thin() {
	goal := r.opt.MaxFacts / 2
	var counts [tierKept]int
	first := make(map[repeated]bool)
	class := make([]tier, len(r.facts))
	for i := range r.facts {
		f := &r.facts[i]
		class[i] = r.classOf(f, first)
		if class[i] != tierKept {
			counts[class[i]]++
		}
	}
	need := r.before - goal
	var cut [tierKept]int
	for t := range tierKept {
		cut[t] = max(0, min(need, counts[t]-goal/8*tierPart[t]))
		need -= cut[t]
	}
	moved := make([]int32, len(r.facts))
	kept := r.facts[:0]
	for i := range r.facts {
		f, t := &r.facts[i], class[i]
		if t != tierKept && cut[t] > 0 {
			cut[t]--
			r.dropped[t]++
			r.before--
			if f.ts != timeline.None {
				r.thinned[t] = max(r.thinned[t], f.ts)
			}
			moved[i] = -1
			continue
		}
		moved[i] = int32(len(kept))
		kept = append(kept, *f)
	}
	r.facts = kept
	r.forget(moved)
}

// classOf returns the tier of a held record, tierKept for those that stay.
func (r *reader) classOf(f *fact, first map[repeated]bool) tier {
	t := tierOf(f.act)
	switch {
	case t == tierKept, f.ts != timeline.None && f.ts > r.alert, r.wanted[f.id]:
		return tierKept
	case f.act == actStat && persistent(r.text[f.file]) != "":
		return tierKept
	case t == tierRoutine && len(first) < maxFirst:
		if k := (repeated{f.act, f.fail, f.host, f.user, f.cmd}); !first[k] {
			first[k] = true
			return tierKept
		}
	}
	return t
}

// forget drops the texts and sightings that only the given up records used.
func (r *reader) forget(moved []int32) {
	old := r.symbols
	r.symbols = newSymbols()
	renamed := make([]sym, len(old.text))
	rename := func(s *sym) {
		if *s != 0 && renamed[*s] == 0 {
			renamed[*s] = r.own(old.text[*s])
		}
		*s = renamed[*s]
	}
	for i := range r.facts {
		for _, s := range r.facts[i].texts() {
			rename(s)
		}
	}
	serials := make(map[sym]*serialRun, len(r.serials))
	for h, run := range r.serials {
		rename(&h)
		serials[h] = run
	}
	r.serials = serials
	seen := make(map[sighting]int)
	for k, i := range r.seen {
		if moved[i] < 0 {
			continue
		}
		for _, s := range [...]*sym{&k.host, &k.boot, &k.exe, &k.session} {
			rename(s)
		}
		seen[k] = int(moved[i])
	}
	r.seen = seen
}

// texts returns every symbol of a fact.
func (f *fact) texts() [19]*sym {
	return [...]*sym{
		&f.host, &f.boot, &f.user, &f.target, &f.session, &f.exe, &f.cmd, &f.cwd, &f.tty, &f.file, &f.file2,
		&f.unit, &f.sip, &f.dip, &f.domain, &f.url, &f.method, &f.key, &f.note,
	}
}
