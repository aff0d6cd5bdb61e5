// Package netflow reads flow records as routers export them, from files that
// hold export packets one behind the other.
//
// Formats: NetFlow version 5 (Cisco, "NetFlow Export Datagram Format"),
// version 9 (RFC 3954), IPFIX (RFC 7011; files of its messages: RFC 5655),
// biflows (RFC 5103). Information elements: IANA, "IP Flow Information Export
// (IPFIX) Entities".
//
// A template is good for the flows behind it in the file that are of the same
// version and observation domain. Sets without a template cannot be read and
// are reported; so is what is no export packet, and reading goes on at the
// next place that looks like one.
package netflow

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// Limits of what is believed.
const (
	bufferSize   = 256 << 10
	maxTemplates = 4096 // of one file
	maxFields    = 512  // of one template
	maxUnknown   = 1024 // templates that are missing and are reported
)

// Sizes of headers and records.
const (
	header5, record5 = 24, 48
	header9          = 20
	header10         = 16
)

// ErrFormat says that the file begins with no export packet.
var ErrFormat = errors.New("no NetFlow or IPFIX packets")

// Flow is one flow record. It is good until the next call of Next. Times are
// ns since 1970-01-01T00:00:00Z.
type Flow struct {
	Offset, Length int64 // of the record in the file
	Version        int   // 5, 9 or 10
	Domain         uint32
	Sequence       uint32 // of the packet
	Exported       int64

	Start, End       int64
	HasStart, HasEnd bool
	Digits           int // of the fraction of a second that the times have

	Src, Dst, NextHop       netip.Addr // not valid: not stated
	SrcPort, DstPort        uint16
	Proto                   uint8
	TCPFlags                uint16
	ICMPType, ICMPCode      uint8
	HasSrcPort, HasDstPort  bool
	HasICMP                 bool
	HasProto                bool
	Packets, Bytes          uint64
	BackPackets, BackBytes  uint64 // of the answers, where the record has both directions
	HasPackets, HasBytes    bool
	HasBack                 bool
	Input, Output           uint32 // interfaces; 0: not stated
	SrcAS, DstAS            uint32
	TOS                     uint8
	EndReason               uint8
	NATSrc, NATDst          netip.Addr
	NATSrcPort, NATDstPort  uint16
	Others                  []Field // elements that are not read, unless zero
	systemInit              int64   // ms since 1970, of IPFIX
	hasInit                 bool
	firstUptime, lastUptime uint32
	hasFirst, hasLast       bool
}

// Field is an information element as sent.
type Field struct {
	Enterprise uint32
	Element    uint16
	Value      []byte
}

// Gap is a stretch of the file that could not be read.
type Gap struct {
	Offset, Length int64
	Truncated      bool
	NoTemplate     bool
	Detail         string
}

type templateKey struct {
	version int
	domain  uint32
	id      uint16
}

type template struct {
	fields  []field
	options bool
	least   int // bytes that a record has at least
}

type field struct {
	enterprise uint32
	element    uint16
	length     int // variable: 65535
}

const variable = 65535

// Reader reads flows in file order.
type Reader struct {
	r     *bufio.Reader
	off   int64
	onGap func(Gap)

	templates map[templateKey]*template
	unknown   map[templateKey]bool
	version   int
	domain    uint32
	sequence  uint32
	exported  int64  // ns
	uptime    uint32 // ms
	left      int    // bytes of the IPFIX message, else records of the packet, as it says
	set       []byte // rest of a data set
	setOff    int64
	now       *template
	flow      Flow
	scratch   []byte
}

// Looks reports whether head begins with an export packet.
func Looks(head []byte) bool {
	if len(head) < header10 {
		return false
	}
	be := binary.BigEndian
	switch be.Uint16(head) {
	case 5:
		n := int(be.Uint16(head[2:]))
		return n >= 1 && n <= 30 && len(head) >= header5 && plausibleTime(be.Uint32(head[8:])) && be.Uint32(head[12:]) < 1e9
	case 9:
		if len(head) < header9+4 || !plausibleTime(be.Uint32(head[8:])) {
			return false
		}
		id, n := be.Uint16(head[header9:]), be.Uint16(head[header9+2:])
		return be.Uint16(head[2:]) > 0 && (id <= 1 || id > 255) && n >= 4
	case 10:
		n := int(be.Uint16(head[2:]))
		if n < header10 || !plausibleTime(be.Uint32(head[4:])) {
			return false
		}
		if n == header10 || len(head) < header10+4 {
			return true
		}
		id, size := be.Uint16(head[header10:]), int(be.Uint16(head[header10+2:]))
		return (id == 2 || id == 3 || id > 255) && size >= 4 && size <= n-header10
	}
	return false
}

// plausibleTime is from 1990 to 2100.
func plausibleTime(sec uint32) bool { return sec > 631_152_000 && sec < 4_102_444_800 }

// NewReader checks that r begins with an export packet.
func NewReader(r io.Reader, onGap func(Gap)) (*Reader, error) {
	p := &Reader{r: bufio.NewReaderSize(r, bufferSize), onGap: onGap, templates: map[templateKey]*template{}, unknown: map[templateKey]bool{}}
	head, err := p.r.Peek(2048)
	if !Looks(head) {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, ErrFormat
	}
	return p, nil
}

// Next returns the next flow, io.EOF at the end.
func (p *Reader) Next() (*Flow, error) {
	for {
		switch {
		case p.now != nil:
			if f := p.record(); f != nil {
				return f, nil
			}
			continue
		case p.version == 5 && p.left > 0:
			p.left--
			if f, err := p.record5(); f != nil || err != nil {
				return f, err
			}
			continue
		}
		if err := p.more(); err != nil {
			return nil, err
		}
	}
}

// more reads the next header or set.
func (p *Reader) more() error {
	head, err := p.r.Peek(4)
	if len(head) == 0 {
		return eof(err)
	}
	if len(head) < 4 {
		return p.cut(len(head))
	}
	id, size := binary.BigEndian.Uint16(head), int(binary.BigEndian.Uint16(head[2:]))
	if !p.inside(id) {
		return p.header()
	}
	if size < 4 || p.version == 10 && size > p.left {
		return p.resync("a set does not fit into its message")
	}
	at := p.off
	set, err := p.take(size)
	if err != nil {
		return err
	}
	if p.version == 10 {
		p.left -= size
	}
	p.handle(id, set[4:], at+4)
	return nil
}

// inside reports whether a set goes on the packet at hand. Packets of version 9
// do not say how long they are; the records that they say to have are counted
// by some exporters as sets, so that only sets nobody could read are taken for
// something else behind them.
func (p *Reader) inside(id uint16) bool {
	switch p.version {
	case 9:
		return id <= 1 || id > 255 && (p.left > 0 || p.templates[templateKey{9, p.domain, id}] != nil)
	case 10:
		return p.left > 0
	}
	return false
}

func eof(err error) error {
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// take consumes n bytes, which stay good until the next read.
func (p *Reader) take(n int) ([]byte, error) {
	b, err := p.r.Peek(n)
	if len(b) < n {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, p.cut(len(b))
	}
	p.scratch = append(p.scratch[:0], b...)
	p.skip(n)
	return p.scratch, nil
}

func (p *Reader) skip(n int) {
	n, _ = p.r.Discard(n)
	p.off += int64(n)
}

// cut reports that the file ends inside a packet.
func (p *Reader) cut(n int) error {
	p.gap(Gap{Offset: p.off, Length: int64(n), Truncated: true, Detail: "the file ends inside an export packet"})
	p.skip(n)
	p.version, p.left = 0, 0
	return io.EOF
}

func (p *Reader) gap(g Gap) {
	if p.onGap != nil {
		p.onGap(g)
	}
}

// resync goes on at the next place that looks like a header.
func (p *Reader) resync(why string) error {
	from := p.off
	p.version, p.left, p.now, p.set = 0, 0, nil, nil
	for {
		p.skip(1)
		b, err := p.r.Peek(2048)
		if len(b) == 0 || Looks(b) {
			p.gap(Gap{Offset: from, Length: p.off - from, Detail: why})
			if len(b) == 0 {
				return eof(err)
			}
			return nil
		}
		// A header begins with a zero byte: look where the next one is.
		for i := 1; i < len(b) && b[i] != 0; i++ {
			p.skip(1)
		}
	}
}

// header reads a packet's header.
func (p *Reader) header() error {
	b, err := p.r.Peek(2048)
	if !Looks(b) {
		if len(b) < header10 {
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			return p.cut(len(b))
		}
		return p.resync("no export packet")
	}
	be := binary.BigEndian
	p.version = int(be.Uint16(b))
	p.exported, p.uptime = 0, 0
	switch p.version {
	case 5:
		p.left = int(be.Uint16(b[2:]))
		p.uptime = be.Uint32(b[4:])
		p.exported = int64(be.Uint32(b[8:]))*1e9 + int64(be.Uint32(b[12:]))
		p.sequence, p.domain = be.Uint32(b[16:]), uint32(b[20])<<8|uint32(b[21])
		p.skip(header5)
	case 9:
		p.left = int(be.Uint16(b[2:]))
		p.uptime = be.Uint32(b[4:])
		p.exported = int64(be.Uint32(b[8:])) * 1e9
		p.sequence, p.domain = be.Uint32(b[12:]), be.Uint32(b[16:])
		p.skip(header9)
	case 10:
		p.left = int(be.Uint16(b[2:])) - header10
		p.exported = int64(be.Uint32(b[4:])) * 1e9
		p.sequence, p.domain = be.Uint32(b[8:]), be.Uint32(b[12:])
		p.skip(header10)
	}
	return nil
}

// handle takes a set's content, which is at off.
func (p *Reader) handle(id uint16, b []byte, off int64) {
	switch {
	case p.version == 9 && id == 0, p.version == 10 && id == 2:
		p.learn(b, off, false)
	case p.version == 9 && id == 1, p.version == 10 && id == 3:
		p.learn(b, off, true)
	case id > 255:
		key := templateKey{p.version, p.domain, id}
		if p.now = p.templates[key]; p.now != nil {
			p.set, p.setOff = b, off
			return
		}
		if p.version == 9 {
			p.left-- // of how many records, nobody knows
		}
		if !p.unknown[key] && len(p.unknown) < maxUnknown {
			p.unknown[key] = true
			p.gap(Gap{Offset: off - 4, Length: int64(len(b)) + 4, NoTemplate: true, Detail: fmt.Sprintf("no template %d of domain %d before its flows: such sets are not read until it comes", id, p.domain)})
		}
	}
}

// learn reads the templates of a set.
func (p *Reader) learn(b []byte, off int64, options bool) {
	be := binary.BigEndian
	start := b
	bad := func() {
		p.gap(Gap{Offset: off + int64(len(start)-len(b)), Length: int64(max(len(b), 1)), Detail: "a template does not hold together"})
	}
	for len(b) >= 4 {
		id, n := be.Uint16(b), int(be.Uint16(b[2:]))
		if id < 256 {
			return // padding
		}
		t := &template{options: options}
		rest := b[4:]
		if options {
			if len(rest) < 2 {
				bad()
				return
			}
			scope := int(be.Uint16(rest))
			if p.version == 9 { // bytes of scopes, then of options
				if n, scope = (n+scope)/4, 0; n == 0 {
					bad()
					return
				}
			}
			rest = rest[2:]
		}
		if n > maxFields {
			bad()
			return
		}
		for range n {
			f, after, ok := p.field(rest)
			if !ok {
				bad()
				return
			}
			t.fields, rest = append(t.fields, f), after
			if f.length == variable {
				t.least++
			} else {
				t.least += f.length
			}
		}
		key := templateKey{p.version, p.domain, id}
		if p.version == 9 {
			p.left--
		}
		switch {
		case n == 0: // withdrawn, RFC 7011 section 8.1
			delete(p.templates, key)
		case t.least == 0:
			bad()
		case len(p.templates) < maxTemplates || p.templates[key] != nil:
			p.templates[key] = t
			delete(p.unknown, key)
		default:
			p.gap(Gap{Offset: off, Length: int64(len(start)), Detail: "more templates than are kept"})
			return
		}
		b = rest
	}
}

func (p *Reader) field(b []byte) (f field, rest []byte, ok bool) {
	if len(b) < 4 {
		return f, nil, false
	}
	f.element, f.length = binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
	b = b[4:]
	if p.version == 10 && f.element&0x8000 != 0 {
		if len(b) < 4 {
			return f, nil, false
		}
		f.element, f.enterprise = f.element&0x7fff, binary.BigEndian.Uint32(b)
		b = b[4:]
	}
	if p.version == 9 && f.length == variable {
		return f, nil, false
	}
	return f, b, true
}
