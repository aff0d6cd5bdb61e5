// Package evtx reads Windows event log files (.evtx): every record with all of
// its values, from whole, dirty and damaged files, and the old records that
// lie in the slack of their chunks.
//
// # Format
//
// Microsoft documents binary XML in [MS-EVEN6] 2.2.12 to 2.2.17; the file
// around it is described by J. Metz, "Windows XML Event Log (EVTX)" (libevtx).
// All numbers are little endian, times are FILETIMEs: 100 ns since 1601 UTC.
//
// File header, 128 bytes of a block of 4096:
//
//	 0  "ElfFile\0"             36  minor, major version  u16 u16
//	 8  first chunk       u64   40  size of the block     u16 (4096)
//	16  last chunk        u64   42  number of chunks      u16
//	24  next record id    u64  120  flags u32: 1 dirty, 2 full
//	32  header size       u32  124  CRC-32 of bytes 0 to 120
//
// Chunk, 65,536 bytes, one after the other:
//
//	 0  "ElfChnk\0"             44  last record           u32
//	 8  first, last record      48  free space            u32
//	    number        u64 u64   52  CRC-32 of the records u32
//	24  first, last record     120  flags                 u32
//	    id            u64 u64  124  CRC-32 of bytes 0 to 120 and 128 to 512
//	40  header size       u32  128  64 names, 384: 32 templates, 512: records
//
// Record: 0x00002a2a, size u32, record id u64, time written u64, binary XML,
// size again. Offsets inside binary XML count from the start of the chunk.
//
// # Reading
//
// The count of chunks in the file header is not believed: a dirty file states
// an old one. Every 64 KiB are looked at. Inside a chunk records follow each
// other up to the free space; one that continues the sequence of record ids
// beyond it is yielded as unlinked (the header was not written back), any
// other record found in the slack as carved. After damage the next record is
// searched byte by byte.
//
// An event is flattened: System goes to Record.System, everything else to
// Record.Data in the order of the XML, under the names an analyst knows (the
// Name of a Data element, the element of UserData). Templates are compiled
// once per chunk to a list of such places.
package evtx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// ErrNotEvtx says that the content is no event log.
var ErrNotEvtx = errors.New("not a Windows event log file")

// Loss says how a Damage came about.
type Loss string

// The kinds of Damage.
const (
	Truncated Loss = "truncated" // the file ends before it should
	Corrupt   Loss = "corrupt"   // bytes break the format
	TooBig    Loss = "too-big"   // over a limit of this package
)

// Damage is a place in the file that could not be read as it should.
type Damage struct {
	Loss           Loss
	Offset, Length int64
	Detail         string
}

// Sizes of the format.
const (
	headerBlock = 4096
	chunkSize   = 64 << 10
	chunkHeader = 512
	recordHead  = 24 // magic, size, id, time
	recordMin   = recordHead + 4
)

var (
	fileMagic   = []byte("ElfFile\x00")
	chunkMagic  = []byte("ElfChnk\x00")
	recordMagic = []byte{0x2a, 0x2a, 0, 0}
)

// IsEvtx says whether content that begins with head is an event log, or the
// chunks of one without their file header.
func IsEvtx(head []byte) bool {
	return bytes.HasPrefix(head, fileMagic) || bytes.HasPrefix(head, chunkMagic) ||
		len(head) >= headerBlock+len(chunkMagic) && bytes.HasPrefix(head[headerBlock:], chunkMagic)
}

// Header is what the file says of itself. A dirty file was not closed; its
// figures are of the last time it was written back.
type Header struct {
	Present      bool // there is a file header
	Chunks       uint16
	NextRecord   uint64
	Major, Minor uint16
	Dirty, Full  bool
}

// Reader yields the records of one file. It belongs to one goroutine.
type Reader struct {
	r    io.ReaderAt
	size int64
	head Header

	next   int64 // offset of the next chunk
	chunk  chunk
	record Record
	damage []Damage
	told   int // damage reported so far
	done   bool
}

// maxDamage bounds how many places are reported one by one.
const maxDamage = 2000

// NewReader reads the header of a file of size bytes. The error is ErrNotEvtx
// or that of r.
func NewReader(r io.ReaderAt, size int64) (*Reader, error) {
	rd := &Reader{r: r, size: size}
	head := make([]byte, min(size, headerBlock+int64(len(chunkMagic))))
	if n, err := r.ReadAt(head, 0); err != nil && n < len(head) {
		return nil, fmt.Errorf("read the file header: %w", err)
	}
	if !IsEvtx(head) {
		return nil, ErrNotEvtx
	}
	rd.chunk.init()
	if bytes.HasPrefix(head, chunkMagic) {
		rd.hurt(Corrupt, 0, 0, "no file header: the file begins with a chunk")
		return rd, nil
	}
	rd.next = headerBlock
	rd.readHeader(head)
	return rd, nil
}

// Header returns what the file header says.
func (rd *Reader) Header() Header { return rd.head }

func (rd *Reader) readHeader(b []byte) {
	if !bytes.HasPrefix(b, fileMagic) {
		rd.hurt(Corrupt, 0, headerBlock, "the file header has no magic number")
		return
	}
	if len(b) < 128 {
		rd.hurt(Truncated, int64(len(b)), 0, "the file ends in its header")
		return
	}
	if crc32.ChecksumIEEE(b[:120]) != binary.LittleEndian.Uint32(b[124:]) {
		rd.hurt(Corrupt, 0, 128, "the checksum of the file header is wrong")
	}
	flags := binary.LittleEndian.Uint32(b[120:])
	rd.head = Header{
		Present:    true,
		Chunks:     binary.LittleEndian.Uint16(b[42:]),
		NextRecord: binary.LittleEndian.Uint64(b[24:]),
		Minor:      binary.LittleEndian.Uint16(b[36:]),
		Major:      binary.LittleEndian.Uint16(b[38:]),
		Dirty:      flags&1 != 0,
		Full:       flags&2 != 0,
	}
}

// Next returns the next record, good until the next call. At the end the error
// is io.EOF; any other is that of the underlying reader. What was damaged
// since the last call is in Damage.
func (rd *Reader) Next() (*Record, error) {
	for !rd.done {
		if rd.chunk.next(rd, &rd.record) {
			return &rd.record, nil
		}
		if rd.next >= rd.size {
			rd.done = true
			break
		}
		if err := rd.load(); err != nil {
			rd.done = true
			return nil, err
		}
	}
	return nil, io.EOF
}

// Damage returns what could not be read since it was last called. The slice is
// good until the next call of Next.
func (rd *Reader) Damage() []Damage {
	d := rd.damage
	if rd.done && rd.told > maxDamage {
		d = append(d, Damage{Corrupt, -1, -1, fmt.Sprintf("%d more damaged places", rd.told-maxDamage)})
		rd.told = 0
	}
	rd.damage = rd.damage[:0]
	return d
}

func (rd *Reader) hurt(loss Loss, offset, length int64, detail string) {
	if rd.told++; rd.told > maxDamage {
		return
	}
	rd.damage = append(rd.damage, Damage{loss, offset, length, detail})
}

// load reads the chunk at rd.next.
func (rd *Reader) load() error {
	at := rd.next
	rd.next += chunkSize
	n, err := rd.r.ReadAt(rd.chunk.buf[:min(chunkSize, rd.size-at)], at)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the chunk at %d: %w", at, err)
	}
	rd.chunk.begin(rd, at, n)
	return nil
}

// closed says that the file was closed in order, so that no record can lie
// beyond the end that its chunk states.
func (rd *Reader) closed() bool { return rd.head.Present && !rd.head.Dirty }
