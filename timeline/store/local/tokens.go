package local

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// A word filter (.tok) says for every block of 32,768 rows which words may
// occur in it:
//
//	magic "exhibit.tok.1\n"
//	u32 number of blocks, u32 rows of a block
//	per block: u64 offset in the file, u64 number of bits; 0 bits: anything may occur
//	the filters
//
// All integers are little-endian. A word is a longest run of word bytes
// (timeline.IsWordByte), folded. Its hash is fnv-1a-64 mixed once (mixWord);
// bit i of 7 is x * bits / 2^32 with the 32-bit sum x = low half + i * (high
// half made odd).
const (
	tokMagic     = "exhibit.tok.1\n"
	tokBlockRows = 32_768
	tokHashes    = 7
	tokBits      = 10      // bits per word
	tokMaxWords  = 4 << 20 // a block with more is left without a filter
)

func hashWord(word string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(word) {
		h = (h ^ uint64(word[i])) * 1099511628211
	}
	return mixWord(h)
}

// mixWord spreads fnv-1a over all bits and never returns 0.
func mixWord(h uint64) uint64 {
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	if h == 0 {
		return 1
	}
	return h
}

// wordBytes folds one byte: 0 separates words, 1 is part of a character outside
// ASCII, anything else is itself in lower case.
var wordBytes = func() (t [256]byte) {
	for c := range 256 {
		switch {
		case c >= 0x80:
			t[c] = 1
		case 'A' <= c && c <= 'Z':
			t[c] = byte(c) + 'a' - 'A'
		case timeline.IsWordByte(byte(c)):
			t[c] = byte(c)
		}
	}
	return t
}()

// wordSet collects the hashes of one block's words, each once.
type wordSet struct {
	slots []uint64
	n     int
	over  bool
}

func (s *wordSet) reset() {
	clear(s.slots)
	s.n, s.over = 0, false
	if len(s.slots) == 0 || len(s.slots) > 1<<20 {
		s.slots = make([]uint64, 1<<14)
	}
}

func (s *wordSet) add(h uint64) {
	mask := uint64(len(s.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case h:
			return
		case 0:
			s.slots[i] = h
			if s.n++; s.n*2 > len(s.slots) {
				s.grow()
			}
			return
		}
	}
}

func (s *wordSet) grow() {
	if s.n > tokMaxWords {
		s.over, s.n = true, 0
		clear(s.slots)
		return
	}
	old := s.slots
	s.slots, s.n = make([]uint64, 2*len(old)), 0
	for _, h := range old {
		if h != 0 {
			s.add(h)
		}
	}
}

// text adds the words of a text. In JSON a backslash and what it escapes
// separate words.
func (s *wordSet) text(b []byte, json bool) {
	for i := 0; i < len(b); {
		c := wordBytes[b[i]]
		if c == 0 {
			if json && b[i] == '\\' {
				i += escapeLen(b[i:])
				continue
			}
			i++
			continue
		}
		start, h, plain := i, uint64(14695981039346656037), true
		for ; c != 0; c = wordBytes[b[i]] {
			plain = plain && c != 1
			h = (h ^ uint64(c)) * 1099511628211
			if i++; i == len(b) {
				break
			}
		}
		if !plain {
			s.add(hashWord(timeline.Fold(bytesAsString(b[start:i]))))
			continue
		}
		s.add(mixWord(h))
	}
}

func escapeLen(b []byte) int {
	if len(b) > 1 && b[1] == 'u' {
		return min(6, len(b))
	}
	return min(2, len(b))
}

// filter returns the bloom filter of the words, empty where there are too
// many.
func (s *wordSet) filter() []byte {
	if s.over {
		return nil
	}
	nbits := uint64(max(64, s.n*tokBits+7)) &^ 7
	out := make([]byte, nbits/8)
	for _, h := range s.slots {
		if h == 0 {
			continue
		}
		for i := range uint64(tokHashes) {
			bit := wordBit(h, i, nbits)
			out[bit/8] |= 1 << (bit % 8)
		}
	}
	return out
}

func wordBit(h, i, nbits uint64) uint64 {
	x := (h&0xffffffff + i*(h>>32|1)) & 0xffffffff
	hi, _ := bits.Mul64(x<<32, nbits)
	return hi
}

// writeTokens writes the word filter of rows in the order given.
func writeTokens(out io.Writer, r *rows, order []rowKey) error {
	var set wordSet
	var filters [][]byte
	for from := 0; from < len(order); from += tokBlockRows {
		set.reset()
		block := order[from:min(from+tokBlockRows, len(order))]
		for i := range r.cols {
			if c := &r.cols[i]; c.kind != kindInt && searched(i) && !c.empty() {
				addWords(&set, c, block, i == attrsColumn)
			}
		}
		filters = append(filters, set.filter())
	}
	head := []byte(tokMagic)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(filters)))
	head = binary.LittleEndian.AppendUint32(head, tokBlockRows)
	at := uint64(len(head) + 16*len(filters))
	for _, f := range filters {
		head = binary.LittleEndian.AppendUint64(head, at)
		head = binary.LittleEndian.AppendUint64(head, uint64(8*len(f)))
		at += uint64(len(f))
	}
	if _, err := out.Write(append(head, bytes.Join(filters, nil)...)); err != nil {
		return fmt.Errorf("write word filter: %w", err)
	}
	return nil
}

// searched reports whether free text looks at column i.
func searched(i int) bool { return schema[i].text != nil || i == attrsColumn }

func addWords(set *wordSet, c *column, block []rowKey, json bool) {
	switch {
	case !c.filled:
		set.text(stringAsBytes(c.firstText), json)
	case c.kind == kindDict:
		seen := make([]bool, len(c.values))
		for i := range block {
			if code := c.codes[block[i].row]; !seen[code] {
				seen[code] = true
				set.text(stringAsBytes(c.values[code]), json)
			}
		}
	default:
		for i := range block {
			set.text(stringAsBytes(c.text(block[i].row)), json)
		}
	}
}

// tokens reads a word filter.
type tokens struct {
	r      io.ReaderAt
	blocks []tokBlock
}

type tokBlock struct{ offset, bits uint64 }

var errNoTokens = errors.New("is no word filter")

// openTokens reads the head of a word filter of size bytes for a segment of
// that many rows.
func openTokens(r io.ReaderAt, size, rows int64) (*tokens, error) {
	head := make([]byte, len(tokMagic)+8)
	if _, err := r.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("read word filter: %w", err)
	}
	n := binary.LittleEndian.Uint32(head[len(tokMagic):])
	per := binary.LittleEndian.Uint32(head[len(tokMagic)+4:])
	if string(head[:len(tokMagic)]) != tokMagic || per != tokBlockRows ||
		int64(n) != (rows+tokBlockRows-1)/tokBlockRows || int64(len(head))+16*int64(n) > size {
		return nil, errNoTokens
	}
	index := make([]byte, 16*n)
	if _, err := r.ReadAt(index, int64(len(head))); err != nil {
		return nil, fmt.Errorf("read word filter: %w", err)
	}
	t := &tokens{r: r, blocks: make([]tokBlock, n)}
	for i := range t.blocks {
		b := tokBlock{binary.LittleEndian.Uint64(index[16*i:]), binary.LittleEndian.Uint64(index[16*i+8:])}
		if b.bits%8 != 0 || b.offset > uint64(size) || b.bits/8 > uint64(size)-b.offset {
			return nil, errNoTokens
		}
		t.blocks[i] = b
	}
	return t, nil
}

// may reports whether the block may hold the word of that hash.
func (t *tokens) may(block int, h uint64) (bool, error) {
	b := t.blocks[block]
	if b.bits == 0 {
		return true, nil
	}
	var one [1]byte
	for i := range uint64(tokHashes) {
		bit := wordBit(h, i, b.bits)
		if _, err := t.r.ReadAt(one[:], int64(b.offset+bit/8)); err != nil {
			return false, fmt.Errorf("read word filter: %w", err)
		}
		if one[0]&(1<<(bit%8)) == 0 {
			return false, nil
		}
	}
	return true, nil
}
