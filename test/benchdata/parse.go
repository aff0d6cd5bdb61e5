package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/parsers"
	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// parse reads a bundle as timeline build does, with one worker, and throws
// the events away: what is left is the work that a program does which only
// prints. It lists what every parser gave.
func parse(ctx context.Context, path string, out io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	r, err := bundle.Open(f, st.Size())
	if err != nil {
		return err
	}
	res, err := analyze.Run(ctx, r.Evidence(), nowhere{}, analyze.Options{Parsers: parsers.All(), Workers: 1})
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(res.PerParser)) {
		n := res.PerParser[name]
		if _, err := fmt.Fprintf(out, "%s %d events %d problems\n", name, n.Events, n.Problems); err != nil {
			return err
		}
	}
	return nil
}

// nowhere is a store that keeps nothing.
type nowhere struct{}

func (nowhere) Done(string) bool { return false }
func (nowhere) Begin(context.Context, timeline.Job) (timeline.JobWriter, error) {
	return nowhere{}, nil
}
func (nowhere) Close() error                                  { return nil }
func (nowhere) Append(context.Context, *timeline.Batch) error { return nil }
func (nowhere) Commit(context.Context) error                  { return nil }
func (nowhere) Abort()                                        {}
