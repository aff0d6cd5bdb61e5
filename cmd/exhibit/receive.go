package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

func receiveCommand() *cli.Command {
	return &cli.Command{
		Name: "receive", Usage: "take a bundle that was collected elsewhere into the case", ArgsUsage: "BUNDLE",
		Description: "Example:\n   exhibit custody receive /media/usb/host.exhibit.tar.zst --code MDP48-QJ7NK-DSMC4-9XZD5\n\n" +
			"Copies the bundle, verifies the copy, and signs its receipt: from then on your signature vouches for its\n" +
			"seal. With --log you take over what another examiner hands to you, and counter-sign the giver's event.\n" +
			"Give the code from the paper form; without it, only what arrived is vouched for, not what was sealed.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "code", Usage: "the seal `CODE` that was written on paper"},
			&cli.StringFlag{Name: "log", Usage: "the custody log `FILE` that came with it: the hand-over in it is counter-signed"},
			&cli.StringFlag{Name: "from", Usage: "`WHO` handed it over"},
			&cli.StringFlag{Name: "note", Usage: "anything else worth recording"},
		},
		Action: runReceive,
	}
}

func runReceive(c *cli.Context) error {
	from, err := oneArgument(c, "BUNDLE")
	if err != nil {
		return err
	}
	cs, err := openCase(c)
	if err != nil {
		return err
	}
	id, err := signerFor(c, cs)
	if err != nil {
		return err
	}
	if c.String("log") != "" {
		return receiveTransfer(c, cs, id, from)
	}
	t, err := takeIn(c, cs, id, from, "")
	if err != nil {
		return err
	}
	err = t.print(c)
	if err == nil && c.String("code") == "" && !c.Bool("json") {
		fmt.Fprintln(c.App.ErrWriter, "No seal code was given: compare the one above with the paper form.")
	}
	if t.cut() {
		hintRecovery(c, t.exhibit, t.path)
	}
	switch {
	case err != nil:
		return err
	case t.rep.Verdict == bundle.Unopened:
		return nil // who keeps a bundle need not be able to read it
	case t.rep.Verdict != bundle.SignerUnknown:
		return command.Exit(t.rep.ExitCode())
	case t.rep.Prefix || !t.rep.Sealed:
		return command.Exit(command.Partial)
	}
	return nil // an unknown signer is what a receipt is for
}

// taken is a bundle that was taken into the case and signed for.
type taken struct {
	exhibit, path string
	rep           *bundle.Report
	digest        evidence.Digest
	event         chainofcustody.Event
}

func (t *taken) cut() bool {
	return t.rep.Verdict != bundle.Unopened && (t.rep.Prefix || !t.rep.Sealed)
}

func (t *taken) print(c *cli.Context) error {
	if c.Bool("json") {
		return command.JSON(c.App.Writer, map[string]string{
			"exhibit": t.exhibit, "bundle": t.path, "seal": t.rep.SealID, "seal_code": t.rep.SealCode, "verdict": string(t.rep.Verdict), "sha256": t.digest.String(),
		})
	}
	_, err := fmt.Fprintf(c.App.Writer, "%s received: %s\n  verdict on arrival  %s\n  seal code           %s\n",
		t.exhibit, term.Escape(t.path), t.rep.Verdict, t.rep.SealCode)
	return err
}

// takeIn verifies a bundle, copies it into the case, and signs its receipt.
func takeIn(c *cli.Context, cs *chainofcustody.Case, id *chainofcustody.Identity, from, note string) (*taken, error) {
	signers, err := cs.Signers()
	if err != nil {
		return nil, err
	}
	// First where it lies: what does not verify is not taken in as if it did.
	rep, digest, err := verifyFile(c, from, signers, nil, "")
	if err != nil {
		return nil, err
	}
	if rep.Verdict == bundle.Unreadable {
		return nil, command.Failf(command.Failure, "exhibit verify "+from+" --explain says what is wrong with it", "%s is no readable bundle", from)
	}
	exhibit, refs, err := numberFor(c, cs, from, rep)
	if err != nil {
		return nil, err
	}
	path, err := takeCopy(c.Context, cs, exhibit, from, digest)
	if err != nil {
		// The number was taken for nothing, if nobody has used it meanwhile.
		_ = os.Remove(cs.Path(chainofcustody.ExhibitsDir, exhibit)) //nolint:errcheck // not empty: not ours to remove
		_ = os.Remove(cs.Path(chainofcustody.CustodyDir, exhibit))  //nolint:errcheck // as above
		return nil, err
	}
	ev := chainofcustody.Event{
		Kind: chainofcustody.EventReceived, Tool: tool(), Seal: mustDigest(rep.SealID), OuterSHA256: digest, Size: rep.Size,
		Check:  &chainofcustody.Check{After: rep.SealID, Result: string(rep.Verdict)},
		Note:   receiptNote(c, rep),
		Refs:   refs,
		Attach: []chainofcustody.Attachment{{Name: filepath.Base(path), SHA256: digest}},
	}
	if note != "" {
		ev.Note += "; " + note
	}
	if ev, err = cs.Append(exhibit, ev, id); err != nil {
		return nil, caseError(err)
	}
	return &taken{exhibit, path, rep, digest, ev}, nil
}

// hintRecovery says what to do with a bundle that was cut short: nothing can
// read it before it was recovered.
func hintRecovery(c *cli.Context, exhibit, path string) {
	f, _, err := openBundle(c, path)
	if err == nil {
		f.Close()
		return
	}
	fmt.Fprintf(c.App.ErrWriter, "%s was cut short. To analyse it: exhibit recover %s -o NEW, then receive NEW.\n", exhibit, term.Escape(path))
}

// numberFor returns the exhibit number of a bundle that arrives: that of the
// order it was collected under, if this case issued it, or the next one.
func numberFor(c *cli.Context, cs *chainofcustody.Case, path string, rep *bundle.Report) (string, []string, error) {
	f, r, err := openBundle(c, path)
	if err == nil {
		defer f.Close()
		h := r.Header()
		if h.Order != "" && h.Case == cs.Info.ID && rep.Order != "" {
			return h.Exhibit, []string{h.Order}, orderUnused(cs, h.Exhibit, h.Order)
		}
	}
	exhibit, err := cs.NextExhibit()
	return exhibit, nil, caseError(err)
}

func receiptNote(c *cli.Context, rep *bundle.Report) string {
	note := "seal code " + rep.SealCode
	if rep.SealCode == "" {
		note = "no seal code: the bundle is encrypted, was not opened, and no seal lies beside it"
	} else if c.String("code") != "" {
		note += ", equal to the code written at the scene"
	} else {
		note += ", not compared with a code from the scene"
	}
	if who := c.String("from"); who != "" {
		note += "; handed over by " + term.Escape(who)
	}
	if extra := c.String("note"); extra != "" {
		note += "; " + term.Escape(extra) // an event is UTF-8, and people read it
	}
	return note
}

// takeCopy copies the bundle into the case and compares what arrived.
func takeCopy(ctx context.Context, cs *chainofcustody.Case, exhibit, from string, want evidence.Digest) (string, error) {
	dir := cs.Path(chainofcustody.ExhibitsDir, exhibit)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(dir, strings.TrimSuffix(filepath.Base(from), gathering.Unfinished))
	if err := copyChecked(ctx, from, path, want); err != nil {
		return "", err
	}
	return path, takeSealFolder(from, path)
}

// copyChecked copies a file into a new one and compares what passed with its
// digest.
func copyChecked(ctx context.Context, from, to string, want evidence.Digest) error {
	in, err := openPlainFile(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return newFile(to, func(out *os.File) error {
		h := evidence.NewHash()
		if _, err := io.Copy(io.MultiWriter(out, h), untilDone{ctx, in}); err != nil {
			return fmt.Errorf("copy %s: %w", from, err)
		}
		if evidence.DigestOf(h) != want {
			return command.Failf(command.Integrity, "copy it again from a medium that reads the same twice", "%s changed while it was copied", from)
		}
		return out.Chmod(0o400)
	})
}

// untilDone reads until its context ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(b []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(b)
}

// takeSealFolder copies the seal that lies beside an encrypted bundle. It has
// been verified; a folder that is none is left behind.
func takeSealFolder(from, to string) error {
	root, err := os.OpenRoot(from + bundle.SealFolder)
	if err != nil {
		return nil //nolint:nilerr // most bundles have none
	}
	defer root.Close()
	s, key, err := bundle.ReadSealFolder(root.FS())
	if err != nil {
		return nil //nolint:nilerr // the verification has said so
	}
	files, err := bundle.SealFiles(s, key)
	if err != nil {
		return err
	}
	return gathering.WriteSealFolder(to, files)
}
