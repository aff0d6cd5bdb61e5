package pkgdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// RpmSQLite reads rpmdb.sqlite of rpm 4.16 and later for the headers in its
// table Packages (hnum INTEGER PRIMARY KEY, blob BLOB). The file format is that
// of https://www.sqlite.org/fileformat2.html: a table is a tree of pages, rows
// are in its leaves, what does not fit into a leaf goes on in a chain of pages.
// wal is the log beside it, rpmdb.sqlite-wal, nil for none: what was committed
// to it overlays the pages of the file. The header is good until each returns.
func RpmSQLite(db io.ReaderAt, size int64, wal io.ReaderAt, walSize int64, each func(header []byte)) (bad int, err error) {
	head := make([]byte, 100)
	if _, err := db.ReadAt(head, 0); err != nil && (err != io.EOF || wal == nil) {
		return 0, fmt.Errorf("%w: %w", ErrRpmFormat, err)
	}
	log, err := readWAL(wal, walSize)
	if err != nil {
		return 0, err
	}
	if first, ok := log.pages[0]; ok { // the file's own header may be older, or not there
		if _, err := wal.ReadAt(head, first.offset); err != nil {
			return 0, err
		}
	}
	if string(head[:16]) != "SQLite format 3\x00" {
		return 0, fmt.Errorf("%w: no SQLite database", ErrRpmFormat)
	}
	page := int(binary.BigEndian.Uint16(head[16:]))
	if page == 1 {
		page = 65536
	}
	if page < 512 || page&(page-1) != 0 || len(log.pages) > 0 && log.size != page {
		return 0, fmt.Errorf("%w: pages of %d bytes", ErrRpmFormat, page)
	}
	if encoding := binary.BigEndian.Uint32(head[56:]); encoding > 1 {
		return 0, fmt.Errorf("%w: text is not UTF-8", ErrRpmFormat)
	}
	t := &sqliteTree{usable: page - int(head[20])}
	if t.usable < 480 {
		return 0, fmt.Errorf("%w: %d bytes of a page are reserved", ErrRpmFormat, head[20])
	}
	begin := func(row func([]byte)) {
		t.pages = newPages(db, page, size)
		t.grow(log.count)
		t.moved, t.row, t.bad, t.left = log.pages, row, 0, size+walSize
	}
	root := uint32(0)
	begin(func(payload []byte) {
		cols := sqliteRow(payload, 4)
		if len(cols) == 4 && string(cols[0]) == "table" && strings.EqualFold(string(cols[1]), "Packages") {
			for _, b := range cols[3] {
				root = root<<8 | uint32(b)
			}
		}
	})
	if err := t.walk(1, 0); err != nil {
		return t.bad, err
	}
	if root == 0 {
		return t.bad, fmt.Errorf("%w: it has no table Packages", ErrRpmFormat)
	}
	broken := 0
	begin(func(payload []byte) {
		if cols := sqliteRow(payload, 2); len(cols) == 2 {
			each(cols[1])
			return
		}
		broken++
	})
	err = t.walk(root, 0)
	return t.bad + broken, err
}

// sqliteTree reads the rows of a table.
type sqliteTree struct {
	*pages
	usable  int // bytes of a page
	row     func(payload []byte)
	payload []byte
	bad     int
	left    int64 // bytes that rows may still have: more than the files have are told twice
}

const (
	sqliteLeaf     = 13
	sqliteInterior = 5
	maxSqliteDepth = 20 // as SQLite has it (BTCURSOR_MAX_DEPTH)
)

// walk reads the tree below page n, which counts from one. A page that is not
// readable is counted and left out.
func (t *sqliteTree) walk(n uint32, depth int) error {
	buf := make([]byte, t.size)
	if err := t.read(n-1, buf); err != nil {
		t.bad++
		return nil
	}
	head := buf
	if n == 1 {
		head = buf[100:]
	}
	cells, first := int(binary.BigEndian.Uint16(head[3:])), 8
	if head[0] == sqliteInterior {
		first = 12
	}
	if head[0] != sqliteLeaf && head[0] != sqliteInterior || first+2*cells > len(head) || depth > maxSqliteDepth {
		t.bad++
		return nil
	}
	for i := range cells {
		at := int(binary.BigEndian.Uint16(head[first+2*i:]))
		if at+4 > t.usable {
			t.bad++
			continue
		}
		if head[0] == sqliteInterior {
			if err := t.walk(binary.BigEndian.Uint32(buf[at:]), depth+1); err != nil {
				return err
			}
			continue
		}
		if err := t.leaf(buf[at:t.usable]); err != nil {
			t.bad++
		}
	}
	if head[0] == sqliteInterior {
		return t.walk(binary.BigEndian.Uint32(head[8:]), depth+1)
	}
	return nil
}

// leaf reads one cell: length of the payload, number of the row, payload.
func (t *sqliteTree) leaf(cell []byte) error {
	length, n := sqliteVarint(cell)
	_, m := sqliteVarint(cell[n:])
	if cell = cell[n+m:]; n == 0 || m == 0 || length > maxRpmBlob || int64(length) > t.left {
		return ErrRpmFormat
	}
	t.left -= int64(length)
	here := int(length)
	if here > t.usable-35 {
		least := (t.usable-12)*32/255 - 23
		if here = least + (int(length)-least)%(t.usable-4); here > t.usable-35 {
			here = least
		}
	}
	if here > len(cell) {
		return ErrRpmFormat
	}
	t.payload = append(t.payload[:0], cell[:here]...)
	if here < int(length) {
		if here+4 > len(cell) {
			return ErrRpmFormat
		}
		buf := make([]byte, t.size)
		for next := binary.BigEndian.Uint32(cell[here:]); len(t.payload) < int(length); next = binary.BigEndian.Uint32(buf) {
			if err := t.read(next-1, buf); err != nil {
				return err
			}
			t.payload = append(t.payload, buf[4:min(t.usable, 4+int(length)-len(t.payload))]...)
		}
	}
	t.row(t.payload)
	return nil
}

// sqliteRow returns the first n columns of a row as bytes: a header of its own
// length and one number for each column, which tells type and size, then their
// content. Fewer are returned of a row that is broken.
func sqliteRow(payload []byte, n int) (cols [][]byte) {
	length, at := sqliteVarint(payload)
	if at == 0 || length > uint64(len(payload)) || length < uint64(at) {
		return nil
	}
	head, body := payload[at:length], payload[length:]
	for len(cols) < n {
		serial, m := sqliteVarint(head)
		if m == 0 {
			return cols
		}
		head = head[m:]
		size := uint64(0)
		switch {
		case serial >= 12:
			size = (serial - 12) / 2
		case serial < 8:
			size = [...]uint64{0, 1, 2, 3, 4, 6, 8, 8}[serial]
		}
		if size > uint64(len(body)) {
			return cols
		}
		cols, body = append(cols, body[:size]), body[size:]
	}
	return cols
}

// sqliteVarint reads a number of one to nine bytes, seven bits in each of the
// first eight; n is 0 where there is none.
func sqliteVarint(b []byte) (v uint64, n int) {
	for n < 8 && n < len(b) {
		v = v<<7 | uint64(b[n]&0x7f)
		if n++; b[n-1] < 0x80 {
			return v, n
		}
	}
	if n == 8 && len(b) > 8 {
		return v<<8 | uint64(b[8]), 9
	}
	return 0, 0
}

// sqliteLog are the pages that a write-ahead log overlays.
type sqliteLog struct {
	pages map[uint32]span // by number from zero
	size  int             // of a page
	count uint32          // pages of the database after the last commit
}

// maxLogPages bounds the pages of a log: a gigabyte of those of usual size.
const maxLogPages = 1 << 18

// readWAL reads a log as far as it is committed: frames carry the salt of the
// log's header and a checksum over all before them, and what follows the first
// that does not is older.
func readWAL(wal io.ReaderAt, size int64) (log sqliteLog, err error) {
	head := make([]byte, 32)
	if wal == nil || size < 32 {
		return log, nil
	}
	if _, err := wal.ReadAt(head, 0); err != nil {
		return log, err
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch binary.BigEndian.Uint32(head) {
	case 0x377f0682:
	case 0x377f0683:
		order = binary.BigEndian
	default:
		return log, fmt.Errorf("%w: the log beside it is none of SQLite", ErrRpmFormat)
	}
	log.size = int(binary.BigEndian.Uint32(head[8:]))
	if log.size < 512 || log.size > 65536 || log.size&(log.size-1) != 0 {
		return log, fmt.Errorf("%w: a log with pages of %d bytes", ErrRpmFormat, log.size)
	}
	var sum [2]uint32
	if sqliteSum(&sum, order, head[:24]); sum != [2]uint32{binary.BigEndian.Uint32(head[24:]), binary.BigEndian.Uint32(head[28:])} {
		return log, nil // never written to its end: nothing of it counts
	}
	frame := make([]byte, 24+log.size)
	pending := map[uint32]span{}
	log.pages = map[uint32]span{}
	for at := int64(32); at+int64(len(frame)) <= size; at += int64(len(frame)) {
		if _, err := wal.ReadAt(frame, at); err != nil {
			return log, err
		}
		sqliteSum(&sum, order, frame[:8])
		sqliteSum(&sum, order, frame[24:])
		if string(frame[8:16]) != string(head[16:24]) || sum != [2]uint32{binary.BigEndian.Uint32(frame[16:]), binary.BigEndian.Uint32(frame[20:])} {
			return log, nil
		}
		n := binary.BigEndian.Uint32(frame)
		if n == 0 || int64(n)*int64(log.size) > MaxRpmDatabase || len(pending)+len(log.pages) >= maxLogPages {
			return log, errors.New("a log of more than can be read")
		}
		pending[n-1] = span{wal, at + 24}
		if commit := binary.BigEndian.Uint32(frame[4:]); commit > 0 && int64(commit)*int64(log.size) <= MaxRpmDatabase {
			for n, s := range pending {
				log.pages[n] = s
			}
			clear(pending)
			log.count = commit
		}
	}
	return log, nil
}

func sqliteSum(sum *[2]uint32, order binary.ByteOrder, b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		sum[0] += order.Uint32(b) + sum[1]
		sum[1] += order.Uint32(b[4:]) + sum[0]
	}
}
