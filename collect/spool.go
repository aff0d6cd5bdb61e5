package collect

import (
	"bytes"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Spool holds the lines of a record set that cannot be written yet (ledger,
// problems, log, sockets whose owners are being looked for) compressed in
// memory, because nothing is staged on the host's disks. The zero value is
// ready for use. A hundred thousand ledger lines take about 2 MB.
//
// Lines gather in a chunk, and each full chunk is compressed by itself, so
// that what has to be kept for it between two lines is the chunk and nothing
// else, and no buffer is ever copied into a larger one.
type Spool struct {
	mu     sync.Mutex
	open   []byte   // the chunk being filled
	packed [][]byte // full ones
	held   int      // bytes of packed
	size   int64
	full   int64 // lines refused
}

const (
	spoolChunk = 128 << 10
	// maxSpool bounds the compressed size; what does not fit is counted. It
	// is some million and a half ledger lines.
	maxSpool = 32 << 20
)

// chunkPacker compresses the chunks of all spools, one at a time.
var chunkPacker = sync.OnceValue(func() *zstd.Encoder {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(spoolChunk), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil { // the options are valid, so there is none
		panic(err)
	}
	return enc
})

// Write takes one or more whole lines. It never fails: the count of refused
// lines is told by Lost.
func (s *Spool) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) > 0 && len(s.open)+len(line) > spoolChunk {
		s.pack()
	}
	if s.held > maxSpool {
		s.full++
		return len(line), nil
	}
	s.size += int64(len(line))
	s.open = append(s.open, line...)
	return len(line), nil
}

// pack compresses the open chunk.
func (s *Spool) pack() {
	chunk := slices.Clip(chunkPacker().EncodeAll(s.open, nil))
	s.packed, s.held, s.open = append(s.packed, chunk), s.held+len(chunk), s.open[:0]
}

// Held returns how many bytes the lines take, most of them compressed.
func (s *Spool) Held() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.held + len(s.open))
}

// Size returns how many bytes of lines there are since the last Cut.
func (s *Spool) Size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// Lost returns how many lines found no room.
func (s *Spool) Lost() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full
}

// Take returns the lines in order and their length. Nothing is written after.
func (s *Spool) Take() (io.Reader, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &spoolReader{packed: s.packed, last: s.open}, s.size
}

// Cut is Take for lines that go on: what is written after it begins anew.
func (s *Spool) Cut() (io.Reader, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, size := &spoolReader{packed: s.packed, last: s.open}, s.size
	s.packed, s.open, s.held, s.size = nil, nil, 0, 0
	return r, size
}

// spoolReader unpacks chunk by chunk.
type spoolReader struct {
	packed [][]byte
	last   []byte
	dec    *zstd.Decoder
	buf    []byte
	chunk  bytes.Reader
}

func (r *spoolReader) Read(p []byte) (int, error) {
	for r.chunk.Len() == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	return r.chunk.Read(p)
}

func (r *spoolReader) next() error {
	if len(r.packed) == 0 {
		if len(r.last) == 0 {
			return io.EOF
		}
		r.chunk.Reset(r.last)
		r.last = nil
		return nil
	}
	if r.dec == nil {
		dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		if err != nil {
			return err
		}
		r.dec = dec
	}
	text, err := r.dec.DecodeAll(r.packed[0], r.buf[:0])
	if err != nil {
		return err
	}
	r.buf, r.packed[0], r.packed = text, nil, r.packed[1:]
	r.chunk.Reset(text)
	return nil
}
