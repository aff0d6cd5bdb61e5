package collect

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// Paths of a running Windows host begin with its drive: /C:/Windows. Names are
// UTF-16 without regard to pairs of surrogates; here they are WTF-8, which is
// UTF-8 in which a lone surrogate has its three bytes, so that each name has
// exactly one form and back.

// wtf8 writes UTF-16 as WTF-8 (https://simonsapin.github.io/wtf-8/).
func wtf8(units []uint16) string {
	var b strings.Builder
	for i := 0; i < len(units); i++ {
		c := rune(units[i])
		if utf16.IsSurrogate(c) {
			if i+1 < len(units) {
				if r := utf16.DecodeRune(c, rune(units[i+1])); r != '\uFFFD' {
					b.WriteRune(r)
					i++
					continue
				}
			}
			b.Write([]byte{0xE0 | byte(c>>12), 0x80 | byte(c>>6)&0x3F, 0x80 | byte(c)&0x3F})
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}

// utf16At reads little endian code units; nil where they do not fit.
func utf16At(b []byte, at, length uint64) []uint16 {
	if at > uint64(len(b)) || length > uint64(len(b))-at || length%2 != 0 {
		return nil
	}
	units := make([]uint16, length/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[at+2*uint64(i):])
	}
	return units
}

// Tags of reparse points that stand for another name (MS-FSCC 2.1.2.1).
const (
	tagMountPoint = 0xA0000003
	tagSymlink    = 0xA000000C
	tagLXSymlink  = 0xA000001D
	// tagSurrogate is the bit of all tags that do.
	tagSurrogate = 0x20000000
)

// linkTarget reads where a reparse point leads (MS-FSCC 2.1.2.4, 2.1.2.5): tag
// 4 bytes, length 2, reserved 2, then offset and length of two names, 2 bytes
// each, for a symbolic link flags 4 bytes, and the names. A link of WSL has a
// version, 4 bytes, and its target in UTF-8. What is no link has none.
func linkTarget(data []byte) (string, bool) {
	if len(data) < 8 {
		return "", false
	}
	body := data[8:]
	if size := int(binary.LittleEndian.Uint16(data[4:])); size < len(body) {
		body = body[:size]
	}
	names := uint64(8)
	switch binary.LittleEndian.Uint32(data) {
	case tagLXSymlink:
		if len(body) < 4 {
			return "", false
		}
		return string(body[4:]), true
	case tagSymlink:
		names = 12
	case tagMountPoint:
	default:
		return "", false
	}
	if uint64(len(body)) < names {
		return "", false
	}
	at, length := binary.LittleEndian.Uint16(body), binary.LittleEndian.Uint16(body[2:])
	units := utf16At(body, names+uint64(at), uint64(length))
	if units == nil {
		return "", false
	}
	return hostPath(wtf8(units)), true
}

// hostPath writes the path of an NT name as one of the host: \??\C:\Users is
// /C:/Users, ..\x is ../x. A volume without a letter stays as it is written,
// which leads nowhere.
func hostPath(nt string) string {
	rest, absolute := strings.CutPrefix(nt, `\??\`)
	switch {
	case absolute && len(rest) >= 2 && rest[1] == ':':
		return "/" + strings.TrimSuffix(strings.ReplaceAll(rest, `\`, "/"), "/")
	case absolute:
		return nt
	}
	return strings.ReplaceAll(nt, `\`, "/")
}

// Bits of FILE_ATTRIBUTE_* (MS-FSCC 2.6).
const (
	attributeDirectory  = 0x10
	attributeDevice     = 0x40
	attributeReparse    = 0x400
	attributeCompressed = 0x800
	attributeOffline    = 0x1000
	attributeEncrypted  = 0x4000
	attributeRecallOpen = 0x40000
	attributeRecallData = 0x400000
	attributesElsewhere = attributeOffline | attributeRecallOpen | attributeRecallData
)

// windowsMode is the type of a file in the bits of st_mode. Windows has no
// permission bits, and none are made up.
func windowsMode(attributes, tag uint32) uint32 {
	switch {
	case attributes&attributeReparse != 0 && tag&tagSurrogate != 0:
		return modeLink
	case attributes&attributeDirectory != 0:
		return modeDir
	case attributes&attributeDevice != 0:
		return 0o020000
	}
	return modeRegular
}

// dirInfo reads FILE_ID_BOTH_DIR_INFO entries (MS-FSCC 2.4.17): offset of the
// next entry at 0, attributes at 56, length of the name in bytes at 60, tag of
// a reparse point at 64, name at 104. ok is false where they break the format.
func dirInfo(buf []byte, each func(DirEntry)) (ok bool) {
	for {
		if len(buf) < 104 {
			return false
		}
		units := utf16At(buf, 104, uint64(binary.LittleEndian.Uint32(buf[60:])))
		if units == nil {
			return false
		}
		if name := wtf8(units); name != "." && name != ".." {
			each(DirEntry{Name: name, Type: windowsMode(binary.LittleEndian.Uint32(buf[56:]), binary.LittleEndian.Uint32(buf[64:]))})
		}
		next := binary.LittleEndian.Uint32(buf)
		if next == 0 {
			return true
		}
		if next < 104 || uint64(next) > uint64(len(buf)) {
			return false
		}
		buf = buf[next:]
	}
}

// streamInfo reads FILE_STREAM_INFORMATION entries (MS-FSCC 2.4.49): offset of
// the next entry at 0, length of the name in bytes at 4, size at 8, allocated
// at 16, name at 24: ":name:$DATA". The unnamed one is left out.
func streamInfo(buf []byte) (names []string, ok bool) {
	for {
		if len(buf) < 24 {
			return names, false
		}
		units := utf16At(buf, 24, uint64(binary.LittleEndian.Uint32(buf[4:])))
		if units == nil {
			return names, false
		}
		name, isData := strings.CutSuffix(strings.TrimPrefix(wtf8(units), ":"), ":$DATA")
		if isData && name != "" && len(names) < maxStreams {
			names = append(names, name)
		}
		next := binary.LittleEndian.Uint32(buf)
		if next == 0 {
			return names, true
		}
		if next < 24 || uint64(next) > uint64(len(buf)) {
			return names, false
		}
		buf = buf[next:]
	}
}

// clusters is a run of a file on its volume; lcn is -1 for one that is not
// there and reads as zeros.
type clusters struct{ vcn, lcn, count int64 }

// retrievalPointers reads RETRIEVAL_POINTERS_BUFFER (MS-FSCC 2.3.32): number of
// extents 4 bytes, padding 4, first VCN 8, and for each extent the VCN behind it
// and its LCN, 8 bytes each.
func retrievalPointers(buf []byte) (runs []clusters, ok bool) {
	if len(buf) < 16 {
		return nil, false
	}
	count := uint64(binary.LittleEndian.Uint32(buf))
	vcn := int64(binary.LittleEndian.Uint64(buf[8:]))
	if vcn < 0 || count > uint64(len(buf)-16)/16 {
		return nil, false
	}
	for i := range count {
		next := int64(binary.LittleEndian.Uint64(buf[16+16*i:]))
		lcn := int64(binary.LittleEndian.Uint64(buf[24+16*i:]))
		if next <= vcn || lcn < -1 {
			return nil, false
		}
		runs = append(runs, clusters{vcn, lcn, next - vcn})
		vcn = next
	}
	return runs, true
}
