package rootcause

import (
	"container/heap"
	"context"
	"math"
	"slices"
)

// one is the unit of all shares and impacts: they are whole numbers so that
// sums do not depend on the processor's rounding.
const one int64 = 1_000_000_000

// Certainty of each class, as a factor of an edge's weight.
var certainty = map[Class]float64{Stated: 1, Joined: 0.8, Inferred: 0.2}

// inferredShare is the most that all edges of class C together may carry into
// a node that has better ones.
const inferredShare = 0.25

// proximity falls from 1 with the distance in time: 0.6 after a minute, 0.2
// after an hour, 0.1 after a month.
func proximity(d int64) float64 {
	if d < 0 {
		d = -d
	}
	return 1 / (1 + math.Log1p(float64(d)/float64(60*second)))
}

// rarity is 1 for what happened once among many and falls with the logarithm
// of how often it happened.
func (x *index) rarity(count, of int) float64 {
	if count <= 1 || of <= 1 {
		return 1
	}
	return max(0.05, 1-math.Log(float64(count))/math.Log(float64(of)+1))
}

// walked is a node of the backward walk.
type walked struct {
	ref   ref
	until int64
	depth int
	alert bool
	in    []arc // steps back, shares sum to one
	open  bool  // its causes were not looked for: a bound was reached
}

// arc is a weighted step back.
type arc struct {
	cause
	to    int // position of the cause in walk.nodes
	share int64
}

type walk struct {
	x      *index
	nodes  []walked
	at     map[ref]int
	queue  best
	pruned int
}

// best is a queue of nodes by the largest share of the alert that any single
// path gives them.
type best []queued

type queued struct {
	node  int
	score int64
	order int
}

func (b best) Len() int { return len(b) }
func (b best) Less(i, j int) bool {
	if b[i].score != b[j].score {
		return b[i].score > b[j].score
	}
	return b[i].order < b[j].order
}
func (b best) Swap(i, j int) { b[i], b[j] = b[j], b[i] }
func (b *best) Push(v any)   { *b = append(*b, v.(queued)) }
func (b *best) Pop() any {
	old := *b
	v := old[len(old)-1]
	*b = old[:len(old)-1]
	return v
}

// minScore ends the walk: a path that carries less than a hundred-thousandth
// of the alert is pruned.
const minScore = one / 100_000

// backward walks from the alert to its causes, best first. A node reached
// again with a later time is looked at again, since more may have acted on it.
func (x *index) backward(ctx context.Context, starts []int32) (*walk, error) {
	w := &walk{x: x, at: make(map[ref]int)}
	order := 0
	push := func(n int, score int64) {
		heap.Push(&w.queue, queued{n, score, order})
		order++
	}
	for _, i := range starts {
		r, until := x.startsAt(i)
		n := w.node(r, until, 0)
		w.nodes[n].alert = true
		push(n, one)
	}
	looked := make(map[int]int64)
	for w.queue.Len() > 0 {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		q := heap.Pop(&w.queue).(queued)
		n := &w.nodes[q.node]
		if until, ok := looked[q.node]; ok && until >= n.until {
			continue
		}
		if len(looked) >= x.opt.MaxNodes || n.depth >= x.opt.MaxDepth {
			n.open = true
			w.pruned += w.queue.Len()
			break
		}
		looked[q.node] = n.until
		arcs := x.weigh(n.ref, n.until, x.causes(n.ref, n.until, n.alert))
		depth := n.depth
		for k := range arcs {
			arcs[k].to = w.node(arcs[k].from, arcs[k].until, depth+1)
		}
		w.nodes[q.node].in = arcs
		for _, a := range arcs {
			score := int64(float64(q.score) * float64(a.share) / float64(one) * passPlanted)
			if score < minScore {
				w.pruned++
				continue
			}
			push(a.to, score)
		}
	}
	return w, nil
}

// node returns the position of an entity in the walk, a new one where needed,
// and raises the time up to which it matters.
func (w *walk) node(r ref, until int64, depth int) int {
	n, ok := w.at[r]
	if !ok {
		n = len(w.nodes)
		w.nodes = append(w.nodes, walked{ref: r, until: until, depth: depth})
		w.at[r] = n
		return n
	}
	w.nodes[n].until = max(w.nodes[n].until, until)
	w.nodes[n].depth = min(w.nodes[n].depth, depth)
	return n
}

// weigh turns steps back into shares. One step per cause and rule is kept, the
// heaviest; edges of class C are held below the others.
func (x *index) weigh(r ref, until int64, causes []cause) []arc {
	t := x.timeOf(r, until)
	heaviest := make(map[ref]int)
	var arcs []arc
	var weights []float64
	for _, c := range causes {
		if c.from == r || c.mult <= 0 || x.timeOf(c.from, c.until) > t+joinWindow {
			continue
		}
		wt := certainty[c.rule.class()] * c.mult / (1 + math.Log1p(float64(c.fan)))
		if table[c.rule].timed {
			wt *= proximity(t - c.ts)
		}
		if k, ok := heaviest[c.from]; ok {
			if wt > weights[k] {
				arcs[k].cause, weights[k] = c, wt
			}
			continue
		}
		heaviest[c.from] = len(arcs)
		arcs = append(arcs, arc{cause: c})
		weights = append(weights, wt)
	}
	restrain(arcs, weights)
	total := 0.0
	for _, v := range weights {
		total += v
	}
	for k := range arcs {
		arcs[k].share = int64(weights[k] / total * float64(one))
	}
	slices.SortFunc(arcs, func(a, b arc) int {
		if a.share != b.share {
			return int(clampSign(b.share - a.share))
		}
		return compareRefs(a.from, b.from)
	})
	return arcs
}

// restrain keeps edges of class C below the weakest edge of the other classes,
// and all of them together below a quarter.
func restrain(arcs []arc, weights []float64) {
	floor, better, inferred := math.Inf(1), 0.0, 0.0
	for k := range arcs {
		if arcs[k].rule.class() != Inferred && arcs[k].rule != execDaemon {
			floor = min(floor, weights[k])
			better += weights[k]
		}
	}
	if better == 0 {
		return
	}
	for k := range arcs {
		if arcs[k].rule.class() == Inferred {
			weights[k] = min(weights[k], floor/2)
			inferred += weights[k]
		}
	}
	if most := better * inferredShare / (1 - inferredShare); inferred > most {
		for k := range arcs {
			if arcs[k].rule.class() == Inferred {
				weights[k] *= most / inferred
			}
		}
	}
}
