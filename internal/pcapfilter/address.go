package pcapfilter

import (
	"math/bits"
	"net"
	"net/netip"
	"strings"
)

// etherHost reads an Ethernet address.
func (p *parser) etherHost(q qualifiers, w string) (*condition, error) {
	mac, ok := parseMAC(w)
	if !ok {
		return nil, p.fail("want an Ethernet address such as 02:00:5e:00:53:01")
	}
	p.at += len(w)
	return p.station(q.dir, mac), nil
}

// parseMAC reads six numbers of one or two hexadecimal digits between colons,
// dashes or dots, or three of four between dots.
func parseMAC(w string) (mac [6]byte, ok bool) {
	if len(w) == 14 && strings.Count(w, ".") == 2 {
		b, err := net.ParseMAC(w)
		return [6]byte(append(b, mac[:]...)), err == nil && len(b) == 6
	}
	parts := strings.FieldsFunc(w, func(r rune) bool { return r == ':' || r == '-' || r == '.' })
	if len(parts) != 6 {
		return mac, false
	}
	size := 5 // of the signs between
	for i, part := range parts {
		n, ok := number("0x" + part)
		if !ok || len(part) > 2 {
			return mac, false
		}
		mac[i] = byte(n)
		size += len(part)
	}
	return mac, size == len(w)
}

// hostOrNet reads an IPv4 or IPv6 address, or a network.
func (p *parser) hostOrNet(q qualifiers, w string) (*condition, error) {
	start := p.at
	if _, ok := parseMAC(w); ok {
		return nil, p.fail("an Ethernet address wants ether before it: ether host %s", w)
	}
	if strings.Contains(w, ":") {
		a, err := netip.ParseAddr(w)
		if err != nil {
			return nil, p.fail("no IPv6 address")
		}
		p.at += len(w)
		prefix, err := p.length(netip.PrefixFrom(a, 128), start, q)
		if err != nil {
			return nil, err
		}
		if q.proto != "" && q.proto != "ip6" {
			return nil, p.failAt(start, "%s has no IPv6 addresses", q.proto)
		}
		return p.address6(q, prefix), nil
	}
	a, parts, ok := parseIPv4(w)
	if !ok {
		if strings.Trim(w, "0123456789.") == "" {
			return nil, p.fail("no IPv4 address")
		}
		return nil, p.fail("names are not looked up: write the address of this %s", q.kind)
	}
	if q.kind == "host" && parts != 4 {
		return nil, p.fail("an address has four numbers; net takes the first ones")
	}
	p.at += len(w)
	width := 8 * parts
	prefix, err := p.length(netip.PrefixFrom(a, width), start, q)
	if err != nil {
		return nil, err
	}
	if q.proto == "ip6" {
		return nil, p.failAt(start, "ip6 has no IPv4 addresses")
	}
	return p.address(q, prefix), nil
}

// parseIPv4 reads one to four decimal numbers between dots.
func parseIPv4(w string) (netip.Addr, int, bool) {
	parts := strings.Split(w, ".")
	if len(parts) > 4 {
		return netip.Addr{}, 0, false
	}
	var a [4]byte
	for i, part := range parts {
		n, ok := number(part)
		if !ok || n > 255 || len(part) > 1 && part[0] == '0' {
			return netip.Addr{}, 0, false
		}
		a[i] = byte(n)
	}
	return netip.AddrFrom4(a), len(parts), true
}

// length reads what may follow the address of a network: /N or mask M.
func (p *parser) length(prefix netip.Prefix, start int, q qualifiers) (netip.Prefix, error) {
	size := prefix.Addr().BitLen()
	switch {
	case p.symbol("/") != "":
		n, err := p.wantNumber("a network's length", uint32(size))
		if err != nil {
			return prefix, err
		}
		prefix = netip.PrefixFrom(prefix.Addr(), int(n))
	case p.keyword("mask") != "":
		w := p.word()
		mask, _, ok := parseIPv4(w)
		if !ok || size != 32 {
			return prefix, p.fail("want an IPv4 network mask")
		}
		m := mask.As4()
		value := uint32(m[0])<<24 | uint32(m[1])<<16 | uint32(m[2])<<8 | uint32(m[3])
		ones := bits.LeadingZeros32(^value)
		if value != uint32(uint64(0xffffffff)<<(32-ones)) {
			return prefix, p.fail("a network mask has its ones in front")
		}
		p.at += len(w)
		prefix = netip.PrefixFrom(prefix.Addr(), ones)
	default:
		return prefix, nil
	}
	if q.kind == "host" {
		return prefix, p.failAt(start, "a host has no network mask: write net")
	}
	if prefix.Masked().Addr() != prefix.Addr() {
		return prefix, p.failAt(start, "the network is %v: nothing of it matches an address with more bits", prefix.Masked())
	}
	return prefix, nil
}
