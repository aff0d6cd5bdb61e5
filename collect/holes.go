package collect

import (
	"cmp"
	"slices"

	"github.com/exhibit-dfir/exhibit/evidence"
)

const (
	// maxHoles is how many holes the format describes; smaller ones are
	// stored as zeros.
	maxHoles = 8192
	// maxFilled bounds the zeros that are read for holes that find no room:
	// a file that is made of nothing but small holes may have exabytes.
	maxFilled = 4 << 30
)

// longestHoles keeps the longest maxHoles, in order, and sums up the rest.
func longestHoles(holes []evidence.Extent) (longest []evidence.Extent, rest int64) {
	byLength := slices.Clone(holes)
	slices.SortStableFunc(byLength, func(a, b evidence.Extent) int { return cmp.Compare(b.Length, a.Length) })
	for _, h := range byLength[maxHoles:] {
		rest += h.Length
	}
	longest = byLength[:maxHoles]
	slices.SortFunc(longest, func(a, b evidence.Extent) int { return cmp.Compare(a.Offset, b.Offset) })
	return longest, rest
}
