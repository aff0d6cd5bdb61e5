// Package verifying is what the programs share that verify: it asks bundles
// and custody logs what is proven, and prints the answer.
package verifying

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/chainofcustody/timestamp"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// Log verifies a custody log, with the case's own roots of time authorities
// unless opt reads time stamps by others.
func Log(cs *chainofcustody.Case, exhibit string, opt chainofcustody.VerifyOptions) (chainofcustody.Report, error) {
	if opt.TokenTime == nil {
		roots, err := Roots(cs)
		if err != nil {
			return chainofcustody.Report{}, err
		}
		opt.TokenTime = TokenTime(roots)
	}
	return cs.VerifyCustody(exhibit, opt)
}

// Roots reads the roots that the case trusts.
func Roots(cs *chainofcustody.Case) ([]*x509.Certificate, error) {
	names, err := filepath.Glob(cs.Path(chainofcustody.RootsDir, "*.pem"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var roots []*x509.Certificate
	for _, name := range names {
		list, err := ReadRoots(name)
		if err != nil {
			return nil, err
		}
		roots = append(roots, list...)
	}
	return roots, nil
}

// ReadRoots reads the roots of time authorities from a file in PEM.
func ReadRoots(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	list, err := timestamp.ParseRoots(text)
	if err != nil {
		return nil, command.Fail(command.Failure, "put the authority's root there, a certificate in PEM", fmt.Errorf("read %s: %w", path, err))
	}
	return list, nil
}

// TokenTime reads time stamps by some roots.
func TokenTime(roots []*x509.Certificate) chainofcustody.TokenTime {
	return func(token, data []byte) (time.Time, string, error) {
		s, err := timestamp.Verify(roots, token, data)
		return s.Time, s.By, err
	}
}

// Heads reads the hashes of events that were noted elsewhere.
func Heads(typed []string) ([]evidence.Digest, error) {
	var heads []evidence.Digest
	for _, h := range typed {
		d, err := evidence.ParseDigest(h)
		if err != nil {
			return nil, command.Fail(command.Usage, "give the 64 digits that sha256sum prints", fmt.Errorf("--head: %w", err))
		}
		heads = append(heads, d)
	}
	return heads, nil
}

// ReadSigners reads whose keys are known. A file that names nobody is a list
// too, on which nobody is: it does not stand for another list.
func ReadSigners(path string) (chainofcustody.AllowedSigners, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	signers, err := chainofcustody.ParseAllowedSigners(b)
	if err != nil {
		return nil, command.Fail(command.WrongKey, "see ALLOWED SIGNERS in the manual of ssh-keygen", fmt.Errorf("read %s: %w", path, err))
	}
	if signers == nil {
		signers = chainofcustody.AllowedSigners{}
	}
	return signers, nil
}

// FactsOf identifies a bundle by its path, nil where it cannot be read. Of an
// encrypted one it states no seal.
func FactsOf(ctx context.Context, path string) *chainofcustody.BundleFacts {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil
	}
	var inside io.ReaderAt = f
	head := make([]byte, len(ageIntro))
	if n, _ := f.ReadAt(head, 0); Encrypted(head[:n]) {
		inside = nil
	}
	return FactsOfOpen(ctx, f, st.Size(), inside, st.Size())
}

// FactsOfOpen identifies a bundle in an open file of outer bytes. Inside are
// the bundle's own bytes, nil where the file was not opened: its SHA-256 then
// speaks for it.
func FactsOfOpen(ctx context.Context, file io.ReaderAt, outer int64, inside io.ReaderAt, size int64) *chainofcustody.BundleFacts {
	digest, err := command.DigestOf(ctx, file, outer)
	if err != nil {
		return nil
	}
	facts := &chainofcustody.BundleFacts{Size: outer, OuterSHA256: digest}
	if inside == nil {
		return facts
	}
	if r, err := bundle.Open(inside, size); err == nil {
		facts.Seal = r.Seal().ID
	} else {
		facts.Seal = lastCheckpoint(ctx, inside, size)
	}
	return facts
}

// lastCheckpoint identifies a bundle that was cut short and has no seal: by
// the last checkpoint that holds. It is zero where there is none.
func lastCheckpoint(ctx context.Context, r io.ReaderAt, size int64) evidence.Digest {
	rep, err := bundle.Verify(ctx, r, size, bundle.VerifyOptions{})
	if err != nil {
		return evidence.Digest{}
	}
	id, err := evidence.ParseDigest(rep.SealID)
	if err != nil {
		return evidence.Digest{}
	}
	return id
}

// EventRow is a custody event as JSON shows it.
type EventRow struct {
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

// RowOf returns the row of an event with what is wrong with it.
func RowOf(exhibit string, e chainofcustody.Event, problems []string) EventRow {
	return EventRow{
		exhibit, e.Number, string(e.Kind), e.Time.UTC.Format("2006-01-02T15:04:05.000000000Z"), e.Actor.ID, e.Actor.Key,
		e.Sentence(), e.File, e.Digest.String(), problems,
	}
}

// LogJSON writes a report as one line.
func LogJSON(w io.Writer, rep chainofcustody.Report) error {
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
		Events  []EventRow `json:"events"`
		Heads   []string   `json:"heads"`
	}{Exhibit: rep.Exhibit, Verdict: string(rep.Verdict)}
	for _, l := range rep.Layers {
		out.Layers = append(out.Layers, layer{l.Name, string(l.Verdict), l.Sentence, l.Details})
	}
	for _, e := range rep.Events {
		out.Events = append(out.Events, RowOf(rep.Exhibit, e.Event, e.Problems))
	}
	for _, h := range rep.Heads {
		out.Heads = append(out.Heads, h.String())
	}
	return command.JSON(w, out)
}

// PrintLog writes a report for people.
func PrintLog(w io.Writer, pal term.Palette, rep chainofcustody.Report) {
	fmt.Fprintf(w, "%s  %s  %s\n", rep.Exhibit, PaintVerdict(pal, rep.Verdict), rep.Verdict.Sentence())
	for _, l := range rep.Layers {
		fmt.Fprintf(w, "  %-11s %s  %s\n", l.Name, PaintVerdict(pal, l.Verdict), term.Escape(l.Sentence))
		for _, d := range l.Details {
			fmt.Fprintf(w, "              - %s\n", term.Escape(d))
		}
	}
}

// PaintVerdict colours a verdict.
func PaintVerdict(pal term.Palette, v chainofcustody.Verdict) string {
	switch v.ExitCode() {
	case command.OK:
		return pal.Good(string(v))
	case command.Partial, command.Trust:
		return pal.Warn(string(v))
	}
	return pal.Bad(string(v))
}
