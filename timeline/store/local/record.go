package local

import (
	"encoding/binary"
	"errors"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// Events of small jobs wait in PENDING as records: event id, content id, time
// state, flags, then per set column its number plus one and its value, a zero,
// and the attributes. Integers are varints, texts have their length before
// them. The encoding lives no longer than the build that wrote it.

// appendRecord writes a normal event.
func appendRecord(dst []byte, e *timeline.Event, content timeline.ID) []byte {
	dst = append(dst, e.ID[:]...)
	dst = append(dst, content[:]...)
	dst = append(dst, byte(e.TSState))
	dst = binary.AppendUvarint(dst, uint64(e.Flags))
	for i := range timeline.Columns {
		if c := &timeline.Columns[i]; c.Int != nil {
			if n := *c.Int(e); n != timeline.None {
				dst = append(dst, byte(i+1))
				dst = binary.AppendVarint(dst, n)
			}
		} else if s := *c.Str(e); s != "" {
			dst = append(dst, byte(i+1))
			dst = appendText(dst, s)
		}
	}
	dst = append(dst, 0)
	dst = binary.AppendUvarint(dst, uint64(len(e.Attrs)))
	for i := range e.Attrs {
		dst = appendText(dst, e.Attrs[i].Key)
		dst = appendText(dst, e.Attrs[i].Value)
		dst = append(dst, e.Attrs[i].Type)
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

var errRecord = errors.New("pending events are damaged")

// recordReader reads records back. The texts of an event share b.
type recordReader struct {
	b   []byte
	bad bool
}

func (r *recordReader) more() bool { return len(r.b) > 0 && !r.bad }

func (r *recordReader) next(e *timeline.Event) error {
	attrs := e.Attrs[:0]
	*e = timeline.Event{}
	for i := range timeline.Columns {
		if c := &timeline.Columns[i]; c.Int != nil {
			*c.Int(e) = timeline.None
		}
	}
	copy(e.ID[:], r.take(16))
	copy(e.ContentID[:], r.take(16))
	e.TSState = timeline.TimeState(r.byte())
	e.Flags = timeline.Flags(r.uvarint())
	for at := r.byte(); at != 0 && !r.bad; at = r.byte() {
		if int(at) > len(timeline.Columns) {
			r.bad = true
			break
		}
		if c := &timeline.Columns[at-1]; c.Int != nil {
			n, size := binary.Varint(r.b)
			r.bad = r.bad || size <= 0
			r.take(max(size, 0))
			*c.Int(e) = n
		} else {
			*c.Str(e) = r.text()
		}
	}
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		attrs = append(attrs, timeline.Attr{Key: r.text(), Value: r.text(), Type: r.byte()})
	}
	e.Attrs = attrs
	if r.bad {
		return errRecord
	}
	return nil
}

func (r *recordReader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *recordReader) byte() byte {
	if b := r.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *recordReader) uvarint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.bad = true
		return 0
	}
	r.take(size)
	return n
}

func (r *recordReader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return ""
	}
	return bytesAsString(r.take(int(n)))
}
