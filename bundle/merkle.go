package bundle

import (
	"encoding/hex"
	"errors"
	"iter"
	"math/bits"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// LeafHash is the Merkle leaf of one record: the RFC 6962 leaf hash of the
// text that holds the two lines' digests in hexadecimal, one a line. Each line
// is hashed with the LF that ends it. Hashing digests instead of lines lets
// one line be shown while the other stays secret.
func LeafHash(contentLine, metaLine []byte) evidence.Digest {
	return leafOf(evidence.Sum(contentLine), evidence.Sum(metaLine))
}

// leafOf is LeafHash of lines known only by their digests.
func leafOf(content, meta evidence.Digest) evidence.Digest {
	var text [1 + 2*65]byte
	hex.Encode(text[1:65], content[:])
	text[65] = '\n'
	hex.Encode(text[66:130], meta[:])
	text[130] = '\n'
	return evidence.Sum(text[:])
}

// nodeHash is the RFC 6962 hash of an inner node.
func nodeHash(left, right evidence.Digest) evidence.Digest {
	var text [65]byte
	text[0] = 1
	copy(text[1:], left[:])
	copy(text[33:], right[:])
	return evidence.Sum(text[:])
}

// tree is the right edge of a growing Merkle tree: the roots of the perfect
// subtrees that make it up, largest first. Its memory grows with the
// logarithm of the number of leaves.
type tree struct {
	size  int64
	edges []evidence.Digest
}

// add appends a leaf hash.
func (t *tree) add(leaf evidence.Digest) {
	for n := t.size; n&1 == 1; n >>= 1 {
		last := len(t.edges) - 1
		leaf = nodeHash(t.edges[last], leaf)
		t.edges = t.edges[:last]
	}
	t.edges = append(t.edges, leaf)
	t.size++
}

// root is the Merkle tree hash of RFC 6962 section 2.1 over all leaves so far.
func (t *tree) root() evidence.Digest {
	if t.size == 0 {
		return evidence.Sum(nil)
	}
	last := len(t.edges) - 1
	sum := t.edges[last]
	for i := last - 1; i >= 0; i-- {
		sum = nodeHash(t.edges[i], sum)
	}
	return sum
}

// leafList holds leaf hashes in chunks: 32 bytes each, and no copying while it
// grows, which would hold all of them twice.
type leafList [][]evidence.Digest

// leafChunk is how many leaves a chunk of a growing list holds: 128 KiB.
const leafChunk = 4096

func (l *leafList) add(leaf evidence.Digest) {
	last := len(*l) - 1
	if last < 0 || len((*l)[last]) == cap((*l)[last]) {
		*l, last = append(*l, make([]evidence.Digest, 0, leafChunk)), last+1
	}
	(*l)[last] = append((*l)[last], leaf)
}

func (l leafList) count() (n int64) {
	for _, chunk := range l {
		n += int64(len(chunk))
	}
	return n
}

func (l leafList) all() iter.Seq[evidence.Digest] {
	return func(yield func(evidence.Digest) bool) {
		for _, chunk := range l {
			for _, leaf := range chunk {
				if !yield(leaf) {
					return
				}
			}
		}
	}
}

// rootOf is the Merkle tree hash of a list of leaf hashes.
func rootOf(leaves []evidence.Digest) evidence.Digest {
	var t tree
	for _, l := range leaves {
		t.add(l)
	}
	return t.root()
}

// auditPath is PATH(index, leaves) of RFC 6962 section 2.1.1, from the leaf's
// sibling up to the root's child.
func auditPath(leaves []evidence.Digest, index int) []evidence.Digest {
	if len(leaves) <= 1 {
		return nil
	}
	split := 1 << (bits.Len(uint(len(leaves)-1)) - 1)
	if index < split {
		return append(auditPath(leaves[:split], index), rootOf(leaves[split:]))
	}
	return append(auditPath(leaves[split:], index-split), rootOf(leaves[:split]))
}

var errBadPath = errors.New("audit path does not fit the tree")

// rootFromPath computes the root that an audit path leads to, by the
// algorithm of RFC 9162 section 2.1.3.2.
func rootFromPath(leaf evidence.Digest, index, size int64, path []evidence.Digest) (evidence.Digest, error) {
	if index < 0 || index >= size {
		return evidence.Digest{}, errBadPath
	}
	fn, sn, sum := uint64(index), uint64(size-1), leaf
	for _, p := range path {
		if sn == 0 {
			return evidence.Digest{}, errBadPath
		}
		if fn&1 == 1 || fn == sn {
			sum = nodeHash(p, sum)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			sum = nodeHash(sum, p)
		}
		fn, sn = fn>>1, sn>>1
	}
	if sn != 0 {
		return evidence.Digest{}, errBadPath
	}
	return sum, nil
}
