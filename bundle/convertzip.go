package bundle

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/klauspost/compress/flate"
)

// StoredFolder is where a zip keeps the items that it does not write out with
// their holes.
const StoredFolder = "stored/"

// zipHoles bounds the zeros that all holes of a bundle may become in a zip.
const zipHoles = 64 << 30

// ZipReport says what became of a bundle in a zip, which knows no holes.
type ZipReport struct {
	Members  int64    `json:"members"`
	Expanded int64    `json:"expanded"`         // sparse members written with their holes as zeros
	Holes    int64    `json:"holes"`            // bytes of such zeros
	Stored   []string `json:"stored,omitempty"` // sparse members of which only the stored ranges are there, below StoredFolder
	Left     int64    `json:"stored_more,omitempty"`
}

// storedList bounds the names listed of a report.
const storedList = 10_000

// WriteZip writes the members of a bundle as a zip: deflate, zip64 where it is
// needed, the same names and contents. A sparse member has its holes written
// as zeros, up to 1 GiB for one and 64 GiB for all; of others the stored ranges
// are written one behind the other, below StoredFolder. The shipped verify.py
// checks the unpacked files, and names those others as missing.
func WriteZip(ctx context.Context, r io.ReaderAt, size int64, w io.Writer) (*ZipReport, error) {
	z := &zipper{out: zip.NewWriter(w), report: new(ZipReport)}
	z.out.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		if z.enc == nil {
			var err error
			z.enc, err = flate.NewWriter(w, flate.DefaultCompression)
			return z.enc, err
		}
		z.enc.Reset(w) // one member at a time is open
		return z.enc, nil
	})
	tar := &tarWalk{v: z}
	err := walkTar(ctx, r, size, func(p []byte) error {
		tar.feed(p)
		return z.err
	})
	if err == nil && (tar.inside || tar.broken || tar.zero != 2) {
		err = fmt.Errorf("%w: tar has no proper end", ErrNotWhole)
	}
	if err == nil {
		err = z.out.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("convert to zip: %w", err)
	}
	return z.report, nil
}

// zipper writes members as a tarWalk finds them.
type zipper struct {
	out    *zip.Writer
	enc    *flate.Writer
	report *ZipReport
	err    error

	cur    entry
	member io.Writer         // nil until the map of a sparse member is read
	head   []byte            // that map
	ranges []evidence.Extent // stored ranges still to come
	pos    int64             // content bytes written, holes included
	expand bool
}

func (z *zipper) fail(err error) {
	if z.err == nil && err != nil {
		z.err = err
	}
}

// begin implements tarVisitor.
func (z *zipper) begin(e entry, _, _ int64) {
	z.cur, z.member, z.head, z.ranges, z.pos = e, nil, nil, nil, 0
	if !e.sparse {
		z.create(e.name)
	}
}

// create begins a member of the zip.
func (z *zipper) create(name string) {
	if z.err != nil {
		return
	}
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	// The format's dates go from 1980 to 2107; others stand in the record alone.
	if y := z.cur.mtime.Year(); y >= 1980 && z.cur.mtime.Before(time.Unix(1<<32, 0)) {
		h.Modified = z.cur.mtime.UTC()
	}
	h.SetMode(0o444)
	var err error
	z.member, err = z.out.CreateHeader(h)
	z.fail(err)
	z.report.Members++
}

// data implements tarVisitor.
func (z *zipper) data(p []byte) {
	if z.err != nil {
		return
	}
	if !z.cur.sparse {
		_, err := z.member.Write(p)
		z.fail(err)
		return
	}
	if z.member == nil {
		if p = z.readMap(p); z.member == nil {
			return
		}
	}
	for len(p) > 0 && len(z.ranges) > 0 && z.err == nil {
		r := &z.ranges[0]
		z.hole(r.Offset - z.pos)
		n := min(int64(len(p)), r.Length)
		_, err := z.member.Write(p[:n])
		z.fail(err)
		z.pos, p = z.pos+n, p[n:]
		if r.Offset, r.Length = r.Offset+n, r.Length-n; r.Length == 0 {
			z.ranges = z.ranges[1:]
		}
	}
}

// readMap gathers the map of a sparse member and decides how it is written. It
// returns the bytes behind the map.
func (z *zipper) readMap(p []byte) []byte {
	had := len(z.head)
	if had+len(p) > maxControl {
		p = p[:maxControl-had]
	}
	z.head = append(z.head, p...)
	ranges, n, ok := parseSparseMap(z.head, z.cur.real)
	if !ok {
		if len(z.head) >= maxControl {
			z.fail(fmt.Errorf("%w: map of the sparse member %s is malformed", ErrNotWhole, z.cur.name))
		}
		return nil
	}
	z.ranges = ranges
	holes := int64(0)
	gaps := holesOf(ranges, z.cur.real)
	for _, h := range gaps {
		holes += h.Length
	}
	z.expand = !sumsStored(gaps) && z.report.Holes+holes <= zipHoles
	name := z.cur.name
	if z.expand {
		z.report.Expanded++
		z.report.Holes += holes
	} else {
		name = StoredFolder + name
		if len(z.report.Stored) < storedList {
			z.report.Stored = append(z.report.Stored, z.cur.name)
		} else {
			z.report.Left++
		}
	}
	z.create(name)
	return p[n-had:]
}

// hole writes a hole as zeros, or passes over it.
func (z *zipper) hole(n int64) {
	z.pos += n
	if !z.expand {
		return
	}
	for ; n > 0 && z.err == nil; n -= int64(len(zeros)) {
		_, err := z.member.Write(zeros[:min(n, int64(len(zeros)))])
		z.fail(err)
	}
}

// finish implements tarVisitor.
func (z *zipper) finish() {
	if z.err != nil || !z.cur.sparse {
		return
	}
	if z.member == nil {
		z.fail(fmt.Errorf("%w: map of the sparse member %s is malformed", ErrNotWhole, z.cur.name))
		return
	}
	z.hole(z.cur.real - z.pos)
}

// lost, gap and stray implement tarVisitor: only whole bundles are converted.
func (z *zipper) lost(int64)       { z.fail(ErrNotWhole) }
func (z *zipper) gap(int64, int64) { z.fail(ErrNotWhole) }
func (z *zipper) stray(at int64, why string) {
	z.fail(fmt.Errorf("%w: at %d of the tar: %s", ErrNotWhole, at, why))
}
