package bundle

import (
	"errors"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// readAhead is the size of the pieces in which content of unknown length is
// gathered.
const readAhead = 256 << 10

// pieceSize keeps the many short ones, files of /proc above all, cheap.
func pieceSize(n int) int {
	switch n {
	case 0:
		return 8 << 10
	case 1:
		return 64 << 10
	}
	return readAhead
}

// unknown writes an item of unknown length: whole when it turns out short,
// else in numbered members.
func (a *adding) unknown() error {
	var parts [][]byte
	var size int64
	defer func() { a.w.held.Add(-int64(len(parts)) * readAhead) }()
	for {
		for size < int64(a.w.opt.SegmentSize) && (len(parts) == 0 || a.w.hold(readAhead)) {
			if len(parts) == 0 {
				a.w.held.Add(readAhead)
			}
			p := make([]byte, pieceSize(len(parts)))
			n, end := a.src.next(p)
			parts, size = append(parts, p[:n]), size+int64(n)
			if end {
				return a.lastPart(parts, size)
			}
		}
		if err := a.segment(parts, size); err != nil {
			return a.outcome(err)
		}
		a.w.held.Add(-int64(len(parts)) * readAhead)
		parts, size = nil, 0
	}
}

// lastPart ends an item of unknown length.
func (a *adding) lastPart(parts [][]byte, size int64) error {
	it := &a.r.item
	if a.segs == 0 {
		it.Size = size
		a.finishReading()
		return a.whole(parts)
	}
	if size > 0 {
		if err := a.segment(parts, size); err != nil {
			return a.outcome(err)
		}
	}
	a.src.after()
	// The list of blocks that follows must not land inside another's member.
	if err := a.lock(); err != nil {
		return a.outcome(err)
	}
	defer a.w.mu.Unlock()
	it.Size, it.Stored = a.pos, a.pos
	a.takeReading()
	a.finish()
	return a.end()
}

// outcome turns the end of an item from outside into its recorded result.
func (a *adding) outcome(err error) error {
	if !errors.Is(err, errClosed) {
		return err
	}
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	return a.end()
}

// segment writes one numbered member.
func (a *adding) segment(parts [][]byte, size int64) error {
	if err := a.lock(); err != nil {
		return err
	}
	w := a.w
	defer w.mu.Unlock()
	if a.segs == 0 {
		a.name()
		a.sums = newDigests(w.opt.MD5, w.opt.SHA1, true)
		w.segmented[a] = true
	}
	e := &entry{name: segmentName(a.r.item.Member, a.segs), size: size, mtime: a.r.modified(w.header.Started)}
	w.put(appendHeader(nil, e))
	a.r.segs = append(a.r.segs, evidence.Extent{Offset: w.off, Length: size})
	for _, p := range parts {
		w.put(p)
		a.sums.write(p)
	}
	w.putPad(size)
	a.segs++
	a.pos, a.progress = a.pos+size, time.Now()
	if a.segs == maxSegments {
		a.abandon("limit of segments")
		return errClosed
	}
	w.checkpointIfDue()
	return w.frames.failure()
}
