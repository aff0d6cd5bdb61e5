package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// actFlags describe an act on an exhibit; every custody command that records
// one has them.
func actFlags(more ...cli.Flag) []cli.Flag {
	return append(more,
		&cli.StringFlag{Name: "place", Usage: "where"},
		&cli.StringFlag{Name: "purpose", Usage: "why"},
		&cli.StringFlag{Name: "authority", Usage: "by what right: warrant, order, policy"},
		&cli.StringFlag{Name: "note", Usage: "anything else worth recording"},
		&cli.StringFlag{Name: "medium", Usage: "what it lies on: `TYPE`, for example USB stick"},
		&cli.StringFlag{Name: "medium-make", Usage: "its make"},
		&cli.StringFlag{Name: "medium-model", Usage: "its model"},
		&cli.StringFlag{Name: "medium-serial", Usage: "its serial number"},
		&cli.StringFlag{Name: "seal-bag", Usage: "`NUMBER` of the evidence bag"},
	)
}

// actEvent fills an event from those flags.
func actEvent(c *cli.Context, kind chainofcustody.EventKind) chainofcustody.Event {
	ev := chainofcustody.Event{
		Kind: kind, Tool: tool(), Place: c.String("place"), Purpose: c.String("purpose"), Authority: c.String("authority"), Note: c.String("note"),
	}
	m := chainofcustody.Medium{
		Type: c.String("medium"), Make: c.String("medium-make"), Model: c.String("medium-model"), Serial: c.String("medium-serial"), SealBag: c.String("seal-bag"),
	}
	if m != (chainofcustody.Medium{}) {
		ev.Medium = &m
	}
	return ev
}

// onExhibit opens case, identity and the one exhibit that an act is about.
func onExhibit(c *cli.Context) (*chainofcustody.Case, *chainofcustody.Identity, string, error) {
	exhibit, err := oneArgument(c, "EXHIBIT")
	if err != nil {
		return nil, nil, "", err
	}
	cs, err := openCase(c)
	if err != nil {
		return nil, nil, "", err
	}
	names, err := cs.Exhibits()
	if err != nil {
		return nil, nil, "", err
	}
	if !slices.Contains(names, exhibit) {
		return nil, nil, "", command.Failf(command.NoCase, "exhibit case show lists the exhibits", "no exhibit %q in this case", exhibit)
	}
	id, err := signerFor(c, cs)
	return cs, id, exhibit, err
}

// sealFacts states the bundle that lies in the case, where there is one.
func sealFacts(c *cli.Context, cs *chainofcustody.Case, exhibit string, ev *chainofcustody.Event) {
	if facts := factsOf(c, cs, exhibit); facts != nil {
		ev.Seal, ev.OuterSHA256, ev.Size = facts.Seal, facts.OuterSHA256, facts.Size
	}
}

// appendAct writes an event and shows it.
func appendAct(c *cli.Context, cs *chainofcustody.Case, id *chainofcustody.Identity, exhibit string, ev chainofcustody.Event) (chainofcustody.Event, error) {
	ev, err := cs.Append(exhibit, ev, id)
	if err != nil {
		return ev, caseError(err)
	}
	r := verifying.RowOf(exhibit, ev, nil)
	if c.Bool("json") {
		return ev, command.JSON(c.App.Writer, r)
	}
	fmt.Fprintf(c.App.Writer, "%s  %s\n  event    %s\n  SHA-256  %s\n", exhibit, term.Escape(r.Sentence), term.Escape(r.File), r.SHA256)
	return ev, nil
}

// act is a command that records one event on one exhibit.
func act(name, usage, example string, kind chainofcustody.EventKind, fill func(*cli.Context, *chainofcustody.Case, string, *chainofcustody.Event) error, more ...cli.Flag) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: "EXHIBIT", Description: "Example:\n   exhibit custody " + name + " " + example,
		Flags: actFlags(more...),
		Action: func(c *cli.Context) error {
			cs, id, exhibit, err := onExhibit(c)
			if err != nil {
				return err
			}
			ev := actEvent(c, kind)
			if fill != nil {
				if err := fill(c, cs, exhibit, &ev); err != nil {
					return err
				}
			}
			_, err = appendAct(c, cs, id, exhibit, ev)
			return err
		},
	}
}

// given refuses a command that lacks a flag.
func given(c *cli.Context, flag, example string) error {
	if c.String(flag) == "" {
		return command.Failf(command.Usage, "for example: --"+flag+" "+example, "%s needs --%s", commandPath(c), flag)
	}
	return nil
}

// needs refuses an act that lacks what makes it worth anything.
func needs(flag, why string) func(*cli.Context, *chainofcustody.Case, string, *chainofcustody.Event) error {
	return func(c *cli.Context, _ *chainofcustody.Case, _ string, _ *chainofcustody.Event) error {
		return given(c, flag, strconv.Quote(why))
	}
}

func actCommands() []*cli.Command {
	return []*cli.Command{
		act("arrive", "record that you came to the scene", "EX-003 --place 'Rack 4, Bonn' --note 'machine running, screen locked'", chainofcustody.EventArrived, nil),
		act("store", "record where the exhibit is kept", "EX-001 --place 'safe 2, shelf C' --medium 'USB disk' --medium-serial WX123 --seal-bag 00417",
			chainofcustody.EventStored, func(c *cli.Context, cs *chainofcustody.Case, exhibit string, ev *chainofcustody.Event) error {
				sealFacts(c, cs, exhibit, ev)
				return needs("place", "safe 2, shelf C")(c, cs, exhibit, ev)
			}),
		act("refuse", "record that you did not take the exhibit over", "EX-001 --note 'evidence bag was open'", chainofcustody.EventRefused, needs("note", "evidence bag was open")),
		act("except", "record that something did not go as it should", "EX-001 --note 'lift broke down with the courier in it'",
			chainofcustody.EventException, needs("note", "power failed during the copy")),
		act("note", "record a remark in the log", "EX-001 --note 'owner telephoned'", chainofcustody.EventNoted, needs("note", "owner telephoned")),
		act("correct", "answer an earlier event that said something wrong", "EX-001 --event 4 --note 'the bag number is 00417'",
			chainofcustody.EventCorrected, fillCorrection, &cli.StringFlag{Name: "event", Usage: "number or SHA-256 of the event that is wrong"}),
		act("close", "end the log: nothing more is to happen to the exhibit", "EX-001 --note 'case settled'", chainofcustody.EventClosed, nil),
		act("destroy", "record that the exhibit was destroyed", "EX-001 --authority 'order of 3 May' --note 'disk shredded, 6 mm' --witness 'C. Example'",
			chainofcustody.EventDestroyed, fillDestruction, &cli.StringFlag{Name: "witness", Usage: "`WHO` saw it"}),
	}
}

func fillCorrection(c *cli.Context, cs *chainofcustody.Case, exhibit string, ev *chainofcustody.Event) error {
	if err := needs("note", "the bag number is 00417")(c, cs, exhibit, ev); err != nil {
		return err
	}
	wrong, err := eventNamed(cs, exhibit, c.String("event"))
	if err != nil {
		return err
	}
	ev.Refs = []string{wrong.Digest.String()}
	return nil
}

func fillDestruction(c *cli.Context, cs *chainofcustody.Case, exhibit string, ev *chainofcustody.Event) error {
	for _, n := range []struct{ flag, example string }{{"authority", "court order of 3 May"}, {"note", "disk shredded, 6 mm"}} {
		if err := needs(n.flag, n.example)(c, cs, exhibit, ev); err != nil {
			return err
		}
	}
	if who := c.String("witness"); who != "" {
		ev.Note += "; witnessed by " + who
	}
	sealFacts(c, cs, exhibit, ev)
	return nil
}

// eventNamed finds an event by its number or the beginning of its SHA-256.
func eventNamed(cs *chainofcustody.Case, exhibit, which string) (chainofcustody.Event, error) {
	events, _, err := cs.Log(exhibit)
	if err != nil {
		return chainofcustody.Event{}, err
	}
	var found []chainofcustody.Event
	for _, e := range events {
		if which != "" && (strconv.Itoa(e.Number) == which || len(which) >= 8 && strings.HasPrefix(e.Digest.String(), which)) {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		return chainofcustody.Event{}, command.Failf(command.Usage, "exhibit custody log "+exhibit+" shows the numbers; where branches share one, give the SHA-256",
			"--event %q names %d events of %s", which, len(found), exhibit)
	}
	return found[0], nil
}

// copyCommand makes a working copy and records it.
func copyCommand() *cli.Command {
	return &cli.Command{
		Name: "copy", Usage: "make a working copy of the bundle, compared byte for byte", ArgsUsage: "EXHIBIT",
		Description: "Example:\n   exhibit custody copy EX-001 --to /mnt/work",
		Flags:       actFlags(&cli.StringFlag{Name: "to", Usage: "into this existing `FOLDER`"}),
		Action: func(c *cli.Context) error {
			cs, id, exhibit, err := onExhibit(c)
			if err != nil {
				return err
			}
			if err := given(c, "to", "/mnt/work"); err != nil {
				return err
			}
			path, err := verifying.BundleOf(cs, exhibit)
			if err != nil {
				return err
			}
			want, err := command.FileDigest(path)
			if err != nil {
				return err
			}
			to := filepath.Join(c.String("to"), filepath.Base(path))
			if err := copyBundle(c.Context, path, to, want); err != nil {
				return err
			}
			ev := actEvent(c, chainofcustody.EventCopied)
			sealFacts(c, cs, exhibit, &ev)
			ev.Check = &chainofcustody.Check{Before: want.String(), After: want.String(), Result: "the copy has the same SHA-256"}
			ev.Attach = []chainofcustody.Attachment{{Name: filepath.Base(to), SHA256: want}}
			_, err = appendAct(c, cs, id, exhibit, ev)
			return err
		},
	}
}

// copyBundle copies a bundle and reads the copy back.
func copyBundle(ctx context.Context, from, to string, want evidence.Digest) error {
	if err := copyChecked(ctx, from, to, want); err != nil {
		return err
	}
	got, err := command.FileDigest(to)
	if err != nil {
		return err
	}
	if got != want {
		return command.Failf(command.Integrity, "the medium does not give back what was written: use another one", "%s reads back differently", to)
	}
	return nil
}
