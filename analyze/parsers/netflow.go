package parsers

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"

	"github.com/gopacket/gopacket/layers"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/communityid"
	"github.com/exhibit-dfir/exhibit/analyze/format/netflow"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// netNetflow reads flow records that routers and probes exported: packets of
// NetFlow version 5 and 9 and of IPFIX, one behind the other in a file. A
// record is a span from the flow's first to its last packet and one direction
// only, unless its exporter counts the answers too. Times that count from the
// exporter's start are those of its own clock. A flow without times stands at
// the time of its export. Elements that have no place of their own are
// attributes: ie and the number, with the enterprise in front where it is not
// 0. Records of options (sampling, interfaces) are no events.
//
// Formats: NetFlow Export Datagram Format (version 5), RFC 3954 (version 9),
// RFC 7011 (IPFIX), RFC 5655 (IPFIX files), RFC 5103 (biflows).
var netNetflow = register(analyze.Parser{
	Name:    "net_netflow",
	Doc:     "export packets of NetFlow 5, NetFlow 9 and IPFIX in files: flows as spans",
	Version: 2,
	Family:  "net",
	Types:   []string{typeFlow},
	Match:   func(_ *evidence.Item, head []byte) bool { return netflow.Looks(head) },
	Parse:   parseNetflow,
})

func parseNetflow(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	r, err := netflow.NewReader(src, func(g netflow.Gap) {
		code := evidence.Corrupt
		switch {
		case g.Truncated:
			code = evidence.Truncated
		case g.NoTemplate:
			code = evidence.Unsupported
		}
		out.Problem(code, g.Offset, g.Length, g.Detail)
	})
	if err != nil {
		return err
	}
	e := flowEvents{out: out}
	for out.Err() == nil {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		e.event(f)
	}
	return nil
}

// flowEvents makes events of flow records.
type flowEvents struct {
	out     *timeline.Appender
	scratch []byte
}

func (e *flowEvents) text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	e.scratch = a.AppendTo(e.scratch[:0])
	return e.out.Intern(e.scratch)
}

func (e *flowEvents) event(f *netflow.Flow) {
	out := e.out
	ev := out.Event(f.Offset, f.Length)
	ev.DataType, ev.Action, ev.Category = typeFlow, "connection", "network"
	ev.SourceShort, ev.SourceLong = "FLOW", flowSource(f.Version)
	ev.TSKind, ev.TZSrc = timeline.Observed, timeline.ZoneFormat
	e.time(ev, f)
	ev.SrcIP, ev.DstIP = e.text(f.Src), e.text(f.Dst)
	proto := ""
	if f.HasProto {
		proto = protocolName(layers.IPProtocol(f.Proto))
	}
	ev.Channel = out.Str(proto)
	ported := f.Proto == 6 || f.Proto == 17 || f.Proto == 132
	src, dst := orUnknown(ev.SrcIP), orUnknown(ev.DstIP)
	if ported && f.HasSrcPort {
		ev.SrcPort = int64(f.SrcPort)
		src += " port " + strconv.Itoa(int(f.SrcPort))
	}
	if ported && f.HasDstPort {
		ev.DstPort = int64(f.DstPort)
		dst += " port " + strconv.Itoa(int(f.DstPort))
	}
	ev.Message = out.Join(proto, " ", src, " to ", dst)
	for _, side := range [...]struct {
		stated         bool
		packets, bytes uint64
		end            string
	}{{f.HasPackets || f.HasBytes, f.Packets, f.Bytes, ""}, {f.HasBack, f.BackPackets, f.BackBytes, " back"}} {
		if side.stated {
			ev.Message = out.Join(ev.Message, ", ", strconv.FormatUint(side.packets, 10), " packets, ", term.Size(int64(min(side.bytes, 1<<62))), side.end)
		}
	}
	e.attributes(f, proto)
}

func orUnknown(s string) string {
	if s == "" {
		return "(no address)"
	}
	return s
}

func flowSource(version int) string {
	if version == 10 {
		return "IPFIX"
	}
	return "NetFlow " + strconv.Itoa(version)
}

// time dates the event: from the first to the last packet, where the record
// says so.
func (e *flowEvents) time(ev *timeline.Event, f *netflow.Flow) {
	ev.TSPrec = precisionOf(f.Digits)
	switch {
	case f.HasStart && f.HasEnd && f.Start <= f.End:
		ev.SetSpan(f.Start, f.End)
		ev.TSDesc = "Flow Start"
	case f.HasStart:
		ev.SetNanos(f.Start)
		ev.TSDesc = "Flow Start"
	case f.HasEnd:
		ev.SetNanos(f.End)
		ev.TSDesc = "Flow End"
	default:
		ev.SetNanos(f.Exported)
		ev.TSDesc, ev.TSKind, ev.TSPrec = "Flow Exported", timeline.Recorded, timeline.Second
	}
}

func (e *flowEvents) attributes(f *netflow.Flow, proto string) {
	out := e.out
	if proto != "" {
		out.AttrStr("proto", proto)
	}
	count := func(key string, n uint64) { out.AttrRaw(key, out.Str(strconv.FormatUint(n, 10)), 'i') }
	if f.HasPackets {
		count("packets_out", f.Packets)
	}
	if f.HasBytes {
		count("bytes_out", f.Bytes)
	}
	if f.HasBack {
		count("packets_in", f.BackPackets)
		count("bytes_in", f.BackBytes)
	}
	if f.Proto == 6 && f.TCPFlags != 0 {
		out.AttrStr("tcp_flags", tcpFlags(f.TCPFlags))
	}
	if f.HasICMP {
		count("icmp_type", uint64(f.ICMPType))
		count("icmp_code", uint64(f.ICMPCode))
	}
	if id := flowID(f); len(id) > 0 {
		out.Attr("community_id", id)
	}
	for _, a := range [...]struct {
		key string
		n   uint64
	}{
		{"input", uint64(f.Input)},
		{"output", uint64(f.Output)},
		{"src_as", uint64(f.SrcAS)},
		{"dst_as", uint64(f.DstAS)},
		{"tos", uint64(f.TOS)},
		{"nat_src_port", uint64(f.NATSrcPort)},
		{"nat_dst_port", uint64(f.NATDstPort)},
		{"end_reason", uint64(f.EndReason)},
	} {
		if a.n != 0 {
			count(a.key, a.n)
		}
	}
	for _, a := range [...]struct {
		key  string
		addr netip.Addr
	}{{"next_hop", f.NextHop}, {"nat_src", f.NATSrc}, {"nat_dst", f.NATDst}} {
		if a.addr.IsValid() {
			out.AttrStr(a.key, a.addr.String())
		}
	}
	count("observation_domain", uint64(f.Domain))
	count("export_sequence", uint64(f.Sequence))
	for _, o := range f.Others {
		e.element(o)
	}
}

// element keeps what has no place of its own.
func (e *flowEvents) element(o netflow.Field) {
	key := fmt.Sprintf("ie%d", o.Element)
	if o.Enterprise != 0 {
		key = fmt.Sprintf("ie%d_%d", o.Enterprise, o.Element)
	}
	key = e.out.Intern([]byte(key))
	switch len(o.Value) {
	case 1, 2, 4, 8:
	default:
		if v := cutText(o.Value); printable(v) {
			e.out.Attr(key, v)
		} else {
			e.scratch = hex.AppendEncode(e.scratch[:0], v)
			e.out.Attr(key, e.scratch)
		}
		return
	}
	n := uint64(0)
	for _, c := range o.Value {
		n = n<<8 | uint64(c)
	}
	e.out.AttrRaw(key, e.out.Str(strconv.FormatUint(n, 10)), 'i')
}

func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// tcpFlags lists the bits that any packet had.
func tcpFlags(n uint16) string {
	var b []byte
	for i, c := range []byte("FSRPAUEC") {
		if n&(1<<i) != 0 {
			b = append(b, c)
		}
	}
	return string(b)
}

// flowID is the Community ID, where the record says what belongs into it.
func flowID(f *netflow.Flow) []byte {
	if !f.Src.IsValid() || !f.Dst.IsValid() || f.Src.Is4() != f.Dst.Is4() || !f.HasProto {
		return nil
	}
	id := communityid.Flow{Src: f.Src, Dst: f.Dst, Proto: f.Proto, SrcPort: f.SrcPort, DstPort: f.DstPort}
	switch f.Proto {
	case 6, 17, 132:
		if !f.HasSrcPort || !f.HasDstPort {
			return nil
		}
	case 1, 58:
		if !f.HasICMP {
			return nil
		}
		id.SrcPort, id.DstPort, id.OneWay = communityid.ICMP(f.Proto == 58, f.ICMPType, f.ICMPCode)
	}
	return id.Append(nil, 0)
}
