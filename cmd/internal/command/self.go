package command

import (
	"io"
	"os"
	"sync"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// OwnDigest returns the SHA-256 of the running program's file, the zero
// Digest where it cannot be read.
var OwnDigest = sync.OnceValue(func() evidence.Digest {
	path, err := os.Executable()
	if err != nil {
		return evidence.Digest{}
	}
	d, err := FileDigest(path)
	if err != nil {
		return evidence.Digest{}
	}
	return d
})

// FileDigest returns the SHA-256 of a file.
func FileDigest(path string) (evidence.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return evidence.Digest{}, err
	}
	defer f.Close()
	h := evidence.NewHash()
	if _, err := io.Copy(h, f); err != nil {
		return evidence.Digest{}, err
	}
	return evidence.DigestOf(h), nil
}
