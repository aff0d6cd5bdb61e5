package bundle

import "github.com/exhibit-dfir/exhibit/evidence"

// holeLimit is how many bytes of holes the digests of an item take in. Where
// there are more, they cover the stored ranges only, and the content line says
// so: "sums":"stored". The holes themselves stand in the same line, so that
// the whole content is fixed either way.
const holeLimit = 1 << 30

// sumsStored reports whether the digests of an item with these holes cover
// its stored ranges only.
func sumsStored(holes []evidence.Extent) bool {
	var total int64
	for _, h := range holes {
		if h.Length > holeLimit-total {
			return true
		}
		total += h.Length
	}
	return false
}
