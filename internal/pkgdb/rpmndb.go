package pkgdb

import (
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"io"
)

// RpmNDB reads Packages.db, as openSUSE and SLE have it (rpm,
// lib/backend/ndb/rpmpkg.c; numbers are little-endian): a header of 32 bytes
// and slots of 16 up to the end of the pages it counts. A slot names a package
// and the blocks of 16 bytes it lies in: a head of its own, the header of the
// package, filled up to a block, and a tail with an Adler-32 over all before
// it. The header is good until each returns.
func RpmNDB(db io.ReaderAt, size int64, each func(header []byte)) (bad int, err error) {
	head := make([]byte, 32)
	if _, err := db.ReadAt(head, 0); err != nil || string(head[:4]) != "RpmP" {
		return 0, fmt.Errorf("%w: no database of the kind ndb", ErrRpmFormat)
	}
	if version := binary.LittleEndian.Uint32(head[4:]); version != 0 {
		return 0, fmt.Errorf("%w: version %d of ndb", ErrRpmFormat, version)
	}
	slots := int64(binary.LittleEndian.Uint32(head[12:])) * ndbPage
	if slots == 0 || slots > size {
		return 0, fmt.Errorf("%w: %d bytes of slots", ErrRpmFormat, slots)
	}
	page := make([]byte, ndbPage)
	var blob []byte
	left := size // bytes that packages may still have: more than the file has are told twice
	for at := int64(0); at < slots; at += ndbPage {
		if _, err := db.ReadAt(page, at); err != nil {
			return bad, err
		}
		for i := 0; i < ndbPage; i += 16 {
			if at == 0 && i < len(head) {
				continue
			}
			slot := page[i : i+16]
			if string(slot[:4]) != "Slot" {
				bad++
				continue
			}
			pkg := binary.LittleEndian.Uint32(slot[4:])
			offset, length := int64(binary.LittleEndian.Uint32(slot[8:]))*16, int64(binary.LittleEndian.Uint32(slot[12:]))*16
			if pkg == 0 || offset == 0 {
				continue // free
			}
			if length < 32 || length > maxRpmBlob || offset < slots || offset+length > size || length > left {
				bad++
				continue
			}
			left -= length
			if int64(cap(blob)) < length {
				blob = make([]byte, length)
			}
			blob = blob[:length]
			if _, err := db.ReadAt(blob, offset); err != nil {
				return bad, err
			}
			header, ok := ndbBlob(blob, pkg)
			if !ok {
				bad++
				continue
			}
			each(header)
		}
	}
	return bad, nil
}

const ndbPage = 4096

// ndbBlob returns what is between the head and the tail of a package.
func ndbBlob(blob []byte, pkg uint32) (header []byte, ok bool) {
	tail := blob[len(blob)-12:]
	length := int64(binary.LittleEndian.Uint32(blob[12:]))
	ok = string(blob[:4]) == "BlbS" && string(tail[8:]) == "BlbE" && binary.LittleEndian.Uint32(blob[4:]) == pkg &&
		int64(binary.LittleEndian.Uint32(tail[4:])) == length && 16+length <= int64(len(blob)-12) &&
		binary.LittleEndian.Uint32(tail) == adler32.Checksum(blob[:len(blob)-12])
	if !ok {
		return nil, false
	}
	return blob[16 : 16+length], true
}
