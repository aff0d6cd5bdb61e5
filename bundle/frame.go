package bundle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sync"

	"github.com/klauspost/compress"
	"github.com/klauspost/compress/zstd"
)

// MaxFrame is the largest uncompressed size of a frame.
const MaxFrame = 4 << 20

// plainFrame is the size of frames that hold data which does not compress:
// large frames would gain nothing and cost random reads.
const plainFrame = 512 << 10

// Constants of the zstd frame format (RFC 8878) and of its seekable format.
const (
	frameMagic     = 0xFD2FB528
	skippableMagic = 0x184D2A5E
	seekMagic      = 0x8F92EAB1
	seekFooter     = 9
)

// span is the size of one frame, compressed and not.
type span struct{ packed, plain uint32 }

// frameJob is one buffer of tar bytes on its way to the sink.
type frameJob struct {
	plain  []byte
	packed []byte
	spans  []span
	sync   bool          // sync the sink once this is written
	done   chan struct{} // closed when packed is ready
}

// frameWriter compresses buffers in parallel and writes them in order. Memory
// is bounded by its fixed set of buffers: when all are in flight, flush waits.
type frameWriter struct {
	sink io.Writer
	sync func() error
	free chan []byte    // empty input buffers
	used chan []byte    // output buffers to use again
	todo chan *frameJob // to the workers
	line chan *frameJob // to the sink, in order
	wg   sync.WaitGroup

	mu     sync.Mutex
	cond   *sync.Cond
	spans  []span // written so far
	queued int    // jobs handed over
	sunk   int    // jobs finished
	packed int64  // bytes written
	err    error  // first failure; nothing is written after it

	waiting int64 // bytes handed over and not finished
}

func newFrameWriter(sink io.Writer, size, workers int, durable func() error) (*frameWriter, error) {
	f := &frameWriter{
		sink: sink, sync: durable,
		free: make(chan []byte, workers+2),
		used: make(chan []byte, workers+2),
		todo: make(chan *frameJob, workers+2),
		line: make(chan *frameJob, workers+2),
	}
	f.cond = sync.NewCond(&f.mu)
	for range workers + 2 {
		f.free <- make([]byte, 0, size)
	}
	for range workers {
		p, err := newPacker(size)
		if err != nil {
			close(f.todo)
			return nil, err
		}
		f.wg.Go(func() {
			for job := range f.todo {
				select {
				case job.packed = <-f.used:
				default:
					job.packed = make([]byte, 0, size+size/128+512) // frames that do not compress grow a little
				}
				p.pack(job)
				close(job.done)
			}
		})
	}
	f.wg.Go(f.write)
	return f, nil
}

// packer holds the encoders of one worker.
type packer struct{ dense, fast *zstd.Encoder }

// newPacker makes encoders for frames of up to size bytes. They remember no
// more than they are ever given at once, because their history is much of the
// memory that a bundle needs; the bytes are the same as with more.
func newPacker(size int) (*packer, error) {
	encoder := func(level zstd.EncoderLevel, most int) (*zstd.Encoder, error) {
		enc, err := zstd.NewWriter(nil,
			zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true), zstd.WithSingleSegment(true),
			zstd.WithWindowSize(most), zstd.WithLowerEncoderMem(true), zstd.WithEncoderLevel(level))
		if err != nil {
			return nil, fmt.Errorf("make zstd encoder: %w", err)
		}
		return enc, nil
	}
	dense, err := encoder(zstd.SpeedDefault, window(size))
	if err != nil {
		return nil, err
	}
	fast, err := encoder(zstd.SpeedFastest, window(min(size, plainFrame)))
	if err != nil {
		return nil, err
	}
	return &packer{dense, fast}, nil
}

// window is the smallest window that covers size bytes: a power of two.
func window(size int) int { return max(1<<bits.Len(uint(size-1)), zstd.MinWindowSize) }

// pack compresses one buffer: data that will not compress goes, lightly tried,
// into several small frames.
func (p *packer) pack(job *frameJob) {
	enc, size := p.dense, len(job.plain)
	if size > plainFrame && incompressible(job.plain) {
		enc, size = p.fast, plainFrame
	}
	for rest := job.plain; len(rest) > 0; {
		part := rest[:min(size, len(rest))]
		rest = rest[len(part):]
		before := len(job.packed)
		job.packed = enc.EncodeAll(part, job.packed)
		job.spans = append(job.spans, span{uint32(len(job.packed) - before), uint32(len(part))})
	}
}

// incompressible looks at four samples of a buffer.
func incompressible(b []byte) bool {
	const sample = 16 << 10
	if len(b) < 4*sample {
		return false
	}
	step := (len(b) - sample) / 3
	for i := range 4 {
		if compress.Estimate(b[i*step:i*step+sample]) > 0.02 {
			return false
		}
	}
	return true
}

// buffer returns an empty buffer, waiting until there is one.
func (f *frameWriter) buffer() []byte { return <-f.free }

// flush hands over one buffer. Its bytes may not be used afterwards.
func (f *frameWriter) flush(b []byte, sync bool) {
	job := &frameJob{plain: b, sync: sync, done: make(chan struct{})}
	f.mu.Lock()
	f.queued++
	f.waiting += int64(len(b))
	f.mu.Unlock()
	f.todo <- job
	f.line <- job
}

// write is the one goroutine that touches the sink.
func (f *frameWriter) write() {
	for job := range f.line {
		<-job.done
		err := f.failure()
		if err == nil {
			err = f.put(job)
		}
		f.mu.Lock()
		if err != nil && f.err == nil {
			f.err = err
		}
		f.sunk++
		f.waiting -= int64(len(job.plain))
		f.cond.Broadcast()
		f.mu.Unlock()
		f.free <- job.plain[:0]
		select {
		case f.used <- job.packed[:0]:
		default:
		}
	}
}

func (f *frameWriter) put(job *frameJob) error {
	n, err := f.sink.Write(job.packed)
	if err == nil && n < len(job.packed) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	f.mu.Lock()
	f.spans = append(f.spans, job.spans...)
	f.packed += int64(n)
	f.mu.Unlock()
	if job.sync && f.sync != nil {
		if err := f.sync(); err != nil {
			return fmt.Errorf("sync bundle: %w", err)
		}
	}
	return nil
}

// failure returns the first error of the sink.
func (f *frameWriter) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// wait returns once everything handed over is written, or has failed.
func (f *frameWriter) wait() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.sunk < f.queued {
		f.cond.Wait()
	}
	return f.err
}

// stop ends the workers after what was handed over.
func (f *frameWriter) stop() {
	close(f.todo)
	close(f.line)
	f.wg.Wait()
}

// finish writes the seek table and ends the workers.
func (f *frameWriter) finish() error {
	err := f.wait()
	f.stop()
	if err != nil {
		return err
	}
	table := appendSeekTable(nil, f.spans)
	if n, err := f.sink.Write(table); err != nil || n < len(table) {
		return fmt.Errorf("write seek table: %w", errors.Join(err, shortWrite(n, len(table))))
	}
	f.packed += int64(len(table))
	if f.sync != nil {
		if err := f.sync(); err != nil {
			return fmt.Errorf("sync bundle: %w", err)
		}
	}
	return nil
}

func shortWrite(n, want int) error {
	if n < want {
		return io.ErrShortWrite
	}
	return nil
}

// appendSeekTable writes the zstd seekable format's table without checksums:
// a skippable frame of two sizes a frame and a footer.
func appendSeekTable(dst []byte, spans []span) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, skippableMagic)
	dst = le.AppendUint32(dst, uint32(len(spans)*8+seekFooter))
	for _, s := range spans {
		dst = le.AppendUint32(dst, s.packed)
		dst = le.AppendUint32(dst, s.plain)
	}
	dst = le.AppendUint32(dst, uint32(len(spans)))
	dst = append(dst, 0) // descriptor: no checksums
	return le.AppendUint32(dst, seekMagic)
}
