package timeline

import (
	"context"
	"fmt"
	"math"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Stats is a summary of a timeline or of the events that a query selects.
type Stats struct {
	Events  int64
	Undated int64
	First   int64 // ts of the first dated event; None without any
	Last    int64 // ts of the last dated event; None without any

	DataTypes, Parsers, Hosts []Value // most frequent first

	// Of the whole timeline, whatever the query.
	Sources      int64
	Unparsed     int64 // sources that no parser took
	Problems     int64
	ProblemCodes map[evidence.Code]int64
}

// Summarize asks an engine for a summary of the events that q selects.
func Summarize(ctx context.Context, e Engine, q Query) (*Stats, error) {
	s := &Stats{First: None, Last: None, ProblemCodes: make(map[evidence.Code]int64)}
	var err error
	if s.Events, err = e.Count(ctx, q); err != nil {
		return nil, fmt.Errorf("count events: %w", err)
	}
	dated := Query{Where: Match{Field: "ts", Op: OpExists}}
	if q.Where != nil {
		dated.Where = And{q.Where, dated.Where}
	}
	if err := s.span(ctx, e, dated); err != nil {
		return nil, err
	}
	for _, list := range []struct {
		field string
		to    *[]Value
	}{{"data_type", &s.DataTypes}, {"parser", &s.Parsers}, {"host", &s.Hosts}} {
		if *list.to, err = e.Top(ctx, q, list.field, math.MaxInt32); err != nil {
			return nil, fmt.Errorf("count %s: %w", list.field, err)
		}
	}
	for info, err := range e.Sources(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list sources: %w", err)
		}
		if s.Sources++; info.Parser == "" {
			s.Unparsed++
		}
		s.Problems += info.Problems
	}
	for p, err := range e.Problems(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list problems: %w", err)
		}
		s.ProblemCodes[p.Code]++
	}
	return s, nil
}

// span finds the first and last dated event: the first by paging, the last
// from the edge of the last bar of ever finer histograms.
func (s *Stats) span(ctx context.Context, e Engine, dated Query) error {
	dated.Limit = 1
	for ev, err := range e.Events(ctx, dated, nil) {
		if err != nil {
			return fmt.Errorf("find the first event: %w", err)
		}
		s.First = ev.TS
	}
	n, err := e.Count(ctx, dated)
	if err != nil {
		return fmt.Errorf("count dated events: %w", err)
	}
	if s.Undated = s.Events - n; n == 0 {
		return nil
	}
	where := dated.Where
	for _, width := range []int64{1 << 55, 1 << 44, 1 << 33, 1 << 22, 1 << 11, 1} {
		bars, err := e.Hist(ctx, Query{Where: where}, width)
		if err != nil {
			return fmt.Errorf("find the last event: %w", err)
		}
		if len(bars) == 0 {
			return nil // the engine left damaged files out in between
		}
		s.Last = bars[len(bars)-1].Start
		where = And{dated.Where, Match{Field: "ts", Op: OpRange, Lo: fmt.Sprintf("%06d", s.Last)}}
	}
	return nil
}
