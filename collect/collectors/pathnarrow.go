package collectors

import (
	"context"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	definitions "github.com/exhibit-dfir/exhibit/collect/definition"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// narrowing is a compiled definitions.Filter: what a match has to be besides
// its path.
type narrowing struct {
	definitions.Filter
	names, notNames, paths, notPaths []glob
}

func newNarrowing(f definitions.Filter) (*narrowing, error) {
	n := &narrowing{Filter: f}
	for _, list := range []struct {
		from []string
		to   *[]glob
	}{{f.Names, &n.names}, {f.NotNames, &n.notNames}, {f.Paths, &n.paths}, {f.NotPaths, &n.notPaths}} {
		for _, text := range list.from {
			g, _, _, err := parseGlob(text)
			if err != nil {
				return nil, err
			}
			*list.to = append(*list.to, g)
		}
	}
	return n, nil
}

func anyMatches(globs []glob, s string) bool {
	return slices.ContainsFunc(globs, func(g glob) bool { return g.match(s) })
}

// typeLetters are find(1)'s letters for the types of files.
var typeLetters = map[uint32]string{modeRegular: "f", modeDir: "d", modeLink: "l", 0o010000: "p", 0o140000: "s", 0o060000: "b", 0o020000: "c"}

// holds decides by what is cheapest first. stat is asked at most once for a
// path, whatever the number of definitions; it may return nil.
func (n *narrowing) holds(h *collect.Host, path string, typ uint32, stat func() *evidence.Stat) bool {
	name := path[strings.LastIndexByte(path, '/')+1:]
	switch {
	case n.Types != "" && !strings.Contains(n.Types, typeLetters[typ]),
		len(n.names) > 0 && !anyMatches(n.names, name), anyMatches(n.notNames, name),
		n.NameRegexp != nil && !n.NameRegexp.MatchString(name),
		len(n.paths) > 0 && !anyMatches(n.paths, path), n.leftOut(path):
		return false
	}
	if n.MinSize == 0 && n.MaxSize == 0 && len(n.Permissions) == 0 && !n.NoUser && !n.NoGroup && len(n.NotMounts) == 0 {
		return true
	}
	st := stat()
	if st == nil {
		return true // taking it will say why it cannot be looked at
	}
	permitted := func(p definitions.Permission) bool { return p.Holds(st.Mode) }
	switch {
	case typ == modeRegular && (st.Size < n.MinSize || n.MaxSize > 0 && st.Size > n.MaxSize),
		len(n.Permissions) > 0 && !slices.ContainsFunc(n.Permissions, permitted),
		n.NoUser && st.Owner != "", n.NoGroup && st.Group != "":
		return false
	}
	if len(n.NotMounts) > 0 {
		if m, ok := h.MountOf(path); ok && slices.Contains(n.NotMounts, m.FSType) {
			return false
		}
	}
	return true
}

// leftOut reports whether a path, or a folder it lies in, is one that the
// definition leaves out.
func (n *narrowing) leftOut(path string) bool {
	for len(n.notPaths) > 0 && path != "" {
		if anyMatches(n.notPaths, path) {
			return true
		}
		path = path[:max(strings.LastIndexByte(path, '/'), 0)]
	}
	return false
}

// narrowed returns those of the definitions for which everything else holds.
func (w *pathWalk) narrowed(path string, typ uint32, defs []int) []int {
	stat := func() *evidence.Stat {
		st, _ := w.statOf(path) //nolint:errcheck // taking it will say why
		return st
	}
	return slices.DeleteFunc(defs, func(i int) bool {
		n := w.table.defs[i].narrow
		return n != nil && !n.holds(w.host, path, typ, stat)
	})
}

// statOf is the metadata of a path, asked for once while a walk is at it.
func (w *pathWalk) statOf(path string) (*evidence.Stat, error) {
	if w.looked.path == path && path != "" {
		return w.looked.st, w.looked.err
	}
	w.looked.path, w.looked.err = path, nil
	if w.looked.st = w.ahead.stat(w, path); w.looked.st == nil {
		w.looked.st, w.looked.err = w.tree.Stat(path)
	}
	return w.looked.st, w.looked.err
}

// lookAhead asks for the metadata of several names of a folder at once, while
// most of what it asked for is wanted.
type lookAhead struct {
	dir     string
	entries []collect.DirEntry
	at      int // the entry the walk is at
	from    int // of the first of stats
	stats   []*evidence.Stat
	used    int // of stats
}

const maxLookAhead = 64

// stat returns nil where the path is not the entry the walk is at, and where
// it has to be asked for by itself.
func (l *lookAhead) stat(w *pathWalk, path string) *evidence.Stat {
	tree, ok := w.tree.(interface {
		StatNames(dir string, names []string) ([]*evidence.Stat, error)
	})
	if !ok || l == nil || l.at >= len(l.entries) || path != l.dir+"/"+l.entries[l.at].Name {
		return nil
	}
	if l.at >= l.from+len(l.stats) {
		most := 1
		if l.used > len(l.stats)/2 {
			most = min(2*len(l.stats), maxLookAhead)
		}
		var names []string
		for _, e := range l.entries[l.at:min(l.at+most, len(l.entries))] {
			if _, fenced := w.fences[l.dir+"/"+e.Name]; fenced {
				break
			}
			names = append(names, e.Name)
		}
		l.from, l.used, l.stats = l.at, 0, make([]*evidence.Stat, len(names))
		if stats, err := tree.StatNames(orRoot(l.dir), names); err == nil {
			l.stats = stats
		}
	}
	if l.at >= l.from+len(l.stats) {
		return nil // fenced
	}
	l.used++
	return l.stats[l.at-l.from]
}

// takeEach gives a match to every definition that asked for it, so that each
// has an outcome of its own.
func (w *pathWalk) takeEach(ctx context.Context, path string, typ uint32, defs []int) error {
	var done, recorded []string
	var record *definition
	content := false
	for _, i := range defs {
		d := &w.table.defs[i]
		if slices.Contains(done, d.rule) {
			continue
		}
		done = append(done, d.rule)
		w.perRule[d.rule]++
		switch {
		case d.record != nil:
			recorded = append(recorded, d.rule)
			if record == nil || d.hash {
				record = d
			}
			continue
		case typ != modeRegular && content:
			continue // one record of a folder or link is enough
		}
		content = true
		if err := w.takeImported(ctx, path, typ, d.rule); err != nil {
			return err
		}
	}
	if record != nil {
		return record.record(ctx, w, path, recorded)
	}
	return nil
}

// takeImported takes one file for a definition that others wrote. They know
// nothing of our policy for secrets, which holds all the same.
func (w *pathWalk) takeImported(ctx context.Context, path string, typ uint32, rule string) error {
	if typ != modeRegular || w.secrets == TakeSecrets {
		return w.out.File(ctx, path, rule)
	}
	if w.secret != nil && w.secret.wants(path) {
		st, err := w.statOf(path)
		if err != nil {
			return w.out.File(ctx, path, rule) // records why
		}
		return w.note(ctx, path, rule, "secrets are left out unless ordered", st)
	}
	if st, err := w.statOf(path); err == nil && st.Size <= maxKeyFile && !w.fromKernel(path) {
		return takeUnlessSecret(ctx, w, path, rule)
	}
	return w.out.File(ctx, path, rule)
}

// fromKernel reports whether a file is made by the kernel while it is read:
// reading it twice costs twice, and no keys are in it.
func (w *pathWalk) fromKernel(path string) bool {
	m, ok := w.host.MountOf(path)
	return ok && m.Storage() == collect.Pseudo
}

// blocked is why a definition could not look everywhere.
type blocked struct {
	outcome collect.Outcome
	path    string
	why     string
}

func (w *pathWalk) block(defs []int, b blocked) {
	for _, i := range defs {
		if w.blocked[i].outcome == "" {
			w.blocked[i] = b
		}
	}
}
