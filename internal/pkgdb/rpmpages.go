package pkgdb

import (
	"errors"
	"fmt"
	"io"
)

// Bounds of the databases of rpm.
const (
	// MaxRpmDatabase is the largest database that is read, in bytes.
	MaxRpmDatabase = 2 << 30
	// maxRpmBlob is the largest header: a kernel's debug information with
	// a hundred thousand files has 10 MB.
	maxRpmBlob = 32 << 20
)

var (
	// ErrRpmFormat is a database that is none, or of a kind nobody has.
	ErrRpmFormat = errors.New("not readable as a database of rpm")
	errPageTwice = errors.New("a page is used twice")
)

// pages are the pages of a database file, each of which may be asked for
// once: no file makes its reader go in circles.
type pages struct {
	file  io.ReaderAt
	size  int             // of one page
	count uint32          // how many there are
	moved map[uint32]span // pages that are elsewhere (SQLite's log)
	seen  []uint64        // a bit for each
}

type span struct {
	file   io.ReaderAt
	offset int64
}

func newPages(file io.ReaderAt, size int, bytes int64) *pages {
	p := &pages{file: file, size: size}
	p.grow(uint32(bytes / int64(size)))
	return p
}

func (p *pages) grow(count uint32) {
	if count > p.count {
		p.count = count
		p.seen = append(p.seen, make([]uint64, int(count/64)+1-len(p.seen))...)
	}
}

// read fills buf with page n, counted from zero.
func (p *pages) read(n uint32, buf []byte) error {
	if n >= p.count {
		return fmt.Errorf("page %d of %d", n, p.count)
	}
	if p.seen[n/64]&(1<<(n%64)) != 0 {
		return errPageTwice
	}
	p.seen[n/64] |= 1 << (n % 64)
	from := span{p.file, int64(n) * int64(p.size)}
	if s, ok := p.moved[n]; ok {
		from = s
	}
	_, err := from.file.ReadAt(buf[:p.size], from.offset)
	return err
}
