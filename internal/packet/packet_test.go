package packet

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// sll is a sockaddr_ll of an outgoing IPv4 packet on interface 7.
func sll(hardware uint16) []byte {
	b := []byte{17, 0, 0x08, 0x00}
	b = binary.NativeEndian.AppendUint32(b, 7)
	b = binary.NativeEndian.AppendUint16(b, hardware)
	return append(b, directionOutgoing, 6, 1, 2, 3, 4, 5, 6, 0, 0)
}

func TestPacketIsDeliveredWithTheHeaderOfItsLinkType(t *testing.T) {
	raw := []byte("DDDDDDSSSSSS\x08\x00payload")
	for _, tc := range []struct {
		name     string
		hardware uint16
		tagged   bool
		net      int
		link     Link
		want     string
	}{
		{"ethernet", hardwareEther, false, 14, Ethernet, string(raw)},
		{"loopback", hardwareLoopback, false, 14, Ethernet, string(raw)},
		{"vlan tag put back", hardwareEther, true, 14, Ethernet, "DDDDDDSSSSSS\x81\x00\x01\x02\x08\x00payload"},
		{"tunnel without link header", hardwareNone, false, 14, RawIP, "payload"},
		{"cooked", 512, false, 14, Cooked, "\x00\x04\x02\x00\x00\x06\x01\x02\x03\x04\x05\x06\x00\x00\x08\x00payload"},
	} {
		p := Packet{Hardware: tc.hardware}
		f := frame{net: tc.net, captured: len(raw), length: len(raw) + 100, address: sll(tc.hardware), bytes: raw, tagged: tc.tagged, tci: 0x102, tpid: 0x8100}
		if LinkOf(tc.hardware) != tc.link {
			t.Errorf("%s: link type %d, want %d", tc.name, LinkOf(tc.hardware), tc.link)
		}
		if _, ok := f.decode(&p, nil); !ok || string(p.Data) != tc.want {
			t.Errorf("%s: %v %q, want %q", tc.name, ok, p.Data, tc.want)
		}
		if p.Length != len(p.Data)+100 {
			t.Errorf("%s: length %d, want %d", tc.name, p.Length, len(p.Data)+100)
		}
	}
}

func FuzzFrameNeverLeadsOutOfItsBlock(f *testing.F) {
	f.Add(uint16(1), 0, 14, 20, 20, true, []byte("DDDDDDSSSSSS\x08\x00payload"))
	f.Add(uint16(0xfffe), 66, 80, 20, 1500, false, []byte("short"))
	f.Fuzz(func(t *testing.T, hardware uint16, mac, net, captured, length int, tagged bool, text []byte) {
		fr := frame{mac: mac & 0xffff, net: net & 0xffff, captured: captured & 0xffffffff, length: length & 0xffffffff, tagged: tagged, address: sll(hardware), bytes: text, tpid: 0x8100}
		p := Packet{Hardware: hardware}
		if _, ok := fr.decode(&p, nil); ok {
			if len(p.Data) > len(text)+16 || p.Length < len(p.Data) {
				t.Fatalf("%d bytes of %d, length %d", len(p.Data), len(text), p.Length)
			}
			if LinkOf(hardware) == Ethernet && !tagged && !bytes.Contains(text, p.Data) {
				t.Fatal("data are not of the frame")
			}
		}
	})
}
