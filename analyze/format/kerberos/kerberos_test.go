package kerberos

import (
	"slices"
	"testing"
)

// tlv is one element.
func tlv(tag byte, parts ...[]byte) []byte {
	v := slices.Concat(parts...)
	if len(v) < 0x80 {
		return append([]byte{tag, byte(len(v))}, v...)
	}
	return append([]byte{tag, 0x82, byte(len(v) >> 8), byte(len(v))}, v...)
}

func number(n byte) []byte   { return tlv(2, []byte{n}) }
func str(s string) []byte    { return tlv(0x1b, []byte(s)) }
func seq(p ...[]byte) []byte { return tlv(0x30, p...) }

func principal(parts ...string) []byte {
	var names []byte
	for _, p := range parts {
		names = append(names, str(p)...)
	}
	return seq(tlv(0xa0, number(1)), tlv(0xa1, tlv(0x30, names)))
}

func asReq(preauth byte) []byte {
	return tlv(0x60|ASReq, seq(
		tlv(0xa1, number(5)), tlv(0xa2, number(ASReq)),
		tlv(0xa3, seq(seq(tlv(0xa1, number(preauth)), tlv(0xa2, tlv(4, make([]byte, 200)))))),
		tlv(0xa4, seq(
			tlv(0xa0, tlv(3, make([]byte, 5))), tlv(0xa1, principal("alice")), tlv(0xa2, str("EXAMPLE.NET")),
			tlv(0xa3, principal("krbtgt", "EXAMPLE.NET")), tlv(0xa7, number(9)), tlv(0xa8, seq(number(18), number(23))),
		)),
	))
}

func tgsRep() []byte {
	return tlv(0x60|TGSRep, seq(
		tlv(0xa0, number(5)), tlv(0xa1, number(TGSRep)), tlv(0xa3, str("EXAMPLE.NET")), tlv(0xa4, principal("alice")),
		tlv(0xa5, tlv(0x61, seq(tlv(0xa0, number(5)), tlv(0xa1, str("EXAMPLE.NET")), tlv(0xa2, principal("cifs", "dc1")), tlv(0xa3, seq(tlv(0xa0, number(23))))))),
		tlv(0xa6, seq(tlv(0xa0, number(18)))),
	))
}

func krbError() []byte {
	return tlv(0x60|Error, seq(
		tlv(0xa0, number(5)), tlv(0xa1, number(Error)), tlv(0xa6, number(24)), tlv(0xa9, str("EXAMPLE.NET")),
		tlv(0xaa, principal("krbtgt", "EXAMPLE.NET")), tlv(0xab, str("no")),
	))
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want Message
	}{
		{"AS-REQ", asReq(2), Message{Kind: ASReq, Realm: "EXAMPLE.NET", Client: "alice", Service: "krbtgt/EXAMPLE.NET", Encryptions: []int64{18, 23}, Encryption: -1, TicketEnc: -1, Code: -1, PreAuth: true}},
		{"AS-REQ without proof", asReq(100), Message{Kind: ASReq, Realm: "EXAMPLE.NET", Client: "alice", Service: "krbtgt/EXAMPLE.NET", Encryptions: []int64{18, 23}, Encryption: -1, TicketEnc: -1, Code: -1}},
		{"TGS-REP", tgsRep(), Message{Kind: TGSRep, Realm: "EXAMPLE.NET", Client: "alice", Service: "cifs/dc1", Encryption: 18, TicketEnc: 23, Code: -1}},
		{"KRB-ERROR", krbError(), Message{Kind: Error, Realm: "EXAMPLE.NET", Service: "krbtgt/EXAMPLE.NET", Encryption: -1, TicketEnc: -1, Code: 24, Text: "no"}},
	} {
		m, ok := Parse(c.b)
		if !Looks(c.b) || !ok || m.Client != c.want.Client || m.Service != c.want.Service || m.Realm != c.want.Realm || m.Code != c.want.Code ||
			m.Encryption != c.want.Encryption || m.TicketEnc != c.want.TicketEnc || !slices.Equal(m.Encryptions, c.want.Encryptions) ||
			m.PreAuth != c.want.PreAuth || m.Text != c.want.Text || m.Kind != c.want.Kind {
			t.Errorf("%s: %+v, want %+v", c.name, m, c.want)
		}
		for n := range c.b {
			if _, ok := Parse(c.b[:n]); ok {
				t.Fatalf("%s: %d of %d bytes pass", c.name, n, len(c.b))
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(asReq(2))
	f.Add(tgsRep())
	f.Add(krbError())
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, ok := Parse(b); ok && (len(m.Client) > len(b)+16 || len(m.Encryptions) > 32) {
			t.Fatalf("%+v of %d bytes", m, len(b))
		}
	})
}
