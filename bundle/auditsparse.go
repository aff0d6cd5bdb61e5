package bundle

import (
	"bytes"
	"strconv"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// sparse reads the map of a sparse file, then sums its ranges and holes.
func (a *audit) sparse(p []byte) {
	for a.ranges == nil {
		// Block by block: the map ends with one, and pieces may be short.
		n := min(len(p), tarBlock-len(a.buf)%tarBlock)
		if n == 0 || a.noMap {
			return
		}
		a.buf, p = append(a.buf, p[:n]...), p[n:]
		if len(a.buf)%tarBlock == 0 {
			a.sparseMap()
		}
	}
	for len(p) > 0 && len(a.ranges) > 0 {
		r := &a.ranges[0]
		if r.Offset > a.done {
			a.hole(r.Offset - a.done)
			a.done = r.Offset
		}
		n := min(int64(len(p)), r.Length)
		a.sums.write(p[:n])
		a.done += n
		p = p[n:]
		if r.Offset, r.Length = r.Offset+n, r.Length-n; r.Length == 0 {
			a.ranges = a.ranges[1:]
		}
	}
}

// sparseMap reads the map of a sparse file once enough of it is there. Its
// length follows from the number of lines, so that it is parsed once.
func (a *audit) sparseMap() {
	first, _, _ := bytes.Cut(a.buf, []byte("\n"))
	count, err := strconv.Atoi(string(first[:min(len(first), 6)]))
	if err != nil || count < 1 || count > maxHoles+1 || len(a.buf) > maxMap {
		a.noMap = true
		return
	}
	last := a.buf[len(a.buf)-tarBlock:]
	if a.lines += bytes.Count(last, []byte("\n")); a.lines < 1+2*count {
		return
	}
	ranges, n, ok := parseSparseMap(a.buf, a.cur.real)
	if !ok || n != len(a.buf) {
		a.noMap = true
		return
	}
	a.ranges = ranges
	a.leftOut = sumsStored(holesOf(ranges, a.cur.real))
}

// hole sums a hole. Holes cost nothing to claim, so there is a limit to how
// many zeros all the items of a bundle may have summed.
func (a *audit) hole(n int64) {
	if a.leftOut {
		return // up to 2^61 bytes
	}
	if a.zeros += n; a.zeros > maxExpansion {
		a.report.altered(a.cur.name, a.at, "bundle claims more than 256 GiB of holes to be summed: not done")
		a.zeros = maxExpansion
		return
	}
	if n > 0 {
		a.sums.writeZeros(n)
	}
}

// parseSparseMap reads a GNU.sparse 1.0 map from the front of b. ok is false
// while it is not whole, or when it is none.
func parseSparseMap(b []byte, size int64) (ranges []evidence.Extent, length int, ok bool) {
	at := 0
	number := func() (int64, bool) {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return 0, false
		}
		v, err := strconv.ParseInt(string(b[at:at+i]), 10, 64)
		at += i + 1
		return v, err == nil && v >= 0
	}
	n, ok := number()
	if !ok || n < 1 || n > maxHoles+1 {
		return nil, 0, false
	}
	end := int64(0)
	for range n {
		off, ok1 := number()
		size1, ok2 := number()
		if !ok1 || !ok2 || off < end || off > size || size1 > size-off {
			return nil, 0, false
		}
		end = off + size1
		ranges = append(ranges, evidence.Extent{Offset: off, Length: size1})
	}
	length = (at + tarBlock - 1) &^ (tarBlock - 1)
	return ranges, length, length <= len(b)
}

// holesOf is the complement of stored ranges.
func holesOf(ranges []evidence.Extent, size int64) []evidence.Extent {
	var holes []evidence.Extent
	at := int64(0)
	for _, r := range append(ranges[:len(ranges):len(ranges)], evidence.Extent{Offset: size}) {
		if r.Offset > at {
			holes = append(holes, evidence.Extent{Offset: at, Length: r.Offset - at})
		}
		at = r.Offset + r.Length
	}
	return holes
}
