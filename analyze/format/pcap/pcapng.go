package pcap

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/bits"
)

// Block types.
const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockOldPacket  = 2
	blockSimple     = 3
	blockStatistics = 5
	blockEnhanced   = 6
)

// Options read.
const (
	optTSResol   = 9
	optTSOffset  = 14
	optISBRecv   = 4
	optISBDrop   = 5
	optISBAccept = 6
	optISBOS     = 7
)

func (p *Reader) nextBlock() (*Packet, error) {
	for {
		b, err := p.block()
		if err != nil {
			return nil, err
		}
		pkt := p.use(b)
		p.skip(len(b))
		if pkt != nil {
			return pkt, nil
		}
	}
}

// block returns the next whole block without passing over it.
func (p *Reader) block() ([]byte, error) {
	for {
		h, err := p.r.Peek(12)
		if len(h) == 0 {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.EOF
			}
			return nil, err
		}
		if len(h) < 12 {
			return nil, p.rest(p.off, "the last block header is cut short")
		}
		length := p.blockLength(h)
		if length > bufferSize && length <= maxBlock && p.order != nil {
			p.passBig(int(length))
			continue
		}
		if length == 0 || length > maxBlock {
			if err := p.resyncBlock(); err != nil {
				return nil, err
			}
			continue
		}
		b, err := p.r.Peek(int(length))
		if len(b) < int(length) {
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, err
			}
			return nil, p.rest(p.off, "the last block is cut short")
		}
		if p.orderOf(h).Uint32(b[length-4:]) != uint32(length) {
			if err := p.resyncBlock(); err != nil {
				return nil, err
			}
			continue
		}
		return b, nil
	}
}

// passBig passes over a block that is larger than the buffer: no packet of
// ours is that large.
func (p *Reader) passBig(n int) {
	from := p.off
	p.skip(n)
	p.gap(from, false, "block over 1 MiB passed over")
}

// orderOf is the byte order of the block that h begins: a section header
// states its own.
func (p *Reader) orderOf(h []byte) binary.ByteOrder {
	if binary.BigEndian.Uint32(h) == blockSection {
		if binary.BigEndian.Uint32(h[8:]) == 0x1a2b3c4d {
			return binary.BigEndian
		}
		return binary.LittleEndian
	}
	if p.order == nil {
		return binary.LittleEndian
	}
	return p.order
}

// blockLength returns the stated length of a block, 0 where it cannot be one.
func (p *Reader) blockLength(h []byte) int64 {
	if binary.BigEndian.Uint32(h) == blockSection {
		if m := binary.BigEndian.Uint32(h[8:]); m != 0x1a2b3c4d && m != 0x4d3c2b1a {
			return 0
		}
	} else if p.order == nil {
		return 0
	}
	n := int64(p.orderOf(h).Uint32(h[4:]))
	if n < 12 || n%4 != 0 {
		return 0
	}
	return n
}

// resyncBlock moves to the next place that looks like a block: a known type
// whose two lengths agree.
func (p *Reader) resyncBlock() error {
	from := p.off
	for {
		window, err := p.r.Peek(bufferSize)
		last := err != nil
		for i := 4; i+12 <= len(window); i += 4 {
			if p.blockAt(window[i:]) {
				p.skip(i)
				p.gap(from, false, "block lengths disagree")
				return nil
			}
		}
		if last || len(window) < 16 {
			return p.rest(from, "no block found behind damage")
		}
		p.skip((len(window)/2 + 3) &^ 3)
	}
}

func (p *Reader) blockAt(b []byte) bool {
	n := p.blockLength(b)
	if n == 0 || n > int64(len(b)) {
		return false
	}
	order := p.orderOf(b)
	switch order.Uint32(b) {
	case blockSection, blockInterface, blockOldPacket, blockSimple, blockStatistics, blockEnhanced:
		return order.Uint32(b[n-4:]) == uint32(n)
	}
	return false
}

// use takes one block and returns its packet, if it is one.
func (p *Reader) use(b []byte) *Packet {
	if binary.BigEndian.Uint32(b) == blockSection {
		p.order = p.orderOf(b)
		p.ifaces = p.ifaces[:0]
		return nil
	}
	body := b[8 : len(b)-4]
	switch p.order.Uint32(b) {
	case blockInterface:
		p.addInterface(body)
	case blockStatistics:
		p.statistics(body)
	case blockEnhanced:
		if len(body) >= 20 {
			return p.packet(b, body[20:], int64(p.order.Uint32(body)), p.order.Uint32(body[4:]), p.order.Uint32(body[8:]),
				p.order.Uint32(body[12:]), p.order.Uint32(body[16:]))
		}
		p.short(b)
	case blockOldPacket:
		if len(body) >= 20 {
			return p.packet(b, body[20:], int64(p.order.Uint16(body)), p.order.Uint32(body[4:]), p.order.Uint32(body[8:]),
				p.order.Uint32(body[12:]), p.order.Uint32(body[16:]))
		}
		p.short(b)
	case blockSimple:
		return p.simple(b, body)
	}
	return nil
}

func (p *Reader) short(b []byte) {
	if p.onGap != nil {
		p.onGap(Gap{p.off, int64(len(b)), false, "block too short for its type"})
	}
}

func (p *Reader) packet(b, data []byte, id int64, high, low, captured, original uint32) *Packet {
	if id >= int64(len(p.ifaces)) || int64(captured) > int64(len(data)) {
		p.short(b)
		return nil
	}
	p.number++
	f := p.ifaces[id]
	t, ok := f.time(uint64(high)<<32 | uint64(low))
	p.pkt = Packet{
		Offset: p.off, Length: int64(len(b)), Number: p.number, Time: t, HasTime: ok, LinkType: f.link,
		Interface: int(id), Original: int64(original), Data: p.hold(data[:captured]),
	}
	return &p.pkt
}

// simple reads a block without interface and time: those of interface 0.
func (p *Reader) simple(b, body []byte) *Packet {
	if len(body) < 4 || len(p.ifaces) == 0 {
		p.short(b)
		return nil
	}
	original := p.order.Uint32(body)
	captured := min(int64(original), int64(len(body)-4))
	if s := int64(p.ifaces[0].snap); s > 0 {
		captured = min(captured, s)
	}
	p.number++
	p.pkt = Packet{
		Offset: p.off, Length: int64(len(b)), Number: p.number, LinkType: p.ifaces[0].link,
		Original: int64(original), Data: p.hold(body[4 : 4+captured]),
	}
	return &p.pkt
}

func (p *Reader) addInterface(body []byte) {
	if len(body) < 8 || len(p.ifaces) >= maxInterfaces {
		return
	}
	f := iface{link: p.order.Uint16(body), snap: p.order.Uint32(body[4:]), resol: 6}
	p.options(body[8:], func(code uint16, v []byte) {
		switch {
		case code == optTSResol && len(v) == 1:
			f.resol = v[0]
		case code == optTSOffset && len(v) == 8:
			f.offset = int64(p.order.Uint64(v))
		}
	})
	p.ifaces = append(p.ifaces, f)
}

func (p *Reader) statistics(body []byte) {
	if len(body) < 12 || p.onDrops == nil {
		return
	}
	d := Drops{Offset: p.off, Interface: int(p.order.Uint32(body))}
	p.options(body[12:], func(code uint16, v []byte) {
		if len(v) != 8 {
			return
		}
		switch n := p.order.Uint64(v); code {
		case optISBRecv:
			d.Received = n
		case optISBAccept: // all that a filtered capture knows
			if d.Received == 0 {
				d.Received = n
			}
		case optISBDrop, optISBOS:
			d.Dropped += n
		}
	})
	p.onDrops(d)
}

// options calls f for every option of a block.
func (p *Reader) options(b []byte, f func(code uint16, value []byte)) {
	for len(b) >= 4 {
		code, n := p.order.Uint16(b), int(p.order.Uint16(b[2:]))
		padded := (n + 3) &^ 3
		if code == 0 || 4+padded > len(b) {
			return
		}
		f(code, b[4:4+n])
		b = b[4+padded:]
	}
}

// time turns units of if_tsresol into ns since 1970. ok is false where the
// result does not fit.
func (f iface) time(units uint64) (ns int64, ok bool) {
	var sec, frac uint64
	if f.resol&0x80 != 0 { // a power of two
		shift := uint(f.resol & 0x7f)
		if shift > 63 {
			return 0, false
		}
		sec = units >> shift
		hi, lo := bits.Mul64(units&(1<<shift-1), 1e9)
		frac = lo>>shift | hi<<(64-shift)
	} else {
		if f.resol > 18 {
			return 0, false
		}
		per := uint64(math.Pow10(int(f.resol)))
		sec = units / per
		hi, lo := bits.Mul64(units%per, 1e9)
		frac, _ = bits.Div64(hi, lo, per)
	}
	const limit = math.MaxInt64 / 1_000_000_000
	if sec > limit || f.offset > limit || f.offset < -limit {
		return 0, false
	}
	total := int64(sec) + f.offset
	if total >= limit || total <= -limit {
		return 0, false
	}
	return total*1e9 + int64(frac), true
}
