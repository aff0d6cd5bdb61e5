// Package ntfs reads two files in which NTFS keeps its own records: the
// change journal $Extend\$UsnJrnl:$J, and the master file table $MFT.
//
// All numbers are little endian, all times FILETIMEs: 100 ns since 1601 UTC.
//
// # Change journal
//
// Records of USN_RECORD_V2, V3 and V4 ([MS-FSCC] 2.3.58 to 2.3.60; Microsoft,
// winioctl.h), one after the other. A record begins at a multiple of 8 bytes
// and does not reach over the end of a page of 4096 bytes; zeros fill the page.
// Its USN is its offset in the stream, which loses its beginning as it grows:
// what is left of it is a hole, often of gigabytes.
//
//	V2                     V3                     V4
//	 0 length       u32     0 length       u32     0 length        u32
//	 4 major, minor u16     4 major, minor u16     4 major, minor  u16
//	 8 file         8       8 file         16      8 file          16
//	16 parent       8      24 parent       16     24 parent        16
//	24 usn          i64    40 usn          i64    40 usn           i64
//	32 time         i64    48 time         i64    48 reason        u32
//	40 reason       u32    56 reason       u32    52 source        u32
//	44 source       u32    60 source       u32    56 extents left  u32
//	48 security id  u32    64 security id  u32    60 extents       u16
//	52 attributes   u32    68 attributes   u32    62 extent size   u16
//	56 name length  u16    72 name length  u16    64 extents: offset i64, length i64
//	58 name offset  u16    74 name offset  u16
//	60 name, UTF-16        76 name, UTF-16
//
// V4 tells which ranges of a file were written (range tracking). It has no
// time and no name; the V3 record behind it, which closes the change, has them.
package ntfs

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// Reference is a file reference of NTFS: the number of a record of $MFT in
// the low 48 bits, how often the record was used in the 16 above. ReFS has 128
// bits; there High is not 0 and the parts mean nothing to NTFS.
type Reference struct{ Low, High uint64 }

// Record is the number of the file's record in $MFT.
func (r Reference) Record() uint64 { return r.Low & (1<<48 - 1) }

// Sequence is the record's sequence number at that time.
func (r Reference) Sequence() uint16 { return uint16(r.Low >> 48) }

// Append writes record and sequence, "45-3", or 32 hexadecimal digits where
// the reference has 128 bits.
func (r Reference) Append(dst []byte) []byte {
	if r.High != 0 {
		return fmt.Appendf(dst, "%016x%016x", r.High, r.Low)
	}
	dst = strconv.AppendUint(dst, r.Record(), 10)
	return strconv.AppendUint(append(dst, '-'), uint64(r.Sequence()), 10)
}

// root is the number of the record of the root folder.
const root = 5

// AppendLocated writes the place of a name of which only the folder's
// reference is known: "/name" in the root, else "<45-3>/name". A path that
// begins with "<" hangs off a folder that could not be named.
func AppendLocated(dst []byte, folder Reference, name []byte) []byte {
	if folder.High != 0 || folder.Record() != root {
		dst = append(folder.Append(append(dst, '<')), '>')
	}
	return append(append(dst, '/'), name...)
}

// Damage says what of a file could not be read.
type Damage struct {
	Loss           string // Corrupt or Truncated
	Offset, Length int64
	Detail         string
}

// Values of Damage.Loss.
const (
	Corrupt   = "corrupt"
	Truncated = "truncated"
)

// Flag names of a 32-bit field, from bit 0.
type flagNames [32]string

// append writes the names of the bits that are set, a comma between them, and
// what has no name in hexadecimal.
func (names *flagNames) append(dst []byte, bits uint32) []byte {
	var unknown uint32
	start := len(dst)
	for i := range 32 {
		switch {
		case bits&(1<<i) == 0:
		case names[i] == "":
			unknown |= 1 << i
		default:
			if len(dst) > start {
				dst = append(dst, ',')
			}
			dst = append(dst, names[i]...)
		}
	}
	if unknown != 0 {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = fmt.Appendf(dst, "0x%08x", unknown)
	}
	return dst
}

// fileAttributes are FILE_ATTRIBUTE_* ([MS-FSCC] 2.6).
var fileAttributes = flagNames{
	0: "READONLY", 1: "HIDDEN", 2: "SYSTEM", 4: "DIRECTORY", 5: "ARCHIVE", 6: "DEVICE", 7: "NORMAL", 8: "TEMPORARY",
	9: "SPARSE_FILE", 10: "REPARSE_POINT", 11: "COMPRESSED", 12: "OFFLINE", 13: "NOT_CONTENT_INDEXED", 14: "ENCRYPTED",
	15: "INTEGRITY_STREAM", 16: "VIRTUAL", 17: "NO_SCRUB_DATA", 18: "RECALL_ON_OPEN", 19: "PINNED", 20: "UNPINNED",
	22: "RECALL_ON_DATA_ACCESS",
}

// AppendAttributes writes the names of file attributes, a comma between them.
func AppendAttributes(dst []byte, bits uint32) []byte { return fileAttributes.append(dst, bits) }

// Hole is a range of a file that holds zeros by the file system's own word.
type Hole struct{ Offset, Length int64 }

func sortHoles(holes []Hole) []Hole {
	sorted := slices.Clone(holes)
	slices.SortFunc(sorted, func(a, b Hole) int { return cmp.Compare(a.Offset, b.Offset) })
	return sorted
}

// afterHole returns pos, or the end of the hole of a file of size bytes that it
// lies in.
func afterHole(holes []Hole, pos, size int64) int64 {
	for _, h := range holes {
		if h.Offset > pos {
			break
		}
		if h.Length > 0 && pos-h.Offset < h.Length && h.Length <= size-h.Offset {
			pos = h.Offset + h.Length
		}
	}
	return pos
}
