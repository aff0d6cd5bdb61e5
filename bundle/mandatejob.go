package bundle

import (
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// job checks the job file that told the collector what to do, where the header
// holds one: its signature, and whether the run kept to it. It proves nothing
// of what was collected, so the verdict does not rest on it; it is told in a
// layer and a sentence.
func (c *conclusion) job() {
	file, r := c.header.Options[OptionJob], c.report
	if file == "" {
		return
	}
	j, key, err := chainofcustody.VerifyJob([]byte(file), []byte(c.header.Options[OptionJobSignature]))
	if err != nil {
		r.layer("job", "failed", plainText(err.Error()))
		c.jobSays = "The job file that this bundle states does not hold: " + plainText(err.Error()) + "."
		return
	}
	r.Job = j.Digest.String()
	use := chainofcustody.JobUse{
		Case: c.header.Case, Exhibit: c.header.Exhibit, At: c.header.Started, Recipients: c.header.Recipients,
		Program: headerDigest(c.header.Options[OptionProgram]), Selection: headerDigest(c.header.Options[OptionSelection]),
		Order: headerDigest(c.header.Order),
	}
	if use.Program.IsZero() {
		use.Program = headerDigest(c.header.Tool.SHA256)
	}
	d := j.Departures(use)
	if o := c.mandated; o != nil && j.Signer.Key != o.Examiner.Key && j.Signer.Key != o.Key {
		d = append(d, "neither the examiner of the order nor its one-time key signed it")
	}
	r.JobDepartures = d
	who, ok := "", false
	if c.opt.Trusted != nil {
		who, ok = c.opt.Trusted(key, c.header.Started)
	}
	if !ok && c.mandated != nil && j.Signer.Key == c.mandated.Key {
		who, ok = "the one-time key of the order", true
	}
	switch {
	case len(d) > 0:
		text := plainText(strings.Join(d, "; "))
		r.layer("job", "failed", "the run departs from its job file: "+text)
		c.jobSays = "The run departs from its job file: " + text + "."
	case !ok:
		r.layer("job", "unknown", "the run kept to its job file, but nobody you trust is known to have signed it")
		c.jobSays = "Nobody you trust is known to have signed the job file that told the collector what to do; its signature is of the key " + j.Signer.Key + "."
	default:
		r.layer("job", "ok", "the run kept to the job file that "+plainText(who)+" signed")
		c.jobSays = "The collector ran as the job file told it that " + plainText(who) + " signed."
	}
}

// headerDigest reads a digest that a header states; zero where it is none.
func headerDigest(text string) evidence.Digest {
	d, err := evidence.ParseDigest(text)
	if err != nil {
		return evidence.Digest{}
	}
	return d
}
