package local

import (
	"fmt"
)

// scan evaluates a plan over ranges of rows of one segment. It belongs to one
// goroutine.
type scan struct {
	*access
	plan   *plan
	from   int64 // rows of the span: [from, to)
	to     int64
	lo     int64 // rows of the range: [lo, lo+n), inside one block
	n      int
	states []dictState // by number of the node
	free   []bitset
	words_ map[uint64]bool
	block  int
}

// newScan returns a scan over the rows of an open segment that lie in the
// plan's span.
func newScan(seg *segment, p *plan) (*scan, error) {
	s := &scan{access: newAccess(seg), plan: p, to: seg.entry.Rows, states: make([]dictState, p.nodes), block: -1}
	if p.covers(seg.entry) {
		return s, nil
	}
	dated := seg.entry.Rows - seg.entry.Undated
	if p.timed {
		s.to = dated
	}
	first, last, ok := seg.entry.times()
	if !ok {
		return s, nil
	}
	var err error
	if first < p.first {
		if s.from, err = s.search(dated, func(ts int64) bool { return ts >= p.first }); err != nil {
			return s, err
		}
	}
	if last > p.last {
		s.to, err = s.search(dated, func(ts int64) bool { return ts > p.last })
	}
	return s, err
}

// search returns the first of the dated rows whose ts passes, by halving.
func (a *access) search(dated int64, pass func(ts int64) bool) (int64, error) {
	lo, hi := int64(0), dated
	for lo < hi {
		mid := (lo + hi) / 2
		ts, err := a.ts(mid)
		if err != nil {
			return 0, err
		}
		if pass(ts) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo, nil
}

// ts returns the time of a dated row.
func (a *access) ts(row int64) (int64, error) {
	p, err := a.page(leavesBefore+tsColumn, row)
	if err != nil {
		return 0, err
	}
	i := p.value(row)
	if i < 0 {
		return 0, fmt.Errorf("row %d has no time, the manifest counts it as dated", row)
	}
	return p.ints[i], nil
}

// step evaluates the next rows from row on, at most limit and never beyond a
// block, and marks those that match in out, row by row from s.lo.
func (s *scan) step(row int64, limit int, out *bitset) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decoder failed: %v", r)
		}
	}()
	end := min(s.to, row+int64(limit), (row/tokBlockRows+1)*tokBlockRows)
	s.lo, s.n = row, int(end-row)
	if block := int(row / tokBlockRows); block != s.block {
		s.block = block
		clear(s.words_)
	}
	if need := (s.n + 63) / 64; cap(*out) < need {
		*out = newBitset(tokBlockRows)
	}
	*out = (*out)[:(s.n+63)/64]
	out.fill(s.n)
	if s.plan.where == nil {
		return s.n, nil
	}
	if ok, err := s.plan.where.may(s); err != nil || !ok {
		clear(*out)
		return s.n, err
	}
	return s.n, s.plan.where.filter(s, *out)
}

// scratch returns a bitset of the range's size with any content.
func (s *scan) scratch() bitset {
	need := (s.n + 63) / 64
	if k := len(s.free); k > 0 {
		b := s.free[k-1]
		s.free = s.free[:k-1]
		return b[:need]
	}
	return newBitset(tokBlockRows)[:need]
}

func (s *scan) give(sets ...bitset) { s.free = append(s.free, sets...) }

// words reports whether the block may hold all of these words.
func (s *scan) words(hashes []uint64) (bool, error) {
	if s.seg.tokens == nil {
		return true, nil
	}
	for _, h := range hashes {
		may, known := s.words_[h]
		if !known {
			var err error
			if may, err = s.seg.tokens.may(s.block, h); err != nil {
				return false, err
			}
			if s.words_ == nil {
				s.words_ = make(map[uint64]bool)
			}
			s.words_[h] = may
		}
		if !may {
			return false, nil
		}
	}
	return true, nil
}

// pages calls f with every page of a leaf that has marked rows. from and to
// are rows of the range; from is marked.
func (s *scan) pages(leaf int, in bitset, f func(p *page, from, to int) error) error {
	for row := in.next(0); row >= 0; {
		p, err := s.page(leaf, s.lo+int64(row))
		if err != nil {
			return err
		}
		to := int(min(p.first+p.rows-s.lo, int64(s.n)))
		if err := f(p, row, to); err != nil {
			return err
		}
		row = in.next(to)
	}
	return nil
}

// keep clears the marked rows of [from, to) whose value does not pass; null
// never does.
func (s *scan) keep(in bitset, p *page, from, to int, pass func(i int) bool) {
	for row := in.next(from); row >= 0 && row < to; row = in.next(row + 1) {
		if i := p.value(s.lo + int64(row)); i < 0 || !pass(i) {
			in.clear(row)
		}
	}
}
