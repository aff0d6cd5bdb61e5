package bundle

import (
	"context"
	"hash"
	"sync"
	"sync/atomic"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// frameBuf is the buffer of one decoded frame. It is used again once the walk
// and every digest that still has bytes of it to take in are done with it.
type frameBuf struct {
	data  []byte
	users atomic.Int32
	room  chan<- *frameBuf // has room for all buffers of a walk
}

// hold keeps the bytes for one more user.
func (b *frameBuf) hold() {
	if b != nil {
		b.users.Add(1)
	}
}

// drop is called once for each user.
func (b *frameBuf) drop() {
	if b != nil && b.users.Add(-1) == 0 {
		b.room <- b
	}
}

// hasher computes digests beside the goroutine that reads a tar, on a fixed
// number of others; with none of them, at once. Only the reading goroutine
// calls its methods. What is not summed yet is bounded by the frames that its
// bytes lie in, which wait to be used again.
type hasher struct {
	ctx     context.Context //nolint:containedctx // one verification
	todo    chan func()     // nil: at once
	pending sync.WaitGroup  // what was handed over and is not done
	workers sync.WaitGroup
	frame   *frameBuf // that the bytes passing by lie in; nil: nobody waits for it
	batch   []inFrame // small items of that frame, not handed over
	bytes   int       // of them
}

// inFrame is an item whose bytes lie in one frame as a whole.
type inFrame struct {
	data []byte
	into *evidence.Digest
}

func newHasher(ctx context.Context, workers int) *hasher {
	h := &hasher{ctx: ctx}
	if workers <= 0 {
		return h
	}
	h.todo = make(chan func(), workers)
	for range workers {
		h.workers.Go(func() {
			for work := range h.todo {
				work()
			}
		})
	}
	return h
}

// begin says that the bytes from now on lie in a frame's buffer.
func (h *hasher) begin(b *frameBuf) { h.frame = b }

// end ends that: all digests have what they need of the frame.
func (h *hasher) end() {
	h.flush()
	h.frame = nil
}

// Bounds of a batch of small items: handing one over costs as much as summing
// some hundred bytes.
const (
	batchItems = 64
	batchBytes = 256 << 10
)

// sum fills in the digest of an item whose bytes are all there.
func (h *hasher) sum(data []byte, into *evidence.Digest) {
	if h.todo == nil {
		*into = evidence.Sum(data)
		return
	}
	h.batch = append(h.batch, inFrame{data, into})
	if h.bytes += len(data); len(h.batch) >= batchItems || h.bytes >= batchBytes {
		h.flush()
	}
}

// flush hands over the small items so far.
func (h *hasher) flush() {
	if len(h.batch) == 0 {
		return
	}
	batch, frame := h.batch, h.frame
	h.batch, h.bytes = make([]inFrame, 0, batchItems), 0
	frame.hold()
	h.pending.Add(1)
	h.todo <- func() {
		for _, s := range batch {
			*s.into = evidence.Sum(s.data)
		}
		frame.drop()
		h.pending.Done()
	}
}

// wait returns once all digests have taken in all that passed by.
func (h *hasher) wait() {
	h.flush()
	h.pending.Wait()
}

// close waits and ends the goroutines.
func (h *hasher) close() {
	h.wait()
	if h.todo != nil {
		close(h.todo)
		h.workers.Wait()
	}
}

// each calls f for pieces of the numbers from 0 to n, at the same time.
func (h *hasher) each(n, piece int, f func(from, to int)) {
	if h.todo == nil {
		f(0, n)
		return
	}
	var wg sync.WaitGroup
	for from := 0; from < n; from += piece {
		wg.Add(1)
		h.todo <- func() {
			defer wg.Done()
			f(from, min(from+piece, n))
		}
	}
	wg.Wait()
}

// chunk is a stretch of what a lane sums: bytes of a frame, or zeros.
type chunk struct {
	data  []byte
	frame *frameBuf
	zeros int64
	last  bool // the digest is complete
}

// lane is one running digest: its chunks are summed in order, by one goroutine
// at a time.
type lane struct {
	sum  evidence.Digest // once done
	done atomic.Bool

	mu      sync.Mutex
	waiting []chunk
	running bool
	state   hash.Hash // of the goroutine that runs; made when first needed
}

// states are running hashes to use again.
var states = sync.Pool{New: func() any { return evidence.NewHash() }}

// add hands over the next chunk of a lane.
func (h *hasher) add(l *lane, c chunk) {
	if h.todo == nil {
		l.take(h.ctx, c)
		return
	}
	c.frame = h.frame
	c.frame.hold()
	h.pending.Add(1)
	l.mu.Lock()
	l.waiting = append(l.waiting, c)
	start := !l.running
	l.running = true
	l.mu.Unlock()
	if start {
		h.todo <- func() { h.run(l) }
	}
}

// run sums what waits in a lane until there is nothing more.
func (h *hasher) run(l *lane) {
	for {
		l.mu.Lock()
		list := l.waiting
		l.waiting = nil
		l.running = len(list) > 0
		l.mu.Unlock()
		if len(list) == 0 {
			return
		}
		for _, c := range list {
			l.take(h.ctx, c)
			c.frame.drop()
			h.pending.Done()
		}
	}
}

func (l *lane) take(ctx context.Context, c chunk) {
	if l.state == nil {
		l.state, _ = states.Get().(hash.Hash)
		l.state.Reset()
	}
	l.state.Write(c.data)
	// Holes are cheap to claim and dear to sum: who cancels must not wait.
	for n := c.zeros; n > 0 && ctx.Err() == nil; {
		part := min(n, int64(len(zeros)))
		l.state.Write(zeros[:part])
		n -= part
	}
	if c.last {
		l.sum = evidence.DigestOf(l.state)
		states.Put(l.state)
		l.state = nil
		l.done.Store(true)
	}
}

// itemSums are the digests of one item that passes by: of the whole, and of
// its blocks where it has them, which are summed beside each other.
type itemSums struct {
	h       *hasher
	whole   lane
	split   bool    // blocks are summed
	block   *lane   // nil between blocks
	inBlock int64   // bytes of it so far
	blocks  []*lane // that are not in the tree so far
	tree    tree
}

func (h *hasher) newItem(withBlocks bool) *itemSums { return &itemSums{h: h, split: withBlocks} }

// write adds the next bytes of the content.
func (s *itemSums) write(p []byte) {
	s.h.add(&s.whole, chunk{data: p})
	for s.split && len(p) > 0 {
		n := min(int64(len(p)), BlockSize-s.inBlock)
		s.toBlock(chunk{data: p[:n]}, n)
		p = p[n:]
	}
}

// writeZeros adds n zero bytes.
func (s *itemSums) writeZeros(n int64) {
	s.h.add(&s.whole, chunk{zeros: n})
	for s.split && n > 0 && s.h.ctx.Err() == nil {
		part := min(n, BlockSize-s.inBlock)
		s.toBlock(chunk{zeros: part}, part)
		n -= part
	}
}

// toBlock adds n bytes to the block that they belong to as a whole.
func (s *itemSums) toBlock(c chunk, n int64) {
	if s.block == nil {
		s.fold()
		s.block = new(lane)
		s.blocks = append(s.blocks, s.block)
	}
	s.inBlock += n
	c.last = s.inBlock == BlockSize
	s.h.add(s.block, c)
	if c.last {
		s.block, s.inBlock = nil, 0
	}
}

// fold moves blocks whose digests are known into the tree, so that no more are
// held than are being summed, however large the item is.
func (s *itemSums) fold() {
	for len(s.blocks) > 0 && s.blocks[0].done.Load() {
		s.tree.add(blockLeaf(s.blocks[0].sum))
		s.blocks = s.blocks[1:]
	}
}

// end says that the content is complete.
func (s *itemSums) end() {
	s.h.add(&s.whole, chunk{last: true})
	if s.block != nil {
		s.h.add(s.block, chunk{last: true})
		s.block, s.inBlock = nil, 0
	}
}

// result gives the digest of the content and the root over its blocks, zero
// where none are summed. It may be asked for after end and wait.
func (s *itemSums) result() (sum, blocks evidence.Digest) {
	if s.split {
		s.fold()
		blocks = s.tree.root()
	}
	return s.whole.sum, blocks
}
