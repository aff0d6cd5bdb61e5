package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"golang.org/x/crypto/ssh"
)

// DisclosureReport is what a package proves.
type DisclosureReport struct {
	Verdict   Verdict           `json:"verdict"`
	Sentences []string          `json:"sentences"` // plain words, the verdict first
	Problems  []string          `json:"problems,omitempty"`
	Origin    string            `json:"origin,omitempty"`
	SealID    string            `json:"seal_id,omitempty"`
	SealCode  string            `json:"seal_code,omitempty"`
	Sealed    bool              `json:"sealed"`    // false: the run was cut short, a checkpoint stands for the seal
	TreeSize  int64             `json:"tree_size"` // records of the whole bundle
	Key       string            `json:"key,omitempty"`
	Signer    string            `json:"signer,omitempty"`    // whose seal it is
	SignedBy  string            `json:"signed_by,omitempty"` // how that is known
	To        string            `json:"to,omitempty"`
	Basis     string            `json:"basis,omitempty"`
	By        string            `json:"by,omitempty"`       // who discloses, by the package's own word
	GivenBy   string            `json:"given_by,omitempty"` // whose signature over the package holds and is trusted
	Sums      string            `json:"members_sha256,omitempty"`
	Custody   int               `json:"custody_events"` // that are attached and hold
	Known     int               `json:"custody_known"`  // of those, by people who are trusted
	Records   []DisclosedRecord `json:"records"`
}

// ExitCode is the exit code of a command that reports this verdict.
func (r *DisclosureReport) ExitCode() int { return (&Report{Verdict: r.Verdict}).ExitCode() }

func (r *DisclosureReport) say(format string, args ...any) {
	r.Sentences = append(r.Sentences, fmt.Sprintf(format, args...))
}

func (r *DisclosureReport) wrong(err error) {
	if err != nil {
		r.Problems = append(r.Problems, plainText(err.Error()))
	}
}

// disclosureAudit is one verification.
type disclosureAudit struct {
	proofs
	opt    VerifyOptions
	report *DisclosureReport
	key    ssh.PublicKey
	bonds  []bond    // keys that stand behind it
	stated time.Time // end of the run, or its beginning, where records say it
	who    bool      // known
	timely bool
}

// VerifyDisclosure reads a package and says per record what it proves. The
// error is only about the run: what is wrong with the package is in the
// report. Without a record that states a time, a key counts as known only
// when it is trusted now, or at a time that TimeProof gives.
func VerifyDisclosure(ctx context.Context, in io.ReaderAt, size int64, opt VerifyOptions) (*DisclosureReport, error) {
	a := &disclosureAudit{opt: opt, report: &DisclosureReport{Records: []DisclosedRecord{}}}
	a.digests = map[string]evidence.Digest{}
	err := a.run(ctx, in, size)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("verify disclosure: %w", context.Cause(ctx))
	}
	if a.failed != nil {
		return nil, fmt.Errorf("verify disclosure: %w", a.failed)
	}
	a.conclude(err)
	return a.report, nil
}

func (a *disclosureAudit) run(ctx context.Context, in io.ReaderAt, size int64) error {
	var err error
	if a.disclosureReader, err = readDisclosure(ctx, in, size); err != nil {
		return err
	}
	st, err := a.statement()
	if err != nil {
		return err
	}
	r := a.report
	r.To, r.Basis, r.By = st.to, st.basis, st.by
	if err := a.readSeal(st); err != nil {
		return err
	}
	for i := range st.records {
		rec := a.judge(&st.records[i])
		if rec.Problem != "" {
			r.wrong(fmt.Errorf("record %d: %s", rec.Leaf, rec.Problem))
		}
		r.Records = append(r.Records, rec)
	}
	a.header()
	sums, err := a.need(disclosedSums, maxSumsList)
	if err != nil {
		return err
	}
	r.wrong(a.checkSums(sums, a.digests))
	r.Sums = evidence.Sum(sums).String()
	a.signer()
	r.wrong(a.giver(sums))
	r.wrong(a.log(st, evidence.Sum(sums)))
	return nil
}

// readSeal reads the seal, its signatures, and what ties its key to people.
func (a *disclosureAudit) readSeal(st *statement) error {
	files := map[string][]byte{}
	for _, name := range []string{
		disclosedKey, disclosedPEM, disclosedBinding, disclosedCert, disclosedSeal, disclosedSSHSig, disclosedNote, disclosedCertSig,
	} {
		b, err := a.small(name, maxDisclosedFile)
		if err != nil {
			return err
		}
		files[name] = b
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(files[disclosedKey])
	if err != nil {
		return fmt.Errorf("%s: %w", disclosedKey, err)
	}
	ed, err := ed25519Key(key)
	if err != nil {
		return err
	}
	pem, err := collectorPEM(ed)
	if err != nil {
		return err
	}
	if !bytes.Equal(CollectorPub(key), files[disclosedKey]) || !bytes.Equal(pem, files[disclosedPEM]) {
		return errors.New("the key is not in its one valid spelling, or two keys are there")
	}
	if a.seal, err = parseNote(files[disclosedNote], ed); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	a.key = key
	r := a.report
	r.Origin, r.SealID, r.SealCode, r.TreeSize = plainText(a.seal.Origin), a.seal.ID.String(), a.seal.Code(), a.seal.Size
	r.Key, r.Sealed = chainofcustody.Fingerprint(key), files[disclosedSSHSig] != nil
	switch {
	case !bytes.Equal(a.seal.Text, files[disclosedSeal]):
		return errors.New("seal.txt and seal.note differ")
	case !strings.HasPrefix(a.seal.Origin, OriginPrefix) || a.seal.Size > leafLimit:
		return errors.New("the seal is not one of an evidence bundle")
	case st.origin != a.seal.Origin || st.seal != a.seal.ID || st.size != a.seal.Size:
		return errors.New("the statement is about another seal")
	}
	a.seal.SSHSig, a.seal.CertSig = files[disclosedSSHSig], files[disclosedCertSig]
	if r.Sealed {
		c := conclusion{audit: &audit{key: ed, sshKey: key, certificate: files[disclosedCert], members: map[string][]byte{certSigMember: a.seal.CertSig}}}
		if err := c.sealSignatures(a.seal.Text, a.seal.SSHSig); err != nil {
			return err
		}
	} else if a.seal.CertSig != nil {
		return errors.New("a checkpoint carries a signature of a seal")
	}
	return a.bind(files[disclosedBinding], files[disclosedCert])
}

// bind checks what ties the run's key to an examiner.
func (a *disclosureAudit) bind(statement, certificate []byte) error {
	if statement != nil {
		key, err := chainofcustody.Verify(chainofcustody.NamespaceCustody, CollectorPub(a.key), statement)
		if err != nil {
			return fmt.Errorf("%s: %w", disclosedBinding, err)
		}
		a.bonds = append(a.bonds, bond{key: key, how: "the examiner's key, which signed the run's key"})
	}
	if certificate == nil {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(certificate)
	cert, ok := key.(*ssh.Certificate)
	if err != nil || !ok || len(cert.ValidPrincipals) != 1 {
		return nil // it vouches for nobody, which the bundle's format does not forbid
	}
	// Exhibit and time stand in a header that may be withheld: the certificate's
	// own words stand in for them, and header compares where they are there.
	_, exhibit, _ := strings.Cut(cert.ValidPrincipals[0], "@")
	from := time.Unix(int64(min(cert.ValidAfter, 1<<38)), 0)
	held, err := chainofcustody.VerifyCertificate(certificate, a.key, exhibit, from)
	if err == nil {
		a.bonds = append(a.bonds, bond{key: held.Authority, how: "the examiner's key, which certified the run's key", until: held.Before})
	}
	return nil
}

// header compares what the header and trailer say, where they are disclosed.
func (a *disclosureAudit) header() {
	for i := range a.report.Records {
		rec := &a.report.Records[i]
		if rec.Problem != "" || rec.content == nil {
			continue
		}
		switch {
		case rec.Leaf == 0:
			h, _, key, err := parseHeaderRecord(rec.body)
			switch {
			case err != nil:
				a.report.wrong(err)
			case !bytes.Equal(key.Marshal(), a.key.Marshal()) || OriginPrefix+h.Bundle != a.seal.Origin:
				a.report.wrong(errors.New("the header names another key or another bundle"))
			default:
				if a.stated.IsZero() {
					a.stated = h.Started
				}
				a.report.wrong(a.fixed(h))
				a.recertify(h)
			}
		case rec.Leaf == a.seal.Size-1 && rec.Kind == evidence.KindTrailer && a.report.Sealed:
			var t Trailer
			if err := json.Unmarshal(rec.body.body, &t); err != nil {
				a.report.wrong(fmt.Errorf("read trailer: %w", err))
			} else if !t.Finished.IsZero() {
				a.stated = t.Finished
			}
		}
	}
}

// fixed compares key, binding and certificate with what the header says of
// them: there, it counts what is missing, too.
func (a *disclosureAudit) fixed(h Header) error {
	for name, member := range map[string]string{
		keyMember: disclosedKey, pemMember: disclosedPEM, bindingMember: disclosedBinding, certMember: disclosedCert,
	} {
		b, err := a.small(member, maxDisclosedFile)
		if err != nil {
			return err
		}
		sum := ""
		if b != nil {
			sum = evidence.Sum(b).String()
		}
		if h.Members[name] != sum {
			return fmt.Errorf("%s is not the one the header names", member)
		}
	}
	return nil
}

// recertify asks again whether the certificate vouches for the key, by the
// header's exhibit and time instead of the certificate's own words.
func (a *disclosureAudit) recertify(h Header) {
	line, err := a.small(disclosedCert, maxDisclosedFile)
	if err != nil || line == nil {
		return
	}
	if _, err := chainofcustody.VerifyCertificate(line, a.key, h.Exhibit, h.Started); err != nil {
		a.bonds = slices.DeleteFunc(a.bonds, func(b bond) bool { return !b.until.IsZero() })
	}
}

func (a *disclosureAudit) trusted(key ssh.PublicKey, at time.Time) (string, bool) {
	if a.opt.Trusted == nil {
		return "", false
	}
	return a.opt.Trusted(key, at)
}

// person is trusted for what people sign: a key that may only seal, that of a
// machine, gives nothing to anybody.
func (a *disclosureAudit) person(key ssh.PublicKey, at time.Time) (string, bool) {
	if a.opt.People != nil {
		return a.opt.People(key, at)
	}
	return a.trusted(key, at)
}

// present is a time that does not rest on the package's own word.
func (a *disclosureAudit) present() time.Time {
	if a.opt.TimeProof != nil {
		if t, _, ok := a.opt.TimeProof(a.seal); ok {
			return t
		}
	}
	if a.opt.Now != nil {
		return a.opt.Now()
	}
	return time.Now()
}

// signer asks whose seal it is.
func (a *disclosureAudit) signer() {
	r := a.report
	if a.opt.Confirmed != nil {
		if by, ok := a.opt.Confirmed(a.seal); ok {
			r.Signer, r.SignedBy, a.who, a.timely = plainText(by), "confirmation of the seal", true, true
			return
		}
	}
	now := a.present()
	at := a.stated
	if at.IsZero() {
		at = now
	}
	for _, b := range append([]bond{{key: a.key, how: "the run's own key"}}, a.bonds...) {
		if name, ok := a.trusted(b.key, at); ok {
			r.Signer, r.SignedBy, a.who = plainText(name), b.how, true
			_, still := a.trusted(b.key, now)
			a.timely = still && !b.ended(now)
			return
		}
	}
}

// giver checks the discloser's signature over the list of members.
func (a *disclosureAudit) giver(sums []byte) error {
	sig, err := a.small(disclosedSumsSig, maxDisclosedFile)
	if err != nil || sig == nil {
		return err
	}
	key, err := chainofcustody.Verify(chainofcustody.NamespaceCustody, sums, sig)
	if err != nil {
		return fmt.Errorf("%s: %w", disclosedSumsSig, err)
	}
	if name, ok := a.person(key, a.present()); ok {
		a.report.GivenBy = plainText(name)
	}
	return nil
}

// conclude draws the verdict and puts it into words.
func (a *disclosureAudit) conclude(err error) {
	r := a.report
	switch {
	case errors.Is(err, errNotDisclosure):
		r.Verdict = Unreadable
		r.say("This is not a disclosure, or nothing of one can be read.")
		return
	case errors.Is(err, errCutShort):
		r.Verdict, r.Records = Damaged, []DisclosedRecord{}
		r.say("The end of this package is missing: nothing of it counts. Get another copy.")
		return
	}
	r.wrong(err)
	switch {
	case len(r.Problems) > 0:
		r.Verdict = Altered
		r.say("This package is not as it was made: something in it was changed, added or removed.")
		if err != nil {
			r.Records = []DisclosedRecord{}
			return
		}
	case !a.who:
		r.Verdict = SignerUnknown
		r.say("%s, but nobody you trust is known to have signed it.", a.unchanged())
		if r.Sealed {
			r.say("Compare the seal code %s with the one written down at the scene.", r.SealCode)
		}
	case !a.timely:
		r.Verdict = TimeUnproven
		r.say("%s. That %s stands behind it is so only if the time stated in the bundle is true, and nothing outside proves it.", a.unchanged(), r.Signer)
	case !r.Sealed:
		r.Verdict = VerifiedPrefix
		r.say("%s, signed by %s.", a.unchanged(), r.Signer)
	default:
		r.Verdict = Verified
		r.say("%s. The seal is that of %s, by %s.", a.unchanged(), r.Signer, r.SignedBy)
	}
	a.given()
}

// unchanged says what holds, without a full stop.
func (a *disclosureAudit) unchanged() string {
	n := len(a.report.Records)
	if !a.report.Sealed {
		return fmt.Sprintf("What is disclosed of %d records is as the run's last signed checkpoint has it: the run was interrupted, or its seal is withheld", n)
	}
	return fmt.Sprintf("What is disclosed of %d records is as it was sealed, with %d records in all", n, a.report.TreeSize)
}

// given says who disclosed, and what the attached log is worth.
func (a *disclosureAudit) given() {
	r := a.report
	for _, f := range []struct{ member, shipped string }{{disclosedReadme, "README.txt"}, {disclosedScript, "check.sh"}} {
		b, err := a.small(f.member, maxDisclosedFile)
		if err == nil && !bytes.Equal(b, disclosureFile(f.shipped)) {
			r.say("%s is not the one that this program ships: do not run or follow it before you have read it.", f.member)
		}
	}
	switch {
	case r.GivenBy != "":
		r.say("%s signed for this package to %s, on this basis: %s.", r.GivenBy, r.To, r.Basis)
	case a.byName[disclosedSumsSig] != nil:
		r.say("Somebody you do not know signed for this package to %s, on this basis: %s.", r.To, r.Basis)
	default:
		r.say("Who gave it to %s, and on what basis, nobody signed: the package states %q.", r.To, r.Basis)
	}
	if r.Custody > 0 {
		r.say("The custody log up to the disclosure is attached: %d events hold, %d of them by people you trust.", r.Custody, r.Known)
	}
}
