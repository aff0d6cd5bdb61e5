package rootcause

import (
	"cmp"
	"container/heap"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// shower builds the graph that is shown: the part of the walk that leads from
// the entry to the alert, then what else came of the entry.
type shower struct {
	x     *index
	w     *walk
	im    impact
	g     *Graph
	at    map[ref]int
	refs  []ref // of g.Nodes
	rules []ruleID
	cited [][]int32 // facts of g.Edges
	seen  map[[2]int]bool
}

func utc(ts int64) time.Time {
	if ts == timeline.None || ts == 1<<63-1 {
		return time.Time{}
	}
	return time.Unix(0, ts).UTC()
}

// score turns a whole-number share into the figure that is shown.
func score(v int64) float64 { return float64((v+50_000)/100_000) / 10_000 }

func (s *shower) ids(facts []int32, n int) Citations {
	var out Citations
	for _, f := range facts {
		if id := s.x.facts[f].id; !slices.Contains(out, id) && len(out) < n {
			out = append(out, id)
		}
	}
	return out
}

// maxCited bounds the events that one statement cites.
const maxCited = 8

// node returns the position of an entity in the graph, a new one where needed.
func (s *shower) node(r ref, until int64, role Role) int {
	if n, ok := s.at[r]; ok {
		return n
	}
	label, detail := s.x.label(r)
	n := len(s.g.Nodes)
	at := s.x.timeOf(r, until)
	if r.kind == KindFile && until != timeline.None {
		at = s.x.lastChange(r.n, until)
	}
	nd := Node{
		Kind: r.kind, Role: role, Label: plainText(label), Detail: plainText(shorten(detail, 400)),
		Host: s.x.text[s.x.hostOf(r)], Time: utc(at), Events: s.ids(s.x.proofOf(r), maxCited),
	}
	if k, ok := s.w.at[r]; ok {
		nd.Impact = score(min(one, s.im.reach[k]))
	}
	s.g.Nodes = append(s.g.Nodes, nd)
	s.refs = append(s.refs, r)
	s.at[r] = n
	return n
}

// edge adds a step unless it is there or the bound is reached.
func (s *shower) edge(from, to int, c cause, flow int64, facts []int32) bool {
	if from == to || s.seen[[2]int{from, to}] {
		return true
	}
	if len(s.g.Edges) >= s.x.opt.MaxEdges {
		return false
	}
	s.seen[[2]int{from, to}] = true
	r := &table[c.rule]
	why := r.Why
	if c.quote != "" {
		why += ": " + quoted(c.quote, 160)
	}
	if c.between > 0 {
		why = "descends from it; processes in between that are not shown: " + strconv.Itoa(c.between)
	}
	s.g.Edges = append(s.g.Edges, Edge{
		From: from, To: to, Class: r.Class, Rule: r.Name, Time: utc(c.ts), Score: score(min(one, flow)), Why: why,
		Events: s.ids(facts, maxCited),
	})
	s.rules = append(s.rules, c.rule)
	s.cited = append(s.cited, facts)
	return true
}

// hostOf returns the host a node lies on.
func (x *index) hostOf(r ref) sym {
	switch r.kind {
	case KindProcess:
		return x.procs[r.n].host
	case KindSession:
		return x.sessions[r.n].host
	case KindFile:
		return x.files[r.n].host
	case KindUnit:
		return x.units[r.n].host
	case KindJob:
		return x.jobs[r.n].host
	case KindPackage:
		if r.n >= 0 {
			return x.procs[r.n].host
		}
		return x.facts[-r.n-1].host
	case KindEvent:
		return x.facts[r.n].host
	}
	return 0
}

// proofOf returns the records of an entity itself.
func (x *index) proofOf(r ref) []int32 {
	switch r.kind {
	case KindProcess:
		return x.procs[r.n].facts
	case KindSession:
		return x.sessions[r.n].facts
	case KindFile:
		f := &x.files[r.n]
		return append(append([]int32(nil), first(f.writes, 4)...), first(f.stats, 4)...)
	case KindUnit:
		return first(x.units[r.n].starts, 4)
	case KindJob:
		return first(x.jobs[r.n].runs, 4)
	case KindFlow:
		return first(x.flows[r.n].facts, 4)
	case KindRequest:
		return first(x.visits[r.n].facts, 4)
	case KindPackage:
		if r.n >= 0 {
			return x.procs[r.n].facts
		}
		return []int32{-r.n - 1}
	case KindEvent:
		return []int32{r.n}
	}
	return nil
}

// leads marks the nodes of the walk from which an entry can be reached, going
// on through what made that entry possible only where the walk did.
func (w *walk) leads(entry []int) []bool {
	back := make([][]int, len(w.nodes))
	for i := range w.nodes {
		for _, a := range w.nodes[i].in {
			if a.share >= one/200 {
				back[a.to] = append(back[a.to], i)
			}
		}
	}
	ok := make([]bool, len(w.nodes))
	queue := append([]int(nil), entry...)
	for _, n := range entry {
		ok[n] = true
	}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		for _, e := range back[n] {
			if !ok[e] {
				ok[e] = true
				queue = append(queue, e)
			}
		}
	}
	return ok
}

// strongest returns the arcs of the path from an alert to the entry that loses
// least on the way, as pairs of effect and position in its arcs.
func (w *walk) strongest(entry []int) [][2]int {
	score := make([]int64, len(w.nodes))
	prev := make([][2]int, len(w.nodes))
	for i := range prev {
		prev[i] = [2]int{-1, -1}
		if w.nodes[i].alert {
			score[i] = one
		}
	}
	// Best-first relaxation; the number of nodes is bounded, so is the work.
	done := make([]bool, len(w.nodes))
	var next best
	for i := range w.nodes {
		if score[i] > 0 {
			heap.Push(&next, queued{i, score[i], i})
		}
	}
	for next.Len() > 0 {
		n := heap.Pop(&next).(queued).node
		if done[n] {
			continue
		}
		done[n] = true
		for k, a := range w.nodes[n].in {
			if v := mulShare(score[n], a.share); v > score[a.to] && !done[a.to] {
				score[a.to], prev[a.to] = v, [2]int{n, k}
				heap.Push(&next, queued{a.to, v, a.to})
			}
		}
	}
	end := -1
	for _, n := range entry {
		if score[n] > 0 && (end < 0 || score[n] > score[end]) {
			end = n
		}
	}
	var path [][2]int
	for end >= 0 && prev[end][0] >= 0 && len(path) <= len(w.nodes) {
		path = append(path, prev[end])
		end = prev[end][0]
	}
	return path
}

// showWalk adds the alert, the strongest path to the entry and, while there is
// room, the other paths between the two, by what they carry.
func (s *shower) showWalk(top *arrival) {
	for i := range s.w.nodes {
		if n := &s.w.nodes[i]; n.alert {
			s.g.Alert.Nodes = append(s.g.Alert.Nodes, s.node(n.ref, n.until, RoleAlert))
		}
	}
	if top == nil {
		s.showDead()
		return
	}
	for _, p := range s.w.strongest(top.nodes) {
		s.showArc(p[0], p[1], top)
	}
	ok := s.w.leads(top.nodes)
	type flowing struct {
		node, arc int
		flow      int64
	}
	var list []flowing
	for i := range s.w.nodes {
		if !ok[i] {
			continue
		}
		pass := int64(s.x.passes(s.w, i) * float64(min(one, s.im.reach[i])))
		for k, a := range s.w.nodes[i].in {
			if v := mulShare(pass, a.share); ok[a.to] && v >= one/100 {
				list = append(list, flowing{i, k, v})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b flowing) int { return cmp.Compare(b.flow, a.flow) })
	for _, f := range list {
		if len(s.g.Edges) < s.x.opt.MaxEdges*3/5 {
			s.showArc(f.node, f.arc, top)
		}
	}
	s.showEntry(top)
}

// showDead shows what the walk found when it reached no entry.
func (s *shower) showDead() {
	for i := range s.w.nodes {
		for k := range s.w.nodes[i].in {
			if s.w.nodes[i].in[k].share > one/20 && len(s.g.Edges) < s.x.opt.MaxEdges/2 {
				s.showArc(i, k, nil)
			}
		}
	}
}

func (s *shower) showArc(i, k int, top *arrival) {
	n := &s.w.nodes[i]
	a := n.in[k]
	c := &s.w.nodes[a.to]
	role := RolePath
	if top != nil && slices.Contains(top.nodes, a.to) {
		role = RoleEntry
	}
	from := s.node(c.ref, c.until, role)
	to := s.node(n.ref, n.until, RolePath)
	flow := mulShare(int64(s.x.passes(s.w, i)*float64(min(one, s.im.reach[i]))), a.share)
	s.edge(from, to, s.shownCause(a.cause, n), flow, a.facts)
}

// shownCause gives an edge the time of the act: that of the effect where the
// cause only made it possible.
func (s *shower) shownCause(c cause, effect *walked) cause {
	switch c.rule {
	case fileWrite, fileAttr, fileRename, fileNamed, fileBase, fileSession, fileRequest, flowConnect, flowSocket, flowNamed, unitCommand, jobCommand, eventProcess:
	case jobTable, jobTime, unitFile:
		if t := s.x.timeOf(effect.ref, effect.until); effect.ref.kind == KindJob {
			c.ts = s.x.firstRun(effect.ref.n)
		} else {
			c.ts = t
		}
	default:
		if t := s.x.timeOf(effect.ref, effect.until); t != timeline.None {
			c.ts = t
		}
	}
	return c
}

// showEntry adds what precedes the entry: guessing and the address.
func (s *shower) showEntry(top *arrival) {
	x := s.x
	r := s.w.nodes[top.nodes[0]].ref
	switch r.kind {
	case KindSession:
		shown := s.node(ref{KindSession, top.session}, timeline.None, RoleEntry)
		s.g.Nodes[shown].Role = RoleEntry
		e := &x.sessions[top.session]
		if e.src == 0 {
			return
		}
		from := shown
		if top.guessed {
			from = s.attempts(top)
			s.edge(from, shown, cause{rule: loginGuessed, ts: e.start}, 0, append(ends(top.guess.facts, 3), first(e.facts, 2)...))
		}
		addr := s.address(e.src)
		s.edge(addr, from, cause{rule: loginFrom, ts: x.timeOf(s.refs[from], top.first)}, 0, append(ends(top.guess.facts, 1), first(e.facts, 1)...))
		for _, n := range top.nodes {
			if o := s.w.nodes[n].ref; o.n != top.session {
				if k, ok := s.at[o]; ok && top.guessed {
					s.edge(from, k, cause{rule: loginAgain, ts: x.sessions[o.n].start}, 0, first(x.sessions[o.n].facts, 2))
				} else if ok {
					s.edge(addr, k, cause{rule: loginFrom, ts: x.sessions[o.n].start}, 0, first(x.sessions[o.n].facts, 2))
				}
			}
		}
	case KindRequest:
		for _, n := range top.nodes {
			v := s.w.nodes[n].ref
			if k, ok := s.at[v]; ok {
				w := &x.visits[v.n]
				s.edge(s.address(w.client), k, cause{rule: requestFrom, ts: x.facts[w.facts[0]].ts}, 0, first(w.facts, 2))
			}
		}
	}
}

// ends returns the first and the last n of a list.
func ends(list []int32, n int) []int32 {
	if len(list) <= 2*n {
		return append([]int32(nil), list...)
	}
	return append(append([]int32(nil), list[:n]...), list[len(list)-n:]...)
}

func (s *shower) address(ip sym) int {
	r := ref{KindAddress, int32(ip)}
	if n, ok := s.at[r]; ok {
		return n
	}
	where := "external address"
	if s.x.opt.internal(s.x.text[ip]) {
		where = "internal address"
	}
	n := len(s.g.Nodes)
	s.g.Nodes = append(s.g.Nodes, Node{Kind: KindAddress, Role: RoleEntry, Label: plainText(s.x.text[ip]), Detail: where})
	s.refs = append(s.refs, r)
	s.at[r] = n
	return n
}

func (s *shower) attempts(top *arrival) int {
	r := ref{KindAttempts, top.session}
	if n, ok := s.at[r]; ok {
		return n
	}
	n := len(s.g.Nodes)
	s.g.Nodes = append(s.g.Nodes, Node{
		Kind: KindAttempts, Role: RoleEntry, Label: plural(top.guess.count, "failed login"),
		Detail: "for " + plural(top.guess.accounts, "account") + ", " + strings.ToLower(hour(top.guess.first)) + " to " + hour(top.guess.last),
		Time:   utc(top.guess.first), Events: s.ids(ends(top.guess.facts, 4), maxCited),
	})
	s.refs = append(s.refs, r)
	s.at[r] = n
	return n
}
