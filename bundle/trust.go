package bundle

import (
	"time"

	"golang.org/x/crypto/ssh"
)

// trust settles whose signature it is and draws the verdict.
func (c *conclusion) trust() {
	r := c.report
	at := r.Finished
	if at.IsZero() {
		at = r.Started
	}
	known, timely := c.signer(at)
	removed, timelyRemoved := c.erasers()
	switch {
	case r.wrong || r.AlteredItems > 0:
		r.Verdict = Altered
	case c.notBundle, c.proven == 0 && (!r.damaged || r.Records == 0 && r.Checkpoints == 0): // nothing in it is ours
		r.Verdict = Unreadable
	case r.damaged || r.DamagedItems > 0 || r.LostRecords > 0:
		r.Verdict = Damaged
	case known && !removed: // taken out by somebody who may not
		r.Verdict, c.stolen = Damaged, true
	case !known:
		r.Verdict = SignerUnknown
	case !timely || !timelyRemoved:
		r.Verdict = TimeUnproven
	case r.Prefix || !r.Sealed || c.recovery || r.ErasedItems > 0:
		r.Verdict = VerifiedPrefix
	default:
		r.Verdict = Verified
	}
	if c.notBundle {
		r.Verdict = Unreadable
	}
	c.sentences()
}

// signer asks who stands behind the run's key, and whether that holds without
// believing the time in the bundle.
func (c *conclusion) signer(at time.Time) (known, timely bool) {
	r := c.report
	if c.proven == 0 {
		r.layer("signer", "unknown", "nothing is proven")
		return false, false
	}
	if c.opt.Confirmed != nil {
		if by, ok := c.opt.Confirmed(c.signed); ok {
			r.Signer, r.SignedBy, c.confirmed = by, "confirmation of the seal", true
			r.layer("signer", "ok", by+" vouches for this seal")
			return true, true
		}
	}
	behind := bond{key: c.sshKey, how: "the run's own key"}
	name, ok := c.trusted(behind.key, at)
	for _, b := range c.bonds() {
		if !ok {
			behind = b
			name, ok = c.trusted(b.key, at)
		}
	}
	if !ok {
		r.layer("signer", "unknown", "no trusted key stands behind "+r.Key)
		return false, false
	}
	r.Signer, r.SignedBy = plainText(name), behind.how
	r.layer("signer", "ok", r.Signer+", by "+behind.how)
	return true, c.timely(behind)
}

func (c *conclusion) trusted(key ssh.PublicKey, at time.Time) (string, bool) {
	if c.opt.Trusted == nil {
		return "", false
	}
	return c.opt.Trusted(key, at)
}

// timely reports whether the key is trusted, and what it vouches by holds, at
// a time that does not rest on the bundle's own word: a proven time, or now.
// Whoever keeps the one-time key of an order could write an earlier start
// after its certificate has ended.
func (c *conclusion) timely(behind bond) bool {
	r := c.report
	at, by := time.Now(), "the present"
	if c.opt.Now != nil {
		at = c.opt.Now()
	}
	if c.opt.TimeProof != nil {
		if t, who, ok := c.opt.TimeProof(c.signed); ok {
			at, by = t, who
		}
	}
	if behind.ended(at) {
		r.layer("time", "unknown", "the certificate for the key of the run ended at "+behind.until.Format(time.RFC3339)+", and nothing else proves that the seal is older")
		return false
	}
	if _, ok := c.trusted(behind.key, at); !ok {
		r.layer("time", "unknown", "the key is trusted at the time that the bundle states, and nothing else proves that time")
		return false
	}
	r.layer("time", "ok", "the key is trusted at "+by)
	return true
}

// unchanged says how much is as it was signed, without a full stop.
func (c *conclusion) unchanged() string {
	switch {
	case !c.report.Sealed:
		return "The collection was interrupted. Everything up to its last signed checkpoint is unchanged"
	case c.report.ErasedItems > 0:
		return "What is left in this bundle has not changed since it was sealed"
	case c.report.Prefix:
		return "The end of the file was lost after sealing, but the seal and everything it covers is unchanged"
	}
	return "Nothing in this bundle has changed since it was sealed"
}

// gradeSentence says how the key of the run is tied to the person named.
var gradeSentence = map[Grade]string{
	GradeAttended:   "Grade A: the examiner attended, there or over a connection, and the examiner's key signed for the key of this run.",
	GradeDelegated:  "Grade B: sealed with a one-time key that the examiner certified beforehand; whoever held the order's folder could use it.",
	GradeUnattended: "Grade C: no examiner's key was at hand; only the seal code on paper or a receipt ties this seal to a person.",
}

// sentences puts the verdict into plain words.
func (c *conclusion) sentences() {
	r := c.report
	if r.ErasedItems > 0 && r.Verdict != Altered && r.Verdict != Unreadable && !c.stolen {
		r.say("%d items were erased from this bundle: it is not whole.", r.ErasedItems)
	}
	switch r.Verdict {
	case Verified:
		if c.confirmed {
			r.say("Nothing in this bundle has changed since it was sealed. For the seal stands %s.", r.Signer)
			break
		}
		r.say("Nothing in this bundle has changed since %s sealed it.", r.Signer)
	case VerifiedPrefix:
		r.say("%s, signed by %s.", c.unchanged(), r.Signer)
	case SignerUnknown:
		r.say("%s, but nobody you trust is known to have signed it.", c.unchanged())
		if r.Sealed { // the code of a checkpoint was never shown to anybody
			r.say("Compare the seal code %s with the one written down at the scene.", r.SealCode)
		}
	case TimeUnproven:
		r.say("%s. That %s stands behind it is so only if the time stated in the bundle is true, and nothing outside proves it.", c.unchanged(), r.Signer)
	case Damaged:
		if c.stolen {
			r.say("Items were taken out of this bundle by somebody you do not know. %s.", c.unchanged())
			break
		}
		r.say("Parts of this bundle are lost. %d items are whole and agree with their records; %d are damaged.", r.Contents, r.DamagedItems)
	case Altered:
		if c.rewritten {
			r.say("This is not the bundle of the checkpoint that was kept elsewhere: it was written again, or is another one.")
			break
		}
		r.say("This bundle is not as it was sealed: something was changed, added or removed.")
	case Unreadable:
		if c.notBundle || c.walk.size == 0 || c.walk.frames.len() == 0 {
			r.say("This is not an evidence bundle, or nothing of one can be read.")
		} else {
			r.say("The file ends before the first signed checkpoint: nothing in it is proven.")
		}
		return
	}
	c.erasureSentences()
	if r.Form != "" {
		r.say("This is a converted file (%s). What is said here is said of the tar inside it, which is that of the bundle; the file has another SHA-256 than the one that was sealed.", r.Form)
	}
	if r.Prefix && r.Verdict != VerifiedPrefix {
		r.say("The end of the bundle is missing.")
	}
	r.say("%d records are proven by the signature.", r.Proven)
	if r.Unproven > 0 || (r.Unsealed > 0 && r.Prefix) {
		r.say("%d further records and %d further files are present but not covered by any signature.", r.Unproven, r.Unsealed)
	}
	if r.UnreadItems > 0 {
		r.say("%d items could not be read whole when they were collected: zeros stand for at least %d bytes, and each record says which.", r.UnreadItems, r.UnreadBytes)
	}
	if r.LostRecords > 0 {
		r.say("%d records are lost.", r.LostRecords)
	}
	if known := r.Verdict == Verified || r.Verdict == VerifiedPrefix || r.Verdict == TimeUnproven; known && !c.confirmed {
		if c.header.Profile == ProfileReceived && r.Grade == GradeAttended {
			r.say("Grade A: whoever took this in signed for the key of its seal.")
		} else {
			r.say("%s", gradeSentence[r.Grade])
		}
	}
	if c.trouble != "" {
		r.say("%s", c.trouble)
	}
	if c.jobSays != "" {
		r.say("%s", c.jobSays)
	}
	if r.Reason != "" && !r.Complete {
		r.say("The run did not look at everything it was asked for: %s.", r.Reason)
	}
}
