package chainofcustody

import (
	"errors"
	"fmt"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Report is what VerifyCustody found: one verdict, one layer per question,
// one line per event.
type Report struct {
	Exhibit string
	Verdict Verdict
	Layers  []Layer
	Events  []EventCheck
	Heads   []evidence.Digest // last events of all branches, ascending
}

// Names of the layers, in the order of Report.Layers.
const (
	LayerFiles      = "files"      // every event is there, whole and under its own name
	LayerSignatures = "signatures" // every event is what its signer signed
	LayerSigners    = "signers"    // every signer is known and named rightly
	LayerLinks      = "links"      // every event names its predecessors, which are there
	LayerEnd        = "end"        // the log is not cut at its end, as far as known heads tell
	LayerHandovers  = "hand-overs" // both sides of every hand-over signed
	LayerTime       = "time"       // clocks agree with the order of events
	LayerExhibit    = "exhibit"    // the log speaks of the bundle at hand
)

// Layer is the answer to one question, as a sentence for people.
type Layer struct {
	Name     string
	Verdict  Verdict
	Sentence string
	Details  []string // one line per finding
	Note     bool     // there is a remark or a limit that does not lower the verdict
}

// EventCheck is one event with what is wrong with it.
type EventCheck struct {
	Event
	Verdict  Verdict   // the gravest of what was found about this event
	Signed   bool      // the key that Actor.Key names signed exactly these bytes
	Signer   string    // principal of the key that signed; "" when not known
	Witness  []string  // ids of known people who counter-signed the same bytes
	Proven   time.Time // existed by then, by an outside time stamp; zero: not proven
	ProvenBy string
	Problems []string // empty: nothing found
}

// VerifyOptions says what a log is compared with.
type VerifyOptions struct {
	// Signers decides which keys are known; nil: the case's own file. Use a
	// list from elsewhere where the folder's keeper is not to be trusted.
	Signers AllowedSigners
	// KnownHeads are hashes of events noted elsewhere: on paper, in an older
	// report, in a receipt. A log that lacks one was cut or replaced.
	KnownHeads []evidence.Digest
	// Bundle is the exhibit's bundle as found now; nil: not compared.
	Bundle *BundleFacts
	// TokenTime reads RFC 3161 time stamps beside events; nil: not read.
	TokenTime TokenTime
	// Now is the moment of verification; zero: this computer's clock.
	Now time.Time
}

// BundleFacts identify a bundle as it lies there.
type BundleFacts struct {
	Seal        evidence.Digest // seal id
	OuterSHA256 evidence.Digest // of the file; zero: not hashed
	Size        int64           // of the file
}

// VerifyCustody checks the custody log of an exhibit. It reads and never
// writes. The error is for a case that cannot be read at all, or holds a signed
// event of a newer version (ErrNewerSchema); whatever is wrong with the log is
// in the Report.
func (c *Case) VerifyCustody(exhibit string, opt VerifyOptions) (Report, error) {
	signers, err := opt.Signers, error(nil)
	if signers == nil {
		if signers, err = c.Signers(); err != nil {
			return Report{}, fmt.Errorf("verify custody of %s: %w", exhibit, err)
		}
	}
	if opt.Now.IsZero() {
		opt.Now = time.Now()
	}
	l, err := c.readLog(exhibit)
	if err != nil {
		return Report{}, fmt.Errorf("verify custody of %s: %w", exhibit, err)
	}
	for _, n := range l.nodes {
		if !errors.Is(n.err, ErrNewerSchema) {
			continue
		}
		// Only a signature tells an event of a newer version from a changed one.
		if _, err := Verify(NamespaceCustody, n.data, n.sig); err == nil {
			return Report{}, fmt.Errorf("verify custody of %s: %s: %w", exhibit, n.file, n.err)
		}
	}
	v := verifier{c: c, exhibit: exhibit, opt: opt, signers: signers, log: l}
	return v.run(), nil
}

// verifier gathers findings layer by layer.
type verifier struct {
	c       *Case
	exhibit string
	opt     VerifyOptions
	signers AllowedSigners
	log     *logFiles
	nodes   []*node // readable, in order
	checks  map[*node]*EventCheck
	known   map[evidence.Digest]*node
	byKey   map[string]AllowedSigners // the lines of one key
	proven  map[*node]stamp           // by when an event existed, by outside proof
	stamped int                       // time stamps that hold
}

func (v *verifier) run() Report {
	r := Report{Exhibit: v.exhibit, Verdict: VerdictVerified}
	v.nodes = v.log.ordered()
	v.byKey = map[string]AllowedSigners{}
	for _, s := range v.signers {
		blob := string(s.Key.Marshal())
		v.byKey[blob] = append(v.byKey[blob], s)
	}
	v.checks = make(map[*node]*EventCheck, len(v.nodes))
	v.known = make(map[evidence.Digest]*node, len(v.log.nodes))
	for _, n := range v.log.nodes {
		v.known[n.digest] = n
	}
	for _, n := range v.nodes {
		v.checks[n] = &EventCheck{Event: n.event, Verdict: VerdictVerified}
	}
	if len(v.log.nodes) == 0 && len(v.log.orphans) == 0 {
		r.Layers = []Layer{{Name: LayerFiles, Verdict: VerdictUnreadable, Sentence: "The log of this exhibit holds no event."}, v.end()}
		r.Verdict = VerdictUnreadable
		if r.Layers[1].Verdict != VerdictVerified {
			r.Verdict = r.Layers[1].Verdict // emptied, which is more than empty
		}
		return r
	}
	clock := v.layer(LayerTime)
	v.proven = v.stamps(clock)
	signatures, signers := v.signatures()
	r.Layers = []Layer{v.files(), signatures, signers, v.links(), v.end(), v.handovers(), v.time(clock)}
	if v.opt.Bundle != nil {
		r.Layers = append(r.Layers, v.bundle())
	}
	for _, layer := range r.Layers {
		r.Verdict = r.Verdict.Worse(layer.Verdict)
	}
	for _, n := range v.nodes {
		if s, ok := v.proven[n]; ok {
			v.checks[n].Proven, v.checks[n].ProvenBy = s.at, s.by
		}
		r.Events = append(r.Events, *v.checks[n])
	}
	r.Heads = v.log.heads()
	return r
}

// layer collects findings of one question.
type layer struct {
	Layer
	v *verifier
}

func (v *verifier) layer(name string) *layer {
	return &layer{Layer{Name: name, Verdict: VerdictVerified}, v}
}

// find adds a finding, to the event's own list too where it is about one.
func (l *layer) find(n *node, verdict Verdict, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.Verdict = l.Verdict.Worse(verdict)
	if n != nil {
		if check := l.v.checks[n]; check != nil {
			check.Problems = append(check.Problems, text)
			check.Verdict = check.Verdict.Worse(verdict)
		}
		text = n.file + ": " + text
	}
	l.Details = append(l.Details, text)
}

// done picks the sentence: good where nothing lowered the verdict.
func (l *layer) done(good, bad string) Layer {
	l.Sentence = good
	if l.Verdict != VerdictVerified {
		l.Sentence = bad
	} else {
		l.Note = l.Note || len(l.Details) > 0
	}
	return l.Layer
}
