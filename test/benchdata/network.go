package main

import (
	"bufio"
	"encoding/binary"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// packets writes a capture of n Ethernet frames: TCP connections of 20
// packets, opened and closed in order, with data of 64 to 1,200 bytes.
func packets(out *bufio.Writer, n int) error {
	w := pcapgo.NewWriter(out)
	if err := w.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		return err
	}
	r := random(8)
	at := start
	frame := make([]byte, 54+1200)
	var next [2]uint32 // sequence numbers of client and server
	for i := range n {
		flow, step := uint32(i/20), i%20
		size := 0
		flags := byte(0x10) // ACK
		switch {
		case step == 0:
			flags, next = 0x02, [2]uint32{} // SYN
		case step == 1:
			flags = 0x12 // SYN, ACK
		case step > 2 && step < 18:
			size, flags = 64+r.IntN(1136), 0x18 // PSH, ACK
		case step >= 18:
			flags = 0x11 // FIN, ACK
		}
		at = at.Add(time.Duration(r.IntN(2000)) * time.Microsecond)
		b := frame[:54+size]
		side := step % 2
		tcpFrame(b, flow, side == 1, flags, next[side], next[1-side])
		next[side] += uint32(size)
		if flags&0x03 != 0 { // SYN and FIN count as one byte
			next[side]++
		}
		info := gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(b), Length: len(b)}
		if err := w.WritePacket(info, b); err != nil {
			return err
		}
	}
	return nil
}

// tcpFrame fills in the headers of one frame of a connection.
func tcpFrame(b []byte, flow uint32, back bool, flags byte, seq, ack uint32) {
	copy(b, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00")
	ip, tcp := b[14:34], b[34:54]
	clear(b[14:54])
	ip[0], ip[8], ip[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(ip[2:], uint16(len(b)-14))
	client := []byte{10, byte(flow >> 16), byte(flow >> 8), byte(flow)}
	server := []byte{192, 0, 2, byte(flow % 50)}
	clientPort, serverPort := uint16(20000+flow%40000), uint16(9000+flow%20)
	if back {
		copy(ip[12:], server)
		copy(ip[16:], client)
		clientPort, serverPort = serverPort, clientPort
	} else {
		copy(ip[12:], client)
		copy(ip[16:], server)
	}
	binary.BigEndian.PutUint16(tcp, clientPort)
	binary.BigEndian.PutUint16(tcp[2:], serverPort)
	binary.BigEndian.PutUint32(tcp[4:], seq)
	if flags&0x10 != 0 {
		binary.BigEndian.PutUint32(tcp[8:], ack)
	}
	tcp[12], tcp[13] = 5<<4, flags
	binary.BigEndian.PutUint16(tcp[14:], 64240)
}
