// Package tlswire reads the clear part of TLS handshakes as captured: what
// clients offer, what servers choose, their certificates, and the
// fingerprints made of them.
//
// Formats: RFC 8446 (TLS 1.3), sections 4.1 and 5.1; RFC 5246 (TLS 1.2),
// section 7.4.2, for certificates, which TLS 1.3 encrypts.
package tlswire

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
)

// Types of records, RFC 8446 section 5.1.
const (
	RecordChangeCipher = 20
	RecordAlert        = 21
	RecordHandshake    = 22
	RecordData         = 23
)

// Types of handshake messages, RFC 5246 section 7.4 and RFC 8446 section 4.
const (
	TypeClientHello     = 1
	TypeServerHello     = 2
	TypeCertificate     = 11
	TypeServerHelloDone = 14
)

// MaxRecord is the most content a record may have: RFC 5246 allows 2 KiB over
// 2^14 for its protection.
const MaxRecord = 1<<14 + 2048

// Record splits the header off a record: type(1) version(2) length(2). ok is
// false where these are not the first bytes of one; a header that is not all
// there yet has size 0.
func Record(b []byte) (kind byte, size int, ok bool) {
	switch {
	case len(b) > 0 && (b[0] < RecordChangeCipher || b[0] > RecordData),
		len(b) > 1 && b[1] != 3, len(b) > 2 && b[2] > 4:
		return 0, 0, false
	case len(b) < 5:
		return 0, 0, true
	}
	size = int(binary.BigEndian.Uint16(b[3:]))
	return b[0], size, size > 0 && size <= MaxRecord
}

// Message splits the header off a handshake message: type(1) length(3). body
// is nil while the message is not whole.
func Message(b []byte) (kind byte, body []byte, size int) {
	if len(b) < 4 {
		return 0, nil, 0
	}
	size = 4 + (int(b[1])<<16 | int(b[2])<<8 | int(b[3]))
	if len(b) >= size {
		body = b[4:size:size]
	}
	return b[0], body, size
}

// ClientHello is what a client offers. The slices point into the message.
type ClientHello struct {
	Legacy       uint16   // client_version
	Ciphers      []uint16 // in order, GREASE included, as all lists here
	Extensions   []uint16
	Groups       []uint16
	PointFormats []byte
	Signatures   []uint16
	Versions     []uint16
	ServerName   []byte // first host_name, as sent
	Named        bool   // the server_name extension is there
	ALPN         [][]byte
}

// ParseClientHello reads the body of a message
//
//	version(2) random(32) session<0..32> suites<2..> compression<1..> extensions<..>
//
// It is false where the lists do not fit into each other. What is cut short
// within the extensions keeps those before.
func ParseClientHello(b []byte) (*ClientHello, bool) {
	if len(b) < 34 {
		return nil, false
	}
	h := &ClientHello{Legacy: binary.BigEndian.Uint16(b)}
	_, b, ok1 := vector(b[34:], 1)
	suites, b, ok2 := vector(b, 2)
	_, b, ok3 := vector(b, 1)
	if !ok1 || !ok2 || !ok3 {
		return nil, false
	}
	h.Ciphers = numbers(suites)
	extensions(b, func(kind uint16, v []byte) {
		h.Extensions = append(h.Extensions, kind)
		h.extension(kind, v)
	})
	return h, true
}

// extensions calls f for every whole extension of a list with its length in
// front.
func extensions(b []byte, f func(kind uint16, v []byte)) {
	list, _, _ := vector(b, 2)
	for len(list) >= 4 {
		v, rest, ok := vector(list[2:], 2)
		if !ok {
			return
		}
		f(binary.BigEndian.Uint16(list), v)
		list = rest
	}
}

func (h *ClientHello) extension(kind uint16, v []byte) {
	switch kind {
	case 0: // server_name, RFC 6066
		h.Named = true
		list, _, _ := vector(v, 2)
		if len(list) > 3 && list[0] == 0 && h.ServerName == nil {
			h.ServerName, _, _ = vector(list[1:], 2)
		}
	case 10: // supported_groups, RFC 8422
		list, _, _ := vector(v, 2)
		h.Groups = numbers(list)
	case 11: // ec_point_formats, RFC 8422
		h.PointFormats, _, _ = vector(v, 1)
	case 13: // signature_algorithms
		list, _, _ := vector(v, 2)
		h.Signatures = numbers(list)
	case 16: // application_layer_protocol_negotiation, RFC 7301
		h.ALPN = alpn(v)
	case 43: // supported_versions
		list, _, _ := vector(v, 1)
		h.Versions = numbers(list)
	}
}

func alpn(v []byte) (names [][]byte) {
	list, _, _ := vector(v, 2)
	for len(list) > 0 {
		name, rest, ok := vector(list, 1)
		if !ok {
			break
		}
		names = append(names, name)
		list = rest
	}
	return names
}

// Version is the highest version that the client offers.
func (h *ClientHello) Version() uint16 {
	best := uint16(0)
	for _, v := range h.Versions {
		if !grease(v) && rank(v) > rank(best) {
			best = v
		}
	}
	if best == 0 {
		return h.Legacy
	}
	return best
}

// rank orders versions; drafts of TLS 1.3 (0x7fxx) come before the final one.
func rank(v uint16) int {
	if v>>8 == 0x7f {
		return 0x0303<<8 | int(v&0xff)
	}
	return int(v) << 8
}

// ServerHello is what a server chose.
type ServerHello struct {
	Legacy     uint16
	Version    uint16 // from supported_versions, else Legacy
	Cipher     uint16
	Extensions []uint16
	ALPN       []byte // the protocol chosen; encrypted since TLS 1.3
	Retry      bool   // a HelloRetryRequest: the client will begin again
}

// retryRandom marks a HelloRetryRequest: RFC 8446, section 4.1.3.
var retryRandom = []byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

// ParseServerHello reads the body of a message
//
//	version(2) random(32) session<0..32> suite(2) compression(1) extensions<..>
//
// Drafts of TLS 1.3 up to 21 leave out session and compression.
func ParseServerHello(b []byte) (*ServerHello, bool) {
	if len(b) < 36 {
		return nil, false
	}
	h := &ServerHello{Legacy: binary.BigEndian.Uint16(b), Retry: bytes.Equal(b[2:34], retryRandom)}
	h.Version = h.Legacy
	rest := b[34:]
	if h.Legacy>>8 == 0x7f {
		h.Cipher, rest = binary.BigEndian.Uint16(rest), rest[2:]
	} else {
		_, after, ok := vector(rest, 1)
		if !ok || len(after) < 3 {
			return nil, false
		}
		h.Cipher, rest = binary.BigEndian.Uint16(after), after[3:]
	}
	extensions(rest, func(kind uint16, v []byte) {
		h.Extensions = append(h.Extensions, kind)
		switch {
		case kind == 43 && len(v) == 2:
			h.Version = binary.BigEndian.Uint16(v)
		case kind == 16:
			if names := alpn(v); len(names) > 0 {
				h.ALPN = names[0]
			}
		}
	})
	return h, true
}

// Certificates splits the body of a Certificate message of TLS 1.2 and before:
// a list (length 3) of certificates (length 3 each), the server's own first.
// What does not fit is left out and makes whole false.
func Certificates(b []byte) (der [][]byte, whole bool) {
	list, _, whole := vector(b, 3)
	for len(list) > 0 {
		c, rest, ok := vector(list, 3)
		if !ok {
			return der, false
		}
		der = append(der, c)
		list = rest
	}
	return der, whole
}

// VersionName returns how a version is called.
func VersionName(v uint16) string {
	switch v {
	case 0x0002:
		return "SSL 2.0"
	case 0x0300:
		return "SSL 3.0"
	case 0x0301:
		return "TLS 1.0"
	case 0x0302:
		return "TLS 1.1"
	case 0x0303:
		return "TLS 1.2"
	case 0x0304:
		return "TLS 1.3"
	}
	if v>>8 == 0x7f {
		return fmt.Sprintf("TLS 1.3 draft %d", v&0xff)
	}
	return fmt.Sprintf("0x%04x", v)
}

// CipherName returns the name of a suite, its number in hexadecimal where the
// standard library knows none.
func CipherName(id uint16) string {
	name := tls.CipherSuiteName(id)
	if len(name) > 2 && name[:2] == "0x" {
		return fmt.Sprintf("0x%04x", id)
	}
	return name
}

// vector splits off a field whose length stands before it in width bytes. Of
// one that is cut short it keeps what is there, and ok is false.
func vector(b []byte, width int) (v, rest []byte, ok bool) {
	if len(b) < width {
		return nil, nil, false
	}
	n := 0
	for _, c := range b[:width] {
		n = n<<8 | int(c)
	}
	b = b[width:]
	if n > len(b) {
		return b, nil, false
	}
	return b[:n], b[n:], true
}

// numbers reads a list of 16-bit numbers.
func numbers(b []byte) []uint16 {
	out := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		out = append(out, binary.BigEndian.Uint16(b))
	}
	return out
}
