// Package pcapfilter compiles the filter language of tcpdump
// (pcap-filter(7)) to classic BPF (linux/filter.h), without libpcap.
//
// The programs are for packet sockets of type SOCK_RAW (packet(7)), on
// interfaces of every type at once. A program asks for the type of the
// interface first (SKF_AD_HATYPE). On Ethernet and the loopback interface it
// tests what tcpdump would, at the same offsets; a VLAN tag that the kernel has
// taken out of the header counts as the outermost one. On interfaces without a
// link header it goes by the version of IP. On the others it finds the network
// header and its protocol through the kernel (SKF_NET_OFF, SKF_AD_PROTOCOL);
// there, the kernel lets it see only the part of a packet that lies together in
// memory, which always holds the headers but not always the payload.
// A test of an Ethernet address or tag is false where there is none.
//
// A comparison holds only for packets of all the protocols whose bytes it has.
// As in tcpdump, a packet too short for a test that is made does not match,
// whatever the rest of the expression says.
//
// The language is that of pcap-filter(7) but for tests that depend on a link
// other than Ethernet, on a network mask (ip broadcast) or on names that
// somebody has to resolve (host, network and gateway names): asking a name
// server changes what is observed. A port's name stands for its number with any
// transport; ^ and % want parentheses beside other operators. Parse reads what tcpdump -ddd prints, for
// everything else.
package pcapfilter

import (
	"fmt"
	"strings"
)

// MaxInstructions is how long the kernel lets a program be (BPF_MAXINSNS).
const MaxInstructions = 4096

// maxText bounds the text of a filter, in bytes.
const maxText = 16 << 10

// Instruction is one instruction of classic BPF, struct sock_filter of
// linux/filter.h.
type Instruction struct {
	Code   uint16
	Jt, Jf uint8
	K      uint32
}

// Program is a filter that a packet socket takes: it returns how many bytes of
// a packet to keep, 0 for none.
type Program []Instruction

// Classes, sizes, modes and operations (linux/bpf_common.h).
const (
	load, loadX, store, storeX = 0x00, 0x01, 0x02, 0x03
	alu, jump, ret, tax, txa   = 0x04, 0x05, 0x06, 0x07, 0x87

	word, half, octet                  = 0x00, 0x08, 0x10
	immediate, absolute, indirect, mem = 0x00, 0x20, 0x40, 0x60
	length, headerLength               = 0x80, 0xa0
	useX                               = 0x08

	add, sub, mul, div, or, and = 0x00, 0x10, 0x20, 0x30, 0x40, 0x50
	lsh, rsh, neg, mod, xor     = 0x60, 0x70, 0x80, 0x90, 0xa0

	always, equal, greater, atLeast, anyBit = 0x00, 0x10, 0x20, 0x30, 0x40
)

// Offsets that stand for data outside the packet (linux/filter.h).
const (
	ancillary      = 0xfffff000     // SKF_AD_OFF, and SKF_AD_PROTOCOL
	adPacketType   = ancillary + 4  // SKF_AD_PKTTYPE
	adInterface    = ancillary + 8  // SKF_AD_IFINDEX
	adHardware     = ancillary + 28 // SKF_AD_HATYPE
	adVLAN         = ancillary + 44 // SKF_AD_VLAN_TAG
	adVLANPresent  = ancillary + 48 // SKF_AD_VLAN_TAG_PRESENT
	ancillaryLast  = ancillary + 60 // SKF_AD_VLAN_TPID, the last one
	networkOffset  = 0xfff00000     // SKF_NET_OFF
	packetOutgoing = 4              // PACKET_OUTGOING of linux/if_packet.h
	whole          = 262144         // what a match returns, as tcpdump's programs
)

// ARPHRD_* of linux/if_arp.h, by how their packets begin.
var (
	ethernetTypes = []uint32{1, 772}      // ETHER, LOOPBACK
	bareTypes     = []uint32{519, 0xfffe} // RAWIP, NONE: the IP header
)

// Compile compiles an expression into a program that returns 262144 for the
// packets that match and 0 for the others. An empty expression matches all. The
// error says, in one line, what cannot be understood and where.
func Compile(expression string) (Program, error) {
	if len(expression) > maxText {
		return nil, fmt.Errorf("capture filter is longer than %d bytes: make it shorter", maxText)
	}
	c, err := onEveryLink(expression)
	if err != nil {
		return nil, fmt.Errorf("capture filter %q: %w", clip(expression), err)
	}
	program, err := assemble(c)
	if err != nil {
		return nil, fmt.Errorf("capture filter %q: %w", clip(expression), err)
	}
	return program, nil
}

// onEveryLink parses the expression once for each way packets begin.
func onEveryLink(expression string) (*condition, error) {
	if strings.TrimSpace(expression) == "" {
		return matchAll, nil
	}
	ethernet, tagged, err := parse(expression, layout{link: ethernetLink, network: 14})
	if err != nil {
		return nil, err
	}
	if tagged { // the outermost tag is in the frame, or the kernel took it out
		out, _, err := parse(expression, layout{link: ethernetLink, network: 14, tagOut: true})
		if err != nil {
			return nil, err
		}
		isOut := not(isEqual(loadWord(adVLANPresent), 0))
		ethernet = either(all(isOut, out), all(not(isOut), ethernet))
	}
	bare, _, err := parse(expression, layout{link: bareLink})
	if err != nil {
		return nil, err
	}
	other, _, err := parse(expression, layout{link: otherLink, network: networkOffset})
	if err != nil {
		return nil, err
	}
	isEthernet, isBare := hardware(ethernetTypes), hardware(bareTypes)
	return either(
		all(isEthernet, ethernet),
		all(isBare, bare),
		all(not(either(isEthernet, isBare)), other),
	), nil
}

// hardware is true on interfaces of one of the types.
func hardware(types []uint32) *condition {
	c := matchNone
	for _, t := range types {
		c = either(c, isEqual(loadWord(adHardware), t))
	}
	return c
}

// String returns the program as tcpdump -ddd prints it; Parse reads it.
func (p Program) String() string {
	var b strings.Builder
	fmt.Fprintln(&b, len(p))
	for _, i := range p {
		fmt.Fprintln(&b, i.Code, i.Jt, i.Jf, i.K)
	}
	return b.String()
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
