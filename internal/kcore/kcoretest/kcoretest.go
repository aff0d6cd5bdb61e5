// Package kcoretest builds ELF cores for tests.
package kcoretest

import (
	"encoding/binary"

	"github.com/exhibit-dfir/exhibit/internal/kcore"
)

// Values of e_machine.
const (
	AMD64 = 62
	ARM64 = 183
)

const (
	headerSize  = 64
	programSize = 56
)

// Synthetic builds an ELF core for tests: machine is e_machine, notes become a PT_NOTE, each segment a PT_LOAD. Content is what the
// caller puts at the segments' offsets.
func Synthetic(machine uint16, segments []kcore.Segment, notes []byte) []byte {
	le := binary.LittleEndian
	count := len(segments) + 1
	b := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...)
	b = le.AppendUint16(b, 4)
	b = le.AppendUint16(b, machine)
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, 0)
	b = le.AppendUint64(b, headerSize)
	b = append(b, make([]byte, 12)...) // e_shoff, e_flags
	b = le.AppendUint16(b, headerSize)
	b = le.AppendUint16(b, programSize)
	b = le.AppendUint16(b, uint16(count))
	b = append(b, make([]byte, 6)...)
	program := func(kind uint32, s kcore.Segment) {
		b = le.AppendUint32(b, kind)
		b = le.AppendUint32(b, 7)
		for _, v := range []uint64{uint64(s.Offset), s.Virtual, s.Physical, s.Size, s.Size, 4096} {
			b = le.AppendUint64(b, v)
		}
	}
	program(4, kcore.Segment{Offset: int64(headerSize + count*programSize), Size: uint64(len(notes))})
	for _, s := range segments {
		program(1, s)
	}
	return append(b, notes...)
}
