package rootcause

import (
	"cmp"
	"slices"
)

// row is one line of the drawing: a node, indented under the node that is its
// main cause.
type row struct {
	node   int
	depth  int
	parent int // row of the main cause, -1 for none
	edge   int // edge from it, -1 for none
}

// layout orders the nodes as an indented tree: below every node come its
// effects in time order. Edges that are not of the tree are returned apart.
func (g *Graph) layout() (rows []row, rest []int) {
	main := g.mainCauses()
	kids := make([][]int, len(g.Nodes)) // edges of the tree
	var roots []int
	for n := range g.Nodes {
		if e := main[n]; e >= 0 {
			kids[g.Edges[e].From] = append(kids[g.Edges[e].From], e)
		} else {
			roots = append(roots, n)
		}
	}
	for n := range kids {
		slices.SortStableFunc(kids[n], func(a, b int) int {
			return cmp.Or(g.Edges[a].Time.Compare(g.Edges[b].Time), cmp.Compare(a, b))
		})
	}
	slices.SortStableFunc(roots, func(a, b int) int {
		// What leads to the alert comes first, then by time.
		return cmp.Or(-cmp.Compare(g.Nodes[a].Impact, g.Nodes[b].Impact), rank(g.Nodes[a].Role)-rank(g.Nodes[b].Role), g.Nodes[a].Time.Compare(g.Nodes[b].Time))
	})
	slices.SortStableFunc(roots, func(a, b int) int { return rank(g.Nodes[a].Role) - rank(g.Nodes[b].Role) })
	var place func(n, depth, parent, edge int)
	place = func(n, depth, parent, edge int) {
		at := len(rows)
		rows = append(rows, row{n, depth, parent, edge})
		for _, e := range kids[n] {
			place(g.Edges[e].To, depth+1, at, e)
		}
	}
	for _, n := range roots {
		place(n, 0, -1, -1)
	}
	for e := range g.Edges {
		if main[g.Edges[e].To] != e {
			rest = append(rest, e)
		}
	}
	return rows, rest
}

func rank(r Role) int { return slices.Index([]Role{RoleEntry, RolePath, RoleAlert, RoleScope}, r) }

// mainCauses chooses for every node the edge under which it is drawn: the one
// that carries most, else the surest. Edges that would close a circle are
// passed over, so the choice is a forest.
func (g *Graph) mainCauses() []int {
	main := make([]int, len(g.Nodes))
	for n := range main {
		main[n] = -1
	}
	order := make([]int, len(g.Edges))
	for e := range order {
		order[e] = e
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := &g.Edges[a], &g.Edges[b]
		return cmp.Or(-cmp.Compare(x.Score, y.Score), cmp.Compare(x.Class, y.Class), cmp.Compare(a, b))
	})
	for _, e := range order {
		to := g.Edges[e].To
		if main[to] >= 0 {
			continue
		}
		circle := false
		for n, steps := g.Edges[e].From, 0; steps <= len(g.Nodes); steps++ {
			if n == to {
				circle = true
				break
			}
			if main[n] < 0 {
				break
			}
			n = g.Edges[main[n]].From
		}
		if !circle {
			main[to] = e
		}
	}
	return main
}
