package netlink

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// Flow is one connection as netfilter tracks it: what was sent, what is
// expected back, which differs from it by address translation.
type Flow struct {
	Family      string
	Proto       string
	State       string // of TCP, as conntrack(8) spells it
	Orig, Reply Tuple
	Status      []string // bits of enum ip_conntrack_status
	Timeout     uint32   // seconds until it is forgotten
	Mark        uint32
	Zone        uint16
	Helper      string
	ID          uint32
	Start       uint64 // ns since 1970, with net.netfilter.nf_conntrack_timestamp
	Master      bool   // expected by another connection
}

// Tuple is one direction of a Flow.
type Tuple struct {
	Src, Dst       netip.Addr
	Num            byte
	SPort, DPort   uint16
	ID             uint16 // of ICMP
	Type, Code     byte   // of ICMP
	Packets, Bytes uint64 // with net.netfilter.nf_conntrack_acct
}

const (
	nfGenSize = 4 // struct nfgenmsg, nfnetlink.h

	subsysConntrack = 1
	subsysNFTables  = 10
	conntrackGet    = subsysConntrack<<8 | 1 // IPCTNL_MSG_CT_GET: the one that resets no counter
	conntrackNew    = subsysConntrack << 8
)

// nfRequest is struct nfgenmsg.
func nfRequest(family byte) []byte { return []byte{family, 0, 0, 0} }

func be16(b []byte) uint16 {
	if len(b) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

func be32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func be64(b []byte) uint64 {
	if len(b) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func first(b []byte) byte {
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

// nthName returns names[n], or the number of what came after this was written.
func nthName(names []string, n int) string {
	if n >= 0 && n < len(names) && names[n] != "" {
		return names[n]
	}
	return strconv.Itoa(n)
}

// tcpStates are enum tcp_conntrack.
var tcpStates = []string{
	"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2",
}

// flowStatus are the bits of enum ip_conntrack_status.
var flowStatus = []string{
	"EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT", "DST_NAT", "SEQ_ADJUST", "SRC_NAT_DONE", "DST_NAT_DONE",
	"DYING", "FIXED_TIMEOUT", "TEMPLATE", "UNTRACKED", "HELPER", "OFFLOAD", "HW_OFFLOAD",
}

// protoName spells the number of a protocol over IP.
func protoName(n byte) string {
	switch n {
	case 1:
		return "icmp"
	case protoTCP:
		return "tcp"
	case protoUDP:
		return "udp"
	case 33:
		return "dccp"
	case 47:
		return "gre"
	case 58:
		return "icmpv6"
	case protoSCTP:
		return "sctp"
	case protoUDPLite:
		return "udplite"
	}
	return strconv.Itoa(int(n))
}

// parseFlow reads struct nfgenmsg and CTA_* (nfnetlink_conntrack.h), whose
// numbers are in network order.
func parseFlow(b []byte) (Flow, bool) {
	if len(b) < nfGenSize {
		return Flow{}, false
	}
	f := Flow{Family: familyName(b[0])}
	attrs(b[nfGenSize:], func(kind uint16, value []byte) {
		switch kind {
		case 1:
			f.Orig.read(value)
		case 2:
			f.Reply.read(value)
		case 3:
			status := be32(value)
			for i := range 32 {
				if status&(1<<i) != 0 {
					f.Status = append(f.Status, nthName(flowStatus, i))
				}
			}
		case 4: // CTA_PROTOINFO
			attrs(value, func(kind uint16, value []byte) {
				if kind == 1 { // CTA_PROTOINFO_TCP
					attrs(value, func(kind uint16, value []byte) {
						if kind == 1 && len(value) > 0 {
							f.State = nthName(tcpStates, int(value[0]))
						}
					})
				}
			})
		case 5: // CTA_HELP
			attrs(value, func(kind uint16, value []byte) {
				if kind == 1 {
					f.Helper = text(value)
				}
			})
		case 7:
			f.Timeout = be32(value)
		case 8:
			f.Mark = be32(value)
		case 9:
			f.Orig.count(value)
		case 10:
			f.Reply.count(value)
		case 12:
			f.ID = be32(value)
		case 14:
			f.Master = true
		case 18:
			f.Zone = be16(value)
		case 20: // CTA_TIMESTAMP
			attrs(value, func(kind uint16, value []byte) {
				if kind == 1 {
					f.Start = be64(value)
				}
			})
		}
	})
	f.Proto = protoName(f.Orig.Num)
	return f, f.Orig.Src.IsValid()
}

// read reads CTA_TUPLE_*.
func (t *Tuple) read(b []byte) {
	attrs(b, func(kind uint16, value []byte) {
		switch kind {
		case 1: // CTA_TUPLE_IP
			attrs(value, func(kind uint16, value []byte) {
				switch kind {
				case 1, 3:
					t.Src = address(value)
				case 2, 4:
					t.Dst = address(value)
				}
			})
		case 2: // CTA_TUPLE_PROTO
			attrs(value, func(kind uint16, value []byte) {
				switch kind {
				case 1:
					t.Num = first(value)
				case 2:
					t.SPort = be16(value)
				case 3:
					t.DPort = be16(value)
				case 4, 7:
					t.ID = be16(value)
				case 5, 8:
					t.Type = first(value)
				case 6, 9:
					t.Code = first(value)
				}
			})
		}
	})
}

// count reads CTA_COUNTERS_*.
func (t *Tuple) count(b []byte) {
	attrs(b, func(kind uint16, value []byte) {
		switch kind {
		case 1:
			t.Packets = be64(value)
		case 2:
			t.Bytes = be64(value)
		}
	})
}
