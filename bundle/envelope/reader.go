package envelope

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"filippo.io/age"
)

// Extent is a range of bytes.
type Extent struct{ Offset, Length int64 }

// Reader gives the bytes inside an envelope at any offset. It is safe for
// concurrent use. Memory: 8 MiB of decrypted chunks, 4 MiB of buffers.
//
// A chunk that fails its authentication reads as zeros and is listed by Damage:
// what a bundle keeps in its frames has checksums, so that zeros are never
// taken for evidence, and everything behind them can be read.
type Reader struct {
	src    io.ReaderAt
	stream stream
	at     int64 // file offset of the first chunk
	length int64 // bytes of the chunks
	chunks int64
	size   int64
	whole  bool
	spare  chan []byte // buffers of sealed chunks, 1 MiB each

	mu    sync.Mutex
	cache map[int64]*chunk
	clock uint64
	bad   map[int64]struct{}
}

// chunk is one decrypted chunk. Its bytes are never changed.
type chunk struct {
	plain []byte
	used  uint64
}

const (
	cached   = 128  // chunks kept: 8 MiB, what a verification is ahead of itself
	together = 16   // chunks read from the file at once
	maxBad   = 1e5  // damaged chunks listed
	seam     = 1000 // bytes of a message about the header that are kept
)

// Open opens an envelope of the given size with the first identity that fits.
// A file whose end is missing opens as well: Whole then says false, and the
// size is that of the whole chunks. It reads the header, the nonce and the last
// chunk.
func Open(src io.ReaderAt, size int64, identities ...age.Identity) (*Reader, error) {
	header, err := extract(src, size)
	if err != nil {
		return nil, err
	}
	if len(identities) == 0 {
		return nil, fmt.Errorf("%w: none was given", ErrNoKey)
	}
	key, err := age.DecryptHeader(header, identities...)
	if err != nil {
		return nil, unwrapError(err)
	}
	nonce := make([]byte, nonceSize)
	if n, err := src.ReadAt(nonce, int64(len(header))); n < nonceSize {
		if err == nil || errors.Is(err, io.EOF) {
			err = ErrCut
		}
		return nil, err
	}
	r := &Reader{
		src: src, at: int64(len(header)) + nonceSize,
		cache: map[int64]*chunk{}, bad: map[int64]struct{}{}, spare: make(chan []byte, 4),
	}
	r.length = size - r.at
	if r.stream, err = newStream(key, nonce); err != nil {
		return nil, err
	}
	return r, r.findEnd()
}

// unwrapError says why a header did not give its key.
func unwrapError(err error) error {
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return fmt.Errorf("%w: it is encrypted to other keys (%s)", ErrNoKey, summary(none.StanzaTypes))
	case strings.Contains(err.Error(), "header MAC"):
		return ErrHeader
	}
	text := err.Error()
	return fmt.Errorf("%w: %s", ErrNoKey, text[:min(len(text), seam)])
}

// summary counts the types of a header's recipients, hostile ones included.
func summary(types []string) string {
	count := map[string]int{}
	for _, t := range types {
		if len(t) > 32 {
			t = t[:32]
		}
		if len(count) < 8 || count[t] > 0 {
			count[t]++
		}
	}
	var out []string
	for t, n := range count {
		out = append(out, fmt.Sprintf("%d × %s", n, t))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// findEnd decrypts the last chunk, which says that it is the last. A file cut
// elsewhere has no such chunk: what is left of a chunk there cannot be read.
func (r *Reader) findEnd() error {
	full, rest := r.length/sealed, r.length%sealed
	last, n := full, rest
	if rest == 0 {
		last, n = full-1, sealed
	}
	if last >= 0 && (n > overhead || last == 0 && n == overhead) {
		buf := make([]byte, n)
		if m, err := r.src.ReadAt(buf, r.at+last*sealed); int64(m) < n {
			return fmt.Errorf("read end of envelope: %w", noEOF(err))
		}
		if plain, ok := r.stream.open(buf, buf, last, true); ok {
			r.whole, r.chunks, r.size = true, last+1, last*chunkSize+int64(len(plain))
			r.keep(last, plain)
			return nil
		}
	}
	r.chunks, r.size = full, full*chunkSize
	return nil
}

func noEOF(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Size returns the length of what is inside, as far as it can be read.
func (r *Reader) Size() int64 { return r.size }

// Whole reports whether the envelope's end is there and authentic. What it says
// of a bundle is only that its file was not cut.
func (r *Reader) Whole() bool { return r.whole }

// Damage lists the ranges read so far whose chunks are not what was encrypted.
func (r *Reader) Damage() []Extent {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []int64
	for i := range r.bad {
		list = append(list, i)
	}
	slices.Sort(list)
	var out []Extent
	for _, i := range list {
		e := Extent{i * chunkSize, min(chunkSize, r.size-i*chunkSize)}
		if n := len(out); n > 0 && out[n-1].Offset+out[n-1].Length == e.Offset {
			out[n-1].Length += e.Length
			continue
		}
		out = append(out, e)
	}
	return out
}

// ReadAt implements io.ReaderAt.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	done := 0
	for done < len(p) && off < r.size {
		index, within := off/chunkSize, int(off%chunkSize)
		plain := r.have(index)
		if plain == nil {
			// As many chunks as the caller still wants, in one read.
			want := (int64(within+len(p)-done) + chunkSize - 1) / chunkSize
			var err error
			if plain, err = r.load(index, min(want, together, r.chunks-index)); err != nil {
				return done, err
			}
		}
		n := copy(p[done:], plain[within:])
		done, off = done+n, off+int64(n)
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// have returns a chunk that is in memory.
func (r *Reader) have(index int64) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.cache[index]
	if c == nil {
		return nil
	}
	r.clock++
	c.used = r.clock
	return c.plain
}

// load reads and decrypts n chunks and returns the first.
func (r *Reader) load(index, n int64) ([]byte, error) {
	var whole []byte
	select {
	case whole = <-r.spare:
	default:
		whole = make([]byte, together*sealed)
	}
	defer func() {
		select {
		case r.spare <- whole:
		default:
		}
	}()
	buf := whole[:min(n*sealed, r.length-index*sealed)]
	if m, err := r.src.ReadAt(buf, r.at+index*sealed); m < len(buf) {
		return nil, fmt.Errorf("read envelope at %d: %w", r.at+index*sealed+int64(m), noEOF(err))
	}
	var first []byte
	for i := range n {
		part := buf[i*sealed : min((i+1)*sealed, int64(len(buf)))]
		plain, ok := r.stream.open(make([]byte, 0, len(part)-overhead), part, index+i, r.whole && index+i == r.chunks-1)
		if !ok {
			plain = make([]byte, len(part)-overhead)
			r.spoiled(index + i)
		}
		r.keep(index+i, plain)
		if i == 0 {
			first = plain
		}
	}
	return first, nil
}

// spoiled notes a chunk that is not what was encrypted.
func (r *Reader) spoiled(index int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.bad) < maxBad {
		r.bad[index] = struct{}{}
	}
}

// keep holds a chunk in memory in place of the one used longest ago.
func (r *Reader) keep(index int64, plain []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock++
	if len(r.cache) >= cached {
		oldest, at := r.clock, int64(-1)
		for i, c := range r.cache {
			if c.used < oldest {
				oldest, at = c.used, i
			}
		}
		delete(r.cache, at)
	}
	r.cache[index] = &chunk{plain, r.clock}
}
