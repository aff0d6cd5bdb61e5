package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// hand is a stretch in which the log shows the exhibit with one person: acts
// of that person, each following the one before.
type hand struct {
	Who  string
	ID   string
	Acts []int // indexes of events, ascending
	Lane int
	Open bool // nothing follows it
}

func (h *hand) first() int { return h.Acts[0] }
func (h *hand) last() int  { return h.Acts[len(h.Acts)-1] }

// passage is a way from one hand to the next.
type passage struct {
	From, To int // hands; -1: no hand known there
	Left     int // event it leaves from; -1: missing
	Came     int // event it arrives at; -1: none
	Kind     passageKind
	Sentence string
}

type passageKind string

const (
	passTransit passageKind = "transit" // handed over, signed by both
	passBranch  passageKind = "branch"  // the log forks
	passMerge   passageKind = "merge"   // branches join
	passGap     passageKind = "gap"     // nothing both sides signed
)

// custody is who held the exhibit, read from the log.
type custody struct {
	events   []Event
	hands    []hand
	passages []passage
	gaps     int
}

// watching are acts that do not show who holds the exhibit.
var watching = []string{"ordered", "arrived", "refused", "witnessed", "timestamped", "key-changed", "revoked"}

// origin is where an event attaches: the last act before it, by whomever.
type origin struct{ hand, event int }

// handsOf follows the links of the log. Somebody who acts on the exhibit
// without a hand-over that both sides signed leaves a gap.
func handsOf(events []Event) *custody {
	c := &custody{events: events}
	known := map[string][]origin{} // by hash of an event: the acts it stands for
	have := map[string]bool{}
	taken := map[int]bool{} // hand-overs that somebody answered
	linked := slices.ContainsFunc(events, func(e Event) bool { return len(e.Prev) > 0 })
	for i := range events {
		e := &events[i]
		prev := e.Prev
		if !linked && i > 0 {
			prev = []string{events[i-1].SHA256} // a log told without links is one line
		}
		var from []origin
		missing := 0
		for _, digest := range prev {
			if !have[digest] {
				missing++
				continue
			}
			for _, o := range known[digest] {
				if !slices.Contains(from, o) {
					from = append(from, o)
				}
			}
		}
		if slices.Contains(watching, e.Kind) {
			if e.Kind == "refused" {
				for _, o := range from {
					taken[o.event] = taken[o.event] || isGiven(&events[o.event])
				}
			}
			known[e.SHA256], have[e.SHA256] = from, true
			continue
		}
		known[e.SHA256], have[e.SHA256] = []origin{{c.act(i, from, missing, taken), i}}, true
	}
	c.finish(taken)
	return c
}

func isGiven(e *Event) bool { return e.Kind == "transferred" || e.Kind == "returned" }

// act adds an act and returns its hand.
func (c *custody) act(i int, from []origin, missing int, taken map[int]bool) int {
	e := &c.events[i]
	at := -1
	for _, o := range from { // goes on where the same person acted last
		if h := &c.hands[o.hand]; h.ID == e.ActorID && h.last() == o.event {
			at = o.hand
			h.Acts = append(h.Acts, i)
			break
		}
	}
	fresh := at < 0
	if fresh {
		c.hands = append(c.hands, hand{Who: nameOf(e), ID: e.ActorID, Acts: []int{i}})
		at = len(c.hands) - 1
	}
	// Who had it before, or was handed it, came by it in a way the log shows.
	shown := !fresh || slices.ContainsFunc(from, func(o origin) bool {
		return c.hands[o.hand].ID == e.ActorID || answers(&c.events[o.event], e)
	})
	for _, o := range from {
		if o.hand != at {
			c.passages = append(c.passages, c.passage(o, at, i, shown, fresh, taken))
		}
	}
	if missing > 0 {
		c.passages = append(c.passages, passage{
			From: -1, To: at, Left: -1, Came: i, Kind: passGap,
			Sentence: fmt.Sprintf("What stands before the act of %s on %s in the log is missing or cannot be read: who held the exhibit until then is not shown.", nameOf(e), moment(e.Time)),
		})
	}
	return at
}

// answers reports whether an event is the receipt of a hand-over.
func answers(given, e *Event) bool {
	return isGiven(given) && e.Kind == "received" && (given.To == "" || given.To == e.ActorID) && given.ActorID != e.ActorID
}

// passage judges the way from an earlier act to the act i of another hand.
// shown says that the log tells how that person came by the exhibit, fresh
// that the hand begins with this act.
func (c *custody) passage(o origin, to, i int, shown, fresh bool, taken map[int]bool) passage {
	e, left, h := &c.events[i], &c.events[o.event], &c.hands[o.hand]
	p := passage{From: o.hand, To: to, Left: o.event, Came: i, Kind: passMerge}
	same := h.ID == e.ActorID
	switch {
	case answers(left, e):
		taken[o.event] = true
		if left.Signer == "" || e.Signer == "" {
			p.Kind = passGap
			p.Sentence = fmt.Sprintf("A hand-over from %s (%s) to %s (%s) is recorded, but not both signatures are proven.", h.Who, moment(left.Time), nameOf(e), moment(e.Time))
			return p
		}
		p.Kind = passTransit
		p.Sentence = fmt.Sprintf("The exhibit was in transit from %s (%s) to %s (%s); both parties signed.", h.Who, moment(left.Time), nameOf(e), moment(e.Time))
		if !fresh {
			p.Sentence = strings.TrimSuffix(p.Sentence, ".") + ", and branches of the log join here."
		}
	case same && fresh:
		p.Kind = passBranch
		p.Sentence = fmt.Sprintf("The log branches after entry %d: from here %s goes on beside other entries, as with a working copy.", left.Number, nameOf(e))
	case same:
		p.Sentence = fmt.Sprintf("Branches of the log join in entry %d of %s.", e.Number, nameOf(e))
	case shown:
		p.Sentence = fmt.Sprintf("Entry %d of %s also follows what %s did until %s: branches of the log join.", e.Number, nameOf(e), h.Who, moment(left.Time))
	default:
		taken[o.event] = taken[o.event] || isGiven(left)
		p.Kind = passGap
		p.Sentence = fmt.Sprintf("No hand-over signed by both sides is recorded between the last act of %s (%s) and the first act of %s (%s).",
			h.Who, moment(left.Time), nameOf(e), moment(e.Time))
	}
	return p
}

// finish adds what nobody answered, and says which hands are open.
func (c *custody) finish(taken map[int]bool) {
	left := map[int]bool{} // acts that somebody else's follow
	for _, p := range c.passages {
		left[p.Left] = true
	}
	for n := range c.hands {
		h := &c.hands[n]
		h.Open = !left[h.last()]
		for _, i := range h.Acts {
			e := &c.events[i]
			if !isGiven(e) || taken[i] {
				continue
			}
			to := e.ToName
			if to == "" {
				to = e.To
			}
			if to == "" {
				to = "somebody who is not named"
			}
			c.passages = append(c.passages, passage{
				From: n, To: -1, Left: i, Came: -1, Kind: passGap,
				Sentence: fmt.Sprintf("Handed over to %s on %s, asserted by the giver only: the receiver has not signed.", to, moment(e.Time)),
			})
		}
	}
	slices.SortStableFunc(c.passages, func(a, b passage) int { return a.place() - b.place() })
	for _, p := range c.passages {
		if p.Kind == passGap {
			c.gaps++
		}
	}
	c.lanes()
}

// place is the event a passage is told with: the one it arrives at, or the
// one after which nothing comes.
func (p *passage) place() int {
	if p.Came >= 0 {
		return 2 * p.Came
	}
	return 2*p.Left + 1
}

// lanes gives each person a lane, and a second one for what the same person
// does on another branch meanwhile.
func (c *custody) lanes() {
	type lane struct {
		id  string
		end int
	}
	var lanes []lane
	branchOf := map[int]int{}
	for _, p := range c.passages {
		if p.Kind == passBranch {
			branchOf[p.To] = p.From
		}
	}
	for n := range c.hands {
		h := &c.hands[n]
		beside := -1 // the lane it branches off
		if from, ok := branchOf[n]; ok {
			beside = c.hands[from].Lane
		}
		h.Lane = -1
		for i, l := range lanes {
			if l.id == h.ID && l.end < h.first() && i != beside {
				h.Lane = i
				break
			}
		}
		if h.Lane < 0 {
			lanes = append(lanes, lane{id: h.ID})
			h.Lane = len(lanes) - 1
		}
		lanes[h.Lane].end = h.last()
	}
}

// telling is one sentence about custody.
type telling struct {
	text string
	bad  bool
}

// story tells custody in sentences, in the order of the log.
func (c *custody) story() []telling {
	var out []telling
	passages := c.passages
	told := func(until int) {
		for len(passages) > 0 && passages[0].place() <= until {
			out = append(out, telling{passages[0].Sentence, passages[0].Kind == passGap})
			passages = passages[1:]
		}
	}
	for n := range c.hands {
		told(2 * c.hands[n].first())
		out = append(out, c.tell(&c.hands[n]))
	}
	told(2*len(c.events) + 1)
	return out
}

func (c *custody) tell(h *hand) telling {
	from, to := c.events[h.first()].Time, c.events[h.last()].Time
	unproven := 0
	for _, i := range h.Acts {
		if c.events[i].Signer == "" {
			unproven++
		}
	}
	t := telling{bad: unproven > 0}
	acts := plural(int64(len(h.Acts)), "act")
	when := ", on " + moment(from)
	if len(h.Acts) > 1 {
		when = ", from " + moment(from) + " to " + moment(to)
	}
	switch unproven {
	case 0:
		t.text = h.Who + " signed " + acts + when + "."
	case len(h.Acts):
		t.text = "In the name of " + h.Who + " stand " + acts + when + "; the signature is not proven to be of that person."
		if len(h.Acts) == 1 {
			t.text = "In the name of " + h.Who + " stands 1 act" + when + "; the signature is not proven to be of that person."
		}
	default:
		t.text = fmt.Sprintf("In the name of %s stand %s%s; for %d of them the signature is not proven to be of that person.", h.Who, acts, when, unproven)
	}
	if h.Open {
		t.text += " No later act is in the log."
	}
	return t
}

func nameOf(e *Event) string {
	if e.Actor != "" {
		return e.Actor
	}
	if e.ActorID != "" {
		return e.ActorID
	}
	return "somebody not named"
}

// span is a length of time for reading.
func span(d time.Duration) string {
	d = d.Round(time.Minute)
	switch {
	case d < 0:
		return "clocks disagree"
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return plural(int64(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return plural(int64(d/(24*time.Hour)), "day")
}
