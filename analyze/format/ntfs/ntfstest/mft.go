package ntfstest

import "unicode/utf16"

// Times are creation, last write, last change of the record, last access.
type Times [4]uint64

// Same are four equal times.
func Same(t uint64) Times { return Times{t, t, t, t} }

// Attribute is an attribute as it stands in a file record.
type Attribute []byte

func resident(kind uint32, name string, value []byte) Attribute {
	units := utf16.Encode([]rune(name))
	at := (24 + 2*len(units) + 7) &^ 7
	b := make([]byte, (at+len(value)+7)&^7)
	le.PutUint32(b, kind)
	le.PutUint32(b[4:], uint32(len(b)))
	b[9] = byte(len(units))
	le.PutUint16(b[10:], 24)
	for i, u := range units {
		le.PutUint16(b[24+2*i:], u)
	}
	le.PutUint32(b[16:], uint32(len(value)))
	le.PutUint16(b[20:], uint16(at))
	copy(b[at:], value)
	return b
}

func putTimes(b []byte, t Times) {
	for i, at := range t {
		le.PutUint64(b[8*i:], at)
	}
}

// Standard is $STANDARD_INFORMATION.
func Standard(t Times, attributes uint32, usn uint64) Attribute {
	v := make([]byte, 72)
	putTimes(v, t)
	le.PutUint32(v[0x20:], attributes)
	le.PutUint32(v[0x34:], 0x105)
	le.PutUint64(v[0x40:], usn)
	return resident(0x10, "", v)
}

// Name is $FILE_NAME; space is 0 POSIX, 1 Win32, 2 DOS, 3 both.
func Name(parent uint64, t Times, space byte, name string) Attribute {
	return NameUnits(parent, t, space, utf16.Encode([]rune(name)))
}

// NameUnits is Name of what may be no Unicode.
func NameUnits(parent uint64, t Times, space byte, units []uint16) Attribute {
	v := make([]byte, 0x42+2*len(units))
	le.PutUint64(v, parent)
	putTimes(v[8:], t)
	v[0x40], v[0x41] = byte(len(units)), space
	for i, u := range units {
		le.PutUint16(v[0x42+2*i:], u)
	}
	return resident(0x30, "", v)
}

// Data is a resident $DATA.
func Data(name string, content []byte) Attribute { return resident(0x80, name, content) }

// DataOutside is a $DATA that begins with that cluster of the file.
func DataOutside(first uint64, size int64) Attribute {
	b := make([]byte, 72)
	le.PutUint32(b, 0x80)
	le.PutUint32(b[4:], 72)
	b[8] = 1
	le.PutUint64(b[16:], first)
	le.PutUint64(b[0x30:], uint64(size))
	return b
}

// List is $ATTRIBUTE_LIST; readers that look for the records themselves need
// no content.
func List() Attribute { return resident(0x20, "", make([]byte, 32)) }

// ObjectID is $OBJECT_ID.
func ObjectID(guid [16]byte) Attribute { return resident(0x40, "", guid[:]) }

// Reparse is $REPARSE_POINT.
func Reparse(tag uint32) Attribute { return resident(0xc0, "", le.AppendUint32(nil, tag)) }

// Record is a file record.
type Record struct {
	Number     uint32
	Sequence   uint16
	Flags      uint16 // 1 in use, 2 folder
	Links      uint16
	Base       uint64
	Attributes []Attribute
}

// Bytes writes the record with its fix-ups. Attributes that do not fit panic.
func (r Record) Bytes(size int) []byte {
	b := make([]byte, size)
	copy(b, "FILE")
	fixes := size/512 + 1
	at := (0x30 + 2*fixes + 7) &^ 7
	le.PutUint16(b[4:], 0x30)
	le.PutUint16(b[6:], uint16(fixes))
	le.PutUint16(b[0x10:], r.Sequence)
	le.PutUint16(b[0x12:], r.Links)
	le.PutUint16(b[0x14:], uint16(at))
	le.PutUint16(b[0x16:], r.Flags)
	le.PutUint32(b[0x1c:], uint32(size))
	le.PutUint64(b[0x20:], r.Base)
	le.PutUint32(b[0x2c:], r.Number)
	for _, a := range r.Attributes {
		if at+len(a)+8 > size {
			panic("ntfstest: attributes do not fit into the record")
		}
		at += copy(b[at:], a)
	}
	le.PutUint32(b[at:], 0xffffffff)
	le.PutUint32(b[0x18:], uint32(at+8))
	le.PutUint16(b[0x30:], 7)
	for i := 1; i < fixes; i++ {
		end := b[512*i-2 : 512*i]
		copy(b[0x30+2*i:], end)
		le.PutUint16(end, 7)
	}
	return b
}

// Table puts records of 1024 bytes where their numbers say; places in between
// are zeros.
func Table(records ...Record) []byte {
	var b []byte
	for _, r := range records {
		at := 1024 * int(r.Number)
		if at+1024 > len(b) {
			b = append(b, make([]byte, at+1024-len(b))...)
		}
		copy(b[at:], r.Bytes(1024))
	}
	return b
}
