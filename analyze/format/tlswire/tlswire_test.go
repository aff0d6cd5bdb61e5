package tlswire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"
)

// The example of JA4's technical description, from which GREASE was taken out
// there.
func TestJA4OfTheSpecification(t *testing.T) {
	h := &ClientHello{
		Legacy: 0x0303, Named: true, ALPN: [][]byte{[]byte("h2"), []byte("http/1.1")},
		Ciphers: []uint16{
			0x1a1a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
		},
		Extensions: []uint16{
			0x4a4a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015, 0x2a2a,
		},
		Signatures: []uint16{0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601},
		Versions:   []uint16{0x3a3a, 0x0304, 0x0303},
	}
	if got := h.JA4('t'); got != "t13d1516h2_8daaf6152771_e5627efa2ab1" {
		t.Error(got)
	}
}

func TestJA4OfOddHellos(t *testing.T) {
	for want, h := range map[string]*ClientHello{
		"t00i000000_000000000000_000000000000": {},
		"t12i010000_6e1b50e1bb0f_000000000000": {Legacy: 0x0303, Ciphers: []uint16{0x0005}},
	} {
		if got := h.JA4('t'); got[:10] != want[:10] || got[24:] != want[24:] {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for want, name := range map[string]string{"00": "", "h1": "http/1.1", "aa": "a", "ad": "\xab\xcd", "3e": "0\x1e"} {
		if got := (&ClientHello{ALPN: [][]byte{[]byte(name)}}).ja4ALPN(); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

// recorder keeps what was written through it.
type recorder struct {
	net.Conn
	sent *bytes.Buffer
}

func (r recorder) Write(b []byte) (int, error) {
	r.sent.Write(b)
	return r.Conn.Write(b)
}

func selfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	model := &x509.Certificate{
		SerialNumber: big.NewInt(0xabcdef), Subject: pkix.Name{CommonName: "c2.example", Organization: []string{"Example, Inc."}},
		NotBefore: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), NotAfter: time.Date(2036, 1, 2, 3, 4, 5, 0, time.UTC),
		DNSNames: []string{"c2.example", "*.c2.example"}, IPAddresses: []net.IP{net.IPv4(203, 0, 113, 9).To4()},
	}
	der, err := x509.CreateCertificate(rand.Reader, model, model, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// handshake lets the standard library shake hands and returns the handshake
// messages that each side sent first.
func handshake(t testing.TB, cert tls.Certificate, version uint16) (client, server []byte) {
	t.Helper()
	a, b := net.Pipe()
	var fromClient, fromServer bytes.Buffer
	done := make(chan error, 1)
	go func() {
		conn := tls.Server(recorder{b, &fromServer}, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: version, NextProtos: []string{"http/1.1"}})
		done <- conn.Handshake()
	}()
	conn := tls.Client(recorder{a, &fromClient}, &tls.Config{InsecureSkipVerify: true, ServerName: "c2.example", NextProtos: []string{"h2", "http/1.1"}})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return opening(t, fromClient.Bytes()), opening(t, fromServer.Bytes())
}

// opening joins the content of the handshake records before encryption begins.
func opening(t testing.TB, b []byte) (messages []byte) {
	t.Helper()
	for len(b) >= 5 {
		kind, size, ok := Record(b)
		if !ok {
			t.Fatalf("no record: %x", b[:5])
		}
		if kind != RecordHandshake {
			break
		}
		messages = append(messages, b[5:5+size]...)
		b = b[5+size:]
	}
	return messages
}

func TestHandshakeOfTheStandardLibrary(t *testing.T) {
	cert := selfSigned(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, server := handshake(t, cert, version)
		kind, body, _ := Message(client)
		hello, ok := ParseClientHello(body)
		if kind != TypeClientHello || !ok || string(hello.ServerName) != "c2.example" || len(hello.ALPN) != 2 || hello.Version() != tls.VersionTLS13 || !slices.Contains(hello.Ciphers, tls.TLS_AES_128_GCM_SHA256) {
			t.Fatalf("client: %d %+v", kind, hello)
		}
		kind, body, size := Message(server)
		answer, ok := ParseServerHello(body)
		if kind != TypeServerHello || !ok || answer.Version != version || answer.Retry {
			t.Fatalf("server: %d %+v", kind, answer)
		}
		if version == tls.VersionTLS13 {
			continue
		}
		if string(answer.ALPN) != "http/1.1" || CipherName(answer.Cipher) != "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" {
			t.Errorf("%q, %s", answer.ALPN, CipherName(answer.Cipher))
		}
		kind, body, _ = Message(server[size:])
		der, whole := Certificates(body)
		if kind != TypeCertificate || !whole || len(der) != 1 || !bytes.Equal(der[0], cert.Certificate[0]) {
			t.Fatalf("certificate: %d, %d of them", kind, len(der))
		}
	}
}

func TestCertificate(t *testing.T) {
	der := selfSigned(t).Certificate[0]
	c := ParseCertificate(der)
	if c.Err != nil || c.Subject != `CN=c2.example,O=Example\, Inc.` || c.Issuer != c.Subject || !c.SelfSigned || c.Serial != "abcdef" ||
		!slices.Equal(c.Names, []string{"c2.example", "*.c2.example", "203.0.113.9"}) || !c.NotAfter.Equal(time.Date(2036, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("%+v", c)
	}
	// With a byte behind it the standard library refuses it; what it says can
	// still be read.
	d := ParseCertificate(append(slices.Clone(der), 0))
	if d.Err == nil || d.Subject != c.Subject || d.Serial != c.Serial || !d.NotBefore.Equal(c.NotBefore) || d.SHA256 == c.SHA256 {
		t.Errorf("%+v", d)
	}
	if e := ParseCertificate([]byte("no certificate")); e.Err == nil || e.Subject != "" || len(e.SHA256) != 64 {
		t.Errorf("%+v", e)
	}
}

func TestVersionPrefersTheFinalOne(t *testing.T) {
	for _, c := range []struct {
		offered []uint16
		want    string
	}{
		{nil, "TLS 1.2"},
		{[]uint16{0x1a1a, 0x0303, 0x0304}, "TLS 1.3"},
		{[]uint16{0x7f17, 0x0303}, "TLS 1.3 draft 23"},
		{[]uint16{0x7f1c, 0x0304}, "TLS 1.3"},
		{[]uint16{0x9a9a}, "TLS 1.2"},
	} {
		h := &ClientHello{Legacy: 0x0303, Versions: c.offered}
		if got := VersionName(h.Version()); got != c.want {
			t.Errorf("%x: %s, want %s", c.offered, got, c.want)
		}
	}
}

func FuzzMessages(f *testing.F) {
	cert := selfSigned(f)
	client, server := handshake(f, cert, tls.VersionTLS12)
	f.Add(client)
	f.Add(server)
	f.Add(cert.Certificate[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		Record(b)
		for rest := b; len(rest) > 0; {
			_, body, size := Message(rest)
			if size < 4 || body == nil {
				break
			}
			if len(body) != size-4 {
				t.Fatalf("%d bytes of a message of %d", len(body), size)
			}
			rest = rest[size:]
		}
		if h, ok := ParseClientHello(b); ok {
			if h.JA3(); len(h.JA4('t')) != 36 {
				t.Fatalf("JA4 %q", h.JA4('t'))
			}
		}
		if h, ok := ParseServerHello(b); ok {
			h.JA3S()
		}
		der, _ := Certificates(b)
		total := len(b)
		for _, c := range der {
			total -= len(c)
		}
		if total < 0 {
			t.Fatal("more certificates than bytes")
		}
		ParseCertificate(b)
	})
}
