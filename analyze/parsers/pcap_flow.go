package parsers

import (
	"net/netip"
	"slices"

	"github.com/gopacket/gopacket/layers"

	"github.com/exhibit-dfir/exhibit/analyze/format/communityid"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// How long a flow may be silent before the next packet begins another one,
// and how many are kept open.
const (
	idleTCP  = 3600e9
	idleUDP  = 120e9
	maxFlows = 400_000
)

// flowKey names a flow whatever the direction: the lesser end first.
type flowKey struct {
	a, b   netip.Addr
	pa, pb uint16
	proto  layers.IPProtocol
}

// flow is one conversation. Index 0 is the side that began it.
type flow struct {
	key         flowKey
	order       int64
	addr        [2]netip.Addr
	port        [2]uint16
	proto       layers.IPProtocol
	start, end  int64
	timed       bool
	packets     [2]int64
	bytes       [2]int64
	firstOff    int64
	firstLen    int64
	lastOff     int64
	fragments   bool
	ported      bool
	oneWay      bool
	syn, synAck bool
	fin         [2]bool
	rst         [2]bool
	payload     [2]bool
	next        [2]uint32     // sequence numbers behind what was seen while it is not followed
	begun       [2]bool       // that next is known
	conv        *conversation // what is read of it, nil for most
	opaque      bool          // looked at: it is of no protocol that is read
}

type flowTable struct {
	open  map[flowKey]*flow
	order int64
}

func newFlowTable() *flowTable { return &flowTable{open: map[flowKey]*flow{}} }

func keyOf(s *segment) (k flowKey, swapped bool) {
	c := s.src.Compare(s.dst)
	if c > 0 || c == 0 && s.srcPort > s.dstPort {
		return flowKey{s.dst, s.src, s.dstPort, s.srcPort, s.proto}, true
	}
	return flowKey{s.src, s.dst, s.srcPort, s.dstPort, s.proto}, false
}

// of returns the flow of a segment and its direction, 0 from the side that
// began it. old is a flow that this segment shows to be over.
func (t *flowTable) of(s *segment) (f *flow, dir int, old *flow) {
	key, _ := keyOf(s)
	f = t.open[key]
	if f != nil && f.over(s) {
		old, f = f, nil
	}
	if f == nil {
		if old == nil && len(t.open) >= maxFlows {
			old = t.oldest()
		}
		if old != nil {
			delete(t.open, old.key)
		}
		f = t.begin(key, s)
	}
	if s.src != f.addr[0] || s.srcPort != f.port[0] {
		dir = 1
	}
	return f, dir, old
}

func (t *flowTable) begin(key flowKey, s *segment) *flow {
	t.order++
	f := &flow{
		key: key, order: t.order, proto: s.proto, addr: [2]netip.Addr{s.src, s.dst}, port: [2]uint16{s.srcPort, s.dstPort},
		ported: s.ported, oneWay: s.oneWay,
		start: s.pkt.Time, end: s.pkt.Time, timed: s.pkt.HasTime, firstOff: s.pkt.Offset, firstLen: s.pkt.Length,
	}
	if s.tcp && s.syn && s.ack { // the answer came first into view
		f.addr[0], f.addr[1] = f.addr[1], f.addr[0]
		f.port[0], f.port[1] = f.port[1], f.port[0]
	}
	t.open[key] = f
	return f
}

// over reports whether s begins another flow between the same ends.
func (f *flow) over(s *segment) bool {
	silent := s.pkt.Time - f.end
	if f.proto != layers.IPProtocolTCP {
		return silent > idleUDP
	}
	closed := f.rst[0] || f.rst[1] || f.fin[0] && f.fin[1]
	return silent > idleTCP || s.syn && !s.ack && (closed || f.synAck && silent > 1e9)
}

func (t *flowTable) oldest() *flow {
	var old *flow
	for _, f := range t.open {
		if old == nil || f.end < old.end || f.end == old.end && f.order < old.order {
			old = f
		}
	}
	return old
}

// idle takes out the flows that are over at now, in the order they began.
// It also makes room when the table is near its limit.
func (t *flowTable) idle(now int64) []*flow {
	limit := int64(idleTCP)
	if len(t.open) > maxFlows*3/4 {
		limit = 60e9
	}
	var out []*flow
	for key, f := range t.open {
		silent := now - f.end
		closed := f.proto != layers.IPProtocolTCP || f.rst[0] || f.rst[1] || f.fin[0] && f.fin[1]
		if silent > limit || closed && silent > idleUDP {
			out = append(out, f)
			delete(t.open, key)
		}
	}
	slices.SortFunc(out, func(a, b *flow) int { return int(a.order - b.order) })
	return out
}

func (t *flowTable) all() []*flow {
	out := make([]*flow, 0, len(t.open))
	for _, f := range t.open {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *flow) int { return int(a.order - b.order) })
	return out
}

// count adds a packet to its flow.
func (f *flow) count(dir int, s *segment) {
	f.packets[dir]++
	f.bytes[dir] += s.wire
	f.lastOff = s.pkt.Offset
	f.start, f.end = min(f.start, s.pkt.Time), max(f.end, s.pkt.Time)
	f.fragments = f.fragments || s.fragment
	f.payload[dir] = f.payload[dir] || len(s.payload) > 0
	if s.tcp {
		f.syn = f.syn || s.syn && !s.ack
		f.synAck = f.synAck || s.syn && s.ack
		f.fin[dir] = f.fin[dir] || s.fin
		f.rst[dir] = f.rst[dir] || s.rst
	}
}

// state says how a TCP flow went, and the outcome of the attempt.
func (f *flow) state() (state, outcome string) {
	if f.proto != layers.IPProtocolTCP {
		if f.packets[1] > 0 {
			return "answered", "success"
		}
		return "one-way", "unknown"
	}
	switch {
	case f.syn && !f.synAck && f.rst[1] && !f.payload[0]:
		return "refused", "failure"
	case f.syn && !f.synAck && f.packets[1] == 0:
		return "no answer", "failure"
	case f.rst[0] || f.rst[1]:
		state = "reset"
	case f.fin[0] && f.fin[1]:
		state = "closed"
	case !f.syn && !f.synAck:
		state = "begun before the capture"
	default:
		state = "open"
	}
	if f.synAck || f.payload[0] && f.payload[1] {
		return state, "success"
	}
	return state, "unknown"
}

func (p *capture) emitFlow(f *flow) {
	if f.conv != nil {
		p.leave(f.conv)
	}
	ev := p.out.Event(f.firstOff, f.firstLen)
	ev.DataType, ev.TSDesc, ev.Action = typeFlow, "Flow Start", "connection"
	if f.timed {
		ev.SetSpan(f.start, f.end)
	}
	p.endpoints(ev, f)
	state, outcome := f.state()
	ev.Outcome = outcome
	proto := ev.Channel
	ports := ev.SrcPort != timeline.None
	src, dst := p.end(ev.SrcIP, ev.SrcPort, ports), p.end(ev.DstIP, ev.DstPort, ports)
	ev.Message = p.out.Join(proto, " ", src, " to ", dst, ", ", state, ": ", p.out.Int(f.packets[0]), " packets, ",
		term.Size(f.bytes[0]), " out; ", p.out.Int(f.packets[1]), " packets, ", term.Size(f.bytes[1]), " back")
	p.out.AttrStr("proto", proto)
	p.out.AttrStr("state", state)
	p.out.AttrInt("packets_out", f.packets[0])
	p.out.AttrInt("packets_in", f.packets[1])
	p.out.AttrInt("bytes_out", f.bytes[0])
	p.out.AttrInt("bytes_in", f.bytes[1])
	p.out.AttrInt("first_packet", f.firstOff)
	p.out.AttrInt("last_packet", f.lastOff)
	if id := p.communityID(f); len(id) > 0 {
		p.out.Attr("community_id", id)
	}
	if f.icmp() && f.ported {
		p.out.AttrInt("icmp_type", int64(f.port[0]))
		if f.oneWay {
			p.out.AttrInt("icmp_code", int64(f.port[1]))
		}
	}
	if f.fragments {
		p.out.AttrStr("fragments", "yes")
	}
}

func (f *flow) icmp() bool {
	return f.proto == layers.IPProtocolICMPv4 || f.proto == layers.IPProtocolICMPv6
}

// communityID is good until the next call; it is empty where the packets do
// not show the ports that belong into it.
func (p *capture) communityID(f *flow) []byte {
	switch f.proto {
	case layers.IPProtocolTCP, layers.IPProtocolUDP, layers.IPProtocolSCTP, layers.IPProtocolICMPv4, layers.IPProtocolICMPv6:
		if !f.ported {
			return nil
		}
	}
	id := communityid.Flow{Src: f.addr[0], Dst: f.addr[1], Proto: uint8(f.proto), SrcPort: f.port[0], DstPort: f.port[1], OneWay: f.oneWay}
	p.addr = id.Append(p.addr[:0], 0)
	return p.addr
}

func (p *capture) end(ip string, port int64, ports bool) string {
	if !ports {
		return ip
	}
	return p.out.Join(ip, " port ", p.out.Int(port))
}
