package local

import (
	"errors"
	"fmt"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// access reads the columns of one segment for one query: a page per column
// at a time. It belongs to one goroutine.
type access struct {
	seg  *segment
	cols []*pageReader // by leaf; nil until used
	held int           // bytes of the decoded pages
}

func newAccess(seg *segment) *access {
	return &access{seg: seg, cols: make([]*pageReader, len(seg.chunks))}
}

// close gives the memory of the pages back.
func (a *access) close() {
	for i, c := range a.cols {
		if c != nil {
			c.close()
			a.cols[i] = nil
		}
	}
	a.held = 0
}

// allNull reports whether no row of a leaf has a value.
func (a *access) allNull(leaf int) bool {
	c := a.seg.chunks[leaf]
	return c.NullCount() == c.NumValues()
}

// page returns the page of a leaf that holds row.
func (a *access) page(leaf int, row int64) (*page, error) {
	c := a.cols[leaf]
	if c == nil {
		var err error
		if c, err = openPages(a.seg.chunks[leaf]); err != nil {
			return nil, fmt.Errorf("column %s: %w", leafName(leaf), err)
		}
		a.cols[leaf] = c
	}
	a.held -= c.held
	p, err := c.at(row)
	a.held += c.held
	if err != nil {
		return nil, fmt.Errorf("column %s: %w", leafName(leaf), err)
	}
	return p, nil
}

func leafName(leaf int) string {
	switch leaf {
	case idLeaf:
		return "event_id"
	case contentLeaf:
		return "content_id"
	}
	return schema[leaf-leavesBefore].name
}

// pageReader reads the pages of one column chunk.
type pageReader struct {
	chunk *parquet.FileColumnChunk
	pages *parquet.FilePages
	index parquet.OffsetIndex
	next  int // page that ReadPage gives next
	raw   parquet.Page
	page  page
	dict  *dictionary
	held  int // bytes of the decoded page and the dictionary
}

// dictionary is the values of a dictionary column.
type dictionary struct {
	data    []byte
	offsets []uint32

	copied string // the word asked for last, and its code: rows mostly repeat it
	code   int32
}

func (d *dictionary) len() int { return max(len(d.offsets)-1, 0) }

func (d *dictionary) text(code int32) string {
	return bytesAsString(d.data[d.offsets[code]:d.offsets[code+1]])
}

// copy returns a word in memory of its own.
func (d *dictionary) copy(code int32) string {
	if d.copied == "" || d.code != code {
		d.copied, d.code = strings.Clone(d.text(code)), code
	}
	return d.copied
}

// page is one decoded page. Values of null rows are left out of the value
// slices; value says where the value of a row is.
type page struct {
	first, rows int64
	nulls       bool
	at          []int32 // by row of the page: index of its value, -1 for null; nil without nulls

	ints    []int64
	codes   []int32
	dict    *dictionary
	data    []byte // text
	offsets []uint32
	fixed   []byte
	size    int
}

func openPages(chunk *parquet.FileColumnChunk) (*pageReader, error) {
	index, err := chunk.OffsetIndex()
	if err != nil {
		return nil, err
	}
	n := index.NumPages()
	if n == 0 || index.FirstRowIndex(0) != 0 {
		return nil, errors.New("page index does not begin at row 0")
	}
	for i := 1; i < n; i++ {
		if index.FirstRowIndex(i) <= index.FirstRowIndex(i-1) {
			return nil, errors.New("page index is not in order")
		}
	}
	return &pageReader{chunk: chunk, pages: chunk.PagesFrom(chunk.File()), index: index, next: -1}, nil
}

func (r *pageReader) close() {
	if r.raw != nil {
		parquet.Release(r.raw)
		r.raw = nil
	}
	r.pages.Close()
	r.page = page{}
}

// at returns the page that holds row.
func (r *pageReader) at(row int64) (*page, error) {
	if r.raw != nil && row >= r.page.first && row < r.page.first+r.page.rows {
		return &r.page, nil
	}
	lo, hi := 0, r.index.NumPages()
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; r.index.FirstRowIndex(mid) <= row {
			lo = mid
		} else {
			hi = mid
		}
	}
	first := r.index.FirstRowIndex(lo)
	if r.raw != nil {
		parquet.Release(r.raw)
		r.raw = nil
	}
	if lo != r.next {
		if err := r.pages.SeekToRow(first); err != nil {
			return nil, err
		}
	}
	raw, err := r.pages.ReadPage()
	if err != nil {
		r.next = -1
		return nil, err
	}
	r.raw, r.next = raw, lo+1
	if err := r.decode(raw, first); err != nil {
		return nil, err
	}
	r.held = r.page.bytes()
	if r.dict != nil {
		r.held += len(r.dict.data) + 4*len(r.dict.offsets)
	}
	if row >= first+r.page.rows {
		return nil, errors.New("page is shorter than the index says")
	}
	return &r.page, nil
}

func (r *pageReader) decode(raw parquet.Page, first int64) error {
	p := &r.page
	*p = page{first: first, rows: raw.NumValues(), at: p.at[:0]}
	levels := raw.DefinitionLevels()
	p.nulls = raw.NumNulls() > 0
	values := int32(0)
	if p.nulls {
		for _, level := range levels {
			if level == 0 {
				p.at = append(p.at, -1)
				continue
			}
			p.at = append(p.at, values)
			values++
		}
		if int64(len(p.at)) != p.rows {
			return errors.New("page has levels for other rows")
		}
	} else {
		values = int32(p.rows)
	}
	return r.values(raw, int(values))
}

// values finds the decoded values in the page and checks that they are as
// many as its rows need.
func (r *pageReader) values(raw parquet.Page, want int) error {
	p, have := &r.page, 0
	data := raw.Data()
	switch {
	case raw.Dictionary() != nil:
		if r.dict == nil {
			words := raw.Dictionary().Page().Data()
			r.dict = &dictionary{}
			r.dict.data, r.dict.offsets = words.ByteArray()
		}
		p.codes, p.dict = data.Int32(), r.dict
		for _, c := range p.codes {
			if c < 0 || int(c) >= r.dict.len() {
				return errors.New("code outside the dictionary")
			}
		}
		have = len(p.codes)
	case raw.Type().Kind() == parquet.Int64:
		p.ints = data.Int64()
		have = len(p.ints)
	case raw.Type().Kind() == parquet.ByteArray:
		if want == 0 {
			return nil
		}
		p.data, p.offsets = data.ByteArray()
		have = len(p.offsets) - 1
	default:
		p.fixed, p.size = data.FixedLenByteArray()
		if p.size > 0 {
			have = len(p.fixed) / p.size
		}
	}
	if have < want {
		return fmt.Errorf("page has %d values for %d rows", have, want)
	}
	return nil
}

// bytes is what the decoded page takes.
func (p *page) bytes() int {
	return len(p.data) + len(p.fixed) + 8*len(p.ints) + 4*(len(p.offsets)+len(p.codes)+len(p.at))
}

// value returns where the value of a row of the segment is, or -1.
func (p *page) value(row int64) int {
	i := row - p.first
	if p.nulls {
		return int(p.at[i])
	}
	return int(i)
}

// text returns the text at a place that value gave.
func (p *page) text(i int) string {
	if p.dict != nil {
		return p.dict.text(p.codes[i])
	}
	return bytesAsString(p.data[p.offsets[i]:p.offsets[i+1]])
}

// rowOf returns the row of the page, from 0, whose value is number i, looking
// from the row given on.
func (p *page) rowOf(i, from int) int {
	if !p.nulls {
		return i
	}
	for int(p.at[from]) != i {
		from++
	}
	return from
}
