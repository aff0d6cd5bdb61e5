package chainofcustody

// Verdict is the outcome of a verification: never a bare "OK".
type Verdict string

// The verdicts, from best to worst.
const (
	VerdictVerified       Verdict = "VERIFIED"              // all of it is what was signed, by known keys
	VerdictVerifiedPrefix Verdict = "VERIFIED-PREFIX"       // interrupted; proven up to a checkpoint
	VerdictTimeUnproven   Verdict = "INTACT-TIME-UNPROVEN"  // intact, but trust hangs on an unproven time
	VerdictSignerUnknown  Verdict = "INTACT-SIGNER-UNKNOWN" // intact, but not all keys are known
	VerdictUnopened       Verdict = "UNOPENED"              // encrypted, and nobody looked inside
	VerdictDamaged        Verdict = "DAMAGED"               // something is missing or unreadable
	VerdictAltered        Verdict = "ALTERED"               // something is not what was signed
	VerdictUnreadable     Verdict = "UNREADABLE"            // nothing to judge
)

// ExitCode is the verdict in the program's table of exit codes.
func (v Verdict) ExitCode() int {
	switch v {
	case VerdictVerified:
		return 0
	case VerdictVerifiedPrefix:
		return 3
	case VerdictSignerUnknown, VerdictTimeUnproven, VerdictUnopened:
		return 5
	case VerdictDamaged, VerdictAltered:
		return 4
	}
	return 1
}

func (v Verdict) weight() int {
	for i, w := range []Verdict{
		VerdictVerified, VerdictVerifiedPrefix, VerdictTimeUnproven, VerdictSignerUnknown,
		VerdictUnopened, VerdictDamaged, VerdictAltered, VerdictUnreadable,
	} {
		if v == w {
			return i
		}
	}
	return 8 // a verdict we do not know is graver than any we know
}

// Worse returns the graver of two verdicts.
func (v Verdict) Worse(w Verdict) Verdict {
	if w.weight() > v.weight() {
		return w
	}
	return v
}

// Sentence says for people who were not there what the verdict means.
func (v Verdict) Sentence() string {
	switch v {
	case VerdictVerified:
		return "Everything is as it was signed, and every signature belongs to a known key."
	case VerdictVerifiedPrefix:
		return "The work was interrupted. Everything up to the last signed checkpoint is as it was signed."
	case VerdictTimeUnproven:
		return "Everything is as it was signed, but whether a key was valid at the time rests on an unproven clock."
	case VerdictSignerUnknown:
		return "Everything is as it was signed, but not every signature belongs to a known key."
	case VerdictUnopened:
		return "The bundle is encrypted and was not opened: nothing seen from outside contradicts, and nothing inside was checked."
	case VerdictDamaged:
		return "Something is missing or cannot be read. What remains is judged piece by piece."
	case VerdictAltered:
		return "Something is not as it was signed."
	}
	return "There is nothing here that can be judged."
}
