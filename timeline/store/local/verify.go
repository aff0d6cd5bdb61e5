package local

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Verified is what Verify saw.
type Verified struct {
	Files   int   // checked: segments, word filters and tables
	Bytes   int64 // read
	Damaged int   // files that are missing or differ
}

// Verify reads every file that the manifest lists and compares size and
// SHA-256; Open has checked the chain of the manifest itself. damage is
// called with a *FileError for every file that is missing or differs. The
// error is that of the context.
func (e *Engine) Verify(ctx context.Context, damage func(error)) (Verified, error) {
	var v Verified
	check := func(name, sum string, size int64) error {
		v.Files++
		n, err := e.compare(ctx, name, sum, size)
		v.Bytes += n
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			v.Damaged++
			damage(&FileError{name, err})
		}
		return nil
	}
	for i := range e.manifest.segments {
		s := &e.manifest.segments[i]
		if err := check(s.Name, s.SHA256, s.Bytes); err != nil {
			return v, err
		}
		if err := check(s.tok(), s.TokSHA256, s.TokBytes); err != nil {
			return v, err
		}
	}
	for i := range e.manifest.tables {
		t := &e.manifest.tables[i]
		if err := check(t.Name, t.SHA256, t.Bytes); err != nil {
			return v, err
		}
	}
	return v, nil
}

// compare reads one file; n is how much of it was read.
func (e *Engine) compare(ctx context.Context, name, sum string, size int64) (n int64, err error) {
	f, err := os.Open(filepath.Join(e.dir, filepath.FromSlash(name)))
	if err != nil {
		return 0, bare(err)
	}
	defer f.Close()
	h := evidence.NewHash()
	buf := make([]byte, 1<<20)
	for ctx.Err() == nil {
		k, err := f.Read(buf)
		h.Write(buf[:k])
		n += int64(k)
		if err == io.EOF {
			break
		}
		if err != nil {
			return n, bare(err)
		}
	}
	switch got := evidence.DigestOf(h).String(); {
	case n != size:
		return n, fmt.Errorf("has %d bytes, the manifest says %d", n, size)
	case got != sum:
		return n, fmt.Errorf("has SHA-256 %s, the manifest says %s", got, sum)
	}
	return n, nil
}
