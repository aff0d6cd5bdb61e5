// Package kcore reads the main memory of a running Linux kernel through
// /proc/kcore: the program headers of the ELF file, the System RAM ranges of
// /proc/iomem, and the arithmetic from physical addresses to offsets of the
// file. It also writes the header of the LiME format.
//
// Everything it reads may have been forged by whoever owns the host: sizes
// are bounded, and what contradicts itself is an error or left out.
package kcore

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Errors of Open and Locate.
var (
	// ErrFormat says that a file is no 64-bit little-endian ELF core.
	ErrFormat = errors.New("not a 64-bit little-endian ELF core")
	// ErrUnmapped says that no segment of the core holds physical memory.
	ErrUnmapped = errors.New("no segment of the core can be matched with physical memory")
)

// Constants of elf(5).
const (
	headerSize  = 64
	programSize = 56
	typeCore    = 4
	typeLoad    = 1
	typeNote    = 4
	amd64       = 62
	arm64       = 183
	// maxNotes bounds the notes that are kept; the kernel's take some KiB.
	maxNotes = 1 << 20
)

// noAddress is p_paddr of a segment that is no direct view of physical memory
// (vmalloc, vmemmap): fs/proc/kcore.c writes it since Linux 4.13. Older
// kernels write 0 for every segment.
const noAddress = math.MaxUint64

// Segment is one PT_LOAD header: Size bytes at Offset of the file are what
// the kernel sees at Virtual, and, where it is known, memory at Physical.
type Segment struct {
	Offset            int64
	Virtual, Physical uint64
	Size              uint64
}

// Core is the head of an ELF core.
type Core struct {
	Machine  string // "amd64" or "arm64"
	Segments []Segment
	Notes    []byte // of all PT_NOTE segments: among them VMCOREINFO
}

// Open reads the headers of an ELF core. It reads at most 64 Ki program
// headers and 1 MiB of notes, and nothing of the memory itself.
func Open(r io.ReaderAt) (*Core, error) {
	var head [headerSize]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read ELF header: cut short: %w", ErrFormat)
		}
		return nil, fmt.Errorf("read ELF header: %w", err)
	}
	le := binary.LittleEndian
	if string(head[:6]) != "\x7fELF\x02\x01" || le.Uint16(head[16:]) != typeCore {
		return nil, ErrFormat
	}
	c := &Core{}
	switch machine := le.Uint16(head[18:]); machine {
	case amd64:
		c.Machine = "amd64"
	case arm64:
		c.Machine = "arm64"
	default:
		return nil, fmt.Errorf("machine %d: %w", machine, ErrFormat)
	}
	at, size, count := le.Uint64(head[32:]), le.Uint16(head[54:]), int(le.Uint16(head[56:]))
	// 0xffff says that the count is elsewhere (PN_XNUM): no kernel writes that here.
	if size != programSize || count == 0xffff || at > math.MaxInt64-uint64(count)*programSize {
		return nil, fmt.Errorf("program headers of %d bytes, %d of them: %w", size, count, ErrFormat)
	}
	var text [programSize]byte
	for i := range count {
		if _, err := r.ReadAt(text[:], int64(at)+int64(i)*programSize); err != nil {
			return nil, fmt.Errorf("read program header %d of %d: %w", i+1, count, noEOF(err))
		}
		offset, length := le.Uint64(text[8:]), le.Uint64(text[32:])
		if offset > math.MaxInt64 || length > math.MaxInt64-offset {
			continue // nothing can be read there
		}
		switch le.Uint32(text[:]) {
		case typeLoad:
			s := Segment{Offset: int64(offset), Virtual: le.Uint64(text[16:]), Physical: le.Uint64(text[24:]), Size: length}
			if s.Size > 0 && s.Virtual <= math.MaxUint64-(s.Size-1) {
				c.Segments = append(c.Segments, s)
			}
		case typeNote:
			if length > maxNotes-uint64(len(c.Notes)) {
				continue
			}
			note := make([]byte, length)
			n, err := r.ReadAt(note, int64(offset))
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, fmt.Errorf("read notes: %w", err)
			}
			c.Notes = append(c.Notes, note[:n]...)
		}
	}
	return c, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Range is memory from Start up to and without End, in physical addresses.
type Range struct{ Start, End uint64 }

// Piece is a Range that lies at Offset of the core. Offset -1: it is not in it.
type Piece struct {
	Range
	Offset int64
}

// Locate says where in the core the ranges of memory are, in ascending order
// and without overlap. What no segment holds is returned with Offset -1.
//
// Where the kernel wrote no physical addresses (before Linux 4.13) they are
// derived: the direct map is linear on amd64 and arm64, and the kernel makes
// one segment of each System RAM range, so that one distance between physical
// and virtual address must make every range a segment. ErrUnmapped otherwise:
// a wrong guess would put memory under addresses that are not its own.
func (c *Core) Locate(ram []Range) ([]Piece, error) {
	ram = merge(ram)
	views := c.direct(ram)
	if len(views) == 0 {
		return nil, ErrUnmapped
	}
	var pieces []Piece
	for _, r := range ram {
		pieces = append(pieces, locate(views, r)...)
	}
	return pieces, nil
}

// direct returns the segments with a physical address, by that address.
func (c *Core) direct(ram []Range) []Segment {
	var views []Segment
	stated := false
	for _, s := range c.Segments {
		stated = stated || s.Physical != 0
		if s.Physical != noAddress && s.Physical <= math.MaxUint64-s.Size {
			views = append(views, s)
		}
	}
	if !stated {
		views = c.derive(ram)
	}
	slices.SortStableFunc(views, func(a, b Segment) int { return cmp.Compare(a.Physical, b.Physical) })
	return views
}

// derive tries each segment as the one that begins with the first range.
func (c *Core) derive(ram []Range) []Segment {
	if len(ram) == 0 {
		return nil
	}
	for _, first := range c.Segments {
		if first.Virtual < ram[0].Start || first.Size != ram[0].End-ram[0].Start {
			continue
		}
		distance := first.Virtual - ram[0].Start
		if !c.holdsAll(ram, distance) {
			continue
		}
		var views []Segment
		for _, s := range c.Segments {
			if s.Virtual >= distance && s.Virtual-distance < ram[len(ram)-1].End {
				s.Physical = s.Virtual - distance
				views = append(views, s)
			}
		}
		return views
	}
	return nil
}

func (c *Core) holdsAll(ram []Range, distance uint64) bool {
	held := make(map[Range]bool, len(c.Segments))
	for _, s := range c.Segments {
		if s.Virtual >= distance {
			held[Range{s.Virtual - distance, s.Virtual - distance + s.Size}] = true
		}
	}
	return !slices.ContainsFunc(ram, func(r Range) bool { return !held[r] })
}

// locate cuts a range by the views, which are sorted.
func locate(views []Segment, r Range) []Piece {
	var pieces []Piece
	at := r.Start
	for _, v := range views {
		end := v.Physical + v.Size
		if end <= at {
			continue
		}
		if v.Physical >= r.End || at >= r.End {
			break
		}
		if v.Physical > at {
			pieces = append(pieces, Piece{Range{at, v.Physical}, -1})
			at = v.Physical
		}
		stop := min(end, r.End)
		pieces = append(pieces, Piece{Range{at, stop}, v.Offset + int64(at-v.Physical)})
		at = stop
	}
	if at < r.End {
		pieces = append(pieces, Piece{Range{at, r.End}, -1})
	}
	return pieces
}

// merge sorts ranges and joins those that touch or overlap.
func merge(ranges []Range) []Range {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b Range) int { return cmp.Compare(a.Start, b.Start) })
	var out []Range
	for _, r := range sorted {
		if r.End <= r.Start {
			continue
		}
		if n := len(out); n > 0 && r.Start <= out[n-1].End {
			out[n-1].End = max(out[n-1].End, r.End)
			continue
		}
		out = append(out, r)
	}
	return out
}
