package collectors

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// appendFileLine appends f as encoding/json would, with its line end. It is
// written out because a walk makes millions of lines, and reflection would
// cost more than asking the kernel does.
func appendFileLine(b []byte, f *record.File) []byte {
	b = append(b, `{"path":`...)
	b = appendBytes(b, f.Path)
	b = appendUint(b, `,"mode":`, uint64(f.Mode))
	b = appendUint(b, `,"uid":`, uint64(f.UID))
	b = appendUint(b, `,"gid":`, uint64(f.GID))
	if f.Owner != "" {
		b = appendText(append(b, `,"owner":`...), f.Owner)
	}
	b = appendInt(b, `,"size":`, f.Size)
	b = appendUint(b, `,"inode":`, f.Inode)
	b = appendText(append(b, `,"dev":`...), f.Dev)
	b = appendUint(b, `,"nlink":`, uint64(f.Nlink))
	b = appendInt(b, `,"atime":`, f.Atime)
	b = appendInt(b, `,"mtime":`, f.Mtime)
	b = appendInt(b, `,"ctime":`, f.Ctime)
	if f.Btime != 0 {
		b = appendInt(b, `,"btime":`, f.Btime)
	}
	if f.Attributes != 0 {
		b = appendUint(b, `,"attr":`, f.Attributes)
	}
	if f.MountID != 0 {
		b = appendUint(b, `,"mnt_id":`, f.MountID)
	}
	if len(f.Link) > 0 {
		b = appendBytes(append(b, `,"link":`...), f.Link)
	}
	if f.SHA256 != "" {
		b = appendText(append(b, `,"sha256":`...), f.SHA256)
	}
	if f.HashNote != "" {
		b = appendText(append(b, `,"hash_note":`...), f.HashNote)
	}
	if len(f.Xattrs) > 0 {
		b = appendJSON(append(b, `,"xattrs":`...), f.Xattrs)
	}
	if f.Capabilities != nil {
		b = appendJSON(append(b, `,"capabilities":`...), f.Capabilities)
	}
	return append(b, '}', '\n')
}

// appendJSON is for what few files have.
func appendJSON(b []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		return append(b, "null"...) // no value of a record.File does that
	}
	return append(b, text...)
}

func appendUint(b []byte, key string, v uint64) []byte {
	return strconv.AppendUint(append(b, key...), v, 10)
}

func appendInt(b []byte, key string, v int64) []byte {
	return strconv.AppendInt(append(b, key...), v, 10)
}

// appendBytes appends a record.Bytes: text, or base64 where it is no UTF-8.
func appendBytes(b []byte, text record.Bytes) []byte {
	if utf8.Valid(text) {
		return appendText(b, string(text))
	}
	b = append(b, `{"b64":"`...)
	b = base64.StdEncoding.AppendEncode(b, text)
	return append(b, `"}`...)
}

// appendText appends a JSON string (RFC 8259 §7). Bytes that are no UTF-8
// become U+FFFD, as in encoding/json.
func appendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(b, "\ufffd"...)
			} else {
				b = append(b, s[i:i+size]...)
			}
			i += size
			continue
		}
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c < 0x20 || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
		i++
	}
	return append(b, '"')
}
