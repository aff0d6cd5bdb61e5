package envelope

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// The payload of an age file (C2SP age.md, "Payload"): the file key and a nonce
// give a key by HKDF-SHA-256; the plaintext is cut into chunks of 64 KiB, each
// sealed by ChaCha20-Poly1305 under a nonce of 11 bytes counter, big-endian,
// and one byte that is 1 for the last chunk. The library decrypts front to back
// or not at all; each chunk alone is what lets a damaged file be read on.
const (
	// ChunkSize is the length of the pieces an envelope is cut into, decrypted.
	ChunkSize = 64 << 10

	chunkSize = ChunkSize
	overhead  = chacha20poly1305.Overhead
	sealed    = chunkSize + overhead
	nonceSize = 16
)

// stream decrypts single chunks. It is safe for concurrent use.
type stream struct{ aead cipher.AEAD }

func newStream(fileKey, nonce []byte) (stream, error) {
	key, err := hkdf.Key(sha256.New, fileKey, nonce, "payload", chacha20poly1305.KeySize)
	if err != nil {
		return stream{}, fmt.Errorf("derive payload key: %w", err)
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return stream{}, fmt.Errorf("derive payload key: %w", err)
	}
	return stream{aead}, nil
}

// open decrypts one sealed chunk into dst's capacity, which may be the sealed
// bytes' own.
func (s stream) open(dst, chunk []byte, index int64, last bool) ([]byte, bool) {
	var nonce [chacha20poly1305.NonceSize]byte
	binary.BigEndian.PutUint64(nonce[3:11], uint64(index))
	if last {
		nonce[11] = 1
	}
	plain, err := s.aead.Open(dst[:0], nonce[:], chunk, nil)
	return plain, err == nil
}
