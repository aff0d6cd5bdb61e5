// Package jsonl reads JSON lines (one JSON value a line, LF) without building
// values: a Scanner walks the text of a line and hands out its parts. It is
// for record sets of millions of lines; RFC 8259 is the grammar.
//
// Scanner checks what it reads and what it skips, but not that keys are
// unique: of a repeated key every value is seen.
package jsonl

import (
	"encoding/base64"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Scanner walks one JSON value. The first violation of the grammar is kept in
// Err and ends all reading: every method then returns its zero value.
type Scanner struct {
	b     []byte
	pos   int
	depth int
	first bool   // no member of the current object was read yet
	buf   []byte // decoded text; grows, so what was handed out stays valid
	err   error
}

// maxDepth bounds nesting.
const maxDepth = 64

// Reset starts on the text of another value. Text that was handed out before
// is no longer valid.
func (s *Scanner) Reset(b []byte) { *s = Scanner{b: b, buf: s.buf[:0]} }

// Err returns the first violation of the grammar.
func (s *Scanner) Err() error { return s.err }

func (s *Scanner) fail(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("%s at byte %d", what, s.pos)
	}
}

// peek returns the next byte that is not white space, 0 at the end.
func (s *Scanner) peek() byte {
	if s.err != nil {
		return 0
	}
	for ; s.pos < len(s.b); s.pos++ {
		switch c := s.b[s.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

func (s *Scanner) expect(c byte) bool {
	if s.peek() != c {
		if s.err == nil {
			s.fail("want '" + string(rune(c)) + "'")
		}
		return false
	}
	s.pos++
	return true
}

// End checks that nothing follows the value.
func (s *Scanner) End() error {
	if s.peek(); s.err == nil && s.pos < len(s.b) {
		s.fail("text after the value")
	}
	return s.err
}

// Object enters an object; Key then yields its keys.
func (s *Scanner) Object() bool {
	if !s.expect('{') {
		return false
	}
	if s.depth++; s.depth > maxDepth {
		s.fail("nested too deep")
		return false
	}
	s.first = true
	return true
}

// Key returns the next key of the current object. The caller must read or
// Skip its value before the next call. ok is false after the last one.
func (s *Scanner) Key() (key []byte, ok bool) {
	c := s.peek()
	if c == '}' {
		s.pos++
		s.depth--
		s.first = false
		return nil, false
	}
	if !s.first {
		if c != ',' {
			s.fail("want ',' or '}'")
			return nil, false
		}
		s.pos++
		if s.peek() != '"' {
			s.fail("want a key")
			return nil, false
		}
	}
	s.first = false
	key = s.Text()
	if !s.expect(':') {
		return nil, false
	}
	return key, true
}

// Is reports whether the next value begins with c: '"', '{', '[', 't', 'n' …
func (s *Scanner) Is(c byte) bool { return s.peek() == c }

// Text reads a string. The bytes are good until Reset. They are as the text
// has them: a text that is no UTF-8 yields bytes that are none.
func (s *Scanner) Text() []byte {
	if !s.expect('"') {
		return nil
	}
	for i := s.pos; i < len(s.b); i++ {
		switch c := s.b[i]; {
		case c == '"':
			text := s.b[s.pos:i:i]
			s.pos = i + 1
			return text
		case c == '\\':
			return s.escaped(i)
		case c < ' ':
			s.pos = i
			s.fail("control character in a string")
			return nil
		}
	}
	s.pos = len(s.b)
	s.fail("string without end")
	return nil
}

// escaped reads the rest of a string whose first escape is at i.
func (s *Scanner) escaped(i int) []byte {
	start := len(s.buf)
	s.buf = append(s.buf, s.b[s.pos:i]...)
	s.pos = i
	for s.pos < len(s.b) {
		switch c := s.b[s.pos]; {
		case c == '"':
			s.pos++
			return s.buf[start:len(s.buf):len(s.buf)]
		case c == '\\':
			if !s.escape() {
				return nil
			}
		case c < ' ':
			s.fail("control character in a string")
			return nil
		default:
			s.buf = append(s.buf, c)
			s.pos++
		}
	}
	s.fail("string without end")
	return nil
}

// escape decodes the escape sequence at pos.
func (s *Scanner) escape() bool {
	if s.pos+1 >= len(s.b) {
		s.fail("string without end")
		return false
	}
	c := s.b[s.pos+1]
	s.pos += 2
	switch c {
	case '"', '\\', '/':
		s.buf = append(s.buf, c)
	case 'b':
		s.buf = append(s.buf, '\b')
	case 'f':
		s.buf = append(s.buf, '\f')
	case 'n':
		s.buf = append(s.buf, '\n')
	case 'r':
		s.buf = append(s.buf, '\r')
	case 't':
		s.buf = append(s.buf, '\t')
	case 'u':
		r, ok := s.hex4()
		if !ok {
			return false
		}
		if utf16.IsSurrogate(r) {
			r = s.surrogate(r)
		}
		s.buf = utf8.AppendRune(s.buf, r)
	default:
		s.fail("unknown escape")
		return false
	}
	return true
}

// surrogate reads the second half of a pair; a lone half is U+FFFD.
func (s *Scanner) surrogate(high rune) rune {
	if s.pos+1 >= len(s.b) || s.b[s.pos] != '\\' || s.b[s.pos+1] != 'u' {
		return utf8.RuneError
	}
	back := s.pos
	s.pos += 2
	low, ok := s.hex4()
	if !ok {
		return utf8.RuneError
	}
	r := utf16.DecodeRune(high, low)
	if r == utf8.RuneError {
		s.pos = back
	}
	return r
}

func (s *Scanner) hex4() (rune, bool) {
	if s.pos+4 > len(s.b) {
		s.fail("short \\u escape")
		return 0, false
	}
	var r rune
	for _, c := range s.b[s.pos : s.pos+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			s.fail("bad \\u escape")
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	s.pos += 4
	return r, true
}

// Base64 reads a string in standard base64 and returns its bytes.
func (s *Scanner) Base64() []byte {
	text := s.Text()
	if s.err != nil {
		return nil
	}
	out, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		s.fail("bad base64")
		return nil
	}
	return out
}

// Int reads an integer without fraction and exponent.
func (s *Scanner) Int() int64 {
	neg := s.peek() == '-'
	if neg {
		s.pos++
	}
	n := s.digits()
	switch {
	case neg && n <= 1<<63:
		return -int64(n)
	case !neg && n < 1<<63:
		return int64(n)
	}
	s.fail("number out of range")
	return 0
}

// Uint reads an integer that is not negative.
func (s *Scanner) Uint() uint64 {
	s.peek()
	return s.digits()
}

func (s *Scanner) digits() uint64 {
	if s.err != nil {
		return 0
	}
	start, n := s.pos, uint64(0)
	for ; s.pos < len(s.b); s.pos++ {
		c := s.b[s.pos] - '0'
		if c > 9 {
			break
		}
		if n > (1<<64-1-uint64(c))/10 {
			s.fail("number out of range")
			return 0
		}
		n = n*10 + uint64(c)
	}
	if s.pos == start || s.b[start] == '0' && s.pos > start+1 {
		s.fail("want a number")
		return 0
	}
	if s.pos < len(s.b) {
		switch s.b[s.pos] {
		case '.', 'e', 'E':
			s.fail("want an integer")
			return 0
		}
	}
	return n
}

// Bool reads true or false.
func (s *Scanner) Bool() bool {
	if s.peek() == 't' {
		s.word("true")
		return s.err == nil
	}
	s.word("false")
	return false
}

func (s *Scanner) word(w string) {
	if s.pos+len(w) > len(s.b) || string(s.b[s.pos:s.pos+len(w)]) != w {
		s.fail("want " + w)
		return
	}
	s.pos += len(w)
}

// Skip passes over one value of any kind.
func (s *Scanner) Skip() {
	switch c := s.peek(); c {
	case '"':
		s.Text()
	case '{':
		if s.Object() {
			for _, ok := s.Key(); ok; _, ok = s.Key() {
				s.Skip()
			}
		}
	case '[':
		s.skipArray()
	case 't', 'f':
		s.Bool()
	case 'n':
		s.word("null")
	default:
		s.skipNumber()
	}
}

// Raw passes over one value of any kind and returns its text.
func (s *Scanner) Raw() []byte {
	s.peek()
	from := s.pos
	s.Skip()
	if s.err != nil {
		return nil
	}
	return s.b[from:s.pos]
}

// Array calls each for every element of an array, which each must read or
// Skip.
func (s *Scanner) Array(each func()) {
	if !s.expect('[') {
		return
	}
	if s.depth++; s.depth > maxDepth {
		s.fail("nested too deep")
		return
	}
	defer func() { s.depth-- }()
	if s.peek() == ']' {
		s.pos++
		return
	}
	for s.err == nil {
		each()
		if s.peek() == ',' {
			s.pos++
			continue
		}
		s.expect(']')
		return
	}
}

func (s *Scanner) skipArray() { s.Array(s.Skip) }

func (s *Scanner) skipNumber() {
	start := s.pos
	for s.pos < len(s.b) {
		switch c := s.b[s.pos]; {
		case c >= '0' && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
			s.pos++
			continue
		}
		break
	}
	if s.err == nil && s.pos == start {
		s.fail("want a value")
	}
}

// ErrLong says that a line is longer than the limit and was passed over.
var ErrLong = errors.New("line too long")
