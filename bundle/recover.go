package bundle

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// ErrNothing says that no record of a bundle is proven, so that there is
// nothing to recover.
var ErrNothing = errors.New("no signed checkpoint can be read")

// RecoverReport says what a recovery saved.
type RecoverReport struct {
	Original *Report           `json:"original"` // verification of the input
	Records  int64             `json:"records"`  // that the new file's index leads to
	Proven   int64             `json:"proven"`   // of them covered by a signature
	Unsealed int64             `json:"unsealed"` // whole members kept without a record
	Lost     []evidence.Extent `json:"-"`        // tar ranges filled with zeros
	LostSize int64             `json:"lost"`     // their length together
	Left     int64             `json:"left"`     // bytes of a last, cut member that stay behind in the original
	Size     int64             `json:"size"`     // bytes of the new file
}

// Recover writes what is whole of a truncated or damaged bundle as a new
// bundle that opens like any other, every byte at the tar offset it had. The
// input is only read. Members that were cut off at the end are left out, lost
// ranges are filled with zeros and listed in exhibit/recovery.json, and the
// indexes are made anew. Nothing is signed: the new file is proven by the
// original's own seal or last checkpoint. Memory is that of Verify.
func Recover(ctx context.Context, r io.ReaderAt, size int64, w io.Writer) (*RecoverReport, error) {
	a, walk, tar, err := inspect(ctx, r, size, VerifyOptions{})
	if err != nil {
		return nil, fmt.Errorf("recover bundle: %w", err)
	}
	c := conclusion{audit: a, walk: walk, tar: tar}
	c.draw()
	if c.proven == 0 {
		return &RecoverReport{Original: a.report}, fmt.Errorf("recover bundle: %w", ErrNothing)
	}
	frames, err := newFrameWriter(w, MaxFrame, 2, nil)
	if err != nil {
		return nil, fmt.Errorf("recover bundle: %w", err)
	}
	s := &salvage{
		tarCopy: tarCopy{frames: frames, buf: frames.buffer(), stamp: c.stamp},
		c:       &c, report: &RecoverReport{Original: a.report, Unsealed: a.report.Unsealed},
	}
	if err := s.run(ctx, r, size); err != nil {
		_ = frames.wait()
		frames.stop()
		return nil, fmt.Errorf("recover bundle: %w", err)
	}
	if err := frames.finish(); err != nil {
		return nil, fmt.Errorf("recover bundle: %w", err)
	}
	s.report.Size = frames.packed
	return s.report, nil
}

// tarCopy writes the tar of a bundle anew. It is a tarSink.
type tarCopy struct {
	frames *frameWriter
	buf    []byte
	off    int64
	stamp  time.Time // of members under exhibit/
	sum    hash.Hash // of the tar so far; nil: none
}

// put appends to the new tar.
func (s *tarCopy) put(p []byte) {
	s.off += int64(len(p))
	if s.sum != nil {
		s.sum.Write(p)
	}
	for len(p) > 0 {
		n := min(MaxFrame-len(s.buf), len(p))
		s.buf = append(s.buf, p[:n]...)
		if p = p[n:]; len(s.buf) == MaxFrame {
			s.cut(false)
		}
	}
}

func (s *tarCopy) cut(sync bool) {
	if len(s.buf) > 0 {
		s.frames.flush(s.buf, sync)
		s.buf = s.frames.buffer()
	}
}

func (s *tarCopy) offset() int64 { return s.off }

func (s *tarCopy) putPad(n int64) { s.put(zeros[:-n&(tarBlock-1)]) }

func (s *tarCopy) entry(name string, size int64) *entry {
	return &entry{name: name, size: size, mtime: s.stamp}
}

func (s *tarCopy) member(name string, data []byte) int64 {
	s.put(appendHeader(nil, s.entry(name, int64(len(data)))))
	at := s.off
	s.put(data)
	s.putPad(int64(len(data)))
	return at
}

func (s *tarCopy) putZeros(n int64) {
	for ; n > 0; n -= int64(len(zeros)) {
		s.put(zeros[:min(n, int64(len(zeros)))])
	}
}

// salvage copies a tar, its lost parts filled.
type salvage struct {
	tarCopy
	c      *conclusion
	report *RecoverReport
	fill   int64 // end of the member whose bytes are being replaced
	fills  int
	ended  bool // at the tail, which is made anew
}

func (s *salvage) run(ctx context.Context, r io.ReaderAt, size int64) error {
	walk := newFrameWalk(r, size, 2)
	tar := &tarWalk{v: s}
	err := walk.run(ctx, func(w walked) error {
		if w.data == nil {
			tar.lose(int64(w.plain))
		} else {
			tar.feed(w.data)
		}
		return s.frames.failure()
	})
	if err != nil {
		return err
	}
	s.cutTail()
	return s.tail(size)
}

// begin implements tarVisitor: members are copied, torn ones under exhibit/
// and those that never end are not.
func (s *salvage) begin(e entry, at, data int64) {
	if _, tail := tailNames[e.name]; tail {
		s.ended = true
	}
	if s.ended || data+e.size > s.c.lastEnd {
		s.ended = true
		return
	}
	s.bridge(at)
	if s.c.torn[at] {
		return // the next bridge covers it
	}
	s.put(appendHeader(nil, &e))
	s.fill = data + e.size
}

// bridge fills the tar up to the offset of the next whole member with members
// that say it is lost.
func (s *salvage) bridge(to int64) {
	const most = 1 << 32
	for s.off < to {
		n := min(to-s.off, most)
		s.lostRange(s.off, n)
		s.put(appendHeader(nil, s.entry(fmt.Sprintf("%s%06d", lostPrefix, s.fills), n-tarBlock)))
		s.putZeros(n - tarBlock)
		s.fills++
	}
}

func (s *salvage) lostRange(off, n int64) {
	s.report.Lost = append(s.report.Lost, evidence.Extent{Offset: off, Length: n})
	s.report.LostSize += n
}

// data implements tarVisitor.
func (s *salvage) data(p []byte) {
	if n := min(int64(len(p)), s.fill-s.off); n > 0 {
		s.put(p[:n])
	}
}

// lost implements tarVisitor.
func (s *salvage) lost(n int64) {
	if n = min(n, s.fill-s.off); n > 0 {
		s.lostRange(s.off, n)
		s.putZeros(n)
	}
}

// finish implements tarVisitor.
func (s *salvage) finish() {
	if s.off == s.fill {
		s.putPad(s.off)
	}
}

// gap implements tarVisitor: the next member's bridge fills it.
func (s *salvage) gap(int64, int64) {}

// stray implements tarVisitor: the audit has reported it.
func (s *salvage) stray(int64, string) {}

// cutTail counts what is left of a member that was cut off.
func (s *salvage) cutTail() {
	if s.c.tar.inside {
		s.report.Left = s.c.tar.pos - s.c.lastEnd
	}
}

// tail writes the statement of the recovery, new indexes, and the original's
// seal, or its last checkpoint in place of one.
func (s *salvage) tail(size int64) error {
	c := s.c
	rows, leaves := c.provenRows(), c.leaves[:c.proven]
	st := recoveryStatement{Format: 1, From: size, Verdict: c.report.Verdict, Cut: !c.report.Sealed, Left: s.report.Left}
	for _, l := range s.report.Lost {
		st.Ranges = append(st.Ranges, [2]int64{l.Offset, l.Length})
	}
	text, err := marshal(st)
	if err != nil {
		return err
	}
	names := new(nameTable)
	for _, k := range c.keys {
		if leaf := uint32(k&(1<<24-1)) - 1; int64(leaf) < c.proven {
			names.put(k>>24, leaf)
		}
	}
	for _, r := range rows {
		s.report.Records += r.count
	}
	s.report.Proven = s.report.Records
	t := &tailWriter{w: s, leaves: leafList{leaves}, rows: rows, names: names}
	t.recovery(append(text, '\n'))
	t.indexes()
	removals := c.erasureMembers()
	if c.report.Sealed {
		statement := []fixedMember{
			{sealMember, c.members[sealMember]}, {sshsigMember, c.members[sshsigMember]}, {noteMember, c.members[noteMember]},
		}
		if sig := c.members[certSigMember]; sig != nil {
			statement = append(statement, fixedMember{certSigMember, sig})
		}
		t.statement("seal", append(statement, removals...))
	} else {
		t.statement("checkpoint", append([]fixedMember{{recoveryNote, c.signed.Note}}, removals...))
	}
	return s.frames.failure()
}

// provenRows is the manifest index of a recovered bundle: the intact batches
// that the statement covers.
func (c *conclusion) provenRows() []row {
	var rows []row
	for _, b := range c.rows {
		if b.leaf+b.count <= c.proven {
			rows = append(rows, c.splitRow(b)...)
		}
	}
	return rows
}

// splitRow cuts a batch into rows of readable size.
func (c *conclusion) splitRow(b row) []row {
	var rows []row
	cur := row{leaf: b.leaf, off: b.off, batch: b.batch}
	for i := b.leaf; i < b.leaf+b.count; i++ {
		end := b.off + b.size
		if i+1 < b.leaf+b.count {
			end = c.lineAt[i+1]
		}
		if cur.count > 0 && end-cur.off > rowSize {
			cur.size = c.lineAt[i] - cur.off
			rows = append(rows, cur)
			cur = row{leaf: i, off: c.lineAt[i], batch: b.batch}
		}
		cur.count++
		cur.size = end - cur.off
	}
	return append(rows, cur)
}
