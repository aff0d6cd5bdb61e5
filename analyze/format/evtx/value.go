package evtx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/analyze/format/utf16le"
	"golang.org/x/text/encoding/charmap"
)

// Types of values ([MS-EVEN6] 2.2.12, BinXmlValueType).
const (
	typeNull       = 0x00
	typeString     = 0x01 // UTF-16
	typeANSI       = 0x02 // the code page of the machine that logged
	typeInt8       = 0x03
	typeUint8      = 0x04
	typeInt16      = 0x05
	typeUint16     = 0x06
	typeInt32      = 0x07
	typeUint32     = 0x08
	typeInt64      = 0x09
	typeUint64     = 0x0a
	typeFloat32    = 0x0b
	typeFloat64    = 0x0c
	typeBool       = 0x0d
	typeBinary     = 0x0e
	typeGUID       = 0x0f
	typeSize       = 0x10
	typeFiletime   = 0x11
	typeSystemTime = 0x12
	typeSID        = 0x13
	typeHex32      = 0x14
	typeHex64      = 0x15
	typeHandle     = 0x20
	typeBinXML     = 0x21
	typeXML        = 0x23
	typeArray      = 0x80
)

// value is one value of a template instance: bytes of the chunk.
type value struct {
	kind     byte
	from, to int
}

var (
	outside     = template{err: errors.New("a template lies outside of its chunk")}
	overwritten = template{err: errors.New("the template of the record was written over")}
)

// width returns the size of the values of a type, 0 when it varies.
func width(kind byte) int {
	switch kind {
	case typeInt8, typeUint8:
		return 1
	case typeInt16, typeUint16:
		return 2
	case typeInt32, typeUint32, typeFloat32, typeBool, typeHex32:
		return 4
	case typeInt64, typeUint64, typeFloat64, typeFiletime, typeHex64:
		return 8
	case typeGUID, typeSystemTime:
		return 16
	}
	return 0
}

// items yields the values of an array. Strings are ended by a zero.
func (c *chunk) items(rec *Record, v value) iter.Seq[value] {
	kind := v.kind &^ typeArray
	return func(yield func(value) bool) {
		b := c.buf[v.from:v.to]
		at := v.from
		for len(b) > 0 {
			n, end := 0, 0
			switch w := width(kind); {
			case kind == typeString:
				n = zero16(b)
				end = min(n+2, len(b))
			case kind == typeANSI:
				for n < len(b) && b[n] != 0 {
					n++
				}
				end = min(n+1, len(b))
			case kind == typeSID && len(b) >= 8:
				n = 8 + 4*int(b[1])
				end = n
			case w > 0:
				n, end = w, w
			}
			if end == 0 || n > len(b) {
				rec.hurt(fmt.Sprintf("an array of type 0x%02x cannot be read", kind))
				n, end, kind = len(b), len(b), typeBinary
			}
			if !yield(value{kind, at, at + n}) {
				return
			}
			at += end
			b = b[end:]
		}
	}
}

// zero16 returns the offset of the first UTF-16 zero, len(b) when there is none.
func zero16(b []byte) int {
	for i := 0; i+1 < len(b); i += 2 {
		if b[i] == 0 && b[i+1] == 0 {
			return i
		}
	}
	return len(b)
}

// append writes v to rec.buf as text.
func (c *chunk) append(rec *Record, v value) {
	b := c.buf[v.from:v.to]
	if w := width(v.kind); w > 0 && len(b) != w {
		if len(b) > 0 {
			rec.hurt(fmt.Sprintf("a value of type 0x%02x has %d bytes", v.kind, len(b)))
			rec.buf = appendHex(rec.buf, b)
		}
		return
	}
	le := binary.LittleEndian
	switch v.kind {
	case typeNull:
	case typeString, typeXML:
		for len(b) >= 2 && b[len(b)-1] == 0 && b[len(b)-2] == 0 {
			b = b[:len(b)-2]
		}
		var lone bool
		rec.buf, lone = utf16le.Append(rec.buf, b)
		rec.Escaped = rec.Escaped || lone
	case typeANSI:
		rec.buf = appendANSI(rec.buf, b)
	case typeInt8:
		rec.buf = strconv.AppendInt(rec.buf, int64(int8(b[0])), 10)
	case typeUint8:
		rec.buf = strconv.AppendUint(rec.buf, uint64(b[0]), 10)
	case typeInt16:
		rec.buf = strconv.AppendInt(rec.buf, int64(int16(le.Uint16(b))), 10)
	case typeUint16:
		rec.buf = strconv.AppendUint(rec.buf, uint64(le.Uint16(b)), 10)
	case typeInt32:
		rec.buf = strconv.AppendInt(rec.buf, int64(int32(le.Uint32(b))), 10)
	case typeUint32:
		rec.buf = strconv.AppendUint(rec.buf, uint64(le.Uint32(b)), 10)
	case typeInt64:
		rec.buf = strconv.AppendInt(rec.buf, int64(le.Uint64(b)), 10)
	case typeUint64:
		rec.buf = strconv.AppendUint(rec.buf, le.Uint64(b), 10)
	case typeFloat32:
		rec.buf = strconv.AppendFloat(rec.buf, float64(math.Float32frombits(le.Uint32(b))), 'g', -1, 32)
	case typeFloat64:
		rec.buf = strconv.AppendFloat(rec.buf, math.Float64frombits(le.Uint64(b)), 'g', -1, 64)
	case typeBool:
		rec.buf = strconv.AppendBool(rec.buf, le.Uint32(b) != 0)
	case typeGUID:
		rec.buf = appendGUID(rec.buf, b)
	case typeFiletime:
		rec.buf = appendFiletime(rec.buf, le.Uint64(b))
	case typeSystemTime:
		rec.buf = appendSystemTime(rec.buf, b)
	case typeSID:
		rec.sid(b)
	case typeHex32:
		rec.buf = strconv.AppendUint(append(rec.buf, "0x"...), uint64(le.Uint32(b)), 16)
	case typeHex64:
		rec.buf = strconv.AppendUint(append(rec.buf, "0x"...), le.Uint64(b), 16)
	case typeSize, typeHandle:
		switch len(b) {
		case 4:
			rec.buf = strconv.AppendUint(append(rec.buf, "0x"...), uint64(le.Uint32(b)), 16)
		case 8:
			rec.buf = strconv.AppendUint(append(rec.buf, "0x"...), le.Uint64(b), 16)
		default:
			rec.buf = appendHex(rec.buf, b)
		}
	case typeBinary:
		rec.buf = appendHex(rec.buf, b)
	default:
		rec.hurt(fmt.Sprintf("a value of unknown type 0x%02x", v.kind))
		rec.buf = appendHex(rec.buf, b)
	}
}

const hexDigits = "0123456789ABCDEF"

func appendHex(dst, b []byte) []byte {
	for _, x := range b {
		dst = append(dst, hexDigits[x>>4], hexDigits[x&15])
	}
	return dst
}

// appendGUID writes 16 bytes as {XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}; the
// first three groups are little endian.
func appendGUID(dst, b []byte) []byte {
	dst = append(dst, '{')
	for i, at := range [16]int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15} {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, hexDigits[b[at]>>4], hexDigits[b[at]&15])
	}
	return append(dst, '}')
}

// sid writes S-revision-authority-subauthorities ([MS-DTYP] 2.4.2).
func (r *Record) sid(b []byte) {
	if len(b) < 8 || len(b) != 8+4*int(b[1]) {
		if len(b) > 0 {
			r.hurt("a SID has the wrong size")
			r.buf = appendHex(r.buf, b)
		}
		return
	}
	authority := uint64(binary.BigEndian.Uint16(b[2:]))<<32 | uint64(binary.BigEndian.Uint32(b[4:]))
	r.buf = append(r.buf, "S-"...)
	r.buf = strconv.AppendUint(r.buf, uint64(b[0]), 10)
	r.buf = append(r.buf, '-')
	r.buf = strconv.AppendUint(r.buf, authority, 10)
	for b = b[8:]; len(b) >= 4; b = b[4:] {
		r.buf = append(r.buf, '-')
		r.buf = strconv.AppendUint(r.buf, uint64(binary.LittleEndian.Uint32(b)), 10)
	}
}

// appendANSI writes text of a code page that the file does not name: UTF-8
// where it is that, else Windows-1252.
func appendANSI(dst, b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	if utf8.Valid(b) {
		return append(dst, b...)
	}
	for _, x := range b {
		dst = utf8.AppendRune(dst, charmap.Windows1252.DecodeByte(x))
	}
	return dst
}
