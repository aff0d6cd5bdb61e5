package jsonl

import (
	"errors"
	"io"
)

// ErrBroken says that a record ends within a string or a bracket.
var ErrBroken = errors.New("record broken off")

// Records cuts a stream of JSON objects into records and knows where each
// begins: one object after the other, on a line each or written over many
// lines; the elements of an array; or the elements of the array that the
// stream's only object has under a key of its own, as in {"Records": […]}.
//
// It looks at strings and brackets alone. A string holds no line break and a
// record in the first form begins with its line, so what is broken off ends
// where the next line begins with a bracket.
type Records struct {
	lines Lines
	key   string

	line []byte // the rest of the line at hand
	at   int64  // offset of line[0]
	eof  error

	level   int // depth at which records begin: 0, 1 in an array, 2 below key
	depth   int
	text    bool   // inside of a string
	escaped bool   // after a backslash
	last    []byte // the last string at depth 1
	isKey   bool   // last was followed by a colon and nothing since
	max     int
	rec     []byte
	from    int64
	open    bool
	long    bool
}

// NewRecords returns a Records whose records have at most max bytes. key may
// be empty.
func NewRecords(r io.Reader, key string, max int) *Records {
	return &Records{lines: *NewLines(r, max), key: key, max: max}
}

// Next returns the next record, good until the next call, and its offset. The
// error is io.EOF; ErrBroken or ErrLong with the offset and what there is of a
// record, after which Next goes on; or that of the reader.
func (r *Records) Next() (rec []byte, off int64, err error) {
	if !r.open {
		r.rec = r.rec[:0]
	}
	for {
		if len(r.line) == 0 {
			if r.eof != nil {
				if r.open {
					return r.end(ErrBroken)
				}
				return nil, r.at, r.eof
			}
			line, off, err := r.lines.Next()
			r.line, r.at = line, off
			switch {
			case errors.Is(err, ErrLong):
				r.rec, r.from, r.open, r.long, r.depth, r.text = r.rec[:0], off, false, false, r.level, false
				return nil, off, ErrLong
			case err != nil:
				r.eof = err
				continue
			}
			if r.open && (r.text || r.level == 0 && line[0] == '{') {
				return r.end(ErrBroken)
			}
		}
		if r.scan() {
			return r.end(nil)
		}
	}
}

// end gives out the record and begins anew behind it.
func (r *Records) end(err error) ([]byte, int64, error) {
	if r.long {
		err = ErrLong
	}
	rec, from := r.rec, r.from
	r.rec, r.open, r.long, r.text, r.escaped, r.depth = r.rec[:0], false, false, false, false, r.level
	return rec, from, err
}

// scan reads on in the line at hand, to the end of a record or of the line.
func (r *Records) scan() (done bool) {
	start := 0
	for i := 0; i < len(r.line); i++ {
		c := r.line[i]
		if r.text {
			switch {
			case r.escaped:
				r.escaped = false
			case c == '\\':
				r.escaped = true
			case c == '"':
				r.text = false
			default:
				if r.depth == 1 && len(r.last) < 64 {
					r.last = append(r.last, c)
				}
			}
			continue
		}
		switch c {
		case '"':
			r.text = true
			if r.depth == 1 {
				r.last, r.isKey = r.last[:0], false
			}
		case ':':
			r.isKey = r.depth == 1
		case '{':
			if r.depth == r.level && !r.open {
				r.open, r.from, start = true, r.at+int64(i), i
			}
			r.depth++
		case '[':
			switch {
			case r.depth == 0 && !r.open:
				r.level = 1
			case r.depth == 1 && r.level == 0 && r.isKey && r.key != "" && string(r.last) == r.key:
				// The object around is no record.
				r.level, r.open, r.long, r.rec = 2, false, false, r.rec[:0]
			}
			r.depth++
		case '}', ']':
			if r.depth > 0 {
				r.depth--
			}
			switch {
			case r.open && r.depth == r.level && c == '}':
				r.keep(r.line[start : i+1])
				r.line, r.at = r.line[i+1:], r.at+int64(i+1)
				return true
			case !r.open && r.depth < r.level:
				r.level = 0
			}
		case ' ', '\t', '\r', '\n':
			continue
		}
		if c != ':' && c != '"' && c != '[' {
			r.isKey = false
		}
	}
	if r.open {
		r.keep(r.line[start:])
	}
	r.line = nil
	return false
}

func (r *Records) keep(b []byte) {
	if r.long || len(r.rec)+len(b) > r.max {
		r.long = true
		return
	}
	r.rec = append(r.rec, b...)
}
