// Package sqlite reads the tables of SQLite 3 databases without ever opening
// them as a database: nothing is locked, recovered or written, every row comes
// with the place of its bytes, and a damaged or malicious file costs the rows
// it damages. A write-ahead log can be laid over the database.
//
// Format: sqlite.org, "Database File Format" (fileformat2.html). All integers
// are big-endian. The file is an array of pages; page 1 begins with a header
// of 100 bytes. A table is a B-tree keyed by the row number, whose leaves
// hold one cell per row: length of the record, row number, record. What does
// not fit into the page goes on in a chain of overflow pages. A record is a
// header of serial types, one per column, then the values.
//
// Not read: tables WITHOUT ROWID, virtual tables, indexes.
package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Magic is what every database begins with.
const Magic = "SQLite format 3\x00"

// ErrFormat says that the file is no database that can be read.
var ErrFormat = errors.New("not a readable SQLite database")

// Bounds of what one database makes the reader do. Pages are visited once
// each, which bounds the rest.
const (
	maxDepth   = 20       // of a B-tree; SQLite's own limit
	maxPayload = 16 << 20 // bytes of one record
	maxColumns = 2000     // SQLite's own limit
	maxTables  = 10_000
	maxSQL     = 1 << 20 // bytes of one statement of the schema
	maxDamage  = 1000    // reports between two calls of Damage
)

// Loss says what happened to evidence; the values are those of evidence.Code.
type Loss string

// Losses.
const (
	Corrupt   Loss = "corrupt"
	Truncated Loss = "truncated"
	TooBig    Loss = "too-big"
)

// Damage is a part of the database, or of its write-ahead log, that could not
// be read.
type Damage struct {
	Loss Loss
	Span
	Detail string
}

// Span is a range of bytes of the database file or of its write-ahead log.
type Span struct {
	Offset, Length int64
	WAL            bool
}

// DB is a database as of its last committed transaction.
type DB struct {
	r      io.ReaderAt
	size   int64
	wal    *WAL
	psize  int
	usable int // bytes of a page that the format uses
	enc    encoding

	tables  []Table
	damage  []Damage
	untold  int // damages beyond maxDamage
	buffers [][]byte
	seen    map[uint32]struct{} // pages that belong to what was read
	free    []uint32            // pages of the free list
	listed  bool                // free was read
}

// Open reads the header and the schema. wal may be nil.
func Open(r io.ReaderAt, size int64, wal *WAL) (*DB, error) {
	db := &DB{r: r, size: size, wal: wal, seen: map[uint32]struct{}{}}
	head := make([]byte, 100)
	if n, err := r.ReadAt(head, 0); n < len(head) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("%w: header: %w", ErrFormat, err)
	}
	if err := db.header(head); err != nil {
		return nil, err
	}
	if wal != nil && wal.psize != db.psize {
		return nil, fmt.Errorf("%w: its pages have %d bytes, those of the write-ahead log %d", ErrFormat, db.psize, wal.psize)
	}
	db.schema()
	return db, nil
}

func (db *DB) header(b []byte) error {
	if string(b[:16]) != Magic {
		return fmt.Errorf("%w: no magic", ErrFormat)
	}
	db.psize = int(binary.BigEndian.Uint16(b[16:]))
	if db.psize == 1 {
		db.psize = 65536
	}
	if db.psize < 512 || db.psize&(db.psize-1) != 0 {
		return fmt.Errorf("%w: pages of %d bytes", ErrFormat, db.psize)
	}
	db.usable = db.psize - int(b[20])
	if db.usable < 480 {
		return fmt.Errorf("%w: %d bytes of a page are reserved", ErrFormat, b[20])
	}
	db.enc = encoding(binary.BigEndian.Uint32(b[56:]))
	if db.enc == 0 {
		db.enc = utf8Text // an empty database has not chosen yet
	}
	if db.enc > utf16BE {
		return fmt.Errorf("%w: text encoding %d", ErrFormat, db.enc)
	}
	return nil
}

// Damage returns what was found damaged since the last call.
func (db *DB) Damage() []Damage {
	d := db.damage
	if db.untold > 0 {
		d = append(d, Damage{Corrupt, Span{Offset: -1, Length: -1}, fmt.Sprintf("%d more places are damaged", db.untold)})
	}
	db.damage, db.untold = nil, 0
	return d
}

func (db *DB) lost(loss Loss, at Span, format string, args ...any) {
	if len(db.damage) >= maxDamage {
		db.untold++
		return
	}
	db.damage = append(db.damage, Damage{loss, at, fmt.Sprintf(format, args...)})
}

// Tables returns the tables that the schema lists and that can be read.
func (db *DB) Tables() []Table { return db.tables }

// Table returns the table of that name, nil where there is none. Names differ
// in more than ASCII case.
func (db *DB) Table(name string) *Table {
	for i := range db.tables {
		if strings.EqualFold(db.tables[i].Name, name) {
			return &db.tables[i]
		}
	}
	return nil
}

// page is one page and where its bytes are.
type page struct {
	no   uint32
	data []byte // db.psize bytes; good until release
	at   Span
}

// span returns the place of length bytes at off of the page.
func (p *page) span(off, length int) Span {
	return Span{p.at.Offset + int64(off), int64(length), p.at.WAL}
}

// load reads a page, the newest committed version of it.
func (db *DB) load(no uint32) (*page, bool) {
	if off, ok := db.wal.page(no); ok {
		return db.read(no, Span{off, int64(db.psize), true})
	}
	return db.read(no, Span{Offset: (int64(no) - 1) * int64(db.psize), Length: int64(db.psize)})
}

// read reads a page from its place.
func (db *DB) read(no uint32, at Span) (*page, bool) {
	r, size := db.r, db.size
	if at.WAL {
		r, size = db.wal.r, db.wal.size
	}
	if no == 0 || at.Offset > size-at.Length {
		db.lost(Truncated, Span{size, -1, at.WAL}, "page %d lies behind the end of the file", no)
		return nil, false
	}
	var buf []byte
	if n := len(db.buffers); n > 0 {
		buf, db.buffers = db.buffers[n-1], db.buffers[:n-1]
	} else {
		buf = make([]byte, db.psize)
	}
	if n, err := r.ReadAt(buf, at.Offset); n < len(buf) {
		db.buffers = append(db.buffers, buf)
		db.lost(Truncated, at, "page %d: %v", no, err)
		return nil, false
	}
	return &page{no, buf, at}, true
}

func (db *DB) release(p *page) { db.buffers = append(db.buffers, p.data) }

// visit notes that a page is in use and reports whether it was not before: a
// page that two places claim belongs to one of them at most.
func (db *DB) visit(no uint32) bool {
	if _, again := db.seen[no]; again {
		return false
	}
	db.seen[no] = struct{}{}
	return true
}

// varint reads an integer of 1 to 9 bytes and returns its length, 0 where b
// ends inside it.
func varint(b []byte) (v uint64, n int) {
	for i := range min(len(b), 8) {
		v = v<<7 | uint64(b[i]&0x7f)
		if b[i] < 0x80 {
			return v, i + 1
		}
	}
	if len(b) < 9 {
		return 0, 0
	}
	return v<<8 | uint64(b[8]), 9
}
