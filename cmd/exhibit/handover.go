package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

func transferCommand() *cli.Command {
	return &cli.Command{
		Name: "transfer", Usage: "hand the exhibit over to somebody", ArgsUsage: "EXHIBIT",
		Description: "Example:\n   exhibit custody transfer EX-001 --to bob@firm --log EX-001.custody.tar --medium 'USB disk' --seal-bag 00417\n\n" +
			"Give the bundle and the log to the receiver, who runs: exhibit custody receive BUNDLE --log EX-001.custody.tar\n" +
			"(in the case, or in a folder made for it with: exhibit custody import EX-001.custody.tar --into DIR).\n" +
			"The receiver counter-signs your event on the same bytes; take the log back with: exhibit custody import.",
		Flags: actFlags(
			&cli.StringFlag{Name: "to", Usage: "`WHO` takes over, for example bob@firm"},
			&cli.StringFlag{Name: "to-name", Usage: "the receiver's name"},
			&cli.StringFlag{Name: "to-org", Usage: "the receiver's organisation"},
			&cli.BoolFlag{Name: "return", Usage: "it goes back to its owner"},
			&cli.StringFlag{Name: "log", Usage: "also write the log to `FILE`, for the receiver"},
		),
		Action: runTransfer,
	}
}

func runTransfer(c *cli.Context) error {
	cs, id, exhibit, err := onExhibit(c)
	if err != nil {
		return err
	}
	if err := given(c, "to", "bob@firm"); err != nil {
		return err
	}
	kind := chainofcustody.EventTransferred
	if c.Bool("return") {
		kind = chainofcustody.EventReturned
	}
	ev := actEvent(c, kind)
	ev.To = &chainofcustody.Person{ID: c.String("to"), Name: c.String("to-name"), Org: c.String("to-org")}
	sealFacts(c, cs, exhibit, &ev)
	if path := c.String("log"); path != "" {
		if _, err := os.Lstat(path); err == nil {
			return command.Failf(command.Failure, "name a file that is not there yet", "%s exists", path)
		}
	}
	if _, err := appendAct(c, cs, id, exhibit, ev); err != nil {
		return err
	}
	if path := c.String("log"); path != "" {
		return exportTo(cs, []string{exhibit}, path)
	}
	return nil
}

func importLogCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "take a portable custody log into the case, or make a case of it", ArgsUsage: "FILE.custody.tar",
		Description: "Example:\n   exhibit custody import EX-001.custody.tar                     (into this case)\n" +
			"   exhibit custody import EX-001.custody.tar --into ./case       (a new folder)\n\n" +
			"Events that are here already must be the same. Whom the sender trusts is not taken into a case that exists:\n" +
			"exhibit key trust does that. In a new case, compare the fingerprints in allowed_signers with paper.",
		Flags:  []cli.Flag{&cli.StringFlag{Name: "into", Usage: "the case `DIR` (default: the one around the current directory)"}},
		Action: runImport,
	}
}

func runImport(c *cli.Context) error {
	path, err := oneArgument(c, "FILE.custody.tar")
	if err != nil {
		return err
	}
	dir := c.String("into")
	if dir == "" {
		cs, err := openCase(c)
		if err != nil {
			return err
		}
		dir = cs.Dir()
	}
	im, err := importLog(path, dir)
	if err != nil {
		return err
	}
	worst, err := showImport(c, im)
	if err != nil {
		return err
	}
	return command.Exit(worst.ExitCode())
}

func importLog(path, dir string) (*chainofcustody.Imported, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, openError(err, path)
	}
	defer f.Close()
	im, err := chainofcustody.Import(f, dir)
	if errors.Is(err, chainofcustody.ErrPortable) {
		return nil, command.Fail(command.Failure, "give the file that exhibit custody export wrote", err)
	}
	if errors.Is(err, chainofcustody.ErrOtherCase) {
		return nil, command.Fail(command.Failure, "make a folder for that case with: exhibit custody import FILE --into DIR, and go on in it", err)
	}
	return im, caseError(err)
}

// showImport says what came in and whether it verifies.
func showImport(c *cli.Context, im *chainofcustody.Imported) (chainofcustody.Verdict, error) {
	worst := chainofcustody.VerdictVerified
	verdicts := map[string]string{}
	for _, ex := range im.Exhibits {
		rep, err := verifying.Log(im.Case, ex, chainofcustody.VerifyOptions{})
		if err != nil {
			return worst, err
		}
		worst = worst.Worse(rep.Verdict)
		verdicts[ex] = string(rep.Verdict)
	}
	if c.Bool("json") {
		return worst, command.JSON(c.App.Writer, map[string]any{
			"case": im.Case.Info.ID, "folder": im.Case.Dir(), "new": im.New, "events": im.Events, "files": im.Files, "verdicts": verdicts, "unknown_signers": im.Unknown,
		})
	}
	fmt.Fprintf(c.App.Writer, "case %s in %s: new events %d, new files %d\n", term.Escape(im.Case.Info.ID), term.Escape(im.Case.Dir()), im.Events, im.Files)
	for _, ex := range im.Exhibits {
		fmt.Fprintf(c.App.Writer, "  %s  %s\n", ex, verdicts[ex])
	}
	for _, u := range im.Unknown {
		fmt.Fprintf(c.App.ErrWriter, "not known here: %s (exhibit key trust, after comparing the fingerprint)\n", term.Escape(u))
	}
	if im.New {
		fmt.Fprintln(c.App.ErrWriter, "The list of signers came with the log: compare the fingerprints in allowed_signers with paper.")
	}
	return worst, nil
}

// mergeCommand joins branches of a log.
func mergeCommand() *cli.Command {
	return &cli.Command{
		Name: "merge", Usage: "join the branches of a log that went two ways", ArgsUsage: "EXHIBIT",
		Description: "Example:\n   exhibit custody import back-from-bob.custody.tar\n   exhibit custody merge EX-001\n\n" +
			"Verifies the log and signs one event that names the end of every branch.",
		Flags: actFlags(),
		Action: func(c *cli.Context) error {
			cs, id, exhibit, err := onExhibit(c)
			if err != nil {
				return err
			}
			rep, err := verifying.Log(cs, exhibit, chainofcustody.VerifyOptions{})
			if err != nil {
				return err
			}
			if len(rep.Heads) < 2 {
				return command.Failf(command.Failure, "nothing to do; first: exhibit custody import FILE", "the log of %s has no open branches", exhibit)
			}
			ev := actEvent(c, chainofcustody.EventVerified)
			ev.Check = &chainofcustody.Check{Result: string(rep.Verdict)}
			text := fmt.Sprintf("joins %d branches of the log", len(rep.Heads))
			ev.Note = strings.Trim(text+"; "+ev.Note, "; ")
			sealFacts(c, cs, exhibit, &ev)
			if _, err = appendAct(c, cs, id, exhibit, ev); err != nil {
				return err
			}
			return command.Exit(rep.Verdict.ExitCode())
		},
	}
}

// witnessCommand has somebody else sign the end of a log.
func witnessCommand() *cli.Command {
	return &cli.Command{
		Name: "witness", Usage: "sign the end of the log as somebody who saw it", ArgsUsage: "EXHIBIT",
		Description: "Example:\n   exhibit --key ~/.ssh/carol --id carol@notary custody witness EX-001\n\n" +
			"Counter-signs the last event on the same bytes, and records that. What you signed cannot be cut off unseen:\n" +
			"keep the SHA-256 it prints.",
		Flags: actFlags(),
		Action: func(c *cli.Context) error {
			cs, id, exhibit, err := onExhibit(c)
			if err != nil {
				return err
			}
			rep, err := verifying.Log(cs, exhibit, chainofcustody.VerifyOptions{})
			if err != nil {
				return err
			}
			ev := actEvent(c, chainofcustody.EventWitnessed)
			for _, e := range rep.Events {
				if slices.Contains(rep.Heads, e.Digest) && e.Actor.ID != id.ID {
					if err := cs.Countersign(exhibit, e.Digest, id); err != nil {
						return caseError(err)
					}
					ev.Refs = append(ev.Refs, e.Digest.String())
				}
			}
			if len(ev.Refs) == 0 {
				return command.Failf(command.Failure, "a witness is somebody else: --id and --key", "the last event of %s is your own", exhibit)
			}
			ev.Check = &chainofcustody.Check{Result: string(rep.Verdict)}
			_, err = appendAct(c, cs, id, exhibit, ev)
			return err
		},
	}
}

// acceptTransfer finds the hand-over that a log says is under way to a person.
func acceptTransfer(cs *chainofcustody.Case, exhibits []string, who string) (exhibit string, given *chainofcustody.Event, err error) {
	for _, ex := range exhibits {
		rep, err := verifying.Log(cs, ex, chainofcustody.VerifyOptions{})
		if err != nil {
			return "", nil, err
		}
		for i := range rep.Events {
			e := &rep.Events[i]
			handed := e.Kind == chainofcustody.EventTransferred || e.Kind == chainofcustody.EventReturned
			if handed && slices.Contains(rep.Heads, e.Digest) && e.To != nil && e.To.ID == who {
				return ex, &e.Event, nil
			}
		}
	}
	return "", nil, command.Failf(command.Failure, "ask the giver for: exhibit custody transfer EXHIBIT --to "+who+" --log FILE", "the log hands nothing over to %s", who)
}

// receiveTransfer takes a bundle over by the log that came with it: the
// giver's event is counter-signed on the same bytes, and the receipt follows.
func receiveTransfer(c *cli.Context, cs *chainofcustody.Case, id *chainofcustody.Identity, from string) error {
	im, err := importLog(c.String("log"), cs.Dir())
	if err != nil {
		return err
	}
	for _, u := range im.Unknown {
		fmt.Fprintf(c.App.ErrWriter, "not known here: %s (exhibit key trust, after comparing the fingerprint)\n", term.Escape(u))
	}
	exhibit, given, err := acceptTransfer(cs, im.Exhibits, id.ID)
	if err != nil {
		return err
	}
	signers, err := cs.Signers()
	if err != nil {
		return err
	}
	rep, digest, err := verifyFile(c, from, signers, cs, exhibit)
	if err != nil {
		return err
	}
	ev := chainofcustody.Event{
		Kind: chainofcustody.EventReceived, Tool: tool(), Seal: mustDigest(rep.SealID), OuterSHA256: digest, Size: rep.Size,
		Check: &chainofcustody.Check{Before: given.Seal.String(), After: rep.SealID, Result: string(rep.Verdict)},
		Note:  receiptNote(c, rep), To: &chainofcustody.Person{ID: given.Actor.ID, Name: given.Actor.Name, Org: given.Actor.Org},
	}
	if ev.Seal != given.Seal || digest != given.OuterSHA256 {
		ev.Kind, ev.Note = chainofcustody.EventRefused, "what came is not what the log hands over"
		if _, err := cs.Append(exhibit, ev, id); err != nil {
			return caseError(err)
		}
		return command.Failf(command.Integrity, "tell "+given.Actor.ID+"; the refusal is in the log", "%s is not the bundle that the log hands over", filepath.Base(from))
	}
	path, err := takeCopy(c.Context, cs, exhibit, from, digest)
	if err != nil {
		return err
	}
	ev.Attach = []chainofcustody.Attachment{{Name: filepath.Base(path), SHA256: digest}}
	if err := cs.Countersign(exhibit, given.Digest, id); err != nil {
		return caseError(err)
	}
	if _, err := appendAct(c, cs, id, exhibit, ev); err != nil {
		return err
	}
	fmt.Fprintf(c.App.ErrWriter, "Give the log back: exhibit custody export %s -o %s.custody.tar\n", exhibit, exhibit)
	if rep.Verdict == "VERIFIED" || rep.ExitCode() == command.Trust {
		return nil
	}
	return command.Exit(rep.ExitCode())
}
