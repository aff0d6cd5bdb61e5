package netlink

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
)

// Link is one network interface.
type Link struct {
	Index uint32
	Name  string
	MAC   string
	MTU   uint32
	Flags uint32 // IFF_*
	Kind  string // IFLA_INFO_KIND: veth, bridge, tun …; "" for hardware
	// Promiscuity counts who asked for all packets; unlike the flag
	// IFF_PROMISC it also counts packet sockets.
	Promiscuity uint32
	XDP         []XDP
}

// XDP is one eBPF program on the receive path of an interface.
type XDP struct {
	Mode string // driver, generic, hardware
	Prog uint32 // its id
}

// Rule is one rule that chooses a routing table (ip-rule(8)).
type Rule struct {
	Family   string
	Priority uint32
	Src, Dst netip.Prefix // invalid: any
	In, Out  string       // interfaces
	Table    uint32
	Action   string // lookup, goto, blackhole …
	Goto     uint32
	Mark     uint32
	Mask     uint32
	UIDs     string // "0-1000"; "" any
	Protocol byte   // who made it: RTPROT_*
	Invert   bool
}

// Address is one address of an interface.
type Address struct {
	Index  uint32
	Prefix netip.Prefix
}

// Route is one route of one table. Dst is invalid for the default route.
type Route struct {
	Family   string
	Table    uint32
	Dst      netip.Prefix
	Gateway  netip.Addr
	Source   netip.Addr
	Iface    uint32
	Priority uint32
	Protocol byte // RTPROT_*
	Type     byte // RTN_*
}

// Neighbour is one entry of the ARP or NDP table.
type Neighbour struct {
	IP    netip.Addr
	MAC   string
	Iface uint32
	State string // as ip-neighbour(8) spells it
}

// Sizes of the fixed parts (linux/rtnetlink.h, if_addr.h, neighbour.h).
const (
	ifInfoSize = 16
	ifAddrSize = 8
	rtMsgSize  = 12
	ndMsgSize  = 12

	ruleHdrSize = 12 // struct fib_rule_hdr, fib_rules.h
)

// parseLink reads struct ifinfomsg and its attributes.
func parseLink(b []byte) (Link, bool) {
	if len(b) < ifInfoSize {
		return Link{}, false
	}
	l := Link{Index: u32(b[4:]), Flags: u32(b[8:])}
	attrs(b[ifInfoSize:], func(kind uint16, value []byte) {
		switch kind {
		case 1: // IFLA_ADDRESS
			l.MAC = hardware(value)
		case 3: // IFLA_IFNAME
			l.Name = text(value)
		case 4: // IFLA_MTU
			l.MTU = u32(value)
		case 18: // IFLA_LINKINFO
			attrs(value, func(kind uint16, value []byte) {
				if kind == 1 { // IFLA_INFO_KIND
					l.Kind = text(value)
				}
			})
		case 30: // IFLA_PROMISCUITY
			l.Promiscuity = u32(value)
		case 43: // IFLA_XDP
			l.XDP = parseXDP(value)
		}
	})
	return l, true
}

// xdpModes are XDP_ATTACHED_* of linux/if_link.h.
var xdpModes = [...]string{"", "driver", "generic", "hardware"}

// parseXDP reads IFLA_XDP_*: the id of the program of each mode or, from
// kernels that knew but one, IFLA_XDP_PROG_ID and what IFLA_XDP_ATTACHED says.
func parseXDP(b []byte) []XDP {
	var list []XDP
	var one XDP
	attrs(b, func(kind uint16, value []byte) {
		if mode, ok := map[uint16]string{5: "driver", 6: "generic", 7: "hardware"}[kind]; ok && u32(value) != 0 {
			list = append(list, XDP{mode, u32(value)})
		}
		switch {
		case kind == 2 && len(value) > 0 && int(value[0]) < len(xdpModes):
			one.Mode = xdpModes[value[0]]
		case kind == 4:
			one.Prog = u32(value)
		}
	})
	if len(list) == 0 && one.Prog != 0 {
		list = append(list, one)
	}
	return list
}

func hardware(b []byte) string {
	for _, c := range b {
		if c != 0 {
			return net.HardwareAddr(b).String()
		}
	}
	return ""
}

// flagNames are the interface flags in order of their bits (netdevice(7)).
var flagNames = [...]string{
	"UP", "BROADCAST", "DEBUG", "LOOPBACK", "POINTOPOINT", "NOTRAILERS", "RUNNING", "NOARP", "PROMISC",
	"ALLMULTI", "MASTER", "SLAVE", "MULTICAST", "PORTSEL", "AUTOMEDIA", "DYNAMIC", "LOWER_UP", "DORMANT", "ECHO",
}

// FlagNames spells interface flags as ip-link(8) does.
func FlagNames(flags uint32) []string {
	names := []string{}
	for i, name := range flagNames {
		if flags&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// parseAddress reads struct ifaddrmsg: IFA_LOCAL where there is one, which
// differs from IFA_ADDRESS on point-to-point links, else IFA_ADDRESS.
func parseAddress(b []byte) (Address, bool) {
	if len(b) < ifAddrSize {
		return Address{}, false
	}
	var addr, local netip.Addr
	attrs(b[ifAddrSize:], func(kind uint16, value []byte) {
		switch kind {
		case 1:
			addr = address(value)
		case 2:
			local = address(value)
		}
	})
	if local.IsValid() {
		addr = local
	}
	return Address{Index: u32(b[4:]), Prefix: netip.PrefixFrom(addr, int(b[1]))}, addr.IsValid()
}

// parseRoute reads struct rtmsg and its attributes. Of a route over several
// next hops the first one's gateway and interface are told.
func parseRoute(b []byte) (Route, bool) {
	if len(b) < rtMsgSize {
		return Route{}, false
	}
	r := Route{Family: familyName(b[0]), Table: uint32(b[4]), Protocol: b[5], Type: b[7]}
	bits := int(b[1])
	attrs(b[rtMsgSize:], func(kind uint16, value []byte) {
		switch kind {
		case 1: // RTA_DST
			r.Dst = netip.PrefixFrom(address(value), bits)
		case 4: // RTA_OIF
			r.Iface = u32(value)
		case 5: // RTA_GATEWAY
			r.Gateway = address(value)
		case 6: // RTA_PRIORITY
			r.Priority = u32(value)
		case 7: // RTA_PREFSRC
			r.Source = address(value)
		case 9: // RTA_MULTIPATH: struct rtnexthop, 8 bytes, then attributes
			r.firstHop(value)
		case 15: // RTA_TABLE
			r.Table = u32(value)
		case 18: // RTA_VIA: family 2, then the address
			if len(value) > 2 && !r.Gateway.IsValid() {
				r.Gateway = address(value[2:])
			}
		}
	})
	return r, true
}

func (r *Route) firstHop(b []byte) {
	if len(b) < 8 {
		return
	}
	size := int(binary.NativeEndian.Uint16(b))
	if size < 8 || size > len(b) || r.Iface != 0 {
		return
	}
	r.Iface = u32(b[4:])
	attrs(b[8:size], func(kind uint16, value []byte) {
		if kind == 5 {
			r.Gateway = address(value)
		}
	})
}

// ruleActions are FR_ACT_* of linux/fib_rules.h.
var ruleActions = map[byte]string{1: "lookup", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}

// parseRule reads struct fib_rule_hdr and FRA_*.
func parseRule(b []byte) (Rule, bool) {
	if len(b) < ruleHdrSize {
		return Rule{}, false
	}
	r := Rule{Family: familyName(b[0]), Table: uint32(b[4]), Invert: u32(b[8:])&2 != 0} // FIB_RULE_INVERT
	var known bool
	if r.Action, known = ruleActions[b[7]]; !known {
		r.Action = strconv.Itoa(int(b[7]))
	}
	attrs(b[ruleHdrSize:], func(kind uint16, value []byte) {
		switch kind {
		case 1:
			r.Dst = netip.PrefixFrom(address(value), int(b[1]))
		case 2:
			r.Src = netip.PrefixFrom(address(value), int(b[2]))
		case 3:
			r.In = text(value)
		case 4:
			r.Goto = u32(value)
		case 6:
			r.Priority = u32(value)
		case 10:
			r.Mark = u32(value)
		case 15:
			r.Table = u32(value)
		case 16:
			r.Mask = u32(value)
		case 17:
			r.Out = text(value)
		case 20: // struct fib_rule_uid_range
			if len(value) >= 8 {
				r.UIDs = strconv.FormatUint(uint64(u32(value)), 10) + "-" + strconv.FormatUint(uint64(u32(value[4:])), 10)
			}
		case 21:
			if len(value) > 0 {
				r.Protocol = value[0]
			}
		}
	})
	return r, true
}

// neighbourStates are the bits NUD_* of linux/neighbour.h.
var neighbourStates = [...]string{"INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED", "NOARP", "PERMANENT"}

// parseNeighbour reads struct ndmsg, NDA_DST and NDA_LLADDR. Entries without
// an address (bridge forwarding) are left out.
func parseNeighbour(b []byte) (Neighbour, bool) {
	if len(b) < ndMsgSize {
		return Neighbour{}, false
	}
	n := Neighbour{Iface: u32(b[4:])}
	bits := binary.NativeEndian.Uint16(b[8:])
	for i, name := range neighbourStates {
		if bits&(1<<i) != 0 {
			n.State = name
		}
	}
	if n.State == "" {
		n.State = strconv.Itoa(int(bits))
	}
	attrs(b[ndMsgSize:], func(kind uint16, value []byte) {
		switch kind {
		case 1:
			n.IP = address(value)
		case 2:
			n.MAC = hardware(value)
		}
	})
	return n, n.IP.IsValid()
}
