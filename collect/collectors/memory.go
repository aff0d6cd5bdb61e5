package collectors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/kcore"
)

const (
	// MemoryName is the name of the collector that Memory makes.
	MemoryName = "memory"
	memoryRule = "main memory"

	// MemoryMap is the name of the record set that says what of main memory
	// was taken from where: MemoryRecord a line.
	MemoryMap = "memory/map.jsonl"

	// memoryNotes are the ELF notes of /proc/kcore, VMCOREINFO among them.
	memoryNotes = "memory/kcore-notes.bin"

	// memoryChunk is what one item holds at most: an item that was not
	// finished when the run was killed is not in what recover saves.
	memoryChunk = 64 << 20
	// memoryBlock is read at once and becomes one LiME range: a chunk that
	// ends early ends with a whole one.
	memoryBlock = 1 << 20
	// maxUnread bounds the problems of one run; the map tells all.
	maxUnread = 256
)

// MemoryOptions bounds an acquisition of main memory.
type MemoryOptions struct {
	From uint64 // begin at this physical address: what an earlier run left
}

// MemoryRecord is a line of MemoryMap. What is "source" (one that was
// considered, and why it was used or not), "taken" (a chunk), "unread" (memory
// that could not be read, zeros in its chunk where Path names one) or "left"
// (memory after the point where the run was stopped). Start and End are
// physical addresses, End not included.
type MemoryRecord struct {
	What   string `json:"what"`
	Source string `json:"source,omitempty"`
	Used   bool   `json:"used,omitempty"`
	Why    string `json:"why,omitempty"`
	Path   string `json:"path,omitempty"`
	Start  uint64 `json:"start"`
	End    uint64 `json:"end"`
}

// Memory collects main memory as LiME files of at most 64 MiB of memory each,
// which are one LiME file when they are put one after the other, and what is
// needed to make sense of it. It is not on the shelf: memory holds secrets of
// everybody on the host, so whoever runs a collection decides about it.
func Memory(opt MemoryOptions) collect.Collector {
	return collect.Collector{
		Name: MemoryName,
		Doc:  "Main memory in LiME format, kernel symbols and types",
		Tier: collect.TierMemory,
		Live: true,
		// A slow sink must not be the reason why half of it is missing.
		Deadline: 12 * time.Hour,
		Run: func(ctx context.Context, h *collect.Host, out collect.Taker) error {
			return collectMemory(ctx, opt, h, out)
		},
	}
}

// memoryImage is an opened source of physical memory.
type memoryImage struct {
	name   string
	r      io.ReaderAt
	pieces []kcore.Piece
	close  func() error
}

func memoryItem(path string) evidence.Item {
	return evidence.Item{
		Index: -1, Kind: evidence.KindStream, Source: "memory", Path: path, Size: -1,
		Collector: MemoryName, Rule: memoryRule,
	}
}

// memoryRun is one acquisition.
type memoryRun struct {
	out    collect.Taker
	lines  collect.Spool
	chunks int
	lost   int    // problems told
	notes  []byte // of the core
	buf    []byte

	sources []physicalSource // in the order in which they are tried
}

// physicalSource is where physical memory may be read.
type physicalSource struct {
	name string
	open func(*collect.Host, []kcore.Range) (memoryImage, error)
}

func (m *memoryRun) record(r MemoryRecord) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode memory record: %w", err)
	}
	_, err = m.lines.Write(append(line, '\n'))
	return err
}

// finish writes the map. It is the last item: only then is it known.
func (m *memoryRun) finish(ctx context.Context) error {
	m.out.Seen(memoryRule, m.chunks)
	if n := m.lines.Lost(); n > 0 {
		m.lose(evidence.TooBig, MemoryMap, fmt.Sprintf("%d lines found no room", n))
	}
	r, size := m.lines.Take()
	if size == 0 {
		return nil
	}
	return m.out.Stream(context.WithoutCancel(ctx), memoryItem(MemoryMap), r)
}

func (m *memoryRun) lose(code evidence.Code, path, detail string) {
	m.out.Problem(evidence.Problem{Code: code, Path: path, Detail: detail, Ref: evidence.Ref{Offset: -1, Length: -1}})
}

// unread records memory that could not be read. path is the chunk that has
// zeros for it, "" when none has.
func (m *memoryRun) unread(path string, r kcore.Range, why string) error {
	m.lost++
	at := path
	if at == "" {
		at = MemoryName
	}
	switch {
	case m.lost <= maxUnread:
		m.lose(evidence.IOError, at, fmt.Sprintf("physical memory %#x-%#x not read: %s", r.Start, r.End-1, why))
	case m.lost == maxUnread+1:
		m.lose(evidence.IOError, at, "more memory was not read: all of it is in "+MemoryMap)
	}
	return m.record(MemoryRecord{What: "unread", Path: path, Start: r.Start, End: r.End, Why: why})
}

// take writes all chunks from an address on. It returns nil also when the
// context ended: what is left is then a record.
func (m *memoryRun) take(ctx context.Context, img memoryImage, from uint64) error {
	m.buf = make([]byte, memoryBlock)
	todo := cutMemory(img.pieces, from)
	for len(todo) > 0 {
		if ctx.Err() != nil {
			return m.left(ctx, todo)
		}
		p := todo[0]
		if p.Offset < 0 {
			if err := m.unread("", p.Range, "not in "+img.name); err != nil {
				return err
			}
			todo = todo[1:]
			continue
		}
		n := 1
		for n < len(todo) && todo[n].Offset >= 0 && todo[n].Start/memoryChunk == p.Start/memoryChunk {
			n++
		}
		rest, err := m.chunk(ctx, img, todo[:n])
		if err != nil {
			return err
		}
		if len(rest) > 0 {
			return m.left(ctx, append(rest, todo[n:]...))
		}
		todo = todo[n:]
	}
	return nil
}

// left records what a run that was stopped did not come to.
func (m *memoryRun) left(ctx context.Context, todo []kcore.Piece) error {
	r := kcore.Range{Start: todo[0].Start, End: todo[len(todo)-1].End}
	code := evidence.Skipped
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		code = evidence.TimedOut
	}
	why := fmt.Sprintf("stopped before physical address %#x: go on with --memory-from %#x", r.Start, r.Start)
	m.lose(code, MemoryName, why)
	return errors.Join(m.record(MemoryRecord{What: "left", Start: r.Start, End: r.End, Why: why}), ctx.Err())
}

// cutMemory returns the pieces from an address on, none across the border of
// a chunk.
func cutMemory(pieces []kcore.Piece, from uint64) []kcore.Piece {
	var out []kcore.Piece
	for _, p := range pieces {
		if p.End <= from {
			continue
		}
		if p.Start < from {
			p = after(p, from)
		}
		for p.Offset >= 0 && p.Start/memoryChunk != (p.End-1)/memoryChunk {
			border := (p.Start/memoryChunk + 1) * memoryChunk
			first := p
			first.End = border
			out, p = append(out, first), after(p, border)
		}
		out = append(out, p)
	}
	return out
}

// after is a piece without what lies before an address of it.
func after(p kcore.Piece, at uint64) kcore.Piece {
	if p.Offset >= 0 {
		p.Offset += int64(at - p.Start)
	}
	p.Start = at
	return p
}

// chunk takes pieces as one item and returns those that it did not come to.
func (m *memoryRun) chunk(ctx context.Context, img memoryImage, pieces []kcore.Piece) ([]kcore.Piece, error) {
	path := fmt.Sprintf("memory/ram-%016x.lime", pieces[0].Start)
	rest := pieces
	end := pieces[0].Start
	it := memoryItem(path)
	it.Detail = "physical memory from " + img.name
	err := streamTo(ctx, m.out, it, func(to io.Writer) error {
		for len(rest) > 0 && ctx.Err() == nil {
			block := rest[0]
			block.End = min(block.End, block.Start+memoryBlock)
			if err := m.block(img, block, path, to); err != nil {
				return err
			}
			end = block.End
			if block.End == rest[0].End {
				rest = rest[1:]
			} else {
				rest = append([]kcore.Piece{after(rest[0], block.End)}, rest[1:]...)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	m.chunks++
	return rest, m.record(MemoryRecord{What: "taken", Source: img.name, Path: path, Start: pieces[0].Start, End: end})
}

// block writes one LiME range. Pages that cannot be read are zeros in it, and
// records.
func (m *memoryRun) block(img memoryImage, p kcore.Piece, path string, to io.Writer) error {
	data := m.buf[:p.End-p.Start]
	if n, err := img.r.ReadAt(data, p.Offset); n < len(data) {
		if err := m.pages(img, p, path, data, err); err != nil {
			return err
		}
	}
	if _, err := to.Write(kcore.AppendLimeHeader(nil, p.Range)); err != nil {
		return err
	}
	_, err := to.Write(data)
	return err
}

// pages reads a block page by page after it could not be read whole.
func (m *memoryRun) pages(img memoryImage, p kcore.Piece, path string, data []byte, whole error) error {
	bad := kcore.Range{}
	why := ""
	tell := func() error {
		if bad.End == bad.Start {
			return nil
		}
		r := bad
		bad = kcore.Range{}
		return m.unread(path, r, why)
	}
	for at := 0; at < len(data); at += kcore.PageSize {
		page := data[at:min(at+kcore.PageSize, len(data))]
		n, err := img.r.ReadAt(page, p.Offset+int64(at))
		if n == len(page) {
			if err := tell(); err != nil {
				return err
			}
			continue
		}
		clear(page)
		if err == nil {
			err = whole
		}
		start := p.Start + uint64(at)
		if bad.End != start {
			if err := tell(); err != nil {
				return err
			}
			bad.Start, why = start, causeOf(err)
		}
		bad.End = start + uint64(len(page))
	}
	return tell()
}

// causeOf is the system's error in words, without the path and the operation.
func causeOf(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	if err == nil {
		return "short read"
	}
	if errors.Is(err, io.EOF) {
		return "beyond the end"
	}
	return err.Error()
}

// readable tries a few pages of the longest piece: a source that opens but
// gives nothing is not used.
func (img memoryImage) readable() error {
	var longest kcore.Piece
	for _, p := range img.pieces {
		if p.Offset >= 0 && p.End-p.Start > longest.End-longest.Start {
			longest = p
		}
	}
	const tries = 8
	err := errors.New("no System RAM in it")
	page := make([]byte, kcore.PageSize)
	for i := range uint64(tries) {
		size := longest.End - longest.Start
		if size < kcore.PageSize {
			break
		}
		at := (size / tries * i) &^ (kcore.PageSize - 1)
		var n int
		if n, err = img.r.ReadAt(page, longest.Offset+int64(at)); n == len(page) {
			return nil
		}
	}
	return err
}
