package collect

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// guardChunk is how much a guarded reader reads at once.
const guardChunk = 256 << 10

// guarded reads a source that may never answer (a dying disk, a pipe of a
// collector that hangs) in a goroutine of its own, so that whoever reads from
// it - the bundle, with its lock held - always gets an answer: when the
// context ends or one read takes longer than stall, reads fail from then on
// and the goroutine is left behind with its buffer.
type guarded struct {
	ctx   context.Context
	stall time.Duration // 0: no bound on a single read
	ask   chan guardAsk
	got   chan guardGot
	pace  func(n int)        // called after n bytes were read; nil: nobody cares
	goOn  func(n int64) bool // whether n more bytes have room; nil: they have
	err   error              // from now on
	lost  error              // first read error but io.EOF; read it when the reading is over
}

type guardAsk struct {
	n  int
	at int64 // -1: the next bytes
}

type guardGot struct {
	b   []byte
	err error
}

// guard starts the goroutine. at may be nil. The caller closes the result,
// which does not close the source.
func guard(ctx context.Context, r io.Reader, at io.ReaderAt, stall time.Duration) *guarded {
	g := &guarded{ctx: ctx, stall: stall, ask: make(chan guardAsk), got: make(chan guardGot, 1)}
	go func() {
		var buf []byte
		for a := range g.ask {
			if len(buf) < a.n {
				buf = make([]byte, a.n)
			}
			var n int
			var err error
			if a.at < 0 {
				n, err = r.Read(buf[:a.n])
			} else {
				n, err = at.ReadAt(buf[:a.n], a.at)
			}
			g.got <- guardGot{buf[:n], err}
		}
	}()
	return g
}

func (g *guarded) Read(p []byte) (int, error) { return g.read(p, -1) }

func (g *guarded) ReadAt(p []byte, off int64) (int, error) {
	total := 0
	for total < len(p) {
		n, err := g.read(p[total:], off+int64(total))
		total += n
		if err != nil {
			return total, err
		}
		if n == 0 {
			return total, io.ErrNoProgress
		}
	}
	return total, nil
}

func (g *guarded) read(p []byte, at int64) (int, error) {
	n, err := g.tryRead(p, at)
	if err != nil && err != io.EOF && g.lost == nil {
		g.lost = err
	}
	return n, err
}

func (g *guarded) tryRead(p []byte, at int64) (int, error) {
	if g.err == nil {
		g.err = g.ctx.Err()
	}
	if g.err != nil {
		return 0, g.err
	}
	n := min(len(p), guardChunk)
	if g.goOn != nil && !g.goOn(int64(n)) {
		g.err = &over{limitSize, "the bundle has no room for the rest"}
		return 0, g.err
	}
	g.ask <- guardAsk{n, at}
	var late <-chan time.Time
	if g.stall > 0 {
		t := time.NewTimer(g.stall)
		defer t.Stop()
		late = t.C
	}
	select {
	case got := <-g.got:
		if g.pace != nil {
			g.pace(len(got.b))
		}
		return copy(p, got.b), got.err
	case <-g.ctx.Done():
		g.err = g.ctx.Err()
	case <-late:
		g.err = ErrTimeout
	}
	return 0, g.err
}

// Close ends the goroutine as soon as its last read returns.
func (g *guarded) Close() error {
	close(g.ask)
	return nil
}

// reasonOf names a read error as evidence.Unread does.
func reasonOf(err error) evidence.Code {
	switch {
	case err == nil:
		return ""
	case isTimeout(err):
		return evidence.TimedOut
	case errors.As(err, new(*over)):
		return evidence.Skipped
	}
	return evidence.IOError
}
