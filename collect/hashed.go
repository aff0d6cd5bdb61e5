package collect

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// maxHashed bounds how many digests are remembered; one costs about 90 bytes.
const maxHashed = 100_000

// hashed remembers the digests of files that one collector read, so that
// another need not read them again.
type hashed struct {
	mu   sync.Mutex
	sums map[hashedKey]evidence.Digest
}

// hashedKey tells a file and its state: the time of change moves with every
// write and cannot be set. It is the head of a SHA-256, which nobody can aim at.
type hashedKey [16]byte

func keyOf(st *evidence.Stat) hashedKey {
	b := make([]byte, 0, 64)
	for _, n := range []int64{int64(st.Inode), st.Size, st.Modified.UnixNano(), st.Changed.UnixNano()} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	sum := sha256.Sum256(append(b, st.Dev...))
	return hashedKey(sum[:16])
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
