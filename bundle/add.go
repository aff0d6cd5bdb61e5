package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Input is where the bytes of an item come from.
type Input struct {
	// R yields the content from its beginning.
	R io.Reader
	// At, where there is one, is used for files with holes, and to read on
	// behind a range that cannot be read.
	At io.ReaderAt
	// After returns the metadata after reading; nil where there is none.
	After func() (*evidence.Stat, error)
}

// adding is one Add under way. Its fields are guarded by Writer.mu, except
// while only its own goroutine knows it.
type adding struct {
	w        *Writer
	serial   int64
	r        record
	src      *source
	sums     *digests
	pos      int64     // content bytes written, holes included
	segs     int       // members written of a segmented item
	progress time.Time // when a byte was last written
	closed   bool      // finished, by whomever
	err      error     // of the record
}

// Add reads an item and writes it with its record. It returns the item as
// recorded: with its index, member name and digests.
//
// With it.Size >= 0 exactly that many bytes are stored: what cannot be read is
// filled with zeros and listed in Unread, what a file grew by is left out and
// Changed is set. With it.Size -1 the length need not be known: up to 8 MiB
// are held in memory, more becomes numbered members that other items may come
// between; use that for long captures and for memory.
//
// An error means that nothing was recorded: the sink failed, the bundle is
// sealed or full, or ctx was done before anything was written. When ctx ends
// later, the rest counts as unread.
func (w *Writer) Add(ctx context.Context, it evidence.Item, in Input) (evidence.Item, error) {
	if !it.Kind.HasContent() || it.Kind == evidence.KindManifest {
		return it, fmt.Errorf("add item %.80q: kind %s has no content", it.Path, it.Kind)
	}
	if ctx.Err() != nil {
		return it, context.Cause(ctx)
	}
	if err := checkTexts(&it); err != nil {
		return it, err
	}
	if it.Started.IsZero() {
		it.Started = w.opt.Now()
	}
	it.Unread, it.Stored, it.SHA256, it.MD5, it.SHA1 = nil, 0, evidence.Digest{}, "", ""
	if in.At == nil || it.Size < 0 {
		it.Holes = nil
	}
	if it.Holes = alignHoles(it.Holes, it.Size); len(it.Holes) > 0 {
		in.R = nil // by offset
	}
	if it.SumsStored = sumsStored(it.Holes); !it.SumsStored && !w.sumHoles(it.Holes) {
		it.Holes = nil
	}
	a := &adding{w: w, r: record{item: it, off: -1}, src: &source{ctx: ctx, in: in, size: it.Size}}
	var err error
	switch {
	case it.Size < 0:
		err = a.unknown()
	case len(it.Holes) == 0 && it.Size <= smallItem && w.hold(it.Size):
		err = a.small()
		w.held.Add(-it.Size)
	default:
		err = a.stream()
	}
	if err != nil {
		return it, fmt.Errorf("add item %.80q: %w", it.Path, err)
	}
	return a.r.item, nil
}

// sumHoles takes the holes of an item out of what one verification sums as
// zeros. Where too little is left, the item's holes must be stored as zeros:
// those compress to next to nothing, and whoever verifies sees them come.
func (w *Writer) sumHoles(holes []evidence.Extent) bool {
	var n int64
	for _, h := range holes {
		n += h.Length
	}
	if w.summed.Add(n) <= maxExpansion {
		return true
	}
	w.summed.Add(-n)
	return false
}

// hold takes n bytes of the memory that all item buffers share.
func (w *Writer) hold(n int64) bool {
	if w.held.Add(n) <= bufferLimit {
		return true
	}
	w.held.Add(-n)
	return false
}

// lock waits for the turn to write a member and returns with w.mu held, unless
// it returns an error.
func (a *adding) lock() error {
	w := a.w
	w.mu.Lock()
	for w.open != nil && !w.sealed && !a.closed {
		w.turn.Wait()
	}
	if a.closed {
		w.mu.Unlock()
		return errClosed
	}
	if err := w.ready(); err != nil {
		w.mu.Unlock()
		return err
	}
	return nil
}

// errClosed says that an item was finished from outside, by the end of the
// bundle or because its source stalled.
var errClosed = errors.New("item already finished")

// name takes a member name.
func (a *adding) name() {
	w := a.w
	w.serial++
	a.serial = w.serial
	a.r.item.Member = w.names.reserve(MemberName(a.r.item.Source, a.r.item.Path), w.serial)
}

// modified is the time of the member in the tar.
func (r *record) modified(started time.Time) time.Time {
	if r.item.Stat != nil && !r.item.Stat.Modified.IsZero() {
		return r.item.Stat.Modified.UTC()
	}
	return started.Truncate(time.Second)
}

// bigBuffers are the buffers of items that are not held as a whole.
var bigBuffers = sync.Pool{New: func() any { return new([512 << 10]byte) }}

// small writes an item that is read before its turn comes.
func (a *adding) small() error {
	it := &a.r.item
	buf := make([]byte, it.Size)
	a.src.fill(buf, 0)
	a.finishReading()
	return a.whole([][]byte{buf})
}

// whole writes an item whose bytes are all in memory.
func (a *adding) whole(parts [][]byte) error {
	it := &a.r.item
	a.sums = newDigests(a.w.opt.MD5, a.w.opt.SHA1, it.Size >= BlockMin)
	for _, p := range parts {
		a.sums.write(p)
	}
	if err := a.lock(); err != nil {
		return err
	}
	defer a.w.mu.Unlock()
	a.name()
	a.begin()
	for _, p := range parts {
		a.w.put(p)
	}
	a.pos = it.Size
	a.finish()
	return a.end()
}

// begin writes the header of the item's one member.
func (a *adding) begin() {
	it := &a.r.item
	e := &entry{name: it.Member, size: it.Size, mtime: a.r.modified(a.w.header.Started)}
	var m []byte
	if len(it.Holes) > 0 {
		for _, h := range it.Holes {
			e.size -= h.Length
		}
		m = sparseMap(dataRanges(it.Size, it.Holes))
		e.sparse, e.real = true, it.Size
		e.size += int64(len(m))
	}
	a.w.put(appendHeader(nil, e))
	a.w.put(m)
	a.r.off = a.w.off
	it.Stored = e.size - int64(len(m))
}

// stream writes an item while it is read. No lock is held while reading: a
// source that hangs must not hang the bundle.
func (a *adding) stream() error {
	w, it := a.w, &a.r.item
	a.sums = newDigests(w.opt.MD5, w.opt.SHA1, it.Size >= BlockMin && it.Size <= blockLimit && !it.SumsStored)
	if err := a.lock(); err != nil {
		return err
	}
	a.name()
	a.begin()
	w.open, a.progress = a, time.Now()
	w.mu.Unlock()
	buf, _ := bigBuffers.Get().(*[512 << 10]byte)
	defer bigBuffers.Put(buf)
	for !a.step(buf[:]) {
	}
	a.src.probe()
	a.src.after()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !a.closed {
		a.takeReading()
		a.finish()
	}
	return a.end()
}

// step writes the next part of the content and reports whether it was the
// last. Only this goroutine moves pos until the item is closed.
func (a *adding) step(buf []byte) (done bool) {
	w := a.w
	w.mu.Lock()
	pos, closed := a.pos, a.closed
	w.mu.Unlock()
	hole, n := a.r.next(pos)
	if closed || n == 0 {
		return true
	}
	if !hole {
		n = min(n, int64(len(buf)))
		a.src.fill(buf[:n], pos)
	} else if !a.r.item.SumsStored {
		n = min(n, int64(len(zeros)))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.closed {
		return true
	}
	if hole {
		a.sums.hole(n, a.r.item.SumsStored)
	} else {
		w.put(buf[:n])
		a.sums.write(buf[:n])
	}
	// A copy, because the item may be ended from outside while more is read.
	a.r.item.Unread = slices.Clone(a.src.unread)
	a.pos, a.progress = pos+n, time.Now()
	return w.frames.failure() != nil
}

// next tells what is at an offset of the content: a hole or data, and for how
// many bytes. n is 0 at the end.
func (r *record) next(pos int64) (hole bool, n int64) {
	for _, h := range r.item.Holes {
		switch {
		case pos < h.Offset:
			return false, h.Offset - pos
		case pos < h.Offset+h.Length:
			return true, h.Offset + h.Length - pos
		}
	}
	return false, r.item.Size - pos
}

// takeReading moves what the source found out into the record.
func (a *adding) takeReading() {
	it := &a.r.item
	it.Unread = a.src.unread
	for i := range it.Unread {
		if it.Unread[i].Offset < 0 { // the end, now known
			it.Unread[i].Offset = it.Size
		}
	}
	if s := a.src.stat; s != nil && (it.Stat == nil || differs(it.Stat, s)) {
		it.After = s
	}
	it.Changed = it.Changed || a.src.grown || contentChanged(it.Stat, it.After)
	it.Finished = a.w.opt.Now()
}

// finishReading is takeReading for an item nobody else knows yet.
func (a *adding) finishReading() {
	a.src.probe()
	a.src.after()
	a.takeReading()
}

// finish ends the item's member and makes its record.
func (a *adding) finish() {
	w := a.w
	if a.r.off >= 0 {
		w.putPad(a.r.item.Stored)
	}
	if a.r.item.Size < BlockMin {
		a.sums.block, a.sums.blocks = nil, nil
	}
	a.sums.finish(&a.r)
	a.closed = true
	if w.open == a {
		w.open = nil
		w.turn.Broadcast()
	}
	delete(w.segmented, a)
	if a.err = w.record(&a.r); a.err != nil {
		return
	}
	if len(a.sums.blocks) > 0 {
		w.member(blocksMember(a.r.item.Index), blockList(a.sums.blocks))
	}
	w.checkpointIfDue()
}

// abandon ends an item whose source gives nothing more: the rest is unread.
func (a *adding) abandon(why string) {
	it := &a.r.item
	if it.Size >= 0 {
		if it.Size > a.pos {
			it.Unread = append(it.Unread, evidence.Unread{Offset: a.pos, Length: it.Size - a.pos, Reason: why})
		}
		a.fillRest()
	} else {
		it.Size, it.Stored = a.pos, a.pos
		it.Unread = append(it.Unread, evidence.Unread{Offset: a.pos, Length: -1, Reason: why})
	}
	it.Finished = a.w.opt.Now()
	a.finish()
}

// fillRest writes zeros for what was not read.
func (a *adding) fillRest() {
	for {
		hole, n := a.r.next(a.pos)
		if n == 0 || a.w.frames.failure() != nil {
			return
		}
		if hole {
			a.sums.hole(n, a.r.item.SumsStored)
		} else {
			n = min(n, int64(len(zeros)))
			a.w.put(zeros[:n])
			a.sums.write(zeros[:n])
		}
		a.pos += n
	}
}

// end returns how it went. Called with w.mu held.
func (a *adding) end() error {
	if err := a.w.frames.failure(); err != nil {
		return err
	}
	return a.err
}
