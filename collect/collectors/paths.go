package collectors

import (
	"fmt"
	"slices"
	"strings"
)

// A definition names files worth taking. A table of definitions is compiled
// into one trie, so that a walk reads each directory once however many
// patterns lead through it.
//
// A pattern is an absolute path, or starts with ~/ for the home directories. Its components are globs (glob.go); `**` as
// a whole component stands for any number of directories, none included, and
// as the last one for everything below. {a,b} are alternatives.
type definition struct {
	rule     string   // name in the ledger and in Item.Rule
	patterns []string // what to take
	rest     bool     // takes only what no other definition of the table took
	quiet    bool     // no "absent" records for names that are not there
	asLinks  bool     // links are taken, what they lead to is not

	// max and total bound the bytes on disk of one file and of all files of
	// the definition; 0 is no bound. What is over is recorded as skipped. Small
	// files have a total of their own, so that large ones cannot use it up.
	max, total int64

	// take replaces the plain taking of a regular file; nil for that.
	take takeFunc
}

// trie is a compiled table.
type trie struct {
	defs  []definition
	root  *trieNode
	home  *trieNode   // patterns below ~
	exact []*trieNode // ends of patterns without wildcards, in table order
}

// trieNode stands for the part of some patterns that is matched already.
type trieNode struct {
	literal map[string]*trieNode
	globs   []trieEdge
	deep    *trieNode // reached by `**`
	isDeep  bool      // stays active in every directory below
	also    *trieNode // matched from here, too: the patterns below ~
	ends    []int     // definitions whose pattern ends here, ascending
	path    string    // of an exact node: the whole pattern
	hit     bool      // of an exact node: something was there
}

type trieEdge struct {
	glob glob
	text string // source of glob: equal patterns share an edge
	next *trieNode
}

// compile builds the trie of a table. homes are the directories that ~ stands
// for, as raw bytes; all share one copy of the patterns. An error names the
// bad pattern.
func compile(defs []definition, homes ...string) (*trie, error) {
	t := &trie{defs: defs, root: &trieNode{}, home: &trieNode{}}
	for i, d := range defs {
		for _, pattern := range d.patterns {
			plain, err := expandBraces(pattern)
			if err != nil {
				return nil, fmt.Errorf("definition %s: %w", d.rule, err)
			}
			for _, p := range plain {
				if err := t.add(i, p); err != nil {
					return nil, fmt.Errorf("definition %s: %w", d.rule, err)
				}
			}
		}
	}
	for _, home := range homes {
		at := t.root
		for name := range strings.SplitSeq(home, "/") {
			if name != "" {
				at = at.child(name)
			}
		}
		at.also = t.home
	}
	return t, nil
}

func (t *trie) add(def int, pattern string) error {
	at, path, exact := t.root, "", true
	rest, absolute := strings.CutPrefix(pattern, "/")
	if below, ok := strings.CutPrefix(pattern, "~/"); ok {
		at, rest, absolute, exact = t.home, below, true, false
	}
	if !absolute || rest == "" {
		return fmt.Errorf("%w: not an absolute path: %q", errGlob, pattern)
	}
	for component := range strings.SplitSeq(rest, "/") {
		if component == "**" {
			exact = false
			at = at.descend()
			continue
		}
		g, literal, plain, err := parseGlob(component)
		switch {
		case err != nil:
			return err
		case component == "" || plain && (literal == "." || literal == ".."):
			return fmt.Errorf("%w: component %q in %q", errGlob, component, pattern)
		case plain:
			at = at.child(literal)
			path += "/" + literal
		default:
			exact = false
			at = at.edge(component, g)
		}
	}
	if !slices.Contains(at.ends, def) {
		at.ends = append(at.ends, def)
	}
	if exact && at.path == "" {
		at.path = path
		t.exact = append(t.exact, at)
	}
	return nil
}

func (n *trieNode) descend() *trieNode {
	if n.isDeep {
		return n
	}
	if n.deep == nil {
		n.deep = &trieNode{isDeep: true}
	}
	return n.deep
}

func (n *trieNode) child(name string) *trieNode {
	if n.literal == nil {
		n.literal = make(map[string]*trieNode)
	}
	next := n.literal[name]
	if next == nil {
		next = &trieNode{}
		n.literal[name] = next
	}
	return next
}

func (n *trieNode) edge(text string, g glob) *trieNode {
	for _, e := range n.globs {
		if e.text == text {
			return e.next
		}
	}
	next := &trieNode{}
	n.globs = append(n.globs, trieEdge{g, text, next})
	return next
}

// state is the set of nodes active in one directory.
type state []*trieNode

// inside returns the state with which the content of a directory is matched,
// when the directory itself was matched by s.
func (s state) inside() state {
	var out state
	for _, start := range s {
		for n := start; n != nil; n = n.also {
			if n.isDeep || n.literal != nil || n.globs != nil {
				out = out.with(n)
			}
			if n.deep != nil {
				out = out.with(n.deep)
			}
		}
	}
	return out
}

// step returns the nodes that a name in the directory leads to.
func (s state) step(name string) state {
	var out state
	for _, n := range s {
		if next := n.literal[name]; next != nil {
			out = out.with(next)
		}
		for _, e := range n.globs {
			if e.glob.match(name) {
				out = out.with(e.next)
			}
		}
		if n.isDeep {
			out = out.with(n)
		}
	}
	return out
}

func (s state) with(n *trieNode) state {
	if slices.Contains(s, n) {
		return s
	}
	return append(s, n)
}

// bounded returns the nodes that are not the any-depth part of a pattern.
func (s state) bounded() state {
	var out state
	for _, n := range s {
		if !n.isDeep {
			out = append(out, n)
		}
	}
	return out
}

// needsList reports whether the directory has to be read: names alone can be
// looked up without.
func (s state) needsList() bool {
	return slices.ContainsFunc(s, func(n *trieNode) bool { return n.isDeep || len(n.globs) > 0 })
}

// deep reports whether the state comes from the any-depth part of a pattern.
func (s state) deep() bool { return slices.ContainsFunc(s, func(n *trieNode) bool { return n.isDeep }) }

// names returns the literal names the state asks for, sorted.
func (s state) names() []string {
	var out []string
	for _, n := range s {
		for name := range n.literal {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// matches returns the definitions that end in s, ascending, and marks exact
// nodes as found.
func (s state) matches() []int {
	var out []int
	for _, n := range s {
		n.hit = true
		out = append(out, n.ends...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// below calls f for the nodes of s and all they lead to.
func (s state) below(f func(*trieNode)) {
	for _, n := range s {
		f(n)
		for _, name := range (state{n}).names() {
			state{n.literal[name]}.below(f)
		}
		for _, e := range n.globs {
			state{e.next}.below(f)
		}
		for _, next := range []*trieNode{n.deep, n.also} {
			if next != nil {
				state{next}.below(f)
			}
		}
	}
}

// wants reports whether the table matches a path that leads over no link.
func (t *trie) wants(path string) bool {
	at := state{t.root}
	for name := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		at = at.inside().step(name)
		if len(at) == 0 {
			return false
		}
	}
	return slices.ContainsFunc(at, func(n *trieNode) bool { return len(n.ends) > 0 })
}
