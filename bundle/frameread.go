package bundle

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Errors of reading frames.
var (
	ErrNotBundle = errors.New("not an exhibit bundle")
	ErrNoTable   = errors.New("bundle has no seek table: it was cut short")
	errBadFrame  = errors.New("damaged frame")
)

// packedLimit bounds the compressed size of a frame: what zstd makes of 4 MiB
// that do not compress, with room.
const packedLimit = MaxFrame + MaxFrame/64 + 1024

// maxBlocks bounds the blocks of a frame, of which encoders make one for each
// 128 KiB or a few more. Empty ones would make a walk over a file slow.
const maxBlocks = 4096

// maxFrames bounds the frames of a bundle: 8 TiB of what does not compress.
// Each takes 8 bytes of memory in a frameList, about what it takes in the seek
// table: memory grows no faster than the file.
const maxFrames = 1 << 24

// frameAt is one frame: where it is in the file and in the tar.
type frameAt struct {
	file, tar     int64
	packed, plain int
	form          form
}

// readSeekTable reads the table at the end of a file of the given size.
func readSeekTable(r io.ReaderAt, size int64) (*frameList, error) {
	switch formOf(r, size) {
	case formTar:
		return tarFrames(size), nil
	case formGzip:
		return gzipFrames(r, size)
	}
	le := binary.LittleEndian
	var foot [seekFooter]byte
	if size < seekFooter+8 {
		return nil, ErrNotBundle
	}
	if _, err := r.ReadAt(foot[:], size-seekFooter); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read end of bundle: %w", err)
	}
	if le.Uint32(foot[5:]) != seekMagic {
		return nil, ErrNoTable
	}
	n := int64(le.Uint32(foot[:]))
	length := 8 + n*8 + seekFooter
	if foot[4] != 0 || length > size || n == 0 || n > maxFrames {
		return nil, fmt.Errorf("%w: malformed seek table", ErrNoTable)
	}
	// In pieces: all of a long table beside the list made of it is not needed.
	table := bufio.NewReaderSize(io.NewSectionReader(r, size-length, length-seekFooter), int(min(length, 1<<20)))
	var pair [8]byte
	if _, err := io.ReadFull(table, pair[:]); err != nil {
		return nil, fmt.Errorf("read seek table: %w", err)
	}
	if le.Uint32(pair[:]) != skippableMagic || int64(le.Uint32(pair[4:])) != length-8 {
		return nil, fmt.Errorf("%w: malformed seek table", ErrNoTable)
	}
	frames := new(frameList)
	for range n {
		if _, err := io.ReadFull(table, pair[:]); err != nil {
			return nil, fmt.Errorf("read seek table: %w", err)
		}
		packed, plain := int(le.Uint32(pair[:])), int(le.Uint32(pair[4:]))
		if packed == 0 || packed > packedLimit || plain == 0 || plain > MaxFrame {
			return nil, fmt.Errorf("%w: impossible frame in seek table", ErrNoTable)
		}
		frames.add(packed, plain)
	}
	if frames.end().file != size-length {
		return nil, fmt.Errorf("%w: seek table does not add up to the file", ErrNoTable)
	}
	return frames, nil
}

// measureFrame finds the compressed and uncompressed size of the zstd frame at
// off by walking its block headers (RFC 8878 section 3.1.1), without decoding.
// The error is io.ErrUnexpectedEOF when the file ends first, errBadFrame when
// these are no bytes of a frame as this format demands it: a single segment,
// content size and checksum present, no dictionary.
func measureFrame(r io.ReaderAt, off, size int64) (packed, plain int, err error) {
	var head [18]byte
	n, err := readUpTo(r, head[:], off, size)
	if err != nil {
		return 0, 0, err
	}
	if n < 4 {
		return 0, 0, shortOr(n == 0, io.EOF)
	}
	if binary.LittleEndian.Uint32(head[:]) != frameMagic {
		return 0, 0, errBadFrame
	}
	if n < 5 {
		return 0, 0, io.ErrUnexpectedEOF
	}
	d := head[4]
	if d&0x3F != 0x24 {
		return 0, 0, errBadFrame
	}
	at := 5
	width := []int{1, 2, 4, 8}[d>>6]
	if n < at+width {
		return 0, 0, io.ErrUnexpectedEOF
	}
	var v [8]byte
	copy(v[:], head[at:at+width])
	content := binary.LittleEndian.Uint64(v[:])
	if width == 2 {
		content += 256
	}
	if content > MaxFrame || content == 0 {
		return 0, 0, errBadFrame
	}
	packed, err = walkBlocks(r, off, size, at+width)
	return packed, int(content), err
}

// walkBlocks adds up the blocks of a frame whose header takes at bytes.
func walkBlocks(r io.ReaderAt, off, size int64, at int) (int, error) {
	for range maxBlocks {
		var b [3]byte
		n, err := readUpTo(r, b[:], off+int64(at), size)
		if err != nil {
			return 0, err
		}
		if n < 3 {
			return 0, io.ErrUnexpectedEOF
		}
		h := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
		kind, length := h>>1&3, h>>3
		if kind == 3 || length > 128<<10 && kind != 1 {
			return 0, errBadFrame
		}
		if kind == 1 {
			length = 1
		}
		at += 3 + length
		if at > packedLimit {
			return 0, errBadFrame
		}
		if h&1 == 1 {
			at += 4 // checksum
			if off+int64(at) > size {
				return 0, io.ErrUnexpectedEOF
			}
			return at, nil
		}
	}
	return 0, errBadFrame
}

// readUpTo fills p as far as the file reaches.
func readUpTo(r io.ReaderAt, p []byte, off, size int64) (int, error) {
	if off >= size {
		return 0, nil
	}
	p = p[:min(int64(len(p)), size-off)]
	n, err := r.ReadAt(p, off)
	if n == len(p) || errors.Is(err, io.EOF) {
		return n, nil
	}
	return n, err
}

func shortOr(cond bool, err error) error {
	if cond {
		return err
	}
	return io.ErrUnexpectedEOF
}

// unpacker decodes frames. It is not safe for concurrent use.
type unpacker struct {
	dec    *zstd.Decoder
	flate  io.ReadCloser // made when first needed
	packed []byte
}

func newUnpacker() (*unpacker, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxFrame), zstd.WithDecoderMaxWindow(MaxFrame), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, fmt.Errorf("make zstd decoder: %w", err)
	}
	return &unpacker{dec: dec}, nil
}

// unpack reads and decodes one frame into dst, which is grown as needed.
func (u *unpacker) unpack(r io.ReaderAt, f frameAt, dst []byte) ([]byte, error) {
	if f.form != formZstd {
		return u.unpackConverted(r, f, dst)
	}
	if cap(u.packed) < f.packed {
		u.packed = make([]byte, f.packed)
	}
	p := u.packed[:f.packed]
	if n, err := r.ReadAt(p, f.file); n < len(p) {
		return nil, fmt.Errorf("read frame at %d: %w", f.file, err)
	}
	if packed, plain, err := measureFrame(sliceAt(p), 0, int64(len(p))); err != nil || packed != f.packed || plain != f.plain {
		return nil, fmt.Errorf("%w at %d", errBadFrame, f.file)
	}
	if cap(dst) < f.plain {
		dst = make([]byte, f.plain)
	}
	out, err := u.dec.DecodeAll(p, dst[:0:f.plain])
	if err != nil {
		return nil, fmt.Errorf("%w at %d: %w", errBadFrame, f.file, err)
	}
	if len(out) != f.plain {
		return nil, fmt.Errorf("%w at %d: decodes to another size", errBadFrame, f.file)
	}
	return out, nil
}

// sliceAt is an io.ReaderAt over memory.
type sliceAt []byte

func (s sliceAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(s)) {
		return 0, io.EOF
	}
	n := copy(p, s[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// cachedFrames is how many decoded frames a Reader keeps: 32 MiB at most.
const cachedFrames = 8

// frameCache decodes frames once for many readers.
type frameCache struct {
	r      io.ReaderAt
	frames *frameList
	idle   chan *unpacker

	mu    sync.Mutex
	slots [cachedFrames]*cached
	clock uint64
}

type cached struct {
	index int
	used  uint64
	once  sync.Once
	plain []byte
	err   error
}

func newFrameCache(r io.ReaderAt, frames *frameList) *frameCache {
	return &frameCache{r: r, frames: frames, idle: make(chan *unpacker, 4)}
}

// size is the length of the tar.
func (c *frameCache) size() int64 {
	return c.frames.end().tar
}

// get returns the decoded frame. Its bytes are shared and must not be changed.
func (c *frameCache) get(index int) ([]byte, error) {
	c.mu.Lock()
	c.clock++
	var hit *cached
	oldest := 0
	for i, s := range c.slots {
		if s == nil {
			if c.slots[oldest] != nil {
				oldest = i
			}
			continue
		}
		if s.index == index {
			hit = s
		}
		if c.slots[oldest] != nil && s.used < c.slots[oldest].used {
			oldest = i
		}
	}
	if hit == nil {
		hit = &cached{index: index}
		c.slots[oldest] = hit
	}
	hit.used = c.clock
	c.mu.Unlock()
	hit.once.Do(func() { hit.plain, hit.err = c.decode(index) })
	return hit.plain, hit.err
}

func (c *frameCache) decode(index int) ([]byte, error) {
	var u *unpacker
	select {
	case u = <-c.idle:
	default:
		var err error
		if u, err = newUnpacker(); err != nil {
			return nil, err
		}
	}
	defer func() {
		select {
		case c.idle <- u:
		default:
			u.dec.Close()
		}
	}()
	return u.unpack(c.r, c.frames.at(index), nil)
}

// ReadAt reads tar bytes.
func (c *frameCache) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	done := 0
	for i := c.frames.holding(off); done < len(p); i++ {
		if i >= c.frames.len() {
			return done, io.EOF
		}
		plain, err := c.get(i)
		if err != nil {
			return done, err
		}
		n := copy(p[done:], plain[off-c.frames.at(i).tar:])
		done, off = done+n, off+int64(n)
	}
	return done, nil
}
