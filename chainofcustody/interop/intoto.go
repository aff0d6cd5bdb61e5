package interop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// PredicateType names the predicate of an in-toto statement: a custody log and
// what its verification found.
const PredicateType = Vocabulary + "in-toto-predicate"

// ErrOneExhibit says that a format speaks of one exhibit at a time.
var ErrOneExhibit = errors.New("the format holds one exhibit")

// InToto writes one exhibit's custody log as an in-toto Statement v1, not
// signed. Its subjects are the bundle at hand where the log agrees with it,
// bundles and seals by what proven events state, and the last events of the
// log. The predicate holds each event as it was signed.
func InToto(l Log) ([]byte, error) {
	if len(l.Exhibits) != 1 {
		return nil, fmt.Errorf("in-toto: %w, not %d", ErrOneExhibit, len(l.Exhibits))
	}
	x := &l.Exhibits[0]
	var events []any
	for i := range x.Report.Events {
		ev, err := predicateEvent(&x.Report.Events[i])
		if err != nil {
			return nil, fmt.Errorf("in-toto: %w", err)
		}
		events = append(events, ev)
	}
	exhibit := object{
		"number": x.Report.Exhibit, "verdict": string(x.Report.Verdict), "findings": findings(x.Report), "events": events,
	}
	if b := x.Bundle; b != nil {
		hand := object{"name": b.Name, "size": b.Size}
		putDigest(hand, "outer_sha256", b.OuterSHA256)
		putDigest(hand, "seal", b.Seal)
		exhibit["at_hand"] = hand
	}
	about := object{"id": l.Case.ID}
	put(about, "title", l.Case.Title)
	put(about, "org", l.Case.Org)
	put(about, "authority", l.Case.Authority)
	put(about, "purpose", l.Case.Purpose)
	return marshal(object{
		"_type": "https://in-toto.io/Statement/v1", "predicateType": PredicateType, "subject": subjects(x),
		"predicate": object{"case": about, "exhibit": exhibit, "statement_signed": false},
	})
}

// subjects are what the statement is about. A digest that only an unproven
// event states is none.
func subjects(x *Exhibit) []any {
	var list []any
	seen := map[string]bool{}
	add := func(name string, d evidence.Digest) {
		if key := name + d.String(); !d.IsZero() && !seen[key] {
			seen[key] = true
			list = append(list, object{"name": name, "digest": object{"sha256": d.String()}})
		}
	}
	if b := x.Bundle; b != nil && agreed(x) {
		add(b.Name, b.OuterSHA256)
		add("seal.txt", b.Seal)
	}
	for i := range x.Report.Events {
		if e := &x.Report.Events[i]; proven(e) {
			add("bundle of "+e.Exhibit, e.OuterSHA256)
			add("seal.txt", e.Seal)
		}
	}
	for _, h := range x.Report.Heads {
		add("last event of "+x.Report.Exhibit, h)
	}
	return list
}

// agreed reports whether the log was compared with the bundle at hand and
// speaks of it.
func agreed(x *Exhibit) bool {
	return slices.ContainsFunc(x.Report.Layers, func(l chainofcustody.Layer) bool {
		return l.Name == chainofcustody.LayerExhibit && l.Verdict == chainofcustody.VerdictVerified
	})
}

// predicateEvent is an event as it was signed, beside what is known of it.
func predicateEvent(e *chainofcustody.EventCheck) (object, error) {
	line, err := e.Encode()
	if err != nil {
		return nil, err
	}
	o := object{
		"record": json.RawMessage(bytes.TrimSuffix(line, []byte("\n"))), "digest": e.Digest.String(), "number": e.Number, "file": e.File,
		"verdict": string(e.Verdict), "signed": e.Signed, "signer": e.Signer, "statement": sentence(e),
	}
	if len(e.Witness) > 0 {
		o["witness"] = e.Witness
	}
	if !e.Proven.IsZero() {
		o["proven"], o["proven_by"] = utc(e.Proven), e.ProvenBy
	}
	if len(e.Problems) > 0 {
		o["problems"] = e.Problems
	}
	return o, nil
}
