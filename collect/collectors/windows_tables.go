package collectors

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// tcpStates are MIB_TCP_STATE of tcpmib.h, from 1.
var tcpStates = []string{
	"", "closed", "listen", "syn-sent", "syn-received", "established", "fin-wait-1", "fin-wait-2",
	"close-wait", "closing", "last-ack", "time-wait", "delete-tcb",
}

var errTable = errors.New("the table breaks its format")

// ownerTable reads a table of GetExtendedTcpTable or GetExtendedUdpTable of the
// class OWNER_PID (tcpmib.h, udpmib.h): number of rows 4 bytes, then rows.
//
//	tcp  inet   24: state, local address, local port, remote address, remote port, pid
//	tcp  inet6  56: local address 16, scope, port, remote address 16, scope, port, state, pid
//	udp  inet   12: local address, local port, pid
//	udp  inet6  28: local address 16, scope, port, pid
//
// Fields are 4 bytes, little endian, but addresses and the first 2 bytes of
// ports, which are in network order.
func ownerTable(table []byte, proto, family string) ([]record.WindowsSocket, error) {
	size := map[string]int{"tcpinet": 24, "tcpinet6": 56, "udpinet": 12, "udpinet6": 28}[proto+family]
	if len(table) < 4 || size == 0 {
		return nil, errTable
	}
	rows := uint64(binary.LittleEndian.Uint32(table))
	table = table[4:]
	if rows > uint64(len(table)/size) {
		return nil, errTable
	}
	list := make([]record.WindowsSocket, 0, rows)
	for i := range int(rows) {
		r := table[i*size : (i+1)*size]
		s := record.WindowsSocket{Proto: proto, Family: family, PID: binary.LittleEndian.Uint32(r[size-4:])}
		state := uint32(0)
		switch proto + family {
		case "tcpinet":
			state = binary.LittleEndian.Uint32(r)
			s.Local, s.LocalPort = address(r[4:8], 0), binary.BigEndian.Uint16(r[8:])
			s.Remote, s.RemotePort = address(r[12:16], 0), binary.BigEndian.Uint16(r[16:])
		case "tcpinet6":
			s.Local, s.LocalPort = address(r[:16], binary.BigEndian.Uint32(r[16:])), binary.BigEndian.Uint16(r[20:])
			s.Remote, s.RemotePort = address(r[24:40], binary.BigEndian.Uint32(r[40:])), binary.BigEndian.Uint16(r[44:])
			state = binary.LittleEndian.Uint32(r[48:])
		case "udpinet":
			s.Local, s.LocalPort = address(r[:4], 0), binary.BigEndian.Uint16(r[4:])
		case "udpinet6":
			s.Local, s.LocalPort = address(r[:16], binary.BigEndian.Uint32(r[16:])), binary.BigEndian.Uint16(r[20:])
		}
		if proto == "tcp" {
			s.State = "unknown"
			if state > 0 && int(state) < len(tcpStates) {
				s.State = tcpStates[state]
			}
			if s.State == "listen" { // the rest of the row has no meaning
				s.Remote, s.RemotePort = "", 0
			}
		}
		list = append(list, s)
	}
	return list, nil
}

func address(b []byte, scope uint32) string {
	a, _ := netip.AddrFromSlice(b) // 4 or 16 bytes
	if scope != 0 {
		return a.String() + "%" + strconv.FormatUint(uint64(scope), 10)
	}
	return a.String()
}
