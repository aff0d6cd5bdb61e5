package rootcause

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// maxPassed bounds the edges that show a file going from hand to hand.
const maxPassed = 8

// showPassed connects shown processes whose command lines name the same file,
// the later to the last one before it: what was fetched is then copied, what
// was packed is then sent.
func (s *shower) showPassed() {
	x := s.x
	var procs []int32
	for _, r := range s.refs {
		if r.kind == KindProcess && x.procs[r.n].cmd != 0 {
			procs = append(procs, r.n)
		}
	}
	slices.SortFunc(procs, func(a, b int32) int {
		return cmp.Or(cmp.Compare(x.procs[a].start, x.procs[b].start), cmp.Compare(a, b))
	})
	last := make(map[string]int32)
	shown := 0
	for _, p := range procs {
		q := &x.procs[p]
		names := filesIn(x.text[q.cmd])
		for _, n := range names {
			from, ok := last[n]
			if m, made := x.maker(p); made && slices.Contains(filesIn(x.text[x.procs[m].cmd]), n) {
				continue // its parent already had the file
			}
			if !ok || shown >= maxPassed || x.descends(p, from) || !x.distinct(n) {
				continue
			}
			c := cause{rule: filePassed, ts: q.start, quote: n}
			before := len(s.g.Edges)
			s.edge(s.at[ref{KindProcess, from}], s.at[ref{KindProcess, p}], c, 0, append(first(x.procs[from].facts, 1), first(q.facts, 1)...))
			if len(s.g.Edges) > before {
				shown++
			}
		}
		for _, n := range names {
			// Who runs a file does not hand it on.
			if n != path.Base(x.text[q.exe]) && n != firstWord(commandKey(x.text[q.cmd]), "") && roleOf(n) == plain && !tools[n] {
				last[n] = p
			}
		}
	}
}

// filesIn returns the last elements of the paths and URLs of a command line.
func filesIn(cmd string) []string {
	var out []string
	for tok := range strings.FieldsSeq(cmd) {
		tok = strings.Trim(tok, "\"'<>;|&()`")
		i := strings.LastIndexByte(tok, '/')
		if n := tok[i+1:]; i >= 0 && len(n) >= 3 && !strings.HasSuffix(tok[:i], ":/") && len(out) < maxTokens {
			out = append(out, n)
		}
	}
	return out
}

// descends reports whether image p comes of image from.
func (x *index) descends(p, from int32) bool {
	for range 64 {
		if p == from {
			return true
		}
		m, ok := x.maker(p)
		if !ok {
			return false
		}
		p = m
	}
	return false
}
