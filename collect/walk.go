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
	// maxDepth bounds the descriptors a walk holds, one a level.
	maxDepth = 800
)

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
