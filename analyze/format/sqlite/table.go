package sqlite

import (
	"encoding/binary"
	"iter"
)

// Row is one row of a table. It is good until the next one is asked for.
type Row struct {
	ID     int64   // the row's number
	Values []Value // in the order of the table's columns; short where columns were added later
	Spans  []Span  // of the cell, then of the content of its overflow pages
	Page   uint32

	// Carved says that no B-tree leads to the row: it was deleted, or is an
	// earlier version of one that is there.
	Carved bool
}

// Kinds of pages.
const (
	interiorTable = 5
	leafTable     = 13
)

// Rows yields the rows of a table in the order of their numbers. It can be
// asked once for each table.
func (db *DB) Rows(t *Table) iter.Seq[*Row] {
	return func(yield func(*Row) bool) {
		w := walk{db: db, table: t, yield: yield}
		w.tree(t.Root, 0)
	}
}

// walk goes through one B-tree.
type walk struct {
	db       *DB
	table    *Table
	yield    func(*Row) bool
	row      Row
	values   []Value
	overflow []byte
	leaves   func(*page) // sees each leaf
}

// tree yields the rows below a page and reports whether to go on.
func (w *walk) tree(no uint32, depth int) bool {
	db := w.db
	if depth >= maxDepth {
		db.lost(Corrupt, Span{Offset: -1, Length: -1}, "table %s is deeper than %d levels", w.table.Name, maxDepth)
		return true
	}
	if !db.visit(no) {
		db.lost(Corrupt, Span{Offset: -1, Length: -1}, "page %d belongs to two places", no)
		return true
	}
	p, ok := db.load(no)
	if !ok {
		return true
	}
	defer db.release(p)
	h, ok := db.pageHeader(p)
	if !ok {
		db.lost(Corrupt, p.at, "page %d of table %s has no valid header", no, w.table.Name)
		return true
	}
	if h.kind == leafTable {
		if w.leaves != nil {
			w.leaves(p)
		}
		return w.leaf(p, h)
	}
	for i := range h.cells {
		at := h.cell(p, i)
		if at < h.end || at+4 > db.usable {
			db.lost(Corrupt, p.span(h.array+2*i, 2), "cell %d of page %d lies outside of it", i, no)
			continue
		}
		if !w.tree(binary.BigEndian.Uint32(p.data[at:]), depth+1) {
			return false
		}
	}
	return w.tree(h.right, depth+1)
}

// pageHeader is the header of a page of a table's B-tree.
type pageHeader struct {
	kind    byte
	cells   int
	content int    // where the cells begin
	array   int    // of the pointers to the cells
	end     int    // of that array
	right   uint32 // last child of an interior page
}

func (h *pageHeader) cell(p *page, i int) int {
	return int(binary.BigEndian.Uint16(p.data[h.array+2*i:]))
}

func (db *DB) pageHeader(p *page) (h pageHeader, ok bool) {
	at := 0
	if p.no == 1 {
		at = 100
	}
	b := p.data[at:]
	h = pageHeader{kind: b[0], cells: int(binary.BigEndian.Uint16(b[3:])), content: int(binary.BigEndian.Uint16(b[5:])), array: at + 8}
	if h.content == 0 {
		h.content = 65536
	}
	switch h.kind {
	case interiorTable:
		h.right = binary.BigEndian.Uint32(b[8:])
		h.array += 4
	case leafTable:
	default:
		return h, false
	}
	h.end = h.array + 2*h.cells
	return h, h.end <= db.usable
}

func (w *walk) leaf(p *page, h pageHeader) bool {
	room := w.db.usable // cells of one page share its bytes
	for i := range h.cells {
		at := h.cell(p, i)
		if at < h.end || at >= w.db.usable {
			w.db.lost(Corrupt, p.span(h.array+2*i, 2), "cell %d of page %d lies outside of it", i, p.no)
			continue
		}
		length, ok := w.cell(p, at)
		if room -= length; room < 0 {
			w.db.lost(Corrupt, p.at, "cells of page %d overlap", p.no)
			return true
		}
		if ok && !w.yield(&w.row) {
			return false
		}
	}
	return true
}

// cell reads the row of a cell and returns how many bytes of the page it
// takes.
func (w *walk) cell(p *page, at int) (length int, ok bool) {
	db := w.db
	c, fits := db.cellAt(p, at)
	if !fits {
		db.lost(Corrupt, p.span(at, db.usable-at), "cell of page %d reaches over its end", p.no)
		return 4, false
	}
	w.row = Row{ID: c.id, Page: p.no, Spans: append(w.row.Spans[:0], p.span(at, c.length))}
	payload := p.data[c.local : c.local+c.localLen]
	if c.overflow != 0 {
		if c.size > maxPayload || c.size > uint64(db.size+db.wal.length()) {
			db.lost(TooBig, w.row.Spans[0], "record of %d bytes", c.size)
			return c.length, false
		}
		if payload, ok = w.chain(payload, c); !ok {
			db.lost(Corrupt, w.row.Spans[0], "row %d of table %s goes on in pages that are not its own", c.id, w.table.Name)
			return c.length, false
		}
	}
	w.values, ok = db.enc.record(w.values[:0], payload)
	if w.row.Values = w.values; !ok {
		db.lost(Corrupt, w.row.Spans[0], "row %d of table %s is no valid record", c.id, w.table.Name)
	}
	w.restore()
	return c.length, ok
}

// restore gives the column that stands for the row's number its value, which
// the record leaves out, and makes fractions of the integers as which columns
// of fractions store them.
func (w *walk) restore() {
	for i := range w.row.Values[:min(len(w.row.Values), len(w.table.Columns))] {
		if v := &w.row.Values[i]; v.Kind == Integer && w.table.Columns[i].affinity == real {
			*v = Value{Kind: Real, Float: float64(v.Int)}
		}
	}
	if i := w.table.alias; i >= 0 && i < len(w.row.Values) && w.row.Values[i].Kind == Null {
		w.row.Values[i] = Value{Kind: Integer, Int: w.row.ID}
	}
}

// cell is the frame of a row in its leaf.
type cell struct {
	id       int64
	size     uint64 // of the whole record
	local    int    // where its first part begins
	localLen int
	overflow uint32 // first page of the rest, 0: none
	length   int    // of the cell
}

// cellAt reads a cell's frame; ok is false where it does not fit into the page.
func (db *DB) cellAt(p *page, at int) (c cell, ok bool) {
	b := p.data[at:db.usable]
	size, n := varint(b)
	id, m := varint(b[n:])
	if n == 0 || m == 0 {
		return c, false
	}
	c = cell{id: int64(id), size: size, local: at + n + m}
	limit := uint64(db.usable - 35)
	if size <= limit {
		c.localLen = int(size)
		c.length = n + m + c.localLen
		return c, c.length <= len(b)
	}
	least := uint64((db.usable-12)*32/255 - 23)
	if c.localLen = int(least + (size-least)%uint64(db.usable-4)); uint64(c.localLen) > limit {
		c.localLen = int(least)
	}
	c.length = n + m + c.localLen + 4
	if c.length > len(b) {
		return c, false
	}
	c.overflow = binary.BigEndian.Uint32(b[n+m+c.localLen:])
	return c, c.overflow != 0
}

// chain puts a record together that goes on in overflow pages: next page (4
// bytes, 0: last), content.
func (w *walk) chain(first []byte, c cell) ([]byte, bool) {
	db := w.db
	w.overflow = append(w.overflow[:0], first...)
	for no := c.overflow; uint64(len(w.overflow)) < c.size; {
		if no == 0 || !db.visit(no) {
			return nil, false
		}
		p, ok := db.load(no)
		if !ok {
			return nil, false
		}
		n := int(min(uint64(db.usable-4), c.size-uint64(len(w.overflow))))
		w.overflow = append(w.overflow, p.data[4:4+n]...)
		w.row.Spans = append(w.row.Spans, p.span(4, n))
		no = binary.BigEndian.Uint32(p.data)
		db.release(p)
	}
	return w.overflow, true
}
