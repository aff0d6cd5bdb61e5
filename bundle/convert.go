package bundle

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
)

// ErrNotWhole says that a bundle cannot be converted because parts of it are
// lost: Recover comes first.
var ErrNotWhole = errors.New("bundle is not whole")

// walkTar calls use for the tar of a whole bundle, piece by piece.
func walkTar(ctx context.Context, r io.ReaderAt, size int64, use func(p []byte) error) error {
	walk := newFrameWalk(r, size, 2)
	first := true
	err := walk.run(ctx, func(w walked) error {
		if w.data == nil {
			return fmt.Errorf("%w: bytes from %d of the file cannot be decoded", ErrNotWhole, w.file)
		}
		if first && !beginsLikeBundle(w.data) {
			return ErrNotBundle
		}
		first = false
		return use(w.data)
	})
	if err != nil {
		return err
	}
	if walk.end != endTable || first {
		return fmt.Errorf("%w: its end is missing", ErrNotWhole)
	}
	return nil
}

// WriteTar writes the tar of a bundle as it is: every byte that was sealed.
// What it writes is a bundle to Open and to Verify.
func WriteTar(ctx context.Context, r io.ReaderAt, size int64, w io.Writer) error {
	err := walkTar(ctx, r, size, func(p []byte) error {
		_, err := w.Write(p)
		return err
	})
	if err != nil {
		return fmt.Errorf("convert to tar: %w", err)
	}
	return nil
}

// WriteGzip writes the same tar in gzip members of 4 MiB, which any gunzip
// joins again. What it writes is a bundle to Open and to Verify.
func WriteGzip(ctx context.Context, r io.ReaderAt, size int64, w io.Writer) error {
	g, err := newGzipWriter(w)
	if err != nil {
		return fmt.Errorf("convert to tar.gz: %w", err)
	}
	err = walkTar(ctx, r, size, g.write)
	if err == nil {
		err = g.member()
	}
	if err != nil {
		return fmt.Errorf("convert to tar.gz: %w", err)
	}
	return nil
}

// gzipWriter cuts what it is given into members that state their sizes.
type gzipWriter struct {
	w      io.Writer
	enc    *flate.Writer
	plain  []byte
	packed appender
}

// appender is a buffer as an io.Writer.
type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}

func newGzipWriter(w io.Writer) (*gzipWriter, error) {
	enc, err := flate.NewWriter(io.Discard, flate.DefaultCompression)
	if err != nil {
		return nil, err
	}
	return &gzipWriter{w: w, enc: enc, plain: make([]byte, 0, MaxFrame)}, nil
}

func (g *gzipWriter) write(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), MaxFrame-len(g.plain))
		g.plain = append(g.plain, p[:n]...)
		if p = p[n:]; len(g.plain) == MaxFrame {
			if err := g.member(); err != nil {
				return err
			}
		}
	}
	return nil
}

// member writes what has gathered.
func (g *gzipWriter) member() error {
	if len(g.plain) == 0 {
		return nil
	}
	le := binary.LittleEndian
	g.packed = append(append(g.packed[:0], gzipMark...), make([]byte, 8)...)
	g.enc.Reset(&g.packed)
	if _, err := g.enc.Write(g.plain); err != nil {
		return err
	}
	if err := g.enc.Close(); err != nil {
		return err
	}
	g.packed = le.AppendUint32(g.packed, crc32.ChecksumIEEE(g.plain))
	g.packed = le.AppendUint32(g.packed, uint32(len(g.plain)))
	le.PutUint32(g.packed[len(gzipMark):], uint32(len(g.packed)))
	le.PutUint32(g.packed[len(gzipMark)+4:], uint32(len(g.plain)))
	g.plain = g.plain[:0]
	_, err := g.w.Write(g.packed)
	return err
}
