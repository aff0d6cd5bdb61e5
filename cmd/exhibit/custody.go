package main

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

func custodyCommand() *cli.Command {
	return &cli.Command{
		Name: "custody", Usage: "who did what to an exhibit, signed", Category: catCustody,
		Subcommands: append([]*cli.Command{
			{
				Name: "log", Usage: "show the custody log", ArgsUsage: "[EXHIBIT...]",
				Description: "Example:\n   exhibit custody log EX-001", Action: custodyLog,
			},
			{
				Name: "verify", Usage: "check signatures, links and the bundle of every exhibit", ArgsUsage: "[EXHIBIT...]",
				Description: "Example:\n   exhibit custody verify\n   exhibit custody verify EX-001 --head 3f2a…   (a hash noted on paper or in a receipt)\n\n" +
					"docs/custody.md shows the same check with sha256sum and ssh-keygen.",
				Flags: []cli.Flag{
					&cli.StringSliceFlag{Name: "head", Usage: "the log must hold the event with this `SHA-256`"},
					&cli.StringFlag{Name: "signers", Usage: "trust the keys of this allowed_signers `FILE` instead of the case's"},
				},
				Action: custodyVerify,
			},
			receiveCommand(), transferCommand(), exportLogCommand(), importLogCommand(), mergeCommand(), witnessCommand(), stampCommand(), copyCommand(),
		}, actCommands()...),
	}
}

// exhibitArgs returns the exhibits named, or all of the case.
func exhibitArgs(c *cli.Context, cs *chainofcustody.Case) ([]string, error) {
	names, err := cs.Exhibits()
	if err != nil || c.NArg() == 0 {
		return names, err
	}
	for _, arg := range c.Args().Slice() {
		found := false
		for _, n := range names {
			found = found || n == arg
		}
		if !found {
			return nil, noExhibit(cs, arg)
		}
	}
	return c.Args().Slice(), nil
}

func custodyLog(c *cli.Context) error {
	cs, err := openCase(c)
	if err != nil {
		return err
	}
	names, err := exhibitArgs(c, cs)
	if err != nil {
		return err
	}
	damaged := 0
	for _, name := range names {
		events, problems, err := cs.Log(name)
		if err != nil {
			return err
		}
		if !c.Bool("json") {
			fmt.Fprintf(c.App.Writer, "%s of case %s\n", name, term.Escape(cs.Info.ID))
		}
		for _, e := range events {
			r := verifying.RowOf(name, e, nil)
			if c.Bool("json") {
				if err := command.JSON(c.App.Writer, r); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(c.App.Writer, "  %3d  %s  %-11s %-18s %s\n", r.Number, e.Time.UTC.Format("2006-01-02 15:04:05Z"), r.Event, term.Escape(r.Actor), term.Escape(r.Sentence))
		}
		for _, p := range problems {
			fmt.Fprintf(c.App.ErrWriter, "%s: %s: %s\n", name, p.Code, term.Escape(p.Detail))
		}
		damaged += len(problems)
	}
	if damaged > 0 {
		return command.Exit(command.Integrity)
	}
	return nil
}

func custodyVerify(c *cli.Context) error {
	cs, err := openCase(c)
	if err != nil {
		return err
	}
	names, err := exhibitArgs(c, cs)
	if err != nil {
		return err
	}
	opt, err := custodyOptions(c)
	if err != nil {
		return err
	}
	worst := chainofcustody.VerdictVerified
	for _, name := range names {
		o := opt
		o.Bundle = factsOf(c, cs, name)
		rep, err := verifying.Log(cs, name, o)
		if err != nil {
			return err
		}
		worst = worst.Worse(rep.Verdict)
		if err := printCustody(c, rep); err != nil {
			return err
		}
	}
	if c.NArg() == 0 {
		missing, err := cs.MissingExhibits()
		if err != nil {
			return err
		}
		for _, name := range missing {
			fmt.Fprintf(c.App.ErrWriter, "%s: its custody log is gone: numbers are never skipped\n", name)
			worst = worst.Worse(chainofcustody.VerdictDamaged)
		}
	}
	return command.Exit(worst.ExitCode())
}

func custodyOptions(c *cli.Context) (chainofcustody.VerifyOptions, error) {
	heads, err := verifying.Heads(c.StringSlice("head"))
	opt := chainofcustody.VerifyOptions{KnownHeads: heads}
	if err != nil {
		return opt, err
	}
	if path := c.String("signers"); path != "" {
		signers, err := verifying.ReadSigners(path)
		if err != nil {
			return opt, err
		}
		opt.Signers = signers
	}
	return opt, nil
}

// factsOf identifies the bundle that lies in the case for an exhibit, nil
// where there is none that can be read. The seal of an encrypted one that no
// identity given opens stays open: its SHA-256 then speaks for it.
func factsOf(c *cli.Context, cs *chainofcustody.Case, exhibit string) *chainofcustody.BundleFacts {
	path, err := verifying.BundleOf(cs, exhibit)
	if err != nil {
		return nil
	}
	f, err := openPlainFile(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	b := &bundleFile{file: f, path: path}
	if err := b.open(c); err != nil {
		b.ReaderAt = nil
	}
	return verifying.FactsOfOpen(c.Context, f, b.outer, b.ReaderAt, b.size)
}

func printCustody(c *cli.Context, rep chainofcustody.Report) error {
	if c.Bool("json") {
		return verifying.LogJSON(c.App.Writer, rep)
	}
	verifying.PrintLog(c.App.Writer, term.NewPalette(os.Stdout), rep)
	return nil
}
