package bundle

import (
	"errors"
	"fmt"
	"io"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Open returns the content of a member: an item's by its Member name, or a
// manifest batch's. Holes and lost ranges read as zeros, the numbered members
// of a segmented item as one. Nothing is verified but the checksums of the
// frames. The error is ErrNoMember when there is none.
func (r *Reader) Open(member string) (evidence.Content, error) {
	if batch, ok := batchOf(member); ok {
		rows := r.batchRows(batch)
		if len(rows) == 0 {
			return nil, fmt.Errorf("%w: %.80q", ErrNoMember, member)
		}
		last := rows[len(rows)-1]
		size := last.off + last.size - rows[0].off
		return newContent(r.frames, size, []piece{{0, size, rows[0].off}}), nil
	}
	rec, err := r.find(member)
	if err != nil {
		return nil, err
	}
	if rec.item.Kind == evidence.KindErased {
		return nil, fmt.Errorf("%w: %s", ErrErased, rec.item.Detail)
	}
	if err := r.checkPlace(rec); err != nil {
		return nil, err
	}
	return rec.content(r.frames), nil
}

// checkPlace checks that a record's bytes lie inside the tar.
func (r *Reader) checkPlace(rec *record) error {
	size := r.frames.size()
	for _, p := range rec.pieces() {
		if p.tar < 0 || p.tar > size || p.length > size-p.tar {
			return fmt.Errorf("%w: record %d points outside of the bundle", ErrMismatch, rec.item.Index)
		}
	}
	return nil
}

// piece is a stored range: length bytes of the content from at are in the tar
// from tar.
type piece struct{ at, length, tar int64 }

// pieces maps the content of an item to the tar. What lies between is holes.
func (r *record) pieces() []piece {
	var list []piece
	if len(r.segs) > 0 {
		at := int64(0)
		for _, s := range r.segs {
			list = append(list, piece{at, s.Length, s.Offset})
			at += s.Length
		}
		return list
	}
	tar := r.off
	for _, d := range dataRanges(r.item.Size, r.item.Holes) {
		list = append(list, piece{d.Offset, d.Length, tar})
		tar += d.Length
	}
	return list
}

func (r *record) content(tar io.ReaderAt) *content {
	return newContent(tar, r.item.Size, r.pieces())
}

// content is an item's bytes.
type content struct {
	tar    io.ReaderAt
	size   int64
	pieces []piece
	pos    int64
}

func newContent(tar io.ReaderAt, size int64, pieces []piece) *content {
	return &content{tar: tar, size: size, pieces: pieces}
}

// Size returns the number of bytes, holes included.
func (c *content) Size() int64 { return c.size }

// Close does nothing: the frames belong to the Reader.
func (c *content) Close() error { return nil }

// Read implements io.Reader.
func (c *content) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.ReadAt(p, c.pos)
	c.pos += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt. It is safe for concurrent use.
func (c *content) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	if off >= c.size {
		return 0, io.EOF
	}
	want := min(int64(len(p)), c.size-off)
	done := int64(0)
	for done < want {
		n, tar := c.at(off + done)
		part := p[done : done+min(n, want-done)]
		if tar < 0 {
			clear(part)
		} else if m, err := c.tar.ReadAt(part, tar); m < len(part) {
			return int(done) + m, fmt.Errorf("read content at %d: %w", off+done+int64(m), noEOF(err))
		}
		done += int64(len(part))
	}
	if done < int64(len(p)) {
		return int(done), io.EOF
	}
	return int(done), nil
}

// noEOF keeps the end of the tar from being taken for the end of the content.
func noEOF(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// at tells for how many bytes from an offset the content is in the tar, and
// where; tar is -1 in a hole.
func (c *content) at(off int64) (n, tar int64) {
	lo, hi := 0, len(c.pieces)
	for lo < hi {
		mid := (lo + hi) / 2
		if p := c.pieces[mid]; p.at+p.length <= off {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(c.pieces) {
		return c.size - off, -1
	}
	p := c.pieces[lo]
	if off < p.at {
		return p.at - off, -1
	}
	return p.at + p.length - off, p.tar + off - p.at
}
