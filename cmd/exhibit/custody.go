package main

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/evidence"
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

// verifyLog verifies a log with the case's own roots of time authorities.
func verifyLog(cs *chainofcustody.Case, exhibit string, opt chainofcustody.VerifyOptions) (chainofcustody.Report, error) {
	read, err := tokenReader(cs)
	if err != nil {
		return chainofcustody.Report{}, err
	}
	opt.TokenTime = read
	return cs.VerifyCustody(exhibit, opt)
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

// eventRow is a custody event as JSON shows it.
type eventRow struct {
	Exhibit  string   `json:"exhibit"`
	Number   int      `json:"number"`
	Event    string   `json:"event"`
	Time     string   `json:"time"`
	Actor    string   `json:"actor"`
	Key      string   `json:"key"`
	Sentence string   `json:"sentence"`
	File     string   `json:"file"`
	SHA256   string   `json:"sha256"`
	Problems []string `json:"problems,omitempty"`
}

func rowOf(exhibit string, e chainofcustody.Event, problems []string) eventRow {
	return eventRow{
		exhibit, e.Number, string(e.Kind), e.Time.UTC.Format("2006-01-02T15:04:05.000000000Z"), e.Actor.ID, e.Actor.Key,
		e.Sentence(), e.File, e.Digest.String(), problems,
	}
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
			r := rowOf(name, e, nil)
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
		rep, err := verifyLog(cs, name, o)
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
	var opt chainofcustody.VerifyOptions
	for _, h := range c.StringSlice("head") {
		d, err := evidence.ParseDigest(h)
		if err != nil {
			return opt, command.Fail(command.Usage, "give the 64 digits that sha256sum prints", fmt.Errorf("--head: %w", err))
		}
		opt.KnownHeads = append(opt.KnownHeads, d)
	}
	if path := c.String("signers"); path != "" {
		signers, err := readSigners(path)
		if err != nil {
			return opt, err
		}
		opt.Signers = signers
	}
	return opt, nil
}

func readSigners(path string) (chainofcustody.AllowedSigners, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	signers, err := chainofcustody.ParseAllowedSigners(b)
	if err != nil {
		return nil, command.Fail(command.WrongKey, "see ALLOWED SIGNERS in the manual of ssh-keygen", fmt.Errorf("read %s: %w", path, err))
	}
	return signers, nil
}

// factsOf identifies the bundle that lies in the case for an exhibit, nil
// where there is none that can be read. The seal of an encrypted one that no
// identity given opens stays open: its SHA-256 then speaks for it.
func factsOf(c *cli.Context, cs *chainofcustody.Case, exhibit string) *chainofcustody.BundleFacts {
	path, err := bundleOf(cs, exhibit)
	if err != nil {
		return nil
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil
	}
	facts := &chainofcustody.BundleFacts{Size: st.Size()}
	if facts.OuterSHA256, err = command.FileDigest(path); err != nil {
		return nil
	}
	if f, r, err := openBundle(c, path); err == nil {
		facts.Seal = r.Seal().ID
		f.Close()
	} else {
		facts.Seal = lastCheckpoint(c, path)
	}
	return facts
}

// lastCheckpoint identifies a bundle that was cut short and has no seal: by
// the last checkpoint that holds. It is zero where there is none.
func lastCheckpoint(c *cli.Context, path string) evidence.Digest {
	f, err := openFile(c, path)
	if err != nil {
		return evidence.Digest{}
	}
	defer f.Close()
	rep, err := bundle.Verify(c.Context, f, f.size, bundle.VerifyOptions{})
	if err != nil {
		return evidence.Digest{}
	}
	id, err := evidence.ParseDigest(rep.SealID)
	if err != nil {
		return evidence.Digest{}
	}
	return id
}

func printCustody(c *cli.Context, rep chainofcustody.Report) error {
	if c.Bool("json") {
		type layer struct {
			Name     string   `json:"name"`
			Verdict  string   `json:"verdict"`
			Sentence string   `json:"sentence"`
			Details  []string `json:"details,omitempty"`
		}
		out := struct {
			Exhibit string     `json:"exhibit"`
			Verdict string     `json:"verdict"`
			Layers  []layer    `json:"layers"`
			Events  []eventRow `json:"events"`
			Heads   []string   `json:"heads"`
		}{Exhibit: rep.Exhibit, Verdict: string(rep.Verdict)}
		for _, l := range rep.Layers {
			out.Layers = append(out.Layers, layer{l.Name, string(l.Verdict), l.Sentence, l.Details})
		}
		for _, e := range rep.Events {
			out.Events = append(out.Events, rowOf(rep.Exhibit, e.Event, e.Problems))
		}
		for _, h := range rep.Heads {
			out.Heads = append(out.Heads, h.String())
		}
		return command.JSON(c.App.Writer, out)
	}
	pal := term.NewPalette(os.Stdout)
	fmt.Fprintf(c.App.Writer, "%s  %s  %s\n", rep.Exhibit, paintVerdict(pal, rep.Verdict), rep.Verdict.Sentence())
	for _, l := range rep.Layers {
		fmt.Fprintf(c.App.Writer, "  %-11s %s  %s\n", l.Name, paintVerdict(pal, l.Verdict), term.Escape(l.Sentence))
		for _, d := range l.Details {
			fmt.Fprintf(c.App.Writer, "              - %s\n", term.Escape(d))
		}
	}
	return nil
}

func paintVerdict(pal term.Palette, v chainofcustody.Verdict) string {
	switch v.ExitCode() {
	case command.OK:
		return pal.Good(string(v))
	case command.Partial, command.Trust:
		return pal.Warn(string(v))
	}
	return pal.Bad(string(v))
}
