package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/bundle/envelope"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// addEnvelope states what lay around a bundle that was verified.
func addEnvelope(rep *bundle.Report, f *bundleFile) {
	if f.env == nil {
		return
	}
	e := &bundle.Envelope{Opened: true, Whole: f.env.Whole()}
	if info, err := envelope.Inspect(f.file, f.outer); err == nil {
		e.Recipients = info.Stanzas
	}
	for i, d := range f.env.Damage() {
		if i < 100 {
			e.Damaged = append(e.Damaged, [2]int64{d.Offset, d.Length})
		}
		e.Chunks += (d.Length + envelope.ChunkSize - 1) / envelope.ChunkSize
	}
	rep.AddEnvelope(e, f.outer)
}

// unreadable is the report on a file that ends within the header of its
// envelope, nil for any other error.
func unreadable(err error) *bundle.Report {
	if !errors.Is(err, envelope.ErrCut) {
		return nil
	}
	rep := &bundle.Report{Verdict: bundle.Unreadable}
	rep.Say("The file ends within the header of its envelope: nothing in it can be decrypted.")
	return rep
}

// custodian is what somebody without a key can say of an encrypted bundle.
type custodian struct {
	rep    *bundle.Report
	digest evidence.Digest
	seal   *bundle.Seal // of the folder beside it
}

// unopened checks what a custodian can: the SHA-256 of the file against the
// custody log, and the seal that lies beside it. Nothing is decrypted, and the
// verdict is never VERIFIED.
func unopened(c *cli.Context, path string) (*bundle.Report, evidence.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, evidence.Digest{}, openError(err, path)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, evidence.Digest{}, err
	}
	k := &custodian{rep: &bundle.Report{Verdict: bundle.Unopened, Size: st.Size()}}
	info, err := envelope.Inspect(f, st.Size())
	if err != nil {
		if rep := unreadable(err); rep != nil {
			k.rep = rep
			k.rep.Size = st.Size()
			k.digest, err = command.DigestOf(c.Context, f, st.Size())
			return k.rep, k.digest, err
		}
		return nil, evidence.Digest{}, envelopeError(err, path)
	}
	if k.digest, err = command.DigestOf(c.Context, f, st.Size()); err != nil {
		return nil, evidence.Digest{}, err
	}
	k.rep.Envelope = &bundle.Envelope{Recipients: info.Stanzas}
	k.rep.AddLayer("envelope", "unknown", fmt.Sprintf("an age file for %d recipients; not decrypted", len(info.Stanzas)))
	k.folder(path)
	k.code(c)
	k.log(c, path)
	k.conclude()
	return k.rep, k.digest, nil
}

// fails notes a contradiction.
func (k *custodian) fails(layer, detail string) {
	k.rep.Verdict = bundle.Altered
	k.rep.AddLayer(layer, "failed", detail)
}

// folder checks the seal outside of the envelope.
func (k *custodian) folder(path string) {
	root, err := os.OpenRoot(path + bundle.SealFolder)
	if errors.Is(err, fs.ErrNotExist) {
		k.rep.AddLayer("seal", "absent", "no "+bundle.SealFolder+" folder beside the file")
		return
	}
	if err != nil {
		k.rep.AddLayer("seal", "unknown", err.Error())
		return
	}
	defer root.Close()
	s, key, err := bundle.ReadSealFolder(root.FS())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.rep.AddLayer("seal", "absent", err.Error())
		return
	case err != nil:
		k.fails("seal", err.Error())
		return
	}
	k.seal = &s
	k.rep.SealID, k.rep.SealCode, k.rep.Key = s.ID.String(), s.Code(), chainofcustody.Fingerprint(key)
	k.rep.AddLayer("seal", "ok", "both signatures hold, by "+k.rep.Key)
}

// code compares the seal with the code on paper.
func (k *custodian) code(c *cli.Context) {
	typed := c.String("code")
	if typed == "" {
		return
	}
	switch want := bundle.NormalCode(typed); {
	case k.seal == nil:
		k.rep.AddLayer("code", "unknown", "there is no seal to compare it with")
	case want != k.seal.Code():
		k.fails("code", "the seal has code "+k.seal.Code()+", not "+want)
	default:
		k.rep.AddLayer("code", "ok", "the seal has the code that was written down")
	}
}

// log compares file and seal with the custody log, where the file belongs to
// an exhibit of the case.
func (k *custodian) log(c *cli.Context, path string) {
	cs, err := openCase(c)
	if err != nil {
		k.rep.AddLayer("custody", "unknown", "not in a case: nothing to compare the file with")
		return
	}
	_, exhibit, err := bundlePath(cs, path)
	if err != nil || exhibit == "" {
		k.rep.AddLayer("custody", "unknown", "no exhibit of the case: nothing to compare the file with")
		return
	}
	rep, err := cs.VerifyCustody(exhibit, chainofcustody.VerifyOptions{})
	if err != nil {
		k.rep.AddLayer("custody", "unknown", err.Error())
		return
	}
	outer, sealed := "", false
	for _, e := range rep.Events {
		if len(e.Problems) > 0 || e.Signer == "" {
			continue // custody verify says what is wrong with it
		}
		if !e.OuterSHA256.IsZero() {
			if e.OuterSHA256 != k.digest {
				k.fails("custody", "the file is not the one of event "+e.File+": its SHA-256 was "+e.OuterSHA256.String())
				return
			}
			outer = e.Signer
		}
		if !e.Seal.IsZero() && k.seal != nil {
			if e.Seal != k.seal.ID {
				k.fails("custody", "event "+e.File+" names another seal: "+bundle.CodeOf(e.Seal))
				return
			}
			sealed = true
		}
	}
	if outer == "" {
		k.rep.AddLayer("custody", "unknown", "no event that a known key signed states the file's SHA-256")
		return
	}
	k.rep.Signer = outer
	detail := "the file has the SHA-256 that " + outer + " signed"
	if sealed {
		detail += ", and the seal is the one that the log names"
	}
	k.rep.AddLayer("custody", "ok", detail)
}

// compareFolder says where the seal beside a bundle is not the one inside:
// whoever signed for that folder signed for another bundle.
func compareFolder(rep *bundle.Report, f *bundleFile) {
	if f.env == nil || rep.SealID == "" {
		return
	}
	root, err := os.OpenRoot(f.path + bundle.SealFolder)
	if err != nil {
		return
	}
	defer root.Close()
	s, _, err := bundle.ReadSealFolder(root.FS())
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		rep.AddLayer("seal beside", "failed", err.Error())
		rep.Say("The seal that lies beside the bundle does not hold. The one inside does not depend on it.")
	case s.ID.String() != rep.SealID:
		rep.AddLayer("seal beside", "failed", "it has code "+s.Code())
		rep.Say("The seal that lies beside the bundle is that of another bundle, with code %s.", s.Code())
	default:
		rep.AddLayer("seal beside", "ok", "it is the one inside")
	}
}

// conclude puts it into plain words.
func (k *custodian) conclude() {
	rep := k.rep
	if rep.Verdict == bundle.Altered {
		// Which seal is the bundle's own is what is in doubt: an event that
		// named the wrong one would contradict the log for ever.
		rep.SealID = ""
		rep.Say("What lies here contradicts what was signed: the file, its seal, or both are not the ones of the record.")
		return
	}
	if rep.Signer != "" {
		rep.Say("The encrypted file is, byte for byte, the one that %s signed for in the custody log.", rep.Signer)
	} else {
		rep.Say("Nothing outside says which SHA-256 the encrypted file must have; it is %s now.", k.digest)
	}
	if k.seal != nil {
		rep.Say("The signatures of the seal beside it hold. That the seal belongs to this file is not checked.")
	}
	rep.Say("NOT CHECKED: everything inside. Whether the contents are as they were sealed shows only when a recipient verifies with --identity.")
}
