// Package netlink asks the Linux kernel for its sockets (sock_diag(7)) and for
// interfaces, addresses, routes and neighbours (rtnetlink(7)). It only ever
// sends dump requests: it changes nothing. The decoders take bytes and build
// on every system; asking works on Linux.
package netlink

import (
	"encoding/binary"
	"net/netip"
)

// attrs splits netlink attributes: length 2, type 2, value, padding to 4
// (struct nlattr). It ends at the first that does not fit. The flag bits of
// the type are taken off.
func attrs(b []byte, yield func(kind uint16, value []byte)) {
	for len(b) >= 4 {
		size := int(binary.NativeEndian.Uint16(b))
		if size < 4 || size > len(b) {
			return
		}
		yield(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[4:size])
		b = b[min(align4(size), len(b)):]
	}
}

func align4(n int) int { return (n + 3) &^ 3 }

func u32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}

// text is a value up to its zero byte.
func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// address reads 4 or 16 bytes in network order.
func address(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

// appendAttr adds one attribute to a request, padded.
func appendAttr(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, align4(len(b))-len(b))...)
}
