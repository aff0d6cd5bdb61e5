package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/memory"
)

// Open returns an engine over the events of jobs. The suite closes it.
type Open func(t *testing.T, jobs []Job) timeline.Engine

// Run holds an engine to the contract of timeline.Engine: the same answers,
// event for event, as the engine in memory gives over the same jobs.
func Run(t *testing.T, open Open) {
	jobs := Jobs(7, 24, 500)
	engine := open(t, jobs)
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	events, problems, sources := Collect(t, jobs)
	want := memory.New(events, sources...)
	want.AddProblems(problems...)
	s := &suite{t: t, got: engine, want: want, events: Slice(t, want.Events(context.Background(), timeline.Query{}, nil))}

	t.Run("every event comes back whole and in order", s.whole)
	t.Run("every event is found by its id", s.get)
	t.Run("any cursor continues strictly after it", s.cursors)
	t.Run("limits hold", s.limits)
	t.Run("random queries are answered alike", s.random)
	t.Run("bad queries are refused by every method", s.refuse)
	t.Run("sources and problems come back", s.tables)
	t.Run("a cancelled context ends a query", s.cancel)
	t.Run("no events at all", func(t *testing.T) { empty(t, open(t, nil)) })
}

type suite struct {
	t         *testing.T
	got, want timeline.Engine
	events    []*timeline.Event
}

// Slice collects what a sequence yields.
func Slice[T any](t testing.TB, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var out []T
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// Diff says how two events differ, "" when they do not. Sources are compared
// by value.
func Diff(got, want *timeline.Event) string {
	a, b := *got, *want
	if a.Source == nil || b.Source == nil || !sameSource(a.Source, b.Source) {
		return fmt.Sprintf("source %+v, want %+v", a.Source, b.Source)
	}
	a.Source, b.Source = nil, nil
	if len(a.Attrs) == 0 && len(b.Attrs) == 0 {
		a.Attrs, b.Attrs = nil, nil
	}
	if reflect.DeepEqual(a, b) {
		return ""
	}
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range va.NumField() {
		if x, y := va.Field(i).Interface(), vb.Field(i).Interface(); !reflect.DeepEqual(x, y) {
			return fmt.Sprintf("%s is %#v, want %#v", va.Type().Field(i).Name, x, y)
		}
	}
	return "differs"
}

func sameSource(a, b *timeline.Source) bool {
	x, y := *a, *b
	x.Modified, y.Modified = x.Modified.UTC(), y.Modified.UTC()
	x.Accessed, y.Accessed = x.Accessed.UTC(), y.Accessed.UTC()
	x.Changed, y.Changed = x.Changed.UTC(), y.Changed.UTC()
	x.Born, y.Born = x.Born.UTC(), y.Born.UTC()
	return x == y
}

func sameEvents(t *testing.T, got, want []*timeline.Event) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d", len(got), len(want))
	}
	for i := range got {
		if d := Diff(got[i], want[i]); d != "" {
			t.Fatalf("event %d of %d: %s", i, len(got), d)
		}
	}
}

func (s *suite) whole(t *testing.T) {
	if len(s.events) < 4000 {
		t.Fatalf("the generator gave %d events only", len(s.events))
	}
	sameEvents(t, Slice(t, s.got.Events(context.Background(), timeline.Query{}, nil)), s.events)
}

func (s *suite) get(t *testing.T) {
	for i := 0; i < len(s.events); i += 97 {
		got, err := s.got.Get(context.Background(), s.events[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		if d := Diff(got, s.events[i]); d != "" {
			t.Fatal(d)
		}
	}
	if _, err := s.got.Get(context.Background(), timeline.ID{1, 2, 3}); !errors.Is(err, timeline.ErrNoEvent) {
		t.Fatalf("error %v, want ErrNoEvent", err)
	}
}

func (s *suite) cursors(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 60 {
		k := r.IntN(len(s.events))
		c := timeline.Cursor{TS: s.events[k].TS, ID: s.events[k].ID}
		if r.IntN(4) == 0 {
			r.Uint64()
			for i := range c.ID {
				c.ID[i] = byte(r.Uint32()) // a position where no event is
			}
		}
		q := timeline.Query{Limit: 1 + r.IntN(200)}
		if r.IntN(2) == 0 {
			q.Where = RandomExpr(r, 1)
		}
		want := Slice(t, s.want.Events(context.Background(), q, &c))
		sameEvents(t, Slice(t, s.got.Events(context.Background(), q, &c)), want)
	}
}

func (s *suite) limits(t *testing.T) {
	for _, n := range []int{1, 2, 1000} {
		got := Slice(t, s.got.Events(context.Background(), timeline.Query{Limit: n}, nil))
		sameEvents(t, got, s.events[:n])
	}
}

func (s *suite) random(t *testing.T) {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(11, 4))
	hits := 0
	for range 250 {
		q := timeline.Query{Where: RandomExpr(r, 3)}
		want, err := s.want.Count(ctx, q)
		if err != nil {
			t.Fatalf("%s: %v", timeline.Format(q.Where), err)
		}
		got, err := s.got.Count(ctx, q)
		if err != nil {
			t.Fatalf("%s: %v", timeline.Format(q.Where), err)
		}
		if got != want {
			t.Fatalf("%s: %d events, want %d", timeline.Format(q.Where), got, want)
		}
		if want > 0 && want < int64(len(s.events)) {
			hits++
		}
		if want < 300 {
			sameEvents(t, Slice(t, s.got.Events(ctx, q, nil)), Slice(t, s.want.Events(ctx, q, nil)))
		}
		s.lists(t, r, q)
	}
	if hits < 100 {
		t.Fatalf("only %d of 250 queries tell events apart: the generator is too weak", hits)
	}
}

func (s *suite) lists(t *testing.T, r *rand.Rand, q timeline.Query) {
	ctx := context.Background()
	width := pick(r, []int64{1, 900e9, 3600e9, 86400e9, 1 << 62})
	equal(t, q, "histogram", func(e timeline.Engine) (any, error) { return e.Hist(ctx, q, width) }, s)
	field := pick(r, []string{"user", "message", "pid", "ts", "event_id", "flags", "ts_state", "source_path", "sha256", "facility", "n", "data_type", "attr.user", "nothing"})
	n := r.IntN(30)
	equal(t, q, "top of "+field, func(e timeline.Engine) (any, error) {
		v, err := e.Top(ctx, q, field, n)
		if len(v) == 0 {
			v = nil
		}
		return v, err
	}, s)
	equal(t, q, "distinct "+field, func(e timeline.Engine) (any, error) { return e.Distinct(ctx, q, field) }, s)
}

func equal(t *testing.T, q timeline.Query, what string, ask func(timeline.Engine) (any, error), s *suite) {
	t.Helper()
	want, err := ask(s.want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ask(s.got)
	if err != nil {
		t.Fatalf("%s of %s: %v", what, timeline.Format(q.Where), err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s of %s:\n got %v\nwant %v", what, timeline.Format(q.Where), got, want)
	}
}

func (s *suite) refuse(t *testing.T) {
	ctx := context.Background()
	for _, m := range []timeline.Match{
		{Field: "pid", Op: timeline.OpEqual, Value: "x"},
		{Field: "message", Op: timeline.OpRegex, Value: "("},
		{Field: "message", Op: timeline.OpRegex, Value: "a)(b"},
		{Field: "src_ip", Op: timeline.OpCIDR, Value: "10.0.0.0/99"},
		{Field: "ts", Op: timeline.OpRange, Lo: "yesterday"},
		{Op: timeline.Op(99)},
	} {
		q := timeline.Query{Where: timeline.And{timeline.Not{X: m}}}
		if _, err := s.got.Count(ctx, q); err == nil {
			t.Errorf("%+v: counted", m)
		}
		if _, err := s.got.Hist(ctx, q, 1); err == nil {
			t.Errorf("%+v: histogram", m)
		}
		if _, err := s.got.Explain(ctx, q); err == nil {
			t.Errorf("%+v: explained", m)
		}
		for _, err := range s.got.Events(ctx, q, nil) {
			if err == nil {
				t.Errorf("%+v: gave an event", m)
			}
		}
	}
	if _, err := s.got.Hist(ctx, timeline.Query{}, 0); err == nil {
		t.Error("histogram of width 0")
	}
	if _, err := s.got.Top(ctx, timeline.Query{}, "", 1); !errors.Is(err, timeline.ErrNoField) {
		t.Errorf("top list of nothing: %v", err)
	}
}

func (s *suite) tables(t *testing.T) {
	ctx := context.Background()
	got, want := Slice(t, s.got.Sources(ctx)), Slice(t, s.want.Sources(ctx))
	if len(got) != len(want) {
		t.Fatalf("%d sources, want %d", len(got), len(want))
	}
	for i := range got {
		if !sameSource(got[i].Source, want[i].Source) || got[i].Parser != want[i].Parser ||
			got[i].Events != want[i].Events || got[i].Problems != want[i].Problems {
			t.Fatalf("source %d: %+v, want %+v", i, got[i], want[i])
		}
	}
	lost, wantLost := Slice(t, s.got.Problems(ctx)), Slice(t, s.want.Problems(ctx))
	if !slices.EqualFunc(lost, wantLost, func(a, b evidence.Problem) bool { return a == b }) {
		t.Fatalf("problems\n%+v\nwant\n%+v", lost, wantLost)
	}
}

func (s *suite) cancel(t *testing.T) {
	stop := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(stop)
	q := timeline.Query{Where: timeline.Match{Field: "message", Op: timeline.OpContains, Value: "never there"}}
	if _, err := s.got.Count(ctx, q); !errors.Is(err, stop) {
		t.Errorf("count: %v, want the cause", err)
	}
	var last error
	for _, err := range s.got.Events(ctx, q, nil) {
		last = err
	}
	if !errors.Is(last, stop) {
		t.Errorf("events: %v, want the cause", last)
	}
}

func empty(t *testing.T, e timeline.Engine) {
	defer e.Close()
	ctx := context.Background()
	if n, err := e.Count(ctx, timeline.Query{}); n != 0 || err != nil {
		t.Errorf("count %d, %v", n, err)
	}
	if got := Slice(t, e.Events(ctx, timeline.Query{}, nil)); len(got) != 0 {
		t.Errorf("%d events", len(got))
	}
	if top, err := e.Top(ctx, timeline.Query{}, "user", 5); len(top) != 0 || err != nil {
		t.Errorf("top %v, %v", top, err)
	}
}

// Ordered fails the test unless events are in (ts, event_id) order, undated
// ones last, each once.
func Ordered(t testing.TB, events []*timeline.Event) {
	t.Helper()
	for i := 1; i < len(events); i++ {
		a, b := events[i-1], events[i]
		switch {
		case a.TS == timeline.None && b.TS != timeline.None,
			b.TS != timeline.None && a.TS > b.TS,
			a.TS == b.TS && bytes.Compare(a.ID[:], b.ID[:]) >= 0:
			t.Fatalf("events %d and %d are out of order", i-1, i)
		}
	}
}
