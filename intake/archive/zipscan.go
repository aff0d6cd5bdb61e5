package archive

import (
	"bytes"
	"encoding/binary"
	"io"
)

// scan yields the entries whose local headers are found from an offset on:
// what is left of an archive without its directory.
func (z *zipWalk) scan(from int64) {
	found := false
	for from < z.size {
		at := z.search(from, sigLocal)
		if at < 0 {
			break
		}
		rec, body, err := z.local(at)
		if err != nil || !rec.plausible() {
			from = at + 4
			continue
		}
		found = true
		end, d := z.extent(rec, body)
		if d != nil && !z.yield(nil, d) {
			return
		}
		if !z.entry(rec, body) {
			return
		}
		from = max(end, body)
	}
	if !found {
		z.yield(nil, damage("", from, "no entry was found from here on"))
	}
}

// search returns the offset of the next signature; -1 for none.
func (z *zipWalk) search(from int64, sig string) int64 {
	buf := make([]byte, bufSize)
	for from < z.size {
		n, err := z.r.ReadAt(buf, from)
		if i := bytes.Index(buf[:n], []byte(sig)); i >= 0 {
			return from + int64(i)
		}
		if err != nil || n <= len(sig) {
			return -1
		}
		from += int64(n - len(sig) + 1)
	}
	return -1
}

// plausible reports whether what stands behind a signature looks like a
// header, since four bytes may come about by themselves.
func (rec *zipRecord) plausible() bool {
	if len(rec.name) == 0 || len(rec.name) > linkMax || rec.packed < 0 || rec.size < 0 {
		return false
	}
	switch rec.method {
	case methodStored, methodDeflate, methodBzip2, methodZstd, methodXZ, 1, 6, 9, 14, 98, 99:
		return true
	}
	return false
}

// The looking for descriptors is bounded to so many times the archive and
// something for each look, since every entry without one has it read to its
// end.
const (
	seekRatio = 64
	seekFloor = 1 << 28
	seekCost  = 4 << 10
)

// extent finds where an entry ends that was found by its local header, and
// completes what its header leaves to the descriptor behind the content.
func (z *zipWalk) extent(rec *zipRecord, body int64) (end int64, d *Damage) {
	if rec.flags&flagDescriptor == 0 || rec.packed > 0 {
		end = body + rec.packed
		if end > z.size || end < body {
			return z.size, damage(rec.name, body, "%s states %d bytes where %d are left", printable(rec.name), rec.packed, z.size-body)
		}
		return end, nil
	}
	for at := body; z.sought < seekRatio*z.size+seekFloor; at += 4 {
		from := at
		if at = z.search(at, sigDescriptor); at < 0 {
			z.sought += z.size - from
			break
		}
		z.sought += at - from + seekCost
		if n := z.descriptor(rec, at, at-body); n > 0 {
			return at + n, nil
		}
	}
	// The end is not known. The content of one that was cut reaches to the end
	// of the file; a decoder sees where its own ends.
	rec.packed, rec.size, rec.unstated = z.size-body, -1, true
	next := z.search(body, sigLocal)
	if next < 0 {
		return z.size, damage(rec.name, body, "%s is cut: the archive ends in it", printable(rec.name))
	}
	if rec.method == methodStored || rec.flags&flagSealed != 0 {
		rec.packed = next - body
	}
	return next, damage(rec.name, body, "%s does not say where it ends", printable(rec.name))
}

// descriptor takes the data descriptor at an offset when it is that of n bytes
// of content, and returns its length: 16 bytes, or 24 with sizes of 64 bits
// (4.3.9). Both begin alike where the content has less than 4 GiB: what follows
// tells which it is.
func (z *zipWalk) descriptor(rec *zipRecord, at, n int64) int64 {
	le := binary.LittleEndian
	b := make([]byte, 28)
	m, err := z.r.ReadAt(b, at)
	if err != nil && err != io.EOF {
		return 0
	}
	record := func(i int) bool { return m >= i+4 && string(b[i:i+2]) == "PK" }
	short := m >= 16 && int64(le.Uint32(b[8:])) == n
	long := m >= 24 && int64(le.Uint64(b[8:])) == n && le.Uint64(b[16:]) < 1<<62
	switch {
	case long && (!short || !record(16) && (record(24) || m == 24)):
		rec.packed, rec.size, rec.crc = n, int64(le.Uint64(b[16:])), le.Uint32(b[4:])
		return 24
	case short:
		rec.packed, rec.size, rec.crc = n, int64(le.Uint32(b[12:])), le.Uint32(b[4:])
		return 16
	}
	return 0
}
