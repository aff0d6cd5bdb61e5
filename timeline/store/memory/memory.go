// Package memory holds events in a slice and answers queries by asking every
// one of them: the plain reading of the engine's contract, for tests and for
// small sets. The suite in storetest holds it and the local store to the same
// answers.
package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// Engine is a timeline.Engine over a slice.
type Engine struct {
	events   []*timeline.Event
	problems []evidence.Problem
	sources  []timeline.SourceInfo
}

var _ timeline.Engine = (*Engine)(nil)

// New returns an Engine over copies of events, in (ts, event_id) order,
// normalised and with their content identities. Sources that are not given
// are taken from the events, in the order in which they are first met.
func New(events []*timeline.Event, sources ...timeline.SourceInfo) *Engine {
	m := &Engine{sources: sources}
	var ids timeline.ContentIDs
	for _, e := range events {
		c := e.Clone()
		c.Normalize()
		c.ContentID = ids.Of(c)
		m.events = append(m.events, c)
	}
	slices.SortStableFunc(m.events, compare)
	if len(sources) == 0 {
		m.sources = collect(events)
	}
	return m
}

// AddProblems lists problems that Problems yields.
func (m *Engine) AddProblems(p ...evidence.Problem) { m.problems = append(m.problems, p...) }

func collect(events []*timeline.Event) []timeline.SourceInfo {
	type key struct {
		source *timeline.Source
		parser string
	}
	var infos []timeline.SourceInfo
	at := make(map[key]int)
	for _, e := range events {
		if e.Source == nil {
			continue
		}
		k := key{e.Source, e.Parser}
		if e.ParserVer != timeline.None {
			k.parser = fmt.Sprintf("%s@%d", e.Parser, e.ParserVer)
		}
		i, ok := at[k]
		if !ok {
			i = len(infos)
			at[k] = i
			infos = append(infos, timeline.SourceInfo{Source: k.source, Parser: k.parser})
		}
		infos[i].Events++
	}
	return infos
}

// compare orders by (ts, event_id), undated events last.
func compare(a, b *timeline.Event) int {
	if a.TS != b.TS {
		switch timeline.None {
		case a.TS:
			return 1
		case b.TS:
			return -1
		}
		return cmp.Compare(a.TS, b.TS)
	}
	return bytes.Compare(a.ID[:], b.ID[:])
}

// each calls f with every event that matches until it returns false.
func (m *Engine) each(ctx context.Context, q timeline.Query, after *timeline.Cursor, f func(*timeline.Event) bool) error {
	match, err := timeline.NewMatcher(q.Where)
	if err != nil {
		return err
	}
	n := 0
	for i, e := range m.events {
		if i%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if after != nil && compare(e, &timeline.Event{TS: after.TS, ID: after.ID}) <= 0 {
			continue
		}
		if !match.Match(e) {
			continue
		}
		if !f(e) {
			return nil
		}
		if n++; n == q.Limit {
			return nil
		}
	}
	return nil
}

// Events implements timeline.Engine.
func (m *Engine) Events(ctx context.Context, q timeline.Query, after *timeline.Cursor) iter.Seq2[*timeline.Event, error] {
	return func(yield func(*timeline.Event, error) bool) {
		stopped := false
		err := m.each(ctx, q, after, func(e *timeline.Event) bool {
			stopped = !yield(e, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

// Count implements timeline.Engine.
func (m *Engine) Count(ctx context.Context, q timeline.Query) (int64, error) {
	q.Limit = 0
	var n int64
	err := m.each(ctx, q, nil, func(*timeline.Event) bool { n++; return true })
	return n, err
}

// Hist implements timeline.Engine.
func (m *Engine) Hist(ctx context.Context, q timeline.Query, width int64) ([]timeline.Bucket, error) {
	if width <= 0 {
		return nil, fmt.Errorf("histogram of width %d ns: must be positive", width)
	}
	q.Limit = 0
	var out []timeline.Bucket
	err := m.each(ctx, q, nil, func(e *timeline.Event) bool {
		if e.TSState != timeline.TimeOK {
			return true
		}
		start := timeline.BucketStart(e.TS, width)
		if len(out) == 0 || out[len(out)-1].Start != start {
			out = append(out, timeline.Bucket{Start: start})
		}
		out[len(out)-1].Count++
		return true
	})
	return out, err
}

// Top implements timeline.Engine.
func (m *Engine) Top(ctx context.Context, q timeline.Query, field string, n int) ([]timeline.Value, error) {
	counts, err := m.values(ctx, q, field)
	if err != nil {
		return nil, err
	}
	out := make([]timeline.Value, 0, len(counts))
	for v, c := range counts {
		out = append(out, timeline.Value{Value: v, Count: c})
	}
	slices.SortFunc(out, func(a, b timeline.Value) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	return out[:min(n, len(out))], nil
}

// Distinct implements timeline.Engine.
func (m *Engine) Distinct(ctx context.Context, q timeline.Query, field string) (int64, error) {
	counts, err := m.values(ctx, q, field)
	return int64(len(counts)), err
}

func (m *Engine) values(ctx context.Context, q timeline.Query, field string) (map[string]int64, error) {
	f := timeline.FieldOf(field)
	if f.Kind == timeline.FieldAny {
		return nil, timeline.ErrNoField
	}
	q.Limit = 0
	counts := make(map[string]int64)
	var values []string
	err := m.each(ctx, q, nil, func(e *timeline.Event) bool {
		values = f.Values(values[:0], e)
		for _, v := range values {
			counts[v]++
		}
		return true
	})
	return counts, err
}

// Get implements timeline.Engine.
func (m *Engine) Get(_ context.Context, id timeline.ID) (*timeline.Event, error) {
	for _, e := range m.events {
		if e.ID == id {
			return e, nil
		}
	}
	return nil, timeline.ErrNoEvent
}

// Problems implements timeline.Engine.
func (m *Engine) Problems(context.Context) iter.Seq2[evidence.Problem, error] {
	return func(yield func(evidence.Problem, error) bool) {
		for _, p := range m.problems {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// Sources implements timeline.Engine.
func (m *Engine) Sources(context.Context) iter.Seq2[timeline.SourceInfo, error] {
	return func(yield func(timeline.SourceInfo, error) bool) {
		for _, s := range m.sources {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// Explain implements timeline.Engine.
func (m *Engine) Explain(_ context.Context, q timeline.Query) (string, error) {
	if _, err := timeline.NewMatcher(q.Where); err != nil {
		return "", err
	}
	return fmt.Sprintf("every one of %d events in memory is asked", len(m.events)), nil
}

// Close implements timeline.Engine.
func (m *Engine) Close() error { return nil }
