//go:build windows || darwin

package collectors

import (
	"context"
	"errors"
	"io"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// imageHashes hashes executables of the running host, each path once.
type imageHashes struct {
	host *collect.Host
	done map[string]imageHash
}

type imageHash struct {
	sum  string
	size int64
	err  error
}

// maxImage bounds an executable.
const maxImage = 1 << 30

// of returns SHA-256 and size of a file of the host.
func (i *imageHashes) of(ctx context.Context, path string) imageHash {
	if h, ok := i.done[path]; ok {
		return h
	}
	if i.done == nil {
		i.done = map[string]imageHash{}
	}
	h := i.hash(ctx, path)
	i.done[path] = h
	return h
}

func (i *imageHashes) hash(ctx context.Context, path string) imageHash {
	f, err := i.host.Open(path)
	if err != nil {
		return imageHash{err: err}
	}
	defer f.Close()
	sum, buf, size := evidence.NewHash(), make([]byte, hashChunk), int64(0)
	for {
		n, err := f.Read(buf)
		sum.Write(buf[:n])
		size += int64(n)
		i.host.Pace(ctx, n)
		switch {
		case err == io.EOF:
			return imageHash{sum: evidence.DigestOf(sum).String(), size: size}
		case err != nil:
			return imageHash{err: err}
		case ctx.Err() != nil:
			return imageHash{err: ctx.Err()}
		case size > maxImage:
			return imageHash{err: errors.New("too large to be hashed")}
		}
	}
}
