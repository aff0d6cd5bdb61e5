package local

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// Decoded pages that the streams of one query keep: little for a page of
// results, and more with every event for an export, which otherwise decodes
// the pages of many overlapping segments again and again.
const (
	heldFirst    = 6 << 20
	heldPerEvent = 64 << 10
	heldMost     = 192 << 20
)

// merge joins the streams of segments in order. Segments are opened when the
// order reaches them.
type merge struct {
	e       *Engine
	plan    *plan
	after   *timeline.Cursor
	waiting []int // segments not yet opened, by the least time they can hold
	heads   streamHeap
	clock   int64
}

type streamHeap []*stream

func (h streamHeap) Len() int           { return len(h) }
func (h streamHeap) Less(i, j int) bool { return h[i].before(h[j]) }
func (h streamHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *streamHeap) Push(x any)        { *h = append(*h, x.(*stream)) }
func (h *streamHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// Events implements timeline.Engine.
func (e *Engine) Events(ctx context.Context, q timeline.Query, after *timeline.Cursor) iter.Seq2[*timeline.Event, error] {
	return func(yield func(*timeline.Event, error) bool) {
		p, err := newPlan(q)
		if err != nil {
			yield(nil, err)
			return
		}
		sources, err := e.sources()
		if err != nil && !e.goOn(err) {
			yield(nil, err)
			return
		}
		m := &merge{e: e, plan: p, after: after}
		defer m.close()
		m.list()
		for n := 0; q.Limit == 0 || n < q.Limit; n++ {
			ev, err := m.next(ctx, sources)
			if err != nil {
				yield(nil, err)
				return
			}
			if ev == nil || !yield(ev, nil) {
				return
			}
		}
	}
}

// goOn asks what to do about a damaged file.
func (e *Engine) goOn(err error) bool {
	var file *FileError
	return errors.As(err, &file) && e.opt.OnDamage != nil && e.opt.OnDamage(err)
}

// list names the segments that may hold rows, in the order of their times.
// Segments without dated rows come last.
func (m *merge) list() {
	for i := range m.e.manifest.segments {
		s := &m.e.manifest.segments[i]
		if !m.plan.touches(s) {
			continue
		}
		if _, last, ok := s.times(); m.after != nil && s.Undated == 0 &&
			(m.after.TS == timeline.None || ok && last < m.after.TS) {
			continue
		}
		m.waiting = append(m.waiting, i)
	}
	slices.SortStableFunc(m.waiting, func(a, b int) int {
		x, y := &m.e.manifest.segments[a], &m.e.manifest.segments[b]
		first, _, okX := x.times()
		other, _, okY := y.times()
		if okX != okY {
			if okX {
				return -1
			}
			return 1
		}
		return cmp.Compare(first, other)
	})
}

// due reports whether the first waiting segment may hold a row before the
// first head.
func (m *merge) due() bool {
	if len(m.waiting) == 0 {
		return false
	}
	if len(m.heads) == 0 {
		return true
	}
	first, _, ok := m.e.manifest.segments[m.waiting[0]].times()
	head := m.heads[0]
	return !head.old || ok && first <= head.ts
}

// fill opens the waiting segments that are due, several at a time.
func (m *merge) fill(ctx context.Context) error {
	for m.due() {
		n := min(len(m.waiting), m.e.opt.Workers)
		opened, errs := make([]*stream, n), make([]error, n)
		var wait sync.WaitGroup
		for i, number := range m.waiting[:n] {
			wait.Go(func() { opened[i], errs[i] = m.open(ctx, number) })
		}
		wait.Wait()
		m.waiting = m.waiting[n:]
		for _, st := range opened {
			if st != nil {
				heap.Push(&m.heads, st)
			}
		}
		m.cool()
		for _, err := range errs {
			if err != nil && !m.e.goOn(err) {
				return err
			}
		}
	}
	return nil
}

// open returns the stream of a segment at its first row, nil without any.
func (m *merge) open(ctx context.Context, number int) (*stream, error) {
	seg, err := m.e.acquire(number)
	if err != nil {
		return nil, err
	}
	st, err := newStream(seg, m.plan, m.after)
	ok := false
	if err == nil {
		ok, err = st.next(ctx)
	}
	if ok && err == nil {
		return st, nil
	}
	if st != nil {
		st.close()
	}
	m.e.release(seg)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, inFile(seg, err)
}

// inFile names the file in an error of reading it.
func inFile(seg *segment, err error) error {
	if err == nil || errors.Is(err, errTooMany) {
		return err
	}
	return &FileError{seg.entry.Name, err}
}

// next returns the next event, nil at the end.
func (m *merge) next(ctx context.Context, sources map[string]*timeline.Source) (*timeline.Event, error) {
	for {
		if err := m.fill(ctx); err != nil {
			return nil, err
		}
		if len(m.heads) == 0 {
			return nil, context.Cause(ctx)
		}
		st := m.heads[0]
		m.clock++
		st.used = m.clock
		ev, err := st.event(st.current(), sources)
		if err == nil {
			var more bool
			if more, err = st.next(ctx); err == nil && more {
				heap.Fix(&m.heads, 0)
			} else if err == nil {
				m.drop(st)
			}
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err = inFile(st.seg, err); !m.e.goOn(err) {
				return nil, err
			}
			m.drop(st)
		}
		if m.clock%4 == 0 {
			m.cool()
		}
		if ev != nil {
			return ev, nil
		}
	}
}

// drop ends the first stream.
func (m *merge) drop(st *stream) {
	heap.Pop(&m.heads)
	st.close()
	m.e.release(st.seg)
}

// cool lets go of decoded pages while there are too many, those of the
// streams that gave nothing for longest first.
func (m *merge) cool() {
	held := 0
	for _, st := range m.heads {
		held += st.held
	}
	limit := int(min(heldFirst+m.clock*heldPerEvent, heldMost))
	if held <= limit {
		return
	}
	byUse := slices.Clone(m.heads)
	slices.SortFunc(byUse, func(a, b *stream) int { return cmp.Compare(a.used, b.used) })
	for _, st := range byUse[:len(byUse)-1] {
		if held <= limit/2 {
			return
		}
		held -= st.held
		st.access.close()
	}
}

func (m *merge) close() {
	for _, st := range m.heads {
		st.close()
		m.e.release(st.seg)
	}
	m.heads = nil
}
