package sshwire

import (
	"encoding/binary"
	"testing"
)

// kexInit is a packet with the lists of names given, the rest empty.
func kexInit(lists ...string) []byte {
	payload := append([]byte{msgKexInit}, make([]byte, 16)...)
	for i := range 10 {
		name := ""
		if i < len(lists) {
			name = lists[i]
		}
		payload = append(binary.BigEndian.AppendUint32(payload, uint32(len(name))), name...)
	}
	payload = append(payload, make([]byte, 5)...)
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+4))
	return append(append(append(b, 4), payload...), 0, 0, 0, 0)
}

func TestKexInit(t *testing.T) {
	b := kexInit("kex", "key", "enc-there", "enc-back", "mac-there", "mac-back", "none", "zlib")
	payload, size, ok := Packet(append(b, "next"...))
	if !ok || size != len(b) {
		t.Fatalf("%d of %d bytes, %v", size, len(b), ok)
	}
	k, ok := ParseKexInit(payload)
	if !ok || string(k.HostKey) != "key" {
		t.Fatalf("%+v", k)
	}
	if hash, text := k.HASSH(); string(text) != "kex;enc-there;mac-there;none" || hash != "7b51f6c45645719e762ee97763219368" {
		t.Errorf("%s of %s", hash, text)
	}
	if _, text := k.HASSHServer(); string(text) != "kex;enc-back;mac-back;zlib" {
		t.Errorf("server: %s", text)
	}
	for n := range b {
		if payload, size, ok := Packet(b[:n]); !ok || size != 0 || payload != nil {
			t.Fatalf("%d bytes are a packet", n)
		}
	}
}

func TestPacketRefusesNonsense(t *testing.T) {
	for _, b := range [][]byte{{0, 0, 0, 1, 0, 0}, {0, 0, 0, 5, 4, 20}, {0xff, 0, 0, 0, 4, 20}, []byte("HTTP/1.1 200 OK")} {
		if _, _, ok := Packet(b); ok {
			t.Errorf("% x passes", b)
		}
	}
}

func FuzzPacket(f *testing.F) {
	f.Add(kexInit("a", "b", "c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		payload, size, ok := Packet(b)
		if size > len(b) || len(payload) > size || !ok && size > 0 {
			t.Fatalf("%d of %d bytes", size, len(b))
		}
		if k, ok := ParseKexInit(payload); ok {
			k.HASSH()
			k.HASSHServer()
		}
	})
}
