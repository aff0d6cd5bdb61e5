package bundle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// source reads the content of one item and keeps account of what it could not
// read. Nothing else touches it until its goroutine hands the account over.
type source struct {
	ctx    context.Context //nolint:containedctx // one Add
	in     Input
	size   int64  // bytes to read; -1: unknown
	lost   string // why nothing more can be read in order; "" while it can
	unread []evidence.Unread
	grown  bool
	stat   *evidence.Stat
}

// badBlock is the least range given up around an error of the medium.
const badBlock = 4096

// fill reads the content at off into p. What cannot be read stays zero and is
// listed. Without holes off only ever moves forward by what was filled.
func (s *source) fill(p []byte, off int64) {
	end := off + int64(len(p))
	for len(p) > 0 {
		if s.lost != "" {
			clear(p)
			s.miss(off, end-off, s.lost)
			return
		}
		n, err := s.read(p, off)
		p, off = p[n:], off+int64(n)
		if err == nil || len(p) == 0 {
			continue
		}
		switch {
		case s.ctx.Err() != nil:
			s.lost = "cancelled"
		case errors.Is(err, io.EOF):
			s.lost = "short"
		case s.in.At == nil || len(s.unread) >= maxUnread-1:
			s.lost = reason(err)
		default:
			// Step over the bad block and go on by offset.
			s.in.R = nil
			skip := min(int64(len(p)), badBlock-off%badBlock)
			clear(p[:skip])
			s.miss(off, skip, reason(err))
			p, off = p[skip:], off+skip
		}
	}
}

// read reads once, in order where that is possible.
func (s *source) read(p []byte, off int64) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	if s.in.R == nil && s.in.At != nil {
		return s.in.At.ReadAt(p, off)
	}
	return readSome(s.in.R, p)
}

// readSome reads at least one byte or returns an error, and bears with readers
// that return nothing for a while.
func readSome(r io.Reader, p []byte) (int, error) {
	if r == nil {
		return 0, io.EOF
	}
	for range 100 {
		if n, err := r.Read(p); n > 0 || err != nil {
			if n > 0 && errors.Is(err, io.EOF) {
				err = nil // it will come again
			}
			return max(n, 0), err
		}
	}
	return 0, io.ErrNoProgress
}

// next reads content of unknown length until p is full or the end.
func (s *source) next(p []byte) (n int, end bool) {
	for n < len(p) {
		if s.ctx.Err() != nil {
			s.missTail("cancelled")
			return n, true
		}
		m, err := readSome(s.in.R, p[n:])
		n += m
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.missTail(reason(err))
			}
			return n, true
		}
	}
	return n, false
}

// missTail says that content of unknown length lacks its end.
func (s *source) missTail(why string) {
	s.unread = append(s.unread, evidence.Unread{Offset: -1, Length: -1, Reason: why})
}

// miss adds a range to the account, joined with the one before where they meet.
func (s *source) miss(off, n int64, why string) {
	if k := len(s.unread); k > 0 {
		if u := &s.unread[k-1]; u.Offset+u.Length == off && u.Reason == why {
			u.Length += n
			return
		}
	}
	s.unread = append(s.unread, evidence.Unread{Offset: off, Length: n, Reason: why})
}

// probe looks whether a file of known size goes on.
func (s *source) probe() {
	if s.size < 0 || s.lost != "" || s.ctx.Err() != nil {
		return
	}
	var one [1]byte
	if s.in.At != nil {
		n, _ := s.in.At.ReadAt(one[:], s.size)
		s.grown = n > 0
	} else if s.in.R != nil {
		n, _ := readSome(s.in.R, one[:])
		s.grown = n > 0
	}
}

// after asks for the metadata after reading. That it cannot be had any more is
// no loss: the content was read from an open file.
func (s *source) after() {
	if s.in.After == nil {
		return
	}
	if st, err := s.in.After(); err == nil {
		s.stat = st
	}
}

// reason names an error as the record does: the name of the error number where
// the platform knows one.
func reason(err error) string {
	if name := errnoName(err); name != "" {
		return name
	}
	text := plainText(err.Error())
	return text[:min(len(text), 80)]
}

// differs reports whether two looks at a file saw different metadata.
func differs(a, b *evidence.Stat) bool {
	same := a.Mode == b.Mode && a.UID == b.UID && a.GID == b.GID && a.Inode == b.Inode && a.Dev == b.Dev &&
		a.Nlink == b.Nlink && a.Size == b.Size && a.Blocks == b.Blocks && a.Attributes == b.Attributes &&
		a.Rdev == b.Rdev && a.Accessed.Equal(b.Accessed) && a.Modified.Equal(b.Modified) &&
		a.Changed.Equal(b.Changed) && a.Born.Equal(b.Born)
	// A second look need not ask for extended attributes again.
	return !same || (b.Xattrs != nil && !maps.EqualFunc(a.Xattrs, b.Xattrs, bytes.Equal))
}

// contentChanged reports whether the two looks say that the file was written
// to or replaced. That it was read is no change.
func contentChanged(a, b *evidence.Stat) bool {
	return a != nil && b != nil && (a.Size != b.Size || a.Inode != b.Inode || a.Dev != b.Dev ||
		!a.Modified.Equal(b.Modified) || !a.Changed.Equal(b.Changed))
}
