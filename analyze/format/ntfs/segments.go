package ntfs

import (
	"bytes"
	"errors"
	"io"
)

// mftWindow is how much is read at once. Two of the largest records fit into
// what is read of small files, too.
const mftWindow = 1 << 20

var signature = []byte("FILE")

// ErrNoRecords says that content has no file record.
var ErrNoRecords = errors.New("no file record of NTFS")

// segments yields the file records of $MFT in their order.
type segments struct {
	r       io.ReaderAt
	size    int64
	holes   []Hole
	record  int64 // bytes of a record
	pos     int64 // of window[0]
	buf     []byte
	window  []byte
	shifted bool // records are not at multiples of their size
	partial bool // records are not where their numbers put them
	damage  []Damage
	seg     segment
}

// recordSize returns the size of the file record that b begins with, 0 where
// it is none.
func recordSize(b []byte) int64 {
	if len(b) < 0x30 || !bytes.HasPrefix(b, signature) {
		return 0
	}
	n := int64(le.Uint32(b[0x1c:]))
	if n < 512 || n > 1<<16 || n&(n-1) != 0 {
		return 0
	}
	at, fixes := int(le.Uint16(b[4:])), int64(le.Uint16(b[6:]))
	if at != 0x2a && at != 0x30 || fixes != n/strideOfFixes+1 {
		return 0
	}
	return n
}

// IsMFT reports whether head begins with a file record.
func IsMFT(head []byte) bool { return recordSize(head) != 0 }

// HasFileRecord reports whether head has a file record anywhere.
func HasFileRecord(head []byte) bool { return findSize(head) != 0 }

// findSize returns the size that most of the file records in b have, 0 where
// there is none: one record can be made to say anything.
func findSize(b []byte) int64 {
	count := map[int64]int{}
	best := int64(0)
	for at := 0; ; at++ {
		i := bytes.Index(b[at:], signature)
		if i < 0 {
			return best
		}
		at += i
		if n := recordSize(b[at:]); n != 0 {
			if count[n]++; count[n] > count[best] {
				best = n
			}
		}
	}
}

func newSegments(r io.ReaderAt, size int64, holes []Hole) (*segments, error) {
	s := &segments{r: r, size: size, holes: sortHoles(holes), buf: make([]byte, max(128<<10, min(size, mftWindow)))}
	for s.record == 0 {
		if err := s.fill(); err != nil {
			return nil, err
		}
		if len(s.window) == 0 {
			return nil, ErrNoRecords
		}
		if s.record = findSize(s.window); s.record == 0 {
			s.advance(max(int64(len(s.window))-0x2f, 1))
		}
	}
	s.rewind()
	return s, s.likeWhole()
}

func (s *segments) rewind() {
	s.pos, s.window, s.shifted, s.damage = 0, s.buf[:0], false, nil
}

func (s *segments) advance(n int64) { s.window, s.pos = s.window[n:], s.pos+n }

// fill reads behind what is left of the window. Holes are passed over, in whole
// records: nothing was ever written there.
func (s *segments) fill() error {
	skip := afterHole(s.holes, s.pos, s.size) - s.pos
	if skip -= skip % max(s.record, strideOfFixes); skip > int64(len(s.window)) {
		s.pos, s.window = s.pos+skip, s.buf[:0]
	}
	kept := copy(s.buf, s.window)
	s.window = s.buf[:kept]
	want := min(int64(len(s.buf)-kept), s.size-s.pos-int64(kept))
	if want <= 0 {
		return nil
	}
	n, err := s.r.ReadAt(s.buf[kept:kept+int(want)], s.pos+int64(kept))
	s.window = s.buf[:kept+n]
	if n > 0 || err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) { // shorter than it was said to be
		s.size = s.pos + int64(kept)
		return nil
	}
	return err
}

// lost records damage; ranges that touch and look alike are one.
func (s *segments) lost(d Damage) {
	if n := len(s.damage); n > 0 {
		if last := &s.damage[n-1]; last.Detail == d.Detail && last.Offset+last.Length == d.Offset {
			last.Length += d.Length
			return
		}
	}
	s.damage = append(s.damage, d)
}

// next returns the next record, its fix-ups undone; io.EOF after the last. It
// is good until the next call.
func (s *segments) next() (*segment, error) {
	for {
		if int64(len(s.window)) < 2*s.record && s.pos+int64(len(s.window)) < s.size {
			if err := s.fill(); err != nil {
				return nil, err
			}
		}
		if int64(len(s.window)) < s.record {
			if firstNonZero(s.window) < len(s.window) {
				s.lost(Damage{Truncated, s.pos, int64(len(s.window)), "the file ends inside a file record"})
			}
			return nil, io.EOF
		}
		b := s.window[:s.record]
		switch {
		case bytes.HasPrefix(b, signature):
			return s.take(b), nil
		case s.isBad(b):
			g := s.take(b)
			g.torn = "NTFS itself marked it as not whole"
			return g, nil
		case firstNonZero(b) == len(b):
			s.advance(s.record) // never used: NTFS does not write all records of its first part
		default:
			s.skip(b)
		}
	}
}

func (s *segments) take(b []byte) *segment {
	s.seg = segment{off: s.pos, b: b}
	s.seg.torn = fixUp(b)
	s.seg.head = readHeader(b, uint64(s.pos/s.record))
	s.advance(s.record)
	return &s.seg
}

// isBad reports whether b is a record that NTFS wrote a mark over when it found
// it torn. The rest of it is as it was.
func (s *segments) isBad(b []byte) bool {
	if !bytes.HasPrefix(b, []byte("BAAD")) {
		return false
	}
	var head [0x30]byte
	copy(head[copy(head[:], signature):], b[len(signature):0x30])
	return recordSize(head[:]) == s.record
}

// skip passes over what is no record: to the next place for one, or, where
// bytes were inserted or lost, to where records go on.
func (s *segments) skip(b []byte) {
	n := s.record
	after := s.window[n:min(2*n, int64(len(s.window)))]
	if !bytes.HasPrefix(after, signature) && !bytes.HasPrefix(after, []byte("BAAD")) && firstNonZero(after) < len(after) {
		for k := 1; k < len(b)+len(after); k++ {
			i := bytes.Index(s.window[k:len(b)+len(after)], signature)
			if i < 0 {
				break
			}
			if k += i; recordSize(s.window[k:]) == s.record {
				n, s.shifted = int64(k), true
				break
			}
		}
	}
	s.lost(Damage{Corrupt, s.pos, n, "no file record"})
	s.advance(n)
}

// number returns which record of $MFT a segment is, and whether its place in
// the file and its header agree on it. In a whole $MFT the place decides, as it
// does for NTFS: a header may have kept an older number. In a part of one, and
// where bytes were inserted or lost, the header decides.
func (s *segments) number(g *segment) (number uint64, agreed bool) {
	position := uint64(g.off / s.record)
	agreed = !s.shifted && (!g.head.stated || g.head.number == position)
	if g.head.stated && (s.shifted || s.partial) {
		return g.head.number, agreed
	}
	return position, agreed
}

// likeWhole looks at the first records for whether this is a whole $MFT, and
// begins anew.
func (s *segments) likeWhole() error {
	votes := 0
	for range 1024 {
		g, err := s.next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if _, agreed := s.number(g); agreed {
			votes++
		} else {
			votes--
		}
	}
	s.rewind()
	s.partial = votes < 0
	return nil
}
