// Package pcapng writes capture files of the pcapng format
// (draft-ietf-opsawg-pcapng): section header, interface descriptions, packets
// with their direction, names that were learnt, and counts of each interface.
//
// All numbers are little-endian, times in nanoseconds since 1970-01-01. A
// block is a type, its length, the body in whole words, and the length again
// (32 bits each); an option is a code, its length (16 bits each) and the value
// in whole words.
package pcapng

import (
	"encoding/binary"
	"io"
	"net/netip"
)

// Types of blocks.
const (
	sectionHeader = 0x0a0d0d0a
	interfaceDesc = 1
	nameRecords   = 4
	statistics    = 5
	enhanced      = 6
)

// Options of all blocks, and of each.
const (
	optEnd, optComment = 0, 1

	shbHardware, shbOS, shbApplication = 2, 3, 4

	ifName, ifDescription, ifIPv4, ifIPv6, ifMAC = 2, 3, 4, 5, 6
	ifSpeed, ifResolution, ifFilter, ifOS        = 8, 9, 11, 12

	epbFlags = 2

	isbStart, isbEnd, isbReceived, isbAccepted, isbDroppedByOS, isbDelivered = 2, 3, 4, 6, 7, 8

	nameEnd, nameIPv4, nameIPv6 = 0, 1, 2
)

// Flags of a packet: its direction, and to whom it was addressed.
const (
	Inbound, Outbound                       = 1, 2
	Unicast, Multicast, Broadcast, ToOthers = 1 << 2, 2 << 2, 3 << 2, 4 << 2
)

// PacketOverhead is what a packet takes beside its data, in bytes, before its
// data are rounded up to whole words.
const PacketOverhead = 44

// maxOption bounds the value of an option, of which 16 bits state the length.
const maxOption = 60 << 10

// Writer writes one section. Its methods are for one goroutine. What it was
// given goes out with Flush, or when it is much; an error is returned from
// then on.
type Writer struct {
	w   io.Writer
	buf []byte
	n   int64 // bytes written, those in buf included
	err error
}

// flushAt is how much Writer keeps.
const flushAt = 128 << 10

// NewWriter begins a section.
func NewWriter(w io.Writer, application, hardware, os string) *Writer {
	p := &Writer{w: w, buf: make([]byte, 0, flushAt+flushAt/2)}
	start := p.begin(sectionHeader)
	p.u32(0x1a2b3c4d) // byte order
	p.u16(1)          // version 1.0
	p.u16(0)
	p.u64(1<<64 - 1) // length of the section: not stated
	p.text(shbHardware, hardware)
	p.text(shbOS, os)
	p.text(shbApplication, application)
	p.end(start)
	return p
}

// Interface describes an interface. What is zero is left out.
type Interface struct {
	Link        uint16 // LINKTYPE_*
	SnapLen     uint32
	Name        string
	Description string
	OS          string
	MAC         []byte         // 6 bytes
	Addresses   []netip.Prefix // with the length of their network
	Speed       uint64         // bits per second
	Filter      string         // as pcap-filter(7) has it
	Comment     string
}

// Interface adds an interface. They are numbered from 0 in the order they are
// added.
func (p *Writer) Interface(i Interface) {
	start := p.begin(interfaceDesc)
	p.u16(i.Link)
	p.u16(0)
	p.u32(i.SnapLen)
	p.text(optComment, i.Comment)
	p.text(ifName, i.Name)
	p.text(ifDescription, i.Description)
	for _, a := range i.Addresses {
		if v := a.Addr().Unmap(); v.Is4() {
			mask := ^uint32(0) << (32 - min(max(a.Bits(), 0), 32))
			b := binary.BigEndian.AppendUint32(v.AsSlice(), mask)
			p.option(ifIPv4, b)
		} else if v.Is6() {
			p.option(ifIPv6, append(v.AsSlice(), byte(a.Bits())))
		}
	}
	if len(i.MAC) == 6 {
		p.option(ifMAC, i.MAC)
	}
	if i.Speed > 0 {
		p.number(ifSpeed, i.Speed)
	}
	p.option(ifResolution, []byte{9})
	if i.Filter != "" {
		const asText = "\x00"
		p.text(ifFilter, asText+i.Filter)
	}
	p.text(ifOS, i.OS)
	p.end(start)
}

// Packet adds a packet of an interface: when it came, how long it was on the
// wire, and what was kept of it.
func (p *Writer) Packet(id int, at uint64, flags uint32, length int, data []byte) error {
	start := p.begin(enhanced)
	p.u32(uint32(id))
	p.u32(uint32(at >> 32))
	p.u32(uint32(at))
	p.u32(uint32(len(data)))
	p.u32(uint32(length))
	p.buf = append(p.buf, data...)
	p.pad()
	p.u16(epbFlags)
	p.u16(4)
	p.u32(flags)
	p.end(start)
	if len(p.buf) >= flushAt {
		return p.Flush()
	}
	return p.err
}

// Name is an address with the names it had.
type Name struct {
	Address netip.Addr
	Names   []string
}

// Names adds names of addresses, and where they are from.
func (p *Writer) Names(comment string, names []Name) {
	start := p.begin(nameRecords)
	for _, n := range names {
		code, value := nameIPv4, n.Address.Unmap().AsSlice()
		if len(value) == 16 {
			code = nameIPv6
		}
		for _, name := range n.Names {
			value = append(append(value, name...), 0)
		}
		if len(n.Names) > 0 && len(value) <= maxOption {
			p.option(uint16(code), value)
		}
	}
	p.u16(nameEnd)
	p.u16(0)
	p.text(optComment, comment)
	p.end(start)
}

// Statistics are the counts of one interface. Where a number is not known it
// is nil.
type Statistics struct {
	Start, End uint64  // ns since 1970
	Received   *uint64 // before any filter
	Accepted   *uint64 // by the filter, the dropped ones included
	Dropped    *uint64 // by the system, for want of room
	Delivered  uint64  // in this file
	Comment    string
}

// Statistics adds the counts of an interface.
func (p *Writer) Statistics(id int, s Statistics) {
	start := p.begin(statistics)
	p.u32(uint32(id))
	p.u32(uint32(s.End >> 32))
	p.u32(uint32(s.End))
	p.text(optComment, s.Comment)
	for _, t := range []struct {
		code uint16
		at   uint64
	}{{isbStart, s.Start}, {isbEnd, s.End}} {
		b := binary.LittleEndian.AppendUint32(nil, uint32(t.at>>32))
		p.option(t.code, binary.LittleEndian.AppendUint32(b, uint32(t.at)))
	}
	for _, n := range []struct {
		code  uint16
		value *uint64
	}{{isbReceived, s.Received}, {isbAccepted, s.Accepted}, {isbDroppedByOS, s.Dropped}, {isbDelivered, &s.Delivered}} {
		if n.value != nil {
			p.number(n.code, *n.value)
		}
	}
	p.end(start)
}

// Flush passes on what was written.
func (p *Writer) Flush() error {
	if p.err == nil && len(p.buf) > 0 {
		_, p.err = p.w.Write(p.buf)
	}
	p.buf = p.buf[:0]
	return p.err
}

// Size returns how many bytes the section has so far.
func (p *Writer) Size() int64 { return p.n }

// begin starts a block and returns where.
func (p *Writer) begin(kind uint32) int {
	start := len(p.buf)
	p.u32(kind)
	p.u32(0)
	return start
}

// end finishes the block with its options, if it has any, and both lengths.
func (p *Writer) end(start int) {
	p.u16(optEnd)
	p.u16(0)
	size := uint32(len(p.buf) - start + 4)
	binary.LittleEndian.PutUint32(p.buf[start+4:], size)
	p.u32(size)
	p.n += int64(size)
}

func (p *Writer) u16(v uint16) { p.buf = binary.LittleEndian.AppendUint16(p.buf, v) }
func (p *Writer) u32(v uint32) { p.buf = binary.LittleEndian.AppendUint32(p.buf, v) }
func (p *Writer) u64(v uint64) { p.buf = binary.LittleEndian.AppendUint64(p.buf, v) }

// pad fills up to a whole word. All blocks begin at one.
func (p *Writer) pad() {
	for len(p.buf)%4 != 0 {
		p.buf = append(p.buf, 0)
	}
}

func (p *Writer) option(code uint16, value []byte) {
	value = value[:min(len(value), maxOption)]
	p.u16(code)
	p.u16(uint16(len(value)))
	p.buf = append(p.buf, value...)
	p.pad()
}

func (p *Writer) text(code uint16, s string) {
	if s != "" {
		p.option(code, []byte(s))
	}
}

func (p *Writer) number(code uint16, v uint64) {
	p.option(code, binary.LittleEndian.AppendUint64(nil, v))
}
