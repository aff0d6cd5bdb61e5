package rootcause

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// ErrNoAlert says that none of the events asked about is in the timeline.
var ErrNoAlert = errors.New("none of the events to explain is in the timeline")

// maxAlerts bounds the events that one question may ask about: more are not an
// alert but a search.
const maxAlerts = 1000

// Why walks back from the start events to where somebody came in, and forward
// from there. Several start events count as one alert with many sides, equally
// weighted. It returns ErrNoAlert when the timeline has none of them; events
// among them that it lacks are passed over.
func Why(ctx context.Context, eng timeline.Engine, start []timeline.ID, opt Options) (*Graph, error) {
	opt = opt.defaults()
	start = slices.Clone(start)
	slices.SortFunc(start, func(a, b timeline.ID) int { return strings.Compare(string(a[:]), string(b[:])) })
	start = slices.Compact(start)
	if len(start) > maxAlerts {
		return nil, fmt.Errorf("%d events to explain, at most %d can be one alert", len(start), maxAlerts)
	}
	from, last, text, err := alertSpan(ctx, eng, start, opt)
	if err != nil {
		return nil, err
	}
	r := newReader(opt, start, last)
	if err := r.readAll(ctx, eng, from); err != nil {
		return nil, err
	}
	defs, err := readDefinitions(ctx, eng, opt.Evidence)
	if err != nil {
		return nil, err
	}
	x := build(r, opt, defs)
	opt.Log.Debug("indexed", "events", r.events, "facts", len(x.facts), "processes", len(x.procs), "sessions", len(x.sessions))
	var alerts []int32
	for i := range x.facts {
		if r.wanted[x.facts[i].id] {
			alerts = append(alerts, int32(i))
		}
	}
	if len(alerts) == 0 {
		return nil, ErrNoAlert
	}
	w, err := x.backward(ctx, alerts)
	if err != nil {
		return nil, err
	}
	return x.answer(r, w, alerts, from, text), nil
}

// alertSpan reads the start events: where the horizon lies, when the last of
// them was and what to call the alert.
func alertSpan(ctx context.Context, eng timeline.Engine, start []timeline.ID, opt Options) (from, last int64, text string, err error) {
	first, last, found := timeline.None, timeline.None, 0
	for _, id := range start {
		ev, err := eng.Get(ctx, id)
		if errors.Is(err, timeline.ErrNoEvent) {
			continue
		}
		if err != nil {
			return 0, 0, "", fmt.Errorf("reading the event to explain: %w", err)
		}
		found++
		if ev.TS != timeline.None && (first == timeline.None || ev.TS < first) {
			first = ev.TS
		}
		last = max(last, ev.TS)
		if text == "" {
			text = describe(ev)
		}
	}
	if found == 0 {
		return 0, 0, "", ErrNoAlert
	}
	if found > 1 {
		text = fmt.Sprintf("%s, and %s more.", strings.TrimSuffix(text, "."), plural(found-1, "event"))
	}
	if last == timeline.None { // everything may have come before
		last = math.MaxInt64
	}
	if opt.Horizon <= 0 || first == timeline.None {
		return timeline.None, last, text, nil
	}
	return first - int64(opt.Horizon), last, text, nil
}

// describe says in a line what an event is.
func describe(ev *timeline.Event) string {
	text := ev.Message
	if text == "" {
		text = strings.TrimSpace(ev.Action + " " + ev.File + " " + ev.Cmdline)
	}
	when := ""
	if t, ok := ev.Time(); ok {
		when = t.Format("2006-01-02 15:04:05") + " UTC, "
	}
	what := ev.DataType
	if ev.TSDesc != "" {
		what += ", " + ev.TSDesc
	}
	return plainText(when + what + ": " + shorten(text, 240))
}

// answer builds the graph from the walk.
func (x *index) answer(r *reader, w *walk, alerts []int32, from int64, text string) *Graph {
	s := &shower{
		x: x, w: w, im: w.propagate(), at: make(map[ref]int), seen: make(map[[2]int]bool),
		g: &Graph{
			Entries: []Entry{}, Narrative: []Sentence{}, Assumptions: []Note{}, Gaps: []Note{}, Alternatives: []Note{}, Nodes: []Node{}, Edges: []Edge{},
		},
	}
	s.g.Alert.Text, s.g.Alert.Events = text, s.ids(alerts, maxAlerts)
	s.g.Alert.Time = utc(x.facts[alerts[0]].ts)
	ways := w.arrivals(s.im)
	var top *arrival
	if len(ways) > 0 {
		top = &ways[0]
	}
	s.showWalk(top)
	hidden := 0
	if top != nil {
		hidden = s.showScope(x.forward(w, top))
		s.showPassed()
	}
	for i := range ways {
		en := s.explain(&ways[i])
		if i < maxEntries && ways[i].score >= ways[0].score/entryPart {
			s.g.Entries = append(s.g.Entries, en)
		}
		if i > 0 && i < maxAlternatives {
			s.g.Alternatives = append(s.g.Alternatives, Note{Text: en.Title + ". " + en.Reason, Score: en.Score, Events: en.Events})
		}
	}
	s.conclude(top)
	s.narrate(top)
	s.findGaps(r, top)
	s.findAssumptions(from)
	s.g.Counts = Counts{Events: r.events, Facts: len(x.facts), Considered: len(w.nodes), Pruned: w.pruned, Shown: len(s.g.Nodes), Hidden: hidden}
	return s.g
}

// Bounds of what is listed.
const (
	maxEntries      = 3
	maxAlternatives = 8
	entryPart       = 4 // an entry has at least this part of the first one's score
)

// weak reports whether a way in explains so little that it must not be told
// as what happened: under a quarter, and less than what nothing explains.
func (s *shower) weak(g *arrival) bool { return g.score < one/4 && g.score < s.im.lost }

// conclude says in a sentence what the walk found.
func (s *shower) conclude(top *arrival) {
	s.g.Unexplained = score(min(one, s.im.lost))
	percent := func(v int64) string { return fmt.Sprintf("%.0f %%", 100*score(min(one, v))) }
	switch {
	case top == nil:
		s.g.Conclusion = "No way in was found: nothing in the timeline leads from outside to what was asked about."
	case s.weak(top):
		s.g.Conclusion = "No way in was found: " + percent(s.im.lost) + " of the alert leads to what nothing explains (see Gaps), and the likeliest way in explains " +
			percent(top.score) + ". What is told below is possible, not shown."
	default:
		s.g.Conclusion = "The likeliest way in explains " + percent(top.score) + " of the alert."
		if top.score < one/4 {
			s.g.Conclusion = "No single way in stands out: the likeliest explains " + percent(top.score) + " of the alert."
		}
		if s.g.Unexplained >= 0.01 {
			s.g.Conclusion += " " + percent(s.im.lost) + " leads to what nothing explains."
		}
	}
}
