package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// WAL is a write-ahead log: the newest versions of pages that are not yet in
// the database.
//
// It begins with 32 bytes: magic (0x377f0682; 0x377f0683 where checksums are
// over big-endian words), version 3007000, page size, sequence number, two
// salts, two checksums. Frames follow: page number, number of pages in the
// database where the frame ends a transaction or 0, the salts, two checksums
// over everything so far (24 bytes together), then the page. The log ends at
// the first frame whose salts or checksums are others: what follows is left
// over from before the log was begun anew.
type WAL struct {
	Committed int64 // bytes of the log up to the end of its last transaction
	Pending   int64 // bytes behind them of a transaction that was not committed

	r     io.ReaderAt
	size  int64
	psize int
	pages map[uint32]int64   // offset of the newest committed version
	older map[uint32][]int64 // offsets of the committed versions before it
}

const (
	walHeader   = 32
	frameHeader = 24
	walMagic    = 0x377f0682
	walVersion  = 3007000
)

// IsWAL reports whether b begins like a write-ahead log.
func IsWAL(b []byte) bool {
	return len(b) >= walHeader && binary.BigEndian.Uint32(b)&^1 == walMagic && binary.BigEndian.Uint32(b[4:]) == walVersion
}

// OpenWAL reads the frames of a log up to the first that is not its own. A
// log without any frame is no error.
func OpenWAL(r io.ReaderAt, size int64) (*WAL, error) {
	head := make([]byte, walHeader)
	if n, err := r.ReadAt(head, 0); n < len(head) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("%w: write-ahead log: %w", ErrFormat, err)
	}
	if !IsWAL(head) {
		return nil, fmt.Errorf("%w: write-ahead log without magic", ErrFormat)
	}
	w := &WAL{r: r, size: size, psize: int(binary.BigEndian.Uint32(head[8:])), pages: map[uint32]int64{}, older: map[uint32][]int64{}}
	if w.psize < 512 || w.psize > 65536 || w.psize&(w.psize-1) != 0 {
		return nil, fmt.Errorf("%w: write-ahead log with pages of %d bytes", ErrFormat, w.psize)
	}
	sum := checksum{order: binary.LittleEndian}
	if head[3]&1 == 1 {
		sum.order = binary.BigEndian
	}
	if sum.add(head[:24]); !sum.is(head[24:]) {
		return nil, fmt.Errorf("%w: header of the write-ahead log has another checksum", ErrFormat)
	}
	w.Committed = walHeader
	return w, w.frames(head, sum)
}

// frames follows the log's checksums from its header on.
func (w *WAL) frames(head []byte, sum checksum) error {
	frame := make([]byte, frameHeader+w.psize)
	open := map[uint32]int64{} // pages of the transaction that is not yet committed
	at := int64(walHeader)
	for ; at+int64(len(frame)) <= w.size; at += int64(len(frame)) {
		if n, err := w.r.ReadAt(frame, at); n < len(frame) {
			return err
		}
		if string(frame[8:16]) != string(head[16:24]) {
			break
		}
		sum.add(frame[:8])
		if sum.add(frame[frameHeader:]); !sum.is(frame[16:24]) {
			break
		}
		open[binary.BigEndian.Uint32(frame)] = at + frameHeader
		if binary.BigEndian.Uint32(frame[4:]) != 0 {
			for no, off := range open {
				if was, again := w.pages[no]; again {
					w.older[no] = append(w.older[no], was)
				}
				w.pages[no] = off
			}
			clear(open)
			w.Committed = at + int64(len(frame))
		}
	}
	w.Pending = at - w.Committed
	return nil
}

// versions returns where versions of a page are that no longer count.
func (w *WAL) versions(no uint32) []int64 {
	if w == nil {
		return nil
	}
	return w.older[no]
}

// page returns where the newest committed version of a page is.
func (w *WAL) page(no uint32) (int64, bool) {
	if w == nil {
		return 0, false
	}
	off, ok := w.pages[no]
	return off, ok
}

func (w *WAL) length() int64 {
	if w == nil {
		return 0
	}
	return w.size
}

// checksum is the log's own: two sums of 32 bits over pairs of words.
type checksum struct {
	order  binary.ByteOrder
	s0, s1 uint32
}

// add takes b, a multiple of 8 bytes.
func (c *checksum) add(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		c.s0 += c.order.Uint32(b) + c.s1
		c.s1 += c.order.Uint32(b[4:]) + c.s0
	}
}

// is compares with two sums as they are stored.
func (c *checksum) is(b []byte) bool {
	return binary.BigEndian.Uint32(b) == c.s0 && binary.BigEndian.Uint32(b[4:]) == c.s1
}
