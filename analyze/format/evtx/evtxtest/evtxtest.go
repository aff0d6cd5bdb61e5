// Package evtxtest writes Windows event logs for tests, in the way Windows
// does: names and templates stand where they are first used in a chunk, later
// records point there, and EventData is binary XML inside of a value.
package evtxtest

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"time"
	"unicode/utf16"
)

// Value is a typed value of an event ([MS-EVEN6] 2.2.12).
type Value struct {
	Type byte
	Data []byte
}

// String is UTF-16.
func String(s string) Value { return Value{0x01, utf16le(s)} }

// Uint8 is a decimal number.
func Uint8(n uint8) Value { return Value{0x04, []byte{n}} }

// Uint16 is a decimal number.
func Uint16(n uint16) Value { return Value{0x06, binary.LittleEndian.AppendUint16(nil, n)} }

// Uint32 is a decimal number.
func Uint32(n uint32) Value { return Value{0x08, binary.LittleEndian.AppendUint32(nil, n)} }

// Uint64 is a decimal number.
func Uint64(n uint64) Value { return Value{0x0a, binary.LittleEndian.AppendUint64(nil, n)} }

// Hex64 is a number written as hexadecimal.
func Hex64(n uint64) Value { return Value{0x15, binary.LittleEndian.AppendUint64(nil, n)} }

// Filetime is a time.
func Filetime(n uint64) Value { return Value{0x11, binary.LittleEndian.AppendUint64(nil, n)} }

// Binary is bytes.
func Binary(b []byte) Value { return Value{0x0e, b} }

// Null is no value: what is optional is left out.
func Null() Value { return Value{} }

// Strings is an array.
func Strings(list ...string) Value {
	return Value{0x81, utf16le(strings.Join(list, "\x00") + "\x00")}
}

// SID is S-1-5-… with those numbers.
func SID(numbers ...uint32) Value {
	b := []byte{1, byte(len(numbers)), 0, 0, 0, 0, 0, 5}
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return Value{0x13, b}
}

// Time converts to a FILETIME.
func Time(t time.Time) uint64 {
	return uint64(t.Unix()+11644473600)*1e7 + uint64(t.Nanosecond())/100
}

// Pair is a named value.
type Pair struct {
	Name  string
	Value Value
}

// Event is one record.
type Event struct {
	Record            uint64 // number of the record; 0: the next
	Time              uint64 // FILETIME
	Provider          string
	Code              uint16
	Level             uint8
	Keywords          uint64
	Channel, Computer string
	PID, TID          uint32
	User              Value
	Data              []Pair // EventData
	UserData          string // element that holds Data in UserData instead
	Literal           bool   // no templates: as in forwarded events
}

const chunkSize = 64 << 10

// File is a log that is being written.
type File struct {
	chunks []*chunk
	next   uint64
}

// New returns an empty log.
func New() *File { return &File{next: 1} }

// Add appends an event, in a new chunk where the last is full.
func (f *File) Add(e Event) *File {
	if e.Record == 0 {
		e.Record = f.next
	}
	f.next = e.Record + 1
	if len(f.chunks) > 0 && f.chunks[len(f.chunks)-1].add(&e) {
		return f
	}
	c := newChunk()
	if !c.add(&e) {
		panic("an event larger than a chunk")
	}
	f.chunks = append(f.chunks, c)
	return f
}

// Break begins a new chunk.
func (f *File) Break() *File {
	f.chunks = append(f.chunks, newChunk())
	return f
}

// Bytes returns the file, closed in order.
func (f *File) Bytes() []byte {
	le := binary.LittleEndian
	b := make([]byte, 4096)
	copy(b, "ElfFile\x00")
	le.PutUint64(b[16:], uint64(max(len(f.chunks), 1)-1))
	le.PutUint64(b[24:], f.next)
	le.PutUint32(b[32:], 128)
	le.PutUint16(b[36:], 1)
	le.PutUint16(b[38:], 3)
	le.PutUint16(b[40:], 4096)
	le.PutUint16(b[42:], uint16(len(f.chunks)))
	Seal(b)
	for _, c := range f.chunks {
		b = append(b, c.bytes()...)
	}
	return b
}

// Dirty marks the file whose bytes are b as not closed.
func Dirty(b []byte) []byte {
	b[120] |= 1
	Seal(b)
	return b
}

// Seal writes the checksum of a file header.
func Seal(b []byte) { binary.LittleEndian.PutUint32(b[124:], crc32.ChecksumIEEE(b[:120])) }

// SealChunk writes both checksums of a chunk, whose free space begins where
// its header says.
func SealChunk(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[52:], crc32.ChecksumIEEE(b[512:le.Uint32(b[48:])]))
	le.PutUint32(b[124:], crc32.Update(crc32.ChecksumIEEE(b[:120]), crc32.IEEETable, b[128:512]))
}

type chunk struct {
	b           []byte
	names       map[string]uint32
	templates   map[string]uint32 // by their kind: what they are made of
	first, last uint64
	lastAt      uint32
}

func newChunk() *chunk {
	return &chunk{b: make([]byte, 512, chunkSize), names: map[string]uint32{}, templates: map[string]uint32{}}
}

func (c *chunk) bytes() []byte {
	le := binary.LittleEndian
	free := len(c.b)
	b := append(c.b, make([]byte, chunkSize-free)...)
	copy(b, "ElfChnk\x00")
	le.PutUint64(b[8:], c.first)
	le.PutUint64(b[16:], c.last)
	le.PutUint64(b[24:], c.first)
	le.PutUint64(b[32:], c.last)
	le.PutUint32(b[40:], 128)
	le.PutUint32(b[44:], c.lastAt)
	le.PutUint32(b[48:], uint32(free))
	SealChunk(b)
	return b
}

// add appends a record; false when there is no room for it.
func (c *chunk) add(e *Event) bool {
	before, at := *c, len(c.b)
	before.names, before.templates = clone(c.names), clone(c.templates)
	c.u32(0x2a2a)
	c.u32(0)
	c.u64(e.Record)
	c.u64(e.Time)
	c.raw(0x0f, 1, 1, 0)
	if e.Literal {
		c.literal(e)
	} else {
		c.instance(e)
	}
	c.raw(0)
	for (len(c.b)+4-at)%8 != 0 {
		c.raw(0)
	}
	size := uint32(len(c.b) + 4 - at)
	c.u32(size)
	if len(c.b) > chunkSize {
		before.b = c.b[:at]
		*c = before
		return false
	}
	binary.LittleEndian.PutUint32(c.b[at+4:], size)
	if c.first == 0 {
		c.first = e.Record
	}
	c.last, c.lastAt = e.Record, uint32(at)
	return true
}

func clone(m map[string]uint32) map[string]uint32 {
	n := make(map[string]uint32, len(m))
	for k, v := range m {
		n[k] = v
	}
	return n
}

func utf16le(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func baseTime(filetime uint64) string {
	return time.Unix(int64(filetime/1e7)-11644473600, 0).UTC().Format("2006-01-02T15:04:05")
}
