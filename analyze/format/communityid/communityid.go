// Package communityid computes Community ID flow hashes, version 1: the name
// by which Zeek, Suricata, Wireshark and others refer to the same flow.
//
// Specification: https://github.com/corelight/community-id-spec. The hash is
//
//	"1:" base64(SHA-1(seed(2) address(4|16) address(4|16) protocol(1) 0(1) [port(2) port(2)]))
//
// in network byte order, the lesser end first. Only TCP, UDP, SCTP and ICMP
// have ports; those of ICMP are made of its types.
package communityid

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
)

// IP protocol numbers that have ports here.
const (
	icmp4, tcp, udp, icmp6, sctp = 1, 6, 17, 58, 132
)

// Flow names a flow by one of its packets. For ICMP the ports are those of
// the function ICMP; protocols without ports ignore them.
type Flow struct {
	Src, Dst         netip.Addr
	Proto            uint8
	SrcPort, DstPort uint16
	OneWay           bool // an ICMP message without an answer: the ends are not ordered
}

// Append appends the hash to b.
func (f *Flow) Append(b []byte, seed uint16) []byte {
	src, dst, sport, dport := f.Src, f.Dst, f.SrcPort, f.DstPort
	if c := src.Compare(dst); !f.OneWay && (c > 0 || c == 0 && sport > dport) {
		src, dst, sport, dport = dst, src, dport, sport
	}
	var buf [2 + 16 + 16 + 2 + 4]byte
	in := binary.BigEndian.AppendUint16(buf[:0], seed)
	in = appendAddr(appendAddr(in, src), dst)
	in = append(in, f.Proto, 0)
	switch f.Proto {
	case icmp4, tcp, udp, icmp6, sctp:
		in = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(in, sport), dport)
	}
	sum := sha1.Sum(in)
	return base64.StdEncoding.AppendEncode(append(b, "1:"...), sum[:])
}

func appendAddr(b []byte, a netip.Addr) []byte {
	if a.Is4() {
		v := a.As4()
		return append(b, v[:]...)
	}
	v := a.As16()
	return append(b, v[:]...)
}

// Types of ICMP messages that answer each other: RFC 792, 950, 1256 and 4443,
// 2710, 4861, 4620, 6275.
var (
	pairs4 = map[uint8]uint8{0: 8, 8: 0, 9: 10, 10: 9, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17}
	pairs6 = map[uint8]uint8{
		128: 129, 129: 128, 130: 131, 131: 130, 133: 134, 134: 133, 135: 136, 136: 135,
		139: 140, 140: 139, 144: 145, 145: 144,
	}
)

// ICMP returns what stands for the ports of a message: its type and the type
// that answers it, else its code, which makes the flow one way.
func ICMP(v6 bool, kind, code uint8) (src, dst uint16, oneWay bool) {
	pairs := pairs4
	if v6 {
		pairs = pairs6
	}
	if other, ok := pairs[kind]; ok {
		return uint16(kind), uint16(other), false
	}
	return uint16(kind), uint16(code), true
}
