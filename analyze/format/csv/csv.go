// Package csv cuts tables of text into rows without trusting them, and knows
// where each row begins.
//
// RFC 4180: fields with a comma between, rows that end in a line break; a field
// in quotes may hold commas, line breaks and doubled quotes. Programs write
// worse than that, so a quote within a field that did not begin with one stands
// for itself, and so does text behind a closing quote. A quoted field that does
// not end within the limit ends with its line, and the row is told as broken.
// Behind many of these each field ends with its line: what was looked through in
// vain is looked through again with the next row.
package csv

import (
	"bytes"
	"errors"
	"io"
)

// ErrBroken says that a quoted field does not end.
var ErrBroken = errors.New("a quoted field does not end")

// Reader yields rows. Its fields describe the row that Next found last.
type Reader struct {
	Fields [][]byte // good until the next call of Next
	Offset int64
	Length int64 // with the line break
	Line   int64 // of its first line, from 1

	r     io.Reader
	comma byte
	max   int
	buf   []byte
	at    int // next byte of buf
	base  int64
	lines int64 // line breaks before at
	err   error
	broke int    // rows that were broken
	text  []byte // fields whose quotes were undone
	ends  []int
}

const (
	firstBuffer = 64 << 10
	maxBroken   = 16 // rows behind which fields have no line breaks any more
)

// NewReader returns a Reader of rows of at most max bytes.
func NewReader(r io.Reader, comma byte, max int) *Reader {
	return &Reader{r: r, comma: comma, max: max, buf: make([]byte, 0, min(firstBuffer, max))}
}

// Next finds the next row that is not empty. After ErrBroken, whose row is
// given as far as it goes, Next goes on with the next line.
func (r *Reader) Next() error {
	for {
		if r.base == 0 && r.at == 0 {
			r.need(3)
			if bytes.HasPrefix(r.buf, []byte("\xef\xbb\xbf")) { // byte order mark
				r.at = 3
			}
		}
		n, err := r.row()
		if err != nil && !errors.Is(err, ErrBroken) {
			return err
		}
		if err != nil {
			r.broke++
		}
		row := r.buf[r.at : r.at+n]
		r.Offset, r.Length, r.Line = r.base+int64(r.at), int64(n), r.lines+1
		r.lines += int64(bytes.Count(row, []byte("\n")))
		r.at += n
		if row = bytes.TrimRight(row, "\r\n"); len(row) == 0 {
			continue
		}
		r.split(row)
		return err
	}
}

// row returns how long the row at hand is.
func (r *Reader) row() (n int, err error) {
	quoted, fresh := false, true // fresh: at the beginning of a field
	for i := 0; ; i++ {
		if r.at+i >= len(r.buf) && !r.need(i+1) {
			switch {
			case i == 0:
				return 0, r.end()
			case quoted || len(r.buf)-r.at >= r.max:
				return r.line(i), ErrBroken
			}
			return i, nil
		}
		c := r.buf[r.at+i]
		switch {
		case quoted && c == '\n' && r.broke >= maxBroken:
			return i + 1, ErrBroken
		case quoted:
			quoted = c != '"'
			fresh = !quoted // a second quote opens it again
		case c == '"' && fresh:
			quoted, fresh = true, false
		case c == '\n':
			return i + 1, nil
		default:
			fresh = c == r.comma
		}
	}
}

// line is the length of the first line of n bytes.
func (r *Reader) line(n int) int {
	if i := bytes.IndexByte(r.buf[r.at:r.at+n], '\n'); i >= 0 {
		return i + 1
	}
	return n
}

// need reads until n bytes are at hand, and reports whether they are.
func (r *Reader) need(n int) bool {
	for len(r.buf)-r.at < n && n <= r.max && r.err == nil {
		if r.at > 0 {
			k := copy(r.buf[:cap(r.buf)], r.buf[r.at:])
			r.base += int64(r.at)
			r.at, r.buf = 0, r.buf[:k]
		}
		if len(r.buf) == cap(r.buf) {
			bigger := make([]byte, len(r.buf), min(2*cap(r.buf), r.max))
			copy(bigger, r.buf)
			r.buf = bigger
		}
		var k int
		k, r.err = r.r.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+k]
	}
	return len(r.buf)-r.at >= n
}

func (r *Reader) end() error {
	if r.err != nil {
		return r.err
	}
	return io.EOF
}

// split cuts a row into its fields and undoes their quotes.
func (r *Reader) split(row []byte) {
	r.Fields, r.text, r.ends = r.Fields[:0], r.text[:0], r.ends[:0]
	if bytes.IndexByte(row, '"') < 0 {
		for {
			field, rest, more := bytes.Cut(row, []byte{r.comma})
			r.Fields = append(r.Fields, field)
			if !more {
				return
			}
			row = rest
		}
	}
	quoted, fresh, was := false, true, false // was: the byte before closed a quote
	for _, c := range row {
		switch {
		case quoted:
			if c == '"' {
				quoted, was = false, true
				continue
			}
		case c == '"' && was:
			quoted, was = true, false
		case c == '"' && fresh:
			quoted, fresh = true, false
			continue
		case c == r.comma:
			r.ends = append(r.ends, len(r.text))
			fresh, was = true, false
			continue
		default:
			fresh, was = false, false
		}
		r.text = append(r.text, c)
	}
	from := 0
	for _, end := range append(r.ends, len(r.text)) {
		r.Fields = append(r.Fields, r.text[from:end])
		from = end
	}
}
