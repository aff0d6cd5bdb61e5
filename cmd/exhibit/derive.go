package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func deriveCommand() *cli.Command {
	return &cli.Command{
		Name: "derive", Usage: "seal a redacted copy of one item as a new exhibit", ArgsUsage: "EXHIBIT", Category: catEvidence,
		Description: "Example:\n   exhibit derive EX-001 --item /var/log/auth.log --file auth-redacted.log --rule 'lines of third parties removed' --reviewer bob@lab\n\n" +
			"The new exhibit holds the file as it is and a signed statement of what it was made from: the source's\n" +
			"seal, record and SHA-256, the rule, who did it and who compared both. verify shows it. The SHA-256 of\n" +
			"the source is in it: where somebody could guess the source, do not give the statement away.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "item", Usage: "made from this `PATH|LEAF`", Required: true},
			&cli.StringFlag{Name: "file", Usage: "the redacted `FILE`", Required: true},
			&cli.StringFlag{Name: "as", Usage: "its `NAME` in the new exhibit (default: the file's)"},
			&cli.StringFlag{Name: "rule", Usage: "what was done, by which rule", Required: true},
			&cli.StringFlag{Name: "reviewer", Usage: "`WHO` compared it with the source", Required: true},
		},
		Action: runDerive,
	}
}

func runDerive(c *cli.Context) error {
	cs, _, exhibit, err := onExhibit(c)
	if err != nil {
		return err
	}
	id, err := signerFor(c, cs)
	if err != nil {
		return err
	}
	path, err := verifying.BundleOf(cs, exhibit)
	if err != nil {
		return err
	}
	f, r, err := openBundle(c, path)
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := derivation(c, r)
	if err != nil {
		return err
	}
	d.SourceExhibit, d.Operator = exhibit, id.ID
	in, err := openPlainFile(c.String("file"))
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	if d.SHA256, err = command.FileDigest(c.String("file")); err != nil {
		return err
	}
	d.Size = st.Size()
	if d.Exhibit, err = cs.NextExhibit(); err != nil {
		return caseError(err)
	}
	made, err := sealDerived(c.Context, cs, id, d, in)
	if err != nil {
		_ = os.Remove(cs.Path(chainofcustody.ExhibitsDir, d.Exhibit)) //nolint:errcheck // not empty: not ours to remove
		_ = os.Remove(cs.Path(chainofcustody.CustodyDir, d.Exhibit))  //nolint:errcheck // as above
		return err
	}
	if err := recordDerived(cs, id, d, made); err != nil {
		return err
	}
	if c.Bool("json") {
		return command.JSON(c.App.Writer, map[string]string{
			"exhibit": d.Exhibit, "bundle": made.path, "seal": made.seal.ID.String(), "seal_code": made.seal.Code(), "sha256": d.SHA256.String(), "from": exhibit,
		})
	}
	fmt.Fprintf(c.App.Writer, "%s made from record %d of %s: %s\n  seal code  %s   write it on paper now\n",
		d.Exhibit, d.SourceLeaf, exhibit, term.Escape(made.path), made.seal.Code())
	return nil
}

// derivation finds the source and checks that its content is what was sealed.
func derivation(c *cli.Context, r *bundle.Reader) (*bundle.Derivation, error) {
	leaves, err := leavesOf(r, []string{c.String("item")})
	if err != nil {
		return nil, err
	}
	if len(leaves) != 1 {
		return nil, command.Failf(command.Usage, "name it by its number: exhibit ls --json shows the index", "%d records are of %q", len(leaves), c.String("item"))
	}
	item, err := r.Item(leaves[0])
	if err != nil {
		return nil, err
	}
	if !item.Kind.HasContent() {
		return nil, command.Failf(command.Failure, "exhibit ls shows what is there", "record %d has no content", item.Index)
	}
	// The statement will say that this content was sealed: so it must be so.
	var p proven
	if err := p.hashItem(r, item); err != nil {
		return nil, command.Fail(command.Integrity, "exhibit verify --explain says what is wrong with the bundle", err)
	}
	if _, err := r.Prove(item.Index); err != nil {
		return nil, command.Fail(command.Integrity, "exhibit verify --explain says what is wrong with the bundle", err)
	}
	name := c.String("as")
	if name == "" {
		name = filepath.Base(c.String("file"))
	}
	name = timeline.Printable(name)
	if name == bundle.DerivationPath || name == bundle.DerivationSigPath {
		return nil, command.Failf(command.Usage, "give it another one with --as", "%s is the name of the statement", name)
	}
	return &bundle.Derivation{
		SourceSeal: r.Seal().ID, SourceLeaf: item.Index, SourceSHA256: item.SHA256, SourceSize: item.Size,
		Path: name, Rule: timeline.Printable(c.String("rule")), Reviewer: timeline.Printable(c.String("reviewer")),
	}, nil
}

// derivedBundle is a new exhibit's bundle.
type derivedBundle struct {
	path      string
	seal      bundle.Seal
	statement evidence.Digest
}

// sealDerived writes the bundle of a derived exhibit into the case.
func sealDerived(ctx context.Context, cs *chainofcustody.Case, id *chainofcustody.Identity, d *bundle.Derivation, in io.Reader) (*derivedBundle, error) {
	dir := cs.Path(chainofcustody.ExhibitsDir, d.Exhibit)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	out := &derivedBundle{path: filepath.Join(dir, gathering.FileName(cs.Info.ID, "derived", time.Now()))}
	err := newFile(out.path, func(f *os.File) (err error) {
		if out.seal, out.statement, err = writeDerived(ctx, f, cs.Info.ID, id, d, in); err != nil {
			return err
		}
		return f.Chmod(0o400)
	})
	return out, err
}

func writeDerived(ctx context.Context, f io.Writer, caseID string, id *chainofcustody.Identity, d *bundle.Derivation, in io.Reader) (seal bundle.Seal, statement evidence.Digest, err error) {
	text := d.Encode()
	sig, err := id.Key.Sign(chainofcustody.NamespaceCustody, text)
	if err != nil {
		return seal, statement, err
	}
	key, err := chainofcustody.NewRunKey()
	if err != nil {
		return seal, statement, err
	}
	opt := bundle.WriterOptions{}
	if opt.Mandate, err = gathering.Mandate(id, d.Exhibit, nil)(key.PublicKey()); err != nil {
		return seal, statement, err
	}
	h := bundle.Header{
		Case: caseID, Exhibit: d.Exhibit, Examiner: id.ID, Profile: "derived",
		Tool: bundle.Tool{Name: "exhibit", Version: version, SHA256: command.OwnDigest().String()},
	}
	w, err := bundle.NewWriter(f, h, key, opt)
	if err != nil {
		return seal, statement, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	for _, item := range []struct {
		path string
		size int64
		in   io.Reader
	}{
		{bundle.DerivationPath, int64(len(text)), bytes.NewReader(text)},
		{bundle.DerivationSigPath, int64(len(sig)), bytes.NewReader(sig)},
		{d.Path, d.Size, in},
	} {
		got, err := w.Add(ctx, evidence.Item{Kind: evidence.KindFile, Source: bundle.DerivationSource, Path: item.path, Size: item.size}, bundle.Input{R: item.in})
		if err != nil {
			return seal, statement, err
		}
		if item.path == d.Path && (got.SHA256 != d.SHA256 || len(got.Unread) > 0) {
			return seal, statement, command.Failf(command.Failure, "run it again when nothing writes to the file", "the redacted file changed while it was read")
		}
	}
	seal, err = w.Seal(bundle.Trailer{Reason: "completed", Complete: true, Finished: time.Now()})
	return seal, evidence.Sum(text), err
}

// recordDerived writes the events of both exhibits.
func recordDerived(cs *chainofcustody.Case, id *chainofcustody.Identity, d *bundle.Derivation, made *derivedBundle) error {
	digest, err := command.FileDigest(made.path)
	if err != nil {
		return err
	}
	st, err := os.Stat(made.path)
	if err != nil {
		return err
	}
	leaf := fmt.Sprintf("leaf:%d", d.SourceLeaf)
	statement := []chainofcustody.Attachment{{Name: bundle.DerivationPath, SHA256: made.statement}}
	note := fmt.Sprintf("%s from record %d of %s by this rule: %s; reviewed by %s", d.Exhibit, d.SourceLeaf, d.SourceExhibit, d.Rule, d.Reviewer)
	for _, e := range []struct {
		exhibit string
		chainofcustody.Event
	}{
		{d.SourceExhibit, chainofcustody.Event{
			Kind: chainofcustody.EventDerived, Seal: d.SourceSeal, Refs: []string{leaf, made.seal.ID.String()}, Note: note, Attach: statement,
		}},
		{d.Exhibit, chainofcustody.Event{
			Kind: chainofcustody.EventDerived, Refs: []string{d.SourceSeal.String(), leaf}, Note: note, Attach: statement,
		}},
		{d.Exhibit, chainofcustody.Event{
			Kind: chainofcustody.EventSealed, Seal: made.seal.ID, OuterSHA256: digest, Size: st.Size(), Note: "seal code " + made.seal.Code(),
			Attach: []chainofcustody.Attachment{{Name: filepath.Base(made.path), SHA256: digest}},
		}},
	} {
		e.Tool = tool()
		if _, err := cs.Append(e.exhibit, e.Event, id); err != nil {
			return caseError(err)
		}
	}
	return nil
}

// origin says in words where a derived exhibit comes from, for the reader of a
// verdict; nothing for any other bundle, or one that does not stand.
func origin(c *cli.Context, path string, rep *bundle.Report, signers chainofcustody.AllowedSigners) []string {
	if !stands(rep) {
		return nil
	}
	f, r, err := openBundle(c, path)
	if err != nil {
		return nil
	}
	defer f.Close()
	d, key, err := r.Derivation()
	switch {
	case errors.Is(err, bundle.ErrNoMember):
		return nil
	case err != nil:
		return []string{"It claims to be derived from another exhibit, but that statement does not hold: " + err.Error() + "."}
	}
	who := signerWords(signers, key, r.Header().Started)
	return []string{fmt.Sprintf("Derived exhibit: %s (SHA-256 %s) was made from record %d of %s (seal code %s, SHA-256 of the content %s) by this rule: %s. "+
		"So states %s; reviewed by %s. What the source says, this bundle does not prove.",
		d.Path, d.SHA256, d.SourceLeaf, d.SourceExhibit, bundle.CodeOf(d.SourceSeal), d.SourceSHA256, d.Rule, who, d.Reviewer)}
}

// stands reports whether what a bundle states of itself may be told on: it is
// neither changed nor damaged.
func stands(rep *bundle.Report) bool {
	return rep.Verdict != bundle.Altered && rep.Verdict != bundle.Unreadable && rep.Verdict != bundle.Damaged
}

// signerWords names who signed a statement in a bundle.
func signerWords(signers chainofcustody.AllowedSigners, key ssh.PublicKey, at time.Time) string {
	who, err := signers.Lookup(key, chainofcustody.NamespaceCustody, at)
	if err != nil {
		return "somebody you do not know, " + chainofcustody.Fingerprint(key)
	}
	return who
}
