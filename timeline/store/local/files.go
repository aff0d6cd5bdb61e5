package local

import (
	"bufio"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"runtime"

	"github.com/exhibit-dfir/exhibit/evidence"
)

const tempSuffix = ".part"

// hashedFile counts and hashes what is written to it.
type hashedFile struct {
	out  *bufio.Writer
	sum  hash.Hash
	size int64
}

func (h *hashedFile) Write(p []byte) (int, error) {
	n, err := h.out.Write(p)
	h.sum.Write(p[:n])
	h.size += int64(n)
	return n, err
}

// file writes a file below the builder's folder whole or not at all: beside
// its place, to the disk, then renamed.
func (b *Builder) file(name string, write func(*hashedFile) error) (evidence.Digest, int64, error) {
	path := b.path(name)
	fail := func(err error) (evidence.Digest, int64, error) {
		return evidence.Digest{}, 0, fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fail(err)
	}
	f, err := os.OpenFile(path+tempSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fail(err)
	}
	h := &hashedFile{out: bufio.NewWriterSize(f, 256<<10), sum: evidence.NewHash()}
	err = write(h)
	if err == nil {
		err = h.out.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(path+tempSuffix, path)
	}
	if err != nil {
		os.Remove(path + tempSuffix)
		return fail(err)
	}
	return evidence.DigestOf(h.sum), h.size, nil
}

// syncDir makes renames in a folder last. Windows has no such call and needs
// none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
