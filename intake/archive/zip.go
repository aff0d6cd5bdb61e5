package archive

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Format source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 (structures), 4.4
// (fields), 4.5 (extra fields); WinZip's AE-1/AE-2 note for encryption.
//
// Why not archive/zip: it refuses an archive as a whole where one record is
// wrong, knows no encryption, holds the whole directory in memory, and takes
// a time without a zone for UTC.

// Signatures of a zip's records.
const (
	sigLocal      = "PK\x03\x04"
	sigCentral    = "PK\x01\x02"
	sigEnd        = "PK\x05\x06"
	sigEnd64      = "PK\x06\x06"
	sigLocator64  = "PK\x06\x07"
	sigDescriptor = "PK\x07\x08"
)

// Sizes of a zip's records without their variable parts.
const (
	localSize   = 30
	centralSize = 46
	endSize     = 22
)

// endReach is how far from the end of the file the end record is looked for:
// its comment has at most 64 KiB, and junk may follow it.
const endReach = 1 << 20

// ZipMax bounds the entries that are looked at in one archive.
const ZipMax = 4 << 20

// IsZip reports whether content begins as a zip does.
func IsZip(head []byte) bool {
	return bytes.HasPrefix(head, []byte(sigLocal)) || bytes.HasPrefix(head, []byte(sigEnd))
}

// Zip reads a zip archive of size bytes. It follows the central directory and
// where there is none, or it ends too early, the local headers that it finds.
func Zip(r io.ReaderAt, size int64, password []byte) Entries {
	return func(yield func(*Entry, *Damage) bool) {
		z := &zipWalk{r: r, size: size, password: password, yield: yield}
		z.walk()
	}
}

type zipWalk struct {
	r        io.ReaderAt
	size     int64
	password []byte
	yield    func(*Entry, *Damage) bool
	reached  int64          // end of the entry that reaches farthest
	twice    map[int64]bool // places that several entries name, once read
	sought   int64          // bytes read in looking for descriptors
}

// zipRecord is what a header, central or local, states of one entry.
type zipRecord struct {
	name               string
	version            uint16 // "made by"; 0 in a local header
	flags, method      uint16
	date, clock        uint16
	crc                uint32
	packed, size       int64
	attributes         uint32
	at                 int64 // of the local header, in the file
	extra              []byte
	strength, aesVer   int // of AES, 0 without
	modified, accessed stamp
	born               stamp
	uid, gid           uint32
	ids                bool
	unstated           bool // size and checksum stand nowhere
}

const (
	flagSealed     = 1 << 0
	flagDescriptor = 1 << 3
	flagStrong     = 1 << 6
	flagUTF8       = 1 << 11
	flagMasked     = 1 << 13
)

func (z *zipWalk) walk() {
	dir, err := z.directory()
	if err != nil {
		if z.yield(nil, damage("", -1, "%v: its entries are looked for one by one", err)) {
			z.scan(0)
		}
		return
	}
	spans, whole := z.survey(dir)
	n, stop := z.central(dir, spans)
	switch {
	case stop:
	case z.reached == 0 && len(spans) > 0:
		if z.yield(nil, damage("", dir.off, "the directory leads to no entry: they are looked for one by one")) {
			z.scan(0)
		}
	case !whole:
		if z.yield(nil, damage("", dir.off, "the directory ends after %d entries where it says %d: more are looked for one by one", n, dir.count)) {
			z.scan(z.reached)
		}
	case dir.count >= 0 && dir.count != int64(n):
		z.yield(nil, damage("", dir.off, "the directory has %d entries and says %d", n, dir.count))
	}
}

// directory is where the central directory lies.
type directory struct {
	off, size int64
	base      int64 // what is in front of the archive: added to all its offsets
	count     int64 // entries as stated, modulo 65,536 where there is no zip64 record
}

var errNoDirectory = errors.New("the archive has no directory")

// directory finds the last end record that fits.
func (z *zipWalk) directory() (*directory, error) {
	reach := min(z.size, endReach)
	tail := make([]byte, reach)
	if n, err := z.r.ReadAt(tail, z.size-reach); n < len(tail) {
		return nil, fmt.Errorf("read the end of the archive: %w", err)
	}
	for i := len(tail); i > 0; {
		if i = bytes.LastIndex(tail[:i], []byte(sigEnd)); i < 0 {
			break
		}
		if len(tail)-i < endSize {
			continue
		}
		if d := z.end(tail[i:], z.size-reach+int64(i)); d != nil {
			return d, nil
		}
	}
	return nil, errNoDirectory
}

// end reads the end record at an offset; nil when it does not fit.
func (z *zipWalk) end(b []byte, at int64) *directory {
	le := binary.LittleEndian
	d := &directory{count: int64(le.Uint16(b[10:])), size: int64(le.Uint32(b[12:])), off: int64(le.Uint32(b[16:]))}
	bottom := at
	if d64, pos := z.end64(at); d64 != nil {
		d, bottom = d64, pos
	}
	if d.size < 0 || d.off < 0 {
		return nil
	}
	// The directory lies where the record says, or right in front of the
	// record: then what its offset lacks of that is in front of the archive.
	for _, at := range []directory{
		{off: d.off, size: bottom - d.off},
		{off: bottom - d.size, size: d.size, base: bottom - d.size - d.off},
	} {
		if at.off < 0 || at.size < 0 || at.base < 0 || !z.fits(&at) {
			continue
		}
		at.count = d.count
		return &at
	}
	return nil
}

// fitProbe is how many records are looked at for one that leads to an entry.
const fitProbe = 16

// fits reports whether there is a directory where it is said to be: it is
// empty, or one of its first records leads to an entry.
func (z *zipWalk) fits(d *directory) bool {
	if d.size == 0 {
		return d.base == 0
	}
	fits, n := false, 0
	_, _ = z.eachCentral(d, func(rec *zipRecord) bool {
		fits = z.signature(rec.at) == sigLocal
		n++
		return !fits && n < fitProbe
	})
	return fits
}

// end64 reads the zip64 end record whose locator stands in front of an end
// record: its values and its offset.
func (z *zipWalk) end64(at int64) (*directory, int64) {
	le := binary.LittleEndian
	var loc [20]byte
	if at < 20 || !z.read(loc[:], at-20) || string(loc[:4]) != sigLocator64 {
		return nil, 0
	}
	stated := int64(le.Uint64(loc[8:]))
	// Where something is in front of the archive the offset is off by it: the
	// record has 56 bytes, or more, and stands right in front of the locator.
	for _, pos := range []int64{stated, at - 20 - 56} {
		var b [56]byte
		if pos < 0 || !z.read(b[:], pos) || string(b[:4]) != sigEnd64 {
			continue
		}
		return &directory{count: int64(le.Uint64(b[32:])), size: int64(le.Uint64(b[40:])), off: int64(le.Uint64(b[48:]))}, pos
	}
	return nil, 0
}

func (z *zipWalk) read(p []byte, off int64) bool {
	n, _ := z.r.ReadAt(p, off)
	return n == len(p)
}

func (z *zipWalk) signature(off int64) string {
	var b [4]byte
	if off < 0 || !z.read(b[:], off) {
		return ""
	}
	return string(b[:])
}

// span is what an entry takes in the file.
type span struct{ from, to int64 }

// survey reads the directory once for where its entries lie, so that bytes
// which two of them claim are found before either is read. Sorted by their
// beginnings, each span reaches as far as it or any before it. whole says that
// the directory could be read to its end.
func (z *zipWalk) survey(d *directory) (spans []span, whole bool) {
	_, whole = z.eachCentral(d, func(rec *zipRecord) bool {
		s := span{rec.at, rec.at + localSize + int64(len(rec.name)) + rec.packed}
		if s.to > z.size {
			s.to = s.from // its size is wrong: that must not cost its neighbours
		}
		spans = append(spans, s)
		return true
	})
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for i := 1; i < len(spans); i++ {
		spans[i].to = max(spans[i].to, spans[i-1].to)
	}
	return spans, whole
}

// overlaps reports whether the entry at an offset begins in one that begins
// before it, or was read already. The first of two that overlap is read.
func (z *zipWalk) overlaps(spans []span, at int64) bool {
	i, found := slices.BinarySearchFunc(spans, at, func(s span, at int64) int { return cmp.Compare(s.from, at) })
	if !found {
		return false
	}
	if i > 0 && spans[i-1].to > at {
		return true
	}
	if i+1 == len(spans) || spans[i+1].from != at {
		return false
	}
	if z.twice == nil {
		z.twice = map[int64]bool{}
	}
	again := z.twice[at]
	z.twice[at] = true
	return again
}

// eachCentral calls f for each record of the directory. whole says that
// nothing but records was met.
func (z *zipWalk) eachCentral(d *directory, f func(*zipRecord) bool) (n int, whole bool) {
	br := bufio.NewReaderSize(io.NewSectionReader(z.r, d.off, d.size), bufSize)
	var fixed [centralSize]byte
	for ; n < ZipMax; n++ {
		if _, err := io.ReadFull(br, fixed[:]); err != nil {
			return n, errors.Is(err, io.EOF)
		}
		if sig := string(fixed[:4]); sig != sigCentral {
			return n, sig == "PK\x05\x05" // a signature of the directory ends it
		}
		rec, err := readCentral(fixed[:], br)
		if err != nil {
			return n, false
		}
		rec.at += d.base
		if !f(rec) {
			return n + 1, true
		}
	}
	return n, false
}

func readCentral(b []byte, br *bufio.Reader) (*zipRecord, error) {
	le := binary.LittleEndian
	rec := &zipRecord{
		version: le.Uint16(b[4:]), flags: le.Uint16(b[8:]), method: le.Uint16(b[10:]), clock: le.Uint16(b[12:]), date: le.Uint16(b[14:]),
		crc: le.Uint32(b[16:]), packed: int64(le.Uint32(b[20:])), size: int64(le.Uint32(b[24:])),
		attributes: le.Uint32(b[38:]), at: int64(le.Uint32(b[42:])),
	}
	rest := make([]byte, int(le.Uint16(b[28:]))+int(le.Uint16(b[30:])))
	if _, err := io.ReadFull(br, rest); err != nil {
		return nil, err
	}
	if _, err := br.Discard(int(le.Uint16(b[32:]))); err != nil {
		return nil, err
	}
	n := int(le.Uint16(b[28:]))
	rec.name, rec.extra = string(rest[:n]), rest[n:]
	rec.readExtra(true)
	if rec.packed < 0 || rec.size < 0 || rec.at < 0 {
		return nil, errors.New("a size is negative")
	}
	return rec, nil
}

// central yields the entries of the directory. stop says that nobody wants
// more.
func (z *zipWalk) central(d *directory, spans []span) (n int, stop bool) {
	n, _ = z.eachCentral(d, func(rec *zipRecord) bool {
		stop = !z.centralEntry(rec, spans)
		return !stop
	})
	return n, stop
}

func (z *zipWalk) centralEntry(rec *zipRecord, spans []span) bool {
	if z.overlaps(spans, rec.at) {
		return z.yield(nil, damage(rec.name, rec.at, "%s lies on bytes of another entry: not read", printable(rec.name)))
	}
	local, body, err := z.local(rec.at)
	if err != nil {
		return z.yield(nil, damage(rec.name, rec.at, "%s: %v", printable(rec.name), err))
	}
	if body+rec.packed > z.size {
		if !z.yield(nil, damage(rec.name, body, "%s states %d bytes where %d are left", printable(rec.name), rec.packed, z.size-body)) {
			return false
		}
	}
	if local.name != rec.name && !z.yield(nil, damage(rec.name, rec.at, "%s is called %s in front of its content", printable(rec.name), printable(local.name))) {
		return false
	}
	rec.merge(local)
	z.reached = max(z.reached, body+rec.packed)
	return z.entry(rec, body)
}

// local reads the local header at an offset: what it states, and where the
// content begins.
func (z *zipWalk) local(at int64) (*zipRecord, int64, error) {
	var b [localSize]byte
	if !z.read(b[:], at) {
		return nil, 0, errors.New("its place is outside of the archive")
	}
	if string(b[:4]) != sigLocal {
		return nil, 0, errors.New("there is no entry where the directory says")
	}
	le := binary.LittleEndian
	rec := &zipRecord{
		flags: le.Uint16(b[6:]), method: le.Uint16(b[8:]), clock: le.Uint16(b[10:]), date: le.Uint16(b[12:]),
		crc: le.Uint32(b[14:]), packed: int64(le.Uint32(b[18:])), size: int64(le.Uint32(b[22:])), at: at,
	}
	n, m := int(le.Uint16(b[26:])), int(le.Uint16(b[28:]))
	rest := make([]byte, n+m)
	if !z.read(rest, at+localSize) {
		return nil, 0, errors.New("its header is cut")
	}
	rec.name, rec.extra = string(rest[:n]), rest[n:]
	rec.readExtra(false)
	return rec, at + localSize + int64(n+m), nil
}

// entry yields one entry whose content begins at body.
func (z *zipWalk) entry(rec *zipRecord, body int64) bool {
	e := rec.entry(body)
	if e.Type == File || e.Type == Symlink {
		packed := max(min(rec.packed, z.size-body), 0)
		e.Open = func() (io.Reader, error) {
			return z.open(rec, io.NewSectionReader(z.r, body, packed))
		}
	}
	if e.Type == Symlink {
		var err error
		if e.Link, err = z.target(e); err != nil && !z.yield(nil, damage(rec.name, body, "%s is a link whose target cannot be read to its end: %v", printable(rec.name), err)) {
			return false
		}
		e.Open = nil
	}
	if (e.Type == Dir || e.Type == Device) && rec.size > 0 && !z.yield(nil, damage(rec.name, body, "%s is no file and has %d bytes of content: they are not taken", printable(rec.name), rec.size)) {
		return false
	}
	return z.yield(e, nil)
}

// linkMax bounds the target of a symbolic link, PATH_MAX of Linux.
const linkMax = 4096

// target reads the target of a link, which is the entry's content.
func (z *zipWalk) target(e *Entry) (string, error) {
	r, err := e.Open()
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(r, linkMax+1))
	if len(b) > linkMax {
		b, err = b[:linkMax], fmt.Errorf("it has more than %d bytes", linkMax)
	}
	return string(b), err
}
