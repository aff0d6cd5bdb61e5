package kcore

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// ErrLime says that bytes are no LiME range header of version 1.
var ErrLime = errors.New("not in LiME format")

// LimeReader reads a LiME file range by range: Next, then Read to the end of
// the range. What is left of a range is skipped by the next Next.
type LimeReader struct {
	r    *bufio.Reader
	left uint64
}

// NewLimeReader returns a reader of a LiME file.
func NewLimeReader(r io.Reader) *LimeReader {
	return &LimeReader{r: bufio.NewReaderSize(r, 64<<10)}
}

// Next goes to the next range: io.EOF after the last, io.ErrUnexpectedEOF
// where the file ends in the middle of one, ErrLime where it is another format.
func (l *LimeReader) Next() (Range, error) {
	if _, err := io.Copy(io.Discard, l); err != nil {
		return Range{}, err
	}
	var head [LimeHeaderSize]byte
	if _, err := io.ReadFull(l.r, head[:]); err != nil {
		return Range{}, err
	}
	le := binary.LittleEndian
	r := Range{le.Uint64(head[8:]), le.Uint64(head[16:])}
	switch {
	case le.Uint32(head[:]) != 0x4C694D45 || le.Uint32(head[4:]) != 1:
		return Range{}, ErrLime
	case r.End < r.Start || r.End == math.MaxUint64:
		return Range{}, fmt.Errorf("range %#x-%#x: %w", r.Start, r.End, ErrLime)
	}
	r.End++ // the header has the last address
	l.left = r.End - r.Start
	return r, nil
}

// Read reads of the range: io.EOF at its end, io.ErrUnexpectedEOF where the
// file ends first.
func (l *LimeReader) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, io.EOF
	}
	if uint64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.r.Read(p)
	l.left -= uint64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
