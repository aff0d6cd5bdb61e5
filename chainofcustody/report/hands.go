package report

import (
	"fmt"
	"slices"
	"time"
)

// hand is a stretch of time in which the log shows the exhibit with one
// person, or a gap between two.
type hand struct {
	Who      string
	ID       string
	From, To time.Time
	Open     bool // the last one: nobody has taken over since
	Gap      bool
	Sentence string
	Acts     []time.Time
}

// watching are acts that do not show who holds the exhibit.
var watching = []string{"ordered", "arrived", "witnessed", "timestamped", "key-changed", "revoked"}

// handsOf reads from the log who held the exhibit. Somebody who acts on it
// without a hand-over that both sides signed leaves a gap.
func handsOf(events []Event) []hand {
	var hands []hand
	var given *Event // the last hand-over not yet taken over
	for i := range events {
		e := &events[i]
		if slices.Contains(watching, e.Kind) {
			continue
		}
		last := len(hands) - 1
		switch {
		case last < 0:
			hands = append(hands, newHand(e))
		case hands[last].ID == e.ActorID:
			hands[last].Acts = append(hands[last].Acts, e.Time)
			hands[last].To = e.Time
		case given != nil && e.Kind == "received" && (given.To == "" || given.To == e.ActorID):
			hands[last].To = given.Time
			hands = append(hands, hand{
				Who: "In transit", From: given.Time, To: e.Time,
				Sentence: fmt.Sprintf("The exhibit was in transit from %s to %s; both parties signed.", moment(given.Time), moment(e.Time)),
			}, newHand(e))
			given = nil
		default:
			hands = append(hands, hand{
				Who: "Gap", Gap: true, From: hands[last].To, To: e.Time,
				Sentence: fmt.Sprintf("No hand-over signed by both sides is recorded between the last act of %s (%s) and the first act of %s (%s).",
					hands[last].Who, moment(hands[last].To), nameOf(e), moment(e.Time)),
			}, newHand(e))
			given = nil
		}
		if e.Kind == "transferred" || e.Kind == "returned" {
			given = e
		}
	}
	return finishHands(hands, given)
}

func newHand(e *Event) hand {
	return hand{Who: nameOf(e), ID: e.ActorID, From: e.Time, To: e.Time, Acts: []time.Time{e.Time}}
}

func finishHands(hands []hand, given *Event) []hand {
	if len(hands) == 0 {
		return nil
	}
	for i := range hands {
		h := &hands[i]
		if h.Sentence == "" {
			h.Sentence = fmt.Sprintf("%s signed %s, from %s to %s.", h.Who, plural(int64(len(h.Acts)), "act"), moment(h.From), moment(h.To))
			if len(h.Acts) == 1 {
				h.Sentence = fmt.Sprintf("%s signed one act, on %s.", h.Who, moment(h.From))
			}
		}
	}
	last := &hands[len(hands)-1]
	last.Open = true
	if given != nil {
		to := given.ToName
		if to == "" {
			to = given.To
		}
		hands = append(hands, hand{
			Who: "Gap", Gap: true, From: given.Time, To: given.Time,
			Sentence: fmt.Sprintf("Handed over to %s on %s, asserted by the giver only: the receiver has not signed.", to, moment(given.Time)),
		})
		return hands
	}
	last.Sentence += " No later event is in the log."
	return hands
}

func nameOf(e *Event) string {
	if e.Actor != "" {
		return e.Actor
	}
	return e.ActorID
}
