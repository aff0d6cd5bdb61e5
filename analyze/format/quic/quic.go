// Package quic reads the first packets of QUIC connections, whose keys follow
// from the connection ID in them: the TLS handshake messages inside.
//
// Formats: RFC 9000, sections 16, 17.2 and 19; RFC 9001, section 5 (keys);
// RFC 9369 (version 2); draft-ietf-quic-tls-23 to 32 (salts).
package quic

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Versions whose initial keys are known, drafts beside.
const (
	Version1 = 0x00000001
	Version2 = 0x6b3343cf
)

var (
	salt1  = []byte{0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a}
	salt2  = []byte{0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9}
	salt29 = []byte{0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99}
	salt23 = []byte{0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7, 0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9, 0xf5, 0x02}
)

// VersionName returns how a version is called.
func VersionName(version uint32) string {
	switch {
	case version == Version1:
		return "1"
	case version == Version2:
		return "2"
	case version>>8 == 0xff0000:
		return fmt.Sprintf("draft %d", version&0xff)
	}
	return fmt.Sprintf("0x%08x", version)
}

// saltOf returns nil for versions that are not read.
func saltOf(version uint32) []byte {
	switch {
	case version == Version1:
		return salt1
	case version == Version2:
		return salt2
	case version >= 0xff00001d && version <= 0xff000020:
		return salt29
	case version >= 0xff000017 && version <= 0xff00001c:
		return salt23
	}
	return nil
}

// IsInitial reports whether a datagram begins with an Initial packet of a
// version that can be read.
func IsInitial(b []byte) bool {
	if len(b) < 7 || b[0]&0xc0 != 0xc0 {
		return false
	}
	version := binary.BigEndian.Uint32(b[1:])
	return saltOf(version) != nil && initialType(version) == b[0]>>4&3 && b[5] <= 20
}

func initialType(version uint32) byte {
	if version == Version2 {
		return 1
	}
	return 0
}

// Initial is one Initial packet, still protected.
type Initial struct {
	Version uint32
	DCID    []byte // destination connection ID
	SCID    []byte
	header  []byte // up to the packet number
	rest    []byte // packet number and payload
}

// Next splits the first packet with a long header off a datagram. ok is false
// at the end, and where what follows cannot be read; initial is false for the
// other types.
func Next(b []byte) (p Initial, rest []byte, initial, ok bool) {
	if len(b) < 7 || b[0]&0x80 == 0 {
		return p, nil, false, false
	}
	p.Version = binary.BigEndian.Uint32(b[1:])
	if saltOf(p.Version) == nil {
		return p, nil, false, false
	}
	kind := (b[0]>>4&3 - initialType(p.Version)) & 3 // 0 Initial, 1 0-RTT, 2 Handshake, 3 Retry
	at := 5
	for _, id := range []*[]byte{&p.DCID, &p.SCID} {
		if at >= len(b) || b[at] > 20 || at+1+int(b[at]) > len(b) {
			return p, nil, false, false
		}
		*id = b[at+1 : at+1+int(b[at])]
		at += 1 + int(b[at])
	}
	if kind == 3 {
		return p, nil, false, false // a Retry has no length and stands alone
	}
	if kind == 0 {
		token, n := varint(b[at:])
		if n == 0 || token > uint64(len(b)-at-n) {
			return p, nil, false, false
		}
		at += n + int(token)
	}
	length, n := varint(b[at:])
	if n == 0 || length > uint64(len(b)-at-n) {
		return p, nil, false, false
	}
	at += n
	p.header, p.rest = b[:at], b[at:at+int(length)]
	return p, b[at+int(length):], kind == 0, true
}

// Keys protect the Initial packets of one direction.
type Keys struct {
	aead cipher.AEAD
	iv   []byte
	hp   cipher.Block
}

// DeriveKeys returns the keys that follow from the destination connection ID
// of the client's first Initial packet.
func DeriveKeys(version uint32, dcid []byte) (client, server *Keys, err error) {
	salt := saltOf(version)
	if salt == nil {
		return nil, nil, errors.New("version of QUIC without known keys")
	}
	secret, err := hkdf.Extract(sha256.New, dcid, salt)
	if err != nil {
		return nil, nil, err
	}
	if client, err = keysOf(version, secret, "client in"); err != nil {
		return nil, nil, err
	}
	server, err = keysOf(version, secret, "server in")
	return client, server, err
}

func keysOf(version uint32, initial []byte, label string) (*Keys, error) {
	secret, err := expand(initial, label, 32)
	if err != nil {
		return nil, err
	}
	prefix := "quic "
	if version == Version2 {
		prefix = "quicv2 "
	}
	key, err1 := expand(secret, prefix+"key", 16)
	iv, err2 := expand(secret, prefix+"iv", 12)
	hp, err3 := expand(secret, prefix+"hp", 16)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	k := &Keys{iv: iv}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if k.aead, err = cipher.NewGCM(block); err != nil {
		return nil, err
	}
	k.hp, err = aes.NewCipher(hp)
	return k, err
}

// expand is HKDF-Expand-Label of RFC 8446, section 7.1, without a context.
func expand(secret []byte, label string, size int) ([]byte, error) {
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(info, byte(6+len(label)))
	info = append(info, "tls13 "+label...)
	return hkdf.Expand(sha256.New, secret, string(append(info, 0)), size)
}

// Open removes the protection and returns the frames; ok is false for keys
// that do not fit and for damaged packets. Initial packets are the first of
// their number space, so numbers are taken as sent.
func (p *Initial) Open(k *Keys) (frames []byte, ok bool) {
	if len(p.rest) < 4+16 {
		return nil, false
	}
	var mask [16]byte
	k.hp.Encrypt(mask[:], p.rest[4:20])
	header := append([]byte(nil), p.header...)
	header[0] ^= mask[0] & 0x0f
	width := int(header[0]&3) + 1
	nonce := append([]byte(nil), k.iv...)
	for i := range width {
		c := p.rest[i] ^ mask[1+i]
		header = append(header, c)
		nonce[len(nonce)-width+i] ^= c
	}
	frames, err := k.aead.Open(nil, nonce, p.rest[width:], header)
	return frames, err == nil
}

// Crypto calls f for every CRYPTO frame. It stops at frames that an Initial
// packet may not have.
func Crypto(frames []byte, f func(offset uint64, data []byte)) {
	number := func() (v uint64, ok bool) {
		v, n := varint(frames)
		frames = frames[n:]
		return v, n > 0
	}
	for len(frames) > 0 {
		kind := frames[0]
		frames = frames[1:]
		switch kind {
		case 0, 1: // PADDING, PING
		case 2, 3: // ACK
			var fields [4]uint64 // largest, delay, ranges, first range
			for i := range fields {
				v, ok := number()
				if !ok {
					return
				}
				fields[i] = v
			}
			left := 2 * min(fields[2], uint64(len(frames)))
			if kind == 3 {
				left += 3
			}
			for ; left > 0; left-- {
				if _, ok := number(); !ok {
					return
				}
			}
		case 6:
			offset, ok1 := number()
			size, ok2 := number()
			if !ok1 || !ok2 || size > uint64(len(frames)) {
				return
			}
			f(offset, frames[:size])
			frames = frames[size:]
		default: // CONNECTION_CLOSE ends what may be here
			return
		}
	}
}

// varint reads a number of RFC 9000, section 16; n is 0 where it is cut.
func varint(b []byte) (v uint64, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	n = 1 << (b[0] >> 6)
	if len(b) < n {
		return 0, 0
	}
	v = uint64(b[0] & 0x3f)
	for _, c := range b[1:n] {
		v = v<<8 | uint64(c)
	}
	return v, n
}
