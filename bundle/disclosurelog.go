package bundle

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

const (
	eventSuffix   = ".json"
	sigFileSuffix = ".json.sig"
	counterSuffix = ".countersig"
	leafRef       = "leaf:" // of a record, in the references of an event
)

// log checks the custody log that is attached: each event as its signer
// signed it and under its own name and number, all predecessors there, one beginning, one
// end, and that end the disclosure of exactly this package.
func (a *disclosureAudit) log(st *statement, sums evidence.Digest) error {
	events := map[evidence.Digest]*chainofcustody.Event{}
	named := map[evidence.Digest]bool{}
	files := 0
	var first *chainofcustody.Event
	for i := range a.members {
		name, ok := strings.CutPrefix(a.members[i].name, disclosedCustody)
		if !ok {
			continue
		}
		if files++; !strings.HasSuffix(name, eventSuffix) {
			if err := a.companion(name); err != nil {
				return fmt.Errorf("custody log: %s: %w", name, err)
			}
			continue
		}
		ev, err := a.event(name)
		if err != nil {
			return fmt.Errorf("custody log: %s: %w", name, err)
		}
		if first == nil {
			first = ev
		}
		if ev.Case != first.Case || ev.Exhibit != first.Exhibit {
			return fmt.Errorf("custody log: %s is of another exhibit", name)
		}
		events[ev.Digest] = ev
		for _, d := range ev.Prev {
			named[d] = true
		}
	}
	if files == 0 {
		return nil
	}
	beginnings, ends := 0, 0
	for digest, ev := range events {
		if len(ev.Prev) == 0 {
			beginnings++
		}
		number := 1
		for _, d := range ev.Prev {
			before := events[d]
			if before == nil {
				return fmt.Errorf("custody log: predecessor %s is missing", d)
			}
			number = max(number, before.Number+1)
		}
		if ev.Number != number {
			return fmt.Errorf("custody log: event %d stands under the number %d", number, ev.Number)
		}
		if !named[digest] {
			ends++
			if err := a.disclosing(ev, st, sums); err != nil {
				return err
			}
		}
	}
	if beginnings != 1 || ends != 1 {
		return fmt.Errorf("custody log: %d beginnings and %d ends", beginnings, ends)
	}
	a.report.Custody = len(events)
	return nil
}

// event reads one event and its signature.
func (a *disclosureAudit) event(name string) (*chainofcustody.Event, error) {
	data, err := a.need(disclosedCustody+name, chainofcustody.MaxEventSize)
	if err != nil {
		return nil, err
	}
	ev, err := chainofcustody.ParseEvent(data)
	if err != nil {
		return nil, err
	}
	number, ok := strings.CutSuffix(name, fmt.Sprintf("-%s-%s%s", ev.Kind, ev.Digest.String()[:12], eventSuffix))
	if ev.Number, err = strconv.Atoi(number); !ok || err != nil || fmt.Sprintf("%04d", ev.Number) != number {
		return nil, fmt.Errorf("the name is not that of the event")
	}
	sig, err := a.need(disclosedCustody+name+".sig", maxDisclosedFile)
	if err != nil {
		return nil, err
	}
	key, err := chainofcustody.Verify(chainofcustody.NamespaceCustody, data, sig)
	if err != nil {
		return nil, err
	}
	if chainofcustody.Fingerprint(key) != ev.Actor.Key {
		return nil, fmt.Errorf("signed by another key than the event names")
	}
	if who, ok := a.person(key, ev.Time.UTC); ok && who == ev.Actor.ID {
		a.report.Known++
	}
	return &ev, nil
}

// companion checks a file beside an event: its signature, which event has
// read, or the counter-signature of somebody else.
func (a *disclosureAudit) companion(name string) error {
	if event, ok := strings.CutSuffix(name, sigFileSuffix); ok && a.byName[disclosedCustody+event+eventSuffix] != nil {
		return nil
	}
	at := strings.Index(name, eventSuffix+".")
	if at < 0 || !strings.HasSuffix(name, counterSuffix) {
		return fmt.Errorf("the file does not belong to an event")
	}
	data, err := a.need(disclosedCustody+name[:at]+eventSuffix, chainofcustody.MaxEventSize)
	if err != nil {
		return err
	}
	sig, err := a.need(disclosedCustody+name, maxDisclosedFile)
	if err != nil {
		return err
	}
	_, err = chainofcustody.Verify(chainofcustody.NamespaceCustody, data, sig)
	return err
}

// disclosing checks that an event is the one by which this package was given:
// it names the seal, the list of members, and what the statement says, too.
func (a *disclosureAudit) disclosing(ev *chainofcustody.Event, st *statement, sums evidence.Digest) error {
	named := slices.Contains(ev.Attach, chainofcustody.Attachment{Name: SumsName, SHA256: sums})
	if ev.Kind != chainofcustody.EventDisclosed || ev.Seal != a.seal.ID || !named {
		return fmt.Errorf("custody log: its end is not the disclosure of this package")
	}
	if ev.To == nil || ev.To.ID != st.to || ev.Authority != st.basis {
		return fmt.Errorf("custody log: its end names another recipient or basis than the package")
	}
	leaves := map[string]bool{}
	for _, ref := range ev.Refs {
		if strings.HasPrefix(ref, leafRef) {
			leaves[ref] = true
		}
	}
	for _, rec := range st.records {
		if !leaves[leafRef+strconv.FormatInt(rec.leaf, 10)] {
			return fmt.Errorf("custody log: its end does not name record %d", rec.leaf)
		}
	}
	if len(leaves) != len(st.records) {
		return fmt.Errorf("custody log: its end names other records than the package holds")
	}
	return nil
}
