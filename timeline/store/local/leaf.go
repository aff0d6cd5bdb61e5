package local

import (
	"bytes"
	"encoding/hex"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// always is for nodes about which word filters say nothing.
type always struct{}

func (always) may(*scan) (bool, error) { return true, nil }

// intNode compares a column of integers.
type intNode struct {
	always
	leaf int
	test *timeline.Test
}

func (n *intNode) cost() int { return 1 }

func (n *intNode) filter(s *scan, in bitset) error {
	if s.allNull(n.leaf) {
		clear(in)
		return nil
	}
	lo, hi, numeric := n.test.Bounds()
	return s.pages(n.leaf, in, func(p *page, from, to int) error {
		if numeric {
			s.keep(in, p, from, to, func(i int) bool { v := p.ints[i]; return lo <= v && v <= hi })
		} else {
			s.keep(in, p, from, to, func(i int) bool { return n.test.Int(p.ints[i]) })
		}
		return nil
	})
}

// dictNode compares a column with a dictionary: each word of it once per
// segment, then rows by their code.
type dictNode struct {
	always
	leaf   int
	test   *timeline.Test
	number int
	split  bool      // the text is a list with commas
	plain  *textNode // for segments in which the column has no dictionary
}

// dictState is what a dictNode knows of one segment.
type dictState struct {
	asked       bool // whether the bloom filter excludes the value
	known, some bool
	pass        []bool
}

func (n *dictNode) cost() int { return 2 }

func (n *dictNode) passes(text string) bool {
	if !n.split {
		return n.test.Text(text)
	}
	for name := range strings.SplitSeq(text, ",") {
		if n.test.Text(name) {
			return true
		}
	}
	return false
}

func (n *dictNode) filter(s *scan, in bitset) error {
	st := &s.states[n.number]
	if s.allNull(n.leaf) || st.known && !st.some {
		clear(in)
		return nil
	}
	if !st.asked {
		st.asked = true
		absent, err := s.absent(n.leaf, n.test)
		if err != nil {
			return err
		}
		if absent {
			st.known = true
			clear(in)
			return nil
		}
	}
	return s.pages(n.leaf, in, func(p *page, from, to int) error {
		if p.dict == nil {
			n.filterPlain(s, in, p, from, to)
			return nil
		}
		if !st.known {
			st.known = true
			for code := range p.dict.len() {
				ok := n.passes(p.dict.text(int32(code)))
				st.pass = append(st.pass, ok)
				st.some = st.some || ok
			}
		}
		if st.known && !st.some {
			clear(in)
			return nil
		}
		s.keep(in, p, from, to, func(i int) bool { return st.pass[p.codes[i]] })
		return nil
	})
}

// filterPlain searches a page without a dictionary as text.
func (n *dictNode) filterPlain(s *scan, in bitset, p *page, from, to int) {
	found := s.scratch()
	defer s.give(found)
	clear(found)
	searchPage(s, in, found, p, from, to, n.plain.needle, n.plain.hit(p))
	for row := in.next(from); row >= 0 && row < to; row = in.next(row + 1) {
		if !found.has(row) {
			in.clear(row)
		}
	}
}

// absent reports whether the bloom filter of a leaf rules out every value
// equal to the test's. Filters know one spelling only, so values with letters
// are asked about where there is one spelling: digests.
func (a *access) absent(leaf int, t *timeline.Test) (bool, error) {
	if t.Match.Op != timeline.OpEqual || leaf >= leavesBefore && !schema[leaf-leavesBefore].bloom {
		return false, nil
	}
	chunk := a.seg.chunks[leaf]
	value := parquet.ByteArrayValue([]byte(t.Match.Value))
	if size := chunk.Type().Length(); size > 0 {
		b, err := hex.DecodeString(t.Folded())
		if err != nil || len(b) != size {
			return true, nil
		}
		value = parquet.FixedLenByteArrayValue(b)
	} else if t.Match.Value == "" || strings.Trim(t.Match.Value, "0123456789.:-_/") != "" {
		return false, nil
	}
	filter := chunk.BloomFilter()
	if filter == nil {
		return false, nil
	}
	ok, err := filter.Check(value)
	return !ok, err
}

// fixedNode compares identities and digests as hexadecimal text.
type fixedNode struct {
	always
	leaf int
	test *timeline.Test
}

func (n *fixedNode) cost() int { return 3 }

func (n *fixedNode) filter(s *scan, in bitset) error {
	var exact []byte
	switch n.test.Match.Op {
	case timeline.OpEqual:
		exact, _ = hex.DecodeString(n.test.Folded())
		if len(exact) == 0 || len(exact) != s.seg.chunks[n.leaf].Type().Length() {
			clear(in)
			return nil
		}
	case timeline.OpContains, timeline.OpWord:
		if strings.Trim(n.test.Folded(), "0123456789abcdef") != "" {
			clear(in)
			return nil
		}
	}
	if s.allNull(n.leaf) {
		clear(in)
		return nil
	}
	if n.leaf != contentLeaf {
		if absent, err := s.absent(n.leaf, n.test); err != nil || absent {
			clear(in)
			return err
		}
	}
	var text [64]byte
	return s.pages(n.leaf, in, func(p *page, from, to int) error {
		if exact != nil && !bytes.Contains(p.fixed, exact) {
			s.keep(in, p, from, to, func(int) bool { return false })
			return nil
		}
		s.keep(in, p, from, to, func(i int) bool {
			v := p.fixed[i*p.size : (i+1)*p.size]
			if exact != nil {
				return bytes.Equal(v, exact)
			}
			if p.size == 16 && timeline.ID(v) == (timeline.ID{}) {
				return false
			}
			hex.Encode(text[:], v)
			return n.test.Text(bytesAsString(text[:2*p.size]))
		})
		return nil
	})
}

// textNode compares a column of text: the whole page is searched at once for
// what every match must contain.
type textNode struct {
	always
	leaf   int
	test   *timeline.Test
	needle *needle
}

func newTextNode(leaf int, t *timeline.Test) *textNode {
	return &textNode{leaf: leaf, test: t, needle: newNeedle(literal(t))}
}

func (n *textNode) cost() int {
	switch {
	case n.test.Match.Op == timeline.OpExists:
		return 5
	case n.needle == nil:
		return 40
	case n.test.Match.Op == timeline.OpRegex:
		return 20
	}
	return 10
}

func (n *textNode) filter(s *scan, in bitset) error {
	if s.allNull(n.leaf) {
		clear(in)
		return nil
	}
	found := s.scratch()
	defer s.give(found)
	clear(found)
	err := s.pages(n.leaf, in, func(p *page, from, to int) error {
		searchPage(s, in, found, p, from, to, n.needle, n.hit(p))
		return nil
	})
	copy(in, found)
	return err
}

// hit returns the test of a value in which the needle is at byte at of the
// page; at is -1 where the needle was not looked for.
func (n *textNode) hit(p *page) func(i, at int) bool {
	op := n.test.Match.Op
	return func(i, at int) bool {
		if at < 0 || op != timeline.OpContains {
			return n.test.Text(p.text(i))
		}
		return true
	}
}

// searchPage marks in found the rows of in whose value passes. pass is asked
// once for every value that holds the needle, or for every value where the
// needle is of no use.
func searchPage(s *scan, in, found bitset, p *page, from, to int, needle *needle, pass func(i, at int) bool) {
	first, last := valueSpan(p, s.lo+int64(from), s.lo+int64(to))
	if first >= last {
		return
	}
	start, end := int(p.offsets[first]), int(p.offsets[last])
	if needle == nil || in.countIn(from, to)*16 < to-from || needle.blind(p.data[start:end]) {
		for row := in.next(from); row >= 0 && row < to; row = in.next(row + 1) {
			if i := p.value(s.lo + int64(row)); i >= 0 && pass(i, -1) {
				found.set(row)
			}
		}
		return
	}
	hunt := needle.in(p.data[:end])
	i, row := first, int(s.lo+int64(from)-p.first)
	for at := hunt.next(start); at >= 0; {
		for int(p.offsets[i+1]) <= at {
			i++
		}
		next := at + 1
		if at+len(needle.text) <= int(p.offsets[i+1]) {
			row = p.rowOf(i, row)
			r := row + int(p.first-s.lo)
			if in.has(r) && pass(i, at) {
				found.set(r)
			}
			next = int(p.offsets[i+1])
		}
		at = hunt.next(next)
	}
}

// valueSpan returns the values of the rows [from, to) of the segment.
func valueSpan(p *page, from, to int64) (first, last int) {
	if !p.nulls {
		return int(from - p.first), int(to - p.first)
	}
	first = -1
	for row := from; row < to; row++ {
		if i := p.value(row); i >= 0 {
			if first < 0 {
				first = i
			}
			last = i + 1
		}
	}
	return max(first, 0), last
}
