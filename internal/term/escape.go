// Package term is what a command needs to talk to a person at a terminal:
// text from evidence made harmless, progress, and colour where it is wanted.
package term

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape returns s with everything that could act on a terminal or mislead a
// reader written as a visible escape: control characters, bytes that are no
// UTF-8 (\xNN), line and paragraph separators, bidirectional controls, and
// other characters without a glyph (\u{…}).
func Escape(s string) string {
	if harmless(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(`\x`)
			b.WriteString(hex2(s[i]))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case unsafeRune(r):
			b.WriteString(`\u{` + strconv.FormatInt(int64(r), 16) + `}`)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

func harmless(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f {
			return onlyGraphic(s)
		}
	}
	return true
}

func onlyGraphic(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unsafeRune(r) {
			return false
		}
	}
	return true
}

// unsafeRune reports characters that are not drawn as themselves: C0 and C1
// controls, format characters (bidirectional controls, zero-width joiners,
// tags), surrogates, private use, and separators other than the space.
func unsafeRune(r rune) bool {
	return r != ' ' && !unicode.IsGraphic(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Co, r) ||
		unicode.Is(unicode.Zs, r) && r != ' ' && r != '\u00a0'
}

func hex2(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

// Clip shortens s to width characters, marking the cut with an ellipsis.
func Clip(s string, width int) string {
	if width <= 0 || utf8.RuneCountInString(s) <= width {
		return s
	}
	n := 0
	for i := range s {
		if n++; n == width {
			return s[:i] + "…"
		}
	}
	return s
}
