package bundle

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
)

// walked is one stretch of the file in order: a frame with its bytes, or one
// that could not be decoded.
type walked struct {
	frameAt
	data []byte // nil: lost
	err  error
	buf  *frameBuf // that data lies in
}

// ending says how a walk over the frames ended.
type ending int

const (
	endTable   ending = iota // at a whole seek table, the file's end
	endCut                   // the file ends early: nothing after it, or part of a frame
	endStray                 // at bytes that are neither frame nor seek table
	endBehind                // at a whole seek table, with data behind it
	endUnknown               // behind a damaged frame of unknown extent
)

// frameWalk decodes all frames of a file in order, several at a time, trusting
// nothing but the frames themselves. The seek table, where there is one, only
// helps to find the next frame behind a damaged one.
type frameWalk struct {
	r       io.ReaderAt
	size    int64
	form    form
	table   *frameList // nil: none
	workers int

	frames *frameList // all frames in order, lost ones included
	bad    []int32    // indexes of lost ones
	end    ending
	endAt  int64 // file offset of the end
	inside bool  // the end is inside a frame
	tries  int   // places that were tried as the begin of a frame
	ioErr  error // the file could not be read
}

func newFrameWalk(r io.ReaderAt, size int64, workers int) *frameWalk {
	table, _ := readSeekTable(r, size)
	form := formOf(r, size)
	return &frameWalk{r: r, size: size, table: table, frames: &frameList{form: form}, workers: max(workers, 1), form: form}
}

// run calls use for every frame in order. The bytes are valid during the call,
// and as long as their buffer is held.
func (f *frameWalk) run(ctx context.Context, use func(walked) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type job struct {
		at   frameAt
		err  error
		out  walked
		done chan struct{}
	}
	todo, line := make(chan *job, f.workers), make(chan *job, f.workers)
	// Frames take buffers in their order: the next one to be used has one.
	room := make(chan *frameBuf, 2*f.workers+2)
	for range cap(room) {
		room <- &frameBuf{room: room}
	}
	var wg sync.WaitGroup
	for range f.workers {
		u, err := newUnpacker()
		if err != nil {
			return err
		}
		wg.Go(func() {
			defer u.dec.Close()
			for j := range todo {
				j.out.frameAt, j.out.err = j.at, j.err
				if j.err == nil {
					j.out.data, j.out.err = u.unpack(f.r, j.at, j.out.buf.data[:0])
				}
				if cap(j.out.data) > cap(j.out.buf.data) {
					j.out.buf.data = j.out.data
				}
				close(j.done)
			}
		})
	}
	wg.Go(func() {
		defer close(todo)
		defer close(line)
		f.find(func(at frameAt, err error) bool {
			j := &job{at: at, err: err, done: make(chan struct{})}
			select {
			case j.out.buf = <-room:
				j.out.buf.hold()
			case <-ctx.Done():
				return false
			}
			for _, c := range []chan *job{todo, line} {
				select {
				case c <- j:
				case <-ctx.Done():
					return false
				}
			}
			return true
		})
	})
	defer wg.Wait()
	for j := range line {
		select {
		case <-j.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if j.out.err != nil {
			j.out.data = nil
			f.bad = append(f.bad, int32(f.frames.len()))
		}
		f.frames.add(j.at.packed, j.at.plain)
		if err := use(j.out); err != nil {
			cancel(err)
			return err
		}
		j.out.buf.drop()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f.ioErr
}

// find locates the frames one after the other.
func (f *frameWalk) find(found func(frameAt, error) bool) {
	if f.form != formZstd {
		f.findConverted(found)
		return
	}
	var at frameAt
	for count := 0; ; count++ {
		f.endAt = at.file
		if count > maxFrames {
			f.end = endStray
			return
		}
		packed, plain, err := measureFrame(f.r, at.file, f.size)
		next := at
		next.packed, next.plain = packed, plain
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			f.end = endCut
			return
		case errors.Is(err, io.ErrUnexpectedEOF) && f.table == nil:
			f.end, f.inside = endCut, true
			return
		case !errors.Is(err, errBadFrame) && !errors.Is(err, io.ErrUnexpectedEOF):
			f.ioErr = err
			return
		default:
			if f.atTable(at.file) {
				return
			}
			var ok bool
			if next, ok = f.skipBad(at, plain); !ok {
				return
			}
		}
		if !found(next, err) {
			return
		}
		at = frameAt{file: next.file + int64(next.packed), tar: next.tar + int64(next.plain)}
	}
}

// atTable decides whether the seek table, or what is left of it, begins at off.
func (f *frameWalk) atTable(off int64) bool {
	var head [8]byte
	n, err := readUpTo(f.r, head[:], off, f.size)
	if err != nil {
		f.ioErr = err
		return true
	}
	le := binary.LittleEndian
	magic := le.AppendUint32(nil, skippableMagic)
	if n < 4 {
		f.end, f.inside = endCut, true
		return bytes.HasPrefix(magic, head[:n])
	}
	if le.Uint32(head[:]) != skippableMagic {
		return false
	}
	length := int64(-1)
	if n == 8 {
		length = 8 + int64(le.Uint32(head[4:]))
	}
	switch {
	case n == 8 && length >= 8+seekFooter && off+length < f.size && f.footer(off+length):
		f.end = endBehind
	case off+length == f.size, n == 8 && f.footer(f.size):
		f.end = endTable
	case n < 8 || off+length > f.size:
		f.end, f.inside = endCut, true
	default:
		f.end = endBehind
	}
	return true
}

// footer reports whether a seek table may end at a place.
func (f *frameWalk) footer(end int64) bool {
	var last [4]byte
	n, err := readUpTo(f.r, last[:], end-4, f.size)
	return err == nil && n == 4 && binary.LittleEndian.Uint32(last[:]) == seekMagic
}

// skipBad finds the extent of a damaged frame: by the seek table, else by its
// stated content size and the next place that looks like a frame.
func (f *frameWalk) skipBad(at frameAt, plain int) (frameAt, bool) {
	if f.table != nil {
		if next, ok := f.table.from(at.file, at.tar); ok {
			return next, true
		}
		f.end = endStray
		return at, false
	}
	if plain == 0 {
		plain = f.statedSize(at.file)
	}
	packed, ok := f.nextFrame(at.file + 4)
	if !ok || plain == 0 {
		f.end = endUnknown
		return at, false
	}
	at.packed, at.plain = int(packed-at.file), plain
	return at, true
}

// statedSize reads the content size from a frame header whose blocks are
// damaged; 0 when it makes no sense.
func (f *frameWalk) statedSize(off int64) int {
	var head [18]byte
	n, err := readUpTo(f.r, head[:], off, f.size)
	if err != nil || n < 18 {
		return 0
	}
	// A last block of no bytes and a checksum behind the header make it a
	// frame that can be measured.
	d := head[4]
	width := 5 + []int{1, 2, 4, 8}[d>>6]
	fake := append(bytes.Clone(head[:width]), 1, 0, 0, 0, 0, 0, 0)
	_, plain, err := measureFrame(sliceAt(fake), 0, int64(len(fake)))
	if err != nil {
		return 0
	}
	return plain
}

// maxTries bounds the search for frames behind damaged ones: a file may be made
// of what looks like their beginnings.
const maxTries = 10_000

// nextFrame searches for the next frame within the longest a frame can be.
func (f *frameWalk) nextFrame(from int64) (int64, bool) {
	magic := binary.LittleEndian.AppendUint32(nil, frameMagic)
	buf := make([]byte, 64<<10)
	for off := from; off < min(f.size, from+packedLimit); off += int64(len(buf) - 3) {
		n, err := readUpTo(f.r, buf, off, f.size)
		if err != nil {
			return 0, false
		}
		for i := 0; ; i++ {
			j := bytes.Index(buf[i:n], magic)
			if j < 0 {
				break
			}
			i += j
			if f.tries++; f.tries > maxTries {
				return 0, false
			}
			if _, _, err := measureFrame(f.r, off+int64(i), f.size); err == nil {
				return off + int64(i), true
			}
		}
	}
	return 0, false
}
