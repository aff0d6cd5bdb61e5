package bundle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
)

// form is what a bundle's tar is wrapped in. Frames of zstd are the format;
// the others are what Convert makes for machines that know no zstd
// (docs/format/bundle.md, section 16). The tar inside is the same.
type form uint8

const (
	formZstd form = iota
	formTar       // the tar as it is
	formGzip      // gzip members of 4 MiB that state their sizes
)

func (f form) String() string { return [...]string{"", "tar", "tar.gz"}[f] }

// tarSlice is how a plain tar is cut up for reading. It has no frames.
const tarSlice = 1 << 20

// gzipMark begins each gzip member that Convert writes (RFC 1952): deflate, an
// extra field and nothing else, no time, unknown system; the field's subfield
// "EX" of eight bytes holds the sizes of the member, compressed and not. One
// spelling is valid, so that no byte of it is free.
const gzipMark = "\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x0c\x00EX\x08\x00"

const (
	gzipHead = len(gzipMark) + 8
	gzipTail = 8 // CRC-32 and length
)

// FormOf tells a converted file, "tar" or "tar.gz", from anything else, "".
func FormOf(r io.ReaderAt, size int64) string { return formOf(r, size).String() }

func formOf(r io.ReaderAt, size int64) form {
	var head [4 * tarBlock]byte
	n, err := readUpTo(r, head[:len(gzipMark)], 0, size)
	if err != nil || n < len(gzipMark) || binary.LittleEndian.Uint32(head[:]) == frameMagic {
		return formZstd
	}
	if string(head[:n]) == gzipMark {
		return formGzip
	}
	if n, err = readUpTo(r, head[:], 0, size); err == nil && beginsLikeBundle(head[:n]) {
		return formTar
	}
	return formZstd
}

// tarFrames cuts a plain tar into slices.
func tarFrames(size int64) *frameList {
	frames := &frameList{form: formTar}
	for at := int64(0); at < size; at += tarSlice {
		n := int(min(tarSlice, size-at))
		frames.add(n, n)
	}
	return frames
}

// gzipFrames finds the members of a converted file by their headers. The error
// is ErrNoTable when the file does not end with a whole member.
func gzipFrames(r io.ReaderAt, size int64) (*frameList, error) {
	frames := &frameList{form: formGzip}
	for frames.end().file < size {
		at := frames.end().file
		packed, plain, err := measureGzip(r, at, size)
		if errors.Is(err, errBadFrame) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("%w: no whole gzip member at byte %d", ErrNoTable, at)
		}
		if err != nil {
			return nil, err
		}
		if frames.len() >= maxFrames {
			return nil, fmt.Errorf("%w: more than %d gzip members", ErrNoTable, maxFrames)
		}
		frames.add(packed, plain)
	}
	return frames, nil
}

// measureGzip reads the header of one member.
func measureGzip(r io.ReaderAt, off, size int64) (packed, plain int, err error) {
	var head [gzipHead]byte
	n, err := readUpTo(r, head[:], off, size)
	if err != nil {
		return 0, 0, err
	}
	if !bytes.HasPrefix([]byte(gzipMark), head[:min(n, len(gzipMark))]) {
		return 0, 0, errBadFrame
	}
	if n < gzipHead {
		return 0, 0, io.ErrUnexpectedEOF
	}
	le := binary.LittleEndian
	p, q := le.Uint32(head[len(gzipMark):]), le.Uint32(head[len(gzipMark)+4:])
	if p < uint32(gzipHead+gzipTail) || p > packedLimit || q == 0 || q > MaxFrame {
		return 0, 0, errBadFrame
	}
	if int64(p) > size-off {
		return 0, 0, io.ErrUnexpectedEOF
	}
	return int(p), int(q), nil
}

// findConverted locates the pieces of a converted file one after the other.
func (f *frameWalk) findConverted(found func(frameAt, error) bool) {
	f.end, f.endAt = endTable, f.size
	if f.form == formTar {
		frames := tarFrames(f.size)
		for i := range frames.len() {
			if !found(frames.at(i), nil) {
				return
			}
		}
		return
	}
	at := frameAt{form: formGzip}
	for at.file < f.size {
		packed, plain, err := measureGzip(f.r, at.file, f.size)
		switch {
		case err == nil:
		case errors.Is(err, io.ErrUnexpectedEOF):
			f.end, f.endAt, f.inside = endCut, at.file, true
			return
		case !errors.Is(err, errBadFrame):
			f.ioErr = err
			return
		default:
			next, ok := f.nextMark(at.file + 1)
			if !ok {
				f.end, f.endAt = endStray, at.file
				return
			}
			// All members but the last hold as much.
			packed, plain = int(next-at.file), MaxFrame
		}
		at.packed, at.plain = packed, plain
		if !found(at, err) {
			return
		}
		at.file, at.tar = at.file+int64(packed), at.tar+int64(plain)
	}
}

// nextMark searches for the next gzip member within the longest one can be.
func (f *frameWalk) nextMark(from int64) (int64, bool) {
	buf := make([]byte, 64<<10)
	for off := from; off < min(f.size, from+packedLimit); off += int64(len(buf) - len(gzipMark) + 1) {
		n, err := readUpTo(f.r, buf, off, f.size)
		if err != nil {
			return 0, false
		}
		if i := bytes.Index(buf[:n], []byte(gzipMark)); i >= 0 {
			return off + int64(i), true
		}
	}
	return 0, false
}

// unpackConverted reads one piece of a converted file.
func (u *unpacker) unpackConverted(r io.ReaderAt, f frameAt, dst []byte) ([]byte, error) {
	if cap(dst) < f.plain {
		dst = make([]byte, f.plain)
	}
	dst = dst[:f.plain]
	if f.form == formTar {
		if n, err := r.ReadAt(dst, f.file); n < len(dst) {
			return nil, fmt.Errorf("read tar at %d: %w", f.file+int64(n), noEOF(err))
		}
		return dst, nil
	}
	if cap(u.packed) < f.packed {
		u.packed = make([]byte, f.packed)
	}
	p := u.packed[:f.packed]
	if n, err := r.ReadAt(p, f.file); n < len(p) {
		return nil, fmt.Errorf("read gzip member at %d: %w", f.file, noEOF(err))
	}
	if packed, plain, err := measureGzip(sliceAt(p), 0, int64(len(p))); err != nil || packed != f.packed || plain != f.plain {
		return nil, fmt.Errorf("%w at %d", errBadFrame, f.file)
	}
	if err := u.inflate(p[gzipHead:len(p)-gzipTail], dst); err != nil {
		return nil, fmt.Errorf("%w at %d: %w", errBadFrame, f.file, err)
	}
	tail := p[len(p)-gzipTail:]
	le := binary.LittleEndian
	if le.Uint32(tail) != crc32.ChecksumIEEE(dst) || le.Uint32(tail[4:]) != uint32(len(dst)) {
		return nil, fmt.Errorf("%w at %d: checksum differs", errBadFrame, f.file)
	}
	return dst, nil
}

// inflate fills dst from a deflate stream that must end with both.
func (u *unpacker) inflate(packed, dst []byte) error {
	in := bytes.NewReader(packed)
	if u.flate == nil {
		u.flate = flate.NewReader(in)
	} else if err := u.flate.(flate.Resetter).Reset(in, nil); err != nil {
		return err
	}
	if _, err := io.ReadFull(u.flate, dst); err != nil {
		return err
	}
	var more [1]byte
	if n, err := u.flate.Read(more[:]); n > 0 || !errors.Is(err, io.EOF) {
		return errors.New("decodes to another size")
	}
	if in.Len() > 0 {
		return errors.New("bytes behind the end of the compressed data")
	}
	return nil
}
