// Package boltread reads databases of bbolt (go.etcd.io/bbolt, format version
// 2), which containerd, Docker and Podman keep their state in, without ever
// opening them as a database: no lock is taken or waited for, nothing is mapped
// and nothing written, and a damaged or malicious file costs an error, where
// the library's own reader would panic. Memory is bounded by the longest entry
// and the depth of the tree.
//
// The format, all integers little-endian as on every machine that containers
// run on: pages of one size; a page starts with its number (8 bytes), flags (2),
// number of elements (2) and number of further pages that belong to it (4).
// Pages 0 and 1 each hold a meta block: magic, version, page size and flags (4
// each), root page and sequence of the top bucket, page of the free list, first
// unused page and number of the transaction (8 each), FNV-1a of these (8). Of
// two that are sound the younger counts. A branch page has elements of 16
// bytes: position and length of the key (4 each), page (8). A leaf page has
// elements of 16 bytes: flags, position, length of key, of value (4 each);
// flag 1 says that the value is a bucket: root page and sequence (8 each) and,
// where the root is 0, the page itself. Positions count from their element.
package boltread

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// ErrFormat says that the file is no database, is damaged, or has entries
// larger than are read.
var ErrFormat = errors.New("not a sound bbolt database")

// ErrChanged says that the database was written to while it was read, so that
// what was read need not belong together.
var ErrChanged = errors.New("the database changed while it was read")

const (
	magic      = 0xED0CDAED
	version    = 2
	headerSize = 16
	metaSize   = 64 // with its checksum

	flagBranch = 1
	flagLeaf   = 2
	flagBucket = 1 // of a leaf element

	minPage  = 512
	maxPage  = 64 << 10
	maxRun   = 16 << 20  // one page with those that belong to it
	maxDepth = 64        // of pages and buckets, one in the other
	maxRead  = 512 << 20 // bytes read for one DB: pages that lead in circles end here
)

// DB is a database as of one transaction.
type DB struct {
	r     io.ReaderAt
	size  int64 // of a page
	root  uint64
	end   uint64 // first page that is not used
	txid  uint64
	bytes int64 // read so far
}

// Open reads the meta blocks.
func Open(r io.ReaderAt) (*DB, error) {
	first, err := readMeta(r, 0)
	var second meta
	err2 := fmt.Errorf("%w: no second meta block", ErrFormat)
	if err == nil {
		second, err2 = readMeta(r, int64(first.pageSize))
	} else {
		// The first is damaged: the second is at the page size, which only
		// it tells.
		for size := int64(minPage); size <= maxPage && err2 != nil; size *= 2 {
			if second, err2 = readMeta(r, size); err2 == nil && int64(second.pageSize) != size {
				err2 = fmt.Errorf("%w: meta block at the wrong place", ErrFormat)
			}
		}
	}
	m := first
	switch {
	case err != nil && err2 != nil:
		return nil, err
	case err != nil, err2 == nil && second.txid > first.txid:
		m = second
	}
	return &DB{r: r, size: int64(m.pageSize), root: m.root, end: m.end, txid: m.txid}, nil
}

// Changed returns ErrChanged when the database was written to since Open.
func (db *DB) Changed() error {
	now, err := Open(db.r)
	if err != nil {
		return err
	}
	if now.txid != db.txid {
		return ErrChanged
	}
	return nil
}

type meta struct {
	pageSize        uint32
	root, end, txid uint64
}

func readMeta(r io.ReaderAt, at int64) (meta, error) {
	var b [headerSize + metaSize]byte
	if _, err := r.ReadAt(b[:], at); err != nil {
		if err == io.EOF {
			err = fmt.Errorf("%w: too short", ErrFormat)
		}
		return meta{}, err
	}
	body := b[headerSize:]
	le := binary.LittleEndian
	m := meta{pageSize: le.Uint32(body[8:]), root: le.Uint64(body[16:]), end: le.Uint64(body[40:]), txid: le.Uint64(body[48:])}
	sum := fnv.New64a()
	sum.Write(body[:56])
	switch {
	case le.Uint32(body) != magic:
		return meta{}, fmt.Errorf("%w: no magic number", ErrFormat)
	case le.Uint32(body[4:]) != version:
		return meta{}, fmt.Errorf("%w: version %d", ErrFormat, le.Uint32(body[4:]))
	case le.Uint64(body[56:]) != sum.Sum64():
		return meta{}, fmt.Errorf("%w: meta block with a wrong checksum", ErrFormat)
	case m.pageSize < minPage || m.pageSize > maxPage || m.pageSize&(m.pageSize-1) != 0:
		return meta{}, fmt.Errorf("%w: pages of %d bytes", ErrFormat, m.pageSize)
	}
	return m, nil
}

// Bucket is a set of entries, some of which may be buckets.
type Bucket struct {
	db     *DB
	root   uint64
	inline []byte // the page, where root is 0
	depth  int
}

// Root returns the top bucket.
func (db *DB) Root() *Bucket { return &Bucket{db: db, root: db.root} }

// Entry is a key with its value, or with its bucket (then Value is nil). The
// slices are the caller's.
type Entry struct {
	Key, Value []byte
	Bucket     *Bucket
}

// Each calls f for every entry, in the order of the keys, until it returns an
// error, which Each returns.
func (b *Bucket) Each(f func(Entry) error) error {
	if b.root == 0 {
		if len(b.inline) == 0 {
			return fmt.Errorf("%w: bucket without a page", ErrFormat)
		}
		return b.leaf(b.inline, f)
	}
	return b.page(b.root, b.depth, f)
}

// Get returns what a key holds; ok is false where there is none. It looks
// through the bucket from the beginning.
func (b *Bucket) Get(key string) (e Entry, ok bool, err error) {
	err = b.Each(func(at Entry) error {
		if string(at.Key) != key {
			return nil
		}
		e, ok = at, true
		return errFound
	})
	if err == errFound { //nolint:errorlint // our own, never wrapped
		err = nil
	}
	return e, ok, err
}

var errFound = errors.New("found")

// Bucket returns the bucket at the end of a path of keys, nil where there is
// none.
func (b *Bucket) Bucket(path ...string) (*Bucket, error) {
	for _, key := range path {
		e, ok, err := b.Get(key)
		if err != nil || !ok || e.Bucket == nil {
			return nil, err
		}
		b = e.Bucket
	}
	return b, nil
}

func (b *Bucket) page(id uint64, depth int, f func(Entry) error) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: deeper than %d levels", ErrFormat, maxDepth)
	}
	p, err := b.db.read(id)
	if err != nil {
		return err
	}
	switch binary.LittleEndian.Uint16(p[8:]) {
	case flagLeaf:
		return b.leaf(p, f)
	case flagBranch:
		count := int(binary.LittleEndian.Uint16(p[10:]))
		if count == 0 || headerSize+16*count > len(p) {
			return fmt.Errorf("%w: page %d has %d elements", ErrFormat, id, count)
		}
		for i := range count {
			if err := b.page(binary.LittleEndian.Uint64(p[headerSize+16*i+8:]), depth+1, f); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%w: page %d is neither branch nor leaf", ErrFormat, id)
}

// read returns a page with those that belong to it.
func (db *DB) read(id uint64) ([]byte, error) {
	if db.bytes += db.size; db.bytes > maxRead {
		return nil, fmt.Errorf("%w: more than %d bytes to look at", ErrFormat, maxRead)
	}
	if id < 2 || id >= db.end || id > (1<<62)/uint64(db.size) {
		return nil, fmt.Errorf("%w: no page %d", ErrFormat, id)
	}
	at := int64(id) * db.size
	p := make([]byte, db.size)
	if _, err := db.r.ReadAt(p, at); err != nil {
		if err == io.EOF {
			err = fmt.Errorf("%w: page %d is behind the end", ErrFormat, id)
		}
		return nil, err
	}
	if got := binary.LittleEndian.Uint64(p); got != id {
		return nil, fmt.Errorf("%w: page %d says it is %d", ErrFormat, id, got)
	}
	more := int64(binary.LittleEndian.Uint32(p[12:]))
	if more == 0 {
		return p, nil
	}
	if more*db.size > maxRun {
		return nil, fmt.Errorf("%w: page %d goes on for %d pages", ErrFormat, id, more)
	}
	db.bytes += more * db.size
	// Memory grows with what is there, not with what the page claims.
	rest, err := io.ReadAll(io.NewSectionReader(db.r, at+db.size, more*db.size))
	if err != nil {
		return nil, err
	}
	if int64(len(rest)) < more*db.size {
		return nil, fmt.Errorf("%w: page %d is behind the end", ErrFormat, id)
	}
	return append(p, rest...), nil
}

func (b *Bucket) leaf(p []byte, f func(Entry) error) error {
	le := binary.LittleEndian
	if len(p) < headerSize || le.Uint16(p[8:]) != flagLeaf {
		return fmt.Errorf("%w: not a leaf page", ErrFormat)
	}
	count := int(le.Uint16(p[10:]))
	if headerSize+16*count > len(p) {
		return fmt.Errorf("%w: leaf page of %d elements", ErrFormat, count)
	}
	for i := range count {
		at := headerSize + 16*i
		flags, key := le.Uint32(p[at:]), uint64(at)+uint64(le.Uint32(p[at+4:]))
		value := key + uint64(le.Uint32(p[at+8:]))
		end := value + uint64(le.Uint32(p[at+12:]))
		if key < uint64(headerSize+16*count) || end > uint64(len(p)) {
			return fmt.Errorf("%w: element outside of its page", ErrFormat)
		}
		e := Entry{Key: clone(p[key:value]), Value: clone(p[value:end])}
		if flags&flagBucket != 0 {
			if len(e.Value) < 16 || b.depth+1 > maxDepth {
				return fmt.Errorf("%w: bucket %q", ErrFormat, e.Key)
			}
			e.Bucket = &Bucket{db: b.db, root: le.Uint64(e.Value), inline: e.Value[16:], depth: b.depth + 1}
			e.Value = nil
		}
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}

func clone(b []byte) []byte { return append([]byte{}, b...) }
