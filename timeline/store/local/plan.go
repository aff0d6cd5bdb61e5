package local

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// plan is a query made ready for segments: a span of time, and a condition
// over columns.
type plan struct {
	first, last int64 // dated events outside are out
	timed       bool  // undated events are out
	where       node  // nil: every row of the span
	nodes       int   // numbers given out to nodes that keep state
}

// node is a part of a condition over the columns of a segment.
type node interface {
	// filter clears the rows of in for which the part does not hold.
	filter(s *scan, in bitset) error
	// may reports whether a row of the scan's block can pass, from word
	// filters alone.
	may(s *scan) (bool, error)
	cost() int
	explain(b *strings.Builder, depth int)
}

func newPlan(q timeline.Query) (*plan, error) {
	p := &plan{first: math.MinInt64 + 1, last: math.MaxInt64}
	if q.Where == nil {
		return p, nil
	}
	rest, err := p.takeTimes(q.Where)
	if err != nil || rest == nil {
		return p, err
	}
	p.where, err = p.node(rest)
	return p, err
}

// takeTimes narrows the span by the times that must hold and returns what is
// left of the condition, nil for nothing.
func (p *plan) takeTimes(x timeline.Expr) (timeline.Expr, error) {
	switch x := x.(type) {
	case timeline.And:
		var rest timeline.And
		for _, part := range x {
			left, err := p.takeTimes(part)
			if err != nil {
				return nil, err
			}
			if left != nil {
				rest = append(rest, left)
			}
		}
		if len(rest) == 0 {
			return nil, nil
		}
		return rest, nil
	case timeline.Match:
		if x.Field != "ts" {
			return x, nil
		}
		test, err := timeline.NewTest(x)
		if err != nil {
			return nil, err
		}
		if lo, hi, ok := test.Bounds(); ok {
			p.first, p.last, p.timed = max(p.first, lo), min(p.last, hi), true
			return nil, nil
		}
		if x.Op == timeline.OpExists {
			p.timed = true
			return nil, nil
		}
	}
	return x, nil
}

// covers reports whether every row of a segment lies in the span.
func (p *plan) covers(e *entry) bool {
	first, last, ok := e.times()
	return (!p.timed || e.Undated == 0) && (!ok || p.first <= first && last <= p.last)
}

// touches reports whether a row of a segment may lie in the span.
func (p *plan) touches(e *entry) bool {
	first, last, ok := e.times()
	return !p.timed && e.Undated > 0 || ok && first <= p.last && p.first <= last
}

func (p *plan) node(x timeline.Expr) (node, error) {
	switch x := x.(type) {
	case timeline.And:
		parts, err := p.list(x)
		return andNode(parts), err
	case timeline.Or:
		parts, err := p.list(x)
		return orNode(parts), err
	case timeline.Not:
		part, err := p.node(x.X)
		return notNode{part}, err
	case timeline.Match:
		test, err := timeline.NewTest(x)
		if err != nil {
			return nil, err
		}
		return p.match(test), nil
	}
	return nil, fmt.Errorf("condition has a part of unknown type %T", x)
}

func (p *plan) list(x []timeline.Expr) ([]node, error) {
	parts := make([]node, len(x))
	for i := range x {
		part, err := p.node(x[i])
		if err != nil {
			return nil, err
		}
		parts[i] = part
	}
	byCost(parts)
	return parts, nil
}

func byCost(parts []node) {
	slices.SortStableFunc(parts, func(a, b node) int { return cmp.Compare(a.cost(), b.cost()) })
}

// match chooses how a field is looked at.
func (p *plan) match(t *timeline.Test) node {
	f := t.Field
	switch f.Kind {
	case timeline.FieldAny:
		return p.anywhere(t)
	case timeline.FieldAttr:
		return withWords(newAttrNode(t), t)
	case timeline.FieldID:
		leaf := idLeaf
		if f.Name == "content_id" {
			leaf = contentLeaf
		}
		return &fixedNode{leaf: leaf, test: t}
	case timeline.FieldInt, timeline.FieldTime:
		return &intNode{leaf: leavesBefore + columnAt[f.Name], test: t}
	}
	return withWordsIf(searched(columnAt[f.Name]), p.column(columnAt[f.Name], t), t)
}

// column looks at one text column.
func (p *plan) column(i int, t *timeline.Test) node {
	leaf := leavesBefore + i
	switch {
	case schema[i].digest:
		return &fixedNode{leaf: leaf, test: t}
	case schema[i].kind == kindDict:
		p.nodes++
		return &dictNode{leaf: leaf, test: t, number: p.nodes - 1, split: schema[i].special == specialFlags, plain: newTextNode(leaf, t)}
	}
	return newTextNode(leaf, t)
}

// anywhere looks at all text.
func (p *plan) anywhere(t *timeline.Test) node {
	var parts []node
	for i := range schema {
		if schema[i].text != nil {
			parts = append(parts, p.column(i, t))
		}
	}
	parts = append(parts, newAttrNode(t))
	byCost(parts)
	return withWords(orNode(parts), t)
}

// withWords asks the word filter first.
func withWords(x node, t *timeline.Test) node {
	if hashes := wordHashes(t); len(hashes) > 0 {
		return &wordNode{node: x, hashes: hashes}
	}
	return x
}

func withWordsIf(yes bool, x node, t *timeline.Test) node {
	if yes {
		return withWords(x, t)
	}
	return x
}

type (
	andNode  []node
	orNode   []node
	notNode  struct{ x node }
	wordNode struct {
		node
		hashes []uint64
	}
)

func (n andNode) filter(s *scan, in bitset) error {
	for _, part := range n {
		if ok, err := part.may(s); err != nil || !ok {
			clear(in)
			return err
		}
	}
	for _, part := range n {
		if !in.any() {
			return nil
		}
		if err := part.filter(s, in); err != nil {
			return err
		}
	}
	return nil
}

func (n andNode) may(s *scan) (bool, error) {
	for _, part := range n {
		if ok, err := part.may(s); err != nil || !ok {
			return ok, err
		}
	}
	return true, nil
}

func (n orNode) filter(s *scan, in bitset) error {
	rest, part, found := s.scratch(), s.scratch(), s.scratch()
	defer s.give(rest, part, found)
	copy(rest, in)
	clear(found)
	for _, x := range n {
		if !rest.any() {
			break
		}
		if ok, err := x.may(s); err != nil {
			return err
		} else if !ok {
			continue
		}
		copy(part, rest)
		if err := x.filter(s, part); err != nil {
			return err
		}
		for i := range part {
			found[i] |= part[i]
			rest[i] &^= part[i]
		}
	}
	copy(in, found)
	return nil
}

func (n orNode) may(s *scan) (bool, error) {
	for _, part := range n {
		if ok, err := part.may(s); err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

func (n notNode) filter(s *scan, in bitset) error {
	part := s.scratch()
	defer s.give(part)
	copy(part, in)
	if err := n.x.filter(s, part); err != nil {
		return err
	}
	for i := range in {
		in[i] &^= part[i]
	}
	return nil
}

func (n notNode) may(*scan) (bool, error) { return true, nil }

func (n *wordNode) may(s *scan) (bool, error) { return s.words(n.hashes) }

func (n *wordNode) filter(s *scan, in bitset) error {
	if ok, err := n.may(s); err != nil || !ok {
		clear(in)
		return err
	}
	return n.node.filter(s, in)
}

func (n andNode) cost() int   { return sumCost(n) }
func (n orNode) cost() int    { return sumCost(n) }
func (n notNode) cost() int   { return n.x.cost() }
func (n *wordNode) cost() int { return n.node.cost()/2 + 1 }

func sumCost(parts []node) int {
	sum := 0
	for _, p := range parts {
		sum += p.cost()
	}
	return sum
}
