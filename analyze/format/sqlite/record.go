package sqlite

import (
	"encoding/binary"
	"math"
	"unicode/utf16"
	"unicode/utf8"
)

// encoding is how a database stores text, header offset 56.
type encoding uint32

const (
	utf8Text encoding = 1 + iota
	utf16LE
	utf16BE
)

// Kind is the storage class of a value.
type Kind uint8

// Storage classes.
const (
	Null Kind = iota
	Integer
	Real
	Text
	Blob
)

// Value is one value of a row.
type Value struct {
	Kind  Kind
	Int   int64
	Float float64
	Bytes []byte // of text, as UTF-8, and of blobs
}

// record splits a record into its values. ok is false where it contradicts
// itself. The values' bytes are those of b, but for UTF-16.
func (e encoding) record(values []Value, b []byte) (_ []Value, ok bool) {
	size, n := varint(b)
	if n == 0 || size < uint64(n) || size > uint64(len(b)) {
		return values, false
	}
	types, body := b[n:size], b[size:]
	for len(types) > 0 {
		serial, n := varint(types)
		if n == 0 || len(values) >= maxColumns {
			return values, false
		}
		types = types[n:]
		v, used, ok := value(serial, body)
		if !ok {
			return values, false
		}
		if v.Kind == Text && e != utf8Text {
			v.Bytes = e.toUTF8(v.Bytes)
		}
		body = body[used:]
		values = append(values, v)
	}
	return values, len(body) == 0
}

// value reads one value by its serial type.
func value(serial uint64, b []byte) (v Value, used int, ok bool) {
	switch {
	case serial >= 12:
		n := (serial - 12) / 2
		if n > uint64(len(b)) {
			return v, 0, false
		}
		v.Kind, v.Bytes = Blob, b[:n]
		if serial%2 == 1 {
			v.Kind = Text
		}
		return v, int(n), true
	case serial == 8 || serial == 9:
		return Value{Kind: Integer, Int: int64(serial - 8)}, 0, true
	case serial == 0:
		return v, 0, true
	case serial > 9:
		return v, 0, false // reserved
	}
	used = [...]int{0, 1, 2, 3, 4, 6, 8, 8}[serial]
	if used > len(b) {
		return v, 0, false
	}
	n := int64(int8(b[0]))
	for _, c := range b[1:used] {
		n = n<<8 | int64(c)
	}
	if serial == 7 {
		return Value{Kind: Real, Float: math.Float64frombits(uint64(n))}, used, true
	}
	return Value{Kind: Integer, Int: n}, used, true
}

func (e encoding) toUTF8(b []byte) []byte {
	var order binary.ByteOrder = binary.LittleEndian
	if e == utf16BE {
		order = binary.BigEndian
	}
	out := make([]byte, 0, len(b))
	for len(b) >= 2 {
		r := rune(order.Uint16(b))
		b = b[2:]
		if utf16.IsSurrogate(r) && len(b) >= 2 {
			if pair := utf16.DecodeRune(r, rune(order.Uint16(b))); pair != utf8.RuneError {
				r, b = pair, b[2:]
			}
		}
		out = utf8.AppendRune(out, r) // a lone surrogate becomes U+FFFD
	}
	return out
}
