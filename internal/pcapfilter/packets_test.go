package pcapfilter

import (
	"encoding/binary"
	"math/rand/v2"
)

// What packets and expressions are made of: few values, so that they meet.
var (
	testHosts  = []string{"10.0.0.1", "10.0.0.2", "10.1.2.3", "192.168.7.9", "224.0.0.5", "255.255.255.255"}
	testHosts6 = []string{"2001:db8::1", "2001:db8:1::2", "fe80::1", "ff02::1"}
	testPorts  = []uint16{22, 53, 80, 443, 8080}
	testMACs   = []string{"02:00:00:00:00:01", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01"}
	testVLANs  = []uint16{3, 5, 100}
)

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// framesFor returns Ethernet frames of every kind that an expression can ask
// for, some of them cut short or wrong.
func framesFor(r *rand.Rand, count int) [][]byte {
	frames := [][]byte{{}, {1}}
	for len(frames) < count {
		mac, _ := parseMAC(pick(r, testMACs))
		from, _ := parseMAC(pick(r, testMACs))
		frame := append(mac[:], from[:]...)
		for n := r.IntN(8) - 5; n > 0; n-- {
			frame = binary.BigEndian.AppendUint16(frame, pick(r, []uint16{0x8100, 0x8100, 0x88a8, 0x9100}))
			frame = binary.BigEndian.AppendUint16(frame, pick(r, testVLANs)|uint16(r.IntN(8))<<13)
		}
		switch r.IntN(10) {
		case 0, 1, 2, 3:
			frame = append(binary.BigEndian.AppendUint16(frame, typeIP), ipv4(r)...)
		case 4, 5, 6:
			frame = append(binary.BigEndian.AppendUint16(frame, typeIP6), ipv6(r)...)
		case 7:
			frame = append(binary.BigEndian.AppendUint16(frame, pick(r, []uint16{typeARP, typeRARP})), arp(r)...)
		case 8:
			frame = append(binary.BigEndian.AppendUint16(frame, pick(r, []uint16{0x88b5, 0x88cc, 60})), noise(r, 60)...)
		default:
			frame = append(frame, noise(r, 80)...)
		}
		if r.IntN(4) == 0 {
			frame = frame[:r.IntN(len(frame)+1)]
		}
		frames = append(frames, frame)
	}
	return frames
}

func noise(r *rand.Rand, most int) []byte {
	b := make([]byte, r.IntN(most))
	for i := range b {
		b[i] = byte(r.IntN(256))
	}
	return b
}

func address4(r *rand.Rand) []byte {
	a, _, _ := parseIPv4(pick(r, testHosts))
	return a.AsSlice()
}

func ipv4(r *rand.Rand) []byte {
	options := r.IntN(3) * r.IntN(3) // words
	proto := pick(r, []byte{1, 2, 6, 6, 6, 17, 17, 47, 50, 51, 103, 112, 132})
	b := []byte{0x45 + byte(options), 0, 0, 60, 0, 1, 0, 0, 64, proto, 0, 0}
	switch r.IntN(6) {
	case 0:
		binary.BigEndian.PutUint16(b[6:], uint16(r.IntN(0x2000))) // a fragment
	case 1:
		b[6] = 0x20 // the first one
	}
	b = append(append(b, address4(r)...), address4(r)...)
	b = append(b, make([]byte, 4*options)...)
	return append(b, transport(r, proto)...)
}

func ipv6(r *rand.Rand) []byte {
	proto := pick(r, []byte{6, 6, 17, 58, 58, 132, 44, 50, 51, 103, 0})
	b := []byte{0x60, 0, 0, 0, 0, 40, proto, 64}
	for range 2 {
		var a [16]byte
		for i, w := range pick(r, address6s) {
			binary.BigEndian.PutUint32(a[4*i:], w)
		}
		b = append(b, a[:]...)
	}
	if proto == 44 {
		proto = pick(r, []byte{6, 17, 58})
		b = append(b, proto, 0, 0, 0, 0, 0, 0, 1)
	}
	return append(b, transport(r, proto)...)
}

// address6s are testHosts6 in words.
var address6s = [][4]uint32{
	{0x20010db8, 0, 0, 1}, {0x20010db8, 0x00010000, 0, 2}, {0xfe800000, 0, 0, 1}, {0xff020000, 0, 0, 1},
}

func transport(r *rand.Rand, proto byte) []byte {
	switch proto {
	case 1, 58:
		return append([]byte{pick(r, []byte{0, 3, 8, 11, 128, 129, 135}), byte(r.IntN(4))}, noise(r, 40)...)
	case 6, 17, 132:
		b := binary.BigEndian.AppendUint16(nil, pick(r, testPorts))
		b = binary.BigEndian.AppendUint16(b, pick(r, testPorts))
		if proto == 6 {
			b = append(b, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, byte(r.IntN(64)), 1, 0)
		}
		return append(b, noise(r, 40)...)
	}
	return noise(r, 40)
}

func arp(r *rand.Rand) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, byte(1 + r.IntN(2)), 2, 0, 0, 0, 0, 1}
	b = append(append(b, address4(r)...), 2, 0, 0, 0, 0, 2)
	return append(append(b, address4(r)...), make([]byte, 18)...)
}
