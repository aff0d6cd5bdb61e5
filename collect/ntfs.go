package collect

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Names under which the metadata of NTFS that stat(2) has no field for stands
// in evidence.Stat.Xattrs. They are those of ntfs-3g (its manual page,
// "extended attributes"), and mean the same when a running Windows was asked.
const (
	// XattrNTFSAttributes is FILE_ATTRIBUTE_* (MS-FSCC 2.6), 4 bytes, big
	// endian.
	XattrNTFSAttributes = "system.ntfs_attrib_be"
	// XattrNTFSTimes holds creation, last write, last access and last change of
	// the entry: four FILETIMEs (100 ns since 1601), big endian.
	XattrNTFSTimes = "system.ntfs_times_be"
	// XattrNTFSSecurity is a self-relative SECURITY_DESCRIPTOR (MS-DTYP 2.4.6).
	XattrNTFSSecurity = "system.ntfs_acl"
	// XattrNTFSReparse is the reparse data (MS-FSCC 2.1.2), tag first.
	XattrNTFSReparse = "system.ntfs_reparse_data"
	// xattrNTFS3Security is the descriptor as the kernel's ntfs3 names it.
	xattrNTFS3Security = "system.ntfs_security"
	// xattrNTFSStreams lists the named streams of a file, a zero byte behind
	// each (ntfs-3g with streams_interface=windows).
	xattrNTFSStreams = "ntfs.streams.list"
)

// maxStreams bounds the named streams taken of one file.
const maxStreams = 4096

// streamList splits a list of names that end in zero bytes.
func streamList(list []byte) []string {
	var names []string
	for name := range strings.SplitSeq(string(list), "\x00") {
		if name != "" && len(names) < maxStreams {
			names = append(names, name)
		}
	}
	return names
}

// knowOwner fills in the owner of a file of NTFS, a security identifier in
// text, where the metadata has none.
func knowOwner(st *evidence.Stat) {
	if st == nil || st.Owner != "" {
		return
	}
	for _, name := range []string{XattrNTFSSecurity, xattrNTFS3Security} {
		if sid, ok := ownerOf(st.Xattrs[name]); ok {
			st.Owner = sid
			return
		}
	}
}

// ownerOf reads the owner of a self-relative SECURITY_DESCRIPTOR: revision 1
// byte, padding 1, control 2, then the offsets of owner, group, SACL and DACL,
// 4 bytes each (MS-DTYP 2.4.6).
func ownerOf(descriptor []byte) (sid string, ok bool) {
	if len(descriptor) < 20 || descriptor[0] != 1 {
		return "", false
	}
	at := binary.LittleEndian.Uint32(descriptor[4:])
	if at == 0 || uint64(at) > uint64(len(descriptor)) {
		return "", false
	}
	return SIDText(descriptor[at:])
}

// SIDText writes a binary security identifier as text, S-1-5-18: revision 1
// byte, number of sub-authorities 1, authority 6 (big endian), and 4 bytes for
// each sub-authority (MS-DTYP 2.4.2).
func SIDText(b []byte) (string, bool) {
	if len(b) < 8 || b[0] != 1 || b[1] > 15 || len(b) < 8+4*int(b[1]) {
		return "", false
	}
	authority := uint64(binary.BigEndian.Uint16(b[2:]))<<32 | uint64(binary.BigEndian.Uint32(b[4:]))
	text := fmt.Sprintf("S-1-%d", authority)
	if authority >= 1<<32 {
		text = fmt.Sprintf("S-1-0x%012X", authority)
	}
	for i := range int(b[1]) {
		text += fmt.Sprintf("-%d", binary.LittleEndian.Uint32(b[8+4*i:]))
	}
	return text, true
}
