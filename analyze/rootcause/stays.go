package rootcause

import (
	"cmp"
	"slices"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// Sessions are asked for by account, by account and terminal, by account and
// address, and by host. A case may hold a million of them, and is asked about
// as often: every list is in the order of time and searched, never scanned.

type account struct{ host, user sym }

type accountTTY struct{ host, user, tty sym }

// stay is what makes logins one way in.
type stay struct{ host, user, src sym }

// begun is a session and when it began at the time it was listed.
type begun struct {
	start int64
	s     int32
}

// stays is a list of sessions by their start. until holds the latest moment at
// which any session up to there may be open, so that a search back can end.
type stays struct {
	list  []begun
	until []int64
}

// before returns how many sessions of the list began before t.
func (l *stays) before(t int64) int {
	if l == nil {
		return 0
	}
	i, _ := slices.BinarySearchFunc(l.list, t, func(b begun, t int64) int { return cmp.Compare(b.start, t) })
	return i
}

// upTo returns the sessions of the list that began before t.
func (l *stays) upTo(t int64) []begun {
	if l == nil {
		return nil
	}
	return l.list[:l.before(t)]
}

// enough reports whether a list, the latest session first, holds all that
// newest can keep: more than that, and nothing that began with the last kept.
func (x *index) enough(list []int32) bool {
	n := len(list)
	return n > maxFanIn && x.sessions[list[n-1]].start < x.sessions[list[maxFanIn-1]].start
}

// remember lists a session while logins are joined. A record may tell the
// account or the address of a session only later: it is then listed again.
func (x *index) remember(s int32, k stay) {
	if x.recent == nil {
		return
	}
	list := x.recent[k]
	i, found := slices.BinarySearch(list, s)
	if !found {
		x.recent[k] = slices.Insert(list, i, s)
	}
}

// loginsByAccount lists the sessions of each account by their start.
func (x *index) loginsByAccount() map[account][]begun {
	out := make(map[account][]begun)
	for s := range x.sessions {
		e := &x.sessions[s]
		k := account{e.host, e.user}
		out[k] = append(out[k], begun{e.start, int32(s)})
	}
	return out
}

// lastOpen returns the last moment at which a session may count as open.
func (x *index) lastOpen(e *session) int64 {
	if e.end != timeline.None {
		return e.end + 5*second
	}
	return e.start + openMax
}

// indexSessions lists the sessions once their times are final.
func (x *index) indexSessions() {
	x.byAccount, x.byTTY = make(map[account]*stays), make(map[accountTTY]*stays)
	x.byStay, x.byHost = make(map[stay]*stays), make(map[sym]*stays)
	x.guessed, x.firstOn = make(map[int32]guessed), make(map[sym]int32)
	order := make([]begun, len(x.sessions))
	for s := range x.sessions {
		order[s] = begun{x.sessions[s].start, int32(s)}
		if _, ok := x.firstOn[x.sessions[s].host]; !ok {
			x.firstOn[x.sessions[s].host] = int32(s)
		}
	}
	slices.SortFunc(order, func(a, b begun) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.s, b.s)) })
	for _, b := range order {
		e := &x.sessions[b.s]
		x.list(listOf(x.byHost, e.host), b)
		x.list(listOf(x.byAccount, account{e.host, e.user}), b)
		x.list(listOf(x.byStay, stay{e.host, e.user, e.src}), b)
		if e.tty != 0 {
			x.list(listOf(x.byTTY, accountTTY{e.host, e.user, e.tty}), b)
		}
	}
}

func listOf[K comparable](m map[K]*stays, k K) *stays {
	l := m[k]
	if l == nil {
		l = &stays{}
		m[k] = l
	}
	return l
}

func (x *index) list(l *stays, b begun) {
	last := x.lastOpen(&x.sessions[b.s])
	if n := len(l.until); n > 0 {
		last = max(last, l.until[n-1])
	}
	l.list, l.until = append(l.list, b), append(l.until, last)
}

// opened calls yield for the sessions of a list that were open at t, the latest
// first, until it returns false.
func (x *index) opened(l *stays, t int64, yield func(int32) bool) {
	if t == timeline.None {
		return
	}
	for i := l.before(t+second) - 1; i >= 0 && l.until[i] >= t; i-- {
		s := l.list[i].s
		if x.open(&x.sessions[s], t) && !yield(s) {
			return
		}
	}
}

// sessionsOf returns the sessions that a fact may belong to: by number, else
// those of the account that were open, narrowed by terminal; the latest first,
// and no more than can matter when most is 0.
func (x *index) sessionsOf(f *fact, most int) []int32 {
	if f.session != 0 {
		if s, ok := x.sessionByID(f.host, f.session, f.ts); ok {
			return []int32{s}
		}
	}
	var out []int32
	take := func(s int32) bool {
		if k := x.sessions[s].kind; k != sessionCron && k != sessionManager {
			out = append(out, s)
		}
		if most == 0 {
			return !x.enough(out)
		}
		return len(out) < most
	}
	if f.tty != 0 {
		if x.opened(x.byTTY[accountTTY{f.host, f.user, f.tty}], f.ts, take); len(out) > 0 {
			return out
		}
	}
	x.opened(x.byAccount[account{f.host, f.user}], f.ts, take)
	return out
}

// sameStay returns the sessions that are one way in with session s, by their
// start.
func (x *index) sameStay(s int32) []begun {
	e := &x.sessions[s]
	if l := x.byStay[stay{e.host, e.user, e.src}]; l != nil {
		return l.list
	}
	return nil
}

// sessionsOn calls yield for the sessions of a host that may be open at t or
// were within slack before; of all hosts where none is named.
func (x *index) sessionsOn(host sym, t, slack int64, yield func(int32)) {
	for h, l := range x.byHost {
		if host != 0 && h != host {
			continue
		}
		for i := l.before(t+second) - 1; i >= 0 && l.until[i] >= t-slack; i-- {
			yield(l.list[i].s)
		}
	}
}
