package collect

import (
	"bytes"
	"compress/flate"
	"io"
	"sync"
)

// spool holds the lines of a record set that is written at the end of the run
// (ledger, problems, log) compressed in memory, because nothing is staged on
// the host's disks. A hundred thousand ledger lines take about 2 MB.
type spool struct {
	mu     sync.Mutex
	packed bytes.Buffer
	w      *flate.Writer
	size   int64
	full   int64 // lines refused
}

// maxSpool bounds the compressed size; what does not fit is counted.
const maxSpool = 8 << 20

// Write takes one or more whole lines. It never fails: the count of refused
// lines is told by lost.
func (s *spool) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w == nil {
		s.w, _ = flate.NewWriter(&s.packed, flate.BestSpeed) // the level is valid, so there is no error
	}
	if s.packed.Len() > maxSpool {
		s.full++
		return len(line), nil
	}
	s.size += int64(len(line))
	return s.w.Write(line)
}

// lost returns how many lines found no room.
func (s *spool) lost() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full
}

// take returns the lines in order and their length. Nothing is written after.
func (s *spool) take() (io.Reader, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w == nil {
		return bytes.NewReader(nil), 0
	}
	_ = s.w.Close() // a bytes.Buffer takes everything
	return flate.NewReader(bytes.NewReader(s.packed.Bytes())), s.size
}
