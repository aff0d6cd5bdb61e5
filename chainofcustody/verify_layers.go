package chainofcustody

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"golang.org/x/crypto/ssh"
)

// files: presence, readability, names.
func (v *verifier) files() Layer {
	l := v.layer(LayerFiles)
	for _, n := range v.log.nodes {
		if n.err != nil {
			verdict := VerdictDamaged
			if errors.Is(n.err, ErrEvent) || errors.Is(n.err, ErrNewerSchema) {
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
		v.checks[n].Witness = v.countersigned(s, n)
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
	if err != nil {
		l.find(n, VerdictAltered, "%v", err)
		return nil
	}
	return key
}

func (v *verifier) signer(l *layer, n *node, key ssh.PublicKey) {
	if print := Fingerprint(key); print != n.event.Actor.Key {
		l.find(n, VerdictAltered, "names the key %s but is signed by %s", n.event.Actor.Key, print)
		return
	}
	v.checks[n].Signed = true
	id := n.event.Actor.ID
	signers := v.byKey[string(key.Marshal())]
	err := signers.Check(id, key, NamespaceCustody, n.event.Time.UTC)
	switch {
	case err == nil:
		v.checks[n].Signer = id
		// A window that has closed since: whoever got the key later could
		// write an earlier time.
		at := v.opt.Now
		if s, ok := v.proven[n]; ok {
			at = s.at
		}
		if now := signers.Check(id, key, NamespaceCustody, at); errors.Is(now, ErrKeyOutsideTerms) {
			l.find(n, VerdictTimeUnproven, "the key was valid at the stated time but is not today, and the time is not proven")
		}
	case errors.Is(err, ErrWrongPrincipal):
		other, _ := signers.Lookup(key, NamespaceCustody, n.event.Time.UTC)
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

// handovers: a transfer needs the receiver's word, and one original goes to
// one person.
func (v *verifier) handovers() Layer {
	l := v.layer(LayerHandovers)
	count, oneSided, children := 0, 0, v.takers()
	var given []*node
	for _, n := range v.nodes {
		if n.event.Kind != EventTransferred && n.event.Kind != EventReturned {
			continue
		}
		count++
		given = append(given, n)
		if !v.takenOver(n, children[n.digest]) {
			oneSided++
			l.find(n, VerdictVerified, "hand-over asserted by one side only")
		}
	}
	double := v.givenTwice(l, given) + v.givenByOthers(l, given)
	good := fmt.Sprintf("Both sides signed each of the %d hand-overs.", count)
	switch {
	case double > 0:
		good = "The hand-overs contradict each other: somebody gave away what another person held."
	case count == 0:
		good = "No hand-over is recorded."
	case oneSided > 0:
		good = fmt.Sprintf("%d of %d hand-overs are asserted by one side only.", oneSided, count)
	case count == 1:
		good = "Both sides signed the one hand-over."
	}
	return l.done(good, "")
}

// givenTwice finds pairs of transfers on different branches: neither knew of
// the other, so the one original went two ways. Where a copy was made before,
// one of the two is a copy.
func (v *verifier) givenTwice(l *layer, given []*node) int {
	found := 0
	for i, a := range given {
		for _, b := range given[i+1:] {
			if v.before(a, b) || v.before(b, a) || v.copied(a) || v.copied(b) {
				continue
			}
			if a.event.To != nil && b.event.To != nil && a.event.To.ID == b.event.To.ID && a.event.Actor.ID == b.event.Actor.ID {
				continue // the same hand-over, written down twice
			}
			found++
			l.find(b, VerdictVerified, "hands over the original that %s had handed over on another branch of the log", a.file)
		}
	}
	return found
}

// copied reports whether a copy was made before an event.
func (v *verifier) copied(then *node) bool {
	for _, n := range v.nodes {
		if n.event.Kind == EventCopied && v.before(n, then) {
			return true
		}
	}
	return false
}

// givenByOthers finds transfers by somebody who, by the transfer before it,
// did not hold the original.
func (v *verifier) givenByOthers(l *layer, given []*node) int {
	found := 0
	for i, n := range given {
		for k := i - 1; k >= 0; k-- { // ordered: parents precede children
			m := given[k]
			if m.event.To == nil || !v.before(m, n) {
				continue
			}
			if to := m.event.To.ID; to != n.event.Actor.ID && !v.refused(m, n) {
				found++
				l.find(n, VerdictVerified, "%s hands over what %s had been given (%s)", n.event.Actor.ID, to, m.file)
			}
			break
		}
	}
	return found
}

// refused reports whether a hand-over was refused before another event.
func (v *verifier) refused(given, then *node) bool {
	for _, n := range v.nodes {
		if n.event.Kind == EventRefused && v.before(given, n) && v.before(n, then) {
			return true
		}
	}
	return false
}

// before reports whether an event is an ancestor of another.
func (v *verifier) before(a, b *node) bool {
	seen := map[*node]bool{b: true}
	stack := []*node{b}
	for len(stack) > 0 {
		top := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for _, d := range top.event.Prev {
			n := v.known[d]
			if n == a {
				return true
			}
			if n != nil && !seen[n] {
				seen[n] = true
				stack = append(stack, n)
			}
		}
	}
	return false
}

// takenOver looks for the receiver's word: a counter-signature on the same
// bytes, or received or refused among the children, by the person named as
// receiver and with a good signature.
func (v *verifier) takenOver(given *node, children []*node) bool {
	if to := given.event.To; to != nil && slices.Contains(v.checks[given].Witness, to.ID) {
		return true
	}
	for _, n := range children {
		if given.event.To != nil && given.event.To.ID != n.event.Actor.ID || n.event.Actor.ID == given.event.Actor.ID {
			continue
		}
		if v.checks[n].Signer != "" {
			return true
		}
	}
	return false
}

// takers lists the events that take an exhibit over, or refuse it, by what they
// follow.
func (v *verifier) takers() map[evidence.Digest][]*node {
	out := map[evidence.Digest][]*node{}
	for _, n := range v.nodes {
		if n.event.Kind == EventReceived || n.event.Kind == EventRefused {
			for _, d := range n.event.Prev {
				out[d] = append(out[d], n)
			}
		}
	}
	return out
}

// time: clocks against the order of the links. The links win; a clock that
// disagrees is a remark.
func (v *verifier) time(l *layer) Layer {
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
		if s, ok := v.proven[n]; ok && n.event.Time.UTC.Add(-uncertainty(n.event.Time)).After(s.at.Add(time.Second)) {
			l.find(n, VerdictVerified, "its clock reads %s, but it existed by %s, as %s proves", n.event.Time.UTC.Format(time.RFC3339), s.at.Format(time.RFC3339), s.by)
		}
		for _, d := range n.event.Prev {
			if p := v.known[d]; p != nil && p.err == nil {
				v.afterStamp(l, n, p)
			}
		}
		if n.event.Time.UTC.After(v.opt.Now.Add(24 * time.Hour)) {
			l.find(n, VerdictVerified, "its clock reads a day or more after this verification")
		}
	}
	good := "Clock times follow the order of events. They rest on the computers' own clocks: no outside time stamp proves them."
	switch {
	case v.stamped > 0 && len(l.Details) == 0:
		good = fmt.Sprintf("Clock times follow the order of events, and outside time stamps (%d) prove by when %d of %d events existed.", v.stamped, len(v.proven), len(v.nodes))
	case len(l.Details) > 0:
		good = "Clock times do not always follow the order of events, which rests on the links between them and not on clocks."
	}
	return l.done(good, "")
}

// afterStamp remarks on an event that claims to be older than a token over an
// event before it: it was written after that token was made.
func (v *verifier) afterStamp(l *layer, n, parent *node) {
	if v.opt.TokenTime == nil {
		return
	}
	for _, t := range parent.tokens {
		at, by, err := v.opt.TokenTime(t.data, parent.data)
		if err == nil && n.event.Kind == EventTimestamped && n.event.Time.UTC.Add(uncertainty(n.event.Time)).Before(at.Add(-time.Minute)) {
			l.find(n, VerdictVerified, "its clock reads before the time %s of the stamp by %s that it records", at.Format(time.RFC3339), by)
		}
	}
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
