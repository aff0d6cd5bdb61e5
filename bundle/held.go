package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// A run's key lives in the memory of the machine that is collected. Who owns
// the machine can read it there and seal something else. What had left the
// machine by then is out of reach: a checkpoint that was kept elsewhere must
// be one of the bundle that turns up later.

// LastCheckpoint returns the last checkpoint that holds of a bundle or of the
// beginning of one, its end missing: what VerifyOptions.Held takes. One
// checkpoint stands for everything before it.
func LastCheckpoint(ctx context.Context, r io.ReaderAt, size int64) ([]byte, error) {
	a, walk, tar, err := inspect(ctx, r, size, VerifyOptions{})
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	c := conclusion{audit: a, walk: walk, tar: tar}
	c.draw()
	switch {
	case a.notBundle:
		return nil, fmt.Errorf("read checkpoint: %w", ErrNotBundle)
	case a.report.wrong, a.report.AlteredItems > 0:
		return nil, errors.New("read checkpoint: the copy is not as it was written")
	case c.proven == 0:
		return nil, fmt.Errorf("read checkpoint: %w", ErrNothing)
	}
	return c.signed.Note, nil
}

// held compares the bundle with checkpoints that were kept elsewhere.
func (c *conclusion) held() {
	r := c.report
	if len(c.opt.Held) == 0 {
		return
	}
	state, detail := "ok", ""
	for _, note := range c.opt.Held {
		one, why := c.heldOne(note)
		if one == "failed" || one == "lost" && state == "ok" {
			state, detail = one, why
		}
	}
	switch state {
	case "failed":
		r.altered("", 0, detail)
		c.rewritten = true
	case "lost":
		r.damage("", 0, detail)
	default:
		detail = fmt.Sprintf("%d kept elsewhere are of this bundle", len(c.opt.Held))
	}
	r.layer("held", state, detail)
}

func (c *conclusion) heldOne(note []byte) (state, why string) {
	if c.key == nil {
		return "lost", "the key of the run is lost: a checkpoint kept elsewhere cannot be compared"
	}
	s, err := c.statement(note)
	if err != nil {
		return "failed", "a checkpoint kept elsewhere is of another run: " + err.Error()
	}
	var t tree
	switch ok, known := c.grow(&t, s.Size); {
	case s.Size > int64(len(c.leaves)) && !c.report.Prefix && !c.gaps:
		return "failed", fmt.Sprintf("a checkpoint kept elsewhere covers %d records, the bundle has %d", s.Size, len(c.leaves))
	case !known:
		return "lost", fmt.Sprintf("records that a checkpoint kept elsewhere covers are missing: it has %d", s.Size)
	case !ok || t.root() != s.Root:
		return "failed", fmt.Sprintf("the first %d records are not those of a checkpoint kept elsewhere", s.Size)
	}
	return "ok", ""
}
