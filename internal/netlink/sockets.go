package netlink

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Socket is one socket as sock_diag tells it.
type Socket struct {
	Family   string // inet, inet6, unix, packet, netlink, vsock
	Proto    string // tcp, udp, raw …; stream, dgram, seqpacket; netlink protocol
	State    string // of TCP and UNIX sockets, as ss(8) spells it
	Src, Dst netip.AddrPort
	Iface    uint32 // index of the interface it is bound to; 0: none
	UID      uint32
	HasUID   bool
	Inode    uint32
	Peer     uint32 // UNIX: inode of the other end
	Path     []byte // UNIX: name; an abstract one begins with a zero byte
	Port     uint32 // netlink: port id, by default the owner's process id
	Filter   []byte // packet: the classic BPF program that is attached, struct sock_filter each

	SrcCID, DstCID, SrcPort, DstPort uint32 // vsock: context ids and ports
}

// Address families and protocols (linux/socket.h, linux/in.h).
const (
	afUnix    = 1
	afInet    = 2
	afInet6   = 10
	afNetlink = 16
	afPacket  = 17
	afVsock   = 40

	protoTCP     = 6
	protoUDP     = 17
	protoSCTP    = 132
	protoUDPLite = 136
	protoRaw     = 255
)

// states are the TCP states of the kernel (net/tcp_states.h), which UNIX
// sockets use as well, in the words of ss(8).
var states = [...]string{
	"", "ESTAB", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT",
	"UNCONN", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING", "NEW-SYN-RECV",
}

func stateName(n byte) string {
	if int(n) < len(states) {
		return states[n]
	}
	return strconv.Itoa(int(n))
}

func familyName(n byte) string {
	switch n {
	case afInet:
		return "inet"
	case afInet6:
		return "inet6"
	}
	return strconv.Itoa(int(n))
}

// Sizes of the fixed parts (linux/inet_diag.h, unix_diag.h, packet_diag.h,
// netlink_diag.h, vm_sockets_diag.h).
const (
	inetReqSize, inetMsgSize       = 56, 72
	unixReqSize, unixMsgSize       = 24, 16
	packetReqSize, packetMsgSize   = 20, 16
	netlinkReqSize, netlinkMsgSize = 20, 28
	vsockReqSize, vsockMsgSize     = 24, 32
)

// inetRequest is struct inet_diag_req_v2 for all states.
func inetRequest(family byte, proto int) []byte {
	b := make([]byte, inetReqSize)
	b[0], b[1] = family, byte(proto)
	binary.NativeEndian.PutUint32(b[4:], 0xffffffff)
	return b
}

// parseInet reads struct inet_diag_msg.
func parseInet(b []byte, proto string) (Socket, bool) {
	if len(b) < inetMsgSize {
		return Socket{}, false
	}
	size := 4
	if b[0] == afInet6 {
		size = 16
	}
	s := Socket{
		Family: familyName(b[0]), Proto: proto, State: stateName(b[1]),
		Src:   netip.AddrPortFrom(address(b[8:8+size]), binary.BigEndian.Uint16(b[4:])),
		Dst:   netip.AddrPortFrom(address(b[24:24+size]), binary.BigEndian.Uint16(b[6:])),
		Iface: u32(b[40:]), UID: u32(b[64:]), HasUID: true, Inode: u32(b[68:]),
	}
	return s, true
}

// unixRequest is struct unix_diag_req: all states; name, peer and owner.
func unixRequest() []byte {
	b := make([]byte, unixReqSize)
	b[0] = afUnix
	binary.NativeEndian.PutUint32(b[4:], 0xffffffff)
	binary.NativeEndian.PutUint32(b[12:], 0x1|0x4|0x40) // UDIAG_SHOW_NAME, _PEER, _UID
	return b
}

func socketType(n byte) string {
	switch n {
	case 1:
		return "stream"
	case 2:
		return "dgram"
	case 3:
		return "raw"
	case 5:
		return "seqpacket"
	}
	return strconv.Itoa(int(n))
}

// parseUnix reads struct unix_diag_msg and UNIX_DIAG_NAME, _PEER, _UID.
func parseUnix(b []byte) (Socket, bool) {
	if len(b) < unixMsgSize {
		return Socket{}, false
	}
	s := Socket{Family: "unix", Proto: socketType(b[1]), State: stateName(b[2]), Inode: u32(b[4:])}
	attrs(b[unixMsgSize:], func(kind uint16, value []byte) {
		switch kind {
		case 0:
			s.Path = trimName(value)
		case 2:
			s.Peer = u32(value)
		case 7:
			s.UID, s.HasUID = u32(value), true
		}
	})
	return s, true
}

// trimName ends a name of the file system at its zero byte; every byte of an
// abstract name, which begins with one, counts.
func trimName(b []byte) []byte {
	if len(b) > 0 && b[0] != 0 {
		return []byte(text(b))
	}
	return append([]byte(nil), b...)
}

// packetRequest is struct packet_diag_req with interface, owner and filter.
func packetRequest() []byte {
	b := make([]byte, packetReqSize)
	b[0] = afPacket
	binary.NativeEndian.PutUint32(b[8:], 0x1|0x20) // PACKET_SHOW_INFO, _FILTER
	return b
}

// parsePacket reads struct packet_diag_msg and PACKET_DIAG_INFO, _UID and
// _FILTER, which the kernel tells to who may administer the network.
func parsePacket(b []byte) (Socket, bool) {
	if len(b) < packetMsgSize {
		return Socket{}, false
	}
	s := Socket{Family: "packet", Proto: socketType(b[1]), Inode: u32(b[4:])}
	attrs(b[packetMsgSize:], func(kind uint16, value []byte) {
		switch kind {
		case 0:
			s.Iface = u32(value)
		case 5:
			s.UID, s.HasUID = u32(value), true
		case 7:
			s.Filter = slices.Clone(value)
		}
	})
	return s, true
}

// FilterText spells a classic BPF program as tcpdump -ddd and xt_bpf do: the
// number of instructions, then "code jt jf k" of each (struct sock_filter),
// separated by commas. "" for no program.
func FilterText(program []byte) string {
	if len(program) < 8 {
		return ""
	}
	var b strings.Builder
	b.WriteString(strconv.Itoa(len(program) / 8))
	for ; len(program) >= 8; program = program[8:] {
		fmt.Fprintf(&b, ",%d %d %d %d", binary.NativeEndian.Uint16(program), program[2], program[3], u32(program[4:]))
	}
	return b.String()
}

// netlinkRequest is struct netlink_diag_req for all protocols.
func netlinkRequest() []byte {
	b := make([]byte, netlinkReqSize)
	b[0], b[1] = afNetlink, 0xff
	return b
}

// netlinkNames are the protocols of linux/netlink.h.
var netlinkNames = map[byte]string{
	0: "route", 2: "usersock", 3: "firewall", 4: "sock_diag", 5: "nflog", 6: "xfrm", 7: "selinux",
	8: "iscsi", 9: "audit", 10: "fib_lookup", 11: "connector", 12: "netfilter", 13: "ip6_fw",
	15: "kobject_uevent", 16: "generic", 18: "scsitransport", 19: "ecryptfs", 20: "rdma", 21: "crypto", 22: "smc",
}

// parseNetlink reads struct netlink_diag_msg.
func parseNetlink(b []byte) (Socket, bool) {
	if len(b) < netlinkMsgSize {
		return Socket{}, false
	}
	name, known := netlinkNames[b[2]]
	if !known {
		name = strconv.Itoa(int(b[2]))
	}
	return Socket{Family: "netlink", Proto: name, Inode: u32(b[16:]), Port: u32(b[4:])}, true
}

// vsockRequest is struct vsock_diag_req for all states.
func vsockRequest() []byte {
	b := make([]byte, vsockReqSize)
	b[0] = afVsock
	binary.NativeEndian.PutUint32(b[4:], 0xffffffff)
	return b
}

// parseVsock reads struct vsock_diag_msg.
func parseVsock(b []byte) (Socket, bool) {
	if len(b) < vsockMsgSize {
		return Socket{}, false
	}
	return Socket{
		Family: "vsock", Proto: socketType(b[1]), State: stateName(b[2]), Inode: u32(b[20:]),
		SrcCID: u32(b[4:]), SrcPort: u32(b[8:]), DstCID: u32(b[12:]), DstPort: u32(b[16:]),
	}, true
}
