// Package dhcp reads DHCP messages: which machine has which address and name.
//
// Formats: RFC 2131, section 2 (message); RFC 2132 (options); RFC 4702 (FQDN).
package dhcp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// Message is what one message says; addresses that it does not give are not
// valid.
type Message struct {
	Type      byte // option 53; 0 is BOOTP
	ID        uint32
	MAC       []byte
	Client    netip.Addr // that the client has already
	Assigned  netip.Addr
	Requested netip.Addr
	Server    netip.Addr
	Hostname  []byte
	FQDN      []byte
	Domain    []byte
	Vendor    []byte
	Lease     uint32 // seconds, 0: not stated
}

// header is the length of what comes before the options.
const header = 240

var magic = []byte{0x63, 0x82, 0x53, 0x63}

// Looks reports whether a datagram is a message with options.
func Looks(b []byte) bool {
	return len(b) >= header && (b[0] == 1 || b[0] == 2) && b[2] <= 16 && bytes.Equal(b[236:240], magic)
}

// Parse reads a message that Looks has accepted. whole is false where the
// options do not reach their end mark.
func Parse(b []byte) (m *Message, whole bool) {
	m = &Message{
		ID: binary.BigEndian.Uint32(b[4:]), MAC: b[28 : 28+int(b[2])],
		Client: address(b[12:16]), Assigned: address(b[16:20]),
	}
	for o := b[header:]; len(o) > 0; {
		switch o[0] {
		case 0:
			o = o[1:]
			continue
		case 255:
			return m, true
		}
		if len(o) < 2 || len(o) < 2+int(o[1]) {
			return m, false
		}
		m.option(o[0], o[2:2+int(o[1])])
		o = o[2+int(o[1]):]
	}
	return m, false
}

func (m *Message) option(code byte, v []byte) {
	switch code {
	case 12:
		m.Hostname = bytes.TrimRight(v, "\x00")
	case 15:
		m.Domain = bytes.TrimRight(v, "\x00")
	case 50:
		m.Requested = address(v)
	case 51:
		if len(v) == 4 {
			m.Lease = binary.BigEndian.Uint32(v)
		}
	case 53:
		if len(v) == 1 {
			m.Type = v[0]
		}
	case 54:
		m.Server = address(v)
	case 60:
		m.Vendor = bytes.TrimRight(v, "\x00")
	case 81:
		if len(v) > 3 {
			m.FQDN = fqdn(v[0], v[3:])
		}
	}
}

// fqdn reads the name behind the flags: in DNS form where flag E is set.
func fqdn(flags byte, v []byte) []byte {
	if flags&4 == 0 {
		return bytes.TrimRight(v, "\x00")
	}
	var name []byte
	for len(v) > 0 && v[0] != 0 && len(v) > int(v[0]) {
		if len(name) > 0 {
			name = append(name, '.')
		}
		name = append(name, v[1:1+int(v[0])]...)
		v = v[1+int(v[0]):]
	}
	return name
}

func address(v []byte) netip.Addr {
	if len(v) != 4 || binary.BigEndian.Uint32(v) == 0 {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte(v))
}

// TypeName names a message type, RFC 2132 section 9.6.
func TypeName(t byte) string {
	if int(t) < len(types) {
		return types[t]
	}
	return "other"
}

var types = []string{"bootp", "discover", "offer", "request", "decline", "ack", "nak", "release", "inform"}
