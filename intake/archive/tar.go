package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
)

// Format notes: POSIX.1-2017 pax (ustar and pax headers), the GNU extensions
// for long names, big numbers and sparse files; all are read by archive/tar,
// which stops at the first header it does not understand. What is done here
// is to go on behind it.

const tarBlock = 512

// Tar reads a tar stream of size bytes, -1 when that is not known. Behind a
// damaged header, and behind an end that is none, it looks for the next block
// that is a header by its own checksum.
func Tar(r io.Reader, size int64) Entries {
	return func(yield func(*Entry, *Damage) bool) {
		t := &tarWalk{in: &counter{r: r}, size: size, yield: yield}
		for t.part() {
		}
	}
}

// tarWalk is one pass over a stream.
type tarWalk struct {
	in    *counter
	size  int64
	yield func(*Entry, *Damage) bool
	next  []byte // a header block that was found while looking for one
}

// counter counts what is read: the offset in the stream. It holds the last two
// blocks.
type counter struct {
	r    io.Reader
	n    int64
	last [2 * tarBlock]byte
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	tail := p[max(0, n-len(c.last)):n]
	copy(c.last[:], c.last[len(tail):])
	copy(c.last[len(c.last)-len(tail):], tail)
	return n, err
}

// part reads entries up to the next damage or end, and reports whether there
// is more to read behind it.
func (t *tarWalk) part() bool {
	var in io.Reader = t.in
	if t.next != nil {
		in = io.MultiReader(bytes.NewReader(t.next), t.in)
		t.next = nil
		clear(t.in.last[:]) // so that behindZero looks at no header twice
	}
	tr := tar.NewReader(in)
	for {
		h, err := tr.Next()
		if err == nil && h.Typeflag == tar.TypeXGlobalHeader {
			continue // archive/tar has taken in what it says
		}
		if err == nil {
			if more, ok := t.entry(tr, h); !ok {
				return false
			} else if !more {
				return t.resync()
			}
			continue
		}
		switch {
		case errors.Is(err, io.EOF):
			at := t.in.n
			if !t.find() {
				return false
			}
			return t.yield(nil, damage("", at, "entries follow behind the end of the archive"))
		case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong):
			if !t.yield(nil, damage("", t.in.n, "a header is damaged: %s", plain(err))) {
				return false
			}
			return t.behindZero() || t.resync()
		case errors.Is(err, io.ErrUnexpectedEOF):
			t.yield(nil, damage("", t.in.n, "the archive ends before it should"))
			return false
		}
		t.yield(nil, damage("", t.in.n, "the archive cannot be read on: %s", plain(err)))
		return false
	}
}

// plain is an error's text without the name of the library.
func plain(err error) string { return strings.TrimPrefix(err.Error(), "archive/tar: ") }

// behindZero takes the header that archive/tar has read behind a block of
// zeros, looking for the second one of an end, and reports whether there is
// one.
func (t *tarWalk) behindZero() bool {
	zeros, block := t.in.last[:tarBlock], t.in.last[tarBlock:]
	if t.in.n%tarBlock != 0 || t.in.n < int64(len(t.in.last)) || bytes.Count(zeros, []byte{0}) < len(zeros) || !tarHeader(block) {
		return false
	}
	t.next = bytes.Clone(block)
	return true
}

// resync looks for the next header and reports whether there is one.
func (t *tarWalk) resync() bool { return t.find() }

// find reads block by block up to one that is a header.
func (t *tarWalk) find() bool {
	block := make([]byte, tarBlock)
	for {
		if n := t.in.n % tarBlock; n != 0 { // behind an entry that was cut
			if _, err := io.CopyN(io.Discard, t.in, tarBlock-n); err != nil {
				return false
			}
		}
		if _, err := io.ReadFull(t.in, block); err != nil {
			return false
		}
		if tarHeader(block) {
			t.next = block
			return true
		}
	}
}

// tarHeader reports whether a block is a header by its checksum, which is the
// sum of its bytes with those of the checksum itself taken for spaces.
func tarHeader(b []byte) bool {
	if b[0] == 0 {
		return false
	}
	text := strings.Trim(string(b[148:156]), " \x00")
	want, err := strconv.ParseInt(text, 8, 64)
	if err != nil {
		return false
	}
	var unsigned, signed int64
	for i, c := range b {
		if i >= 148 && i < 156 {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	return want == unsigned || want == signed
}

// IsTar reports whether content that begins with head is a tar archive.
func IsTar(head []byte) bool {
	return len(head) >= tarBlock && (tarHeader(head[:tarBlock]) || string(head[257:262]) == "ustar")
}

// entry yields one entry and reads over what of it was not read. more is
// false when the header claims what cannot be.
func (t *tarWalk) entry(tr *tar.Reader, h *tar.Header) (more, ok bool) {
	at := t.in.n
	e := tarEntry(h)
	e.Offset = at
	// A sparse file's size is not what it takes; no other can have more than
	// what is left.
	left := int64(-1)
	if t.size >= 0 {
		left = t.size - at
	}
	if e.Type == File && left >= 0 && h.Size > left && !sparse(h) {
		if left <= 0 || h.Size-left > maxCut {
			return false, t.yield(nil, damage(e.Name, at, "%s states %d bytes where %d are left", printable(e.Name), h.Size, left))
		}
	}
	if e.Type == File {
		e.Packed = h.Size
		if sparse(h) {
			e.Packed, e.Method = -1, "sparse"
		}
		e.Open = func() (io.Reader, error) { return tr, nil }
	}
	return true, t.yield(e, nil)
}

// maxCut is how much may be missing of the last entry of an archive that was
// cut: one that claims more is taken for a damaged header.
const maxCut = 64 << 30

func sparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// tarTypes are the type bits of st_mode by type flag.
var tarTypes = map[byte]struct {
	Type Type
	mode uint32
}{
	tar.TypeReg: {File, 0o100000}, tar.TypeGNUSparse: {File, 0o100000}, tar.TypeCont: {File, 0o100000},
	tar.TypeDir: {Dir, 0o040000}, tar.TypeSymlink: {Symlink, 0o120000}, tar.TypeLink: {Hardlink, 0o100000},
	tar.TypeChar: {Device, 0o020000}, tar.TypeBlock: {Device, 0o060000}, tar.TypeFifo: {Device, 0o010000},
}

func tarEntry(h *tar.Header) *Entry {
	kind := tarTypes[h.Typeflag] // anything else is read as a file, as POSIX asks
	if kind.mode == 0 {
		kind.mode = 0o100000
	}
	known := KnowsMode
	if uid, gid := int64(h.Uid), int64(h.Gid); uid >= 0 && gid >= 0 && uid <= math.MaxUint32 && gid <= math.MaxUint32 {
		known |= KnowsIDs // what Linux has no room for must not become another's, or root's
	}
	return &Entry{
		Name: h.Name, Type: kind.Type, Link: h.Linkname, Size: h.Size, Packed: 0,
		Known: known, Mode: kind.mode | uint32(h.Mode)&0o7777, UID: uint32(h.Uid), GID: uint32(h.Gid),
		Owner: h.Uname, Group: h.Gname, Modified: h.ModTime, Accessed: h.AccessTime, Changed: h.ChangeTime,
	}
}

// printable makes a name fit for one line of text.
func printable(name string) string {
	q := strconv.QuoteToGraphic(name)
	if len(q) > 200 {
		q = q[:200] + "…"
	}
	return q
}
