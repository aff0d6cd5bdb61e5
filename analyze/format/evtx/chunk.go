package evtx

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// chunk walks the records of one chunk. Templates belong to it: their offsets
// mean nothing in another.
type chunk struct {
	buf []byte // chunkSize bytes; the unread rest of a cut chunk is zero
	len int    // bytes that were read
	at  int64  // offset of the chunk in the file

	pos    int    // next record
	free   int    // where the chunk's header says that records end
	slack  bool   // pos is beyond free and the sequence of ids is over
	known  bool   // lastID is that of a record of this chunk
	first  uint64 // ids that the chunk's header states; first > last when it states none
	last   uint64
	lastID uint64
	lost   int // first byte of damage not yet reported, -1 when none

	templates map[templateKey]*template
	compiler  compiler
	work      int // bytes of binary XML that may still be compiled
	output    int // bytes and places that may still be written for its records
}

// Limits of one chunk. A chunk of ordinary logs compiles some 50 KiB and
// writes some 200 KiB.
const (
	maxCompile = 4 << 20
	maxOutput  = 32 << 20
)

func (c *chunk) init() {
	c.buf = make([]byte, chunkSize)
	c.templates = make(map[templateKey]*template)
	c.compiler.init()
	c.pos, c.len = chunkSize, 0
}

// begin takes the n bytes that were read at offset at as a new chunk.
func (c *chunk) begin(rd *Reader, at int64, n int) {
	clear(c.buf[n:])
	c.len, c.at = n, at
	c.pos, c.free, c.slack, c.known, c.lost = chunkHeader, chunkSize, false, false, -1
	c.first, c.last = 1, 0
	clear(c.templates)
	c.compiler.reset()
	c.work, c.output = maxCompile, maxOutput
	if allZero(c.buf[:n]) {
		c.pos = chunkSize // set aside for later, never used
		return
	}
	if n < chunkSize {
		rd.hurt(Truncated, at+int64(n), 0, "the file ends inside of a chunk")
	}
	if !bytes.HasPrefix(c.buf, chunkMagic) {
		rd.hurt(Corrupt, at, chunkHeader, "a chunk without its magic number, searched for records")
		c.pos, c.free, c.slack = 0, 0, true
		return
	}
	if n < chunkHeader {
		c.pos = chunkSize
		return
	}
	le := binary.LittleEndian
	sum := crc32.Update(crc32.ChecksumIEEE(c.buf[:120]), crc32.IEEETable, c.buf[128:chunkHeader])
	if sum != le.Uint32(c.buf[124:]) {
		rd.hurt(Corrupt, at, chunkHeader, "the checksum of the chunk's header is wrong")
	} else {
		c.first, c.last = le.Uint64(c.buf[24:]), le.Uint64(c.buf[32:])
	}
	free := int64(le.Uint32(c.buf[48:]))
	switch {
	case free < chunkHeader || free > chunkSize:
		rd.hurt(Corrupt, at+48, 4, "the chunk's free space begins outside of the chunk")
	case crc32.ChecksumIEEE(c.buf[chunkHeader:free]) != le.Uint32(c.buf[52:]):
		c.free = int(free)
		if n == chunkSize { // a cut chunk is told already
			rd.hurt(Corrupt, at+chunkHeader, free-chunkHeader, "the checksum of the chunk's records is wrong")
		}
	default:
		c.free = int(free)
	}
}

func allZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// next decodes the next record into rec; false when the chunk has no more.
func (c *chunk) next(rd *Reader, rec *Record) bool {
	for c.pos+recordMin <= c.len {
		size := c.sizeAt(c.pos)
		if size == 0 {
			if !c.search(rd) {
				break
			}
			continue
		}
		id := binary.LittleEndian.Uint64(c.buf[c.pos+8:])
		beyond := c.pos >= c.free
		if beyond && !c.slack && (rd.closed() || !c.known || id != c.lastID+1) {
			c.slack = true
		}
		c.report(rd, c.pos)
		rec.begin(c.at+int64(c.pos), c.buf[c.pos:c.pos+size])
		rec.Carved = c.slack
		rec.Unlinked = !c.slack && (beyond || c.first <= c.last && (id < c.first || id > c.last))
		c.decode(rec, c.pos, size)
		if !c.slack {
			c.lastID, c.known = id, true
		}
		c.pos += size
		return true
	}
	c.report(rd, min(c.free, c.len))
	c.pos = chunkSize
	return false
}

// sizeAt returns the size of the record at pos, 0 when there is none.
func (c *chunk) sizeAt(pos int) int {
	if !bytes.Equal(c.buf[pos:pos+4], recordMagic) {
		return 0
	}
	size := int64(binary.LittleEndian.Uint32(c.buf[pos+4:]))
	if size < recordMin || int64(pos)+size > int64(c.len) {
		return 0
	}
	if int64(binary.LittleEndian.Uint32(c.buf[int64(pos)+size-4:])) != size {
		return 0
	}
	return int(size)
}

// search moves pos to the next place that looks like a record.
func (c *chunk) search(rd *Reader) bool {
	if c.pos >= c.free {
		c.slack = true
	} else if c.lost < 0 {
		c.lost = c.pos
	}
	for from := c.pos + 1; from+recordMin <= c.len; from++ {
		i := bytes.Index(c.buf[from:c.len], recordMagic)
		if i < 0 {
			break
		}
		from += i
		if from+recordMin <= c.len && c.sizeAt(from) > 0 {
			if from >= c.free {
				c.report(rd, c.free)
				c.slack = true
			}
			c.pos = from
			return true
		}
	}
	return false
}

// report tells of the bytes from c.lost to end that hold no record.
func (c *chunk) report(rd *Reader, end int) {
	if c.lost < 0 {
		return
	}
	if end > c.lost && !allZero(c.buf[c.lost:end]) {
		rd.hurt(Corrupt, c.at+int64(c.lost), int64(end-c.lost), "no record can be read here")
	} else if end > c.lost {
		rd.hurt(Corrupt, c.at+int64(c.lost), int64(end-c.lost), "zeros where records should be")
	}
	c.lost = -1
}
