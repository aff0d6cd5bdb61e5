package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/frame"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

func verifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "say what of a bundle is proven", ArgsUsage: "EXHIBIT|BUNDLE...", Category: catEvidence,
		Description: "Example:\n   exhibit verify EX-001\n   exhibit verify host.exhibit.tar.zst --code MDP48-QJ7NK-DSMC4-9XZD5\n" +
			"   exhibit verify host.exhibit.tar.zst.age --identity age.key\n\n" +
			"EXHIBIT is a number of the case, such as EX-001; BUNDLE is the path of a file.\n" +
			"An encrypted bundle without --identity is compared with custody log and seal from outside: UNOPENED.\n" +
			"Of several bundles that continue each other it says whether one is missing.\n" +
			"Reads every byte. Inside a case the result is recorded in the exhibit's custody log.\n" +
			"docs/format/bundle.md shows the same check with zstd, tar, sha256sum, ssh-keygen and openssl.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "signers", Usage: "trust the keys of this allowed_signers `FILE` (default: the case's)"},
			&cli.StringFlag{Name: "code", Usage: "the seal `CODE` that was written on paper"},
			&cli.StringSliceFlag{Name: "held", Usage: "the bundle must go on from this `FILE`, kept elsewhere: its beginning as it was streamed, or a checkpoint"},
			&cli.BoolFlag{Name: "explain", Usage: "every layer and finding, not only the verdict"},
		},
		Action: runVerify,
	}
}

func runVerify(c *cli.Context) error {
	if c.NArg() == 0 {
		return command.Failf(command.Usage, "see: exhibit verify --help", "verify needs a bundle or an exhibit number")
	}
	cs, id, err := mayRecord(c)
	if err != nil {
		return err
	}
	var signers chainofcustody.AllowedSigners
	switch {
	case c.String("signers") != "":
		signers, err = verifying.ReadSigners(c.String("signers"))
	case cs != nil:
		signers, err = cs.Signers()
	}
	if err != nil {
		return err
	}
	code := 0
	var links []bundle.Link
	for _, arg := range c.Args().Slice() {
		one, err := verifyOne(c, cs, id, signers, arg, &links)
		if err != nil {
			if c.NArg() == 1 || c.Context.Err() != nil {
				return err
			}
			one = command.Complain(c.App.Name, err, c.App.ErrWriter) // and go on: the others have a verdict of their own
		}
		code = verifying.WorseCode(code, one)
	}
	return command.Exit(verifying.WorseCode(code, verifying.PrintChain(c.App.Writer, links, c.Bool("json"))))
}

// verifyOne verifies one argument, prints its verdict and records it.
func verifyOne(c *cli.Context, cs *chainofcustody.Case, id *chainofcustody.Identity, signers chainofcustody.AllowedSigners, arg string, links *[]bundle.Link) (code int, err error) {
	path, exhibit, err := bundlePath(cs, arg)
	if err != nil {
		return 0, err
	}
	rep, digest, err := verifyAndHash(c, path, signers, cs, exhibit, exhibit != "")
	if err != nil {
		return 0, err
	}
	rep.Sentences = append(rep.Sentences, origin(c, path, rep, signers)...)
	rep.Sentences = append(rep.Sentences, receptionWords(c, path, rep, signers)...)
	if err := printReport(c, path, rep); err != nil {
		return 0, err
	}
	*links = append(*links, verifying.Link(path, rep))
	if exhibit == "" {
		return rep.ExitCode(), nil
	}
	ev := chainofcustody.Event{
		Kind: chainofcustody.EventVerified, Tool: tool(), Seal: mustDigest(rep.SealID), OuterSHA256: digest, Size: rep.Size,
		Check: &chainofcustody.Check{Before: rep.SealID, After: rep.SealID, Result: string(rep.Verdict)},
	}
	if len(rep.Sentences) > 0 {
		ev.Note = rep.Sentences[0]
	}
	_, err = cs.Append(exhibit, ev, id)
	return rep.ExitCode(), caseError(err)
}

func mustDigest(hex string) evidence.Digest {
	d, err := evidence.ParseDigest(hex)
	if err != nil {
		return evidence.Digest{}
	}
	return d
}

// verifyFile verifies one bundle file and hashes it as it lies there. The
// custody log of the exhibit, where there is one, says who vouches for its
// seal where its own signatures leave that open, and by when it existed.
func verifyFile(c *cli.Context, path string, signers chainofcustody.AllowedSigners, cs *chainofcustody.Case, exhibit string) (*bundle.Report, evidence.Digest, error) {
	return verifyAndHash(c, path, signers, cs, exhibit, true)
}

// verifyAndHash is verifyFile, without the hash where nobody will record it.
func verifyAndHash(c *cli.Context, path string, signers chainofcustody.AllowedSigners, cs *chainofcustody.Case, exhibit string, hash bool) (*bundle.Report, evidence.Digest, error) {
	f, err := openFile(c, path)
	if errors.Is(err, errUnopened) {
		return unopened(c, path)
	}
	if err != nil {
		if rep := unreadable(err); rep != nil {
			digest, err := command.FileDigest(path)
			return rep, digest, err
		}
		return nil, evidence.Digest{}, err
	}
	defer f.Close()
	progress, err := frame.Progress(c, "verifying "+filepath.Base(path))
	if err != nil {
		return nil, evidence.Digest{}, err
	}
	defer progress.Done()
	held, err := heldNotes(c)
	if err != nil {
		return nil, evidence.Digest{}, err
	}
	rep, err := verifying.Bundle(c.Context, f, f.size, verifying.BundleOptions{
		Name: path, Signers: signers, Case: cs, Exhibit: exhibit, Code: c.String("code"),
		Progress: func(done, total, records int64) {
			progress.Set(term.Status{Bytes: done, BytesTotal: total, Items: records})
		},
		Held: held,
	})
	if err != nil {
		return nil, evidence.Digest{}, err
	}
	progress.Done()
	addEnvelope(rep, f)
	compareFolder(rep, f)
	if !hash {
		return rep, evidence.Digest{}, nil
	}
	// Of the file that was verified, not of what has its name by now.
	digest, err := command.DigestOf(c.Context, f.file, f.outer)
	return rep, digest, err
}

// heldNotes reads what --held names.
func heldNotes(c *cli.Context) ([][]byte, error) {
	var notes [][]byte
	for _, name := range c.StringSlice("held") {
		f, err := openFile(c, name)
		if err != nil {
			return nil, err
		}
		note, err := verifying.HeldNote(c.Context, name, f, f.size)
		f.Close()
		if err != nil {
			return nil, err
		}
		notes = append(notes, note)
	}
	return notes, nil
}

func printReport(c *cli.Context, path string, rep *bundle.Report) error {
	if c.Bool("json") {
		return verifying.BundleJSON(c.App.Writer, path, rep)
	}
	verifying.PrintBundle(c.App.Writer, term.NewPalette(os.Stdout), path, rep, c.Bool("explain"))
	return nil
}
