package local

import (
	"bytes"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// needle finds a folded ASCII text in text of any case. It looks for the
// rarest of its bytes with the processor's own byte search and compares
// around each hit.
type needle struct {
	text       []byte // folded
	rare       int    // place of the rarest byte
	low, up    byte   // that byte in both cases
	kelvin, es bool   // holds k or s, which characters outside ASCII fold into
}

// common lists bytes of logs from the most frequent on; all others count as
// rarer.
const common = " e0ta1oi2nsr-3d/h.l:c\"u4m5p=g6f7_8y9b,vwk[]()x;@'%+zqj"

// newNeedle returns nil where text is empty or not ASCII.
func newNeedle(folded string) *needle {
	if folded == "" {
		return nil
	}
	n := &needle{text: []byte(folded)}
	least := -1
	for i, c := range n.text {
		if c >= utf8.RuneSelf {
			return nil
		}
		rank := strings.IndexByte(common, c)
		if rank < 0 {
			rank = len(common)
		}
		if rank > least {
			least, n.rare = rank, i
		}
		n.kelvin, n.es = n.kelvin || c == 'k', n.es || c == 's'
	}
	n.low = n.text[n.rare]
	n.up = n.low
	if 'a' <= n.low && n.low <= 'z' {
		n.up -= 'a' - 'A'
	}
	return n
}

// blind reports whether text holds a character that the search would miss:
// one outside ASCII that folds into a letter of the needle.
func (n *needle) blind(text []byte) bool {
	return n.kelvin && bytes.Contains(text, []byte("\u212a")) || n.es && bytes.Contains(text, []byte("\u017f"))
}

// hunt is one run of a needle through a text.
type hunt struct {
	*needle
	hay     []byte
	low, up int // next place of either case of the rare byte; len(hay): none
}

func (n *needle) in(hay []byte) hunt {
	h := hunt{needle: n, hay: hay, low: -1, up: -1}
	if n.oneCase() {
		h.up = len(hay)
	}
	return h
}

// oneCase reports whether the rare byte has one case only.
func (n *needle) oneCase() bool { return n.low == n.up }

// next returns the first place from on where the needle begins, or -1.
func (h *hunt) next(from int) int {
	at := from + h.rare
	for {
		if h.low < at && h.low < len(h.hay) {
			h.low = indexFrom(h.hay, h.needle.low, at)
		}
		if h.up < at && h.up < len(h.hay) {
			h.up = indexFrom(h.hay, h.needle.up, at)
		}
		hit := min(h.low, h.up)
		start := hit - h.rare
		if hit >= len(h.hay) || start+len(h.text) > len(h.hay) {
			return -1
		}
		if h.equal(h.hay[start : start+len(h.text)]) {
			return start
		}
		at = hit + 1
	}
}

func indexFrom(hay []byte, c byte, at int) int {
	if at >= len(hay) {
		return len(hay)
	}
	if i := bytes.IndexByte(hay[at:], c); i >= 0 {
		return at + i
	}
	return len(hay)
}

func (h *hunt) equal(b []byte) bool {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != h.text[i] {
			return false
		}
	}
	return true
}

// literal returns a folded text that every value which passes the test must
// contain, "" where there is none.
func literal(t *timeline.Test) string {
	switch t.Match.Op {
	case timeline.OpEqual, timeline.OpContains, timeline.OpWord:
		return t.Folded()
	case timeline.OpWildcard:
		best := ""
		for _, piece := range wildcardPieces(t.Folded()) {
			if len(piece) > len(best) {
				best = piece
			}
		}
		return best
	case timeline.OpRegex:
		re, err := syntax.Parse("(?i)(?:"+t.Match.Value+")", syntax.Perl)
		if err != nil {
			return ""
		}
		return timeline.Fold(requiredText(re.Simplify()))
	}
	return ""
}

// wildcardPieces returns the runs of literal characters of a pattern.
func wildcardPieces(pattern string) []string {
	var pieces []string
	var run strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*', '?':
			pieces = append(pieces, run.String())
			run.Reset()
			continue
		case '\\':
			if i+1 < len(pattern) {
				i++
			}
		}
		run.WriteByte(pattern[i])
	}
	return append(pieces, run.String())
}

// requiredText returns the longest literal that every match of re contains.
func requiredText(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCapture, syntax.OpPlus:
		return requiredText(re.Sub[0])
	case syntax.OpConcat:
		best := ""
		for _, sub := range re.Sub {
			if s := requiredText(sub); len(s) > len(best) {
				best = s
			}
		}
		return best
	}
	return ""
}

// wordHashes returns the hashes of words that a block must hold for a value
// in it to pass the test: those of the required text that are whole words
// there wherever it occurs.
func wordHashes(t *timeline.Test) []uint64 {
	switch t.Match.Op {
	case timeline.OpEqual, timeline.OpWord:
		return wholeWords(t.Folded(), true)
	case timeline.OpContains, timeline.OpWildcard, timeline.OpRegex:
		return wholeWords(literal(t), false)
	}
	return nil
}

// wholeWords returns the hashes of the words of folded text; words that touch
// an end of it only where the ends are known to be ends of words.
func wholeWords(s string, ends bool) []uint64 {
	var out []uint64
	for i := 0; i < len(s); i++ {
		if !timeline.IsWordByte(s[i]) {
			continue
		}
		start := i
		for i < len(s) && timeline.IsWordByte(s[i]) {
			i++
		}
		if ends || start > 0 && i < len(s) {
			out = append(out, hashWord(s[start:i]))
		}
	}
	return out
}
