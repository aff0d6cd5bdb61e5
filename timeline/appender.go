package timeline

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"sync"
	"unicode/utf8"
	"unsafe"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// A batch is handed over when either bound is reached.
const (
	batchEvents = 1024
	batchText   = 128 << 10
)

// Batch is a run of events of one source with the memory their strings live
// in. A Sink may read it until it returns; what it keeps it must copy.
type Batch struct {
	Source   *Source
	Events   []Event
	Problems []evidence.Problem

	arena []byte
	spill [][]byte // full arenas and oversized texts of this batch
	used  int
	attrs []Attr
}

// Sink takes batches. Append may be called by many goroutines, each with
// batches of its own source, in order.
type Sink interface {
	Append(ctx context.Context, b *Batch) error
}

// SinkFunc makes a Sink of a function.
type SinkFunc func(ctx context.Context, b *Batch) error

// Append calls f.
func (f SinkFunc) Append(ctx context.Context, b *Batch) error { return f(ctx, b) }

var batches = sync.Pool{New: func() any {
	return &Batch{
		Events: make([]Event, 0, batchEvents),
		arena:  make([]byte, 0, batchText+16<<10),
		attrs:  make([]Attr, 0, 4*batchEvents),
	}
}}

func (b *Batch) reset() {
	b.Source = nil
	clear(b.Events) // drop references into spilled arenas
	b.Events = b.Events[:0]
	b.Problems = b.Problems[:0]
	b.arena = b.arena[:0]
	clear(b.spill)
	b.spill = b.spill[:0]
	b.used = 0
	clear(b.attrs)
	b.attrs = b.attrs[:0]
}

// Appender collects the events of one source into batches and hands them to
// a Sink. It belongs to one goroutine. Its use is
//
//	ev := out.Event(offset, length)
//	ev.SetNanos(ts)
//	ev.Message = out.Text(line)
//	out.Attr("facility", facility)
//
// with no closing call: the next Event, or Flush, finishes the previous one.
type Appender struct {
	ctx    context.Context //nolint:containedctx // one run of one source
	sink   Sink
	batch  *Batch
	source *Source
	parser string
	ver    int64
	key    [16]byte // identity of source and parser, head of every event id
	seq    int64
	open   bool
	intern map[string]string
	err    error

	events, problems int64
}

// internMax bounds the table of repeated strings of one source.
const internMax = 8192

// NewAppender returns an Appender for the events that parser@version reads
// from source.
func NewAppender(ctx context.Context, sink Sink, source *Source, parser string, version int) *Appender {
	a := &Appender{
		ctx: ctx, sink: sink, source: source, parser: parser, ver: int64(version),
		intern: make(map[string]string),
	}
	h := evidence.NewHash()
	h.Write(source.SHA256[:])
	for _, s := range []string{source.HostID, source.Host, source.Path, source.Chain, parser, strconv.Itoa(version)} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	sum := evidence.DigestOf(h)
	copy(a.key[:], sum[:])
	if source.ID == "" {
		source.ID = hex.EncodeToString(sum[:16])
	}
	return a
}

// Event finishes the event before it and returns a blank one for the record
// of length bytes at offset. The pointer is good until the next call of Event
// or Flush.
func (a *Appender) Event(offset, length int64) *Event {
	a.finish()
	if a.batch != nil && (len(a.batch.Events) == batchEvents || a.batch.used >= batchText) {
		a.hand()
	}
	b := a.take()
	b.Events = b.Events[:len(b.Events)+1]
	ev := &b.Events[len(b.Events)-1]
	*ev = blank
	ev.Source, ev.Parser, ev.ParserVer = a.source, a.parser, a.ver
	ev.Host, ev.HostID = a.source.Host, a.source.HostID
	ev.RecOff, ev.RecLen, ev.Seq = offset, length, a.seq
	a.seq++
	a.open = true
	return ev
}

// Drop takes back the event that Event returned last.
func (a *Appender) Drop() {
	if a.open {
		a.batch.Events = a.batch.Events[:len(a.batch.Events)-1]
		a.seq--
		a.open = false
	}
}

func (a *Appender) current() *Event { return &a.batch.Events[len(a.batch.Events)-1] }

func (a *Appender) take() *Batch {
	if a.batch == nil {
		a.batch = batches.Get().(*Batch)
		a.batch.Source = a.source
	}
	return a.batch
}

// finish gives the open event its identity.
func (a *Appender) finish() {
	if !a.open {
		return
	}
	a.open = false
	a.events++
	ev := a.current()
	var in [32]byte
	copy(in[:], a.key[:])
	binary.BigEndian.PutUint64(in[16:], uint64(ev.Seq))
	binary.BigEndian.PutUint64(in[24:], uint64(ev.RecOff))
	sum := evidence.Sum(in[:])
	copy(ev.ID[:], sum[:])
}

// hand gives the batch to the sink and takes it back.
func (a *Appender) hand() {
	b := a.batch
	if b == nil {
		return
	}
	if a.err == nil && len(b.Events)+len(b.Problems) > 0 {
		if a.err = a.ctx.Err(); a.err == nil {
			a.err = a.sink.Append(a.ctx, b)
		} else {
			a.err = context.Cause(a.ctx)
		}
	}
	a.batch = nil
	b.reset()
	batches.Put(b)
}

// Flush finishes the open event, hands over what is left and returns the
// first error of the sink or the context.
func (a *Appender) Flush() error {
	a.finish()
	a.hand()
	return a.err
}

// Err returns the first error of the sink or the context. A parser of a large
// source may ask now and then and return early; it need not.
func (a *Appender) Err() error { return a.err }

// Counts returns how many events and problems were appended so far.
func (a *Appender) Counts() (events, problems int64) {
	n := a.events
	if a.open {
		n++
	}
	return n, a.problems
}

// Problem records that length bytes at offset were lost or are doubtful. Use
// -1 where offset or length is not known.
func (a *Appender) Problem(code evidence.Code, offset, length int64, detail string) {
	b := a.take()
	a.problems++
	ref := evidence.Ref{Bundle: a.source.Bundle, Member: a.source.Member, Chain: a.source.Chain, Offset: offset, Length: length}
	b.Problems = append(b.Problems, evidence.Problem{Stage: a.parser, Code: code, Ref: ref, Path: a.source.Path, Detail: detail})
	if len(b.Problems) >= batchEvents && !a.open {
		a.hand()
	}
}

// Text copies b into the batch and returns it as text: bytes that are no
// UTF-8 become \xNN and set EscapedText on the open event.
func (a *Appender) Text(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if !utf8.Valid(b) {
		if a.open {
			a.current().Flags |= EscapedText
		}
		b = escapeInvalid(b)
	}
	return a.copy(b)
}

// Str is Text for a string whose memory the caller will reuse.
func (a *Appender) Str(s string) string {
	return a.Text(unsafe.Slice(unsafe.StringData(s), len(s)))
}

// Intern is Text for values that repeat (hosts, users, programs): it returns
// one lasting copy for equal inputs.
func (a *Appender) Intern(b []byte) string {
	if s, ok := a.intern[string(b)]; ok {
		return s
	}
	if len(a.intern) >= internMax || len(b) > 256 || !utf8.Valid(b) {
		return a.Text(b)
	}
	s := string(b)
	a.intern[s] = s
	return s
}

// Int returns n in decimal, in the batch's memory.
func (a *Appender) Int(n int64) string {
	var buf [20]byte
	return a.copy(strconv.AppendInt(buf[:0], n, 10))
}

// Join copies its parts, one after the other, as one text.
func (a *Appender) Join(parts ...string) string {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n == 0 {
		return ""
	}
	dst := a.room(n)
	at := 0
	for _, p := range parts {
		at += copy(dst[at:], p)
	}
	if !utf8.Valid(dst) {
		return a.Text(dst)
	}
	return unsafe.String(&dst[0], n)
}

// Attr adds a text attribute to the open event. The value is copied; the key
// must be a constant or come from Text or Intern.
func (a *Appender) Attr(key string, value []byte) { a.AttrRaw(key, a.Text(value), 's') }

// AttrStr is Attr for a string whose memory the caller will reuse.
func (a *Appender) AttrStr(key, value string) { a.AttrRaw(key, a.Str(value), 's') }

// AttrInt adds an integer attribute to the open event.
func (a *Appender) AttrInt(key string, n int64) { a.AttrRaw(key, a.Int(n), 'i') }

// AttrRaw adds an attribute whose key and value already outlive the batch or
// live in it.
func (a *Appender) AttrRaw(key, value string, typ byte) {
	b := a.batch
	if !a.open {
		return
	}
	ev := a.current()
	start := len(b.attrs) - len(ev.Attrs)
	b.attrs = append(b.attrs, Attr{key, value, typ})
	ev.Attrs = b.attrs[start:len(b.attrs):len(b.attrs)]
}

// copy moves b into the arena.
func (a *Appender) copy(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	dst := a.room(len(b))
	copy(dst, b)
	return unsafe.String(&dst[0], len(dst))
}

// room returns n fresh bytes that live as long as the batch.
func (a *Appender) room(n int) []byte {
	b := a.take()
	b.used += n
	if n > cap(b.arena)-len(b.arena) {
		if n > batchText/4 {
			big := make([]byte, n)
			b.spill = append(b.spill, big)
			return big
		}
		b.spill = append(b.spill, b.arena)
		b.arena = make([]byte, 0, batchText+16<<10)
	}
	at := len(b.arena)
	b.arena = b.arena[:at+n]
	return b.arena[at : at+n : at+n]
}

// escapeInvalid writes bytes that are no UTF-8 as \xNN.
func escapeInvalid(b []byte) []byte {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, len(b)+16)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			out = append(out, '\\', 'x', digits[b[0]>>4], digits[b[0]&15])
		} else {
			out = append(out, b[:n]...)
		}
		b = b[n:]
	}
	return out
}
