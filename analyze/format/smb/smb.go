// Package smb reads the clear messages of SMB 2 and 3 by which clients log on,
// connect to shares and open files, and the NTLM messages inside.
//
// Formats: [MS-SMB2], section 2.2; [MS-NLMP], section 2.2.1; RFC 1002,
// section 4.3 (the length in front).
package smb

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf16"
)

// Commands of SMB 2.
const (
	Negotiate    = 0
	SessionSetup = 1
	Logoff       = 2
	TreeConnect  = 3
	Create       = 5
)

// headerSize is the length of the SMB 2 header.
const headerSize = 64

// Status codes that say something other than success or failure.
const (
	StatusSuccess        = 0
	StatusPending        = 0x00000103
	StatusMoreProcessing = 0xc0000016
)

// Frame splits the length in front off: type(1) length(3). size counts it too
// and is 0 while it is not there; ok is false where these are no messages.
func Frame(b []byte) (size int, message, ok bool) {
	if len(b) < 4 {
		return 0, false, true
	}
	switch b[0] {
	case 0x00:
		return 4 + (int(b[1])<<16 | int(b[2])<<8 | int(b[3])), true, true
	case 0x81, 0x82, 0x83, 0x84, 0x85:
		return 4 + int(b[2])<<8 + int(b[3]), false, b[1] <= 1
	}
	return 0, false, false
}

// Looks reports whether a stream begins with a message of any version.
func Looks(b []byte) bool {
	return len(b) >= 8 && b[0] == 0 && b[5] == 'S' && b[6] == 'M' && b[7] == 'B' && b[4] >= 0xfc
}

// Versions by the first byte of a message.
const (
	Compressed = 0xfc
	Encrypted  = 0xfd
	Two        = 0xfe
	One        = 0xff
)

// Header is that of one message.
type Header struct {
	Command   uint16
	Status    uint32 // of answers
	Answer    bool
	Next      int // offset of the next message in the frame, 0: none
	MessageID uint64
	TreeID    uint32 // 0 for asynchronous answers
	SessionID uint64
}

// ParseHeader reads an SMB 2 header. Whether the next message lies within the
// frame is for who has the whole frame to see.
func ParseHeader(b []byte) (h Header, ok bool) {
	if len(b) < headerSize || b[0] != Two || string(b[1:4]) != "SMB" {
		return h, false
	}
	le := binary.LittleEndian
	h = Header{
		Status: le.Uint32(b[8:]), Command: le.Uint16(b[12:]), Answer: b[16]&1 != 0, Next: int(le.Uint32(b[20:])),
		MessageID: le.Uint64(b[24:]), SessionID: le.Uint64(b[40:]),
	}
	if b[16]&2 == 0 {
		h.TreeID = le.Uint32(b[36:])
	}
	if h.Next < 0 || h.Next > 0 && h.Next < headerSize {
		return h, false
	}
	return h, true
}

// SecurityBlob returns the token in a SESSION_SETUP message.
func SecurityBlob(b []byte, answer bool) []byte {
	if answer {
		return at(b, headerSize+4)
	}
	return at(b, headerSize+12)
}

// Path returns the share that a TREE_CONNECT request names.
func Path(b []byte) string { return UTF16(at(b, headerSize+4)) }

// FileName returns the file that a CREATE request names, its disposition and
// its options.
func FileName(b []byte) (name string, disposition, options uint32) {
	if len(b) < headerSize+48 {
		return "", 0, 0
	}
	le := binary.LittleEndian
	return UTF16(at(b, headerSize+44)), le.Uint32(b[headerSize+36:]), le.Uint32(b[headerSize+40:])
}

// Dialect returns the version that a NEGOTIATE response chose.
func Dialect(b []byte) string {
	if len(b) < headerSize+6 {
		return ""
	}
	switch v := binary.LittleEndian.Uint16(b[headerSize+4:]); v {
	case 0x0202:
		return "2.0.2"
	case 0x0210:
		return "2.1"
	case 0x0300:
		return "3.0"
	case 0x0302:
		return "3.0.2"
	case 0x0311:
		return "3.1.1"
	case 0x02ff:
		return "2.???" // another round follows
	default:
		return fmt.Sprintf("0x%04x", v)
	}
}

// ShareType returns what a TREE_CONNECT response says the share is.
func ShareType(b []byte) string {
	if len(b) < headerSize+3 {
		return ""
	}
	switch b[headerSize+2] {
	case 1:
		return "disk"
	case 2:
		return "pipe"
	case 3:
		return "print"
	}
	return ""
}

// at returns the field whose offset(2) and length(2) stand at i; offsets count
// from the header.
func at(b []byte, i int) []byte {
	if len(b) < i+4 {
		return nil
	}
	off, n := int(binary.LittleEndian.Uint16(b[i:])), int(binary.LittleEndian.Uint16(b[i+2:]))
	if off < headerSize || off+n > len(b) {
		return nil
	}
	return b[off : off+n]
}

// NTLM is what an NTLM message says.
type NTLM struct {
	Type                      uint32 // 2 challenge, 3 authenticate
	User, Domain, Workstation string
	Target                    string // name of the server or its domain, of a challenge
	Computer, DNSComputer     string // names of the server, of a challenge
}

var signature = []byte("NTLMSSP\x00")

// ParseNTLM looks for an NTLM message in a token, bare or wrapped in SPNEGO.
func ParseNTLM(token []byte) (*NTLM, bool) {
	i := bytes.Index(token, signature)
	if i < 0 || len(token) < i+12 {
		return nil, false
	}
	b := token[i:]
	m := &NTLM{Type: binary.LittleEndian.Uint32(b[8:])}
	switch {
	case m.Type == 3 && len(b) >= 64:
		wide := b[60]&1 != 0
		m.Domain, m.User, m.Workstation = field(b, 28, wide), field(b, 36, wide), field(b, 44, wide)
	case m.Type == 2 && len(b) >= 48:
		m.Target = field(b, 12, b[20]&1 != 0)
		m.pairs(raw(b, 40))
	default:
		return m, m.Type == 1
	}
	return m, true
}

// pairs reads the AV_PAIRs of a challenge: id(2) length(2) value.
func (m *NTLM) pairs(b []byte) {
	for len(b) >= 4 {
		id, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if id == 0 || 4+n > len(b) {
			return
		}
		switch id {
		case 1:
			m.Computer = UTF16(b[4 : 4+n])
		case 3:
			m.DNSComputer = UTF16(b[4 : 4+n])
		}
		b = b[4+n:]
	}
}

// raw returns the field whose length(2) max(2) offset(4) stand at i.
func raw(b []byte, i int) []byte {
	n, off := int(binary.LittleEndian.Uint16(b[i:])), uint64(binary.LittleEndian.Uint32(b[i+4:]))
	if off+uint64(n) > uint64(len(b)) {
		return nil
	}
	return b[off : off+uint64(n)]
}

func field(b []byte, i int, wide bool) string {
	if wide {
		return UTF16(raw(b, i))
	}
	return string(raw(b, i))
}

// UTF16 reads little-endian UTF-16; halves of pairs become U+FFFD.
func UTF16(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

// IsKerberos reports a token that names Kerberos but holds no NTLM: its object
// identifier, or the one that Microsoft once wrote instead.
func IsKerberos(token []byte) bool {
	return !bytes.Contains(token, signature) &&
		(bytes.Contains(token, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02}) ||
			bytes.Contains(token, []byte{0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02}))
}

// StatusName returns the name of an NTSTATUS that is common here: [MS-ERREF],
// section 2.3.
func StatusName(status uint32) string {
	switch status {
	case StatusSuccess:
		return "STATUS_SUCCESS"
	case 0x80000005:
		return "STATUS_BUFFER_OVERFLOW"
	case 0xc000000d:
		return "STATUS_INVALID_PARAMETER"
	case 0xc000000f:
		return "STATUS_NO_SUCH_FILE"
	case 0xc0000022:
		return "STATUS_ACCESS_DENIED"
	case 0xc0000034:
		return "STATUS_OBJECT_NAME_NOT_FOUND"
	case 0xc0000035:
		return "STATUS_OBJECT_NAME_COLLISION"
	case 0xc000003a:
		return "STATUS_OBJECT_PATH_NOT_FOUND"
	case 0xc0000043:
		return "STATUS_SHARING_VIOLATION"
	case 0xc0000064:
		return "STATUS_NO_SUCH_USER"
	case 0xc000006a:
		return "STATUS_WRONG_PASSWORD"
	case 0xc000006d:
		return "STATUS_LOGON_FAILURE"
	case 0xc000006e:
		return "STATUS_ACCOUNT_RESTRICTION"
	case 0xc0000071:
		return "STATUS_PASSWORD_EXPIRED"
	case 0xc0000072:
		return "STATUS_ACCOUNT_DISABLED"
	case 0xc000015b:
		return "STATUS_LOGON_TYPE_NOT_GRANTED"
	case 0xc00000ba:
		return "STATUS_FILE_IS_A_DIRECTORY"
	case 0xc00000cc:
		return "STATUS_BAD_NETWORK_NAME"
	case 0xc0000225:
		return "STATUS_NOT_FOUND"
	case 0xc0000234:
		return "STATUS_ACCOUNT_LOCKED_OUT"
	}
	return fmt.Sprintf("0x%08x", status)
}
