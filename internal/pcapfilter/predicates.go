package pcapfilter

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// protocol is true for packets of a protocol that stands alone.
func (p *parser) protocol(name string) *condition {
	if t, ok := etherTypes[name]; ok {
		return p.linkProtocol(t)
	}
	n := protocolNumbers[name]
	switch name {
	case "icmp", "igmp", "igrp", "vrrp", "carp":
		return p.inIP(n)
	case "icmp6":
		return p.inIP6(n)
	}
	return either(p.inIP6(n), p.inIP(n))
}

func (p *parser) inIP(n uint32) *condition {
	return all(p.linkProtocol(typeIP), isEqual(p.inNetwork(9, 1), n))
}

// inIP6 looks at the next header, and behind a fragment header.
func (p *parser) inIP6(n uint32) *condition {
	const fragment = 44
	return all(p.linkProtocol(typeIP6), either(
		isEqual(p.inNetwork(6, 1), n),
		all(isEqual(p.inNetwork(6, 1), fragment), isEqual(p.inNetwork(40, 1), n)),
	))
}

// firstFragment is true for whole IPv4 packets and first fragments.
func (p *parser) firstFragment() *condition {
	return not(test(p.inNetwork(6, 2), anyBit, 0x1fff))
}

// group is true for packets to all, or to a group.
func (p *parser) group(proto, kind string, start int) (*condition, error) {
	switch {
	case proto == "ether" && p.layout.link != ethernetLink:
		return matchNone, nil
	case proto == "ether" && kind == "broadcast":
		return p.station("dst", [6]byte{255, 255, 255, 255, 255, 255}), nil
	case proto == "ether":
		return test([]Instruction{{Code: load | octet | absolute}}, anyBit, 1), nil
	case proto == "ip" && kind == "multicast":
		return all(p.linkProtocol(typeIP), test(p.inNetwork(16, 1), atLeast, 224)), nil
	case proto == "ip6" && kind == "multicast":
		return all(p.linkProtocol(typeIP6), isEqual(p.inNetwork(24, 1), 255)), nil
	case proto == "ip":
		return nil, p.failAt(start, "the network mask is not known: name the address, as in dst host 192.0.2.255")
	}
	return nil, p.failAt(start, "IPv6 has no broadcast")
}

// either way joins a test of the source with one of the destination.
func directed(dir string, src, dst func() *condition) *condition {
	switch dir {
	case "src":
		return src()
	case "dst":
		return dst()
	case "and":
		return all(src(), dst())
	}
	return either(src(), dst())
}

// station is true for an Ethernet address.
func (p *parser) station(dir string, mac [6]byte) *condition {
	if p.layout.link != ethernetLink {
		return matchNone
	}
	at := func(offset uint32) func() *condition {
		return func() *condition {
			return all(
				isEqual([]Instruction{{Code: load | word | absolute, K: offset + 2}}, binary.BigEndian.Uint32(mac[2:])),
				isEqual([]Instruction{{Code: load | half | absolute, K: offset}}, uint32(binary.BigEndian.Uint16(mac[:]))),
			)
		}
	}
	return directed(dir, at(6), at(0))
}

// address is true for an IPv4 address or network in the headers of an EtherType.
func (p *parser) address(q qualifiers, prefix netip.Prefix) *condition {
	a := prefix.Addr().As4()
	value, mask := binary.BigEndian.Uint32(a[:]), ^uint32(0)<<(32-prefix.Bits())
	in := func(t, src, dst uint32) *condition {
		at := func(offset uint32) func() *condition {
			return func() *condition {
				return all(p.linkProtocol(t), isEqual(masked(p.inNetwork(offset, 4), mask), value))
			}
		}
		return directed(q.dir, at(src), at(dst))
	}
	switch q.proto {
	case "ip":
		return in(typeIP, 12, 16)
	case "arp":
		return in(typeARP, 14, 24)
	case "rarp":
		return in(typeRARP, 14, 24)
	}
	return either(in(typeRARP, 14, 24), in(typeIP, 12, 16), in(typeARP, 14, 24))
}

// address6 is true for an IPv6 address or network.
func (p *parser) address6(q qualifiers, prefix netip.Prefix) *condition {
	a := prefix.Addr().As16()
	at := func(offset uint32) func() *condition {
		return func() *condition {
			c := p.linkProtocol(typeIP6)
			for i := uint32(0); i < 4; i++ {
				bits := min(max(prefix.Bits()-int(32*i), 0), 32)
				mask := uint32(uint64(0xffffffff) << (32 - bits))
				c = all(c, isEqual(masked(p.inNetwork(offset+4*i, 4), mask), binary.BigEndian.Uint32(a[4*i:])))
			}
			return c
		}
	}
	return directed(q.dir, at(8), at(24))
}

// ports is true for a transport port from low to high.
func (p *parser) ports(q qualifiers, low, high uint32) *condition {
	within := func(loads []Instruction) *condition {
		if low == high {
			return isEqual(loads, low)
		}
		return all(test(loads, atLeast, low), not(test(loads, greater, high)))
	}
	behind := func(load func(at, size uint32) []Instruction, base uint32) *condition {
		return directed(q.dir,
			func() *condition { return within(load(base, 2)) },
			func() *condition { return within(load(base+2, 2)) })
	}
	transports := []string{"sctp", "tcp", "udp"}
	if q.proto != "" {
		transports = []string{q.proto}
	}
	in4, in6 := matchNone, matchNone
	for _, t := range transports {
		n := protocolNumbers[t]
		in4 = either(in4, all(isEqual(p.inNetwork(9, 1), n), p.firstFragment(), behind(p.inTransport, 0)))
		in6 = either(in6, all(isEqual(p.inNetwork(6, 1), n), behind(p.inNetwork, 40)))
	}
	return either(all(p.linkProtocol(typeIP6), in6), all(p.linkProtocol(typeIP), in4))
}

// value reads one value of its qualifiers' kind.
func (p *parser) value(q qualifiers) (*condition, error) {
	w := p.word()
	plain := strings.TrimPrefix(w, `\`)
	if w == "" {
		return nil, p.fail("want a value of %s", q.kind)
	}
	if keywords[w] && (q.kind != "proto" || protocolNumbers[w] == 0 && etherTypes[w] == 0) {
		return nil, p.fail("want a value of %s, not a keyword", q.kind)
	}
	switch q.kind {
	case "host", "net":
		if q.proto == "ether" {
			return p.etherHost(q, w)
		}
		return p.hostOrNet(q, w)
	case "port":
		n, err := p.port(plain)
		if err != nil {
			return nil, err
		}
		p.at += len(w)
		return p.ports(q, n, n), nil
	case "portrange":
		return p.portRange(q, w)
	}
	return p.protocolValue(q, w, plain)
}

func (p *parser) port(w string) (uint32, error) {
	n, ok := number(w)
	if !ok {
		n, ok = portNames[w]
	}
	if !ok {
		return 0, p.fail("no port of this name: write its number")
	}
	if n > 65535 {
		return 0, p.fail("a port is at most 65535")
	}
	return n, nil
}

func (p *parser) portRange(q qualifiers, w string) (*condition, error) {
	first, last, ok := strings.Cut(w, "-")
	if !ok {
		last = first
	}
	low, err := p.port(first)
	if err != nil {
		return nil, err
	}
	high, err := p.port(last)
	if err != nil {
		return nil, err
	}
	p.at += len(w)
	return p.ports(q, min(low, high), max(low, high)), nil
}

func (p *parser) protocolValue(q qualifiers, w, plain string) (*condition, error) {
	table, most := protocolNumbers, uint32(255)
	if q.proto == "ether" {
		table, most = etherTypes, 65535
	}
	n, ok := number(w)
	if !ok {
		n, ok = table[plain]
	}
	switch {
	case !ok:
		return nil, p.fail("no protocol of this name: write its number")
	case n > most:
		return nil, p.fail("a protocol is at most %d", most)
	case q.proto == "ether" && n <= 1500:
		return nil, p.fail("%d is the length of a frame of IEEE 802.2, which is not understood", n)
	}
	p.at += len(w)
	switch q.proto {
	case "ether":
		return p.linkProtocol(n), nil
	case "ip":
		return p.inIP(n), nil
	case "ip6":
		return p.inIP6(n), nil
	}
	return either(p.inIP(n), p.inIP6(n)), nil
}
