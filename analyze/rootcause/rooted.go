package rootcause

import (
	"cmp"
	"slices"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// rooter notes from when commands ran as root in each session. The records come
// in the order of time, and a session is rooted once: what is rooted or over is
// not looked at again, so that the work grows with records plus sessions.
type rooter struct {
	x      *index
	coming map[account][]begun // not begun yet
	fresh  map[account][]int32 // begun, and not rooted yet
	onTTY  map[accountTTY][]int32
	gone   map[int32]bool // taken off the lists as over
}

// extendSessions sets the ends that only the login daemon's process states,
// and notes from when commands ran as root.
func (x *index) extendSessions() {
	r := rooter{
		x: x, coming: make(map[account][]begun), fresh: make(map[account][]int32),
		onTTY: make(map[accountTTY][]int32), gone: make(map[int32]bool),
	}
	for s := range x.sessions {
		if e := &x.sessions[s]; e.kind != sessionCron && e.kind != sessionManager {
			k := account{e.host, e.user}
			r.coming[k] = append(r.coming[k], begun{e.start, int32(s)})
		}
	}
	for _, list := range r.coming {
		slices.SortFunc(list, func(a, b begun) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.s, b.s)) })
	}
	for i := range x.facts {
		f := &x.facts[i]
		if f.ts == timeline.None {
			continue
		}
		switch {
		case (f.act == actClosed || f.act == actLogout) && f.pid > 0 && f.session == 0:
			if s, ok := x.sessionByPID(f.host, f.pid, f.ts, 0); ok {
				x.sessions[s].end = max(x.sessions[s].end, f.ts)
				r.reopen(s)
			}
		case f.act == actSudo && !f.fail, f.act == actExec && f.uid == 0 && f.session != 0:
			r.asRoot(f)
		}
	}
	for s := range x.sessions {
		if e := &x.sessions[s]; x.text[e.user] == "root" {
			e.rooted = e.start
		}
	}
}

// asRoot notes a command that ran as root in the sessions it may belong to.
func (r *rooter) asRoot(f *fact) {
	if f.session != 0 {
		if s, ok := r.x.sessionByID(f.host, f.session, f.ts); ok {
			r.root(s, f.ts)
			return
		}
	}
	k := account{f.host, f.user}
	list := r.coming[k]
	for len(list) > 0 && list[0].start < f.ts+second {
		r.begin(list[0].s)
		list = list[1:]
	}
	r.coming[k] = list
	if f.tty != 0 {
		t, found := accountTTY{f.host, f.user, f.tty}, false
		r.onTTY[t] = slices.DeleteFunc(r.onTTY[t], func(s int32) bool {
			if r.x.open(&r.x.sessions[s], f.ts) {
				r.root(s, f.ts)
				found = true
				return false
			}
			return r.over(s, f.ts)
		})
		if found {
			return
		}
	}
	r.fresh[k] = slices.DeleteFunc(r.fresh[k], func(s int32) bool {
		if e := &r.x.sessions[s]; e.rooted == timeline.None && r.x.open(e, f.ts) {
			r.root(s, f.ts)
		}
		return r.x.sessions[s].rooted != timeline.None || r.over(s, f.ts)
	})
}

func (r *rooter) root(s int32, t int64) {
	if e := &r.x.sessions[s]; e.rooted == timeline.None || t < e.rooted {
		e.rooted = t
	}
}

func (r *rooter) begin(s int32) {
	e := &r.x.sessions[s]
	k := account{e.host, e.user}
	r.fresh[k] = append(r.fresh[k], s)
	if e.tty != 0 {
		t := accountTTY{e.host, e.user, e.tty}
		r.onTTY[t] = append(r.onTTY[t], s)
	}
}

// over reports whether a session cannot be open after t, unless a later record
// of its end says otherwise.
func (r *rooter) over(s int32, t int64) bool {
	e := &r.x.sessions[s]
	if t < e.start || r.x.open(e, t) || e.end != timeline.None && t <= e.end+joinWindow {
		return false
	}
	r.gone[s] = true
	return true
}

// reopen lists a session again whose end was moved after it had been taken for
// over.
func (r *rooter) reopen(s int32) {
	if r.gone[s] {
		delete(r.gone, s)
		r.begin(s)
	}
}
