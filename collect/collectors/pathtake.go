package collectors

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// take gives one match to the Taker under the first definition that asked
// for it, and counts it for all that did.
func (w *pathWalk) take(ctx context.Context, path string, typ uint32, defs []int) error {
	chosen := w.count(defs)
	d := w.table.defs[chosen]
	if d.each {
		return w.takeEach(ctx, path, typ, defs)
	}
	if typ == modeRegular {
		over, st := w.overLimit(chosen, path)
		if over != "" {
			return w.note(ctx, path, d.rule, over, st)
		}
		if d.take != nil {
			return d.take(ctx, w, path, d.rule)
		}
	}
	return w.out.File(ctx, path, d.rule)
}

// takeFrom is take for a path that hops links led to: what they led to is not
// taken twice, nor when the table names it by its own path.
func (w *pathWalk) takeFrom(ctx context.Context, path string, typ uint32, defs []int, hops int) error {
	if hops > 0 {
		if w.linked[path] || w.table.wants(path) {
			return nil
		}
		if len(w.linked) < maxLinked {
			w.linked[path] = true
		}
		if w.secret != nil && typ == modeRegular && w.secret.wants(path) {
			w.count(defs)
			return w.note(ctx, path, w.table.defs[defs[0]].rule, "a link led to a secret; secrets are left out unless ordered", nil)
		}
	}
	return w.take(ctx, path, typ, defs)
}

// count adds a match to its definitions and returns the one that takes it.
// A "rest" definition counts only what nobody else asked for.
func (w *pathWalk) count(defs []int) int {
	chosen := -1
	for _, i := range defs {
		if w.table.defs[i].rest {
			continue
		}
		w.matched[i]++
		if chosen < 0 {
			chosen = i
		}
	}
	if chosen < 0 {
		chosen = defs[0]
		w.matched[chosen]++
	}
	return chosen
}

// smallFile bounds a file that counts as small: scripts, notes, keys.
const smallFile = 64 << 10

// overLimit says which limit of its definition a file exceeds, "" for none.
// Bytes on disk count, not the stated size: a sparse lastlog is small.
func (w *pathWalk) overLimit(def int, path string) (string, *evidence.Stat) {
	d := w.table.defs[def]
	if d.max == 0 && d.total == 0 {
		return "", nil
	}
	st, err := w.tree.Stat(path)
	if err != nil {
		return "", nil // taking it will record why
	}
	size := onDisk(st)
	if d.max > 0 && size > d.max {
		return fmt.Sprintf("%d bytes on disk are over the limit of %d bytes a file for %q", size, d.max, d.rule), st
	}
	spent := &w.spent[def][0]
	if size > smallFile {
		spent = &w.spent[def][1]
	}
	if d.total > 0 && *spent+size > d.total {
		return fmt.Sprintf("%d bytes on disk do not fit into the limit of %d bytes in all for %q", size, d.total, d.rule), st
	}
	*spent += size
	return "", nil
}

// onDisk is what reading the file without its holes costs. Compressing file
// systems state fewer blocks than bytes, inline files none: the size bounds
// what a small block count hides.
func onDisk(st *evidence.Stat) int64 {
	if st.Blocks == 0 && st.Size <= 4096 {
		return st.Size
	}
	return min(st.Size, st.Blocks*512)
}

// skip records that everything the table has at and below a path is left out.
func (w *pathWalk) skip(ctx context.Context, path string, defs []int, at state, why string) error {
	rule := ""
	if len(defs) > 0 {
		rule = w.table.defs[defs[0]].rule
	}
	at.below(func(n *trieNode) {
		n.hit = true // no looking for exact names there either
		if !w.into[path] {
			w.block(n.ends, blocked{collect.Skipped, path, why})
		}
		if rule == "" && len(n.ends) > 0 {
			rule = w.table.defs[n.ends[0]].rule
		}
	})
	return w.note(ctx, path, rule, why, nil)
}

// note records a path that is left out by policy.
func (w *pathWalk) note(ctx context.Context, path, rule, why string, st *evidence.Stat) error {
	return w.out.Note(ctx, evidence.Item{
		Index: -1, Kind: evidence.KindSkipped, Source: "file", Path: path,
		Collector: w.collector, Rule: rule, Stat: st, Detail: why,
	})
}

// lost records a directory or link that could not be looked into.
func (w *pathWalk) lost(path, doing string, err error) {
	w.out.Problem(evidence.Problem{
		Stage: w.collector, Code: codeOf(err), Path: path,
		Ref:    evidence.Ref{Offset: -1, Length: -1},
		Detail: fmt.Sprintf("%s: %v", doing, err),
	})
}

// refused records a directory that is there and may not be looked into: what
// the table has below it was looked for, and not found out.
func (w *pathWalk) refused(ctx context.Context, path string, at state, err error) error {
	it := evidence.Item{Index: -1, Source: "file", Path: path, Collector: w.collector, Detail: "read directory: " + err.Error()}
	outcome := collect.Failed
	switch codeOf(err) {
	case evidence.Missing:
		return nil // gone since it was listed
	case evidence.Denied:
		it.Kind, outcome = evidence.KindDenied, collect.Denied
	case evidence.TimedOut:
		it.Kind, outcome = evidence.KindError, collect.TimedOut
	default:
		it.Kind = evidence.KindError
	}
	at.below(func(n *trieNode) {
		w.block(n.ends, blocked{outcome, path, it.Detail})
		if it.Rule == "" && len(n.ends) > 0 {
			it.Rule = w.table.defs[n.ends[0]].rule
		}
	})
	return w.out.Note(ctx, it)
}

// codeOf classifies an error of the file system.
func codeOf(err error) evidence.Code {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return evidence.Denied
	case errors.Is(err, fs.ErrNotExist):
		return evidence.Missing
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, collect.ErrTimeout):
		return evidence.TimedOut
	}
	return evidence.IOError
}
