package collectors

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// Bits of st_mode, as Linux numbers them. They are written out because a
// folder collected with --root may be read on another system.
const (
	modeType    = 0o170000
	modeDir     = 0o040000
	modeRegular = 0o100000
	modeLink    = 0o120000
	modeSetID   = 0o6000
	modeExec    = 0o111
)

const (
	// maxLinks bounds what the links that wait to be followed take, in bytes:
	// some 30,000 links.
	maxLinks = 6 << 20
	// linkCost is what one takes besides its path.
	linkCost = 136
	// maxLinked bounds the paths remembered because a link led there. Another
	// is given to the Taker each time, which knows what it has.
	maxLinked = 1 << 15
)

// maxHops bounds the links followed for one path, as the kernel does.
const maxHops = 40

// tree is what a path walk asks of a host. *collect.Host is one. ListDir gives
// the names of a folder in bytewise order, those of a large one some thousand at
// a time; Stat does not follow a link in the last component.
type tree interface {
	ListDir(path string, fn func([]collect.DirEntry) error) error
	Stat(path string) (*evidence.Stat, error)
	Readlink(path string) (string, error)
}

// takeFunc takes one regular file in its own way.
type takeFunc func(ctx context.Context, w *pathWalk, path, rule string) error

// recordFunc takes the metadata of one path for the definitions of these names.
type recordFunc func(ctx context.Context, w *pathWalk, path string, rules []string) error

// pathRun is what a walk for a table of definitions needs.
type pathRun struct {
	collector string
	host      *collect.Host
	out       collect.Taker
	homes     []string // where definitions below ~ are looked for
	secrets   Secrets

	kernel bool // follow patterns that name files of procfs and sysfs

	// report tells how the definitions went, in place of one Seen for each.
	// err is what ended the walk early.
	report func(w *pathWalk, err error)
}

// pathWalk is one walk for one table.
type pathWalk struct {
	pathRun
	tree   tree // host, but for tests
	table  *trie
	fences fences
	binds  binds
	into   map[string]bool // mounts that are entered where a pattern names them
	secret *trie           // what a link may not lead to unless secrets are ordered; nil: nothing

	matched []int          // per definition
	blocked []blocked      // per definition: the first folder that kept it from looking
	spent   [][2]int64     // bytes on disk, per definition with a total: small files, the rest
	perRule map[string]int // paths by rule, of definitions that are taken each by itself
	looked  struct {
		path string
		st   *evidence.Stat
		err  error
	}
	ahead    *lookAhead // in the folder the walk is in
	headText []byte     // of the file that head read last
	links    []followed
	waiting  int             // bytes of links
	linked   map[string]bool // paths taken because a link led there
}

// followed is a link whose target is looked at after everything else, so that
// no directory is read twice for nothing.
type followed struct {
	path string
	at   state
	defs []int // definitions that matched the link itself and want its target
	hops int
}

// takePaths walks the host for a table of definitions, gives every match to
// the Taker and reports how each definition went.
func takePaths(ctx context.Context, run pathRun, defs []definition) error {
	table, err := compile(defs, run.homes...)
	if err != nil {
		return err
	}
	w := &pathWalk{pathRun: run, tree: run.host, table: table, fences: readFences(run.host), binds: readBinds(run.host)}
	if run.kernel {
		w.into = kernelMounts(run.host)
	}
	if run.secrets == LeaveSecrets {
		if w.secret, err = compile(secretPlaces(), run.homes...); err != nil {
			return err
		}
	}
	return w.run(ctx)
}

func (w *pathWalk) run(ctx context.Context) error {
	w.matched = make([]int, len(w.table.defs))
	w.blocked, w.perRule = make([]blocked, len(w.table.defs)), map[string]int{}
	w.spent = make([][2]int64, len(w.table.defs))
	w.linked = make(map[string]bool)
	err := w.dir(ctx, "", w.table.start(), 0)
	for err == nil && len(w.links) > 0 {
		next := w.links[0]
		w.links[0] = followed{}
		w.links = w.links[1:]
		w.waiting -= linkCost + len(next.path)
		err = w.followLink(ctx, next)
	}
	if err == nil {
		err = w.absent(ctx)
	}
	if w.report != nil {
		w.report(w, err)
		return err
	}
	for i, d := range w.table.defs {
		w.out.Seen(d.rule, w.matched[i])
	}
	return err
}

// absent records the exact names that were not there: that a file does not
// exist is a finding too.
func (w *pathWalk) absent(ctx context.Context) error {
	for _, n := range w.table.exact {
		d := w.table.defs[n.ends[0]]
		if n.hit || d.quiet {
			continue
		}
		if err := w.out.File(ctx, n.path, d.rule); err != nil {
			return err
		}
	}
	return nil
}

// dir matches the content of one directory. dir is "" for the root.
func (w *pathWalk) dir(ctx context.Context, dir string, at state, hops int) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	listed := at.needsList()
	shown := newShown(at)
	if listed {
		var ended error
		err := w.tree.ListDir(orRoot(dir), func(entries []collect.DirEntry) error {
			ahead := &lookAhead{dir: dir, entries: entries}
			for i, e := range entries {
				w.ahead, ahead.at = ahead, i
				shown.note(e.Name)
				if next := at.step(e.Name); len(next) > 0 {
					if ended = w.entry(ctx, dir+"/"+e.Name, e.Type, next, hops); ended != nil {
						return ended
					}
				}
			}
			return nil
		})
		if ended != nil {
			return ended
		}
		if err != nil {
			w.lost(orRoot(dir), "read directory", err)
			if err := w.refused(ctx, orRoot(dir), at, err); err != nil {
				return err
			}
			listed = false
		}
	}
	w.ahead = nil
	return w.unlisted(ctx, dir, at, shown, listed, hops)
}

// shown are the names that a table asks for in a folder, and which of them its
// listing had: exactly, and in whatever case.
type shown struct {
	asked         []string // sorted
	exact, folded map[string]bool
}

func newShown(at state) *shown {
	s := &shown{asked: at.names()}
	if len(s.asked) == 0 {
		return s
	}
	s.exact = map[string]bool{}
	for _, name := range s.asked {
		s.exact[name] = false
	}
	if slices.ContainsFunc(at, func(n *trieNode) bool { return n.fold }) {
		s.folded = map[string]bool{}
		for _, name := range s.asked {
			s.folded[foldName(name)] = false
		}
	}
	return s
}

// note takes a name of the listing.
func (s *shown) note(name string) {
	if _, asked := s.exact[name]; asked {
		s.exact[name] = true
	}
	if s.folded == nil {
		return
	}
	name = foldName(name)
	if _, asked := s.folded[name]; asked {
		s.folded[name] = true
	}
}

// unlisted looks up the literal names that the listing did not show: there
// was no listing, or something keeps the name out of it.
func (w *pathWalk) unlisted(ctx context.Context, dir string, at state, shown *shown, listed bool, hops int) error {
	for _, name := range shown.asked {
		if shown.folded[foldName(name)] && !w.spelt(at, name) {
			continue // listed, in whatever case
		}
		if shown.exact[name] {
			continue
		}
		path := dir + "/" + name
		var typ uint32
		if _, fenced := w.fences[path]; !fenced {
			st, err := w.tree.Stat(path)
			if err != nil {
				continue // absent records name the reason
			}
			typ = st.Mode & modeType
			if listed && !w.ntfsOwn(name) {
				w.out.Problem(evidence.Problem{
					Stage: w.collector, Code: evidence.Inconsistent, Path: path,
					Ref:    evidence.Ref{Offset: -1, Length: -1},
					Detail: "answers to its name but is not listed in its directory",
				})
			}
		}
		if err := w.entry(ctx, path, typ, at.step(name), hops); err != nil {
			return err
		}
	}
	return nil
}

// ntfsOwn reports whether a name is one of those that NTFS keeps for itself and
// never lists: $MFT, $Extend.
func (w *pathWalk) ntfsOwn(name string) bool {
	return strings.HasPrefix(name, "$") && w.host != nil && w.host.System() == "windows"
}

// spelt reports whether a pattern wants a name in exactly this spelling.
func (w *pathWalk) spelt(at state, name string) bool {
	return slices.ContainsFunc(at, func(n *trieNode) bool { return !n.fold && n.literal[name] != nil })
}

// entry handles one name that the table leads to.
func (w *pathWalk) entry(ctx context.Context, path string, typ uint32, at state, hops int) error {
	defs := at.matches()
	if fence, ok := w.fences[path]; ok {
		// Definitions of others name files of procfs and sysfs. What leads
		// there by `**` only does not mean them.
		named := at.bounded()
		if !w.into[path] || len(named) == 0 {
			return w.skip(ctx, path, defs, at, fence)
		}
		at, defs = named, named.matches()
	}
	if typ == 0 {
		st, err := w.tree.Stat(path)
		if err == nil {
			typ = st.Mode & modeType
		}
	}
	if typ == modeDir && at.deep() {
		if why := w.binds.again(path); why != "" {
			return w.skip(ctx, path, defs, at, why)
		}
	}
	defs = w.narrowed(path, typ, defs)
	if len(defs) > 0 {
		if err := w.takeFrom(ctx, path, typ, defs, hops); err != nil {
			return err
		}
	}
	switch typ {
	case modeDir:
		if inside := at.inside(); len(inside) > 0 {
			return w.dir(ctx, path, inside, hops)
		}
	case modeLink:
		// `**` does not follow links: they may lead to / and round in circles.
		inside := at.bounded().inside()
		onward := slices.DeleteFunc(slices.Clone(defs), func(i int) bool { return w.table.defs[i].asLinks })
		if len(onward) == 0 && len(inside) == 0 {
			return nil
		}
		if w.waiting+linkCost+len(path) > maxLinks {
			return w.note(ctx, path, "", fmt.Sprintf("not followed: %d links wait already", len(w.links)), nil)
		}
		w.waiting += linkCost + len(path)
		w.links = append(w.links, followed{path, at.bounded(), onward, hops + 1})
	}
	return nil
}

// followLink takes what a link leads to, unless the walk takes it anyway.
func (w *pathWalk) followLink(ctx context.Context, l followed) error {
	target, st, err := w.resolve(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // the link itself is recorded and tells where it points
	case errors.Is(err, errFenced):
		return w.skip(ctx, l.path, l.defs, l.at, err.Error())
	case errors.Is(err, errLoop) || l.hops > maxHops:
		return nil // nothing is there: udev and locks use links as notes
	case err != nil:
		w.lost(l.path, "follow link", err)
		return nil
	}
	if st.Mode&modeType == modeDir {
		if inside := l.at.inside(); len(inside) > 0 {
			return w.dir(ctx, strings.TrimSuffix(target, "/"), inside, l.hops)
		}
	}
	if len(l.defs) == 0 {
		return nil
	}
	return w.takeFrom(ctx, target, st.Mode&modeType, l.defs, l.hops)
}

func orRoot(dir string) string {
	if dir == "" {
		return "/"
	}
	return dir
}

var (
	errFenced = errors.New("link")
	errLoop   = errors.New("too many links")
)

// resolve follows all links of a path within the host.
func (w *pathWalk) resolve(path string) (string, *evidence.Stat, error) {
	todo := strings.Split(strings.TrimPrefix(path, "/"), "/")
	done := ""
	var st *evidence.Stat
	for hops := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			done = done[:max(strings.LastIndexByte(done, '/'), 0)]
			continue
		}
		if fence, ok := w.fences[done+"/"+name]; ok {
			return "", nil, fmt.Errorf("%w: %s", errFenced, fence)
		}
		var err error
		if st, err = w.tree.Stat(done + "/" + name); err != nil {
			return "", nil, err
		}
		if st.Mode&modeType != modeLink {
			done += "/" + name
			continue
		}
		target, err := w.tree.Readlink(done + "/" + name)
		if err != nil {
			return "", nil, err
		}
		if hops++; hops > maxHops {
			return "", nil, errLoop
		}
		if strings.HasPrefix(target, "/") {
			done = ""
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	if done == "" {
		return "/", &evidence.Stat{Mode: modeDir}, nil
	}
	st, err := w.tree.Stat(done)
	return done, st, err
}
