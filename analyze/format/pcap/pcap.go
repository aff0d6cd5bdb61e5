// Package pcap reads packet capture files of both kinds, in one pass and with
// bounded memory, and goes on behind damage.
//
// Classic pcap (draft-ietf-opsawg-pcap): a 24-byte header
//
//	magic(4) major(2) minor(2) zone(4) sigfigs(4) snaplen(4) linktype(4)
//
// with magic a1b2c3d4 for microseconds or a1b23c4d for nanoseconds, in either
// byte order, then records
//
//	seconds(4) fraction(4) captured(4) original(4) data[captured]
//
// pcapng (draft-ietf-opsawg-pcapng): blocks
//
//	type(4) length(4) body[length-12] length(4)
//
// of which Section Header, Interface Description, Enhanced, Simple and old
// Packet, and Interface Statistics are read; other blocks are passed over.
// Time stamps count units of the interface's if_tsresol (microseconds by
// default) since 1970, plus if_tsoffset seconds.
//
// A record or block whose header makes no sense is reported as a Gap, and
// reading goes on at the next place that looks like one.
package pcap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Limits of what is believed.
const (
	maxPacket     = 1 << 20  // captured bytes of one packet
	maxBlock      = 16 << 20 // bytes of one pcapng block
	maxInterfaces = 1 << 16
	bufferSize    = 1 << 20
)

// ErrFormat says that the file begins like neither kind of capture.
var ErrFormat = errors.New("not a pcap or pcapng file")

// Packet is one captured packet. It and Data are good until the next call of
// Next.
type Packet struct {
	Offset    int64 // of the record or block in the file
	Length    int64 // of the record or block
	Number    int64 // from 1, over the whole file
	Time      int64 // ns since 1970-01-01T00:00:00Z; 0 where the block states none
	HasTime   bool
	LinkType  uint16 // LINKTYPE_ value
	Interface int    // pcapng interface within its section; 0 for classic files
	Original  int64  // bytes on the wire
	Data      []byte
}

// Gap is a stretch of the file that could not be read.
type Gap struct {
	Offset, Length int64
	Truncated      bool // the file ends inside a record
	Detail         string
}

// Drops is what an Interface Statistics Block says of lost packets.
type Drops struct {
	Offset    int64
	Interface int
	Received  uint64
	Dropped   uint64 // by the interface and by the operating system
}

// Reader reads packets in file order.
type Reader struct {
	r       *bufio.Reader
	off     int64
	number  int64
	order   binary.ByteOrder
	nanos   bool
	ng      bool
	link    uint16
	snap    int64
	ifaces  []iface
	buf     []byte
	pkt     Packet
	last    int64 // seconds of the last good classic record
	onGap   func(Gap)
	onDrops func(Drops)
}

// iface is one Interface Description Block.
type iface struct {
	link   uint16
	snap   uint32
	resol  byte  // if_tsresol
	offset int64 // if_tsoffset, seconds
}

// IsCapture reports whether head begins a capture file.
func IsCapture(head []byte) bool {
	if len(head) < 24 {
		return false
	}
	switch binary.BigEndian.Uint32(head) {
	case 0xa1b2c3d4, 0xa1b23c4d, 0xd4c3b2a1, 0x4d3cb2a1:
		return true
	case 0x0a0d0d0a:
		m := binary.BigEndian.Uint32(head[8:])
		return m == 0x1a2b3c4d || m == 0x4d3c2b1a
	}
	return false
}

// NewReader reads the file header of r. onGap is called for every stretch
// that could not be read, onDrops for every statistics block; both may be nil.
func NewReader(r io.Reader, onGap func(Gap), onDrops func(Drops)) (*Reader, error) {
	p := &Reader{r: bufio.NewReaderSize(r, bufferSize), onGap: onGap, onDrops: onDrops}
	head, err := p.r.Peek(24)
	if !IsCapture(head) {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, ErrFormat
	}
	switch binary.BigEndian.Uint32(head) {
	case 0xa1b2c3d4, 0xa1b23c4d:
		p.order = binary.BigEndian
	case 0x0a0d0d0a:
		p.ng = true
		return p, nil
	default:
		p.order = binary.LittleEndian
	}
	p.nanos = p.order.Uint32(head) == 0xa1b23c4d
	p.snap = int64(p.order.Uint32(head[16:]))
	p.link = uint16(p.order.Uint32(head[20:]))
	p.skip(24)
	return p, nil
}

// Next returns the next packet, io.EOF at the end.
func (p *Reader) Next() (*Packet, error) {
	if p.ng {
		return p.nextBlock()
	}
	return p.nextRecord()
}

func (p *Reader) skip(n int) {
	d, _ := p.r.Discard(n)
	p.off += int64(d)
}

func (p *Reader) gap(from int64, truncated bool, detail string) {
	if p.onGap != nil && p.off > from {
		p.onGap(Gap{from, p.off - from, truncated, detail})
	}
}

// rest passes over everything that is left and reports it, with what lies
// behind from, as one gap.
func (p *Reader) rest(from int64, detail string) error {
	n, err := io.Copy(io.Discard, p.r)
	p.off += n
	p.gap(from, true, detail)
	if err != nil {
		return err
	}
	return io.EOF
}

// read returns n bytes, copied when they do not fit the buffer.
func (p *Reader) read(n int) ([]byte, error) {
	if n <= bufferSize {
		return p.r.Peek(n)
	}
	return nil, fmt.Errorf("record of %d bytes", n)
}

// plausible says whether h is likely the header of a classic record.
func (p *Reader) plausible(h []byte) bool {
	sec, frac := int64(p.order.Uint32(h)), p.order.Uint32(h[4:])
	captured, original := int64(p.order.Uint32(h[8:])), int64(p.order.Uint32(h[12:]))
	limit := uint32(1_000_000)
	if p.nanos {
		limit = 1_000_000_000
	}
	return frac < limit && captured <= maxPacket && original <= 4*maxPacket &&
		(captured <= original || original == 0) && sec >= 0
}

// likely is plausible, and near in time to the record before: for finding the
// way again, where a chance match would invent packets.
func (p *Reader) likely(h []byte) bool {
	const day = 86400
	sec := int64(p.order.Uint32(h))
	captured, original := p.order.Uint32(h[8:]), p.order.Uint32(h[12:])
	return p.plausible(h) && captured > 0 && captured <= original && (p.last == 0 || sec >= p.last-day && sec <= p.last+30*day)
}

func (p *Reader) nextRecord() (*Packet, error) {
	h, err := p.r.Peek(16)
	if len(h) == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.EOF
		}
		return nil, err
	}
	if len(h) < 16 {
		return nil, p.rest(p.off, "the last record header is cut short")
	}
	if !p.plausible(h) {
		if err := p.resync(); err != nil {
			return nil, err
		}
		h, _ = p.r.Peek(16)
	}
	captured := int(p.order.Uint32(h[8:]))
	b, err := p.read(16 + captured)
	if err != nil && len(b) < 16+captured {
		return nil, p.rest(p.off, "the last packet is cut short")
	}
	p.number++
	sec, frac := int64(p.order.Uint32(b)), int64(p.order.Uint32(b[4:]))
	if !p.nanos {
		frac *= 1000
	}
	p.last = sec
	p.pkt = Packet{
		Offset: p.off, Length: int64(16 + captured), Number: p.number, Time: sec*1e9 + frac, HasTime: true,
		LinkType: p.link, Original: int64(p.order.Uint32(b[12:])), Data: p.hold(b[16:]),
	}
	p.skip(16 + captured)
	return &p.pkt, nil
}

// hold copies packet bytes out of the buffer that skipping may overwrite.
func (p *Reader) hold(b []byte) []byte {
	p.buf = append(p.buf[:0], b...)
	return p.buf
}

// resync moves to the next place where two records follow each other.
func (p *Reader) resync() error {
	from := p.off
	for {
		window, err := p.r.Peek(bufferSize)
		if len(window) < 16 {
			return p.rest(from, "no record found behind damage")
		}
		last := err != nil
		for i := 1; i+16 <= len(window); i++ {
			if p.chain(window[i:], last) {
				p.skip(i)
				p.gap(from, false, "record header makes no sense")
				return nil
			}
		}
		if last {
			return p.rest(from, "no record found behind damage")
		}
		p.skip(bufferSize / 2) // a record may begin in the other half
	}
}

// chain reports whether b begins a record that another one, or the end of the
// file, follows.
func (p *Reader) chain(b []byte, last bool) bool {
	if !p.likely(b) {
		return false
	}
	next := 16 + int(p.order.Uint32(b[8:]))
	switch {
	case next == len(b):
		return last
	case next+16 <= len(b):
		return p.likely(b[next:])
	}
	return false
}
