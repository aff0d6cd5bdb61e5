package parsers

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"math/big"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// side is one end of a TCP connection of a sample.
type side struct {
	addr string
	port uint16
	seq  uint32
}

// connect shakes hands.
func (k *talk) connect(a, b *side) {
	a.seq, b.seq = 1000, 2000
	k.tcp(a.addr, a.port, b.addr, b.port, a.seq, "S", "")
	k.tcp(b.addr, b.port, a.addr, a.port, b.seq, "SA", "")
	a.seq, b.seq = a.seq+1, b.seq+1
}

// say sends segments of at most size bytes.
func (k *talk) say(from, to *side, size int, text string) {
	for len(text) > 0 {
		n := min(size, len(text))
		k.tcp(from.addr, from.port, to.addr, to.port, from.seq, "A", text[:n])
		from.seq, text = from.seq+uint32(n), text[n:]
	}
}

func (k *talk) bye(a, b *side) {
	k.tcp(a.addr, a.port, b.addr, b.port, a.seq, "FA", "")
	k.tcp(b.addr, b.port, a.addr, a.port, b.seq, "FA", "")
}

func (k *talk) udp(src string, sport uint16, dst string, dport uint16, payload []byte) {
	e, ip := ether(src, dst)
	ip.Protocol = layers.IPProtocolUDP
	udp := &layers.UDP{SrcPort: layers.UDPPort(sport), DstPort: layers.UDPPort(dport)}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		k.t.Fatal(err)
	}
	k.send(e, ip, udp, gopacket.Payload(payload))
}

func tlsRecord(kind byte, content []byte) string {
	return string(append(binary.BigEndian.AppendUint16([]byte{kind, 3, 3}, uint16(len(content))), content...))
}

func tlsMessage(kind byte, body []byte) []byte {
	return append([]byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

func serverHello(cipher uint16, extensions []byte) []byte {
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(binary.BigEndian.AppendUint16(append(body, 0), cipher), 0)
	return tlsMessage(2, append(binary.BigEndian.AppendUint16(body, uint16(len(extensions))), extensions...))
}

// sampleCertificate is the same every time.
func sampleCertificate(t testing.TB) []byte {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	model := &x509.Certificate{
		SerialNumber: big.NewInt(0x5eed), Subject: pkix.Name{CommonName: "update.example.net", Organization: []string{"Example\x1b[31m"}},
		NotBefore: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2027, 11, 1, 0, 0, 0, 0, time.UTC),
		DNSNames: []string{"Update.example.net", "*.example.net"},
	}
	der, err := x509.CreateCertificate(nil, model, model, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// sealInitial protects a client's first packet: RFC 9001, section 5.
func sealInitial(t testing.TB, dcid, frames []byte) []byte {
	t.Helper()
	expand := func(secret []byte, label string, size int) []byte {
		info := binary.BigEndian.AppendUint16(nil, uint16(size))
		info = append(append(info, byte(6+len(label))), "tls13 "+label...)
		out, err := hkdf.Expand(sha256.New, secret, string(append(info, 0)), size)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	salt := []byte{0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a}
	initial, err := hkdf.Extract(sha256.New, dcid, salt)
	if err != nil {
		t.Fatal(err)
	}
	secret := expand(initial, "client in", 32)
	block, err1 := aes.NewCipher(expand(secret, "quic key", 16))
	hp, err2 := aes.NewCipher(expand(secret, "quic hp", 16))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	header := append([]byte{0xc0, 0, 0, 0, 1, byte(len(dcid))}, dcid...)
	header = append(header, 0, 0) // no source connection ID, no token
	header = binary.BigEndian.AppendUint16(header, uint16(0x4000|(1+len(frames)+aead.Overhead())))
	header = append(header, 0) // packet number
	packet := aead.Seal(header, expand(secret, "quic iv", 12), frames, header)
	at := len(header)
	var mask [16]byte
	hp.Encrypt(mask[:], packet[at+3:at+19])
	packet[0] ^= mask[0] & 0x0f
	packet[at-1] ^= mask[1]
	return packet
}

// cryptoFrame is a CRYPTO frame of RFC 9000, section 19.6.
func cryptoFrame(offset int, data []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{6}, uint16(0x4000|offset))
	return append(binary.BigEndian.AppendUint16(b, uint16(0x4000|len(data))), data...)
}

// sampleApplications is traffic of the protocols that are read, whole and as
// the network may have it: in pieces, out of order, sent again, with holes.
func sampleApplications(t testing.TB) *talk {
	k := &talk{t: t, at: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)}
	k.tlsSamples(t)
	k.httpSamples()
	k.smbSamples()
	k.sshSamples()
	k.rdpSamples()
	k.kerberosSamples()
	k.dhcpSamples()
	k.lineSamples()
	return k
}

func (k *talk) tlsSamples(t testing.TB) {
	// TLS 1.2, client and certificate in several segments.
	a, b := &side{addr: "10.66.0.1", port: 50000}, &side{addr: "203.0.113.45", port: 443}
	k.connect(a, b)
	k.say(a, b, 60, clientHelloRecord("Update.Example.net"))
	der := sampleCertificate(t)
	list := append([]byte{0, 0, byte(len(der) >> 8), byte(len(der))}[1:], der...)
	certificate := tlsMessage(11, append([]byte{0, byte(len(list) >> 8), byte(len(list))}, list...))
	hello := serverHello(0xc02b, []byte{0, 16, 0, 5, 0, 3, 2, 'h', '2'})
	flight := tlsRecord(22, append(hello, certificate[:50]...)) + tlsRecord(22, certificate[50:]) + tlsRecord(22, tlsMessage(14, nil))
	k.say(b, a, 200, flight)
	k.say(a, b, 1000, tlsRecord(20, []byte{1})+tlsRecord(22, make([]byte, 40)))
	k.bye(a, b)

	// TLS 1.3, the client's segments out of order and one sent twice; refused.
	a.port = 50001
	k.connect(a, b)
	record := clientHelloRecord("other.example.net")
	at := a.seq
	a.seq = at + 70
	k.say(a, b, 1000, record[70:])
	a.seq = at
	k.say(a, b, 70, record[:70])
	k.say(a, b, 1000, record[70:])
	k.say(b, a, 1000, tlsRecord(22, serverHello(0x1301, []byte{0, 43, 0, 2, 3, 4}))+tlsRecord(20, []byte{1})+tlsRecord(23, make([]byte, 30)))
	k.bye(a, b)
	a.port = 50002
	k.connect(a, b)
	k.say(a, b, 1000, clientHelloRecord("refused.example.net"))
	k.say(b, a, 1000, tlsRecord(21, []byte{2, 40}))
	k.bye(a, b)

	// A hello whose middle was not captured.
	a.port = 50003
	k.connect(a, b)
	k.say(a, b, 1000, record[:82])
	a.seq += 8
	k.say(a, b, 1000, record[90:])

	// QUIC: the pieces of the hello in the wrong order, in two datagrams.
	hs := []byte(clientHelloRecord("quic.example.net"))[5:]
	dcid := []byte("conn-id1")
	k.udp(a.addr, 50004, b.addr, 443, sealInitial(t, dcid, append(cryptoFrame(80, hs[80:]), 1, 0, 0)))
	k.udp(a.addr, 50004, b.addr, 443, sealInitial(t, dcid, append(cryptoFrame(40, hs[40:80]), cryptoFrame(0, hs[:40])...)))
}

func (k *talk) httpSamples() {
	// Two requests at once, answered in turn: one in chunks, one after an
	// interim response; the body lacks a segment.
	a, b := &side{addr: "10.66.0.1", port: 50010}, &side{addr: "203.0.113.45", port: 8080}
	k.connect(a, b)
	k.say(a, b, 100, "POST /login HTTP/1.1\r\nHost: c2.example\r\nAuthorization: Basic YWxpY2U6c2VjcmV0\r\nContent-Length: 9\r\n\r\nGET / yesGET /tool.bin HTTP/1.1\r\nHost: c2.example\r\nUser-Agent: \x1b[31mred\r\nReferer: http://c2.example/\r\n\r\n")
	k.say(b, a, 1000, "HTTP/1.1 302 Found\r\nLocation: /tool.bin\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nHTTP/\r\n0\r\nX-Trailer: 1\r\n\r\n")
	k.say(b, a, 1000, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: application/octet-stream\r\nContent-Length: 100\r\nContent-Disposition: attachment; filename=\"tool.bin\"\r\n\r\nMZ")
	b.seq += 60 // not captured
	k.say(b, a, 1000, "HTTP/1.1 is no response in a body here")
	k.say(a, b, 1000, "HEAD /again HTTP/1.1\r\nHost: c2.example\r\n\r\n")
	k.say(b, a, 1000, "HTTP/1.1 404 Not Found\r\nContent-Length: 5000\r\n\r\n")
	k.say(a, b, 1000, "GET /unanswered HTTP/1.1\r\nHost: c2.example\r\n\r\n")
	k.bye(a, b)

	// Behind a hole nobody knows what belongs together.
	a.port = 50011
	k.connect(a, b)
	k.say(a, b, 1000, "GET /1 HTTP/1.1\r\nHost: c2.example\r\n\r\n")
	b.seq += 30
	k.say(b, a, 1000, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
	k.say(a, b, 1000, "GET /2 HTTP/1.1\r\nHost: c2.example\r\n\r\n")
	k.bye(a, b)

	// A tunnel through a proxy, TLS inside.
	a.port = 50012
	k.connect(a, b)
	k.say(a, b, 1000, "CONNECT inner.example:443 HTTP/1.1\r\nHost: inner.example:443\r\n\r\n")
	k.say(b, a, 1000, "HTTP/1.1 200 Connection established\r\n\r\n")
	k.say(a, b, 1000, clientHelloRecord("inner.example"))
	k.bye(a, b)
}
