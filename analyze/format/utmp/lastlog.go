package utmp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
)

// Hole is a range of a file that holds zeros by the file system's own word.
type Hole struct{ Offset, Length int64 }

// LastLogin is the last login of one account.
type LastLogin struct {
	Offset, Length int64
	UID            int64
	Sec            int64 // s since 1970 UTC
	Line, Host     []byte
}

// lastLayout is one of the ways in which struct lastlog is laid out.
type lastLayout struct {
	size int64
	big  bool
}

func (l lastLayout) sec(b []byte) int64 {
	var order binary.ByteOrder = binary.LittleEndian
	if l.big {
		order = binary.BigEndian
	}
	if l.size == 296 {
		return int64(order.Uint64(b))
	}
	return int64(order.Uint32(b))
}

// valid reports whether b can be a record that is in use.
func (l lastLayout) valid(b []byte) bool {
	sec := l.sec(b)
	line := text(b[l.size-288 : l.size-256])
	host := text(b[l.size-256 : l.size])
	return sec >= minSec && sec <= maxSec && printable(line) && printable(host)
}

// LastlogSize returns the record size of the layout that makes most sense of
// head and how many records in use it finds there.
func LastlogSize(head []byte) (size int64, used int) {
	l, n := detectLast([]chunk{{0, head}})
	return l.size, n
}

// chunk is a piece of a file.
type chunk struct {
	off  int64
	data []byte
}

// detectLast scores the layouts: a record in use that is valid counts one, one
// that is not counts against.
func detectLast(chunks []chunk) (lastLayout, int) {
	best, most := lastLayout{292, false}, 0
	for _, l := range []lastLayout{{292, false}, {296, false}, {292, true}, {296, true}} {
		score := 0
		for _, c := range chunks {
			first := (c.off + l.size - 1) / l.size * l.size
			for at := first - c.off; at >= 0 && at+l.size <= int64(len(c.data)); at += l.size {
				b := c.data[at : at+l.size]
				switch {
				case isZero(b):
				case l.valid(b):
					score++
				default:
					score--
				}
			}
		}
		if score > most {
			best, most = l, score
		}
	}
	return best, most
}

// LastlogReader yields the accounts of a lastlog file in the order of their
// numbers. Holes are never read.
type LastlogReader struct {
	r      io.ReaderAt
	size   int64
	holes  []Hole
	layout lastLayout
	pos    int64 // next record
	buf    []byte
	window []byte // unread part of buf; starts at pos
	rec    LastLogin
	damage []Damage
}

// lastWindow is how much is read at once.
const lastWindow = 512 << 10

// NewLastlogReader finds the layout and returns a reader. The holes need not
// be sorted nor complete; zeros that are no hole are read and passed over.
func NewLastlogReader(r io.ReaderAt, size int64, holes []Hole) (*LastlogReader, error) {
	l := &LastlogReader{r: r, size: size, buf: make([]byte, lastWindow)}
	l.holes = slices.Clone(holes)
	slices.SortFunc(l.holes, func(a, b Hole) int { return int(max(-1, min(1, a.Offset-b.Offset))) })
	chunks, err := l.sample()
	if err != nil {
		return nil, err
	}
	l.layout, _ = detectLast(chunks)
	l.pos = 0
	return l, nil
}

// Damage returns what was found damaged since the last call.
func (l *LastlogReader) Damage() []Damage {
	d := l.damage
	l.damage = l.damage[:0:0]
	return d
}

// sample returns up to 16 pieces of the file that are not zero.
func (l *LastlogReader) sample() ([]chunk, error) {
	const piece = 8 << 10
	var chunks []chunk
	for pos := int64(0); pos < l.size && len(chunks) < 16; {
		pos = l.skipHole(pos)
		n, err := l.readAt(l.buf, pos)
		if err != nil || n == 0 {
			return chunks, err
		}
		b := l.buf[:n]
		for at := firstNonZero(b); at < len(b) && len(chunks) < 16; {
			from := max(0, at-296)
			to := min(from+piece, len(b))
			chunks = append(chunks, chunk{pos + int64(from), bytes.Clone(b[from:to])})
			at = to + firstNonZero(b[to:])
		}
		pos += int64(n)
	}
	return chunks, nil
}

// skipHole returns pos, or the end of the hole it lies in.
func (l *LastlogReader) skipHole(pos int64) int64 {
	for len(l.holes) > 0 {
		i, _ := slices.BinarySearchFunc(l.holes, pos, func(h Hole, p int64) int {
			if h.Offset <= p {
				return -1
			}
			return 1
		})
		if i == 0 {
			return pos
		}
		h := l.holes[i-1]
		if h.Length <= 0 || pos-h.Offset >= h.Length {
			return pos
		}
		pos = h.Offset + h.Length
	}
	return pos
}

func (l *LastlogReader) readAt(b []byte, pos int64) (int, error) {
	if pos >= l.size {
		return 0, nil
	}
	b = b[:min(int64(len(b)), l.size-pos)]
	n, err := l.r.ReadAt(b, pos)
	if errors.Is(err, io.EOF) || n > 0 {
		err = nil
	}
	return n, err
}

// firstNonZero returns the index of the first byte that is not zero, len(b)
// where there is none.
func firstNonZero(b []byte) int {
	i := 0
	for ; i+32 <= len(b); i += 32 {
		if binary.LittleEndian.Uint64(b[i:])|binary.LittleEndian.Uint64(b[i+8:])|
			binary.LittleEndian.Uint64(b[i+16:])|binary.LittleEndian.Uint64(b[i+24:]) != 0 {
			break
		}
	}
	for ; i < len(b) && b[i] == 0; i++ {
	}
	return i
}

// Next returns the next account that ever logged in, io.EOF after the last.
func (l *LastlogReader) Next() (*LastLogin, error) {
	size := l.layout.size
	for {
		skip := int64(firstNonZero(l.window)) / size * size
		l.window = l.window[skip:]
		l.pos += skip
		if int64(len(l.window)) < size {
			if err := l.more(); err != nil {
				return nil, err
			}
			continue
		}
		b, off := l.window[:size], l.pos
		l.window, l.pos = l.window[size:], l.pos+size
		if isZero(b) {
			continue
		}
		if !l.layout.valid(b) {
			l.damage = append(l.damage, Damage{Corrupt, off, size, "no last login record"})
			continue
		}
		l.rec = LastLogin{
			Offset: off, Length: size, UID: off / size, Sec: l.layout.sec(b),
			Line: text(b[size-288 : size-256]), Host: text(b[size-256:]),
		}
		return &l.rec, nil
	}
}

// more reads the next window, past holes, starting at a record.
func (l *LastlogReader) more() error {
	size := l.layout.size
	// A record that begins before the end of a hole is in use where the rest of it is.
	l.pos = max(l.pos, l.skipHole(l.pos)/size*size)
	left := l.size - l.pos
	if left <= 0 {
		return io.EOF
	}
	n, err := l.readAt(l.buf, l.pos)
	if err != nil {
		return err
	}
	l.window = l.buf[:n]
	if left < size || n == 0 || int64(n) < min(size, left) {
		if left >= size || firstNonZero(l.window) < n {
			l.damage = append(l.damage, Damage{Truncated, l.pos, left, "the file ends inside a record"})
		}
		l.window, l.pos = nil, l.size
		return io.EOF
	}
	return nil
}
