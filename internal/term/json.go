package term

import (
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON is a writer for JSON that may be shown on a terminal: characters that
// could act there or mislead, which JSON allows as they are in strings, are
// written as \uXXXX. What a parser reads stays the same. Flush it at the end.
type JSON struct {
	w    io.Writer
	buf  []byte
	rest []byte // begins a character that the next Write ends
}

// NewJSON returns a JSON writing to w.
func NewJSON(w io.Writer) *JSON { return &JSON{w: w} }

// Write writes b, which may end within a character.
func (j *JSON) Write(b []byte) (int, error) {
	n := len(b)
	if len(j.rest) > 0 {
		b = append(j.rest, b...)
		j.rest = nil
	}
	j.buf = j.buf[:0]
	from := 0 // what lies between from and i goes out as it is
	for i := 0; i < len(b); {
		if b[i] < 0x7f {
			i++ // JSON has no controls below 0x20 but white space between values
			continue
		}
		if !utf8.FullRune(b[i:]) {
			j.rest = append([]byte(nil), b[i:]...)
			b = b[:i]
			break
		}
		r, size := utf8.DecodeRune(b[i:])
		if r != utf8.RuneError && unsafeRune(r) {
			j.buf = append(j.buf, b[from:i]...)
			j.buf = escapeJSON(j.buf, r)
			from = i + size
		}
		i += size
	}
	out := b
	if from > 0 {
		out = append(j.buf, b[from:]...)
		j.buf = out
	}
	if _, err := j.w.Write(out); err != nil {
		return 0, err
	}
	return n, nil
}

// Flush writes what an incomplete last character holds.
func (j *JSON) Flush() error {
	rest := j.rest
	j.rest = nil
	if len(rest) == 0 {
		return nil
	}
	_, err := j.w.Write(rest)
	return err
}

func escapeJSON(b []byte, r rune) []byte {
	if r > 0xffff {
		hi, lo := utf16.EncodeRune(r)
		return escapeJSON(escapeJSON(b, hi), lo)
	}
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
