package local

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// rows holds the events of one segment by column until they are written. A
// column that never changes costs nothing: it is kept as one value.
type rows struct {
	n     int
	ids   []timeline.ID
	cids  []timeline.ID
	cols  []column
	bytes int

	source *timeline.Source // of the last row
	attrs  []byte
	order  []rowKey
}

// column is one column of rows, in one of three forms.
type column struct {
	kind   columnKind
	filled bool // false while every row so far has the value of first

	firstInt int64
	ints     []int64

	firstText string
	last      uint32
	codes     []uint32 // kindDict: index into values
	values    []string
	index     map[string]uint32

	ends []uint32 // kindText: end of each row's text in data
	data []byte
}

type rowKey struct {
	ts  int64
	row uint32
	old bool // dated
}

func newRows() *rows {
	r := &rows{cols: make([]column, len(schema))}
	for i := range schema {
		r.cols[i].kind = schema[i].kind
	}
	return r
}

func (r *rows) full(l limits) bool { return r.n >= l.segmentRows || r.bytes >= l.segmentBytes }

// add copies one event, which must be normal.
func (r *rows) add(e *timeline.Event, content timeline.ID) {
	r.ids, r.cids = append(r.ids, e.ID), append(r.cids, content)
	r.bytes += 48
	again := r.n > 0 && e.Source == r.source
	r.source = e.Source
	for i := range schema {
		s := &schema[i]
		switch {
		case s.int != nil:
			r.addInt(&r.cols[i], *s.int(e))
		case s.text != nil:
			r.addText(&r.cols[i], *s.text(e))
		case s.source != nil && again:
			r.repeat(&r.cols[i])
		case s.source != nil:
			text := ""
			if e.Source != nil {
				text = s.source(e.Source)
			}
			r.addText(&r.cols[i], text)
		default:
			r.addText(&r.cols[i], r.special(s.special, e))
		}
	}
	r.n++
}

func (r *rows) special(which specialColumn, e *timeline.Event) string {
	switch which {
	case specialState:
		return e.TSState.String()
	case specialFlags:
		return e.Flags.String()
	case specialAttrs:
		if len(e.Attrs) == 0 {
			return ""
		}
		r.attrs = timeline.AppendAttrs(r.attrs[:0], e.Attrs)
		return bytesAsString(r.attrs)
	}
	r.attrs = timeline.AttrTypes(r.attrs[:0], e.Attrs) // specialAttrTypes
	return bytesAsString(r.attrs)
}

func (r *rows) addInt(c *column, v int64) {
	if !c.filled {
		if r.n == 0 {
			c.firstInt = v
			return
		}
		if v == c.firstInt {
			return
		}
		c.filled = true
		for range r.n {
			c.ints = append(c.ints, c.firstInt)
		}
		r.bytes += 8 * r.n
	}
	c.ints = append(c.ints, v)
	r.bytes += 8
}

func (r *rows) addText(c *column, v string) {
	if !c.filled {
		if r.n == 0 {
			c.firstText = string([]byte(v))
			r.bytes += len(v)
			return
		}
		if v == c.firstText {
			return
		}
		r.fill(c)
	}
	if c.kind == kindText {
		c.data = append(c.data, v...)
		c.ends = append(c.ends, uint32(len(c.data)))
		r.bytes += len(v) + 4
		return
	}
	if v != c.values[c.last] {
		c.last = c.code(v, r)
	}
	c.codes = append(c.codes, c.last)
	r.bytes += 4
}

// repeat adds to a column with a dictionary what its last row has.
func (r *rows) repeat(c *column) {
	if c.filled {
		c.codes = append(c.codes, c.last)
		r.bytes += 4
	}
}

// fill gives a column its rows: it turned out to have a second value.
func (r *rows) fill(c *column) {
	c.filled = true
	r.bytes += r.n * 4
	if c.kind == kindText {
		r.bytes += r.n * len(c.firstText)
		for range r.n {
			c.data = append(c.data, c.firstText...)
			c.ends = append(c.ends, uint32(len(c.data)))
		}
		return
	}
	if c.index == nil {
		c.index = make(map[string]uint32)
	}
	c.values = append(c.values[:0], c.firstText)
	c.index[c.firstText] = 0
	c.last = 0
	for range r.n {
		c.codes = append(c.codes, 0)
	}
}

func (c *column) code(v string, r *rows) uint32 {
	if code, ok := c.index[v]; ok {
		return code
	}
	code := uint32(len(c.values))
	v = string([]byte(v))
	c.values = append(c.values, v)
	c.index[v] = code
	r.bytes += len(v) + 64
	return code
}

// text returns the text of a row.
func (c *column) text(row uint32) string {
	switch {
	case !c.filled:
		return c.firstText
	case c.kind == kindDict:
		return c.values[c.codes[row]]
	}
	from := uint32(0)
	if row > 0 {
		from = c.ends[row-1]
	}
	return bytesAsString(c.data[from:c.ends[row]])
}

// int returns the number of a row.
func (c *column) int(row uint32) int64 {
	if !c.filled {
		return c.firstInt
	}
	return c.ints[row]
}

// empty reports whether no row has a value.
func (c *column) empty() bool {
	if c.kind == kindInt {
		return !c.filled && c.firstInt == timeline.None
	}
	return !c.filled && c.firstText == ""
}

// varied reports whether a column that usually has few values has so many
// that a dictionary would only stand in the way of reading single rows.
func (c column) varied() bool {
	return c.kind == kindDict && c.filled && len(c.values) > 4096 && len(c.values) > len(c.codes)/8
}

// sorted returns the rows in (ts, event_id) order, undated ones last, each
// event id once.
func (r *rows) sorted() []rowKey {
	ts := &r.cols[tsColumn]
	r.order = r.order[:0]
	for i := range uint32(r.n) {
		t := ts.int(i)
		r.order = append(r.order, rowKey{t, i, t != timeline.None})
	}
	slices.SortFunc(r.order, func(a, b rowKey) int {
		if a.ts != b.ts {
			if a.old != b.old {
				if a.old {
					return -1
				}
				return 1
			}
			return cmp.Compare(a.ts, b.ts)
		}
		if c := bytes.Compare(r.ids[a.row][:], r.ids[b.row][:]); c != 0 {
			return c
		}
		return cmp.Compare(a.row, b.row)
	})
	return slices.CompactFunc(r.order, func(a, b rowKey) bool { return r.ids[a.row] == r.ids[b.row] })
}

// reset empties r and keeps its memory.
func (r *rows) reset() {
	r.n, r.bytes, r.source = 0, 0, nil
	r.ids, r.cids = r.ids[:0], r.cids[:0]
	for i := range r.cols {
		c := &r.cols[i]
		c.filled, c.firstInt, c.firstText, c.last = false, 0, "", 0
		c.ints, c.codes, c.ends, c.data = c.ints[:0], c.codes[:0], c.ends[:0], c.data[:0]
		clear(c.values)
		c.values = c.values[:0]
		if len(c.index) > 1<<16 {
			c.index = nil // a map never gives memory back
		}
		clear(c.index)
	}
}
