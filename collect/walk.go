package collect

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence"
)

const (
	// maxEntries bounds what ReadDir returns.
	maxEntries = 1 << 20
	// walkChunk is how many names of one folder a walk holds at once.
	walkChunk = 8192
	// lookAhead is how many names are looked at in one errand.
	lookAhead = 64
	// maxDepth bounds the descriptors a walk holds, one a level.
	maxDepth = 800
	// maxWalked bounds the paths that a walk holds, one a level, in bytes: the
	// system takes 4096, and a record no more than this.
	maxWalked = 32 << 10
	// maxNames bounds the names that walks hold, of all levels together, in
	// bytes: once there are as many, of a folder lookAhead are held at once.
	maxNames = 2 << 20
)

// nameChunk is how many names of one folder may be held now.
func (h *Host) nameChunk() int {
	if h.held.Load() > maxNames {
		return lookAhead
	}
	return walkChunk
}

// holdNames counts names that are held until release is called.
func (h *Host) holdNames(entries []DirEntry) (release func()) {
	n := int64(0)
	for _, e := range entries {
		n += int64(len(e.Name)) + 40
	}
	h.held.Add(n)
	return func() { h.held.Add(-n) }
}

func sortEntries(entries []DirEntry) {
	slices.SortFunc(entries, func(a, b DirEntry) int { return strings.Compare(a.Name, b.Name) })
}

// Walk calls fn for path and everything below it that is on local file
// systems; see WalkWith. st is nil for a name that could not be read.
func (h *Host) Walk(ctx context.Context, path string, fn func(path string, st *evidence.Stat) error) error {
	var failed error
	err := h.WalkWith(ctx, path, Walker{
		Visit: fn,
		Failed: func(path string, _ error) {
			if failed == nil {
				failed = fn(path, nil)
			}
		},
	})
	if err == nil && !errors.Is(failed, ErrSkipFolder) {
		err = failed
	}
	return err
}

// pathError names operation and path, where an error does not yet.
func pathError(op, path string, err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}
