package pcapng

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
)

// Bounds of what is kept of names.
const (
	maxAddresses = 2048
	maxNames     = 4 // of one address
	maxAnswers   = 64
)

// Book keeps which names addresses had. The zero value is an empty one.
type Book struct {
	names map[netip.Addr][]string
	order []netip.Addr
	Full  bool // names were left out because there were too many
}

// Add notes a name of an address. It leaves out what is no name of a host: a
// file with such a record would be read differently by different programs.
func (b *Book) Add(address netip.Addr, name string) {
	name = strings.TrimSuffix(name, ".")
	if !address.IsValid() || !plainName(name) || slices.Contains(b.names[address], name) {
		return
	}
	known, there := b.names[address]
	if !there && len(b.names) >= maxAddresses || len(known) >= maxNames {
		b.Full = true
		return
	}
	if b.names == nil {
		b.names = map[netip.Addr][]string{}
	}
	if !there {
		b.order = append(b.order, address)
	}
	b.names[address] = append(known, name)
}

func plainName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return name != "" && len(name) <= 253
}

// Names returns what is in the book, in the order it came.
func (b *Book) Names() []Name {
	list := make([]Name, 0, len(b.order))
	for _, a := range b.order {
		list = append(list, Name{a, b.names[a]})
	}
	return list
}

// Packet notes the addresses of a DNS answer (RFC 1035) that a packet of a
// link type carries in UDP from port 53. Everything else is left alone.
func (b *Book) Packet(link uint16, data []byte) {
	if message := dnsAnswer(link, data); message != nil {
		b.answer(message)
	}
}

// dnsAnswer returns what a packet from UDP port 53 carries.
func dnsAnswer(link uint16, data []byte) []byte {
	const (
		ethernet, rawIP, cooked = 1, 101, 113
		udp, port               = 17, 53
	)
	be := binary.BigEndian
	switch link {
	case ethernet:
		at := 12
		for len(data) >= at+4 && (be.Uint16(data[at:]) == 0x8100 || be.Uint16(data[at:]) == 0x88a8) {
			at += 4
		}
		if len(data) < at+2 {
			return nil
		}
		data = data[at+2:]
	case cooked:
		if len(data) < 16 {
			return nil
		}
		data = data[16:]
	case rawIP:
	default:
		return nil
	}
	if len(data) < 40 {
		return nil
	}
	switch data[0] >> 4 {
	case 4:
		header := int(data[0]&0xf) * 4
		if data[9] != udp || be.Uint16(data[6:])&0x1fff != 0 || header < 20 || len(data) < header {
			return nil
		}
		data = data[header:]
	case 6:
		if data[6] != udp {
			return nil
		}
		data = data[40:]
	default:
		return nil
	}
	if len(data) < 8+12 || be.Uint16(data) != port {
		return nil
	}
	return data[8:]
}

// answer reads a DNS message: header of 12 bytes, questions, answers.
func (b *Book) answer(m []byte) {
	const (
		response, failure = 0x8000, 0x000f
		typeA, typeAAAA   = 1, 28
		internet          = 1
	)
	be := binary.BigEndian
	if flags := be.Uint16(m[2:]); flags&response == 0 || flags&failure != 0 || be.Uint16(m[4:]) != 1 {
		return
	}
	asked, at := dnsName(m, 12)
	if at < 0 {
		return
	}
	at += 4 // type and class of the question
	for range min(int(be.Uint16(m[6:])), maxAnswers) {
		var name string
		if name, at = dnsName(m, at); at < 0 || len(m) < at+10 {
			return
		}
		kind, class, size := be.Uint16(m[at:]), be.Uint16(m[at+2:]), int(be.Uint16(m[at+8:]))
		at += 10
		if len(m) < at+size {
			return
		}
		value := m[at : at+size]
		at += size
		if class != internet || !(kind == typeA && size == 4 || kind == typeAAAA && size == 16) {
			continue
		}
		address, _ := netip.AddrFromSlice(value)
		b.Add(address, name)
		b.Add(address, asked) // programs show the last one
	}
}

// dnsName reads a name at an offset and returns it and where what follows it
// begins, -1 where there is no name. Pointers lead backwards only. A name with a
// dot inside a label, which would read as another name, is returned empty.
func dnsName(m []byte, at int) (string, int) {
	var name strings.Builder
	end, limit, odd := -1, len(m), false
	if at < 0 {
		return "", -1
	}
	for {
		if at >= limit {
			return "", -1
		}
		n := int(m[at])
		switch {
		case n == 0:
			if end < 0 {
				end = at + 1
			}
			if odd {
				return "", end
			}
			return strings.TrimSuffix(name.String(), "."), end
		case n >= 0xc0:
			if at+1 >= len(m) {
				return "", -1
			}
			if end < 0 {
				end = at + 2
			}
			to := (n&0x3f)<<8 | int(m[at+1])
			if to >= at {
				return "", -1
			}
			at, limit = to, at
		case n > 63 || at+1+n > limit || name.Len()+n > 254:
			return "", -1
		default:
			odd = odd || bytes.IndexByte(m[at+1:at+1+n], '.') >= 0
			name.Write(m[at+1 : at+1+n])
			name.WriteByte('.')
			at += 1 + n
		}
	}
}

// HostsFile returns the names in the text of a hosts(5) file.
func HostsFile(text string) *Book {
	b := &Book{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		address, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		for _, name := range fields[1:] {
			b.Add(address.WithZone(""), name)
		}
	}
	return b
}
