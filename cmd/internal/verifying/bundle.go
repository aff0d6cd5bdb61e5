package verifying

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
)

// BundleOptions say what else is known about a bundle. All fields may be zero.
type BundleOptions struct {
	Name      string                        // of the file, for messages
	Signers   chainofcustody.AllowedSigners // whose keys are known
	Case      *chainofcustody.Case          // whose custody log may vouch for the seal
	Exhibit   string                        // of that case
	TokenTime chainofcustody.TokenTime      // nil: by the roots of the case
	Code      string                        // seal code on paper, as it was typed
	Held      [][]byte                      // checkpoints kept elsewhere: bundle.VerifyOptions
	Progress  func(done, total, records int64)
}

// Bundle verifies an open bundle of size bytes. The custody log of the
// exhibit, where there is one, says who vouches for its seal where its own
// signatures leave that open, and by when it existed.
func Bundle(ctx context.Context, r io.ReaderAt, size int64, o BundleOptions) (*bundle.Report, error) {
	opt := bundle.VerifyOptions{
		Trusted: func(key ssh.PublicKey, at time.Time) (string, bool) {
			for _, namespace := range []string{chainofcustody.NamespaceCustody, chainofcustody.NamespaceSeal} {
				if who, err := o.Signers.Lookup(key, namespace, at); err == nil {
					return who, true
				}
			}
			return "", false
		},
		// A key that may only seal, that of a machine, has nothing erased.
		People: func(key ssh.PublicKey, at time.Time) (string, bool) {
			who, err := o.Signers.Lookup(key, chainofcustody.NamespaceCustody, at)
			return who, err == nil
		},
		TimeProof: o.provenTime(),
		Progress:  o.Progress,
		Held:      o.Held,
	}
	by := Vouched(o.Case, o.Exhibit, chainofcustody.VerifyOptions{Signers: o.Signers, TokenTime: o.TokenTime})
	want := bundle.NormalCode(o.Code)
	if o.Code != "" {
		if want == "" {
			return nil, command.Failf(command.Usage, "a code is 20 letters and digits, for example MDP48-QJ7NK-DSMC4-9XZD5", "%q is no seal code", o.Code)
		}
		by = func(s bundle.Seal) (string, bool) { return "the seal code given", s.Code() == want }
	}
	receipt := o.receipt()
	opt.Reconsider = func(rep *bundle.Report, opt *bundle.VerifyOptions) bool {
		switch {
		case rep.Verdict == bundle.SignerUnknown && by != nil:
			opt.Confirmed, by = by, nil
		case rep.Verdict == bundle.TimeUnproven && receipt != nil:
			opt.TimeProof, receipt = receipt, nil
		default:
			return false
		}
		return true
	}
	rep, err := bundle.Verify(ctx, r, size, opt)
	if err != nil {
		return nil, err
	}
	if o.Code != "" && rep.SealCode != want {
		return nil, command.Failf(command.Integrity, "this is not the bundle whose code was written down, or the code was misread",
			"%s has seal code %s, not %s", o.Name, rep.SealCode, want)
	}
	return rep, nil
}

// provenTime says by when an outside time stamp proves that a seal existed.
func (o *BundleOptions) provenTime() func(bundle.Seal) (time.Time, string, bool) {
	if o.Case == nil || o.Exhibit == "" {
		return nil
	}
	return func(seal bundle.Seal) (at time.Time, by string, ok bool) {
		rep, err := Log(o.Case, o.Exhibit, chainofcustody.VerifyOptions{Signers: o.Signers, TokenTime: o.TokenTime})
		if err != nil {
			return at, "", false
		}
		for _, e := range rep.Events {
			if e.Seal == seal.ID && !e.Proven.IsZero() && (!ok || e.Proven.Before(at)) {
				at, by, ok = e.Proven, "the time stamp of "+e.ProvenBy+" over the custody log", true
			}
		}
		return at, by, ok
	}
}

// receipt says by when somebody known signed for the arrival of a seal: the
// word of a person, where no time stamp proves more.
func (o *BundleOptions) receipt() func(bundle.Seal) (time.Time, string, bool) {
	if o.Case == nil || o.Exhibit == "" {
		return nil
	}
	return func(seal bundle.Seal) (at time.Time, by string, ok bool) {
		rep, err := Log(o.Case, o.Exhibit, chainofcustody.VerifyOptions{Signers: o.Signers, TokenTime: o.TokenTime})
		if err != nil {
			return at, "", false
		}
		for _, e := range rep.Events {
			if e.Kind == chainofcustody.EventReceived && e.Seal == seal.ID && e.Signer != "" && len(e.Problems) == 0 && (!ok || e.Time.UTC.Before(at)) {
				at, by, ok = e.Time.UTC, "the receipt that "+e.Signer+" signed", true
			}
		}
		return at, by, ok
	}
}

// Vouched says who of the case signed for a seal: by collecting it, or by
// receiving it. Signers and time authorities that are not the case's own decide
// here, too, where opt names them.
func Vouched(cs *chainofcustody.Case, exhibit string, opt chainofcustody.VerifyOptions) func(bundle.Seal) (string, bool) {
	if cs == nil || exhibit == "" {
		return nil
	}
	return func(seal bundle.Seal) (string, bool) {
		rep, err := Log(cs, exhibit, opt)
		if err != nil {
			return "", false
		}
		for _, e := range rep.Events {
			taken := e.Kind == chainofcustody.EventSealed || e.Kind == chainofcustody.EventReceived
			if taken && e.Seal == seal.ID && e.Signer != "" && len(e.Problems) == 0 {
				how := ", who collected it"
				if e.Kind == chainofcustody.EventReceived {
					how = ", who signed its receipt (" + e.Note + ")"
				}
				return e.Signer + how, true
			}
		}
		return "", false
	}
}

// BundleJSON writes a report as one line.
func BundleJSON(w io.Writer, path string, rep *bundle.Report) error {
	return command.JSON(w, struct {
		Path string `json:"file"`
		*bundle.Report
	}{path, rep})
}

// PrintBundle writes a report for people: the verdict and the first findings,
// or all layers and findings.
func PrintBundle(w io.Writer, pal term.Palette, path string, rep *bundle.Report, explain bool) {
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
		fmt.Fprintf(w, "  continues %s\n", SealName(rep.Continues))
	}
	shown := 5
	if explain {
		shown = len(rep.Findings) + len(rep.DamagedList) + len(rep.AlteredList)
		for _, l := range rep.Layers {
			fmt.Fprintf(w, "  %-12s %-8s %s\n", l.Name, l.State, term.Escape(l.Detail))
		}
	}
	printErased(w, rep)
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
}

// printErased names each item that somebody took out of a bundle.
func printErased(w io.Writer, rep *bundle.Report) {
	for _, e := range rep.Erasures {
		for _, it := range e.Items {
			what := "content of " + term.Escape(it.Path)
			if it.Metadata {
				what = "content and name"
			}
			fmt.Fprintf(w, "  erased: record %d, %s, on order %s\n", it.Leaf, what, term.Escape(e.Order))
		}
	}
}

// SealName is a seal id as people compare it: by its code.
func SealName(id string) string {
	d, err := evidence.ParseDigest(id)
	if err != nil {
		return id
	}
	return "the bundle with seal code " + bundle.CodeOf(d)
}

// WorseCode keeps the graver of two exit codes.
func WorseCode(a, b int) int {
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

// BundleSuffix ends the name of every bundle, EnvelopeSuffix follows it in
// that of an encrypted one. Package envelope, which says so of its files, would
// be too large for the verifier.
const (
	BundleSuffix   = ".exhibit.tar.zst"
	EnvelopeSuffix = ".age"
)

// ErrNotCollected says that an exhibit has a number, and no bundle was ever
// put into the case for it.
var ErrNotCollected = errors.New("no bundle in the case")

// isBundleName reports whether a file's name is that of a bundle, encrypted or
// not.
func isBundleName(name string) bool {
	return strings.HasSuffix(strings.TrimSuffix(name, EnvelopeSuffix), BundleSuffix)
}

// Encrypted reports whether a file that begins with head is an age file, and
// the bundle inside out of reach without a key.
func Encrypted(head []byte) bool { return bytes.HasPrefix(head, []byte(ageIntro)) }

const ageIntro = "age-encryption.org/v1\n"

// BundleOf returns the bundle file of an exhibit of a case.
func BundleOf(cs *chainofcustody.Case, exhibit string) (string, error) {
	dir := cs.Path(chainofcustody.ExhibitsDir, exhibit)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", command.Fail(command.Failure, "exhibit custody log "+exhibit+" shows what became of it", fmt.Errorf("%s: %w", exhibit, ErrNotCollected))
	}
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if isBundleName(e.Name()) && e.Type().IsRegular() {
			return filepath.Join(dir, e.Name()), nil
		}
	}
	return "", command.Failf(command.Failure, "exhibit case show lists what is there", "no bundle in %s", dir)
}
