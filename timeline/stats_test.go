package timeline_test

import (
	"context"
	"math"
	"testing"

	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/memory"
	"github.com/exhibit-dfir/exhibit/timeline/storetest"
)

func undated() *timeline.Event { return &timeline.Event{TS: timeline.None, TSState: timeline.TimeNone} }

func TestTailIsWhereTheLastEventsBegin(t *testing.T) {
	const n = 9000 // more than what Tail does not mind
	var many []*timeline.Event
	for i := range int64(n) {
		e := undated()
		e.SetNanos(1_790_000_000e9 + i*i*7)
		e.ID[0], e.ID[1], e.User = byte(i), byte(i>>8), []string{"ann", "bob"}[i%2]
		many = append(many, e)
	}
	edges := []*timeline.Event{undated()}
	for i, ts := range []int64{math.MinInt64 + 1, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64, math.MaxInt64} {
		e := undated()
		e.SetNanos(ts)
		e.ID[0] = byte(i + 1)
		edges = append(edges, e)
	}
	for name, m := range map[string]*memory.Engine{
		"none": memory.New(nil), "undated": memory.New([]*timeline.Event{undated()}),
		"many": memory.New(many), "edges": memory.New(edges), "mixed": sample(t),
	} {
		for _, text := range []string{"", "user:ann", "user:nobody"} {
			q, err := timeline.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			var dated []int64
			for _, e := range storetest.Slice(t, m.Events(context.Background(), q, nil)) {
				if e.TS != timeline.None {
					dated = append(dated, e.TS)
				}
			}
			for _, want := range []int{1, 2, 10, 5000, 1 << 20} {
				from, err := timeline.Tail(context.Background(), m, q, int64(want))
				if err != nil || len(dated) == 0 && from != timeline.None {
					t.Fatalf("%s %q, last %d: %d, %v", name, text, want, from, err)
				}
				if len(dated) == 0 {
					continue
				}
				q := timeline.Query{Where: timeline.Since(q.Where, from)}
				got, err := m.Count(context.Background(), q)
				if err != nil {
					t.Fatal(err)
				}
				if got < int64(min(want, len(dated))) || got > int64(want+2000) {
					t.Errorf("%s %q: %d events from there on, want the last %d of %d", name, text, got, want, len(dated))
				}
				if want == 1 && from != dated[len(dated)-1] {
					t.Errorf("%s %q: the last event is at %d, not %d", name, text, dated[len(dated)-1], from)
				}
			}
		}
	}
}

func TestASummaryReachesTheEdgesOfTime(t *testing.T) {
	first, last, none := undated(), undated(), undated()
	first.SetNanos(math.MinInt64 + 1)
	last.SetNanos(math.MaxInt64)
	first.ID[0], last.ID[0] = 1, 2
	for _, events := range [][]*timeline.Event{{first, last, none}, {first, none}, {last, none}, {none}} {
		s, err := timeline.Summarize(context.Background(), memory.New(events), timeline.Query{})
		if err != nil {
			t.Fatal(err)
		}
		from, to := timeline.None, timeline.None
		for _, e := range events {
			if e.TS != timeline.None {
				if to = e.TS; from == timeline.None {
					from = e.TS
				}
			}
		}
		if s.Events != int64(len(events)) || s.Undated != 1 || s.First != from || s.Last != to {
			t.Errorf("%d events: %+v, want %d to %d", len(events), s, from, to)
		}
	}
}
