package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

func recoverCommand() *cli.Command {
	return &cli.Command{
		Name: "recover", Usage: "save what a cut or damaged bundle still proves into a new file", ArgsUsage: "BUNDLE", Category: catEvidence,
		Description: "Example:\n   exhibit recover host.exhibit.tar.zst.partial -o host-recovered.exhibit.tar.zst\n\nThe original is never changed.",
		Flags:       []cli.Flag{&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`"}},
		Action:      runRecover,
	}
}

func runRecover(c *cli.Context) error {
	if err := given(c, "output", "saved.exhibit.tar.zst"); err != nil {
		return err
	}
	path, err := oneArgument(c, "BUNDLE")
	if err != nil {
		return err
	}
	in, size, err := openFile(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out := c.String("output")
	if err := mustNotExist(out, "choose another name: evidence is never overwritten"); err != nil {
		return err
	}
	var rep *bundle.RecoverReport
	err = newFile(out, func(f *os.File) error {
		rep, err = bundle.Recover(c.Context, in, size, f)
		return err
	})
	switch {
	case errors.Is(err, bundle.ErrNotBundle), errors.Is(err, bundle.ErrNothing):
		return command.Fail(command.Failure, "exhibit verify "+path+" --explain says what is wrong with it", fmt.Errorf("recover %s: %w", path, err))
	case err != nil:
		return fmt.Errorf("recover %s: %w", path, err)
	}
	if c.Bool("json") {
		err = command.JSON(c.App.Writer, rep)
	} else {
		fmt.Fprintf(c.App.Writer, "%d records saved, %d of them proven by a signature; %s lost in the middle, %s of a cut member left behind\nwritten to %s (%s)\n",
			rep.Records, rep.Proven, term.Size(rep.LostSize), term.Size(rep.Left), term.Escape(out), term.Size(rep.Size))
	}
	return errors.Join(err, command.Exit(command.Partial))
}
