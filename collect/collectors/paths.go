package collectors

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A definition names files worth taking. A table of definitions is compiled
// into one trie, so that a walk reads each directory once however many
// patterns lead through it.
//
// A pattern is an absolute path, or starts with ~/ for the home directories. Its components are globs (glob.go); `**` as
// a whole component stands for any number of directories, none included, and
// as the last one for everything below. `**N` stands for one to N directories,
// and as the last component for everything on the next N levels. {a,b} are
// alternatives.
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

	foldCase bool       // upper and lower case are one
	narrow   *narrowing // what else has to hold; nil: nothing
	record   recordFunc // gets matches instead of the Taker, which then gets none; nil: that does
	hash     bool       // record wants the hash of the content, too
	each     bool       // a file is taken under this definition too when another took it
}

// trie is a compiled table.
type trie struct {
	defs  []definition
	root  *trieNode
	fold  *trieNode   // patterns that know no upper and lower case
	home  *trieNode   // patterns below ~
	exact []*trieNode // ends of patterns without wildcards, in table order
}

// trieNode stands for the part of some patterns that is matched already.
type trieNode struct {
	literal map[string]*trieNode
	globs   []trieEdge
	deep    *trieNode // reached by `**`
	isDeep  bool      // stays active in every directory below
	level   *trieNode // reached by any name: the next level of a `**N`
	isLevel bool
	upTo    map[int]*trieNode // what follows a `**N` from here
	also    []*trieNode       // matched with this one: the patterns below ~, what follows a `**N`
	fold    bool              // names are compared in lower case
	as      string            // where fold: its name as the pattern spells it
	ends    []int             // definitions whose pattern ends here, ascending
	path    string            // of an exact node: the whole pattern
	hit     bool              // of an exact node: something was there
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
	t := &trie{defs: defs, root: &trieNode{}, fold: &trieNode{fold: true}, home: &trieNode{}}
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
		if !slices.Contains(at.also, t.home) {
			at.also = append(at.also, t.home)
		}
	}
	return t, nil
}

// start is the state of the root directory.
func (t *trie) start() state { return state{t.root, t.fold}.inside() }

func (t *trie) add(def int, pattern string) error {
	at, path, exact := t.root, "", true
	rest, absolute := strings.CutPrefix(pattern, "/")
	if below, ok := strings.CutPrefix(pattern, "~/"); ok {
		at, rest, absolute, exact = t.home, below, true, false
	} else if t.defs[def].foldCase {
		at, exact = t.fold, false
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
		if n, ok := levels(component); ok {
			exact = false
			at = at.descendTo(n)
			continue
		}
		spelt := component
		if at.fold {
			component = foldName(component)
		}
		g, literal, plain, err := parseGlob(component)
		switch {
		case err != nil:
			return err
		case component == "" || plain && (literal == "." || literal == ".."):
			return fmt.Errorf("%w: component %q in %q", errGlob, component, pattern)
		case plain:
			at = at.child(literal)
			if at.fold {
				_, at.as, _, _ = parseGlob(spelt) //nolint:errcheck // its folded form has just been read
			}
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
		n.deep = &trieNode{isDeep: true, fold: n.fold}
	}
	return n.deep
}

// maxLevels bounds N of `**N`; a node is made for each level.
const maxLevels = 1000

// levels reads the N of `**N`.
func levels(component string) (int, bool) {
	digits, ok := strings.CutPrefix(component, "**")
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && n >= 1 && n <= maxLevels
}

// descendTo returns what follows `**N`. All N of one directory share one chain
// of levels.
func (n *trieNode) descendTo(most int) *trieNode {
	if next := n.upTo[most]; next != nil {
		return next
	}
	if n.upTo == nil {
		n.upTo = map[int]*trieNode{}
	}
	next := &trieNode{fold: n.fold}
	n.upTo[most] = next
	at := n
	for range most {
		if at.level == nil {
			at.level = &trieNode{isLevel: true, fold: n.fold}
		}
		at = at.level
		at.also = append(at.also, next)
	}
	return next
}

// foldName is a name in lower case. Names that are no UTF-8 are folded byte by
// byte, so that none becomes another.
func foldName(name string) string {
	if utf8.ValidString(name) {
		return strings.ToLower(name)
	}
	out := []byte(name)
	for i, c := range out {
		if c >= 'A' && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return string(out)
}

func (n *trieNode) child(name string) *trieNode {
	if n.literal == nil {
		n.literal = make(map[string]*trieNode)
	}
	next := n.literal[name]
	if next == nil {
		next = &trieNode{fold: n.fold}
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
	next := &trieNode{fold: n.fold}
	n.globs = append(n.globs, trieEdge{g, text, next})
	return next
}

// state is the set of nodes active in one directory.
type state []*trieNode

// inside returns the state with which the content of a directory is matched,
// when the directory itself was matched by s.
func (s state) inside() state {
	var out state
	for _, n := range s {
		if n.isDeep || n.literal != nil || n.globs != nil || n.level != nil {
			out = out.with(n)
		}
		if n.deep != nil {
			out = out.with(n.deep)
		}
	}
	return out
}

// step returns the nodes that a name in the directory leads to.
func (s state) step(name string) state {
	var out state
	folded := ""
	for _, n := range s {
		name := name
		if n.fold {
			if folded == "" {
				folded = foldName(name)
			}
			name = folded
		}
		if next := n.literal[name]; next != nil {
			out = out.with(next)
		}
		for _, e := range n.globs {
			if e.glob.match(name) {
				out = out.with(e.next)
			}
		}
		if n.level != nil {
			out = out.with(n.level)
		}
		if n.isDeep {
			out = out.with(n)
		}
	}
	return out
}

// with adds a node and what is matched with it.
func (s state) with(n *trieNode) state {
	if slices.Contains(s, n) {
		return s
	}
	s = append(s, n)
	for _, also := range n.also {
		s = s.with(also)
	}
	return s
}

// bounded returns the nodes that are not the any-depth part of a pattern.
func (s state) bounded() state {
	var out state
	for _, n := range s {
		if !n.isDeep && !n.isLevel {
			out = append(out, n)
		}
	}
	return out
}

// needsList reports whether the directory has to be read: names alone can be
// looked up without.
func (s state) needsList() bool {
	return slices.ContainsFunc(s, func(n *trieNode) bool {
		return n.isDeep || n.level != nil || len(n.globs) > 0 || n.fold && len(n.literal) > 0
	})
}

// deep reports whether the state comes from the any-depth part of a pattern.
func (s state) deep() bool {
	return slices.ContainsFunc(s, func(n *trieNode) bool { return n.isDeep || n.isLevel })
}

// names returns the literal names the state asks for, sorted.
func (s state) names() []string {
	var out []string
	for _, n := range s {
		for name, next := range n.literal {
			if n.fold {
				name = next.as
			}
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

// below calls f once for each of the nodes of s and all they lead to, in a
// fixed order.
func (s state) below(f func(*trieNode)) { s.visit(map[*trieNode]bool{}, f) }

func (s state) visit(seen map[*trieNode]bool, f func(*trieNode)) {
	for _, n := range s {
		if seen[n] {
			continue
		}
		seen[n] = true
		f(n)
		for _, name := range slices.Sorted(maps.Keys(n.literal)) {
			state{n.literal[name]}.visit(seen, f)
		}
		for _, e := range n.globs {
			state{e.next}.visit(seen, f)
		}
		for _, next := range append([]*trieNode{n.deep, n.level}, n.also...) {
			if next != nil {
				state{next}.visit(seen, f)
			}
		}
	}
}

// wants reports whether the table matches a path that leads over no link.
func (t *trie) wants(path string) bool {
	at := state{t.root, t.fold}
	for name := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		at = at.inside().step(name)
		if len(at) == 0 {
			return false
		}
	}
	return slices.ContainsFunc(at, func(n *trieNode) bool { return len(n.ends) > 0 })
}
