package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
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
		signers, err = readSigners(c.String("signers"))
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
			one = command.Complain(c.App, err) // and go on: the others have a verdict of their own
		}
		code = worseCode(code, one)
	}
	return command.Exit(worseCode(code, printChain(c, bundle.CheckChain(links))))
}

// verifyOne verifies one argument, prints its verdict and records it.
func verifyOne(c *cli.Context, cs *chainofcustody.Case, id *chainofcustody.Identity, signers chainofcustody.AllowedSigners, arg string, links *[]bundle.Link) (code int, err error) {
	path, exhibit, err := bundlePath(cs, arg)
	if err != nil {
		return 0, err
	}
	rep, digest, err := verifyFile(c, path, signers, cs, exhibit)
	if err != nil {
		return 0, err
	}
	rep.Sentences = append(rep.Sentences, origin(c, path, rep, signers)...)
	if err := printReport(c, path, rep); err != nil {
		return 0, err
	}
	*links = append(*links, linkOf(path, rep))
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

// worseCode keeps the graver of two exit codes.
func worseCode(a, b int) int {
	order := []int{
		command.OK, command.Trust, command.Partial, command.NoCase, command.WrongKey, command.Privilege, command.Failure, command.Integrity,
	}
	for i := len(order) - 1; i >= 0; i-- {
		if a == order[i] || b == order[i] {
			return order[i]
		}
	}
	return command.Failure
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
	progress, err := command.Progress(c, "verifying "+filepath.Base(path))
	if err != nil {
		return nil, evidence.Digest{}, err
	}
	defer progress.Done()
	opt := bundle.VerifyOptions{
		Trusted: func(key ssh.PublicKey, at time.Time) (string, bool) {
			for _, namespace := range []string{chainofcustody.NamespaceCustody, chainofcustody.NamespaceSeal} {
				if who, err := signers.Lookup(key, namespace, at); err == nil {
					return who, true
				}
			}
			return "", false
		},
		TimeProof: provenTime(cs, exhibit),
		Progress: func(done, total, records int64) {
			progress.Set(term.Status{Bytes: done, BytesTotal: total, Items: records})
		},
	}
	if opt.Held, err = heldNotes(c); err != nil {
		return nil, evidence.Digest{}, err
	}
	by := vouched(cs, exhibit)
	if typed := c.String("code"); typed != "" {
		want := bundle.NormalCode(typed)
		if want == "" {
			return nil, evidence.Digest{}, command.Failf(command.Usage, "a code is 20 letters and digits, for example MDP48-QJ7NK-DSMC4-9XZD5", "%q is no seal code", typed)
		}
		by = func(s bundle.Seal) (string, bool) { return "the seal code given", s.Code() == want }
	}
	rep, err := bundle.Verify(c.Context, f, f.size, opt)
	if err == nil && rep.Verdict == bundle.SignerUnknown && by != nil {
		opt.Confirmed = by
		rep, err = bundle.Verify(c.Context, f, f.size, opt)
	}
	if err != nil {
		return nil, evidence.Digest{}, err
	}
	progress.Done()
	addEnvelope(rep, f)
	compareFolder(rep, f)
	if typed := c.String("code"); typed != "" && rep.SealCode != bundle.NormalCode(typed) {
		return nil, evidence.Digest{}, command.Failf(command.Integrity, "this is not the bundle whose code was written down, or the code was misread",
			"%s has seal code %s, not %s", path, rep.SealCode, bundle.NormalCode(typed))
	}
	digest, err := command.FileDigest(path)
	return rep, digest, err
}

// heldNotes reads what --held names: checkpoints, or the beginnings of bundles,
// of which the last checkpoint says all.
func heldNotes(c *cli.Context) ([][]byte, error) {
	var notes [][]byte
	for _, name := range c.StringSlice("held") {
		f, err := openFile(c, name)
		if err != nil {
			return nil, err
		}
		note := make([]byte, min(f.size, 512))
		if _, err = f.ReadAt(note, 0); err == nil && !bytes.HasPrefix(note, []byte(bundle.OriginPrefix)) {
			note, err = bundle.LastCheckpoint(c.Context, f, f.size)
		}
		f.Close()
		if err != nil {
			return nil, command.Failf(command.Failure, "give the beginning of the bundle as it was received, or a file of exhibit/checkpoint/", "%s: %w", name, err)
		}
		notes = append(notes, note)
	}
	return notes, nil
}

func printReport(c *cli.Context, path string, rep *bundle.Report) error {
	w := c.App.Writer
	if c.Bool("json") {
		return command.JSON(w, struct {
			Path string `json:"file"`
			*bundle.Report
		}{path, rep})
	}
	pal := term.NewPalette(os.Stdout)
	word := pal.Bad(string(rep.Verdict))
	switch rep.ExitCode() {
	case command.OK:
		word = pal.Good(string(rep.Verdict))
	case command.Partial, command.Trust:
		word = pal.Warn(string(rep.Verdict))
	}
	fmt.Fprintf(w, "%s  %s\n", word, term.Escape(path))
	for _, s := range rep.Sentences {
		fmt.Fprintf(w, "  %s\n", term.Escape(s))
	}
	if rep.SealCode != "" {
		fmt.Fprintf(w, "  seal code %s\n", rep.SealCode)
	}
	if rep.Continues != "" {
		fmt.Fprintf(w, "  continues %s\n", sealName(rep.Continues))
	}
	shown := 5
	if c.Bool("explain") {
		shown = len(rep.Findings) + len(rep.DamagedList) + len(rep.AlteredList)
		for _, l := range rep.Layers {
			fmt.Fprintf(w, "  %-12s %-8s %s\n", l.Name, l.State, term.Escape(l.Detail))
		}
	}
	left := shown
	for _, list := range [][]bundle.ItemFinding{rep.AlteredList, rep.DamagedList} {
		for _, f := range list {
			if left--; left >= 0 {
				fmt.Fprintf(w, "  - %s: %s\n", term.Escape(f.Member), term.Escape(f.Detail))
			}
		}
	}
	for _, f := range rep.Findings {
		if left--; left >= 0 {
			fmt.Fprintf(w, "  - %s: %s %s\n", f.Class, term.Escape(f.Member), term.Escape(f.Detail))
		}
	}
	if left < 0 {
		fmt.Fprintf(w, "  … %d more: --explain shows them\n", -left)
	}
	return nil
}
