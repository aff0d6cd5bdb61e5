package local

import "math/bits"

// bitset marks rows of a range of at most one block.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bitset) clear(i int)    { b[i/64] &^= 1 << (i % 64) }
func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// fill marks the first n rows and no others.
func (b bitset) fill(n int) {
	for i := range b {
		b[i] = ^uint64(0)
	}
	if n%64 != 0 {
		b[len(b)-1] = 1<<(n%64) - 1
	}
}

func (b bitset) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

func (b bitset) any() bool {
	for _, w := range b {
		if w != 0 {
			return true
		}
	}
	return false
}

// next returns the first marked row from i on, or -1.
func (b bitset) next(i int) int {
	at := i / 64
	if at >= len(b) {
		return -1
	}
	w := b[at] >> (i % 64) << (i % 64)
	for w == 0 {
		if at++; at == len(b) {
			return -1
		}
		w = b[at]
	}
	return at*64 + bits.TrailingZeros64(w)
}

// countIn counts the marked rows in [from, to).
func (b bitset) countIn(from, to int) int {
	n := 0
	for i := from; i < to; {
		end := min(to, (i/64+1)*64)
		w := b[i/64] >> (i % 64)
		if width := end - i; width < 64 {
			w &= 1<<width - 1
		}
		n += bits.OnesCount64(w)
		i = end
	}
	return n
}
