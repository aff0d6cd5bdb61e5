package local

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// each evaluates the plan over all segments, several at a time, and calls f
// with every block that has matching rows, and at the end of a segment once
// more with none, before its pages go. Calls for one worker do not overlap.
func (e *Engine) each(ctx context.Context, p *plan, f func(worker int, s *scan, found bitset) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wait sync.WaitGroup
	for worker := range e.opt.Workers {
		wait.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= len(e.manifest.segments) {
					return
				}
				if !p.touches(&e.manifest.segments[n]) {
					continue
				}
				err := e.eachBlock(ctx, n, p, func(s *scan, found bitset) error { return f(worker, s, found) })
				if err != nil && !e.goOn(err) {
					cancel(err)
				}
			}
		})
	}
	wait.Wait()
	return context.Cause(ctx)
}

func (e *Engine) eachBlock(ctx context.Context, n int, p *plan, f func(*scan, bitset) error) (err error) {
	seg, err := e.acquire(n)
	if err != nil {
		return err
	}
	defer e.release(seg)
	defer func() {
		if r := recover(); r != nil {
			err = inFile(seg, fmt.Errorf("decoder failed: %v", r))
		}
	}()
	s, err := newScan(seg, p)
	defer s.close()
	var found bitset
	for row := s.from; err == nil && row < s.to; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var n int
		if n, err = s.step(row, tokBlockRows, &found); err == nil && found.any() {
			err = f(s, found)
		}
		row += int64(n)
	}
	if err == nil {
		err = f(s, nil)
	}
	return inFile(seg, err)
}

// Count implements timeline.Engine.
func (e *Engine) Count(ctx context.Context, q timeline.Query) (int64, error) {
	p, err := newPlan(q)
	if err != nil {
		return 0, err
	}
	var total atomic.Int64
	err = e.each(ctx, p, func(_ int, _ *scan, found bitset) error {
		total.Add(int64(found.count()))
		return nil
	})
	return total.Load(), err
}

// Hist implements timeline.Engine.
func (e *Engine) Hist(ctx context.Context, q timeline.Query, width int64) ([]timeline.Bucket, error) {
	if width <= 0 {
		return nil, fmt.Errorf("histogram of width %d ns: must be positive", width)
	}
	p, err := newPlan(q)
	if err != nil {
		return nil, err
	}
	p.timed = true
	counts := make([]map[int64]int64, e.opt.Workers)
	err = e.each(ctx, p, func(worker int, s *scan, found bitset) error {
		if counts[worker] == nil {
			counts[worker] = make(map[int64]int64)
		}
		return histBlock(counts[worker], s, found, width)
	})
	if err != nil {
		return nil, err
	}
	total := make(map[int64]int64)
	for _, m := range counts {
		for start, n := range m {
			total[start] += n
		}
	}
	var out []timeline.Bucket
	for _, start := range slices.Sorted(maps.Keys(total)) {
		out = append(out, timeline.Bucket{Start: start, Count: total[start]})
	}
	return out, nil
}

// histBlock counts the rows of a block, whose times ascend: the map is
// touched once per bucket, not once per row.
func histBlock(counts map[int64]int64, s *scan, found bitset, width int64) error {
	var start, end, n int64
	err := s.pages(leavesBefore+tsColumn, found, func(p *page, from, to int) error {
		for row := found.next(from); row >= 0 && row < to; row = found.next(row + 1) {
			i := p.value(s.lo + int64(row))
			if i < 0 {
				continue
			}
			if ts := p.ints[i]; n == 0 || ts < start || ts >= end && end > start {
				if n > 0 {
					counts[start] += n
				}
				start, n = timeline.BucketStart(ts, width), 0
				if rest := ts % width; rest < 0 {
					end = ts - rest
				} else {
					end = ts - rest + width // wraps in the last bucket there is, which has no end
				}
			}
			n++
		}
		return nil
	})
	if n > 0 {
		counts[start] += n
	}
	return err
}

// valuesMax bounds the different values a list counts at a time. A field with
// more is counted in several passes, each over a share of the values.
const valuesMax = 400_000

var errTooMany = errors.New("too many values to count at a time")

// Top implements timeline.Engine.
func (e *Engine) Top(ctx context.Context, q timeline.Query, field string, n int) ([]timeline.Value, error) {
	var best []timeline.Value
	err := e.values(ctx, q, field, func(counts map[string]int64) {
		for v, c := range counts {
			best = append(best, timeline.Value{Value: v, Count: c})
		}
		slices.SortFunc(best, func(a, b timeline.Value) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
		})
		best = slices.Clone(best[:min(max(n, 0), len(best))])
	})
	return best, err
}

// Distinct implements timeline.Engine.
func (e *Engine) Distinct(ctx context.Context, q timeline.Query, field string) (int64, error) {
	var total int64
	err := e.values(ctx, q, field, func(counts map[string]int64) { total += int64(len(counts)) })
	return total, err
}

// values counts the values of a field and hands them out in shares.
func (e *Engine) values(ctx context.Context, q timeline.Query, field string, share func(map[string]int64)) error {
	p, err := newPlan(q)
	if err != nil {
		return err
	}
	f := timeline.FieldOf(field)
	if f.Kind == timeline.FieldAny {
		return timeline.ErrNoField
	}
	for parts, part := uint32(1), uint32(0); part < parts; {
		counts, err := e.countShare(ctx, p, f, part, parts)
		if err != nil {
			return err
		}
		if counts == nil {
			// Only the first share gives up, so none was handed out. It gives up
			// early, while each share too many is one more look at everything.
			parts *= 2
			continue
		}
		share(counts)
		part++
	}
	return nil
}

// countShare counts the values whose hash falls into one part of parts, nil
// where they are too many.
func (e *Engine) countShare(ctx context.Context, p *plan, f timeline.Field, part, parts uint32) (map[string]int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tallies := make([]*tally, e.opt.Workers)
	err := e.each(ctx, p, func(worker int, s *scan, found bitset) error {
		if tallies[worker] == nil {
			tallies[worker] = &tally{field: f, part: part, parts: parts, counts: make(map[string]*int64)}
		}
		t := tallies[worker]
		if err := t.block(s, found); err != nil {
			return err
		}
		if len(t.counts) > valuesMax && part == 0 {
			return errTooMany
		}
		return nil
	})
	total := make(map[string]int64)
	for _, t := range tallies {
		if t == nil {
			continue
		}
		t.flush()
		for v, n := range t.counts {
			total[v] += *n
		}
	}
	if errors.Is(err, errTooMany) || err == nil && len(total) > valuesMax && part == 0 {
		return nil, nil
	}
	return total, err
}

// tally counts the values of a field for one worker.
type tally struct {
	field       timeline.Field
	part, parts uint32
	counts      map[string]*int64

	dict  *dictionary // codes counts the rows of this dictionary's words
	codes []int64
	text  [64]byte
}

func (t *tally) add(v string, n int64) {
	if v == "" || t.parts > 1 && uint32(hashWord(v)>>32)%t.parts != t.part {
		return
	}
	// Through a pointer: storing under v itself would put memory of the page
	// into the map.
	if count := t.counts[v]; count != nil {
		*count += n
		return
	}
	t.counts[strings.Clone(v)] = &n
}

// flush turns counts of codes into counts of words.
func (t *tally) flush() {
	if t.dict == nil {
		return
	}
	for code, n := range t.codes {
		if n == 0 {
			continue
		}
		word := t.dict.text(int32(code))
		if t.field.Kind != timeline.FieldFlags {
			t.add(word, n)
			continue
		}
		for name := range strings.SplitSeq(word, ",") {
			t.add(name, n)
		}
	}
	t.dict = nil
}

func (t *tally) block(s *scan, found bitset) error {
	leaf := t.leaf()
	if s.allNull(leaf) {
		return nil
	}
	err := s.pages(leaf, found, func(p *page, from, to int) error {
		if p.dict != nil && p.dict != t.dict {
			t.flush()
			t.dict, t.codes = p.dict, append(t.codes[:0], make([]int64, p.dict.len())...)
		}
		for row := found.next(from); row >= 0 && row < to; row = found.next(row + 1) {
			if i := p.value(s.lo + int64(row)); i >= 0 {
				t.row(p, i)
			}
		}
		return nil
	})
	if found == nil || err != nil {
		t.flush() // the dictionary goes with the segment's pages
	}
	return err
}

func (t *tally) leaf() int {
	switch t.field.Kind {
	case timeline.FieldAttr:
		return leavesBefore + attrsColumn
	case timeline.FieldID:
		if t.field.Name == "content_id" {
			return contentLeaf
		}
		return idLeaf
	}
	return leavesBefore + columnAt[t.field.Name]
}

func (t *tally) row(p *page, i int) {
	switch {
	case p.dict != nil:
		t.codes[p.codes[i]]++
	case p.ints != nil && t.field.Kind == timeline.FieldTime:
		t.add(timeline.FormatTime(p.ints[i]), 1)
	case p.ints != nil:
		t.add(bytesAsString(strconv.AppendInt(t.text[:0], p.ints[i], 10)), 1)
	case p.size > 0:
		v := p.fixed[i*p.size : (i+1)*p.size]
		if p.size == 16 && timeline.ID(v) == (timeline.ID{}) {
			return
		}
		hex.Encode(t.text[:], v)
		t.add(bytesAsString(t.text[:2*p.size]), 1)
	case t.field.Kind == timeline.FieldAttr:
		var room [32]timeline.Attr
		attrs, _ := timeline.ParseAttrs(room[:0], p.text(i), "")
		for k := range attrs {
			if attrs[k].Key == t.field.Name {
				t.add(attrs[k].Value, 1)
			}
		}
	default:
		t.add(p.text(i), 1)
	}
}
