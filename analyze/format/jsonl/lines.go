package jsonl

import (
	"bytes"
	"errors"
	"io"
)

// Lines cuts a stream into lines and knows where each begins.
type Lines struct {
	r    io.Reader
	max  int
	buf  []byte // window
	at   int    // next byte of the window
	off  int64  // offset of buf[0]
	eof  bool
	fail error
}

const window = 256 << 10

// NewLines returns a Lines whose lines have at most max bytes, LF included.
func NewLines(r io.Reader, max int) *Lines {
	return &Lines{r: r, max: max, buf: make([]byte, 0, min(window, max))}
}

// Next returns the next line with its LF, good until the next call, and its
// offset. The last line may lack the LF. The error is io.EOF, ErrLong with the
// offset and an empty line after which Next goes on, or that of the reader.
func (l *Lines) Next() (line []byte, off int64, err error) {
	searched := 0
	for {
		if i := bytes.IndexByte(l.buf[l.at+searched:], '\n'); i >= 0 {
			line = l.buf[l.at : l.at+searched+i+1]
			return l.take(line)
		}
		searched = len(l.buf) - l.at
		if l.eof {
			if searched == 0 {
				return nil, l.off + int64(l.at), l.end()
			}
			return l.take(l.buf[l.at:])
		}
		if searched >= l.max {
			return l.pass()
		}
		l.fill()
	}
}

func (l *Lines) take(line []byte) ([]byte, int64, error) {
	off := l.off + int64(l.at)
	l.at += len(line)
	if len(line) > l.max {
		return nil, off, ErrLong
	}
	return line, off, nil
}

func (l *Lines) end() error {
	if l.fail != nil {
		return l.fail
	}
	return io.EOF
}

// fill makes room and reads once.
func (l *Lines) fill() {
	if l.at > 0 {
		n := copy(l.buf[:cap(l.buf)], l.buf[l.at:])
		l.off += int64(l.at)
		l.at, l.buf = 0, l.buf[:n]
	}
	if len(l.buf) == cap(l.buf) {
		bigger := make([]byte, len(l.buf), min(2*cap(l.buf), l.max+1))
		copy(bigger, l.buf)
		l.buf = bigger
	}
	n, err := l.r.Read(l.buf[len(l.buf):cap(l.buf)])
	l.buf = l.buf[:len(l.buf)+n]
	if err != nil {
		l.eof = true
		if !errors.Is(err, io.EOF) {
			l.fail = err
		}
	}
}

// pass skips the rest of a line that is too long.
func (l *Lines) pass() ([]byte, int64, error) {
	off := l.off + int64(l.at)
	for {
		if i := bytes.IndexByte(l.buf[l.at:], '\n'); i >= 0 {
			l.at += i + 1
			return nil, off, ErrLong
		}
		l.at = len(l.buf)
		if l.eof {
			return nil, off, ErrLong
		}
		l.fill()
	}
}
