package rootcause

import (
	"cmp"
	"slices"
	"strings"
)

// rest counts the programs of the scope that are not shown, by name.
func (s *shower) rest(sc *scope) {
	counts := make(map[string]int)
	total := 0
	var proof []int32
	for i := range s.x.procs {
		n := int32(i)
		if _, shown := s.at[ref{KindProcess, n}]; shown || !sc.procs[n] || !s.x.procs[i].started {
			continue
		}
		counts[baseOf(s.x.text[s.x.procs[i].exe])]++
		total++
		proof = append(proof, first(s.x.procs[i].facts, 1)...)
	}
	if total == 0 {
		return
	}
	names := make([]string, 0, len(counts))
	for n := range counts {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(-cmp.Compare(counts[a], counts[b]), cmp.Compare(a, b)) })
	text := "Besides, " + plural(total, "further program") + " of the same entry ran: " + strings.Join(names[:min(len(names), 16)], ", ")
	if len(names) > 16 {
		text += " and others"
	}
	s.g.Narrative = append(s.g.Narrative, Sentence{Stage: stageExecute, Text: plainText(text) + ".", Class: Joined, Time: utc(s.x.facts[proof[len(proof)-1]].ts), Events: s.ids(ends(proof, 4), maxCited)})
}

// showScope adds consequences while there is room, each hung on the nearest
// ancestor that is shown.
func (s *shower) showScope(sc *scope) (hidden int) {
	perRank := make(map[int]int)
	for _, e := range sc.edges {
		if _, ok := s.at[e.to]; ok && e.rank != rankTraffic {
			if from, ok := s.at[e.from]; ok {
				s.edge(from, s.at[e.to], e.cause, 0, e.facts)
			}
			continue
		}
		perRank[e.rank]++
		if perRank[e.rank] > rankMost[e.rank] || len(s.g.Edges)+2 > s.x.opt.MaxEdges {
			hidden++
			continue
		}
		from, ok := s.hang(sc, e.from)
		if !ok {
			hidden++
			continue
		}
		to := s.node(e.to, e.until, RoleScope)
		s.edge(from, to, e.cause, 0, e.facts)
	}
	s.rest(sc)
	return hidden
}

// rankMost bounds how many consequences of each rank are shown.
var rankMost = map[int]int{
	rankPersistence: 8, rankLogin: 4, rankLog: 4, rankService: 6, rankTraffic: 6, rankRoot: 3, rankTool: 14, rankFile: 6,
}

// hang returns the shown node for a cause: the node itself, hung on the
// nearest ancestor that is shown already. Without one it is not shown.
func (s *shower) hang(sc *scope, r ref) (int, bool) {
	if n, ok := s.at[r]; ok {
		return n, true
	}
	x := s.x
	if r.kind != KindProcess {
		return 0, false
	}
	p := &x.procs[r.n]
	at := r.n
	for steps := range 32 {
		c, ok := sc.makerOf(at)
		if !ok {
			return 0, false
		}
		if n, shown := s.at[c.from]; shown {
			to := s.node(r, p.start, RoleScope)
			c.between = steps
			c.ts = p.start
			s.edge(n, to, c, 0, c.facts)
			return to, true
		}
		if c.from.kind != KindProcess {
			return 0, false
		}
		at = c.from.n
	}
	return 0, false
}
