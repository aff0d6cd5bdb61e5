package sink

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// far is the other end of a link: one object that grows at its end. Its
// methods are called by one goroutine at a time; ctx ends when the link
// stalls.
type far interface {
	// describe says where the object is to lie, where it lies until commit, and
	// how it is written.
	describe() about
	// open connects, checks permission, and begins an empty object.
	open(ctx context.Context) (probe, error)
	// send stores p at an offset; without an error the far side holds it.
	send(ctx context.Context, at int64, p []byte) error
	// resume connects anew, and returns how much of the object is held: at
	// least what was acknowledged, or an error. It may be called again.
	resume(ctx context.Context, acknowledged int64) (held int64, err error)
	// commit gives the whole object its name. It may be called again when it is
	// not known whether it succeeded.
	commit(ctx context.Context, all total) error
	// close ends the connection and leaves what arrived.
	close()
}

type about struct {
	url, location string
	chunk         int               // bytes of a chunk
	whole         bool              // chunks cannot be smaller, but for the last
	facts         map[string]string // for the header
}

// probe is what the far side says of itself before anything is collected.
type probe struct{ free int64 } // bytes; -1: it does not say

type total struct {
	size   int64
	sha256 evidence.Digest
}

// lastPatience is how long a link may stay broken once the collection was
// interrupted: somebody waits for the prompt.
const lastPatience = 15 * time.Second

// smallestPiece is the least that is sent in one go after failures.
const smallestPiece = 64 << 10

// stream sends to a far side, one chunk at a time, while the next one fills.
type stream struct {
	far  far
	line *line
	opt  Options
	ctx  context.Context // of the collection
	is   about
	free int64

	buf    []byte // being filled
	spare  chan []byte
	jobs   chan job
	ended  chan struct{}
	mu     sync.Mutex
	failed error

	// Of the sending goroutine.
	acked  int64
	size   int64     // of the stream so far, sent or in the fallback
	sum    hash.Hash // of size bytes
	piece  int
	breaks int
	tail   *tail // nil: no fallback
	spills bool  // the link is dead, everything goes into the tail
	why    error // of the death
}

type job struct {
	data []byte
	do   func() error // afterwards, nil: nothing
	done chan error   // nil: nobody waits
}

// begin opens the fallback and the far side, and starts sending.
func begin(ctx context.Context, f far, l *line, opt Options) (Sink, error) {
	s := &stream{far: f, line: l, opt: opt, ctx: ctx, is: f.describe(), sum: evidence.NewHash()}
	var err error
	if s.tail, err = newTail(opt.Fallback); err != nil {
		return nil, err
	}
	p, err := openFar(ctx, f, l, opt.Stall)
	if err != nil {
		s.tail.drop()
		f.close()
		return nil, err
	}
	s.free = p.free
	s.piece = s.is.chunk
	s.buf = make([]byte, 0, s.is.chunk)
	s.spare = make(chan []byte, 1)
	s.spare <- make([]byte, 0, s.is.chunk)
	s.jobs, s.ended = make(chan job), make(chan struct{})
	go s.send()
	return s, nil
}

// openFar tries once: a link that does not even begin is no place for
// evidence, and whoever started the run is still there to choose another.
func openFar(ctx context.Context, f far, l *line, stall time.Duration) (probe, error) {
	guarded, cancel := l.guard(ctx, stall)
	defer cancel()
	p, err := f.open(guarded)
	if err != nil && guarded.Err() != nil {
		err = errors.Join(context.Cause(guarded), err)
	}
	if err != nil {
		return p, fmt.Errorf("open %s: %w", f.describe().url, err)
	}
	return p, nil
}

func (s *stream) Facts() map[string]string {
	facts := map[string]string{"output": s.is.url}
	for k, v := range s.is.facts {
		facts[k] = v
	}
	if s.free >= 0 {
		facts["output_free"] = strconv.FormatInt(s.free, 10)
	}
	if s.opt.Fallback != "" {
		facts["output_fallback"] = s.opt.Fallback
	}
	return facts
}

// OwnFiles implements Sink.
func (s *stream) OwnFiles() []*os.File {
	if s.tail == nil {
		return nil
	}
	return []*os.File{s.tail.file}
}

func (s *stream) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *stream) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if err := s.failure(); err != nil {
			return n, err
		}
		k := copy(s.buf[len(s.buf):cap(s.buf)], p[n:])
		s.buf = s.buf[:len(s.buf)+k]
		n += k
		if len(s.buf) == cap(s.buf) {
			s.hand(job{data: s.buf})
		}
	}
	return n, nil
}

// hand gives a chunk to the sender and takes an empty one.
func (s *stream) hand(j job) {
	s.jobs <- j
	if j.data != nil {
		s.buf = <-s.spare
	}
}

// call hands over what was written, then has the sender do something.
func (s *stream) call(do func() error) error {
	j := job{do: do, done: make(chan error, 1)}
	if len(s.buf) > 0 {
		j.data = s.buf
	}
	s.hand(j)
	return <-j.done
}

func (s *stream) Sync() error {
	if err := s.failure(); err != nil {
		return err
	}
	if s.is.whole { // what is sent is held; the rest cannot be sent yet
		return nil
	}
	return s.call(func() error {
		if s.spills {
			return s.tail.sync()
		}
		return nil
	})
}

// Commit implements Sink.
func (s *stream) Commit() (*Result, error) {
	err := s.call(s.finish)
	close(s.jobs)
	<-s.ended
	s.far.close()
	return s.result(), err
}

// Abort implements Sink.
func (s *stream) Abort() *Result {
	_ = s.call(func() error { return s.tail.finish(s.spills, false, s.size, s.sum) }) //nolint:errcheck // the run has failed already
	close(s.jobs)
	<-s.ended
	s.far.close()
	return s.result()
}

func (s *stream) result() *Result {
	res := &Result{
		URL: s.is.url, Location: s.far.describe().location,
		Size: s.size, Sent: s.acked, Breaks: s.breaks, SHA256: evidence.DigestOf(s.sum).String(),
	}
	if s.spills {
		res.Fallback = s.tail.split
	}
	if r, ok := s.far.(*receiverFar); ok {
		res.Receipt = r.receipt
	}
	return res
}

// send is the sending goroutine. After a failure it takes chunks and forgets
// them, so that nobody waits for it.
func (s *stream) send() {
	defer close(s.ended)
	for j := range s.jobs {
		err := s.failure()
		if err == nil && len(j.data) > 0 {
			err = s.deliver(j.data)
		}
		if j.data != nil {
			s.spare <- j.data[:0]
		}
		if err == nil && j.do != nil {
			err = j.do()
		}
		if err != nil {
			s.mu.Lock()
			s.failed = err
			s.mu.Unlock()
		}
		if j.done != nil {
			j.done <- err
		}
	}
}

// took counts bytes that are safe.
func (s *stream) took(p []byte) {
	s.size += int64(len(p))
	s.sum.Write(p)
}

// deliver returns when p is held by the far side or by the fallback.
func (s *stream) deliver(p []byte) error {
	var broken time.Time
	for len(p) > 0 && !s.spills {
		n := len(p)
		if !s.is.whole {
			n = min(n, s.piece)
		}
		err := s.attempt(func(ctx context.Context) error { return s.far.send(ctx, s.acked, p[:n]) })
		if err == nil {
			s.acked += int64(n)
			s.took(p[:n])
			p, broken, s.piece = p[n:], time.Time{}, min(2*s.piece, s.is.chunk)
			continue
		}
		s.piece = max(s.piece/2, min(smallestPiece, s.is.chunk))
		if broken.IsZero() {
			broken = time.Now()
		}
		held, err := s.mend(broken, err)
		if err != nil {
			if err := s.giveUp(err); err != nil {
				return err
			}
			break
		}
		// An answer that was lost: the far side has more than it could say.
		if n := min(held-s.acked, int64(len(p))); n > 0 {
			s.acked += n
			s.took(p[:n])
			p, broken = p[n:], time.Time{}
		}
	}
	if len(p) == 0 {
		return nil
	}
	if err := s.tail.write(p); err != nil {
		return fmt.Errorf("%w (%w), and the fallback fails: %w", ErrDead, s.why, err)
	}
	s.took(p)
	return nil
}

// attempt does something over the link and says why it failed.
func (s *stream) attempt(do func(context.Context) error) error {
	ctx, cancel := s.line.guard(context.WithoutCancel(s.ctx), s.opt.Stall)
	defer cancel()
	err := do(ctx)
	if err != nil && ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return err
}

// mend takes the link up again, for as long as there is patience since it
// broke. It returns what the far side holds.
func (s *stream) mend(broken time.Time, why error) (int64, error) {
	pause := 100 * time.Millisecond
	for {
		if isLasting(why) {
			return 0, why
		}
		patience := s.opt.Patience
		if s.ctx.Err() != nil {
			patience = min(patience, lastPatience)
		}
		if time.Since(broken)+pause > patience {
			return 0, fmt.Errorf("broken for %v: %w", patience, why)
		}
		time.Sleep(pause)
		pause = min(2*pause, 5*time.Second)
		var held int64
		why = s.attempt(func(ctx context.Context) (err error) {
			held, err = s.far.resume(ctx, s.acked)
			return err
		})
		if why == nil && held < s.acked {
			return 0, fmt.Errorf("the far side has %d bytes left of the %d it acknowledged", held, s.acked)
		}
		if why == nil {
			s.breaks++
			return held, nil
		}
	}
}

// giveUp turns to the fallback.
func (s *stream) giveUp(why error) error {
	s.why = why
	if s.tail == nil {
		return fmt.Errorf("%w: %w", ErrDead, why)
	}
	if err := s.tail.begin(s.far.describe().location, s.acked, s.sum, why); err != nil {
		return fmt.Errorf("%w (%w), and the fallback fails: %w", ErrDead, why, err)
	}
	s.spills = true
	return nil
}

// finish commits on the far side, or ends the fallback.
func (s *stream) finish() error {
	all := total{s.size, evidence.DigestOf(s.sum)}
	var broken time.Time
	for !s.spills {
		err := s.attempt(func(ctx context.Context) error { return s.far.commit(ctx, all) })
		if err == nil {
			s.is = s.far.describe()
			s.tail.drop()
			return nil
		}
		if broken.IsZero() {
			broken = time.Now()
		}
		if _, err = s.mend(broken, err); err != nil {
			if err := s.giveUp(fmt.Errorf("everything was sent, but not ended: %w", err)); err != nil {
				return err
			}
		}
	}
	return s.tail.finish(true, true, s.size, s.sum)
}
