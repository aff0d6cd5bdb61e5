package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/collect/sink"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// joined is what joining reports.
type joined struct {
	Bundle   string `json:"bundle"`
	Bytes    int64  `json:"bytes"`
	SHA256   string `json:"sha256"`
	Complete bool   `json:"complete"` // the sums of the whole were stated, and are right
}

// runJoin puts a bundle together of which a dead link took only the beginning, a file that is known to people as name.
func runJoin(c *cli.Context, headPath, name, tailPath string) error {
	split, err := sink.ReadSplit(tailPath)
	if err != nil {
		hint := "the file FILE" + sink.JoinSuffix + " must lie beside the fallback FILE, as the collector wrote it"
		return command.Fail(command.Failure, hint, err)
	}
	head, err := openPlainFile(headPath)
	if err != nil {
		return err
	}
	defer head.Close()
	tail, err := openPlainFile(tailPath)
	if err != nil {
		return err
	}
	defer tail.Close()
	out, err := createOut(c.String("output"), nil)
	if err != nil {
		return err
	}
	_, err = sink.Join(split, untilDone{c.Context, head}, untilDone{c.Context, tail}, out)
	if err = out.finish(err, nil); err != nil {
		if errors.Is(err, sink.ErrShortHead) || errors.Is(err, sink.ErrNotJoined) {
			return command.Fail(command.Integrity, "fetch both halves again; exhibit recover "+name+" saves what the beginning proves alone", err)
		}
		return err
	}
	j := joined{out.path, out.size, out.digest().String(), split.Complete}
	if c.Bool("json") {
		err = command.JSON(c.App.Writer, j)
	} else {
		fmt.Fprintf(c.App.Writer, "joined %s and %s\nwritten to %s (%s), SHA-256 %s\n", term.Escape(name), term.Escape(tailPath),
			term.Escape(j.Bundle), term.Size(j.Bytes), j.SHA256)
	}
	if err == nil && !split.Complete {
		fmt.Fprintf(c.App.ErrWriter, "The collection was cut short, and only the sum of the beginning is known: exhibit recover %s saves what is proven.\n", term.Escape(j.Bundle))
		return command.Exit(command.Partial)
	}
	return err
}
