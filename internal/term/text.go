package term

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Text is a writer for bytes of evidence on a terminal: lines and tabs stay,
// everything else that could act there is written as Escape writes it.
type Text struct {
	w    io.Writer
	rest []byte // begins a character that the next Write ends
}

// NewText returns a Text writing to w.
func NewText(w io.Writer) *Text { return &Text{w: w} }

// Write writes b. An incomplete character at its end waits for the next Write.
func (t *Text) Write(b []byte) (int, error) {
	n := len(b)
	if len(t.rest) > 0 {
		b = append(t.rest, b...)
		t.rest = nil
	}
	for back := 1; back < utf8.UTFMax && back <= len(b); back++ {
		if last := b[len(b)-back:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				t.rest = append([]byte(nil), last...)
				b = b[:len(b)-back]
			}
			break
		}
	}
	var out strings.Builder
	for len(b) > 0 {
		i := 0
		for i < len(b) && b[i] != '\n' && b[i] != '\t' {
			i++
		}
		out.WriteString(Escape(string(b[:i])))
		if i < len(b) {
			out.WriteByte(b[i])
			i++
		}
		b = b[i:]
	}
	if _, err := io.WriteString(t.w, out.String()); err != nil {
		return 0, err
	}
	return n, nil
}

// Close writes what an incomplete last character holds, escaped.
func (t *Text) Close() error {
	_, err := io.WriteString(t.w, Escape(string(t.rest)))
	t.rest = nil
	return err
}
