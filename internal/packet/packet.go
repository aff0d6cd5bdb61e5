// Package packet captures packets without libpcap: an AF_PACKET socket
// (packet(7)) with a memory-mapped ring of version TPACKET_V3
// (Documentation/networking/packet_mmap.rst of the kernel).
//
// The kernel fills blocks of the ring and hands over each block when it is
// full or 50 ms old; Ring.Read visits the packets of one block and gives the
// block back. Nothing blocks longer than the caller allows, also on a link
// that carries no traffic. A filter in the kernel keeps out interfaces that
// were not asked for and the second copy of what a host sends to itself, and
// cuts packets to the snap length.
package packet

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/exhibit-dfir/exhibit/internal/pcapfilter"
)

// ErrUnsupported says that this program was built for a system whose packets
// it cannot capture.
var ErrUnsupported = errors.New("capturing packets is supported on Linux only")

// Options says what to capture. The zero value captures on all interfaces.
type Options struct {
	Interfaces  []int              // interface indexes; none: all, also those that appear later
	SnapLen     int                // bytes kept of a packet; 0: MaxSnapLen
	RingBytes   int                // size of the ring, rounded up to whole blocks; 0: DefaultRing
	Promiscuous bool               // also what is addressed to others, until Close; needs Interfaces
	Filter      pcapfilter.Program // packets to keep; none: all
}

// DefaultRing is the size of a ring in bytes. All of it counts as memory of
// this program.
const DefaultRing = 8 << 20

// MaxSnapLen is the longest packet that is kept whole.
const MaxSnapLen = 256 << 10

// Packet is one packet. Data belongs to the ring and is valid only while it
// is visited.
type Packet struct {
	Seconds     uint32 // since 1970-01-01, by the kernel when it took the packet
	Nanoseconds uint32
	Interface   int    // index
	Hardware    uint16 // ARPHRD_* of the interface (linux/if_arp.h)
	Direction   uint8  // PACKET_* of linux/if_packet.h: 0 to us, 4 from us
	Length      int    // bytes on the wire, as Data would be uncut
	Data        []byte // starts with the header of LinkOf(Hardware)
}

// Time returns when the kernel took the packet.
func (p *Packet) Time() time.Time { return time.Unix(int64(p.Seconds), int64(p.Nanoseconds)).UTC() }

// Stats counts what happened since the ring was opened.
type Stats struct {
	Received uint64 // passed the filter, the dropped ones included
	Dropped  uint64 // lost because the ring was full
	Frozen   uint64 // how often the ring was full
}

// Link is a link type of the pcap formats (tcpdump.org/linktypes.html).
type Link uint16

// The link types that packets are delivered with.
const (
	Ethernet Link = 1
	RawIP    Link = 101
	WiFi     Link = 105 // IEEE 802.11
	Cooked   Link = 113 // LINUX_SLL, made here for interfaces of other types
	Prism    Link = 119
	Radiotap Link = 127
)

// ARPHRD_* of linux/if_arp.h.
const (
	hardwareEther     = 1
	hardwareRawIP     = 519
	hardwareLoopback  = 772
	hardware80211     = 801
	hardwarePrism     = 802
	hardwareRadiotap  = 803
	hardwareNone      = 0xfffe // tun, WireGuard
	directionOutgoing = 4      // PACKET_OUTGOING
)

// LinkOf returns the link type with which packets of an interface of this
// hardware type are delivered.
func LinkOf(hardware uint16) Link {
	switch hardware {
	case hardwareEther, hardwareLoopback:
		return Ethernet
	case hardwareRawIP, hardwareNone:
		return RawIP
	case hardware80211:
		return WiFi
	case hardwarePrism:
		return Prism
	case hardwareRadiotap:
		return Radiotap
	}
	return Cooked
}

// frame is a packet as it lies in the ring.
type frame struct {
	mac, net  int    // offsets of link and network header from the frame's start
	captured  int    // bytes from mac
	length    int    // bytes on the wire from mac
	address   []byte // sockaddr_ll
	bytes     []byte // of the frame, to the end of the block
	tci, tpid uint16 // VLAN tag that the kernel took out of the header
	tagged    bool
}

// decode fills in p.Data and p.Length. buf is used for packets that do not
// lie in the ring as they were on the wire; the grown buf is returned. It
// reports false for a frame whose offsets lead out of the ring.
func (f *frame) decode(p *Packet, buf []byte) ([]byte, bool) {
	start, captured, length := f.mac, f.captured, f.length
	link := LinkOf(p.Hardware)
	if link == RawIP || link == Cooked {
		skip := f.net - f.mac
		if skip < 0 || skip > captured {
			skip = 0
		}
		start, captured, length = start+skip, captured-skip, length-skip
	}
	if start < 0 || captured < 0 || captured > len(f.bytes)-start || len(f.address) < 20 {
		return buf, false
	}
	data := f.bytes[start : start+captured]
	switch {
	case link == Cooked:
		buf = append(cookedHeader(buf[:0], f.address), data...)
		p.Data, p.Length = buf, length+16
	case f.tagged && link == Ethernet && captured >= 12:
		buf = append(buf[:0], data[:12]...)
		buf = binary.BigEndian.AppendUint16(buf, f.tpid)
		buf = binary.BigEndian.AppendUint16(buf, f.tci)
		buf = append(buf, data[12:]...)
		p.Data, p.Length = buf, length+4
	default:
		p.Data, p.Length = data, length
	}
	p.Length = max(p.Length, len(p.Data))
	return buf, true
}

// cookedHeader appends the 16 bytes of LINUX_SLL, all big-endian: direction,
// hardware type, address length, address in 8 bytes, protocol. sll is a
// sockaddr_ll: family 2, protocol 2 (big-endian), index 4, hardware type 2,
// direction 1, address length 1, address 8.
func cookedHeader(b, sll []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(sll[10]))
	b = binary.BigEndian.AppendUint16(b, binary.NativeEndian.Uint16(sll[8:]))
	b = binary.BigEndian.AppendUint16(b, uint16(sll[11]))
	b = append(b, sll[12:20]...)
	return append(b, sll[2], sll[3])
}
