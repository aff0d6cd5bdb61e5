package chainofcustody

import "strings"

// Sentence says in plain words what the event records: who did what, for
// whom, where, why, with what and with what result. It holds text as it
// stands in the event: escape it before showing it.
func (e Event) Sentence() string {
	var b strings.Builder
	b.WriteString(e.Actor.plain() + " " + e.Kind.phrase())
	if e.To != nil {
		b.WriteString(" " + e.Kind.toward() + " " + e.To.plain())
	}
	part := func(before, text string) {
		if text != "" {
			b.WriteString(before + text)
		}
	}
	part(" at ", e.Place)
	if e.Tool != nil {
		part(" with ", strings.TrimSpace(e.Tool.Name+" "+e.Tool.Ver))
	}
	b.WriteString(".")
	sentence := func(before, text string) {
		if text = strings.TrimRight(text, ". "); text != "" {
			b.WriteString(" " + before + text + ".")
		}
	}
	sentence("Purpose: ", e.Purpose)
	sentence("Authority: ", e.Authority)
	if e.Check != nil {
		sentence("Result: ", e.Check.Result)
	}
	sentence("Note: ", e.Note)
	return b.String()
}

// plain is a person as one would write it: name (role, organisation).
func (p Person) plain() string {
	name := p.Name
	if name == "" {
		name = p.ID
	}
	var more []string
	for _, s := range []string{p.Role, p.Org} {
		if s != "" {
			more = append(more, s)
		}
	}
	if len(more) > 0 {
		name += " (" + strings.Join(more, ", ") + ")"
	}
	return name
}

func (k EventKind) toward() string {
	switch k {
	case EventReceived, EventRefused:
		return "from"
	}
	return "to"
}

// phrase is the predicate of a sentence about an event of this kind.
func (k EventKind) phrase() string {
	switch k {
	case EventOrdered:
		return "ordered the collection"
	case EventArrived:
		return "arrived at the scene"
	case EventCollected:
		return "collected the evidence from its source"
	case EventSealed:
		return "sealed the exhibit"
	case EventInterrupted:
		return "recorded that the collection was interrupted"
	case EventRecovered:
		return "recovered what is proven of a damaged bundle"
	case EventCopied:
		return "made a working copy"
	case EventTransferred:
		return "handed the exhibit over"
	case EventReceived:
		return "received the exhibit"
	case EventRefused:
		return "refused to take the exhibit over"
	case EventStored:
		return "put the exhibit into storage"
	case EventVerified:
		return "checked the exhibit against its seal"
	case EventOpened:
		return "opened the exhibit for reading"
	case EventAnalysed:
		return "analysed the exhibit"
	case EventDerived:
		return "made another exhibit from this one"
	case EventExported:
		return "exported results"
	case EventDisclosed:
		return "disclosed parts of the exhibit"
	case EventReturned:
		return "returned the exhibit"
	case EventKeyChanged:
		return "changed to another signing key"
	case EventRevoked:
		return "declared a key no longer to be trusted"
	case EventCorrected:
		return "corrected an earlier event"
	case EventException:
		return "recorded an exception"
	case EventNoted:
		return "made a remark"
	case EventWitnessed:
		return "had the log witnessed"
	case EventTimestamped:
		return "had the log time-stamped"
	case EventClosed:
		return "closed the log"
	case EventDestroyed:
		return "destroyed the exhibit"
	}
	return "recorded “" + string(k) + "”"
}
