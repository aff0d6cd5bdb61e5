// Package ntfstest writes change journals and file records of NTFS for tests,
// in the way Windows does.
package ntfstest

import (
	"encoding/binary"
	"time"
	"unicode/utf16"
)

var le = binary.LittleEndian

// Time is a FILETIME.
func Time(t time.Time) uint64 {
	return uint64((t.Unix()+11644473600)*1e7 + int64(t.Nanosecond())/100)
}

// Ref is a file reference.
func Ref(record uint64, sequence uint16) uint64 { return record | uint64(sequence)<<48 }

// Change is a record of a change journal.
type Change struct {
	Major          uint16 // 0: 2
	File, Parent   uint64
	FileHigh       uint64
	Time           uint64
	Reason, Source uint32
	Attributes     uint32
	Name           string
	Units          []uint16   // the name, where it is no Unicode
	Extents        [][2]int64 // version 4
}

// Journal writes the records of a journal behind start bytes that it lost: a
// record that would reach over a page begins the next one.
type Journal struct {
	b     []byte
	start int64
}

// NewJournal returns a journal whose first byte is at start of the stream.
func NewJournal(start int64) *Journal { return &Journal{start: start} }

// Add writes a record and returns its offset.
func (j *Journal) Add(c Change) int {
	name := c.Units
	if name == nil {
		name = utf16.Encode([]rune(c.Name))
	}
	head := 60
	switch {
	case c.Major == 0:
		c.Major = 2
	case c.Major == 3:
		head = 76
	case c.Major == 4:
		head, name = 64+16*len(c.Extents), nil
	}
	n := (head + 2*len(name) + 7) &^ 7
	if left := 4096 - len(j.b)%4096; n > left {
		j.b = append(j.b, make([]byte, left)...)
	}
	at := len(j.b)
	j.b = append(j.b, make([]byte, n)...)
	b := j.b[at:]
	usn := uint64(j.start + int64(at))
	le.PutUint32(b, uint32(n))
	le.PutUint16(b[4:], c.Major)
	le.PutUint64(b[8:], c.File)
	if c.Major == 2 {
		le.PutUint64(b[16:], c.Parent)
	} else {
		le.PutUint64(b[16:], c.FileHigh)
		le.PutUint64(b[24:], c.Parent)
	}
	if c.Major == 4 {
		le.PutUint64(b[40:], usn)
		le.PutUint32(b[48:], c.Reason)
		le.PutUint32(b[52:], c.Source)
		le.PutUint16(b[60:], uint16(len(c.Extents)))
		le.PutUint16(b[62:], 16)
		for i, e := range c.Extents {
			le.PutUint64(b[64+16*i:], uint64(e[0]))
			le.PutUint64(b[72+16*i:], uint64(e[1]))
		}
		return at
	}
	f := b[head-36:]
	le.PutUint64(f, usn)
	le.PutUint64(f[8:], c.Time)
	le.PutUint32(f[16:], c.Reason)
	le.PutUint32(f[20:], c.Source)
	le.PutUint32(f[28:], c.Attributes)
	le.PutUint16(f[32:], uint16(2*len(name)))
	le.PutUint16(f[34:], uint16(head))
	for i, u := range name {
		le.PutUint16(b[head+2*i:], u)
	}
	return at
}

// Bytes are the records so far, with zeros up to the end of their page.
func (j *Journal) Bytes() []byte {
	return append(append([]byte{}, j.b...), make([]byte, -len(j.b)&4095)...)
}
