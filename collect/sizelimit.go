package collect

import (
	"fmt"
	"sync"
)

// sizeLimit keeps a bundle below a size. It counts with what is certain: what
// waits to be compressed, and what is about to be read, as if neither
// compressed at all. Content ends first; records of what was left out go on,
// then lines of the ledger, and where even those find no room the run ends.
type sizeLimit struct {
	max    int64
	length func() int64 // of the bundle, and of all that has to be written at its end
	mu     sync.Mutex
	begun  int64 // bytes of the items under way
}

// overhead is what an item costs besides its bytes: two lines of the
// manifest, which may hold extended attributes, a tar header, padding and what
// frames add to bytes that do not compress.
func overhead(size int64) int64 { return 8<<10 + size/1024 }

// reserve is kept free of content.
func (s *sizeLimit) reserve() int64 { return 512<<10 + s.max/32 }

// room is what is left for content, negative in the reserve.
func (s *sizeLimit) room() int64 { return s.max - s.length() - s.reserve() - s.begun }

// admit reserves room for an item of so many bytes until done is called, or
// says why there is none.
func (s *sizeLimit) admit(size int64) (done func(), why string) {
	if s == nil {
		return func() {}, ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	size = max(size, 0)
	size += overhead(size)
	if room := s.room(); room < size {
		return nil, fmt.Sprintf("%s: the bundle may have %d bytes, of which at most %d are left for content", limitSize, s.max, max(room, 0))
	}
	s.begun += size
	return func() {
		s.mu.Lock()
		s.begun -= size
		s.mu.Unlock()
	}, ""
}

// streamHeld is how much of an item of unknown length may have been read and
// not reached the bundle: a segment being filled and one being written.
const streamHeld = 2 * segmentSize

// stream admits an item of unknown length block by block until done is called.
func (s *sizeLimit) stream() (goOn func(n int64) bool, done func()) {
	if s == nil {
		return nil, func() {}
	}
	held := int64(0)
	goOn = func(n int64) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.room() < overhead(n)+n {
			return false
		}
		more := min(n, streamHeld-held)
		held, s.begun = held+more, s.begun+more
		return true
	}
	return goOn, func() {
		s.mu.Lock()
		s.begun -= held
		s.mu.Unlock()
	}
}

// notes reports whether there is room for a record without content.
func (s *sizeLimit) notes() bool { return s == nil || s.left() > s.reserve()/2 }

// wide reports whether the limit is far away: what is written before the end,
// and waits to be compressed, takes nothing from content then.
func (s *sizeLimit) wide() bool { return s == nil || s.left() > s.max/4+16<<20 }

// exhausted reports whether nothing more may be written but the end.
func (s *sizeLimit) exhausted() bool { return s != nil && s.left() < s.reserve()/4 }

func (s *sizeLimit) left() int64 { return s.max - s.length() }
