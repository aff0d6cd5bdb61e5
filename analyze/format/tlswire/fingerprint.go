package tlswire

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
)

// grease reports a value that clients offer for no purpose but that it be
// ignored: RFC 8701.
func grease(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// JA3 returns the MD5 fingerprint of a client: version, suites, extensions,
// groups and point formats in the order sent, without GREASE.
//
// Specification: https://github.com/salesforce/ja3.
func (h *ClientHello) JA3() string {
	b := strconv.AppendUint(nil, uint64(h.Legacy), 10)
	for _, list := range [][]uint16{h.Ciphers, h.Extensions, h.Groups} {
		b = appendDashed(append(b, ','), list)
	}
	b = append(b, ',')
	for i, f := range h.PointFormats {
		if i > 0 {
			b = append(b, '-')
		}
		b = strconv.AppendUint(b, uint64(f), 10)
	}
	return md5Hex(b)
}

// JA3S returns the MD5 fingerprint of a server: version, suite, extensions.
func (h *ServerHello) JA3S() string {
	b := append(strconv.AppendUint(nil, uint64(h.Legacy), 10), ',')
	b = append(strconv.AppendUint(b, uint64(h.Cipher), 10), ',')
	return md5Hex(appendDashed(b, h.Extensions))
}

func appendDashed(b []byte, list []uint16) []byte {
	first := true
	for _, v := range list {
		if grease(v) {
			continue
		}
		if !first {
			b = append(b, '-')
		}
		first = false
		b = strconv.AppendUint(b, uint64(v), 10)
	}
	return b
}

func md5Hex(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// JA4 returns the fingerprint of a TLS client. transport is 't' for TCP and
// 'q' for QUIC.
//
// Specification: https://github.com/FoxIO-LLC/ja4, "JA4: TLS Client
// Fingerprinting", which is under the 3-clause BSD licence, unlike the other
// fingerprints of that family.
func (h *ClientHello) JA4(transport byte) string {
	ciphers, extensions := without(h.Ciphers), without(h.Extensions)
	sni := byte('i')
	if h.Named {
		sni = 'd'
	}
	b := append([]byte{transport}, ja4Version(h.Version())...)
	b = append(b, sni)
	b = appendCount(appendCount(b, len(ciphers)), len(extensions))
	b = append(b, h.ja4ALPN()...)
	slices.Sort(ciphers)
	b = appendDigest(append(b, '_'), appendHex(nil, ciphers))
	listed := without(extensions, 0, 16) // what the first part already says
	slices.Sort(listed)
	in := appendHex(nil, listed)
	if len(h.Signatures) > 0 {
		in = appendHex(append(in, '_'), without(h.Signatures))
	}
	if len(extensions) == 0 {
		in = nil
	}
	return string(appendDigest(append(b, '_'), in))
}

// without returns a copy that lacks GREASE and the values given.
func without(list []uint16, values ...uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(list), func(v uint16) bool { return grease(v) || slices.Contains(values, v) })
}

func ja4Version(v uint16) string {
	switch v {
	case 0x0304:
		return "13"
	case 0x0303:
		return "12"
	case 0x0302:
		return "11"
	case 0x0301:
		return "10"
	case 0x0300:
		return "s3"
	case 0x0002:
		return "s2"
	}
	return "00"
}

// ja4ALPN is the first and the last character of the first protocol, those of
// its hexadecimal form where one is no letter or digit.
func (h *ClientHello) ja4ALPN() string {
	if len(h.ALPN) == 0 || len(h.ALPN[0]) == 0 {
		return "00"
	}
	name := h.ALPN[0]
	first, last := name[0], name[len(name)-1]
	if !alphanumeric(first) || !alphanumeric(last) {
		const digits = "0123456789abcdef"
		first, last = digits[first>>4], digits[last&15]
	}
	return string([]byte{first, last})
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func appendCount(b []byte, n int) []byte {
	n = min(n, 99)
	return append(b, '0'+byte(n/10), '0'+byte(n%10))
}

func appendHex(b []byte, list []uint16) []byte {
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = hex.AppendEncode(b, []byte{byte(v >> 8), byte(v)})
	}
	return b
}

// appendDigest appends the first twelve hexadecimal digits of a SHA-256, zeros
// for nothing.
func appendDigest(b, in []byte) []byte {
	if len(in) == 0 {
		return append(b, "000000000000"...)
	}
	sum := sha256.Sum256(in)
	return hex.AppendEncode(b, sum[:6])
}
