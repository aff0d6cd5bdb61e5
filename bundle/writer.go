// Package bundle is the evidence container: a tar of regular files in
// independent zstd frames, with two signed-for lines about each item.
// docs/format/bundle.md is its specification. The package knows nothing about
// what is collected or analysed.
//
// A Writer makes a bundle in one pass, a Reader opens one for random access,
// Verify says what of it is proven, Recover saves what is left of a damaged
// one, Extract writes items out, Disclose gives some out with proof.
package bundle

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// Errors of a Writer.
var (
	ErrSealed   = errors.New("bundle is sealed")
	ErrFull     = errors.New("bundle holds as many items as the format allows")
	ErrTooLarge = errors.New("record is too large")
)

// WriterOptions tune a Writer. The zero value is ready for use.
type WriterOptions struct {
	CheckpointBytes    int64         // a checkpoint after so many tar bytes; 64 MiB
	CheckpointInterval time.Duration // and after so long; 10 s; negative: never
	CheckpointItems    int           // and after so many items; 4096
	FrameSize          int           // uncompressed bytes of a frame, at most and by default 4 MiB
	SegmentSize        int           // bytes of an item of unknown length held at once, at most and by default 8 MiB
	Workers            int           // compressing goroutines; 2
	Stall              time.Duration // an item that gives no byte for so long is ended; 60 s
	Now                func() time.Time
	Salt               io.Reader    // source of salts; crypto/rand. Fixed only in test vectors
	Sync               func() error // makes the sink durable; called after each checkpoint
	MD5, SHA1          bool         // compute these as well
	Mandate            Mandate      // what ties the key to people and to an order
}

const (
	earlyCut    = 256 << 10 // least uncompressed size of a frame that a timer cuts
	rowSize     = 256 << 10 // manifest lines in one row of the manifest index, and in one frame
	batchLimit  = 4 << 20   // manifest lines held in memory before a checkpoint
	indexFrame  = 64 << 10  // frames of the member index
	smallItem   = 1 << 20   // items up to this size are read before they are written
	maxSegment  = 8 << 20   // members of an item of unknown length
	bufferLimit = 16 << 20  // all buffers of items being read, together
)

// Writer makes one bundle. It is safe for concurrent use. Its memory stays
// below 64 MiB and about 48 bytes an item. After an error of the sink every
// method returns that error, and what reached the sink is a bundle up to its
// last checkpoint.
type Writer struct {
	opt    WriterOptions
	key    *chainofcustody.RunKey
	header Header
	origin string
	frames *frameWriter
	held   atomic.Int64  // bytes in item buffers
	summed atomic.Int64  // bytes of holes that digests take in
	done   chan struct{} // closed to end the timer

	mu        sync.Mutex
	turn      *sync.Cond // signals that no member is open
	buf       []byte     // the frame being filled
	off       int64      // tar bytes so far
	open      *adding    // member being written in several steps
	segmented map[*adding]bool
	serial    int64
	names     nameTable
	tree      tree
	leaves    leafList
	batch     []byte // manifest lines since the last checkpoint
	marks     []row  // rows of batch, offsets relative to it
	batches   int
	items     int       // leaves in batch
	since     int64     // tar offset of the last checkpoint
	checked   time.Time // when that was
	rows      []row     // of all batches written
	counts    map[string]int64
	bytes     Bytes
	sealed    bool
}

// row is one line of the manifest index: a run of manifest lines.
type row struct {
	leaf, count int64 // first leaf and number of leaves
	off, size   int64 // tar range of the lines
	batch       int
}

// NewWriter begins a bundle on w: it writes the fixed members, the header as
// leaf 0 and the first checkpoint. Of h, Format, Key and Members are filled
// in, Order where there is one, and Bundle, Started and Grade where empty.
func NewWriter(w io.Writer, h Header, key *chainofcustody.RunKey, opt WriterOptions) (*Writer, error) {
	opt.fill()
	if opt.FrameSize > MaxFrame || opt.FrameSize < 4096 {
		return nil, fmt.Errorf("frame size %d is not between 4 KiB and 4 MiB", opt.FrameSize)
	}
	out := &Writer{
		opt: opt, key: key, done: make(chan struct{}),
		segmented: map[*adding]bool{}, counts: map[string]int64{},
	}
	out.turn = sync.NewCond(&out.mu)
	fixed, err := out.prepare(h)
	if err != nil {
		return nil, err
	}
	if out.frames, err = newFrameWriter(w, opt.FrameSize, opt.Workers, opt.Sync); err != nil {
		return nil, err
	}
	out.buf = out.frames.buffer()
	if err := out.begin(fixed); err != nil {
		out.frames.stop()
		return nil, err
	}
	go out.timer()
	return out, nil
}

func (o *WriterOptions) fill() {
	if o.CheckpointBytes <= 0 {
		o.CheckpointBytes = 64 << 20
	}
	if o.CheckpointInterval == 0 {
		o.CheckpointInterval = 10 * time.Second
	}
	if o.CheckpointItems <= 0 {
		o.CheckpointItems = 4096
	}
	if o.FrameSize == 0 {
		o.FrameSize = MaxFrame
	}
	if o.SegmentSize <= 0 || o.SegmentSize > maxSegment {
		o.SegmentSize = maxSegment
	}
	if o.Workers <= 0 {
		o.Workers = 2
	}
	if o.Stall <= 0 {
		o.Stall = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Salt == nil {
		o.Salt = rand.Reader
	}
}

// prepare completes the header and returns the fixed members it names.
func (w *Writer) prepare(h Header) ([]fixedMember, error) {
	h.plain()
	if h.Started.IsZero() {
		h.Started = w.opt.Now()
	}
	h.Started = h.Started.UTC()
	if h.Clock.Wall.IsZero() {
		h.Clock.Wall = h.Started
	}
	if h.Grade == "" {
		h.Grade = w.opt.Mandate.grade()
	}
	if len(w.opt.Mandate.Order) > 0 {
		h.Order = evidence.Sum(w.opt.Mandate.Order).String()
	}
	if h.Bundle == "" {
		id, err := newUUID(h.Started, w.opt.Salt)
		if err != nil {
			return nil, err
		}
		h.Bundle = id
	}
	h.Format = 1
	h.Key = strings.TrimSpace(string(CollectorPub(w.key.PublicKey())))
	fixed, err := fixedMembers(w.key.PublicKey(), &w.opt.Mandate)
	if err != nil {
		return nil, err
	}
	h.Members = map[string]string{}
	for _, m := range fixed {
		h.Members[m.name] = evidence.Sum(m.data).String()
	}
	w.header, w.origin = h, OriginPrefix+h.Bundle
	return fixed, nil
}

// begin writes everything up to and including the first checkpoint.
func (w *Writer) begin(fixed []fixedMember) error {
	for _, m := range fixed {
		w.member(m.name, m.data)
	}
	body, err := marshal(w.header)
	if err != nil {
		return err
	}
	r := &record{off: -1, item: evidence.Item{Kind: evidence.KindHeader}, body: body}
	r.item.Started = w.header.Started
	if err := w.record(r); err != nil {
		return err
	}
	w.member(headerMember, w.batch)
	w.checkpoint()
	return w.frames.wait()
}

// Header returns the completed header.
func (w *Writer) Header() Header { return w.header }

// Len returns the number of leaves so far.
func (w *Writer) Len() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tree.size
}

// put appends bytes to the tar.
func (w *Writer) put(p []byte) {
	w.off += int64(len(p))
	for len(p) > 0 {
		n := min(w.opt.FrameSize-len(w.buf), len(p))
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
		if len(w.buf) == w.opt.FrameSize {
			w.cut(false)
		}
	}
}

// cut ends the current frame.
func (w *Writer) cut(sync bool) {
	if len(w.buf) > 0 {
		w.frames.flush(w.buf, sync)
		w.buf = w.frames.buffer()
	}
}

// putPad fills the tar up to a whole block after n bytes of content.
func (w *Writer) putPad(n int64) { w.put(zeros[:-n&(tarBlock-1)]) }

// member writes a member below exhibit/ and returns the offset of its data.
func (w *Writer) member(name string, data []byte) int64 {
	w.put(appendHeader(nil, w.entry(name, int64(len(data)))))
	at := w.off
	w.put(data)
	w.putPad(int64(len(data)))
	return at
}

// entry is the header of a member below exhibit/: its time is the start of
// the run, in whole seconds.
func (w *Writer) entry(name string, size int64) *entry {
	return &entry{name: name, size: size, mtime: w.header.Started.Truncate(time.Second)}
}

// ready returns why nothing can be added, nil when something can.
func (w *Writer) ready() error {
	if w.sealed {
		return ErrSealed
	}
	if w.tree.size >= leafLimit-leafReserve {
		return ErrFull
	}
	return w.frames.failure()
}

// leafReserve keeps room for the items under way when a bundle is full, and
// for its trailer.
const leafReserve = 4096

// maxTexts bounds the texts of one record, so that its line stays below 1 MiB
// however much of it must be escaped.
const maxTexts = 32 << 10

func checkTexts(it *evidence.Item) error {
	n := len(it.Path) + len(it.Link) + len(it.Detail) + len(it.Rule) + len(it.Collector) + len(it.Source)
	if n > maxTexts {
		return fmt.Errorf("%w: item %.80q with %d bytes of names", ErrTooLarge, it.Path, n)
	}
	return nil
}

// record makes a leaf of r: it numbers, salts and stores its two lines.
func (w *Writer) record(r *record) error {
	if w.tree.size >= leafLimit {
		return ErrFull
	}
	it := &r.item
	it.Index = w.tree.size
	content, meta, err := w.lines(r)
	if err != nil {
		return err
	}
	if it.Member != "" {
		w.names.put(nameKey(it.Member), uint32(it.Index))
	}
	leaf := LeafHash(content, meta)
	w.tree.add(leaf)
	w.leaves.add(leaf)
	size := int64(len(content) + len(meta))
	if n := len(w.marks); n == 0 || w.marks[n-1].size+size > rowSize {
		w.marks = append(w.marks, row{leaf: it.Index, off: int64(len(w.batch))})
	}
	mark := &w.marks[len(w.marks)-1]
	mark.count++
	mark.size += size
	w.batch = append(append(w.batch, content...), meta...)
	w.items++
	w.counts[string(it.Kind)]++
	w.bytes.Content += it.Size
	w.bytes.Stored += it.Stored
	for _, u := range it.Unread {
		w.bytes.Unread += max(u.Length, 0)
	}
	return nil
}

// lines writes the two lines of r, leaving out extended attributes when they
// would make the line too long, and saying so.
func (w *Writer) lines(r *record) (content, meta []byte, err error) {
	var salt [32]byte
	if _, err := io.ReadFull(w.opt.Salt, salt[:]); err != nil {
		return nil, nil, fmt.Errorf("make salt: %w", err)
	}
	content = appendContentLine(nil, r, salt[:16])
	meta = appendMetaLine(nil, r, salt[16:])
	if len(meta) > maxLine {
		dropXattrs(&r.item)
		meta = appendMetaLine(nil, r, salt[16:])
	}
	if len(content) > maxLine || len(meta) > maxLine {
		return nil, nil, fmt.Errorf("%w: %d and %d bytes", ErrTooLarge, len(content), len(meta))
	}
	return content, meta, nil
}

func dropXattrs(it *evidence.Item) {
	n := 0
	for _, s := range []**evidence.Stat{&it.Stat, &it.After} {
		if *s != nil && len((*s).Xattrs) > 0 {
			clone := **s
			n = max(n, len(clone.Xattrs))
			clone.Xattrs = nil
			*s = &clone
		}
	}
	note := fmt.Sprintf("%d extended attributes left out: over 1 MiB", n)
	it.Detail = strings.TrimPrefix(it.Detail+"; "+note, "; ")
}

// Note records an item that has no content: a directory, a link, a device, or
// a look that failed. It returns an error when it.Kind has content, when the
// sink failed or when the bundle is sealed.
func (w *Writer) Note(it evidence.Item) error {
	if it.Kind.HasContent() || it.Kind == evidence.KindHeader || it.Kind == evidence.KindTrailer {
		return fmt.Errorf("note item %.80q: kind %s cannot be noted", it.Path, it.Kind)
	}
	if it.Started.IsZero() {
		it.Started = w.opt.Now()
	}
	it.Member, it.Holes, it.Stored = "", nil, 0
	if err := checkTexts(&it); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.open != nil && len(w.batch) > batchLimit && !w.sealed {
		w.turn.Wait()
	}
	if err := w.ready(); err != nil {
		return err
	}
	if err := w.record(&record{off: -1, item: it}); err != nil {
		return fmt.Errorf("note item %.80q: %w", it.Path, err)
	}
	w.checkpointIfDue()
	return w.frames.failure()
}

// Close gives up a bundle that was not sealed: nothing more is written. It
// does nothing after Seal.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sealed {
		return nil
	}
	w.end()
	err := w.frames.wait()
	w.frames.stop()
	return err
}

// end refuses everything from now on. Adders that wait or come back see it.
func (w *Writer) end() {
	w.sealed = true
	close(w.done)
	w.turn.Broadcast()
}

// leafLine is one line of leaves.txt.
func leafLine(dst []byte, leaf evidence.Digest) []byte {
	return append(hex.AppendEncode(dst, leaf[:]), '\n')
}
