package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/chainofcustody/timestamp"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// verifier goes through the arguments of one call.
type verifier struct {
	options
	stdout, stderr io.Writer
	signers        chainofcustody.AllowedSigners // nil: those that come with a log
	authorities    []*x509.Certificate
	log            chainofcustody.VerifyOptions
	notes          [][]byte                               // checkpoints that were kept elsewhere
	facts          map[string]*chainofcustody.BundleFacts // of bundles verified, by path
	links          []bundle.Link                          // what bundles say of those before them, in the order given
	temp           []string                               // folders to remove
	code           int
}

// trust reads what the caller brought to compare with.
func (v *verifier) trust(ctx context.Context) (err error) {
	if v.options.signers != "" {
		if v.signers, err = verifying.ReadSigners(v.options.signers); err != nil {
			return err
		}
	}
	for _, path := range v.roots {
		more, err := verifying.ReadRoots(path)
		if err != nil {
			return err
		}
		v.authorities = append(v.authorities, more...)
	}
	for _, path := range v.held {
		note, err := heldNote(ctx, path)
		if err != nil {
			return err
		}
		v.notes = append(v.notes, note)
	}
	v.log.Signers = v.signers
	if len(v.authorities) > 0 {
		v.log.TokenTime = verifying.TokenTime(v.authorities)
	}
	v.log.KnownHeads, err = verifying.Heads(v.heads)
	return err
}

// heldNote reads a checkpoint, or the beginning of a bundle, from a file.
func heldNote(ctx context.Context, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	head := make([]byte, 512)
	if n, _ := f.ReadAt(head, 0); verifying.Encrypted(head[:n]) {
		return nil, encrypted(path)
	}
	return verifying.HeldNote(ctx, path, f, st.Size())
}

func (v *verifier) run(ctx context.Context) error {
	var subjects []subject
	for _, path := range v.files {
		s, err := v.recognise(path)
		if err != nil {
			if errors.Is(err, errEncrypted) {
				v.links = append(v.links, bundle.Link{Name: path, Unknown: true})
			}
			if err = v.complain(ctx, err); err != nil {
				return err
			}
			continue // the others have a verdict of their own
		}
		subjects = append(subjects, s)
	}
	if err := v.applicable(subjects); err != nil {
		return err
	}
	pair(subjects)
	for _, s := range subjects {
		if err := v.subject(ctx, s); err != nil {
			if err = v.complain(ctx, err); err != nil {
				return err
			}
		}
	}
	v.worse(verifying.PrintChain(v.stdout, v.links, v.json))
	return command.Exit(v.code)
}

// complain prints an error and goes on, unless it is all there is to say.
func (v *verifier) complain(ctx context.Context, err error) error {
	if len(v.files) == 1 || ctx.Err() != nil {
		return err
	}
	v.worse(command.Complain(program, err, v.stderr))
	return nil
}

func (v *verifier) worse(code int) { v.code = verifying.WorseCode(v.code, code) }

// applicable refuses a comparison that was asked for and would not take place:
// who gave a code must not read VERIFIED of something that has none.
func (v *verifier) applicable(subjects []subject) error {
	var bundles, logs int
	for _, s := range subjects {
		logs += len(s.exhibits)
		if s.bundle != "" {
			bundles++
		}
		for _, exhibit := range s.exhibits {
			if s.whole && bundleIn(s.cs, exhibit) != "" {
				bundles++
			}
		}
	}
	switch {
	case len(subjects) == 0:
	case v.options.code != "" && bundles == 0:
		return command.Failf(command.Usage, "give the bundle, too", "--code is compared with a bundle, and none is given")
	case len(v.notes) > 0 && bundles == 0:
		return command.Failf(command.Usage, "give the bundle, too", "--held is compared with a bundle, and none is given")
	case len(v.heads) > 0 && logs == 0:
		return command.Failf(command.Usage, "give the log, too", "--head is looked for in a custody log, and none is given")
	}
	return nil
}

// pair joins the one bundle and the one log that are given together.
func pair(subjects []subject) {
	if len(subjects) != 2 {
		return
	}
	a, b := &subjects[0], &subjects[1]
	if a.bundle == "" {
		a, b = b, a
	}
	if a.bundle != "" && b.cs != nil && len(b.exhibits) == 1 {
		a.cs, a.exhibits, b.bundle = b.cs, b.exhibits, a.bundle
		subjects[0], subjects[1] = *a, *b // the log is compared with what was verified
	}
}

func (v *verifier) subject(ctx context.Context, s subject) error {
	switch {
	case s.token:
		return v.token(s.path)
	case s.path == s.bundle:
		exhibit := ""
		if len(s.exhibits) == 1 {
			exhibit = s.exhibits[0]
		}
		return v.bundle(ctx, s.bundle, s.cs, exhibit)
	}
	if v.signers == nil && !v.silent {
		fmt.Fprintf(v.stderr, "%s: whose keys are known is what its own allowed_signers says: compare the fingerprints with paper, or give --signers\n", term.Escape(s.path))
	}
	for _, exhibit := range s.exhibits {
		if err := v.exhibit(ctx, s, exhibit); err != nil {
			return err
		}
	}
	if !s.whole {
		return nil
	}
	missing, err := s.cs.MissingExhibits()
	for _, name := range missing {
		fmt.Fprintf(v.stderr, "%s: its custody log is gone: numbers are never skipped\n", name)
		v.worse(command.Integrity)
	}
	return err
}

// exhibit verifies a log, and the bundle that lies in the same case folder.
func (v *verifier) exhibit(ctx context.Context, s subject, exhibit string) error {
	opt := v.log
	path := s.bundle
	if path == "" {
		path = bundleIn(s.cs, exhibit)
	}
	if s.whole && s.bundle == "" && path != "" {
		err := v.bundle(ctx, path, s.cs, exhibit)
		switch {
		case errors.Is(err, errEncrypted):
			v.links = append(v.links, bundle.Link{Name: path, Unknown: true})
			v.worse(command.Complain(program, err, v.stderr)) // and go on: the log speaks of the file as it lies there
		case err != nil:
			return err
		}
	}
	if opt.Bundle = v.facts[path]; opt.Bundle == nil && path != "" {
		opt.Bundle = verifying.FactsOf(ctx, path)
	}
	rep, err := verifying.Log(s.cs, exhibit, opt)
	if err != nil {
		return err
	}
	v.worse(rep.Verdict.ExitCode())
	if v.json {
		return verifying.LogJSON(v.stdout, rep)
	}
	verifying.PrintLog(v.stdout, term.NewPalette(os.Stdout), rep)
	if v.explain {
		for _, e := range rep.Events {
			fmt.Fprintf(v.stdout, "  %3d  %s  %s\n", e.Number, e.Time.UTC.Format("2006-01-02 15:04:05Z"), term.Escape(e.Sentence()))
		}
	}
	return nil
}

// bundle verifies one bundle; the log of its exhibit may vouch for it.
func (v *verifier) bundle(ctx context.Context, path string, cs *chainofcustody.Case, exhibit string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	head := make([]byte, 512)
	if n, _ := f.ReadAt(head, 0); verifying.Encrypted(head[:n]) {
		return encrypted(path)
	}
	signers := v.signers
	if signers == nil && cs != nil {
		if signers, err = cs.Signers(); err != nil {
			return err
		}
	}
	mode := term.Auto
	if v.silent {
		mode = term.None
	}
	progress := term.NewProgress(os.Stderr, mode, "verifying "+filepath.Base(path))
	defer progress.Done()
	rep, err := verifying.Bundle(ctx, f, st.Size(), verifying.BundleOptions{
		Name: path, Signers: signers, Case: cs, Exhibit: exhibit, TokenTime: v.log.TokenTime, Code: v.options.code, Held: v.notes,
		Progress: func(done, total, records int64) {
			progress.Set(term.Status{Bytes: done, BytesTotal: total, Items: records})
		},
	})
	if err != nil {
		return err
	}
	progress.Done()
	v.worse(rep.ExitCode())
	v.links = append(v.links, verifying.Link(path, rep))
	if exhibit != "" {
		// The log must speak of the file that was verified, not of what has
		// its name when the log is read.
		facts := &chainofcustody.BundleFacts{Size: st.Size(), Seal: digestOf(rep.SealID)}
		if facts.OuterSHA256, err = command.DigestOf(ctx, f, st.Size()); err != nil {
			return err
		}
		v.facts[path] = facts
	}
	if v.json {
		return verifying.BundleJSON(v.stdout, path, rep)
	}
	verifying.PrintBundle(v.stdout, term.NewPalette(os.Stdout), path, rep, v.explain)
	return nil
}

// digestOf reads a digest that a report states, zero where it states none.
func digestOf(hex string) evidence.Digest {
	d, err := evidence.ParseDigest(hex)
	if err != nil {
		return evidence.Digest{}
	}
	return d
}

// stampReport is what is said of a time stamp.
type stampReport struct {
	Path      string                 `json:"file"`
	Event     string                 `json:"event"`
	SHA256    string                 `json:"sha256"` // of the event
	Verdict   chainofcustody.Verdict `json:"verdict"`
	Sentence  string                 `json:"sentence"`
	Time      time.Time              `json:"time,omitzero"` // the event existed by then
	Authority string                 `json:"authority,omitempty"`
	Until     time.Time              `json:"until,omitzero"` // end of its certificate
}

// token verifies one time stamp over the event beside it.
func (v *verifier) token(path string) error {
	event, err := eventBeside(path)
	if err != nil {
		return err
	}
	data, err := readSmall(event, chainofcustody.MaxEventSize)
	if err != nil {
		return err
	}
	token, err := readSmall(path, maxToken)
	if err != nil {
		return err
	}
	roots := v.authorities
	if len(roots) == 0 {
		cs, err := rootsBeside(path)
		if err != nil {
			return err
		}
		if cs != nil {
			if roots, err = verifying.Roots(cs); err != nil {
				return err
			}
		}
		if len(roots) > 0 && !v.silent {
			fmt.Fprintf(v.stderr, "%s: which authorities are trusted is what its case's own %s says: give --tsa-root to decide it yourself\n", term.Escape(path), chainofcustody.RootsDir)
		}
	}
	r := judge(path, event, roots, token, data)
	v.worse(r.Verdict.ExitCode())
	if v.json {
		return command.JSON(v.stdout, r)
	}
	pal := term.NewPalette(os.Stdout)
	_, err = fmt.Fprintf(v.stdout, "%s  %s\n  %s\n", verifying.PaintVerdict(pal, r.Verdict), term.Escape(path), term.Escape(r.Sentence))
	return err
}

// maxToken bounds a time stamp (docs/format/custody.md, section 4).
const maxToken = 64 << 10

// readSmall reads a file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = command.Failf(command.Integrity, "look for a slip in the path", "%s is longer than %d bytes", path, limit)
	}
	return b, err
}

// judge says what a time stamp proves of an event.
func judge(path, event string, roots []*x509.Certificate, token, data []byte) stampReport {
	s, err := timestamp.Verify(roots, token, data)
	r := stampReport{Path: path, Event: event, SHA256: evidence.Sum(data).String()}
	switch {
	case err == nil:
		r.Verdict, r.Time, r.Authority, r.Until = chainofcustody.VerdictVerified, s.Time, s.By, s.Until
		r.Sentence = fmt.Sprintf("%s proves that %s, and every event before it, existed by %s.", s.By, filepath.Base(event), s.Time.Format(time.RFC3339))
	case errors.Is(err, timestamp.ErrAuthority):
		r.Verdict, r.Authority = chainofcustody.VerdictSignerUnknown, s.By
		r.Sentence = "It is over this event, but its authority leads to no root that is trusted here: give the root with --tsa-root. (" + err.Error() + ")"
	case len(token) == 0 || token[0] != 0x30:
		r.Verdict = chainofcustody.VerdictUnreadable
		r.Sentence = "The file is no time stamp response, so it proves nothing."
	default:
		r.Verdict = chainofcustody.VerdictAltered
		r.Sentence = "It is no time stamp of this event: one of the two was changed, or they do not belong together. (" + err.Error() + ")"
	}
	return r
}
