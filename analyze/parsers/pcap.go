package parsers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/communityid"
	"github.com/exhibit-dfir/exhibit/analyze/format/pcap"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// netPcap reads packet captures. A flow points at its first packet, the
// attributes first_packet and last_packet hold file offsets, and community_id
// is its Community ID (version 1, seed 0), under which Zeek and Suricata know
// it. Messages of ICMP that answer each other are one flow. Tunnels (GRE,
// VXLAN, MPLS, PPPoE) count as flows of their outer addresses.
//
// Of what flows say, the clear part is read: DNS, TLS handshakes over TCP and
// QUIC with their certificates, HTTP/1.x, SSH banners and algorithms, SMB 2,
// connection requests of RDP, Kerberos, DHCP, FTP and SMTP. Protocols show by
// their first bytes, whatever the port, except DNS, Kerberos and DHCP. A row
// that rests on several packets lists them in spans; an answer that has its
// own place is in answer_packet, response_packet or server_packet. Streams are
// put in order within bounds: up to 96 KiB that nothing has taken and 128 KiB
// behind a gap of each direction, 64 MiB of all flows; flows silent longest
// are let go first, which a problem record says. A record whose end is
// missing is flagged truncated and has no fingerprint. Passwords, cookies and
// tokens stay in the capture. Nothing is checked that a certificate claims.
//
// Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng, Community ID
// specification 1, RFC 1035 (DNS), RFC 8446 and 5246 (TLS), JA3, JA3S and JA4
// (BSD), RFC 9000, 9001 and 9369 (QUIC), RFC 9112 (HTTP), RFC 4253 (SSH),
// HASSH, MS-SMB2, MS-NLMP, MS-RDPBCGR, RFC 4120 (Kerberos), RFC 2131 (DHCP),
// RFC 959 (FTP), RFC 5321 and 4954 (SMTP).
var netPcap = register(analyze.Parser{
	Name:    "net_pcap",
	Doc:     "packet captures (pcap, pcapng): flows as spans, and what DNS, TLS, QUIC, HTTP, SSH, SMB, RDP, Kerberos, DHCP, FTP and SMTP say in clear",
	Version: 3,
	Family:  "net",
	Types:   []string{typeFlow, typeDNS, typeTLS, typeCertificate, typeHTTP, typeSSH, typeSMB, typeRDP, typeKerberos, typeDHCP, typeFTP, typeSMTP},
	Match:   func(_ *evidence.Item, head []byte) bool { return pcap.IsCapture(head) },
	Parse:   parsePcap,
})

// Data types of packet captures.
const (
	typeFlow        = "net:flow"
	typeDNS         = "net:dns"
	typeTLS         = "net:tls"
	typeCertificate = "net:certificate"
	typeHTTP        = "net:http"
	typeSSH         = "net:ssh"
	typeSMB         = "net:smb"
	typeRDP         = "net:rdp"
	typeKerberos    = "net:kerberos"
	typeDHCP        = "net:dhcp"
	typeFTP         = "net:ftp"
	typeSMTP        = "net:smtp"
)

func parsePcap(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	return newCapture(out).read(src)
}

// capture is one run over one file.
type capture struct {
	out      *timeline.Appender
	flows    *flowTable
	decoders map[uint16]*linkDecoder
	addr     []byte // scratch
	dns      layers.DNS

	newest, oldest *conversation // flows that are followed, by their last packet
	held, most     int           // bytes they hold, and held at most
	limit          int           // of these
	letGo          int64         // flows that were let go for want of room
}

func newCapture(out *timeline.Appender) *capture {
	return &capture{out: out, flows: newFlowTable(), decoders: map[uint16]*linkDecoder{}, limit: maxHeld}
}

// read reports what the file holds.
func (p *capture) read(src io.Reader) error {
	onGap := func(g pcap.Gap) {
		code := evidence.Corrupt
		if g.Truncated {
			code = evidence.Truncated
		}
		p.out.Problem(code, g.Offset, g.Length, g.Detail)
	}
	onDrops := func(d pcap.Drops) {
		if d.Dropped > 0 {
			p.out.Problem(evidence.Dropped, d.Offset, -1,
				fmt.Sprintf("interface %d lost %d of %d packets while capturing", d.Interface, d.Dropped, d.Received))
		}
	}
	r, err := pcap.NewReader(src, onGap, onDrops)
	if err != nil {
		return err
	}
	defer p.finish()
	for p.out.Err() == nil {
		pkt, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		p.packet(pkt)
	}
	return nil
}

// sweepEvery is after how many packets idle flows are closed.
const sweepEvery = 1 << 18

func (p *capture) packet(pkt *pcap.Packet) {
	d, ok := p.decoders[pkt.LinkType]
	if !ok {
		d = newLinkDecoder(pkt.LinkType)
		p.decoders[pkt.LinkType] = d
		if d == nil {
			p.out.Problem(evidence.Unsupported, pkt.Offset, -1, fmt.Sprintf("packets of link type %d are not decoded", pkt.LinkType))
		}
	}
	if d == nil {
		return
	}
	var seg segment
	if !d.decode(pkt.Data, &seg) {
		return
	}
	seg.pkt, seg.length = pkt, len(seg.payload)
	if pkt.Original > int64(len(pkt.Data)) {
		seg.length += max(seg.missing, 0)
	}
	f, dir := p.flow(&seg)
	f.count(dir, &seg)
	p.application(f, dir, &seg)
	if pkt.Number%sweepEvery == 0 {
		for _, f := range p.flows.idle(pkt.Time) {
			p.emitFlow(f)
		}
	}
}

// flow returns the flow a segment belongs to, beginning one where needed.
func (p *capture) flow(seg *segment) (*flow, int) {
	f, dir, old := p.flows.of(seg)
	if old != nil {
		p.emitFlow(old)
	}
	return f, dir
}

func (p *capture) finish() {
	for _, f := range p.flows.all() {
		p.emitFlow(f)
	}
	p.reportLetGo()
}

// segment is what of one packet matters here.
type segment struct {
	pkt                *pcap.Packet
	src, dst           netip.Addr
	proto              layers.IPProtocol
	srcPort, dstPort   uint16
	tcp                bool
	syn, ack, fin, rst bool
	seq                uint32
	fragment           bool
	ported             bool // the header with the ports was there
	oneWay             bool // ICMP that nothing answers
	payload            []byte
	missing            int   // bytes of the IP packet that were not captured
	length             int   // of the payload on the wire
	wire               int64 // bytes of the IP packet on the wire
}

// linkDecoder decodes packets of one link type without allocating.
type linkDecoder struct {
	parser  *gopacket.DecodingLayerParser
	parser6 *gopacket.DecodingLayerParser // for link types that begin with IP of either version
	decoded []gopacket.LayerType
	ppp     bool
	eth     layers.Ethernet
	vlan    layers.Dot1Q
	sll     layers.LinuxSLL
	sll2    layers.LinuxSLL2
	loop    layers.Loopback
	ip4     layers.IPv4
	ip6     layers.IPv6
	ext     layers.IPv6ExtensionSkipper
	tcp     layers.TCP
	udp     layers.UDP
	sctp    layers.SCTP
	icmp4   layers.ICMPv4
	icmp6   layers.ICMPv6
}

// LINKTYPE_ values, https://www.tcpdump.org/linktypes.html.
const (
	linkPPP                                                  = 9
	linkNull, linkEthernet, linkRaw, linkRawBSD, linkRawOpen = 0, 1, 101, 12, 14
	linkLoop, linkSLL, linkIPv4, linkIPv6, linkSLL2          = 108, 113, 228, 229, 276
)

// newLinkDecoder returns nil for link types that are not decoded.
func newLinkDecoder(link uint16) *linkDecoder {
	d := &linkDecoder{}
	var first gopacket.LayerType
	switch link {
	case linkEthernet:
		first = layers.LayerTypeEthernet
	case linkSLL:
		first = layers.LayerTypeLinuxSLL
	case linkSLL2:
		first = layers.LayerTypeLinuxSLL2
	case linkNull, linkLoop:
		first = layers.LayerTypeLoopback
	case linkPPP, linkRaw, linkRawBSD, linkRawOpen, linkIPv4, linkIPv6:
		d.ppp = link == linkPPP
		first, d.parser6 = layers.LayerTypeIPv4, d.chain(layers.LayerTypeIPv6)
	default:
		return nil
	}
	d.parser = d.chain(first)
	return d
}

func (d *linkDecoder) chain(first gopacket.LayerType) *gopacket.DecodingLayerParser {
	p := gopacket.NewDecodingLayerParser(first, &d.eth, &d.vlan, &d.sll, &d.sll2, &d.loop,
		&d.ip4, &d.ip6, &d.ext, &d.tcp, &d.udp, &d.sctp, &d.icmp4, &d.icmp6)
	p.IgnoreUnsupported = true
	return p
}

// decode fills seg from a packet; false means that it carries no IP. What the
// decoder could not finish keeps the layers before.
func (d *linkDecoder) decode(data []byte, seg *segment) bool {
	if d.ppp {
		data = afterPPP(data)
	}
	parser := d.parser
	if d.parser6 != nil && len(data) > 0 && data[0]>>4 == 6 {
		parser = d.parser6
	}
	// Errors are damaged or cut packets: the layers decoded so far stand.
	_ = parser.DecodeLayers(data, &d.decoded)
	found := false
	for _, l := range d.decoded {
		switch l {
		case layers.LayerTypeIPv4:
			if found {
				return true // what a tunnel carries is not taken apart
			}
			found = d.network(seg, d.ip4.SrcIP, d.ip4.DstIP, d.ip4.Protocol, int64(d.ip4.Length))
			seg.missing = int(d.ip4.Length) - int(d.ip4.IHL)*4 - len(d.ip4.Payload)
			seg.fragment = d.ip4.FragOffset != 0 || d.ip4.Flags&layers.IPv4MoreFragments != 0
		case layers.LayerTypeIPv6:
			if found {
				return true
			}
			found = d.network(seg, d.ip6.SrcIP, d.ip6.DstIP, d.ip6.NextHeader, int64(d.ip6.Length)+40)
			seg.missing = int(d.ip6.Length) - len(d.ip6.Payload)
		case layers.LayerTypeTCP:
			seg.tcp, seg.ported, seg.proto = true, true, layers.IPProtocolTCP
			seg.srcPort, seg.dstPort = uint16(d.tcp.SrcPort), uint16(d.tcp.DstPort)
			seg.syn, seg.ack, seg.fin, seg.rst = d.tcp.SYN, d.tcp.ACK, d.tcp.FIN, d.tcp.RST
			seg.seq, seg.payload = d.tcp.Seq, d.tcp.Payload
		case layers.LayerTypeUDP:
			seg.proto, seg.ported = layers.IPProtocolUDP, true
			seg.srcPort, seg.dstPort = uint16(d.udp.SrcPort), uint16(d.udp.DstPort)
			seg.payload = d.udp.Payload
		case layers.LayerTypeSCTP:
			seg.proto, seg.ported = layers.IPProtocolSCTP, true
			seg.srcPort, seg.dstPort = uint16(d.sctp.SrcPort), uint16(d.sctp.DstPort)
		case layers.LayerTypeICMPv4:
			seg.proto = layers.IPProtocolICMPv4
			seg.icmp(d.icmp4.TypeCode.Type(), d.icmp4.TypeCode.Code())
		case layers.LayerTypeICMPv6:
			seg.proto = layers.IPProtocolICMPv6
			seg.icmp(d.icmp6.TypeCode.Type(), d.icmp6.TypeCode.Code())
		}
	}
	return found
}

// icmp tells flows of ICMP apart by what stands for ports in Community ID.
func (s *segment) icmp(kind, code uint8) {
	s.srcPort, s.dstPort, s.oneWay = communityid.ICMP(s.proto == layers.IPProtocolICMPv6, kind, code)
	s.ported = true
}

// afterPPP returns the IP packet of a PPP frame, nothing where it carries
// another protocol: RFC 1661 and 1662, address and control before the protocol
// may be left out.
func afterPPP(b []byte) []byte {
	b = bytes.TrimPrefix(b, []byte{0xff, 0x03})
	if len(b) < 2 || b[0] != 0 || b[1] != 0x21 && b[1] != 0x57 {
		return nil
	}
	return b[2:]
}

func (d *linkDecoder) network(seg *segment, src, dst []byte, proto layers.IPProtocol, wire int64) bool {
	a, ok := netip.AddrFromSlice(src)
	b, ok2 := netip.AddrFromSlice(dst)
	if !ok || !ok2 {
		return false
	}
	seg.src, seg.dst, seg.proto, seg.wire = a, b, proto, wire
	return true
}

// text returns an address as text that lives as long as the source.
func (p *capture) text(a netip.Addr) string {
	p.addr = a.AppendTo(p.addr[:0])
	return p.out.Intern(p.addr)
}

// endpoints fills the columns of who talked to whom.
func (p *capture) endpoints(ev *timeline.Event, f *flow) {
	ev.SrcIP, ev.DstIP = p.text(f.addr[0]), p.text(f.addr[1])
	if f.ported && !f.icmp() {
		ev.SrcPort, ev.DstPort = int64(f.port[0]), int64(f.port[1])
	}
	ev.Channel = protocolName(f.proto)
	ev.Category, ev.SourceShort, ev.SourceLong = "network", "PCAP", "packet capture"
	ev.TSKind, ev.TZSrc, ev.TSPrec = timeline.Observed, timeline.ZoneFormat, timeline.Nanosecond
}

func protocolName(proto layers.IPProtocol) string {
	switch proto {
	case layers.IPProtocolTCP:
		return "tcp"
	case layers.IPProtocolUDP:
		return "udp"
	case layers.IPProtocolICMPv4:
		return "icmp"
	case layers.IPProtocolICMPv6:
		return "icmp6"
	case layers.IPProtocolGRE:
		return "gre"
	case layers.IPProtocolESP:
		return "esp"
	case layers.IPProtocolSCTP:
		return "sctp"
	case layers.IPProtocolIGMP:
		return "igmp"
	}
	return fmt.Sprintf("ip-proto-%d", uint8(proto))
}
