package pkgdb

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
)

// RpmBDB reads Packages of rpm before 4.16, a hash table of Berkeley DB 4 or 5
// (dbinc/db_page.h and hash.h; numbers are in the order of the machine that
// wrote them): a page of metadata, and for each bucket a chain of pages of
// pairs, the number of a package and its header. A header that does not fit
// goes on in a chain of pages of its own. The header is good until each
// returns.
func RpmBDB(db io.ReaderAt, size int64, each func(header []byte)) (bad int, err error) {
	head := make([]byte, 224) // up to the end of the table of spares
	if _, err := db.ReadAt(head, 0); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrRpmFormat, err)
	}
	t := &bdbTable{order: binary.LittleEndian}
	if binary.BigEndian.Uint32(head[12:]) == bdbHash {
		t.order = binary.BigEndian
	}
	page := int(t.order.Uint32(head[20:]))
	switch {
	case t.order.Uint32(head[12:]) != bdbHash || head[25] != bdbHashMeta:
		return 0, fmt.Errorf("%w: no hash table of Berkeley DB", ErrRpmFormat)
	case head[24] != 0 || head[26]&1 != 0:
		return 0, fmt.Errorf("%w: encrypted, or with checksums", ErrRpmFormat)
	case page < 512 || page > 65536 || page&(page-1) != 0:
		return 0, fmt.Errorf("%w: pages of %d bytes", ErrRpmFormat, page)
	}
	t.pages = newPages(db, page, size)
	t.buf, t.over, t.left = make([]byte, page), make([]byte, page), size
	last := t.order.Uint32(head[72:]) // number of the last bucket
	if last >= t.count {
		return 0, fmt.Errorf("%w: %d buckets in %d pages", ErrRpmFormat, last, t.count)
	}
	for bucket := uint32(0); bucket <= last; bucket++ {
		spare := bits.Len32(bucket) // rounded logarithm of bucket+1
		n := bucket + t.order.Uint32(head[96+4*spare:])
		for {
			next, ok := t.page(n, each)
			if !ok {
				t.bad++
			}
			if !ok || next == 0 {
				break
			}
			n = next
		}
	}
	return t.bad, nil
}

const (
	bdbHash       = 0x061561
	bdbHashMeta   = 8
	bdbUnsorted   = 2  // pages of pairs, before 4.6
	bdbSorted     = 13 // and since
	bdbOverflow   = 7
	bdbPageHead   = 26
	bdbItemHere   = 1 // items on a page
	bdbItemBeyond = 3
)

type bdbTable struct {
	*pages
	order     binary.ByteOrder
	buf, over []byte
	blob      []byte
	bad       int
	left      int64 // bytes that headers may still have: more than the file has are told twice
}

// page reads the pairs of one page and returns the number of the next one of
// its chain, 0 for none.
func (t *bdbTable) page(n uint32, each func([]byte)) (next uint32, ok bool) {
	if n == 0 || t.read(n, t.buf) != nil || t.buf[25] != bdbSorted && t.buf[25] != bdbUnsorted {
		return 0, false
	}
	items := int(t.order.Uint16(t.buf[20:]))
	if items%2 != 0 || bdbPageHead+2*items > t.size {
		return 0, false
	}
	next = t.order.Uint32(t.buf[16:])
	for i := 0; i < items; i += 2 {
		key, ok1 := t.item(i, items)
		value, ok2 := t.item(i+1, items)
		if !ok1 || !ok2 || len(key) < 1 || key[0] != bdbItemHere {
			t.bad++
			continue
		}
		if len(key) == 5 && string(key[1:]) == "\x00\x00\x00\x00" {
			continue // the number that the next package gets
		}
		header, ok := t.value(value)
		if !ok || int64(len(header)) > t.left {
			t.bad++
			continue
		}
		t.left -= int64(len(header))
		each(header)
	}
	return next, true
}

// item returns item i of the page: they are laid down from the end of the page.
func (t *bdbTable) item(i, items int) ([]byte, bool) {
	from, to := int(t.order.Uint16(t.buf[bdbPageHead+2*i:])), t.size
	if i > 0 {
		to = int(t.order.Uint16(t.buf[bdbPageHead+2*(i-1):]))
	}
	if from < bdbPageHead+2*items || from >= to || to > t.size {
		return nil, false
	}
	return t.buf[from:to], true
}

func (t *bdbTable) value(item []byte) ([]byte, bool) {
	if item[0] == bdbItemHere {
		return item[1:], true
	}
	if item[0] != bdbItemBeyond || len(item) < 12 {
		return nil, false
	}
	next, length := t.order.Uint32(item[4:]), t.order.Uint32(item[8:])
	if length > maxRpmBlob {
		return nil, false
	}
	t.blob = t.blob[:0]
	for next != 0 {
		if t.read(next, t.over) != nil || t.over[25] != bdbOverflow {
			return nil, false
		}
		n := int(t.order.Uint16(t.over[22:]))
		if n > t.size-bdbPageHead {
			return nil, false
		}
		if t.blob = append(t.blob, t.over[bdbPageHead:bdbPageHead+n]...); len(t.blob) > int(length) {
			return nil, false
		}
		next = t.order.Uint32(t.over[16:])
	}
	return t.blob, len(t.blob) == int(length)
}
