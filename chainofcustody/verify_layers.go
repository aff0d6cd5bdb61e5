package chainofcustody

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// files: presence, readability, names.
func (v *verifier) files() Layer {
	l := v.layer(LayerFiles)
	for _, n := range v.log.nodes {
		if n.err != nil {
			verdict := VerdictDamaged
			if errors.Is(n.err, ErrEvent) {
				verdict = VerdictAltered
			}
			l.find(n, verdict, "cannot be read: %v", n.err)
			continue
		}
		if want := eventFileName(n.event.Number, n.event.Kind, n.digest); n.file != want {
			l.find(n, VerdictAltered, "name does not fit the content, which belongs in %s", want)
		}
		if n.event.Case != v.c.Info.ID || n.event.Exhibit != v.exhibit {
			l.find(n, VerdictAltered, "belongs to exhibit %s of case %s", n.event.Exhibit, n.event.Case)
		}
	}
	for _, name := range v.log.orphans {
		l.find(nil, VerdictDamaged, "%s: the event of this signature is missing", name)
	}
	for _, name := range v.log.strays {
		l.find(nil, VerdictVerified, "%s: not a file of the custody format, ignored", name)
	}
	return l.done(
		fmt.Sprintf("All %d events are present, whole and under their own names.", len(v.log.nodes)),
		"Events are missing, unreadable or not what their names say.")
}

// signatures answers two questions in one pass: is it what was signed, and
// by whom.
func (v *verifier) signatures() (signatures, signers Layer) {
	s, who := v.layer(LayerSignatures), v.layer(LayerSigners)
	for _, n := range v.log.nodes {
		if n.data == nil {
			continue
		}
		key := v.signature(s, n)
		if key == nil || n.err != nil {
			continue
		}
		v.signer(who, n, key)
	}
	return s.done("Every event is exactly what its signer signed.", "Not every event is what its signer signed."),
		who.done("Every signature belongs to a known person, named in the event.", "Not every signature belongs to a known person.")
}

func (v *verifier) signature(l *layer, n *node) ssh.PublicKey {
	if errors.Is(n.sigErr, fs.ErrNotExist) {
		l.find(n, VerdictDamaged, "has no signature")
		return nil
	}
	if n.sigErr != nil {
		l.find(n, VerdictDamaged, "signature cannot be read: %v", n.sigErr)
		return nil
	}
	key, err := Verify(NamespaceCustody, n.data, n.sig)
	if err == nil && !canonicalArmor(n.sig) {
		err = errors.New("signature file is not as ssh-keygen writes it")
	}
	if err != nil {
		l.find(n, VerdictAltered, "%v", err)
		return nil
	}
	return key
}

// canonicalArmor accepts the two line lengths in use: 70 of ssh-keygen, 64 of
// PEM. Everything else could carry bytes that no signature covers.
func canonicalArmor(armored []byte) bool {
	sig, err := sshsig.Unarmor(armored)
	if err != nil {
		return false
	}
	return string(armored) == string(sshsig.Armor(sig)) || string(armored) == opensshArmor(sig)
}

func (v *verifier) signer(l *layer, n *node, key ssh.PublicKey) {
	if print := Fingerprint(key); print != n.event.Actor.Key {
		l.find(n, VerdictAltered, "names the key %s but is signed by %s", n.event.Actor.Key, print)
		return
	}
	id := n.event.Actor.ID
	err := v.signers.Check(id, key, NamespaceCustody, n.event.Time.UTC)
	switch {
	case err == nil:
		v.checks[n].Signer = id
		// A window that has closed since: whoever got the key later could
		// write an earlier time.
		if now := v.signers.Check(id, key, NamespaceCustody, v.opt.Now); errors.Is(now, ErrKeyOutsideTerms) {
			l.find(n, VerdictTimeUnproven, "the key was valid at the stated time but is not today, and the time is not proven")
		}
	case errors.Is(err, ErrWrongPrincipal):
		other, _ := v.signers.Lookup(key, NamespaceCustody, n.event.Time.UTC)
		l.find(n, VerdictSignerUnknown, "says %s, but the key belongs to %s", id, other)
	default:
		l.find(n, VerdictSignerUnknown, "%s: %v", id, err)
	}
}

// links: parents and beginnings.
func (v *verifier) links() Layer {
	l := v.layer(LayerLinks)
	first := 0
	for _, n := range v.nodes {
		if len(n.event.Prev) == 0 {
			if first++; first > 1 {
				l.find(n, VerdictAltered, "is a second beginning of the log")
			}
		}
		for _, d := range n.event.Prev {
			if v.known[d] == nil {
				l.find(n, VerdictDamaged, "its predecessor %.12s… is missing: an event was removed or changed", d)
			}
		}
	}
	if heads := v.log.heads(); len(heads) > 1 {
		l.find(nil, VerdictVerified, "the log has %d open branches", len(heads))
	}
	return l.done(
		"Every event names the SHA-256 of those before it, back to one beginning.",
		"The chain of events is broken.")
}

// end: what can be known about a cut tail.
func (v *verifier) end() Layer {
	l := v.layer(LayerEnd)
	for _, d := range v.opt.KnownHeads {
		if v.known[d] == nil {
			l.find(nil, VerdictDamaged, "event %.12s…, known from elsewhere, is not in the log", d)
		}
	}
	good := "All events known from elsewhere are in the log; later ones could only be missed by somebody who knows them."
	if len(v.opt.KnownHeads) == 0 {
		l.Note = true
		good = "Nothing from outside the folder was given to compare with: that no later event was removed is not proven."
	}
	return l.done(good, "The log was cut at its end or replaced.")
}

// handovers: a transfer needs the receiver's own event after it.
func (v *verifier) handovers() Layer {
	l := v.layer(LayerHandovers)
	count := 0
	for _, n := range v.nodes {
		if n.event.Kind != EventTransferred && n.event.Kind != EventReturned {
			continue
		}
		if count++; !v.takenOver(n) {
			l.find(n, VerdictVerified, "hand-over asserted by one side only")
		}
	}
	good := fmt.Sprintf("Both sides signed each of the %d hand-overs.", count)
	switch {
	case count == 0:
		good = "No hand-over is recorded."
	case count == 1 && len(l.Details) == 0:
		good = "Both sides signed the one hand-over."
	case len(l.Details) > 0:
		good = fmt.Sprintf("%d of %d hand-overs are asserted by one side only.", len(l.Details), count)
	}
	return l.done(good, "")
}

// takenOver looks for received or refused among the children, by the person
// named as receiver and with a good signature.
func (v *verifier) takenOver(given *node) bool {
	for _, n := range v.nodes {
		if n.event.Kind != EventReceived && n.event.Kind != EventRefused {
			continue
		}
		if given.event.To != nil && given.event.To.ID != n.event.Actor.ID || n.event.Actor.ID == given.event.Actor.ID {
			continue
		}
		for _, d := range n.event.Prev {
			if d == given.digest && v.checks[n].Signer != "" {
				return true
			}
		}
	}
	return false
}

// time: clocks against the order of the links. The links win; a clock that
// disagrees is a remark.
func (v *verifier) time() Layer {
	l := v.layer(LayerTime)
	for _, n := range v.nodes {
		for _, d := range n.event.Prev {
			parent := v.known[d]
			if parent == nil || parent.err != nil {
				continue
			}
			back := parent.event.Time.UTC.Sub(n.event.Time.UTC)
			if back > uncertainty(n.event.Time)+uncertainty(parent.event.Time) {
				l.find(n, VerdictVerified, "its clock reads %s before that of %s, which it follows", back.Round(time.Millisecond), parent.file)
			}
			a, b := parent.event.Time, n.event.Time
			if a.BootID != "" && a.BootID == b.BootID && a.Mono > b.Mono && b.Mono > 0 {
				l.find(n, VerdictVerified, "its time since boot is before that of %s, which it follows", parent.file)
			}
		}
		if n.event.Time.UTC.After(v.opt.Now.Add(24 * time.Hour)) {
			l.find(n, VerdictVerified, "its clock reads a day or more after this verification")
		}
	}
	good := "Clock times follow the order of events. They rest on the computers' own clocks: no outside time stamp proves them."
	if len(l.Details) > 0 {
		good = "Clock times do not always follow the order of events, which rests on the links between them and not on clocks."
	}
	return l.done(good, "")
}

func uncertainty(t EventTime) time.Duration {
	if t.UncertaintyMS == nil {
		return 0
	}
	return time.Duration(min(*t.UncertaintyMS, int64(24*time.Hour/time.Millisecond))) * time.Millisecond
}

// bundle: does the log speak of what lies there?
func (v *verifier) bundle() Layer {
	l := v.layer(LayerExhibit)
	facts, sealed, same := v.opt.Bundle, false, false
	for _, n := range v.nodes {
		e := n.event
		if e.Seal.IsZero() {
			continue
		}
		sealed = true
		if !facts.Seal.IsZero() && e.Seal != facts.Seal {
			l.find(n, VerdictAltered, "speaks of a bundle with the seal %.12s…, not %.12s…", e.Seal, facts.Seal)
			continue
		}
		if !e.OuterSHA256.IsZero() && !facts.OuterSHA256.IsZero() && e.OuterSHA256 != facts.OuterSHA256 {
			l.find(n, VerdictAltered, "the bundle file had another SHA-256 then")
		}
		same = same || !e.OuterSHA256.IsZero() && e.OuterSHA256 == facts.OuterSHA256
		if e.Size > 0 && facts.Size > 0 && e.Size != facts.Size {
			l.find(n, VerdictAltered, "the bundle file had %d bytes then, %d now", e.Size, facts.Size)
		}
	}
	if !sealed {
		l.find(nil, VerdictDamaged, "no event names a seal")
	}
	if facts.Seal.IsZero() {
		// Encrypted and not opened, or damaged so that it does not open.
		if !same {
			l.find(nil, VerdictDamaged, "the bundle at hand cannot be opened, and no event states the SHA-256 of its file")
		}
		return l.done("The file at hand has the SHA-256 that the log states. It was not opened.", "The log does not speak of the file at hand.")
	}
	return l.done("The log and the bundle at hand name the same seal.", "The log does not speak of the bundle at hand.")
}
