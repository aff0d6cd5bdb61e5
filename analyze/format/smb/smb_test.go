package smb

import (
	"encoding/binary"
	"testing"
	"unicode/utf16"
)

var le = binary.LittleEndian

func wide(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = le.AppendUint16(b, u)
	}
	return b
}

// message is a header with a body, and the field of offset and length at the
// place given in the body.
func message(command uint16, answer bool, body, at int, field []byte) []byte {
	b := make([]byte, headerSize+body)
	copy(b, "\xfeSMB")
	le.PutUint16(b[12:], command)
	if answer {
		b[16] = 1
	}
	le.PutUint64(b[24:], 7)
	le.PutUint32(b[36:], 3)
	le.PutUint64(b[40:], 11)
	le.PutUint16(b[headerSize+at:], uint16(len(b)))
	le.PutUint16(b[headerSize+at+2:], uint16(len(field)))
	return append(b, field...)
}

// authenticate is the third message of NTLM.
func authenticate(domain, user, host string) []byte {
	b := make([]byte, 64)
	copy(b, signature)
	le.PutUint32(b[8:], 3)
	le.PutUint32(b[60:], 1)
	for i, v := range map[int]string{28: domain, 36: user, 44: host} {
		w := wide(v)
		le.PutUint16(b[i:], uint16(len(w)))
		le.PutUint32(b[i+4:], uint32(len(b)))
		b = append(b, w...)
	}
	return b
}

// challenge is the second.
func challenge() []byte {
	b := make([]byte, 48)
	copy(b, signature)
	le.PutUint32(b[8:], 2)
	b[20] = 1
	target := wide("EXAMPLE")
	le.PutUint16(b[12:], uint16(len(target)))
	le.PutUint32(b[16:], 48)
	pairs := append([]byte{1, 0, 6, 0}, wide("DC1")...)
	name := wide("dc1.example.net")
	pairs = append(append(pairs, 3, 0, byte(len(name)), 0), name...)
	pairs = append(pairs, 0, 0, 0, 0)
	le.PutUint16(b[40:], uint16(len(pairs)))
	le.PutUint32(b[44:], uint32(48+len(target)))
	return append(append(b, target...), pairs...)
}

func TestMessages(t *testing.T) {
	create := message(Create, false, 56, 44, wide(`dir\tool.exe`))
	le.PutUint32(create[headerSize+36:], 2)
	h, ok := ParseHeader(create)
	if !ok || h.Command != Create || h.Answer || h.MessageID != 7 || h.TreeID != 3 || h.SessionID != 11 {
		t.Fatalf("%+v", h)
	}
	if name, how, _ := FileName(create); name != `dir\tool.exe` || how != 2 {
		t.Errorf("%q, %d", name, how)
	}
	if got := Path(message(TreeConnect, false, 8, 4, wide(`\\dc1\C$`))); got != `\\dc1\C$` {
		t.Errorf("share %q", got)
	}
	setup := message(SessionSetup, false, 24, 12, append([]byte("\x60\x06spnego"), authenticate("EXAMPLE", "alice", "PC1")...))
	m, ok := ParseNTLM(SecurityBlob(setup, false))
	if !ok || m.Type != 3 || m.User != "alice" || m.Domain != "EXAMPLE" || m.Workstation != "PC1" {
		t.Errorf("%+v", m)
	}
	answer := message(SessionSetup, true, 8, 4, challenge())
	if m, ok := ParseNTLM(SecurityBlob(answer, true)); !ok || m.Type != 2 || m.Target != "EXAMPLE" || m.Computer != "DC1" || m.DNSComputer != "dc1.example.net" {
		t.Errorf("%+v", m)
	}
}

func TestFrame(t *testing.T) {
	for _, c := range []struct {
		b       []byte
		size    int
		message bool
		ok      bool
	}{
		{[]byte{0, 1, 2, 3}, 4 + 0x010203, true, true},
		{[]byte{0x85, 0, 0, 0}, 4, false, true},
		{[]byte{0x81, 0, 0, 68}, 72, false, true},
		{[]byte("GET "), 0, false, false},
		{[]byte{0, 0}, 0, false, true},
	} {
		if size, message, ok := Frame(c.b); size != c.size || message != c.message || ok != c.ok {
			t.Errorf("% x: %d %v %v", c.b, size, message, ok)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(message(Create, false, 56, 44, wide("a")))
	f.Add(message(SessionSetup, true, 8, 4, challenge()))
	f.Add(authenticate("d", "u", "w"))
	f.Fuzz(func(t *testing.T, b []byte) {
		Frame(b)
		Looks(b)
		if h, ok := ParseHeader(b); ok && h.Next != 0 && h.Next < headerSize {
			t.Fatalf("the next message is at %d, within the header", h.Next)
		}
		ParseNTLM(b)
		ParseNTLM(SecurityBlob(b, true))
		ParseNTLM(SecurityBlob(b, false))
		Path(b)
		FileName(b)
		Dialect(b)
		ShareType(b)
	})
}
