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
		}
	})
	return l, true
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
