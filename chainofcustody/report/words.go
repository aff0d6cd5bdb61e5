package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
)

// count groups digits by thousands.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "−", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

func plural(n int64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	if stem, ok := strings.CutSuffix(word, "ry"); ok {
		return count(n) + " " + stem + "ries"
	}
	return count(n) + " " + word + "s"
}

// size is exact, with a rounded figure for reading aloud.
func size(n int64) string {
	units := []string{"kB", "MB", "GB", "TB", "PB"}
	if n < 1000 {
		return plural(n, "byte")
	}
	v, i := float64(n)/1000, 0
	for v >= 999.95 && i < len(units)-1 {
		v, i = v/1000, i+1
	}
	return fmt.Sprintf("%.1f %s (%s bytes)", v, units[i], count(n))
}

// tone is the colour of a verdict; the word stands beside it always.
func tone(v chainofcustody.Verdict) paper.Tone {
	switch v {
	case chainofcustody.VerdictVerified:
		return paper.Good
	case chainofcustody.VerdictVerifiedPrefix, chainofcustody.VerdictSignerUnknown, chainofcustody.VerdictTimeUnproven,
		chainofcustody.VerdictUnopened:
		return paper.Fair
	}
	return paper.Bad
}

// layerTone is tone, with remarks shown as such.
func layerTone(l Layer) paper.Tone {
	if l.Note && l.Verdict == chainofcustody.VerdictVerified {
		return paper.Fair
	}
	return tone(l.Verdict)
}

// answer is the one word of a layer's row.
func answer(l Layer) string {
	switch l.Verdict {
	case chainofcustody.VerdictVerified:
		if l.Note {
			return "see remark"
		}
		return "holds"
	case chainofcustody.VerdictVerifiedPrefix:
		return "holds in part"
	case chainofcustody.VerdictSignerUnknown, chainofcustody.VerdictTimeUnproven, chainofcustody.VerdictUnopened:
		return "not proven"
	case chainofcustody.VerdictDamaged:
		return "damaged"
	case chainofcustody.VerdictUnreadable:
		return "unreadable"
	}
	return "does not hold"
}

// headline is the first sentence of the report.
func (d *Data) headline() string {
	since := "it was sealed"
	if !d.Bundle.Sealed.IsZero() {
		since = "it was sealed on " + moment(d.Bundle.Sealed)
	}
	switch d.Verdict {
	case chainofcustody.VerdictVerified:
		return "Nothing in this exhibit has changed since " + since + "."
	case chainofcustody.VerdictVerifiedPrefix:
		return "The collection was interrupted. Nothing in the part this report speaks of has changed since its last signed checkpoint."
	case chainofcustody.VerdictTimeUnproven:
		return "Nothing in this exhibit has changed since " + since + ". Whether a signing key was valid at that moment is not proven."
	case chainofcustody.VerdictSignerUnknown:
		return "Nothing in this exhibit has changed since " + since + ". Not every signature belongs to a key known to this case."
	case chainofcustody.VerdictUnopened:
		return "This exhibit is encrypted and was not opened. Its file and its seal were compared with what was signed; what is inside was not checked."
	case chainofcustody.VerdictDamaged:
		return "Part of this exhibit or of its custody log is missing or unreadable."
	case chainofcustody.VerdictAltered:
		return "This exhibit or its custody log is not as it was signed. It has been altered since."
	}
	return "This exhibit could not be read. Nothing about it is proven."
}

// remark tells, beside the verdict, of gaps between the hands.
func remark(gaps int) string {
	switch gaps {
	case 0:
		return ""
	case 1:
		return "Custody has a gap: for one stretch of time no signed hand-over shows who held the exhibit (section\u00a03)."
	}
	return fmt.Sprintf("Custody has %d gaps: for these no signed hand-over shows who held the exhibit (section\u00a03).", gaps)
}

// proves lists what follows from the verdict, and only what follows.
func (d *Data) proves() []string {
	var out []string
	switch d.Verdict {
	case chainofcustody.VerdictDamaged, chainofcustody.VerdictAltered, chainofcustody.VerdictUnreadable:
		return []string{"Only what the table of checks marks “holds”. Because one or more checks failed, no statement is made about the exhibit as a whole."}
	case chainofcustody.VerdictUnopened:
		return []string{"Only what the table of checks marks “holds”. Nothing inside the encrypted exhibit was looked at, so no statement is made about its contents."}
	case chainofcustody.VerdictVerified, chainofcustody.VerdictVerifiedPrefix,
		chainofcustody.VerdictSignerUnknown, chainofcustody.VerdictTimeUnproven:
	default:
		return []string{"Nothing: the verdict of this report is not one its format knows."}
	}
	what := "all of the exhibit"
	if d.Verdict == chainofcustody.VerdictVerifiedPrefix {
		what = "the exhibit up to its last signed checkpoint"
	}
	by, missed := "one run of the collector sealed", "What was looked for and not obtained is part of the seal: absences, refusals and errors were recorded then and cannot have been added or dropped later."
	if d.Exhibit.Received != "" {
		by = "were sealed when it was taken in"
		missed = "What could not be taken out of what was received is part of the seal: damage and what was left out were recorded then and cannot have been added or dropped later."
	}
	out = append(out, "The bytes, names, times and other metadata in "+what+" are exactly those that "+by+". Nothing was changed, added or removed since.", missed)
	switch d.Bundle.Grade {
	case "A":
		out = append(out, "The key that sealed the exhibit was made for this run, and the examiner's own key signed it while the run took place.")
	case "B":
		out = append(out, "The key that sealed the exhibit came from a collection order that the examiner signed beforehand.")
	}
	if len(d.Events) > 0 {
		out = append(out, fmt.Sprintf("Each of the %s was signed with the key it names, in the order shown, and is unchanged since.", plural(int64(len(d.Events)), "custody event")))
	}
	if d.Bundle.SealCode != "" {
		out = append(out, "If the seal code "+d.Bundle.SealCode+" was written down when the exhibit was sealed, the paper proves that this is the same exhibit, whoever kept the file.")
	}
	return out
}

// outsideTime says what outside time stamps prove, "" where there are none.
func (d *Data) outsideTime() string {
	proven := 0
	var seal *Event // the proven entry that bounds the time of sealing most closely
	for i := range d.Events {
		e := &d.Events[i]
		if e.Proven.IsZero() {
			continue
		}
		proven++
		if e.Seal != "" && e.Seal == d.Bundle.SealID && (seal == nil || e.Proven.Before(seal.Proven)) {
			seal = e
		}
	}
	if proven == 0 {
		return ""
	}
	s := fmt.Sprintf("Outside time stamps prove that %d of the %s of the custody log existed by the times that annex D states beside them", proven, plural(int64(len(d.Events)), "entry"))
	if seal != nil {
		s += "; an entry that names this seal, and so the seal itself, existed by " + moment(seal.Proven) + ", as " + seal.ProvenBy + " proves"
	}
	return s + "."
}

// doesNotProve is never empty: no format can prove these.
func (d *Data) doesNotProve() []string {
	out := []string{
		"That the machine told the truth. A machine under an intruder's control can show the collector false data.",
		"That nothing relevant exists beyond what was looked at. The scope is listed under “What was collected”.",
		"Which human being used a key. A signature shows the key, not the hand.",
		"That nobody has read or copied the exhibit in secret.",
		"What the evidence means. This report speaks of authenticity only, not of relevance, hearsay or admissibility.",
	}
	if d.Exhibit.Received != "" {
		out = append(out, "Anything about the time before it was taken in. It was received, not collected: whether "+d.Exhibit.Received+
			" is what its host had, how it was made and who had it until then rests on the word of those who made and gave it.")
	}
	stamped := slices.ContainsFunc(d.Events, func(e Event) bool { return e.Kind == string(chainofcustody.EventTimestamped) })
	switch {
	case d.outsideTime() == "" && stamped:
		out = append(out, "That the clocks were right. The time of sealing and of each event rests on the computers' own clocks; what the log says of outside time stamps is not proven here.")
	case d.outsideTime() == "":
		out = append(out, "That the clocks were right. The time of sealing and of each event rests on the computers' own clocks; no outside time stamp is on record.")
	default:
		out = append(out, "That the clocks were right. An outside time stamp proves that something existed by a time, never that it did not exist before; when exactly the seal and each entry were made rests on the computers' own clocks.")
	}
	if d.Bundle.Grade == "C" || d.Bundle.Grade == "" {
		out = append(out, "That a particular examiner made the seal. Nobody's key vouched for the sealing key during the run; the link to a person is the seal code noted at the time and the signed custody events.")
	}
	switch {
	case d.Exhibit.Complete:
	case d.Exhibit.Received != "":
		out = append(out, "That all of what was received is in it. Taking it in ended early"+reason(d.Exhibit.EndReason)+".")
	default:
		out = append(out, "That everything asked for was looked at. The collection ended early"+reason(d.Exhibit.EndReason)+".")
	}
	if len(d.Events) > 0 {
		out = append(out, "That no later custody event was removed from the end of the log, unless its last entry (annex A) is compared with a copy, a receipt or a note kept by somebody else.")
	}
	return out
}

func reason(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// question is a layer's name as a question. The names are those of
// chainofcustody's layers and of a bundle's verification; others are shown as
// they are.
func question(l Layer) string {
	custody := map[string]string{
		chainofcustody.LayerFiles:      "Is the custody log complete and readable?",
		chainofcustody.LayerSignatures: "Is every custody event as it was signed?",
		chainofcustody.LayerSigners:    "Are the signers known?",
		chainofcustody.LayerLinks:      "Is the chain of events unbroken?",
		chainofcustody.LayerEnd:        "Does the log reach its true end?",
		chainofcustody.LayerHandovers:  "Did both sides sign each hand-over?",
		chainofcustody.LayerTime:       "Do the clocks agree with the order?",
		chainofcustody.LayerExhibit:    "Does the log speak of this bundle?",
	}
	bundle := map[string]string{
		"container":   "Is the sealed file complete?",
		"tar":         "Is the archive inside it well formed?",
		"contents":    "Is every item what its record says?",
		"records":     "Is every record what was sealed?",
		"checkpoints": "Do the checkpoints signed on the way hold?",
		"seal":        "Is the seal's signature good?",
		"signer":      "Is it known who sealed it?",
		"certificate": "Does the certificate for the key of the run hold?",
		"order":       "Did the run keep to its collection order?",
		"time":        "Was the sealing key valid at that time?",
	}
	q := bundle[l.Name]
	if l.Subject == "custody" {
		q = custody[l.Name]
	}
	if q == "" {
		q = capital(strings.TrimSpace(l.Name))
	}
	return q
}

// sentence makes of a clause what can stand alone on paper.
func sentence(s string) string {
	s = capital(s)
	if s == "" || strings.HasSuffix(s, ".") || strings.HasSuffix(s, "?") || strings.HasSuffix(s, "…") {
		return s
	}
	return s + "."
}

func capital(s string) string {
	if word, _, _ := strings.Cut(s, " "); strings.ContainsAny(word, "@/._") {
		return s // an id or a path keeps its spelling
	}
	first, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(first)) + s[n:]
}
