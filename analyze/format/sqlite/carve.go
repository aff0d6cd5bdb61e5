package sqlite

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"iter"
	"math"
	"unicode/utf8"
)

// maxLive bounds the rows that are remembered, to know copies of them.
const maxLive = 1 << 20

// AllRows yields the rows of a table as Rows does, and behind them those that
// were deleted or replaced and whose cell is still whole: in the unused space
// of the table's leaves, in versions of them that the write-ahead log has and
// that no longer count, and in the leaves of the free list. Only cells that
// fit the table's declaration in every value, and that certain finds
// plausible, are taken; equal copies of rows that are there are left out. A
// database of a SQLite with SECURE_DELETE, the default of many distributions,
// has none.
func (db *DB) AllRows(t *Table, certain func(*Row) bool) iter.Seq[*Row] {
	return func(yield func(*Row) bool) {
		c := carver{db: db, certain: certain, seed: maphash.MakeSeed(), known: map[uint64]struct{}{}}
		c.walk = walk{db: db, table: t, leaves: c.leaf, yield: func(r *Row) bool {
			if len(c.known) < maxLive {
				c.known[c.hash(r)] = struct{}{}
			}
			return yield(r)
		}}
		if !c.walk.tree(t.Root, 0) {
			return
		}
		if len(c.known) >= maxLive {
			db.lost(TooBig, Span{Offset: -1, Length: -1}, "table %s has too many rows to look for deleted ones", t.Name)
			return
		}
		c.walk.yield = yield
		for _, at := range c.pages {
			if !c.page(at, false) {
				return
			}
		}
		for _, at := range c.older {
			if !c.page(at, true) {
				return
			}
		}
		for _, no := range db.freePages() {
			if !c.freePage(no) {
				return
			}
		}
	}
}

// carver looks for rows that no B-tree leads to.
type carver struct {
	db      *DB
	walk    walk
	certain func(*Row) bool
	seed    maphash.Seed
	known   map[uint64]struct{} // rows that were yielded
	pages   []leafAt            // leaves with space that holds something
	older   []leafAt            // versions of leaves that no longer count
}

// leafAt is a page at a place.
type leafAt struct {
	no uint32
	at Span
}

// hash is over the number and the record of a row.
func (c *carver) hash(r *Row) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	var n [9]byte
	binary.BigEndian.PutUint64(n[:], uint64(r.ID))
	h.Write(n[:])
	for _, v := range r.Values {
		n[8] = byte(v.Kind)
		binary.BigEndian.PutUint64(n[:], uint64(v.Int)^math.Float64bits(v.Float)^uint64(len(v.Bytes)))
		h.Write(n[:])
		h.Write(v.Bytes)
	}
	return h.Sum64()
}

// leaf notes leaves whose unused space is not all zero.
func (c *carver) leaf(p *page) {
	h, _ := c.db.pageHeader(p)
	if to := min(h.content, c.db.usable); h.end < to && len(bytes.Trim(p.data[h.end:to], "\x00")) > 0 {
		c.pages = append(c.pages, leafAt{p.no, p.at})
	}
	for _, off := range c.db.wal.versions(p.no) {
		c.older = append(c.older, leafAt{p.no, Span{off, int64(c.db.psize), true}})
	}
}

// page yields what a leaf's unused space holds; of a leaf that is not in use,
// what its cells were as well.
func (c *carver) page(leaf leafAt, free bool) bool {
	p, ok := c.db.read(leaf.no, leaf.at)
	if !ok {
		return true
	}
	defer c.db.release(p)
	h, ok := c.db.pageHeader(p)
	if !ok || h.kind != leafTable {
		return true
	}
	if free {
		room := c.db.usable
		for i := range h.cells {
			at := h.cell(p, i)
			if at < h.end || at >= c.db.usable {
				return true // no leaf, or no more
			}
			n, more := c.try(p, at, c.db.usable)
			if room -= n; room < 0 || !more {
				return more
			}
		}
	}
	to := min(h.content, c.db.usable)
	for at := h.end; at < to; {
		n, more := c.try(p, at, to)
		if !more {
			return false
		}
		at += max(n, 1)
	}
	return true
}

// try yields the row of a cell that ends before to, if it is one. Its length
// is 0 where it is none.
func (c *carver) try(p *page, at, to int) (length int, more bool) {
	f, ok := c.db.cellAt(p, at)
	if !ok || f.overflow != 0 || at+f.length > to || f.localLen < 2 {
		return 0, true
	}
	w := &c.walk
	w.row = Row{ID: f.id, Page: p.no, Carved: true, Spans: append(w.row.Spans[:0], p.span(at, f.length))}
	w.values, ok = c.db.enc.record(w.values[:0], p.data[f.local:f.local+f.localLen])
	w.row.Values = w.values
	if t := w.table; !ok || len(w.values) != len(t.Columns) || t.alias >= 0 && w.values[t.alias].Kind != Null || !t.Fits(w.values) || !legible(w.values) {
		return 0, true
	}
	if w.restore(); !c.certain(&w.row) {
		return 0, true
	}
	key := c.hash(&w.row)
	if _, copied := c.known[key]; copied {
		return f.length, true
	}
	c.known[key] = struct{}{}
	return f.length, w.yield(&w.row)
}

// Fits reports whether values can be those of a row of the table: no more than
// it has columns, each of a class that its type allows. SQLite itself stores
// what it is given: a row that does not fit need not be damaged.
func (t *Table) Fits(values []Value) bool {
	if len(values) > len(t.Columns) {
		return false
	}
	for i := range values {
		v, col := &values[i], &t.Columns[i]
		switch {
		case i == t.alias:
			if v.Kind != Null && v.Kind != Integer {
				return false
			}
		case v.Kind == Null:
			if col.NotNull {
				return false
			}
		case !allowed(col.affinity, v.Kind):
			return false
		}
	}
	return true
}

// legible reports whether all text is UTF-8, which live rows need not be.
func legible(values []Value) bool {
	for i := range values {
		if v := &values[i]; v.Kind == Text && !utf8.Valid(v.Bytes) {
			return false
		}
	}
	return true
}

// allowed reports whether a column of that affinity stores such values. It is
// strict: a number that somebody stored in a column of text is not found again.
func allowed(a affinity, k Kind) bool {
	switch a {
	case integer:
		return k == Integer
	case text:
		return k == Text
	case blob:
		return true
	}
	return k != Blob
}

// freePage yields what a page that is in no use was, in all its versions.
func (c *carver) freePage(no uint32) bool {
	db := c.db
	places := []Span{{(int64(no) - 1) * int64(db.psize), int64(db.psize), false}}
	if off, ok := db.wal.page(no); ok {
		places[0] = Span{off, int64(db.psize), true}
	}
	for _, off := range db.wal.versions(no) {
		places = append(places, Span{off, int64(db.psize), true})
	}
	for _, at := range places {
		if !c.page(leafAt{no, at}, true) {
			return false
		}
	}
	return true
}

// freePages returns the pages that are in no use: the header's bytes 32 to 35
// name the first trunk, which has the next trunk, a count, and the numbers of
// that many leaves.
func (db *DB) freePages() []uint32 {
	if db.listed {
		return db.free
	}
	db.listed = true
	first, ok := db.load(1)
	if !ok {
		return nil
	}
	no := binary.BigEndian.Uint32(first.data[32:])
	db.release(first)
	for no != 0 {
		if !db.visit(no) {
			db.lost(Corrupt, Span{Offset: -1, Length: -1}, "page %d of the free list belongs to two places", no)
			break
		}
		trunk, ok := db.load(no)
		if !ok {
			break
		}
		db.free = append(db.free, no) // what it was before
		n := min(int(binary.BigEndian.Uint32(trunk.data[4:])), db.usable/4-2)
		for i := range max(n, 0) {
			if leaf := binary.BigEndian.Uint32(trunk.data[8+4*i:]); leaf > 0 && db.visit(leaf) {
				db.free = append(db.free, leaf)
			}
		}
		no = binary.BigEndian.Uint32(trunk.data)
		db.release(trunk)
	}
	return db.free
}
