package collecttest

import (
	"context"
	"io"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// discard is a Taker that keeps nothing and, like the engine's, refuses when
// the context has ended.
type discard struct{}

func (discard) File(ctx context.Context, _, _ string) error { return ctx.Err() }

func (discard) Stream(_ context.Context, _ evidence.Item, r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func (discard) Note(ctx context.Context, _ evidence.Item) error { return ctx.Err() }
func (discard) Seen(string, int)                                {}
func (discard) Went(string, int, collect.Outcome, string)       {}
func (discard) Problem(evidence.Problem)                        {}

func (discard) Open(ctx context.Context, _ evidence.Item, _ collect.ReaderAt) error { return ctx.Err() }
