package bundle

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

// appendJSONString appends s, which must be valid UTF-8, as a JSON string.
// Only what JSON demands is escaped, so every string has one spelling.
func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20 || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0')
			dst = hex.AppendEncode(dst, []byte{c})
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// Limits of the strict JSON reader: no honest line comes near them.
const (
	maxLine  = 1 << 20 // bytes of a manifest line, LF included
	maxDepth = 16
	maxKeys  = 256 // keys of one object other than extended attributes
)

// scanner reads one JSON text strictly: RFC 8259, no duplicate keys, valid
// UTF-8 only, integers only, nothing after the value. The first violation
// sticks in err and ends all reading.
type scanner struct {
	b   []byte
	pos int
	err error
}

func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("%s at byte %d", what, s.pos)
	}
}

func (s *scanner) space() {
	for s.pos < len(s.b) {
		switch s.b[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the next byte that is not white space, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.err != nil || s.pos >= len(s.b) {
		return 0
	}
	return s.b[s.pos]
}

func (s *scanner) expect(c byte) bool {
	if s.peek() != c {
		s.fail(fmt.Sprintf("want %q", c))
		return false
	}
	s.pos++
	return true
}

// end checks that nothing follows.
func (s *scanner) end() error {
	if s.peek(); s.err == nil && s.pos != len(s.b) {
		s.fail("text after the value")
	}
	return s.err
}

// object calls member for each key; member must consume the value.
func (s *scanner) object(limit int, member func(key string)) {
	if !s.expect('{') {
		return
	}
	if s.peek() == '}' {
		s.pos++
		return
	}
	var few [24]string
	seen := few[:0]
	var many map[string]bool
	for s.err == nil {
		key := s.text()
		if !s.expect(':') {
			return
		}
		if slices.Contains(seen, key) || many[key] {
			s.fail("duplicate key")
			return
		}
		if len(seen) < len(few) {
			seen = append(seen, key)
		} else {
			if many == nil {
				many = map[string]bool{}
			}
			many[key] = true
		}
		if len(seen)+len(many) > limit {
			s.fail("too many keys")
			return
		}
		member(key)
		if s.peek() == ',' {
			s.pos++
			continue
		}
		s.expect('}')
		return
	}
}

// array calls element for each element; element must consume the value.
func (s *scanner) array(element func()) {
	if !s.expect('[') {
		return
	}
	if s.peek() == ']' {
		s.pos++
		return
	}
	for s.err == nil {
		element()
		if s.peek() == ',' {
			s.pos++
			continue
		}
		s.expect(']')
		return
	}
}

// text reads a string.
func (s *scanner) text() string {
	if !s.expect('"') {
		return ""
	}
	start := s.pos
	for s.pos < len(s.b) {
		switch c := s.b[s.pos]; {
		case c == '"':
			raw := s.b[start:s.pos]
			s.pos++
			if !utf8.Valid(raw) {
				s.fail("string is not UTF-8")
				return ""
			}
			return string(raw)
		case c == '\\':
			return s.escaped(start)
		case c < 0x20:
			s.fail("control character in string")
			return ""
		}
		s.pos++
	}
	s.fail("string without end")
	return ""
}

// escaped continues text at the first backslash.
func (s *scanner) escaped(start int) string {
	out := append([]byte(nil), s.b[start:s.pos]...)
	for s.pos < len(s.b) {
		c := s.b[s.pos]
		s.pos++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				s.fail("string is not UTF-8")
				return ""
			}
			return string(out)
		case c < 0x20:
			s.fail("control character in string")
			return ""
		case c == '\\':
			out = s.escape(out)
			if s.err != nil {
				return ""
			}
		default:
			out = append(out, c)
		}
	}
	s.fail("string without end")
	return ""
}

func (s *scanner) escape(out []byte) []byte {
	if s.pos >= len(s.b) {
		s.fail("string without end")
		return out
	}
	c := s.b[s.pos]
	s.pos++
	switch c {
	case '"', '\\', '/':
		return append(out, c)
	case 'b':
		return append(out, '\b')
	case 'f':
		return append(out, '\f')
	case 'n':
		return append(out, '\n')
	case 'r':
		return append(out, '\r')
	case 't':
		return append(out, '\t')
	case 'u':
		r := s.unit()
		if r >= 0xD800 && r < 0xDC00 && s.pos+1 < len(s.b) && s.b[s.pos] == '\\' && s.b[s.pos+1] == 'u' {
			s.pos += 2
			if low := s.unit(); low >= 0xDC00 && low < 0xE000 {
				return utf8.AppendRune(out, (r-0xD800)<<10+(low-0xDC00)+0x10000)
			}
			s.fail("unpaired surrogate")
		}
		if r >= 0xD800 && r < 0xE000 {
			s.fail("unpaired surrogate")
		}
		return utf8.AppendRune(out, r)
	}
	s.fail("unknown escape")
	return out
}

// unit reads the four digits of a \u escape.
func (s *scanner) unit() rune {
	if s.pos+4 > len(s.b) {
		s.fail("short escape")
		return 0
	}
	v, err := strconv.ParseUint(string(s.b[s.pos:s.pos+4]), 16, 16)
	if err != nil {
		s.fail("bad escape")
	}
	s.pos += 4
	return rune(v)
}

// number returns the text of an integer. Fractions and exponents are refused:
// the format has none.
func (s *scanner) number() string {
	s.space()
	start := s.pos
	if s.pos < len(s.b) && s.b[s.pos] == '-' {
		s.pos++
	}
	digits := s.pos
	for s.pos < len(s.b) && s.b[s.pos] >= '0' && s.b[s.pos] <= '9' {
		s.pos++
	}
	n := s.pos - digits
	if n == 0 || n > 20 || (n > 1 && s.b[digits] == '0') {
		s.fail("want an integer")
		return "0"
	}
	return string(s.b[start:s.pos])
}

func (s *scanner) int64() int64 {
	v, err := strconv.ParseInt(s.number(), 10, 64)
	if err != nil {
		s.fail("integer out of range")
	}
	return v
}

func (s *scanner) uint64() uint64 {
	v, err := strconv.ParseUint(s.number(), 10, 64)
	if err != nil {
		s.fail("integer out of range")
	}
	return v
}

func (s *scanner) uint32() uint32 {
	v, err := strconv.ParseUint(s.number(), 10, 32)
	if err != nil {
		s.fail("integer out of range")
	}
	return uint32(v)
}

func (s *scanner) bool() bool {
	switch {
	case s.word("true"):
		return true
	case s.word("false"):
		return false
	}
	s.fail("want true or false")
	return false
}

func (s *scanner) word(w string) bool {
	s.space()
	if s.err != nil || len(s.b)-s.pos < len(w) || string(s.b[s.pos:s.pos+len(w)]) != w {
		return false
	}
	s.pos += len(w)
	return true
}

// skip reads any value and returns its text.
func (s *scanner) skip() []byte {
	s.space()
	start := s.pos
	s.skipAt(0)
	if s.err != nil {
		return nil
	}
	return s.b[start:s.pos]
}

func (s *scanner) skipAt(depth int) {
	if depth > maxDepth {
		s.fail("nested too deeply")
		return
	}
	switch c := s.peek(); {
	case c == '{':
		s.object(maxLine, func(string) { s.skipAt(depth + 1) })
	case c == '[':
		s.array(func() { s.skipAt(depth + 1) })
	case c == '"':
		s.text()
	case c == 't', c == 'f':
		s.bool()
	case c == 'n':
		if !s.word("null") {
			s.fail("want null")
		}
	default:
		s.number()
	}
}

// strictJSON checks that b is one JSON value by the rules of scanner.
func strictJSON(b []byte) error {
	if len(b) > maxLine {
		return errors.New("longer than 1 MiB")
	}
	s := scanner{b: b}
	s.skip()
	return s.end()
}
