package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// problemsMax bounds the problems listed per job; what is beyond is counted
// in one more problem.
const problemsMax = 10_000

// jobWriter takes the events of one job: as records while the job is small,
// then by column, cut into segments.
type jobWriter struct {
	b        *Builder
	job      timeline.Job
	contents timeline.ContentIDs

	small    []byte
	rows     *rows
	segments []entry
	events   int64

	problems     []byte
	problemCount int64
	ended        bool
}

var errEnded = errors.New("job has ended already")

// Append implements timeline.Sink.
func (w *jobWriter) Append(ctx context.Context, batch *timeline.Batch) error {
	if w.ended {
		return errEnded
	}
	for i := range batch.Problems {
		if err := w.problem(&batch.Problems[i]); err != nil {
			return err
		}
	}
	for i := range batch.Events {
		e := &batch.Events[i]
		if !e.Normal() {
			e = e.Clone()
			e.Normalize()
		}
		if err := w.event(e); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

func (w *jobWriter) problem(p *evidence.Problem) (err error) {
	if w.problemCount++; w.problemCount <= problemsMax {
		w.problems, err = appendProblem(w.problems, p)
	}
	return err
}

func (w *jobWriter) event(e *timeline.Event) error {
	w.events++
	content := w.contents.Of(e)
	if w.rows == nil {
		w.small = appendRecord(w.small, e, content)
		if w.events <= int64(w.b.limits.smallRows) && len(w.small) <= w.b.limits.smallBytes {
			return nil
		}
		return w.grow()
	}
	if e.Source != w.job.Source {
		c := *e
		c.Source = w.job.Source
		e = &c
	}
	w.rows.add(e, content)
	return w.cut(false)
}

// grow turns a small job into one with segments of its own.
func (w *jobWriter) grow() error {
	w.rows = w.b.takeRows()
	if err := addRecords(w.rows, w.small, w.job.Source); err != nil {
		return err
	}
	w.small = nil
	return w.cut(false)
}

func addRecords(r *rows, records []byte, source *timeline.Source) error {
	var e timeline.Event
	for in := (recordReader{b: records}); in.more(); {
		if err := in.next(&e); err != nil {
			return err
		}
		e.Source = source
		r.add(&e, e.ContentID)
	}
	return nil
}

// cut writes a segment when one is full or the job is at its end.
func (w *jobWriter) cut(end bool) error {
	if !w.rows.full(w.b.limits) && !end || w.rows.n == 0 {
		return nil
	}
	name := fmt.Sprintf("%s-%d", w.job.Key[:32], len(w.segments))
	e, err := w.b.segment(w.job.Family, name, w.rows)
	if err != nil {
		return err
	}
	w.segments = append(w.segments, e)
	w.rows.reset()
	return nil
}

// Commit implements timeline.JobWriter.
func (w *jobWriter) Commit(ctx context.Context) error {
	if w.ended {
		return errEnded
	}
	defer w.Abort()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if w.rows != nil {
		if err := w.cut(true); err != nil {
			return err
		}
		if err := syncDir(filepath.Dir(w.b.path(w.segments[0].Name))); err != nil {
			return fmt.Errorf("commit job: %w", err)
		}
	}
	if more := w.problemCount - problemsMax; more > 0 {
		src := w.job.Source
		p := evidence.Problem{
			Stage: "timeline", Code: evidence.Dropped, Path: src.Path,
			Ref:    evidence.Ref{Bundle: src.Bundle, Member: src.Member, Chain: src.Chain, Offset: -1, Length: -1},
			Detail: fmt.Sprintf("%d more problems of this source are not listed", more),
		}
		var err error
		if w.problems, err = appendProblem(w.problems, &p); err != nil {
			return err
		}
	}
	return w.enter()
}

// enter adds the job to PENDING.
func (w *jobWriter) enter() error {
	job := &pendingJob{
		Order: w.job.Order, Key: w.job.Key, Family: w.job.Family,
		Source: newSourceLine(w.job.Source), Segments: w.segments, Records: int64(len(w.small)),
	}
	job.Source.Job, job.Source.Parser = w.job.Key, w.job.Parser
	job.Source.Events, job.Source.Problems = w.events, w.problemCount
	if w.rows == nil {
		job.Small = w.events
	}
	w.b.mu.Lock()
	twice := w.b.done[w.job.Key]
	w.b.done[w.job.Key] = true
	w.b.mu.Unlock()
	if twice {
		return fmt.Errorf("commit job: %s is committed already", w.job.Key)
	}
	err := w.b.pending.append(job, append(w.small, w.problems...))
	if err != nil {
		w.b.mu.Lock()
		delete(w.b.done, w.job.Key)
		w.b.mu.Unlock()
		return err
	}
	w.segments = nil
	return nil
}

// Abort implements timeline.JobWriter. After Commit it does nothing.
func (w *jobWriter) Abort() {
	if w.ended {
		return
	}
	w.ended = true
	if w.rows != nil {
		w.b.giveRows(w.rows)
	}
	if !w.b.Done(w.job.Key) {
		for i := range w.segments {
			os.Remove(w.b.path(w.segments[i].Name))
			os.Remove(w.b.path(w.segments[i].tok()))
		}
	}
	w.small, w.rows, w.problems, w.segments = nil, nil, nil, nil
}
