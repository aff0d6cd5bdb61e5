package analyze

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// Options say how Run works. The zero value of each field is a good choice
// but Parsers, without which nothing is read.
type Options struct {
	Parsers []Parser
	Bundle  evidence.Digest // seal id of the container, recorded with every source
	Host    *Host           // nil: HostFacts
	Zone    *time.Location  // zone of records that state none; nil: the host's own
	Year    int             // year of logs that state none; 0: inferred
	Workers int             // 0: one per processor

	// Progress is called from time to time, from one goroutine at a time.
	Progress func(Progress)
}

// Progress counts what Run has done so far.
type Progress struct {
	Items, ItemsTotal int64 // items with content
	Bytes, BytesTotal int64 // decoded bytes read; stored sizes of all items
	Events, Problems  int64
	Current           string // path of an item that is being read
}

// Result says what a run did.
type Result struct {
	Host      *Host
	Items     int64 // items with content
	Parsed    int64 // items a parser took
	Reused    int64 // jobs that were done in an earlier run
	Unparsed  int64 // items that no parser knows
	Events    int64
	Problems  int64
	Bytes     int64
	PerParser map[string]ParserCount
}

// ParserCount says what one parser did.
type ParserCount struct {
	Items    int64 `json:"items"`
	Events   int64 `json:"events"`
	Problems int64 `json:"problems"`
}

// engineName is the stage of problems that the engine itself reports.
const engineName = "engine"

// Run reads every item of ev with the first parser that takes it and stores
// the events in b. An item that fails becomes a Problem; the run ends early
// only when ctx is cancelled or the store fails. The result does not depend
// on the number of workers.
func Run(ctx context.Context, ev Evidence, b timeline.Builder, opt Options) (*Result, error) {
	host := opt.Host
	if host == nil {
		var err error
		if host, err = HostFacts(ev); err != nil {
			return nil, fmt.Errorf("list items: %w", err)
		}
	}
	if opt.Zone != nil {
		known := *host
		known.Zone, known.ZoneSrc = opt.Zone, timeline.ZoneUser
		host = &known
	}
	r := &run{ev: ev, builder: b, opt: opt, host: host}
	r.res = Result{Host: host, PerParser: map[string]ParserCount{}}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.cancel = cancel
	return r.do(ctx)
}

type run struct {
	ev      Evidence
	builder timeline.Builder
	opt     Options
	host    *Host
	cancel  context.CancelCauseFunc

	read atomic.Int64 // decoded bytes

	besideMu   sync.Mutex
	companions map[*Parser]map[string]*evidence.Item // nil: a path of no file

	mu      sync.Mutex
	res     Result
	total   int64
	totalSz int64
	current string
}

// task is one item with its place in the container's order.
type task struct {
	item  evidence.Item
	order int64
}

func (r *run) do(ctx context.Context) (*Result, error) {
	workers := r.opt.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if err := r.count(); err != nil {
		return nil, err
	}
	tasks := make(chan task)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			buf := newBuffers()
			for t := range tasks {
				if err := r.item(ctx, t, buf); err != nil {
					r.cancel(err)
				}
			}
		})
	}
	stop := r.report()
	err := r.feed(ctx, tasks)
	close(tasks)
	wg.Wait()
	stop()
	r.res.Bytes = r.read.Load()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return &r.res, err
}

// count sums up what there is to do, for progress.
func (r *run) count() error {
	for it, err := range r.ev.Items() {
		if err != nil {
			return fmt.Errorf("list items: %w", err)
		}
		if it.Kind.HasContent() && it.Source != evidence.SourceOriginal {
			r.total++
			r.totalSz += max(it.Stored, 0)
		}
	}
	return nil
}

func (r *run) feed(ctx context.Context, tasks chan<- task) error {
	var order int64
	for it, err := range r.ev.Items() {
		if err != nil {
			return fmt.Errorf("list items: %w", err)
		}
		order++
		if !it.Kind.HasContent() || it.Source == evidence.SourceOriginal {
			continue // an archive's members are items of their own
		}
		select {
		case tasks <- task{it, order}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// report calls Options.Progress five times a second until stopped.
func (r *run) report() (stop func()) {
	if r.opt.Progress == nil {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				r.opt.Progress(r.progress())
			case <-done:
				r.opt.Progress(r.progress())
				return
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

func (r *run) progress() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Progress{
		Items: r.res.Items, ItemsTotal: r.total, Bytes: r.read.Load(), BytesTotal: r.totalSz,
		Events: r.res.Events, Problems: r.res.Problems, Current: r.current,
	}
}

// item opens, decodes and matches one item and runs its parser. The error
// ends the run: it is the context's or the store's.
func (r *run) item(ctx context.Context, t task, buf *buffers) error {
	r.mu.Lock()
	r.current = t.item.Path
	r.mu.Unlock()
	err := r.parse(ctx, t, buf)
	r.mu.Lock()
	r.res.Items++
	r.mu.Unlock()
	return err
}

func (r *run) parse(ctx context.Context, t task, buf *buffers) error {
	it := &t.item
	content, err := r.ev.Open(it.Member)
	if err != nil {
		return r.unreadable(ctx, t, err)
	}
	defer content.Close()
	src, parser, err := r.match(ctx, it, content, buf)
	if err != nil {
		return r.unreadable(ctx, t, err)
	}
	if parser == nil {
		r.mu.Lock()
		r.res.Unparsed++
		r.mu.Unlock()
		return nil
	}
	if err := r.beside(src, parser); err != nil {
		return r.unreadable(ctx, t, err)
	}
	if src.Beside != nil {
		defer src.Beside.ReaderAt.(evidence.Content).Close()
	}
	job := r.job(t, src, parser)
	if r.builder.Done(job.Key) {
		r.mu.Lock()
		r.res.Reused++
		r.mu.Unlock()
		return nil
	}
	return r.run(ctx, job, src, parser)
}

// beside opens the file that the parser wants beside the item, the first of
// that path in the order of the container.
func (r *run) beside(src *Source, p *Parser) error {
	if p.Beside == nil {
		return nil
	}
	known, err := r.companionsOf(p)
	if err != nil {
		return err
	}
	it := known[p.Beside(src.Item.Path)]
	if it == nil {
		return nil
	}
	content, err := r.ev.Open(it.Member)
	if err != nil {
		return fmt.Errorf("open the file beside it: %w", err)
	}
	src.Beside = &Companion{it, content, content.Size()}
	return nil
}

// companionsOf finds all files that lie beside what the parser may read, by
// their paths, when it is first asked: evidence may hold as many such items as
// it likes.
func (r *run) companionsOf(p *Parser) (map[string]*evidence.Item, error) {
	r.besideMu.Lock()
	defer r.besideMu.Unlock()
	if known, ok := r.companions[p]; ok {
		return known, nil
	}
	known := map[string]*evidence.Item{}
	for _, wanted := range []bool{true, false} {
		for it, err := range r.ev.Items() {
			if err != nil {
				return nil, fmt.Errorf("list items: %w", err)
			}
			if path := p.Beside(it.Path); wanted {
				if path != "" && path != it.Path {
					known[path] = nil
				}
			} else if have, ok := known[it.Path]; ok && have == nil && it.Kind == evidence.KindFile {
				known[it.Path] = &it
			}
		}
	}
	if r.companions == nil {
		r.companions = map[*Parser]map[string]*evidence.Item{}
	}
	r.companions[p] = known
	return known, nil
}

// match decodes the content and finds the first parser that takes it. Content
// that only looks compressed is offered as it is: three bytes in front of a
// log must not hide it.
func (r *run) match(ctx context.Context, it *evidence.Item, content evidence.Content, buf *buffers) (*Source, *Parser, error) {
	stored := max(it.Stored, it.Size)
	d, head, headErr := buf.decodeHead(content, stored)
	if headErr != nil && len(head) == 0 {
		plain := io.NewSectionReader(content, 0, content.Size())
		raw := make([]byte, HeadSize)
		n, err := io.ReadFull(plain, raw)
		if n == 0 && err != nil && !atEnd(err) {
			return nil, nil, err
		}
		d, head = decoded{Reader: plain}, raw[:n]
		if p := r.choose(it, head); p != nil {
			return r.source(ctx, it, content, d, head, nil), p, nil
		}
		return nil, nil, headErr
	}
	return r.source(ctx, it, content, d, head, headErr), r.choose(it, head), nil
}

// buffers are what one worker looks at its items through, one after the other:
// most items of a host are small files that no parser takes.
type buffers struct {
	in   *bufio.Reader
	head []byte
}

func newBuffers() *buffers {
	return &buffers{in: bufio.NewReaderSize(nil, decodeBuffer), head: make([]byte, HeadSize)}
}

// decodeHead undoes compression and reads the first HeadSize bytes. err is
// nil at an honest end. What it returns is good until its next call.
func (b *buffers) decodeHead(content io.Reader, stored int64) (d decoded, head []byte, err error) {
	b.in.Reset(content)
	if d, err = decode(b.in, stored); err != nil {
		return d, nil, err
	}
	head = b.head
	n, err := io.ReadFull(d.Reader, head)
	if atEnd(err) && !(d.chain != "" && errors.Is(err, io.ErrUnexpectedEOF) && n == 0) {
		err = nil
	}
	if err != nil && d.chain != "" {
		err = fmt.Errorf("%w: %s: %w", errCorrupt, d.chain, err)
	}
	return d, head[:n], err
}

var errCorrupt = errors.New("cannot decompress")

func atEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func (r *run) choose(it *evidence.Item, head []byte) *Parser {
	for i := range r.opt.Parsers {
		if p := &r.opt.Parsers[i]; p.Match(it, head) {
			return p
		}
	}
	return nil
}

func (r *run) source(ctx context.Context, it *evidence.Item, content evidence.Content, d decoded, head []byte, err error) *Source {
	rest := d.Reader
	if err != nil {
		rest = failing{err}
	}
	src := &Source{
		Item: it, Chain: d.chain, Host: r.host, Year: r.opt.Year, GzipTime: d.gzipTime,
		ctx: ctx, r: io.MultiReader(bytes.NewReader(head), rest), size: -1, count: &r.read,
	}
	if d.chain == "" {
		src.at, src.size = content, content.Size()
	}
	return src
}

// failing repeats the error that ended an earlier read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// job describes the work so that equal work has an equal key. The bundle is
// not part of it: the same file of the same host in a second bundle gives the
// same events, and they are already there.
func (r *run) job(t task, src *Source, p *Parser) timeline.Job {
	it := src.Item
	name := p.Name + "@" + strconv.Itoa(p.Version)
	source := &timeline.Source{
		Bundle: r.opt.Bundle, Member: it.Member, Index: it.Index, Chain: src.Chain, Path: it.Path,
		SHA256: it.SHA256, Size: it.Size, Collector: it.Collector, Host: r.host.Name, HostID: r.host.MachineID,
	}
	if st := it.Stat; st != nil {
		source.Inode = st.Inode
		source.Modified, source.Accessed, source.Changed, source.Born = st.Modified, st.Accessed, st.Changed, st.Born
	}
	h := evidence.NewHash()
	parts := []string{
		it.SHA256.String(), it.Path, src.Chain, r.host.Name, r.host.MachineID,
		r.host.Zone.String(), r.host.ZoneSrc, strconv.Itoa(src.Year), name,
	}
	if src.Beside != nil {
		parts = append(parts, src.Beside.Item.SHA256.String())
	}
	for _, s := range parts {
		fmt.Fprintf(h, "%d:%s,", len(s), s)
	}
	key := evidence.DigestOf(h)
	source.ID = hex.EncodeToString(key[:16])
	return timeline.Job{Order: t.order, Key: key.String(), Family: p.Family, Parser: name, Source: source}
}

// run parses one source into one job.
func (r *run) run(ctx context.Context, job timeline.Job, src *Source, p *Parser) error {
	w, err := r.builder.Begin(ctx, job)
	if err != nil {
		return fmt.Errorf("begin %s: %w", job.Parser, err)
	}
	out := timeline.NewAppender(ctx, w, job.Source, p.Name, p.Version)
	if err := guard(ctx, p, src, out); err != nil && out.Err() == nil && ctx.Err() == nil {
		code := evidence.IOError
		var crash *panicError
		switch {
		case errors.As(err, &crash):
			code = evidence.Panicked
		case errors.Is(err, io.ErrUnexpectedEOF):
			code = evidence.Truncated
		case errors.Is(err, ErrExpansion), errors.Is(err, ErrTooBig):
			code = evidence.TooBig
		case src.Chain != "", errors.Is(err, errCorrupt):
			code = evidence.Corrupt
		}
		out.Problem(code, -1, -1, err.Error())
	}
	if err := out.Flush(); err != nil {
		w.Abort()
		return err
	}
	if err := w.Commit(ctx); err != nil {
		return fmt.Errorf("store events of %s: %w", job.Parser, err)
	}
	events, problems := out.Counts()
	r.add(p.Name, events, problems)
	return nil
}

func (r *run) add(parser string, events, problems int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.res.PerParser[parser]
	c.Items++
	c.Events += events
	c.Problems += problems
	r.res.PerParser[parser] = c
	r.res.Parsed++
	r.res.Events += events
	r.res.Problems += problems
}

// unreadable records an item whose content could not be opened or decoded.
func (r *run) unreadable(ctx context.Context, t task, cause error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p := &Parser{Name: engineName, Version: 1, Family: "engine"}
	src := &Source{Item: &t.item, Host: r.host, count: &r.read, ctx: ctx}
	p.Parse = func(context.Context, *Source, *timeline.Appender) error { return cause }
	job := r.job(t, src, p)
	if r.builder.Done(job.Key) {
		return nil
	}
	return r.run(ctx, job, src, p)
}

// panicError is a parser's panic with where it happened.
type panicError struct{ text string }

func (p *panicError) Error() string { return p.text }

// guard runs a parser and turns its panic into an error.
func guard(ctx context.Context, p *Parser, src *Source, out *timeline.Appender) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{fmt.Sprintf("parser %s panicked: %v at %s", p.Name, v, origin(debug.Stack()))}
		}
	}()
	return p.Parse(ctx, src, out)
}

// origin finds the frame that panicked: the first one below panic itself.
func origin(stack []byte) string {
	_, after, ok := strings.Cut(string(stack), "panic(")
	if !ok {
		return "unknown place"
	}
	lines := strings.Split(after, "\n")
	for i := 2; i+1 < len(lines); i += 2 {
		if fn := lines[i]; !strings.HasPrefix(fn, "runtime.") {
			place, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " ")
			return place[strings.LastIndexByte(place, '/')+1:]
		}
	}
	return "unknown place"
}
