package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/collect/sink"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// fetched is a local copy of what a store holds, for as long as it is needed.
type fetched struct{ path string }

func (f *fetched) remove() {
	if f != nil {
		_ = os.Remove(f.path) //nolint:errcheck // a copy; the store has it
	}
}

// fetch brings an object, or what is left of an upload that never ended, into
// the folder of the output.
func fetch(c *cli.Context, address string) (*fetched, error) {
	opt, err := gathering.SinkOptions(c)
	if err != nil {
		return nil, err
	}
	store, err := sink.LookS3(c.Context, address, opt)
	if err != nil {
		return nil, storeError(err)
	}
	if !store.Whole {
		left, err := chooseLeftover(c, store, address)
		if err != nil {
			return nil, err
		}
		if err := store.Complete(c.Context, left); err != nil {
			return nil, storeError(fmt.Errorf("complete the upload %s: %w", left.Upload, err))
		}
		fmt.Fprintf(c.App.ErrWriter, "The upload of %s had ended after %d parts, %s: it is completed now, since S3 lets nobody read one before.\n",
			term.Escape(left.Initiated), left.Parts, term.Size(left.Bytes))
	}
	f, err := os.CreateTemp(filepath.Dir(c.String("output")), ".exhibit-*")
	if err != nil {
		return nil, named(err, c.String("output"))
	}
	got := &fetched{f.Name()}
	if err := errors.Join(store.Fetch(c.Context, f), f.Close()); err != nil {
		got.remove()
		return nil, storeError(err)
	}
	return got, nil
}

func chooseLeftover(c *cli.Context, store *sink.Store, address string) (sink.Leftover, error) {
	want := c.String("upload")
	for _, l := range store.Leftovers {
		if l.Upload != want && (want != "" || len(store.Leftovers) > 1) {
			continue
		}
		if l.Beyond > 0 && want == "" {
			return l, command.Failf(command.Failure, "--upload "+l.Upload+" takes what lies before the gap, and gives the rest up",
				"%d parts of %s lie behind a gap", l.Beyond, address)
		}
		return l, nil
	}
	if want != "" || len(store.Leftovers) == 0 {
		return sink.Leftover{}, command.Failf(command.Failure, "the collector named the place when it ended: compare bucket, key and endpoint", "there is no object %s and no such upload", address)
	}
	for _, l := range store.Leftovers {
		fmt.Fprintf(c.App.ErrWriter, "%s  of %s, %d parts, %s\n", term.Escape(l.Upload), term.Escape(l.Initiated), l.Parts, term.Size(l.Bytes))
	}
	return sink.Leftover{}, command.Failf(command.Usage, "choose one with --upload ID", "%d uploads of %s never ended", len(store.Leftovers), address)
}

func storeError(err error) error {
	code, hint := command.Failure, "the same bucket, endpoint and rights are needed as for collecting: --s3-endpoint, --s3-credentials, --ca"
	switch {
	case errors.Is(err, sink.ErrURL):
		code, hint = command.Usage, "give s3://BUCKET/KEY, or a file"
	case errors.Is(err, context.Canceled):
		return err
	}
	return command.Fail(code, hint, fmt.Errorf("fetch: %w", err))
}
