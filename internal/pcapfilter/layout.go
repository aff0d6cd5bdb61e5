package pcapfilter

// link is how packets begin.
type link int

const (
	ethernetLink link = iota // an Ethernet header
	bareLink                 // the IP header
	otherLink                // something else; the kernel knows the network header
)

// layout says how a program finds its way in a packet.
type layout struct {
	link    link
	network uint32 // added to offsets from the network header
	tagOut  bool   // the kernel took the outermost VLAN tag out of the header
	shift   uint32 // bytes of VLAN tags before the network header
}

// EtherTypes.
const (
	typeIP, typeARP, typeRARP, typeIP6 = 0x0800, 0x0806, 0x8035, 0x86dd
	typeTag, typeTagService, typeTagQ  = 0x8100, 0x88a8, 0x9100
)

// sizes are the widths of loads by their bytes.
var sizes = map[uint32]uint16{1: octet, 2: half, 4: word}

// inNetwork loads size bytes at an offset of the network header.
func (p *parser) inNetwork(at, size uint32) []Instruction {
	return []Instruction{{Code: load | sizes[size] | absolute, K: p.layout.network + at}}
}

// inTransport loads size bytes at an offset of what follows the IPv4 header.
func (p *parser) inTransport(at, size uint32) []Instruction {
	return append(p.headerToX(), Instruction{Code: load | sizes[size] | indirect, K: p.layout.network + at})
}

// headerToX puts the length of the IPv4 header into X.
func (p *parser) headerToX() []Instruction {
	return []Instruction{{Code: loadX | octet | headerLength, K: p.layout.network}}
}

// masked adds an and to a load.
func masked(loads []Instruction, mask uint32) []Instruction {
	if mask == 1<<32-1 {
		return loads
	}
	return append(loads, Instruction{Code: alu | and, K: mask})
}

// linkProtocol is true where the network header is of an EtherType.
func (p *parser) linkProtocol(t uint32) *condition {
	switch p.layout.link {
	case ethernetLink:
		return isEqual([]Instruction{{Code: load | half | absolute, K: 12 + p.layout.shift}}, t)
	case otherLink:
		return isEqual(loadWord(ancillary), t)
	}
	switch t {
	case typeIP:
		return isEqual(masked(p.inNetwork(0, 1), 0xf0), 0x40)
	case typeIP6:
		return isEqual(masked(p.inNetwork(0, 1), 0xf0), 0x60)
	}
	return matchNone
}

// vlan is true where there is a VLAN tag, of this VLAN when id is given. What
// follows in the expression is about what is behind that tag, also on the
// other side of an or: so does tcpdump.
func (p *parser) vlan(id *uint32) *condition {
	p.vlans++
	switch {
	case p.layout.link == bareLink, p.layout.link == otherLink && p.vlans > 1:
		return matchNone
	case p.layout.link == otherLink || p.layout.tagOut && p.vlans == 1:
		c := not(isEqual(loadWord(adVLANPresent), 0))
		if id != nil {
			c = all(c, isEqual(masked(loadWord(adVLAN), 0xfff), *id))
		}
		return c
	}
	c := either(p.linkProtocol(typeTag), p.linkProtocol(typeTagService), p.linkProtocol(typeTagQ))
	if id != nil {
		c = all(c, isEqual(masked(p.inNetwork(0, 2), 0xfff), *id))
	}
	p.layout.network += 4
	p.layout.shift += 4
	return c
}
