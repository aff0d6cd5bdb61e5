package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// Rows that a stream evaluates at a time: few at first, so that a page of
// results costs little, then whole blocks.
const (
	firstStep = 1024
	stepGrow  = 4
)

// stream yields the matching rows of one segment in order.
type stream struct {
	*scan
	row   int64 // next row to evaluate
	step_ int
	found bitset
	at    int // in found, of the current row; -1: none

	ts   int64 // of the current row
	old  bool  // it is dated
	id   timeline.ID
	used int64 // when it last gave an event, for letting go of pages
}

// newStream returns a stream over the rows after the cursor.
func newStream(seg *segment, p *plan, after *timeline.Cursor) (st *stream, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decoder failed: %v", r)
		}
	}()
	s, err := newScan(seg, p)
	st = &stream{scan: s, row: s.from, step_: firstStep, at: -1}
	if err != nil || after == nil {
		return st, err
	}
	at, err := s.searchCursor(*after)
	st.row = max(st.row, at)
	return st, err
}

// searchCursor returns the first row after the cursor.
func (a *access) searchCursor(c timeline.Cursor) (int64, error) {
	dated := a.seg.entry.Rows - a.seg.entry.Undated
	lo, hi := int64(0), a.seg.entry.Rows
	if c.TS == timeline.None {
		lo = dated
	} else {
		hi = dated
		if first, last, ok := a.seg.entry.times(); ok && c.TS < first {
			hi = 0
		} else if ok && c.TS > last {
			lo = dated
		}
	}
	for lo < hi {
		mid := (lo + hi) / 2
		before := c.TS == timeline.None
		if !before {
			ts, err := a.ts(mid)
			if err != nil {
				return 0, err
			}
			if ts != c.TS {
				if ts < c.TS {
					lo = mid + 1
				} else {
					hi = mid
				}
				continue
			}
		}
		id, err := a.id(idLeaf, mid)
		if err != nil {
			return 0, err
		}
		if bytes.Compare(id[:], c.ID[:]) <= 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, nil
}

// id returns an identity of a row.
func (a *access) id(leaf int, row int64) (id timeline.ID, err error) {
	p, err := a.page(leaf, row)
	if err != nil {
		return id, err
	}
	i := p.value(row)
	if i < 0 || p.size != len(id) {
		return id, errors.New("column of identities is damaged")
	}
	copy(id[:], p.fixed[i*p.size:])
	return id, nil
}

// next moves to the next matching row; false at the end.
func (st *stream) next(ctx context.Context) (ok bool, err error) {
	for {
		if st.at >= 0 {
			if st.at = st.found.next(st.at + 1); st.at >= 0 {
				return true, st.head()
			}
		}
		if st.row >= st.to {
			return false, nil
		}
		if err := context.Cause(ctx); err != nil {
			return false, err
		}
		n, err := st.step(st.row, st.step_, &st.found)
		if err != nil {
			return false, err
		}
		st.row += int64(n)
		st.step_ = min(st.step_*stepGrow, tokBlockRows)
		if st.at = st.found.next(0); st.at >= 0 {
			return true, st.head()
		}
	}
}

// current returns the current row.
func (st *stream) current() int64 { return st.lo + int64(st.at) }

// head reads the order key of the current row.
func (st *stream) head() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decoder failed: %v", r)
		}
	}()
	row := st.current()
	if st.old = row < st.seg.entry.Rows-st.seg.entry.Undated; st.old {
		if st.ts, err = st.access.ts(row); err != nil {
			return err
		}
	}
	st.id, err = st.access.id(idLeaf, row)
	return err
}

// before orders streams by their current rows.
func (st *stream) before(other *stream) bool {
	switch {
	case st.old != other.old:
		return st.old
	case st.old && st.ts != other.ts:
		return st.ts < other.ts
	}
	if c := bytes.Compare(st.id[:], other.id[:]); c != 0 {
		return c < 0
	}
	return st.seg.number < other.seg.number
}
