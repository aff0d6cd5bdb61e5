package timeline

import (
	"context"
	"iter"
	"math"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Job is one unit of building: the events that one parser reads from one
// source. Key decides whether it was done before; jobs of equal key have
// equal output, byte for byte.
//
// Order is the job's place among the jobs of this build. A store puts what it
// commits in the order (Order, Key), so that the number of workers does not
// show in the result.
type Job struct {
	Order  int64
	Key    string // 64 hex digits over source, parser version and configuration
	Family string // directory of the segment: text, journal, audit, fs, net, live, ...
	Parser string // name@version
	Source *Source
}

// Builder is the writing side of a store.
type Builder interface {
	// Done reports whether the job's segments are already committed.
	Done(key string) bool
	// Begin starts a job. Jobs may run in parallel.
	Begin(ctx context.Context, job Job) (JobWriter, error)
	// Close commits what is pending and releases the store.
	Close() error
}

// JobWriter takes the events of one job. Nothing is visible before Commit.
type JobWriter interface {
	Sink
	Commit(ctx context.Context) error
	Abort()
}

// Cursor is a position in the (ts, event_id) order: the last row seen.
type Cursor struct {
	TS int64
	ID ID
}

// Bucket is one bar of a histogram: events with Start <= ts < Start+width.
type Bucket struct {
	Start int64
	Count int64
}

// BucketStart returns the start of the bucket of width ns that holds ts.
// Buckets are counted from the Unix epoch; the first one may begin before the
// least representable time, and starts there.
func BucketStart(ts, width int64) int64 {
	rest := ts % width
	if rest < 0 {
		rest += width
	}
	if ts < math.MinInt64+1+rest {
		return math.MinInt64 + 1
	}
	return ts - rest
}

// Value is one row of a top list.
type Value struct {
	Value string
	Count int64
}

// Engine answers queries. Every engine gives the same answers; storetest
// holds them to it. Undated events sort after all dated ones, by event_id.
type Engine interface {
	// Events yields matching events in (ts, event_id) order, strictly after
	// the cursor where one is given. An event is good until the next step.
	Events(ctx context.Context, q Query, after *Cursor) iter.Seq2[*Event, error]
	// Count returns how many events match.
	Count(ctx context.Context, q Query) (int64, error)
	// Hist counts dated matching events in buckets of width ns, empty ones left out.
	Hist(ctx context.Context, q Query, width int64) ([]Bucket, error)
	// Top returns the n most frequent values of a column or attribute, ties by value.
	Top(ctx context.Context, q Query, field string, n int) ([]Value, error)
	// Distinct returns how many different non-empty values a column or attribute has.
	Distinct(ctx context.Context, q Query, field string) (int64, error)
	// Get returns the event of that id, or ErrNoEvent.
	Get(ctx context.Context, id ID) (*Event, error)
	// Problems yields the problems recorded while building.
	Problems(ctx context.Context) iter.Seq2[evidence.Problem, error]
	// Sources yields the sources, jobs done and their event counts.
	Sources(ctx context.Context) iter.Seq2[SourceInfo, error]
	// Explain says in words how the query would run.
	Explain(ctx context.Context, q Query) (string, error)
	Close() error
}

// SourceInfo is a source with what was read from it.
type SourceInfo struct {
	Source   *Source
	Parser   string // name@version; "" where no parser took the item
	Events   int64
	Problems int64
}
