package rootcause

import (
	"cmp"
	"slices"
	"strings"
)

// attempts are the failed logins from one address on one host.
type attempts struct {
	host, src sym
	list      []attempt
}

type attempt struct {
	ts   int64
	fact int32
	user sym
	from origin
}

func (x *index) attempt(i int32) {
	f := &x.facts[i]
	if f.sip == 0 {
		return
	}
	k := hostIP{f.host, f.sip}
	a := x.attempts[k]
	if a == nil {
		a = &attempts{host: f.host, src: f.sip}
		x.attempts[k] = a
	}
	a.list = append(a.list, attempt{f.ts, i, f.user, f.from})
}

// guessing is a run of failed logins that ends in a successful one from the
// same address.
type guessing struct {
	src         sym
	first, last int64
	count       int
	accounts    int
	facts       []int32
}

// guessed is the answer for one session, which is asked for again and again.
type guessed struct {
	guessing
	yes bool
}

// guessWindow is how far before a login the run of failures may begin, and
// guessPause the longest pause within it.
const (
	guessWindow = 7 * 24 * 3600 * second
	guessPause  = 6 * 3600 * second
)

// guessMin and guessAccounts tell guessing from mistyping: so many failures in
// one run, or so many accounts.
const (
	guessMin      = 5
	guessAccounts = 3
)

// guessingBefore returns the run of failures from the session's address that
// ends in it. The run begins after the last earlier success from there.
func (x *index) guessingBefore(s int32) (guessing, bool) {
	e := &x.sessions[s]
	a := x.attempts[hostIP{e.host, e.src}]
	if e.src == 0 || a == nil {
		return guessing{}, false
	}
	if c, ok := x.guessed[s]; ok {
		return c.guessing, c.yes
	}
	floor := e.start - guessWindow
	l := x.byStay[stay{e.host, e.user, e.src}]
	for i := l.before(e.start) - 1; i >= 0; i-- {
		if p := l.list[i]; x.sessions[p.s].login {
			floor = max(floor, p.start)
			break
		}
	}
	g := guessing{src: e.src}
	counts := map[origin]int{}
	users := map[sym]bool{}
	prev := e.start
	upTo, _ := slices.BinarySearchFunc(a.list, e.start+1, func(t attempt, at int64) int { return cmp.Compare(t.ts, at) })
	for i := upTo - 1; i >= 0; i-- {
		t := &a.list[i]
		if t.ts <= floor || prev-t.ts > guessPause {
			break
		}
		prev = t.ts
		if g.last == 0 {
			g.last = t.ts
		}
		g.first = t.ts
		counts[t.from]++
		if t.user != 0 && !strings.HasPrefix(x.text[t.user], "(") {
			users[t.user] = true
		}
		g.facts = append(g.facts, t.fact)
	}
	// Every source tells of the same attempts: the more complete log counts.
	// Audit writes several records for one attempt.
	if g.count = max(counts[fromLog], counts[fromJournal]); g.count == 0 {
		g.count = max(counts[fromUtmp], counts[fromAudit], counts[fromOther])
	}
	g.accounts = len(users)
	slices.Reverse(g.facts)
	yes := g.count >= guessMin || g.accounts >= guessAccounts
	x.guessed[s] = guessed{g, yes}
	return g, yes
}
