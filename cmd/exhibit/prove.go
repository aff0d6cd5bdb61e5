package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/verifying"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func proveCommand() *cli.Command {
	return &cli.Command{
		Name: "prove", Usage: "show an event's bytes and prove that they are sealed", ArgsUsage: "EVENT", Category: catAnalyze,
		Description: "Example:\n   exhibit prove 0f3a5c… --proof-dir proof/\n\n" +
			"Reads the bytes the event came from out of the bundle, hashes the whole item, follows the\n" +
			"Merkle proof to the seal and checks the seal's signature. EVENT may be the start of an id.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "proof-dir", Usage: "write the lines, the proof and the seal into `DIR` for checking with other tools"},
			&cli.Int64Flag{Name: "max-bytes", Value: 4096, Usage: "show at most `N` bytes"},
		},
		Action: runProve,
	}
}

// proven is what `prove` found, step by step.
type proven struct {
	Event      string   `json:"event_id"`
	Message    string   `json:"message"`
	Bundle     string   `json:"bundle"`
	Item       string   `json:"item"`
	Path       string   `json:"path"`
	Chain      string   `json:"decoded_with,omitempty"`
	Offset     int64    `json:"offset"`
	Length     int64    `json:"length"`
	Bytes      []byte   `json:"bytes"`
	BytesTotal int64    `json:"bytes_total"`
	Parts      []part   `json:"parts,omitempty"`
	RecordHash string   `json:"record_sha256"`
	ItemHash   string   `json:"item_sha256"`
	Leaf       int64    `json:"leaf"`
	LeafHash   string   `json:"leaf_hash"`
	Path6962   []string `json:"audit_path"`
	Root       string   `json:"root"`
	TreeSize   int64    `json:"tree_size"`
	SealID     string   `json:"seal"`
	SealCode   string   `json:"seal_code"`
	Signer     string   `json:"collector_key"`
	BoundBy    string   `json:"examiner,omitempty"`
	Checks     []check  `json:"checks"`
	Holds      bool     `json:"holds"`

	broken bool // a check failed that is not only about trust
}

// part is another range of the item that belongs to the record: lines of a
// joined record, data objects of a journal entry.
type part struct {
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
	Bytes  []byte `json:"bytes"`
}

// spans reads the attribute "spans": offset+length, comma separated.
func spans(ev *timeline.Event) []part {
	text, ok := ev.Attr("spans")
	if !ok {
		return nil
	}
	var out []part
	for s := range strings.SplitSeq(text, ",") {
		var p part
		if n, err := fmt.Sscanf(strings.TrimSpace(s), "%d+%d", &p.Offset, &p.Length); n == 2 && err == nil {
			out = append(out, p)
		}
	}
	return out
}

// check is one step of the proof.
type check struct {
	What  string `json:"what"`
	Holds bool   `json:"holds"`
	Why   string `json:"why,omitempty"`
}

func (p *proven) check(what string, err error) {
	p.trust(what, err)
	p.broken = p.broken || err != nil
}

// trust is a check whose failure leaves the bytes proven, but by whom unknown.
func (p *proven) trust(what string, err error) {
	k := check{What: what, Holds: err == nil}
	if err != nil {
		k.Why, p.Holds = err.Error(), false
	}
	p.Checks = append(p.Checks, k)
}

func runProve(c *cli.Context) error {
	id, err := oneArgument(c, "EVENT")
	if err != nil {
		return err
	}
	cs, eng, err := openTimeline(c)
	if err != nil {
		return err
	}
	defer eng.Close()
	ev, err := findEvent(c, eng, id)
	if err != nil {
		return err
	}
	ev = ev.Clone()
	f, r, exhibit, err := bundleWithSeal(c, cs, ev.Source.Bundle)
	if err != nil {
		return err
	}
	defer f.Close()
	p := &proven{Event: ev.ID.String(), Message: ev.Message, Bundle: f.path, Holds: true}
	proof := proveEvent(p, r, ev, c.Int64("max-bytes"))
	p.signatures(cs, exhibit, r)
	if dir := c.String("proof-dir"); dir != "" {
		if err := writeProof(dir, proof, r.Seal()); err != nil {
			return err
		}
	}
	if err := p.print(c); err != nil {
		return err
	}
	switch {
	case p.broken:
		return command.Exit(command.Integrity)
	case !p.Holds:
		return command.Exit(command.Trust)
	}
	return nil
}

// bundleWithSeal finds the bundle of the case that an event came from, and the
// exhibit it is.
func bundleWithSeal(c *cli.Context, cs *chainofcustody.Case, seal evidence.Digest) (f *bundleFile, r *bundle.Reader, exhibit string, err error) {
	names, err := cs.Exhibits()
	if err != nil {
		return nil, nil, "", err
	}
	var locked error // the bundle may be one that no identity given opens
	for _, name := range names {
		path, err := verifying.BundleOf(cs, name)
		if err != nil {
			continue
		}
		f, r, err := openBundle(c, path)
		if errors.Is(err, errUnopened) || errors.Is(err, envelope.ErrNoKey) {
			locked = err
			continue
		}
		if err != nil {
			continue // cut short: no event came from it
		}
		if r.Seal().ID == seal {
			return f, r, name, nil
		}
		f.Close()
	}
	if locked != nil {
		return nil, nil, "", locked
	}
	return nil, nil, "", command.Failf(command.Failure, "put the bundle back into the case's exhibits folder",
		"no bundle with seal %s in the case", bundle.CodeOf(seal))
}

// proveEvent takes every step from the event to the seal's root. A step that
// fails is recorded and the others are still taken.
func proveEvent(p *proven, r *bundle.Reader, ev *timeline.Event, show int64) *bundle.Proof {
	src, ref, seal := ev.Source, ev.Ref(), r.Seal()
	p.Item, p.Path, p.Chain, p.Offset, p.Length = src.Member, src.Path, src.Chain, ref.Offset, ref.Length
	p.Root, p.TreeSize, p.SealID, p.SealCode = seal.Root.String(), seal.Size, seal.ID.String(), seal.Code()
	p.check("the event's bytes can be read from the item", p.readBytes(r, ref, show))
	for _, s := range spans(ev) {
		var other proven
		if err := other.readBytes(r, evidence.Ref{Member: ref.Member, Chain: ref.Chain, Offset: s.Offset, Length: s.Length}, show); err != nil {
			p.check("the record's other parts can be read from the item", err)
			continue
		}
		s.Bytes = other.Bytes
		p.Parts = append(p.Parts, s)
	}
	leaf, err := r.LeafAt(src.Member, ref.Offset)
	p.Leaf = leaf
	if err != nil {
		p.check("the item has a record in the bundle", err)
		return nil
	}
	item, err := r.Item(leaf)
	if err == nil && item.Member == src.Member {
		p.check("the item's content has the SHA-256 of its record", p.hashItem(r, item))
	}
	proof, err := r.Prove(leaf)
	p.check("the record's Merkle proof leads to the sealed root", err)
	if err == nil {
		p.LeafHash = proof.Leaf.String()
		for _, d := range proof.Path {
			p.Path6962 = append(p.Path6962, d.String())
		}
	}
	return &proof
}

// readBytes takes the record's bytes out of the decoded item.
func (p *proven) readBytes(r *bundle.Reader, ref evidence.Ref, show int64) error {
	content, err := r.Open(ref.Member)
	if err != nil {
		return err
	}
	defer content.Close()
	if ref.Offset < 0 || ref.Length < 0 {
		return fmt.Errorf("the event states no place in its item")
	}
	var in io.Reader = io.NewSectionReader(content, ref.Offset, ref.Length)
	if ref.Chain != "" {
		decoded, chain, err := analyze.Decode(content, content.Size())
		if err != nil {
			return err
		}
		if chain != ref.Chain {
			return fmt.Errorf("the item is %q, the event says %q", chain, ref.Chain)
		}
		if _, err := io.CopyN(io.Discard, decoded, ref.Offset); err != nil {
			return err
		}
		in = io.LimitReader(decoded, ref.Length)
	}
	h := evidence.NewHash()
	var keep bytes.Buffer
	n, err := io.Copy(io.MultiWriter(h, &limited{&keep, show}), in)
	if err != nil {
		return err
	}
	if n != ref.Length {
		return fmt.Errorf("%d bytes are there, the event says %d", n, ref.Length)
	}
	p.Bytes, p.BytesTotal, p.RecordHash = keep.Bytes(), n, evidence.DigestOf(h).String()
	return nil
}

// limited keeps the first left bytes.
type limited struct {
	w    io.Writer
	left int64
}

func (l *limited) Write(b []byte) (int, error) {
	n := min(int64(len(b)), l.left)
	l.left -= n
	if _, err := l.w.Write(b[:n]); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (p *proven) hashItem(r *bundle.Reader, item evidence.Item) error {
	content, err := r.Open(item.Member)
	if err != nil {
		return err
	}
	defer content.Close()
	h := evidence.NewHash()
	at := int64(0)
	for _, hole := range append(leftOut(item), evidence.Extent{Offset: item.Size}) {
		if _, err := io.Copy(h, io.NewSectionReader(content, at, hole.Offset-at)); err != nil {
			return err
		}
		at = hole.Offset + hole.Length
	}
	got := evidence.DigestOf(h)
	p.ItemHash = got.String()
	if got != item.SHA256 {
		return fmt.Errorf("content has %s, the record says %s", got, item.SHA256)
	}
	return nil
}

// leftOut are the holes that an item's hashes leave out.
func leftOut(item evidence.Item) []evidence.Extent {
	if !item.SumsStored {
		return nil
	}
	return slices.Clone(item.Holes)
}

// signatures checks the seal's signature and who vouches for it.
func (p *proven) signatures(cs *chainofcustody.Case, exhibit string, r *bundle.Reader) {
	p.Signer = chainofcustody.Fingerprint(r.Key())
	if r.Sealed() {
		p.check("the seal is signed by the key of the collection run", sealSigned(r))
	} else {
		// A run that was cut short: opening it has checked the note's signature.
		p.check("the last checkpoint is signed by the key of the collection run", nil)
	}
	if m, err := r.Mandate(); err == nil && m.Statement != nil {
		if _, err := chainofcustody.Verify(chainofcustody.NamespaceCustody, bundle.CollectorPub(r.Key()), m.Statement); err != nil {
			p.check("the examiner's signature over that key holds", err)
		}
	}
	who, err := boundBy(cs, r)
	if err != nil {
		// An unattended run, or one of another laboratory: its receipt vouches.
		if by, ok := verifying.Vouched(cs, exhibit, chainofcustody.VerifyOptions{})(r.Seal()); ok {
			who, err = by, nil
		}
	}
	p.BoundBy = who
	p.trust("an examiner known to the case vouches for that key, or for the seal", err)
}

func sealSigned(r *bundle.Reader) error {
	seal := r.Seal()
	key, err := chainofcustody.Verify(chainofcustody.NamespaceSeal, seal.Text, seal.SSHSig)
	if err == nil && string(key.Marshal()) != string(r.Key().Marshal()) {
		err = fmt.Errorf("the seal is signed by %s, the header names %s", chainofcustody.Fingerprint(key), chainofcustody.Fingerprint(r.Key()))
	}
	return err
}

// boundBy returns the examiner whose signature or certificate vouches for the
// run's key.
func boundBy(cs *chainofcustody.Case, r *bundle.Reader) (string, error) {
	m, err := r.Mandate()
	if err != nil {
		return "", err
	}
	signers, err := cs.Signers()
	if err != nil {
		return "", err
	}
	h := r.Header()
	if m.Statement != nil {
		key, err := chainofcustody.Verify(chainofcustody.NamespaceCustody, bundle.CollectorPub(r.Key()), m.Statement)
		if err != nil {
			return "", err
		}
		return signers.Lookup(key, chainofcustody.NamespaceCustody, h.Started)
	}
	if m.Certificate == nil {
		return "", bundle.ErrUnbound
	}
	cert, err := chainofcustody.VerifyCertificate(m.Certificate, r.Key(), h.Exhibit, h.Started)
	if err != nil {
		return "", err
	}
	if time.Now().After(cert.Before) { // who holds the run's key writes the start
		return "", fmt.Errorf("the certificate for it ended at %s, and its holder could have written an earlier start", cert.Before.Format(time.RFC3339))
	}
	return signers.Lookup(cert.Authority, chainofcustody.NamespaceCustody, h.Started)
}

func (p *proven) print(c *cli.Context) error {
	if c.Bool("json") {
		return command.JSON(c.App.Writer, p)
	}
	w, pal := c.App.Writer, term.NewPalette(os.Stdout)
	fmt.Fprintf(w, "event    %s\n         %s\n", p.Event, term.Escape(p.Message))
	fmt.Fprintf(w, "item     %s\n         %s in %s\n", term.Escape(p.Path), term.Escape(p.Item), term.Escape(p.Bundle))
	where := "bytes"
	if p.Chain != "" {
		where = "bytes, after " + p.Chain + ","
	}
	fmt.Fprintf(w, "%s    %d to %d (%d), SHA-256 %s\n", where, p.Offset, p.Offset+p.Length, p.Length, p.RecordHash)
	showBytes(w, p.Bytes, p.BytesTotal)
	for _, s := range p.Parts {
		fmt.Fprintf(w, "and      %d to %d (%d)\n", s.Offset, s.Offset+s.Length, s.Length)
		showBytes(w, s.Bytes, s.Length)
	}
	fmt.Fprintf(w, "leaf     %d of %d, hash %s, %d steps to root\n", p.Leaf, p.TreeSize, p.LeafHash, len(p.Path6962))
	fmt.Fprintf(w, "root     %s\nseal     %s  (code %s)\n", p.Root, p.SealID, p.SealCode)
	fmt.Fprintf(w, "signed   by %s", p.Signer)
	if p.BoundBy != "" {
		fmt.Fprintf(w, ", vouched for by %s", term.Escape(p.BoundBy))
	}
	fmt.Fprintln(w)
	for _, k := range p.Checks {
		if k.Holds {
			fmt.Fprintf(w, "  %s  %s\n", pal.Good("holds"), k.What)
		} else {
			fmt.Fprintf(w, "  %s  %s: %s\n", pal.Bad("FAILS"), k.What, term.Escape(k.Why))
		}
	}
	return nil
}

// showBytes prints text as escaped lines and anything else as a hex dump.
func showBytes(w io.Writer, b []byte, total int64) {
	text := true
	for _, c := range b {
		if c < 0x20 && c != '\n' && c != '\t' && c != '\r' && c != 0x1d || c == 0x7f {
			text = false
		}
	}
	if text {
		for line := range strings.SplitSeq(strings.TrimRight(string(b), "\n"), "\n") {
			fmt.Fprintf(w, "  | %s\n", term.Escape(line))
		}
	} else {
		for line := range strings.SplitSeq(strings.TrimRight(hex.Dump(b), "\n"), "\n") {
			fmt.Fprintf(w, "  | %s\n", line)
		}
	}
	if left := total - int64(len(b)); left > 0 {
		fmt.Fprintf(w, "  | … %d more bytes\n", left)
	}
}

// writeProof writes what another tool needs: both lines, the proof, the seal.
func writeProof(dir string, proof *bundle.Proof, seal bundle.Seal) error {
	if proof == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range []struct {
		name string
		data []byte
	}{
		{"content.jsonl", proof.Content},
		{"meta.jsonl", proof.Meta},
		{"record.tlog-proof", proof.Text()},
		{"seal.txt", seal.Text},
		{"seal.txt.sig", seal.SSHSig},
		{"seal.note", seal.Note},
	} {
		if f.data == nil {
			continue // a run that was cut short has no signature over a seal
		}
		if err := root.WriteFile(f.name, f.data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
