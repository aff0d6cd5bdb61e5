package analyze

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// ErrExpansion says that an encoded item grew beyond what its size can
// reasonably hold: a decompression bomb, or damage that looks like one.
var ErrExpansion = errors.New("decoded content exceeds its limit")

// Bounds of decoding. A log compresses 10 to 100 times; 2,000 with a floor of
// 1 GiB leaves room for every honest file.
const (
	expansionFloor = 1 << 30
	expansionRatio = 2000
	decoderMemory  = 256 << 20
)

// encodings names the compressions that are undone before parsers look, with
// the bytes each begins with.
var encodings = []struct {
	name  string
	magic string
	open  func(io.Reader) (io.Reader, error)
}{
	{"gzip", "\x1f\x8b\x08", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{"xz", "\xfd7zXZ\x00", func(r io.Reader) (io.Reader, error) {
		if br, ok := r.(*bufio.Reader); ok {
			if err := checkDictionary(br); err != nil {
				return nil, err
			}
		}
		// The file says how large its dictionary is; this is the least that is
		// set aside, for every file.
		return xz.ReaderConfig{DictCap: lzma.MinDictCap}.NewReader(r)
	}},
	{"zstd", "\x28\xb5\x2f\xfd", func(r io.Reader) (io.Reader, error) {
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(decoderMemory/2))
	}},
	{"bzip2", "BZh", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }},
	{"lz4", "\x04\x22\x4d\x18", func(r io.Reader) (io.Reader, error) { return lz4.NewReader(r), nil }},
}

// decoded is an item's content with its compression undone.
type decoded struct {
	io.Reader
	chain    string    // "" when the content was not compressed
	gzipTime time.Time // from a gzip header
}

// Decode undoes the compression that the first bytes of r name, if any. chain
// is "" and the content r itself where there is none. stored is the size of
// the encoded content and bounds what comes out.
func Decode(r io.Reader, stored int64) (content io.Reader, chain string, err error) {
	d, err := decode(bufio.NewReaderSize(r, decodeBuffer), stored)
	return d.Reader, d.chain, err
}

const decodeBuffer = 64 << 10

func decode(br *bufio.Reader, stored int64) (decoded, error) {
	head, err := br.Peek(8)
	if err != nil && !errors.Is(err, io.EOF) {
		return decoded{Reader: br}, err
	}
	for _, enc := range encodings {
		if !bytes.HasPrefix(head, []byte(enc.magic)) {
			continue
		}
		content, err := enc.open(br)
		if err != nil {
			return decoded{}, fmt.Errorf("%w: %s: %w", errCorrupt, enc.name, err)
		}
		d := decoded{chain: enc.name}
		if z, ok := content.(*gzip.Reader); ok {
			d.gzipTime = z.ModTime
		}
		d.Reader = &bounded{r: content, left: max(expansionFloor, expansionRatio*stored)}
		return d, nil
	}
	return decoded{Reader: br}, nil
}

// bounded fails with ErrExpansion once more than left bytes were read.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, ErrExpansion
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}
