package analyze

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// Host is what is known of the machine the evidence came from, gathered from
// the evidence itself before any parser runs.
type Host struct {
	Name      string
	MachineID string
	BootID    string            // of the boot during which it was collected
	BootTime  time.Time         // start of that boot; zero when unknown
	Collected time.Time         // when the collection began, by the host's clock
	Zone      *time.Location    // never nil
	ZoneSrc   string            // timeline.ZoneHostConfig, ZoneUser or ZoneAssumed
	Users     map[uint32]string // from passwd
	Ticks     int64             // clock ticks per second of /proc; 100 unless known
}

// NewHost returns a Host about which nothing is known: UTC, assumed.
func NewHost() *Host {
	return &Host{Zone: time.UTC, ZoneSrc: "assumed", Users: map[uint32]string{}, Ticks: 100}
}

// ErrTooBig says that a source needs random access and is over the limit of
// what may be held in memory.
var ErrTooBig = errors.New("decoded content too big for random access")

// Source is one item, decoded, as a parser sees it. Read yields the decoded
// bytes in order, counts them for progress and ends with the context's cause
// once the run is cancelled, so parsers need no code for either.
type Source struct {
	Item  *evidence.Item
	Chain string // decoders already applied: "" or "gzip", "xz", "zstd", "bzip2", "lz4"
	Host  *Host
	Year  int // year given by the user for logs without one; 0: infer

	// GzipTime is the modification time in a gzip header; zero when none.
	GzipTime time.Time

	// Beside is the file that Parser.Beside names; nil where the evidence has
	// none.
	Beside *Companion

	ctx   context.Context //nolint:containedctx // one run of one item
	r     io.Reader
	at    io.ReaderAt // nil when Chain is not empty
	size  int64
	count *atomic.Int64
}

// Companion is the second file of a format that is kept in two, as it lies in
// the evidence: not decoded.
type Companion struct {
	Item *evidence.Item
	io.ReaderAt
	Size int64
}

// NewSource returns a Source that reads r; at may be nil when content can
// only be read in order. size is -1 when not known. It is for drivers and
// tests; parsers are given theirs.
func NewSource(ctx context.Context, it *evidence.Item, host *Host, r io.Reader, at io.ReaderAt, size int64) *Source {
	return &Source{Item: it, Host: host, ctx: ctx, r: r, at: at, size: size, count: new(atomic.Int64)}
}

// Read implements io.Reader.
func (s *Source) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	n, err := s.r.Read(p)
	s.count.Add(int64(n))
	return n, err
}

// Size returns the decoded size in bytes, -1 when not known.
func (s *Source) Size() int64 { return s.size }

// randomMax bounds what RandomAccess holds in memory for encoded items.
const randomMax = 512 << 20

// RandomAccess returns the content for reading at offsets, and its size. A
// decoded stream is first read into memory, up to 512 MiB: beyond that the
// error is ErrTooBig. Do not mix it with Read.
func (s *Source) RandomAccess() (io.ReaderAt, int64, error) {
	if s.at != nil && s.size >= 0 {
		return cancelAt{s}, s.size, nil
	}
	b, err := io.ReadAll(io.LimitReader(s, randomMax+1))
	if int64(len(b)) > randomMax {
		return nil, 0, fmt.Errorf("%w: over %d MiB", ErrTooBig, randomMax>>20)
	}
	if err != nil && len(b) == 0 {
		return nil, 0, err
	}
	// What was decoded before a damaged end is still evidence.
	return byteAt(b), int64(len(b)), err
}

type cancelAt struct{ s *Source }

func (c cancelAt) ReadAt(p []byte, off int64) (int, error) {
	if c.s.ctx.Err() != nil {
		return 0, context.Cause(c.s.ctx)
	}
	n, err := c.s.at.ReadAt(p, off)
	c.s.count.Add(int64(n))
	return n, err
}

type byteAt []byte

func (b byteAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
