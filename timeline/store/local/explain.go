package local

import (
	"fmt"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

func explainLine(b *strings.Builder, depth int, format string, args ...any) {
	b.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(b, format, args...)
	b.WriteByte('\n')
}

func explainParts(b *strings.Builder, depth int, word string, parts []node) {
	explainLine(b, depth, "%s", word)
	for _, p := range parts {
		p.explain(b, depth+1)
	}
}

func (n andNode) explain(b *strings.Builder, depth int) { explainParts(b, depth, "all of", n) }
func (n orNode) explain(b *strings.Builder, depth int) {
	if len(n) > 12 {
		explainLine(b, depth, "text anywhere: %d columns, cheapest first, attributes last", len(n))
		return
	}
	explainParts(b, depth, "one of", n)
}

func (n notNode) explain(b *strings.Builder, depth int) { explainParts(b, depth, "not", []node{n.x}) }

func (n *wordNode) explain(b *strings.Builder, depth int) {
	explainLine(b, depth, "word filter: %d words must be there", len(n.hashes))
	n.node.explain(b, depth)
}

func (n *intNode) explain(b *strings.Builder, depth int) {
	explainLine(b, depth, "numbers of %s", leafName(n.leaf))
}

func (n *dictNode) explain(b *strings.Builder, depth int) {
	explainLine(b, depth, "dictionary of %s, then codes", leafName(n.leaf))
}

func (n *fixedNode) explain(b *strings.Builder, depth int) {
	explainLine(b, depth, "digests of %s", leafName(n.leaf))
}

func (n *textNode) explain(b *strings.Builder, depth int) {
	switch {
	case n.needle == nil:
		explainLine(b, depth, "every text of %s", leafName(n.leaf))
	case n.test.Match.Op == timeline.OpContains:
		explainLine(b, depth, "pages of %s searched for %q", leafName(n.leaf), n.needle.text)
	default:
		explainLine(b, depth, "pages of %s searched for %q, then every hit tested", leafName(n.leaf), n.needle.text)
	}
}

func (n *attrNode) explain(b *strings.Builder, depth int) {
	switch {
	case n.key != nil:
		explainLine(b, depth, "attributes searched for %s", n.key)
	case n.needle != nil:
		explainLine(b, depth, "attributes searched for %q, then every hit taken apart", n.needle.text)
	default:
		explainLine(b, depth, "attributes of every row taken apart")
	}
}
