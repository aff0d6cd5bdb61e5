package collect

import (
	"sync"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// maxHashed bounds how many digests are remembered; one costs about 150 bytes.
const maxHashed = 100_000

// hashed remembers the digests of files that one collector read, so that
// another need not read them again.
type hashed struct {
	mu   sync.Mutex
	sums map[hashedKey]evidence.Digest
}

// hashedKey tells a file and its state: the time of change moves with every
// write and cannot be set.
type hashedKey struct {
	dev              string
	inode            uint64
	size             int64
	modified, change int64
}

func keyOf(st *evidence.Stat) hashedKey {
	return hashedKey{st.Dev, st.Inode, st.Size, st.Modified.UnixNano(), st.Changed.UnixNano()}
}

// RememberHash notes the digest of a file that was read whole while it had
// this metadata.
func (h *Host) RememberHash(st *evidence.Stat, sum evidence.Digest) {
	h.hashed.mu.Lock()
	defer h.hashed.mu.Unlock()
	if h.hashed.sums == nil {
		h.hashed.sums = map[hashedKey]evidence.Digest{}
	}
	if len(h.hashed.sums) < maxHashed {
		h.hashed.sums[keyOf(st)] = sum
	}
}

// RememberedHash returns the digest of a file that was read in this run and
// has not changed since.
func (h *Host) RememberedHash(st *evidence.Stat) (evidence.Digest, bool) {
	h.hashed.mu.Lock()
	defer h.hashed.mu.Unlock()
	sum, ok := h.hashed.sums[keyOf(st)]
	return sum, ok
}
