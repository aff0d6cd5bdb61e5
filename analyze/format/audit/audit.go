// Package audit reads the records of the Linux audit system as auditd writes
// them to its log, and puts the records of one event together.
//
// A record is one line (audit-userspace, auparse; kernel/audit.c):
//
//	[node=NAME ]type=TYPE msg=audit(SECONDS.MILLIS:SERIAL): FIELD=VALUE ...
//
// Values that hold anything but plain characters are written in hexadecimal
// without quotes. With log_format=ENRICHED, auditd adds the names behind the
// numbers after a byte 0x1d. The records of one event have the same node,
// time and serial; records of other events may lie between them.
package audit

import (
	"bytes"
)

// Unset is what the kernel writes for an account or session that is not set.
const Unset = "4294967295"

// separator stands between a record and what auditd added to it.
const separator = 0x1d

// ID is what the records of one event have in common.
type ID struct {
	Sec    int64
	Millis int64
	Serial uint64
}

// Header is the beginning of a record. Byte fields are parts of the line.
type Header struct {
	ID
	Node     []byte // nil when not stated
	Type     []byte
	Body     []byte // fields
	Enriched []byte // fields that auditd added; nil without
}

// ParseHeader reads the beginning of a line and reports whether it is a
// record.
func ParseHeader(line []byte, h *Header) bool {
	*h = Header{}
	if rest, ok := cutPrefix(line, "node="); ok {
		h.Node, line = word(rest)
	}
	rest, ok := cutPrefix(line, "type=")
	if !ok {
		return false
	}
	h.Type, rest = word(rest)
	rest, ok = cutPrefix(rest, "msg=audit(")
	if !ok || len(h.Type) == 0 {
		return false
	}
	rest, ok = h.ID.read(rest)
	if !ok {
		return false
	}
	rest, _ = cutPrefix(rest, ":")
	h.Body = trim(rest)
	if i := bytes.IndexByte(h.Body, separator); i >= 0 {
		h.Body, h.Enriched = h.Body[:i], h.Body[i+1:]
	}
	return true
}

// read takes SECONDS.MILLIS:SERIAL) and returns what follows.
func (id *ID) read(b []byte) ([]byte, bool) {
	sec, b, ok := number(b)
	if !ok || len(b) == 0 || b[0] != '.' || sec > 1<<40 {
		return b, false
	}
	before := len(b)
	millis, b, ok := number(b[1:])
	if !ok || len(b) == 0 || b[0] != ':' {
		return b, false
	}
	switch before - 1 - len(b) { // digits of the fraction
	case 1:
		millis *= 100
	case 2:
		millis *= 10
	case 3:
	default:
		return b, false
	}
	serial, b, ok := number(b[1:])
	if !ok || len(b) == 0 || b[0] != ')' {
		return b, false
	}
	id.Sec, id.Millis, id.Serial = int64(sec), int64(millis), serial
	return b[1:], true
}

// Field is one FIELD=VALUE of a record.
type Field struct {
	Key    []byte
	Value  []byte // without quotes
	Quoted bool   // the value was in double quotes: it is no hexadecimal
	Nested bool   // inside msg='...'
}

// Fields yields the fields of a body. Words without "=" are skipped.
type Fields struct {
	rest, after []byte // after: what follows msg='...'
	nested      bool
}

// NewFields returns the fields of a body.
func NewFields(body []byte) Fields { return Fields{rest: body} }

// Next stores the next field and reports whether there was one.
func (s *Fields) Next(f *Field) bool {
	for {
		s.rest = trim(s.rest)
		if len(s.rest) == 0 {
			if !s.nested {
				return false
			}
			s.rest, s.after, s.nested = s.after, nil, false
			continue
		}
		end := 0
		for end < len(s.rest) && s.rest[end] != '=' && s.rest[end] != ' ' {
			end++
		}
		if end == len(s.rest) || s.rest[end] == ' ' || end == 0 {
			s.rest = s.rest[min(end+1, len(s.rest)):]
			continue
		}
		f.Key, f.Nested = trimPunctuation(s.rest[:end]), s.nested
		s.rest = s.rest[end+1:]
		if !s.nested && len(s.rest) > 0 && s.rest[0] == '\'' && string(f.Key) == "msg" {
			s.enter()
			continue
		}
		s.value(f)
		return true
	}
}

// enter goes inside msg='...'. The closing quote is the last one: what a
// client chose is encoded, but older programs wrote text as it was.
func (s *Fields) enter() {
	inner := s.rest[1:]
	if i := bytes.LastIndexByte(inner, '\''); i >= 0 {
		s.rest, s.after = inner[:i], inner[i+1:]
	} else {
		s.rest, s.after = inner, nil
	}
	s.nested = true
}

func (s *Fields) value(f *Field) {
	f.Quoted = false
	if len(s.rest) > 0 && s.rest[0] == '"' {
		if i := bytes.IndexByte(s.rest[1:], '"'); i >= 0 {
			f.Value, f.Quoted = s.rest[1:1+i], true
			s.rest = s.rest[2+i:]
			return
		}
	}
	if len(s.rest) > 0 && s.rest[0] == '{' { // SADDR={ ... }
		if i := bytes.IndexByte(s.rest, '}'); i >= 0 {
			f.Value = s.rest[:i+1]
			s.rest = s.rest[i+1:]
			return
		}
	}
	f.Value, s.rest = word(s.rest)
}

// Encoded reports whether a field of that name is one that the kernel and the
// audit library write in hexadecimal when its value is not plain. key may
// also be an argument of EXECVE.
func Encoded(key []byte) bool {
	switch string(key) {
	case "name", "exe", "comm", "cwd", "proctitle", "cmd", "acct", "data", "path", "dir", "file", "key", "ocomm",
		"watch", "vm", "grp", "new_group", "unit", "invalid_context", "sw", "root_dir", "old-disk", "new-disk":
		return true
	}
	return false
}

// Decode appends the bytes of an encoded value to dst. A value that is no
// hexadecimal is taken as it is; "(null)" and "(none)" are nothing.
func Decode(dst, value []byte, quoted bool) []byte {
	if quoted {
		return append(dst, value...)
	}
	if string(value) == "(null)" || string(value) == "(none)" {
		return dst
	}
	if len(value) == 0 || len(value)%2 != 0 {
		return append(dst, value...)
	}
	start := len(dst)
	for i := 0; i < len(value); i += 2 {
		hi, lo := nibble(value[i]), nibble(value[i+1])
		if hi > 15 || lo > 15 {
			return append(dst[:start], value...)
		}
		dst = append(dst, hi<<4|lo)
	}
	return dst
}

// nibble returns the value of a hexadecimal digit, 255 for anything else.
func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

func cutPrefix(b []byte, prefix string) ([]byte, bool) {
	if len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix {
		return b[len(prefix):], true
	}
	return b, false
}

func word(b []byte) (first, rest []byte) {
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

func trim(b []byte) []byte {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	return b
}

// trimPunctuation drops what older messages put around a field's name.
func trimPunctuation(b []byte) []byte {
	for len(b) > 1 && (b[0] == '(' || b[0] == ',' || b[0] == '\'') {
		b = b[1:]
	}
	return b
}

// number reads up to 19 digits.
func number(b []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for i < len(b) && i < 19 && b[i] >= '0' && b[i] <= '9' {
		n = n*10 + uint64(b[i]-'0')
		i++
	}
	return n, b[i:], i > 0
}
