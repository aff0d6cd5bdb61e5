// Package textline splits text into lines without trusting it: every line
// comes with its place in the content, lines of any length are bounded in
// memory and never lost silently, and runs of NUL bytes (what a crash leaves
// in a log whose blocks were allocated but not written) separate lines
// instead of swallowing them.
package textline

import (
	"bytes"
	"errors"
	"io"
)

// MaxLine is how much of one line a Reader returns.
const MaxLine = 1 << 20

// nulRun is how many NUL bytes in a row end a line. Fewer are part of it.
const nulRun = 4

const firstBuffer = 256 << 10

// Reader yields the lines of a stream. Its fields describe the line that Next
// found last.
type Reader struct {
	Line      []byte // without its end; at most MaxLine bytes; good until Next is called
	Offset    int64  // of the line's first byte
	Length    int64  // bytes of the whole line with its end ("\n" or "\r\n")
	Number    int64  // from 1
	Truncated bool   // the line is longer than MaxLine: Line is its beginning
	NULs      int64  // NUL bytes skipped right before the line

	r     io.Reader
	buf   []byte
	start int   // first byte not yet given out
	end   int   // end of what was read
	base  int64 // offset of buf[0] in the stream
	err   error
}

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: r, buf: make([]byte, firstBuffer)}
}

// Of returns a Reader of the lines of b, which it reads in place and leaves as
// it is: looking at the head of every file must not cost a buffer each time.
func Of(b []byte) *Reader {
	if len(b) > MaxLine { // a line that is too long is moved inside the buffer
		return NewReader(bytes.NewReader(b))
	}
	return &Reader{buf: b, end: len(b), err: io.EOF}
}

// Next finds the next line and reports whether there is one. A last line
// without end is a line. NUL bytes at the end of the stream are reported with
// an empty line of Length 0.
func (r *Reader) Next() bool {
	r.skipNULs()
	if r.start == r.end {
		r.Line, r.Length, r.Truncated = nil, 0, false
		r.Offset = r.base + int64(r.start)
		return r.NULs > 0
	}
	r.Number++
	r.Truncated = false
	r.Offset = r.base + int64(r.start)
	scanned := 0
	for {
		window := r.buf[r.start+scanned : r.end]
		i := bytes.IndexByte(window, '\n')
		if nul := r.nulsIn(scanned, i); nul >= 0 {
			r.give(nul, 0)
			return true
		}
		if i >= 0 {
			r.give(scanned+i, 1)
			return true
		}
		scanned = r.end - r.start
		if scanned > MaxLine {
			r.giveLong()
			return true
		}
		if !r.fill() {
			r.give(scanned, 0)
			return true
		}
		scanned = max(scanned-nulRun, 0) // a run may begin in the old part
	}
}

// Err returns the error that ended the stream, nil for its regular end.
func (r *Reader) Err() error {
	if errors.Is(r.err, io.EOF) {
		return nil
	}
	return r.err
}

// give hands out n bytes, followed by an end of length tail.
func (r *Reader) give(n, tail int) {
	line := r.buf[r.start : r.start+n]
	r.Length = int64(n + tail)
	r.start += n + tail
	if k := len(line); k > 0 && line[k-1] == '\r' {
		line = line[:k-1]
	}
	if len(line) > MaxLine {
		line, r.Truncated = line[:MaxLine], true
	}
	r.Line = line
}

// giveLong hands out the beginning of a line that is too long and skips the
// rest without keeping it. The beginning is kept at the front of the buffer.
func (r *Reader) giveLong() {
	r.slide()
	r.Line, r.Truncated = r.buf[:MaxLine:MaxLine], true
	length := int64(MaxLine)
	r.start = MaxLine
	for {
		if i := bytes.IndexByte(r.buf[r.start:r.end], '\n'); i >= 0 {
			length += int64(i + 1)
			r.start += i + 1
			break
		}
		length += int64(r.end - r.start)
		r.base += int64(r.end - r.start)
		r.end = r.start
		if !r.read() {
			break
		}
	}
	r.Length = length
}

// nulsIn looks for a run of NUL bytes in the part that was not scanned yet,
// up to newline (relative to it) or its end, and returns where it begins
// relative to the line.
func (r *Reader) nulsIn(scanned, newline int) int {
	to := r.end
	if newline >= 0 {
		to = r.start + scanned + newline
	}
	for at := r.start + scanned; at < to; {
		i := bytes.IndexByte(r.buf[at:to], 0)
		if i < 0 {
			return -1
		}
		at += i
		n := 1
		for at+n < to && n < nulRun && r.buf[at+n] == 0 {
			n++
		}
		if n == nulRun {
			return at - r.start
		}
		at += n
	}
	return -1
}

// skipNULs passes over NUL bytes in front of a line, however many.
func (r *Reader) skipNULs() {
	r.NULs = 0
	for {
		for r.start < r.end {
			if r.buf[r.start] != 0 {
				return
			}
			r.start++
			r.NULs++
		}
		if !r.fill() {
			return
		}
	}
}

// slide moves what is left to the front of the buffer.
func (r *Reader) slide() {
	if r.start > 0 {
		copy(r.buf, r.buf[r.start:r.end])
		r.base += int64(r.start)
		r.end -= r.start
		r.start = 0
	}
}

// fill reads more behind what is left and reports whether there was more.
func (r *Reader) fill() bool {
	if r.err != nil {
		return false
	}
	r.slide()
	if r.end == len(r.buf) {
		bigger := make([]byte, min(2*len(r.buf), MaxLine+firstBuffer))
		copy(bigger, r.buf[:r.end])
		r.buf = bigger
	}
	return r.read()
}

// read reads once into the free end of the buffer.
func (r *Reader) read() bool {
	for range 100 { // io.Reader may return nothing without an error
		if r.err != nil {
			return false
		}
		n, err := r.r.Read(r.buf[r.end:])
		r.end += n
		r.err = err
		if n > 0 {
			return true
		}
	}
	r.err = io.ErrNoProgress
	return false
}
