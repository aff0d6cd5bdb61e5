package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz/lzma"
)

// Object flags: how a payload is compressed.
const (
	compXZ   = 1
	compLZ4  = 2
	compZSTD = 4
)

// keepMax bounds the decoded payloads that are kept for further entries.
const keepMax = 16 << 20

// unpacker decodes payloads and keeps them for the next entry that names them.
type unpacker struct {
	zstd  *zstd.Decoder
	known map[int64]unpacked
	held  int

	budget int64 // bytes that may still be decoded, or copied from large objects
}

type unpacked struct {
	data []byte
	size int64
}

func (u *unpacker) kept(off int64) ([]byte, int64, bool) {
	k, ok := u.known[off]
	return k.data, k.size, ok
}

func (u *unpacker) keep(off int64, b []byte, size int64) {
	if len(b) > keepMax/4 {
		return
	}
	const overhead = 64 // of a map entry, roughly
	if u.known == nil || u.held+len(b)+overhead > keepMax {
		u.known, u.held = map[int64]unpacked{}, 0
	}
	u.known[off] = unpacked{b, size}
	u.held += len(b) + overhead
}

// decode returns at most MaxValue decoded bytes, and the whole size where it
// is stated, else one more than was decoded.
func (u *unpacker) decode(flags byte, src []byte) (b []byte, size int64, err error) {
	if u.budget <= 0 {
		return nil, 0, errors.New("decoded data exceeds all proportion to the file")
	}
	switch flags {
	case compZSTD:
		b, size, err = u.decodeZstd(src)
	case compLZ4:
		b, size, err = decodeLZ4(src)
	default:
		b, size, err = decodeXZ(src)
	}
	u.budget -= int64(len(b))
	return b, size, err
}

func (u *unpacker) decodeZstd(src []byte) ([]byte, int64, error) {
	if u.zstd == nil {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderMaxMemory(MaxValue), zstd.WithDecoderMaxWindow(MaxValue))
		if err != nil {
			return nil, 0, err
		}
		u.zstd = d
	}
	b, err := u.zstd.DecodeAll(src, nil)
	if err == nil {
		return b, int64(len(b)), nil
	}
	if !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		return nil, 0, fmt.Errorf("decode zstd data: %w", err)
	}
	d, err := zstd.NewReader(bytes.NewReader(src), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(MaxValue))
	if err != nil {
		return nil, 0, fmt.Errorf("decode zstd data: %w", err)
	}
	defer d.Close()
	b, size, err := readMax(d)
	if err != nil {
		return nil, 0, fmt.Errorf("decode zstd data: %w", err)
	}
	var h zstd.Header
	if h.Decode(src) == nil && h.HasFCS && h.FrameContentSize < 1<<40 {
		size = max(size, int64(h.FrameContentSize))
	}
	return b, size, nil
}

func readMax(r io.Reader) ([]byte, int64, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxValue+1))
	size := int64(len(b))
	if size > MaxValue {
		return b[:MaxValue], size, nil
	}
	return b, size, err
}

func decodeLZ4(src []byte) ([]byte, int64, error) {
	if len(src) <= 8 {
		return nil, 0, errors.New("decode lz4 data: no size")
	}
	size := binary.LittleEndian.Uint64(src)
	// A byte of a block yields at most 255 bytes.
	if size > uint64(len(src))*255 {
		return nil, 0, fmt.Errorf("decode lz4 data: stated size %d is impossible", size)
	}
	if size > 4*MaxValue {
		return nil, 0, fmt.Errorf("decode lz4 data: size %d is over the limit", size)
	}
	b := make([]byte, size)
	n, err := lz4.UncompressBlock(src[8:], b)
	if err != nil {
		return nil, 0, fmt.Errorf("decode lz4 data: %w", err)
	}
	if uint64(n) != size {
		return nil, 0, fmt.Errorf("decode lz4 data: %d bytes, %d stated", n, size)
	}
	return b[:min(n, MaxValue)], int64(n), nil
}

// decodeXZ reads the LZMA2 data of the first block of a .xz stream. The
// window that a stream asks for may be many times its content, so a small one
// is tried first; the integrity check is left to the object's hash.
func decodeXZ(src []byte) ([]byte, int64, error) {
	const streamHeader = 12
	if len(src) < streamHeader+12 || string(src[:6]) != "\xfd7zXZ\x00" {
		return nil, 0, errors.New("decode xz data: no stream header")
	}
	block := int(src[streamHeader]+1) * 4
	if src[streamHeader] == 0 || streamHeader+block > len(src) {
		return nil, 0, errors.New("decode xz data: bad block header")
	}
	body := src[streamHeader+block:]
	var err error
	for _, window := range []int{256 << 10, MaxValue} {
		var lz *lzma.Reader2
		if lz, err = (lzma.Reader2Config{DictCap: window}).NewReader2(bytes.NewReader(body)); err != nil {
			break
		}
		var b []byte
		var size int64
		if b, size, err = readMax(lz); err == nil {
			return b, size, nil
		}
	}
	return nil, 0, fmt.Errorf("decode xz data: %w", err)
}
