package audit

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// Address families of Sockaddr, linux/socket.h.
const (
	FamilyUnix    = 1
	FamilyInet    = 2
	FamilyInet6   = 10
	FamilyNetlink = 16
	FamilyPacket  = 17
)

// Sockaddr is a decoded struct sockaddr.
type Sockaddr struct {
	Family uint16
	Addr   netip.Addr // inet and inet6; a mapped IPv4 address is unmapped
	Port   uint16
	Path   []byte // unix; "@..." for an abstract name
	ID     uint32 // netlink: port id; packet: interface index
}

// ParseSockaddr reads the hexadecimal value of a SOCKADDR record. scratch is
// used for the bytes, and Path points into it.
func ParseSockaddr(value, scratch []byte) (s Sockaddr, ok bool) {
	b := Decode(scratch[:0], value, false)
	if len(b)*2 != len(value) || len(b) < 2 {
		return s, false
	}
	// The family is in the host's byte order; families are small.
	if s.Family = binary.LittleEndian.Uint16(b); s.Family > 255 {
		s.Family = binary.BigEndian.Uint16(b)
	}
	switch s.Family {
	case FamilyUnix:
		s.Path = unixPath(b[2:])
	case FamilyInet:
		if len(b) < 8 {
			return s, false
		}
		s.Port = binary.BigEndian.Uint16(b[2:])
		s.Addr = netip.AddrFrom4([4]byte(b[4:8]))
	case FamilyInet6:
		if len(b) < 24 {
			return s, false
		}
		s.Port = binary.BigEndian.Uint16(b[2:])
		s.Addr = netip.AddrFrom16([16]byte(b[8:24])).Unmap()
	case FamilyNetlink, FamilyPacket:
		if len(b) < 8 {
			return s, false
		}
		s.ID = binary.LittleEndian.Uint32(b[4:])
	}
	return s, true
}

// unixPath ends a path at its NUL byte; a name that begins with one is
// abstract, unix(7).
func unixPath(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	if b[0] != 0 {
		if i := bytes.IndexByte(b, 0); i >= 0 {
			b = b[:i]
		}
		return b
	}
	b = bytes.TrimRight(b, "\x00")
	if len(b) == 0 {
		return nil
	}
	b[0] = '@'
	return b
}
