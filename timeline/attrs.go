package timeline

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// AppendAttrs writes attributes as one JSON object in source order. A value of
// type 'i' or 'f' whose spelling is a JSON number is written bare, everything
// else as a string; keys may repeat. AttrTypes holds what is lost by that.
func AppendAttrs(dst []byte, attrs []Attr) []byte {
	dst = append(dst, '{')
	for i := range attrs {
		if i > 0 {
			dst = append(dst, ',')
		}
		a := &attrs[i]
		dst = appendQuoted(dst, a.Key)
		dst = append(dst, ':')
		if (a.Type == 'i' || a.Type == 'f') && isNumber(a.Value) {
			dst = append(dst, a.Value...)
		} else {
			dst = appendQuoted(dst, a.Value)
		}
	}
	return append(dst, '}')
}

// appendQuoted writes a JSON string.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	dst = AppendEscaped(dst, s)
	return append(dst, '"')
}

// AppendEscaped writes the inside of a JSON string as AppendAttrs does: only
// what JSON demands is escaped, so that every character has one spelling and
// a search can look at the JSON itself.
func AppendEscaped(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		from = i + 1
	}
	return append(dst, s[from:]...)
}

// isNumber reports whether s is spelled as JSON wants numbers, without an
// exponent.
func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, fraction, dot := strings.Cut(s, ".")
	if whole == "" || len(s) > 64 || len(whole) > 1 && whole[0] == '0' || dot && fraction == "" {
		return false
	}
	return strings.Trim(whole, "0123456789") == "" && strings.Trim(fraction, "0123456789") == ""
}

// AttrTypes returns the types of attributes, one letter each.
func AttrTypes(dst []byte, attrs []Attr) []byte {
	for i := range attrs {
		dst = append(dst, attrs[i].Type)
	}
	return dst
}

// ParseAttrs is the inverse of AppendAttrs. types, from AttrTypes, may be too short, then
// strings are text and numbers are integers or fractions by their spelling.
func ParseAttrs(dst []Attr, s, types string) ([]Attr, error) {
	bad := func(at int) ([]Attr, error) {
		return dst, fmt.Errorf("attributes are no JSON object of texts and numbers at byte %d", at)
	}
	if s == "" || s == "{}" {
		return dst, nil
	}
	if s[0] != '{' || s[len(s)-1] != '}' {
		return bad(0)
	}
	at, n := 1, 0
	for at < len(s)-1 {
		if n > 0 {
			if s[at] != ',' {
				return bad(at)
			}
			at++
		}
		key, next, ok := quoted(s, at)
		if !ok || next >= len(s) || s[next] != ':' {
			return bad(at)
		}
		a := Attr{Key: key, Type: 's'}
		if at = next + 1; s[at] == '"' {
			a.Value, next, ok = quoted(s, at)
		} else {
			for next = at; next < len(s) && s[next] != ',' && s[next] != '}'; next++ {
			}
			a.Value, ok, a.Type = s[at:next], isNumber(s[at:next]), 'i'
			if strings.Contains(a.Value, ".") {
				a.Type = 'f'
			}
		}
		if !ok {
			return bad(at)
		}
		if n < len(types) {
			a.Type = types[n]
		}
		dst = append(dst, a)
		at = next
		n++
	}
	return dst, nil
}

// quoted reads the JSON string at s[at]; next is the byte after it.
func quoted(s string, at int) (text string, next int, ok bool) {
	if at >= len(s) || s[at] != '"' {
		return "", 0, false
	}
	for i := at + 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return s[at+1 : i], i + 1, true
		case '\\':
			return escapedText(s, at, i)
		}
	}
	return "", 0, false
}

// escapedText finishes a JSON string whose first backslash is at i.
func escapedText(s string, at, i int) (text string, next int, ok bool) {
	for ; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			var out string
			if json.Unmarshal([]byte(s[at:i+1]), &out) != nil || !utf8.ValidString(out) {
				return "", 0, false
			}
			return out, i + 1, true
		}
	}
	return "", 0, false
}

// AttrValue returns the value of the key that begins at byte at of an object
// that AppendAttrs wrote and takes keyLen bytes with its quotes and colon;
// ok is false where the bytes there are no key.
func AttrValue(json string, at, keyLen int) (value string, ok bool) {
	if at == 0 || json[at-1] != '{' && json[at-1] != ',' || at+keyLen >= len(json) {
		return "", false
	}
	at += keyLen
	if json[at] == '"' {
		value, _, ok = quoted(json, at)
		return value, ok
	}
	end := at
	for end < len(json) && json[end] != ',' && json[end] != '}' {
		end++
	}
	return json[at:end], isNumber(json[at:end])
}
