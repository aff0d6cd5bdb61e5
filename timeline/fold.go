package timeline

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fold returns s with every character replaced by one representative of its
// case: two texts are equal under Unicode simple case folding exactly when
// their folds are equal. ASCII letters become lower case; so do the two
// characters outside ASCII that fold into it (U+017F, U+212A).
func Fold(s string) string {
	i := 0
	for i < len(s) && s[i] < utf8.RuneSelf && (s[i] < 'A' || s[i] > 'Z') {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	b.WriteString(s[:i])
	for i < len(s) {
		if c := s[i]; c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			b.WriteByte(c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b.WriteByte(s[i])
		} else {
			b.WriteRune(foldRune(r))
		}
		i += n
	}
	return b.String()
}

// foldRune returns the smallest character of r's case orbit, or the lower
// case letter where the orbit reaches into ASCII.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	if 'A' <= least && least <= 'Z' {
		least += 'a' - 'A'
	}
	return least
}

// IsWordByte reports whether c belongs to a word: an ASCII letter or digit,
// or any byte of a character outside ASCII.
func IsWordByte(c byte) bool {
	return c >= utf8.RuneSelf || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// ContainsWord reports whether word occurs in s with no word byte touching an
// end of it that is itself a word byte. Both must be folded already.
func ContainsWord(s, word string) bool {
	if word == "" {
		return true
	}
	headOpen, tailOpen := !IsWordByte(word[0]), !IsWordByte(word[len(word)-1])
	for at := 0; ; at++ {
		i := strings.Index(s[at:], word)
		if i < 0 {
			return false
		}
		at += i
		end := at + len(word)
		if (headOpen || at == 0 || !IsWordByte(s[at-1])) && (tailOpen || end == len(s) || !IsWordByte(s[end])) {
			return true
		}
	}
}

// WildcardMatch reports whether the whole of s matches pattern, in which *
// stands for any run of characters, ? for any one, and a backslash takes the
// next character literally. Both must be folded already.
func WildcardMatch(pattern, s string) bool {
	p, i := 0, 0
	starP, starI := -1, 0
	for i < len(s) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				starP, starI = p+1, i
				p++
				continue
			}
			if pn, sn, ok := stepWildcard(pattern[p:], s[i:]); ok {
				p, i = p+pn, i+sn
				continue
			}
		}
		if starP < 0 {
			return false
		}
		_, n := utf8.DecodeRuneInString(s[starI:])
		starI += n
		p, i = starP, starI
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// stepWildcard matches one element of a pattern that is no star.
func stepWildcard(pattern, s string) (pn, sn int, ok bool) {
	_, sn = utf8.DecodeRuneInString(s)
	if pattern[0] == '?' {
		return 1, sn, true
	}
	skip := 0
	if pattern[0] == '\\' && len(pattern) > 1 {
		skip = 1
	}
	_, pn = utf8.DecodeRuneInString(pattern[skip:])
	return skip + pn, sn, pattern[skip:skip+pn] == s[:sn]
}
