package netflow

import (
	"encoding/binary"
	"net/netip"
)

// reverse is the enterprise number of elements that count the answers, RFC
// 5103.
const reverse = 29305

// record returns the next flow of the data set at hand, nil at its end and for
// records of options.
func (p *Reader) record() *Flow {
	if len(p.set) < p.now.least { // what is left is padding
		p.now, p.set = nil, nil
		return nil
	}
	f := p.begin()
	b := p.set
	for _, t := range p.now.fields {
		n := t.length
		if n == variable {
			if n, b = variableLength(b); n < 0 {
				return p.broken()
			}
		}
		if n > len(b) {
			return p.broken()
		}
		f.element(t.enterprise, t.element, b[:n])
		b = b[n:]
	}
	f.Offset, f.Length = p.setOff, int64(len(p.set)-len(b))
	p.setOff += f.Length
	p.set = b
	if p.version == 9 {
		p.left--
	}
	if p.now.options {
		return nil
	}
	p.times(f)
	return f
}

func (p *Reader) broken() *Flow {
	p.gap(Gap{Offset: p.setOff, Length: int64(len(p.set)), Detail: "a record does not fit into its set"})
	p.now, p.set = nil, nil
	return nil
}

// variableLength reads the length in front of a value, RFC 7011 section 7; -1
// where it is cut.
func variableLength(b []byte) (n int, rest []byte) {
	switch {
	case len(b) > 0 && b[0] < 255:
		return int(b[0]), b[1:]
	case len(b) > 2:
		return int(binary.BigEndian.Uint16(b[1:])), b[3:]
	}
	return -1, nil
}

func (p *Reader) begin() *Flow {
	p.flow = Flow{Version: p.version, Domain: p.domain, Sequence: p.sequence, Exported: p.exported, Others: p.flow.Others[:0], Digits: 3}
	return &p.flow
}

// record5 reads one record of version 5.
func (p *Reader) record5() (*Flow, error) {
	at := p.off
	b, err := p.take(record5)
	if err != nil {
		return nil, err
	}
	be := binary.BigEndian
	f := p.begin()
	f.Offset, f.Length = at, record5
	f.Src, f.Dst = address(b[0:4]), address(b[4:8])
	if hop := address(b[8:12]); !hop.IsUnspecified() {
		f.NextHop = hop
	}
	f.Input, f.Output = uint32(be.Uint16(b[12:])), uint32(be.Uint16(b[14:]))
	f.Packets, f.Bytes = uint64(be.Uint32(b[16:])), uint64(be.Uint32(b[20:]))
	f.HasPackets, f.HasBytes = true, true
	f.firstUptime, f.lastUptime, f.hasFirst, f.hasLast = be.Uint32(b[24:]), be.Uint32(b[28:]), true, true
	f.SrcPort, f.DstPort, f.HasSrcPort, f.HasDstPort = be.Uint16(b[32:]), be.Uint16(b[34:]), true, true
	f.TCPFlags, f.Proto, f.HasProto, f.TOS = uint16(b[37]), b[38], true, b[39]
	f.SrcAS, f.DstAS = uint32(be.Uint16(b[40:])), uint32(be.Uint16(b[42:]))
	p.times(f)
	return f, nil
}

// times turns what is relative to the exporter's start into times, and the
// destination port of ICMP into type and code.
func (p *Reader) times(f *Flow) {
	if f.hasFirst && !f.HasStart {
		f.Start, f.HasStart = p.since(f, f.firstUptime)
	}
	if f.hasLast && !f.HasEnd {
		f.End, f.HasEnd = p.since(f, f.lastUptime)
	}
	if (f.Proto == 1 || f.Proto == 58) && f.HasProto && f.HasDstPort && !f.HasICMP && f.SrcPort == 0 {
		f.ICMPType, f.ICMPCode, f.HasICMP = uint8(f.DstPort>>8), uint8(f.DstPort), true
	}
}

// since is the time that the exporter called so many ms after its start. Its
// clock of 32 bits begins anew every 49.7 days: the times of a flow are near
// that of the packet.
func (p *Reader) since(f *Flow, uptime uint32) (ns int64, ok bool) {
	switch {
	case f.hasInit:
		return (f.systemInit + int64(uptime)) * 1e6, f.systemInit > 0 && f.systemInit < 1<<43
	case p.version == 10:
		return 0, false // RFC 7011 has no uptime in its header
	}
	return p.exported - int64(int32(p.uptime-uptime))*1e6, true
}

// element reads one information element.
func (f *Flow) element(enterprise uint32, id uint16, v []byte) {
	if enterprise == reverse {
		if n, ok := number(v); ok && (id == 1 || id == 85) {
			f.BackBytes, f.HasBack = n, true
			return
		} else if ok && (id == 2 || id == 86) {
			f.BackPackets, f.HasBack = n, true
			return
		}
	}
	if enterprise == 0 && f.known(id, v) {
		return
	}
	for _, c := range v {
		if c != 0 {
			f.Others = append(f.Others, Field{enterprise, id, v})
			return
		}
	}
}

// known is false for elements that are not read and for values of a length
// that they cannot have.
func (f *Flow) known(id uint16, v []byte) bool {
	switch id {
	case 8, 12, 15, 27, 28, 62, 18, 63, 225, 226, 281, 282:
		return f.address(id, v)
	}
	n, ok := number(v)
	if !ok {
		return false
	}
	switch id {
	case 1, 85:
		f.Bytes, f.HasBytes = n, true
	case 2, 86:
		f.Packets, f.HasPackets = n, true
	case 231:
		f.Bytes, f.HasBytes = n, true
	case 232:
		f.BackBytes, f.HasBack = n, true
	case 298:
		f.Packets, f.HasPackets = n, true
	case 299:
		f.BackPackets, f.HasBack = n, true
	case 4:
		f.Proto, f.HasProto = uint8(n), true
	case 5:
		f.TOS = uint8(n)
	case 6:
		f.TCPFlags = uint16(n)
	case 7, 180, 182:
		setPort(&f.SrcPort, &f.HasSrcPort, n)
	case 11, 181, 183:
		setPort(&f.DstPort, &f.HasDstPort, n)
	case 10:
		f.Input = uint32(n)
	case 14:
		f.Output = uint32(n)
	case 16:
		f.SrcAS = uint32(n)
	case 17:
		f.DstAS = uint32(n)
	case 32, 139:
		f.ICMPType, f.ICMPCode, f.HasICMP = uint8(n>>8), uint8(n), f.HasICMP || n > 0
	case 176, 178:
		f.ICMPType, f.HasICMP = uint8(n), true
	case 177, 179:
		f.ICMPCode, f.HasICMP = uint8(n), true
	case 136:
		f.EndReason = uint8(n)
	case 227:
		f.NATSrcPort = uint16(n)
	case 228:
		f.NATDstPort = uint16(n)
	default:
		return f.time(id, n, len(v))
	}
	return true
}

// setPort takes a port. A record may have the ports of TCP and of UDP, of which
// one is 0.
func setPort(port *uint16, stated *bool, n uint64) {
	if n != 0 || !*stated {
		*port, *stated = uint16(n), true
	}
}

func (f *Flow) address(id uint16, v []byte) bool {
	a, ok := netip.AddrFromSlice(v)
	if !ok {
		return false
	}
	switch id {
	case 8, 27:
		if !f.Src.IsValid() || f.Src.IsUnspecified() {
			f.Src = a
		}
	case 12, 28:
		if !f.Dst.IsValid() || f.Dst.IsUnspecified() {
			f.Dst = a
		}
	case 225, 281:
		f.NATSrc = a
	case 226, 282:
		f.NATDst = a
	default:
		if !a.IsUnspecified() {
			f.NextHop = a
		}
	}
	return true
}

// time reads the elements that are times.
func (f *Flow) time(id uint16, n uint64, width int) bool {
	switch id {
	case 21:
		f.lastUptime, f.hasLast = uint32(n), true
		return true
	case 22:
		f.firstUptime, f.hasFirst = uint32(n), true
		return true
	case 160:
		f.systemInit, f.hasInit = int64(n), true
		return true
	case 158, 159: // µs before the export time
		if n >= 1<<32 {
			return false
		}
		f.set(id == 158, f.Exported-int64(n)*1e3, 6)
		return true
	case 150, 151:
		if n >= 1<<32 {
			return false
		}
		f.set(id == 150, int64(n)*1e9, 0)
		return true
	case 152, 153:
		if n >= 1<<43 {
			return false
		}
		f.set(id == 152, int64(n)*1e6, 3)
		return true
	case 154, 155, 156, 157: // NTP: seconds since 1900 and a fraction of 32 bits
		sec := int64(n>>32) - 2_208_988_800
		if width != 8 || sec < 0 {
			return false
		}
		digits := 6
		if id > 155 {
			digits = 9
		}
		f.set(id%2 == 0, sec*1e9+int64((n&(1<<32-1))*1e9>>32), digits)
		return true
	}
	return false
}

func (f *Flow) set(start bool, ns int64, digits int) {
	f.Digits = digits
	if start {
		f.Start, f.HasStart = ns, true
	} else {
		f.End, f.HasEnd = ns, true
	}
}

// number reads an unsigned number of up to eight bytes: exporters may send
// fewer than an element has, RFC 7011 section 6.2.
func number(v []byte) (n uint64, ok bool) {
	for _, c := range v {
		n = n<<8 | uint64(c)
	}
	return n, len(v) > 0 && len(v) <= 8
}

func address(v []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(v)
	return a
}
