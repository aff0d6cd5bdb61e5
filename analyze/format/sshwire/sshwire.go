// Package sshwire reads the clear beginning of SSH connections: banners and
// the algorithms that both sides offer, with the fingerprint made of them.
//
// Formats: RFC 4253, sections 4.2 (banner), 6 (packets) and 7.1 (KEXINIT);
// HASSH: https://github.com/salesforce/hassh.
package sshwire

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
)

// MaxBanner is the longest line that a banner may be, with its line break.
const MaxBanner = 255

// maxPacket is the longest packet that everybody must take.
const maxPacket = 35000

// msgKexInit is the number of the message with the algorithms.
const msgKexInit = 20

// Packet splits an unencrypted packet off
//
//	length(4) padding_length(1) payload padding
//
// size is 0 while it is not whole; ok is false where this is none.
func Packet(b []byte) (payload []byte, size int, ok bool) {
	if len(b) < 6 {
		return nil, 0, true
	}
	n, padding := binary.BigEndian.Uint32(b), int(b[4])
	if n < 2 || n > maxPacket || padding+1 >= int(n) {
		return nil, 0, false
	}
	if len(b) < 4+int(n) {
		return nil, 0, true
	}
	return b[5 : 4+int(n)-padding], 4 + int(n), true
}

// KexInit is the lists of names in a KEXINIT message, as sent.
type KexInit struct {
	Kex, HostKey         []byte
	EncryptC2S, MACC2S   []byte
	CompressC2S          []byte
	EncryptS2C, MACS2C   []byte
	CompressS2C          []byte
	languageC2S, langS2C []byte
}

// ParseKexInit reads a payload
//
//	20 cookie(16) name-list × 10 …
func ParseKexInit(b []byte) (*KexInit, bool) {
	if len(b) < 17 || b[0] != msgKexInit {
		return nil, false
	}
	k := &KexInit{}
	b = b[17:]
	for _, list := range []*[]byte{
		&k.Kex, &k.HostKey, &k.EncryptC2S, &k.EncryptS2C, &k.MACC2S, &k.MACS2C, &k.CompressC2S, &k.CompressS2C, &k.languageC2S, &k.langS2C,
	} {
		if len(b) < 4 {
			return nil, false
		}
		n := binary.BigEndian.Uint32(b)
		if uint64(n) > uint64(len(b)-4) {
			return nil, false
		}
		*list, b = b[4:4+n], b[4+n:]
	}
	return k, true
}

// HASSH returns the fingerprint of a client and the text it is the MD5 of.
func (k *KexInit) HASSH() (hash string, text []byte) {
	return hassh(k.Kex, k.EncryptC2S, k.MACC2S, k.CompressC2S)
}

// HASSHServer is the same for a server.
func (k *KexInit) HASSHServer() (hash string, text []byte) {
	return hassh(k.Kex, k.EncryptS2C, k.MACS2C, k.CompressS2C)
}

func hassh(lists ...[]byte) (hash string, text []byte) {
	text = bytes.Join(lists, []byte(";"))
	sum := md5.Sum(text)
	return hex.EncodeToString(sum[:]), text
}
