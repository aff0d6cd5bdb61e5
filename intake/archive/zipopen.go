package archive

import (
	"bufio"
	"compress/bzip2"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Methods of compression that are read (4.4.5).
const (
	methodStored  = 0
	methodDeflate = 8
	methodBzip2   = 12
	methodZstd    = 93
	methodXZ      = 95
)

func methodName(m uint16) string {
	switch m {
	case methodStored:
		return ""
	case methodDeflate:
		return "deflate"
	case methodBzip2:
		return "bzip2"
	case methodZstd:
		return "zstd"
	case methodXZ:
		return "xz"
	}
	return fmt.Sprintf("method %d", m)
}

// window bounds the memory of one decoder.
const window = 64 << 20

// open undoes encryption and compression of an entry's bytes.
func (z *zipWalk) open(rec *zipRecord, packed io.Reader) (io.Reader, error) {
	in := packed
	check := true
	if rec.flags&flagSealed != 0 {
		var err error
		if in, err = z.unseal(rec, packed); err != nil {
			return nil, err
		}
		check = rec.strength == 0 || rec.aesVer == 1 // AE-2 has no CRC
	}
	br := bufio.NewReaderSize(in, bufSize)
	var out io.Reader
	switch rec.method {
	case methodStored:
		out = br
	case methodDeflate:
		out = flate.NewReader(br)
	case methodBzip2:
		out = bzip2.NewReader(br)
	case methodZstd:
		d, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window))
		if err != nil {
			return nil, err
		}
		out = d
	case methodXZ:
		if n := xzDictionary(br); n > window {
			return nil, fmt.Errorf("it asks for a dictionary of %d MiB, at most %d MiB are granted", n>>20, window>>20)
		}
		d, err := xz.ReaderConfig{DictCap: 1 << 16}.NewReader(br)
		if err != nil {
			return nil, err
		}
		out = d
	default:
		return nil, fmt.Errorf("it is compressed by method %d, which is not read", rec.method)
	}
	return &checked{r: out, rest: br, want: rec.crc, check: check, size: rec.size, sum: crc32.NewIEEE(), stated: !rec.unstated, sealed: rec.flags&flagSealed != 0}, nil
}

// xzDictionary returns what the first block of an .xz stream asks for, without
// consuming it: the decoder sets all of it aside (The .xz File Format 1.2,
// sections 2.1.1, 3.1 and 5.3.1). 0: it is not to be seen there.
func xzDictionary(br *bufio.Reader) int64 {
	const streamHeader, lzma2 = 12, 0x21
	b, _ := br.Peek(streamHeader + 1024) //nolint:errcheck // what there is counts
	if len(b) < streamHeader+2 {
		return 0
	}
	b = b[streamHeader:]
	at := 2
	for _, present := range [...]bool{b[1]&0x40 != 0, b[1]&0x80 != 0} { // sizes of the block
		for present && at < len(b) {
			at++
			present = b[at-1]&0x80 != 0
		}
	}
	for at+2 < len(b) && b[at+1] < 0x80 { // filters: id, size of the properties, properties
		if b[at] == lzma2 {
			bits := b[at+2] & 0x3f
			return int64(2|bits&1) << (bits/2 + 11)
		}
		at += 2 + int(b[at+1])
	}
	return 0
}

// checked compares content with the checksum and the size that its entry
// states, once it was read to its end.
type checked struct {
	r      io.Reader
	rest   io.Reader // what the decoder read from: an authentication code is checked at its end
	sum    hash.Hash32
	want   uint32
	size   int64
	n      int64
	check  bool // there is a checksum
	sealed bool // it was encrypted
	stated bool // size and checksum are those of the entry and not left to a descriptor
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.sum.Write(p[:n])
	if err != io.EOF {
		return n, err
	}
	if !c.stated && !c.sealed {
		return n, io.EOF // what follows may be the rest of the archive
	}
	if _, err := io.Copy(io.Discard, c.rest); err != nil {
		return n, err
	}
	switch {
	case !c.stated:
	case c.n != c.size:
		return n, fmt.Errorf("it has %d bytes and states %d", c.n, c.size)
	case c.check && c.sum.Sum32() != c.want:
		return n, errChecksum
	}
	return n, io.EOF
}
