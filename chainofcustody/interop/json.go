package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// object is a JSON object; its keys are written in order of bytes.
type object = map[string]any

// marshal writes JSON for files: indented, and with every character that could
// act on a terminal escaped as the custody format escapes it. Such a character
// can only stand inside a string.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	in := b.Bytes()
	out := make([]byte, 0, len(in))
	for len(in) > 0 {
		r, n := utf8.DecodeRune(in)
		if active(r) {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = append(out, in[:n]...)
		}
		in = in[n:]
	}
	return out, nil
}

// active are characters above the C0 controls that act instead of showing: C1
// controls and DEL, line separators, bidirectional controls, the byte order
// mark.
func active(r rune) bool {
	return r >= 0x7f && r < 0xa0 || r == 0x061c || r == 0x200e || r == 0x200f ||
		r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff
}

// append1 adds a value under a key that may have several.
func append1(o object, key string, v any) {
	switch have := o[key].(type) {
	case nil:
		o[key] = v
	case []any:
		o[key] = append(have, v)
	default:
		o[key] = []any{have, v}
	}
}

// put adds text under a key unless there is none.
func put(o object, key, s string) {
	if s != "" {
		append1(o, key, s)
	}
}
