package evidence

import (
	"encoding/hex"
	"fmt"
	"hash"

	sha256 "github.com/minio/sha256-simd"
)

// Digest is a SHA-256 value. The zero Digest means "none".
type Digest [32]byte

// NewHash returns the hash behind every Digest. It is the one place that
// chooses the SHA-256 implementation.
func NewHash() hash.Hash { return sha256.New() }

// Sum returns the Digest of b.
func Sum(b []byte) Digest { return sha256.Sum256(b) }

// DigestOf returns what h has summed so far.
func DigestOf(h hash.Hash) Digest {
	var d Digest
	h.Sum(d[:0])
	return d
}

// ParseDigest reads 64 lower-case hexadecimal digits; any other spelling is
// an error.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != 2*len(d) {
		return d, fmt.Errorf("digest has %d characters, want 64", len(s))
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return d, fmt.Errorf("digest has character %q, want lower-case hexadecimal", c)
		}
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err
}

// String returns 64 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is "none".
func (d Digest) IsZero() bool { return d == Digest{} }
