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
	if err := s.span(ctx, e, q); err != nil {
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

// span finds the first and last dated event and how many are not dated.
func (s *Stats) span(ctx context.Context, e Engine, q Query) error {
	bars, err := e.Hist(ctx, q, tailWidths[0])
	if err != nil {
		return fmt.Errorf("count dated events: %w", err)
	}
	s.Undated = s.Events
	for _, b := range bars {
		s.Undated -= b.Count
	}
	if len(bars) == 0 {
		return nil
	}
	until := Match{Field: "ts", Op: OpRange, Hi: timeText(barEnd(bars[0].Start))}
	for ev, err := range e.Events(ctx, Query{Where: both(q.Where, until), Limit: 1}, nil) {
		if err != nil {
			return fmt.Errorf("find the first event: %w", err)
		}
		s.First = ev.TS
	}
	if s.Last, err = Tail(ctx, e, Query{Where: Since(q.Where, bars[len(bars)-1].Start)}, 1); err != nil {
		return fmt.Errorf("find the last event: %w", err)
	}
	return nil
}

// tailWidths are the bars of the histograms by which Tail closes in: about 39
// hours, of which the times that can be said hold 131,072, then 69 s, 34 ms,
// 4 us and 1 ns.
var tailWidths = [...]int64{1 << 47, 1 << 36, 1 << 25, 1 << 12, 1}

// barEnd is the last time of a bar of the first width, or one after it.
func barEnd(start int64) int64 {
	if start > math.MaxInt64-tailWidths[0] {
		return math.MaxInt64
	}
	return start + tailWidths[0] - 1
}

// tailSlack is how many events more than asked for Tail does not mind.
const tailSlack = 1000

// Tail returns the time from which on the last n dated events that q selects
// happened, or one somewhat before with not many more events, so that a reader
// of the end need not read what is before it. It is the time of the last event
// for n = 1, and None where no dated event matches.
func Tail(ctx context.Context, e Engine, q Query, n int64) (int64, error) {
	from, where := None, q.Where
	for _, width := range tailWidths {
		bars, err := e.Hist(ctx, Query{Where: where}, width)
		if err != nil {
			return None, err
		}
		if len(bars) == 0 {
			return from, nil // or the engine left damaged files out in between
		}
		i, found := len(bars)-1, bars[len(bars)-1].Count
		for ; i > 0 && found < n; i-- {
			found += bars[i-1].Count
		}
		if from = bars[i].Start; n > 1 && found <= n+tailSlack {
			break
		}
		where = Since(q.Where, from)
	}
	return from, nil
}

// Since narrows a condition to dated events at or after a time, from None to
// all dated events.
func Since(where Expr, from int64) Expr {
	if from == None {
		return both(where, Match{Field: "ts", Op: OpExists})
	}
	return both(where, Match{Field: "ts", Op: OpRange, Lo: timeText(from)})
}

func both(where Expr, m Match) Expr {
	if where == nil {
		return m
	}
	return And{m, where}
}

// timeText writes a time in nanoseconds so that it is not taken for a year.
func timeText(ts int64) string { return fmt.Sprintf("%06d", ts) }
