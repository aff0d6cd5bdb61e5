package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// OwnDigest returns the SHA-256 of the running program's file, the zero
// Digest where it cannot be read.
var OwnDigest = sync.OnceValue(func() evidence.Digest {
	// The file may have no name any more: a program that was sent to a host to
	// leave nothing there.
	path := "/proc/self/exe"
	if _, err := os.Stat(path); err != nil {
		if path, err = os.Executable(); err != nil {
			return evidence.Digest{}
		}
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

// DigestOf returns the SHA-256 of what was opened, whatever lies under its
// name by now: of size bytes, so that it speaks of what was verified.
func DigestOf(ctx context.Context, r io.ReaderAt, size int64) (evidence.Digest, error) {
	h, in := evidence.NewHash(), io.NewSectionReader(r, 0, size)
	for done := int64(0); done < size; {
		if ctx.Err() != nil {
			return evidence.Digest{}, context.Cause(ctx)
		}
		n, err := io.CopyN(h, in, min(size-done, digestStep))
		done += n
		if err != nil {
			return evidence.Digest{}, fmt.Errorf("hash file: %w", err)
		}
	}
	return evidence.DigestOf(h), nil
}

const digestStep = 16 << 20 // between two looks at the context
