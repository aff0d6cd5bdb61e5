package timeline

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/evidence"
)

func validText(s string) bool { return utf8.ValidString(s) }

// contentColumns are the columns that say what happened, to whom, where and
// when; where the record was found, how it was read and how its time was
// interpreted are left out.
var contentColumns = func() []*Column {
	leave := map[string]bool{
		"seq": true, "ts_raw": true, "ts_lo": true, "ts_hi": true, "tz_src": true, "tz_off_min": true,
		"year_src": true, "skew_ns": true, "source_short": true, "source_long": true, "parser": true,
		"parser_ver": true, "rec_off": true, "rec_len": true, "line": true,
	}
	var cols []*Column
	for i := range Columns {
		if !leave[Columns[i].Name] {
			cols = append(cols, &Columns[i])
		}
	}
	return cols
}()

// ContentID returns the identity of what an event says: equal for the same
// record read from a rotated copy, a snapshot or a second collection of one
// host. It is the first 16 bytes of SHA-256 over the set content columns
// (number of the column in the content set as 1 byte, then 8 bytes big-endian
// integer, or 4 bytes big-endian length and the text), then the attributes in
// order (0xff, and key and value each with their length).
func ContentID(e *Event) ID {
	buf := make([]byte, 0, 1024)
	return contentID(e, &buf)
}

// ContentIDs computes content identities one after the other without
// allocating. The zero value is ready; it belongs to one goroutine.
type ContentIDs struct{ buf []byte }

// Of returns ContentID(e).
func (c *ContentIDs) Of(e *Event) ID { return contentID(e, &c.buf) }

func contentID(e *Event, scratch *[]byte) ID {
	b := (*scratch)[:0]
	for i, c := range contentColumns {
		if c.Int != nil {
			if n := *c.Int(e); n != None {
				b = append(b, byte(i))
				b = binary.BigEndian.AppendUint64(b, uint64(n))
			}
		} else if s := *c.Str(e); s != "" {
			b = append(b, byte(i))
			b = appendSized(b, s)
		}
	}
	for i := range e.Attrs {
		b = append(b, 0xff)
		b = appendSized(b, e.Attrs[i].Key)
		b = appendSized(b, e.Attrs[i].Value)
	}
	*scratch = b
	sum := evidence.Sum(b)
	var id ID
	copy(id[:], sum[:])
	return id
}

func appendSized(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}
