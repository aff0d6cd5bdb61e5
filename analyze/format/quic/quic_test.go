package quic

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// RFC 9001, appendix A: the connection ID, and the server's Initial packet of
// A.3 with the frames it holds.
const (
	rfcDCID   = "8394c8f03e515708"
	rfcServer = "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee"
	rfcFrames = "02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b9a045a1200130100002e00330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00020304"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestServerInitialOfRFC9001(t *testing.T) {
	packet := unhex(t, rfcServer)
	if !IsInitial(packet) {
		t.Fatal("no Initial packet")
	}
	p, rest, initial, ok := Next(packet)
	if !ok || !initial || len(rest) != 0 || hex.EncodeToString(p.SCID) != "f067a5502a4262b5" {
		t.Fatalf("%+v, %d bytes left", p, len(rest))
	}
	client, server, err := DeriveKeys(p.Version, unhex(t, rfcDCID))
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(client.iv) != "fa044b2f42a3fd3b46fb255c" || hex.EncodeToString(server.iv) != "0ac1493ca1905853b0bba03e" {
		t.Errorf("iv %x and %x", client.iv, server.iv)
	}
	frames, ok := p.Open(server)
	if !ok || !bytes.Equal(frames, unhex(t, rfcFrames)) {
		t.Fatalf("%v: %x", ok, frames)
	}
	var s Stream
	Crypto(frames, s.Add)
	if got := s.Bytes(); len(got) != 0x5a || got[0] != 2 {
		t.Errorf("%d bytes: %x", len(got), got)
	}
	if _, ok := p.Open(client); ok {
		t.Error("the client's keys open what the server sent")
	}
}

func TestStreamTakesPiecesInAnyOrder(t *testing.T) {
	want := []byte("0123456789abcdefghij")
	for _, order := range [][][2]int{
		{{0, 20}}, {{10, 20}, {0, 10}}, {{15, 20}, {5, 10}, {0, 7}, {9, 16}}, {{2, 4}, {6, 8}, {12, 14}, {0, 20}}, {{0, 5}, {0, 5}, {5, 20}},
	} {
		var s Stream
		for i, o := range order {
			s.Add(uint64(o[0]), want[o[0]:o[1]])
			if i < len(order)-1 && o[0] > 0 && len(s.Bytes()) == len(want) {
				t.Errorf("%v is whole too early", order)
			}
		}
		if got := s.Bytes(); !bytes.Equal(got, want) {
			t.Errorf("%v: %q", order, got)
		}
	}
	var s Stream
	s.Add(5, want)
	s.Add(maxStream, want)
	s.Add(1<<60, want)
	if s.Bytes() != nil || len(s.data) > maxStream {
		t.Error("a stream without its beginning has bytes")
	}
}

func FuzzInitial(f *testing.F) {
	f.Add(unhex(f, rfcServer))
	f.Add(unhex(f, rfcFrames))
	client, server, err := DeriveKeys(Version1, unhex(f, rfcDCID))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Stream
		Crypto(b, s.Add)
		if len(s.Bytes()) > maxStream {
			t.Fatal("a stream over its limit")
		}
		for rest := b; ; {
			p, after, initial, ok := Next(rest)
			if !ok {
				break
			}
			if initial {
				p.Open(client)
				p.Open(server)
			}
			if len(after) >= len(rest) {
				t.Fatal("no step forward")
			}
			rest = after
		}
	})
}
