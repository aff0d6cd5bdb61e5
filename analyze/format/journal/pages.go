package journal

import (
	"errors"
	"io"
)

// Pages are read whole and kept, so that the objects that many entries share
// are read once. 1,024 pages of 64 KiB hold most journal files entirely.
const (
	pageBits = 16
	pageSize = 1 << pageBits
	pageSets = 256
	pageWays = 4
)

// pages is a bounded cache in front of a ReaderAt. A page is never written
// again once it is handed out: what points into it stays valid.
type pages struct {
	r    io.ReaderAt
	size int64
	err  error // first error of r
	tick uint64
	sets [pageSets][pageWays]page
}

type page struct {
	no   int64 // number + 1; 0 is empty
	used uint64
	data []byte
}

// bytes returns n bytes at off, fewer where the file ends or r failed. They
// must not be changed.
func (p *pages) bytes(off, n int64) []byte {
	if off < 0 || n <= 0 || off >= p.size {
		return nil
	}
	n = min(n, p.size-off)
	at := off & (pageSize - 1)
	if at+n <= pageSize {
		data := p.page(off >> pageBits)
		if at >= int64(len(data)) {
			return nil
		}
		return data[at:min(at+n, int64(len(data)))]
	}
	if n > 4*pageSize {
		return p.direct(off, n)
	}
	out := make([]byte, 0, n)
	for n > 0 {
		part := p.bytes(off, min(n, pageSize-off&(pageSize-1)))
		if len(part) == 0 {
			break
		}
		out = append(out, part...)
		off += int64(len(part))
		n -= int64(len(part))
	}
	return out
}

// direct reads past the cache.
func (p *pages) direct(off, n int64) []byte {
	b := make([]byte, n)
	return b[:p.read(b, off)]
}

func (p *pages) read(b []byte, off int64) int {
	n, err := p.r.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) && p.err == nil {
		p.err = err
	}
	return n
}

func (p *pages) page(no int64) []byte {
	set := &p.sets[no&(pageSets-1)]
	p.tick++
	oldest := 0
	for i := range set {
		if set[i].no == no+1 {
			set[i].used = p.tick
			return set[i].data
		}
		if set[i].used < set[oldest].used {
			oldest = i
		}
	}
	data := p.direct(no<<pageBits, min(pageSize, p.size-no<<pageBits))
	set[oldest] = page{no + 1, p.tick, data}
	return data
}
