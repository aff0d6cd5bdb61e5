package rootcause

import (
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// How much of what reaches an entry point goes on to what made the entry
// possible. The rest stays: it is the entry's impact.
const (
	passPlanted   = 0.9  // a login with a key or password that somebody put there
	passSuspected = 0.75 // the same by inference
	passOrderly   = 0.25 // a login with a key that an unremarkable session put there
	passOutside   = 0.6  // the same, but the login came from outside
	passContacted = 0.5  // a login from an address the host had contacted
	passInstall   = 0.3  // an installation by an unremarkable account
	passSuspect   = 0.9  // an installation by somebody who guessed a way in
	passUpload    = 0.6  // a request for a file that somebody put there
)

// entrance reports whether a node is a place where something can come in from
// outside.
func (x *index) entrance(r ref) bool {
	switch r.kind {
	case KindSession:
		k := x.sessions[r.n].kind
		return k != sessionCron && k != sessionManager
	case KindRequest, KindPackage:
		return true
	case KindEvent:
		return x.inboundEvent(r.n)
	}
	return false
}

// passes returns the part of what reaches a node that goes on to its causes.
func (x *index) passes(w *walk, n int) float64 {
	v := &w.nodes[n]
	if len(v.in) == 0 {
		return 0
	}
	if !x.entrance(v.ref) {
		return 1
	}
	switch v.ref.kind {
	case KindRequest:
		return passUpload
	case KindPackage:
		if v.alert {
			return passSuspect
		}
		for _, a := range v.in {
			if x.suspect(w, a.to, 6) {
				return passSuspect
			}
		}
		return passInstall
	}
	return x.sessionPasses(w, v)
}

// sessionPasses returns the part of a login that goes on to what made it
// possible. A key or an account that somebody unremarkable put there is an
// administrator's work more often than an intruder's.
func (x *index) sessionPasses(w *walk, v *walked) float64 {
	part := 0.0
	for _, a := range v.in {
		switch {
		case a.rule == loginContacted:
			part = max(part, passContacted)
		case a.rule != loginRemote && !x.dubious(w, a.to, 12, make(map[int]bool)):
			if x.opt.internal(x.text[x.sessions[v.ref.n].src]) {
				part = max(part, passOrderly)
			} else {
				part = max(part, passOutside)
			}
		case a.rule.class() == Inferred:
			part = max(part, passSuspected)
		default:
			part = max(part, passPlanted)
		}
	}
	return part
}

// dubious reports whether a node comes of something that is no orderly
// administration: a guessed or outside login, a web request, an installation.
func (x *index) dubious(w *walk, n, depth int, seen map[int]bool) bool {
	v := &w.nodes[n]
	if depth == 0 || seen[n] {
		return false
	}
	seen[n] = true
	switch v.ref.kind {
	case KindRequest, KindPackage:
		return true
	case KindSession:
		e := &x.sessions[v.ref.n]
		if _, guessed := x.guessingBefore(v.ref.n); guessed || e.src != 0 && !x.opt.internal(x.text[e.src]) {
			return true
		}
	}
	for _, a := range v.in {
		if a.share >= one/10 && x.dubious(w, a.to, depth-1, seen) {
			return true
		}
	}
	return false
}

// suspect reports whether a node descends from a login that was guessed or
// made possible by something else in the case.
func (x *index) suspect(w *walk, n, depth int) bool {
	v := &w.nodes[n]
	if v.ref.kind == KindSession {
		if _, guessed := x.guessingBefore(v.ref.n); guessed {
			return true
		}
		return len(x.causesOfSession(v.ref.n)) > 0
	}
	if depth == 0 {
		return false
	}
	in := v.in
	if in == nil {
		in = x.weigh(v.ref, v.until, x.causes(v.ref, v.until, v.alert))
		for k := range in {
			if in[k].from.kind == KindSession {
				return x.suspectSession(in[k].from.n)
			}
		}
		for k := range in {
			if p := in[k].from; p.kind == KindProcess && x.procs[p.n].sess >= 0 {
				return x.suspectSession(x.procs[p.n].sess)
			}
		}
		return false
	}
	for _, a := range in {
		if a.share > one/4 && x.suspect(w, a.to, depth-1) {
			return true
		}
	}
	return false
}

func (x *index) suspectSession(s int32) bool {
	if _, guessed := x.guessingBefore(s); guessed {
		return true
	}
	return len(x.causesOfSession(s)) > 0
}

// impact is what the propagation found: how much of the alert each node
// accounts for, what stays with entries and what ends nowhere.
type impact struct {
	reach []int64 // per node
	keeps []int64 // per node: what stays there as an entry
	lost  int64   // what ends at nodes without a cause
	dead  []int   // those nodes, heaviest first
}

// propagate spreads one unit from the alerts over the shares. Every round
// carries it one step further back; what is in a circle fades.
func (w *walk) propagate() impact {
	n := len(w.nodes)
	part := make([]float64, n)
	for i := range part {
		part[i] = w.x.passes(w, i)
	}
	im := impact{reach: make([]int64, n), keeps: make([]int64, n)}
	cur := make([]int64, n)
	alerts := int64(0)
	for i := range w.nodes {
		if w.nodes[i].alert {
			alerts++
		}
	}
	for i := range w.nodes {
		if w.nodes[i].alert {
			cur[i] = one / alerts
		}
	}
	for range w.x.opt.MaxDepth + 8 {
		next := make([]int64, n)
		moved := false
		for i := range w.nodes {
			if cur[i] == 0 {
				continue
			}
			moved = true
			im.reach[i] += cur[i]
			pass := int64(part[i] * float64(cur[i]))
			if w.x.entrance(w.nodes[i].ref) {
				im.keeps[i] += cur[i] - pass
			} else if pass == 0 {
				im.lost += cur[i]
			}
			for _, a := range w.nodes[i].in {
				next[a.to] += mulShare(pass, a.share)
			}
		}
		if !moved {
			break
		}
		cur = next
	}
	for i := range w.nodes {
		if len(w.nodes[i].in) == 0 && !w.x.entrance(w.nodes[i].ref) && im.reach[i] > one/50 {
			im.dead = append(im.dead, i)
		}
	}
	slices.SortStableFunc(im.dead, func(a, b int) int { return int(clampSign(im.reach[b] - im.reach[a])) })
	return im
}

func mulShare(v, share int64) int64 {
	// Both are below 2^30: the product fits.
	return v * share / one
}

// arrival is an entry point: all nodes that are one way in, such as the logins
// of one account from one address.
type arrival struct {
	key     string
	nodes   []int // heaviest first
	impact  int64
	score   int64
	first   int64
	last    int64
	session int32 // its first session, -1 for other kinds
	guess   guessing
	guessed bool
}

// arrivals groups and ranks the entry points.
func (w *walk) arrivals(im impact) []arrival {
	x := w.x
	groups := make(map[string]*arrival)
	var keys []string
	for i := range w.nodes {
		if im.keeps[i] == 0 {
			continue
		}
		k := x.entryKey(w.nodes[i].ref)
		g := groups[k]
		if g == nil {
			g = &arrival{key: k, session: -1, first: timeline.None}
			groups[k] = g
			keys = append(keys, k)
		}
		g.nodes = append(g.nodes, i)
		g.impact += im.keeps[i]
	}
	slices.Sort(keys)
	var out []arrival
	total := int64(0)
	for _, k := range keys {
		g := groups[k]
		slices.SortStableFunc(g.nodes, func(a, b int) int { return int(clampSign(im.keeps[b] - im.keeps[a])) })
		x.complete(w, g)
		g.score = int64(float64(g.impact) * x.prior(w, g))
		total += g.score
		out = append(out, *g)
	}
	for i := range out {
		out[i].score = int64(float64(out[i].score) / float64(total) * float64(one-im.lost))
	}
	slices.SortStableFunc(out, func(a, b arrival) int {
		if a.score != b.score {
			return int(clampSign(b.score - a.score))
		}
		return strings.Compare(a.key, b.key)
	})
	return out
}

// entryKey names the way in that a node belongs to.
func (x *index) entryKey(r ref) string {
	switch r.kind {
	case KindSession:
		e := &x.sessions[r.n]
		if e.src == 0 {
			return "session\x00" + x.text[e.host] + "\x00" + x.text[e.user] + "\x00" + x.text[e.id] + "\x00" + x.text[e.tty]
		}
		return "login\x00" + x.text[e.host] + "\x00" + x.text[e.user] + "\x00" + x.text[e.src]
	case KindRequest:
		return "web\x00" + x.text[x.visits[r.n].client]
	case KindEvent:
		return "flow\x00" + x.text[x.facts[r.n].sip]
	}
	return x.ident(r)
}

// complete finds the first login of a way in, and the guessing before it: the
// session an act came from need not be the first.
func (x *index) complete(w *walk, g *arrival) {
	for _, n := range g.nodes {
		t := x.timeOf(w.nodes[n].ref, w.nodes[n].until)
		if g.first == timeline.None || t < g.first {
			g.first = t
		}
		g.last = max(g.last, t)
	}
	r := w.nodes[g.nodes[0]].ref
	if r.kind != KindSession {
		return
	}
	g.session = r.n
	e := &x.sessions[r.n]
	if e.src == 0 {
		return
	}
	// In the order of their numbers: the first guessed one counts.
	list := x.sameStay(r.n)
	same := make([]int32, 0, len(list))
	for _, o := range list {
		if o.start <= g.last {
			same = append(same, o.s)
		}
	}
	slices.Sort(same)
	for _, s := range same {
		if gs, ok := x.guessingBefore(s); ok {
			g.guess, g.guessed = gs, true
			g.session, g.first = s, x.sessions[s].start
			return
		}
		if at := x.sessions[s].start; at < g.first {
			g.session, g.first = s, at
		}
	}
}

// prior is how likely a way in is before the walk is asked: from outside more
// than from inside, after guessing more than without.
func (x *index) prior(w *walk, g *arrival) float64 {
	r := w.nodes[g.nodes[0]].ref
	switch r.kind {
	case KindSession:
		e := &x.sessions[r.n]
		p := 0.8
		switch {
		case e.src == 0 && e.kind == sessionConsole:
			p = 0.6
		case e.src == 0:
			p = 0.5
		case !x.opt.internal(x.text[e.src]):
			p = 1.2
		}
		if g.guessed {
			p *= 1.5
		}
		return p
	case KindRequest:
		if x.opt.internal(x.text[x.visits[r.n].client]) {
			return 0.8
		}
		return 1.1
	}
	return 0.8
}
