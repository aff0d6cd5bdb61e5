package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// ErrPlanned is what opening a file gives while a run is only planned.
var ErrPlanned = errors.New("not opened: the run is only planned")

// Plan is what a run with the same options would look at. It was made from
// names and metadata: folders were listed and links read, no file was opened.
type Plan struct {
	Collectors []PlannedCollector `json:"collectors"`
	Items      int64              `json:"items"`         // with and without content
	Bytes      int64              `json:"content_bytes"` // that would be stored, before compression
	Hashed     int64              `json:"hashed_bytes"`  // read only to be hashed
	Names      int64              `json:"names"`         // looked at
	Most       int64              `json:"bundle_bytes_at_most"`
	Seconds    float64            `json:"seconds_at_least"`

	LeftOut      []PlannedGap `json:"left_out,omitempty"` // the first thousand
	LeftOutCount int64        `json:"left_out_count"`
	Unknown      []string     `json:"unknown,omitempty"` // collectors whose size cannot be told before

	Folders   int64    `json:"folders_listed"` // by planning, as the run would
	WithAtime int64    `json:"listed_with_atime"`
	LinksRead int64    `json:"links_read"`
	Remarks   []string `json:"remarks,omitempty"`
}

// PlannedCollector is one collector of a Plan.
type PlannedCollector struct {
	Name     string  `json:"name"`
	Doc      string  `json:"doc"`
	Tier     Tier    `json:"tier"`
	Runs     bool    `json:"runs"`
	Known    bool    `json:"known"` // the figures are from the host, not guessed
	Why      string  `json:"why,omitempty"`
	Items    int64   `json:"items"`
	Bytes    int64   `json:"content_bytes"`
	Hashed   int64   `json:"hashed_bytes"`
	Names    int64   `json:"names"`
	Deadline float64 `json:"deadline_s"`
}

// PlannedGap is a path that would not be taken.
type PlannedGap struct {
	Collector string `json:"collector"`
	Path      string `json:"path"` // raw bytes
	Rule      string `json:"rule,omitempty"`
	Why       string `json:"why"`
}

// Expected is what a collector of a running host would take, as far as names
// and metadata tell.
type Expected struct {
	Items, Bytes, Hashed, Names int64
}

// Bits of st_mode, as Linux numbers them: a mounted host may be planned on
// another system.
const (
	modeType    = 0o170000
	modeDir     = 0o040000
	modeRegular = 0o100000
	modeLink    = 0o120000
)

// Rates of one core by which the time is told, rounded down from
// docs/benchmarks.md: hashing, compressing and sealing content; hashing alone;
// looking at names.
const (
	rateContent = 80e6
	rateHash    = 400e6
	rateNames   = 90e3
)

// maxGaps bounds the paths that a plan lists.
const maxGaps = 1000

// planCount is what the files that a planned run wants to open would cost.
type planCount struct {
	mu     sync.Mutex
	hashed int64
}

func (p *planCount) opened(st *evidence.Stat) {
	p.mu.Lock()
	p.hashed += dataSize(st)
	p.mu.Unlock()
}

func (p *planCount) sum() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hashed
}

// MakePlan looks at what a run with these options would look at. It opens no
// file of the host, except of its kernel, and writes nothing. Out is not used.
func MakePlan(ctx context.Context, opt Options) (*Plan, error) {
	r, err := prepare(opt)
	if err != nil {
		return nil, err
	}
	defer r.host.Close()
	defer spareMemory(opt.Budget.MaxMemory)()
	r.host.planned = &planCount{}
	stop := r.beat()
	defer stop()
	p := &Plan{}
	order := slices.Clone(r.opt.Collectors) // those that are for this host
	slices.SortStableFunc(order, func(a, b Collector) int {
		if a.Tier != b.Tier {
			return int(a.Tier - b.Tier)
		}
		return strings.Compare(a.Name, b.Name)
	})
	for _, c := range order {
		r.running.Store(&c.Name)
		r.number.Add(1)
		p.collector(ctx, r, c)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	p.sum(r)
	return p, nil
}

func (p *Plan) collector(ctx context.Context, r *run, c Collector) {
	out := PlannedCollector{Name: c.Name, Doc: c.Doc, Tier: c.Tier, Runs: true}
	if c.Tier < TierAlongside {
		out.Deadline = r.deadlineOf(c).Seconds()
	}
	looks := r.host.looks.Load()
	t := &planTaker{r: r, plan: p, name: c.Name}
	hashed := r.host.planned.sum()
	switch {
	case c.Live && !r.host.Live:
		out.Runs, out.Why = false, errNotLive.Error()
	case c.Live && c.Expect != nil:
		e, err := c.Expect(ctx, r.host)
		out.Items, out.Bytes, out.Hashed, out.Names = e.Items, e.Bytes, e.Hashed, e.Names
		if out.Known = err == nil; err != nil {
			out.Why = err.Error()
		}
		p.Unknown = append(p.Unknown, c.Name) // records have no size before they are made
	case c.Live || c.Tier >= TierAlongside:
		out.Why = "asks the running kernel: its size is known afterwards"
		p.Unknown = append(p.Unknown, c.Name)
	default:
		if err := p.rehearse(ctx, r, c, t); err != nil {
			out.Why = err.Error()
		}
		t.mu.Lock()
		out.Items, out.Bytes = t.items, t.bytes
		t.mu.Unlock()
		out.Hashed, out.Names = r.host.planned.sum()-hashed, r.host.looks.Load()-looks
		out.Known = out.Why == ""
	}
	t.mu.Lock()
	t.closed = true // one that was left behind adds nothing more
	t.mu.Unlock()
	p.Collectors = append(p.Collectors, out)
}

// rehearse runs a collector of files with a Taker that takes nothing.
func (p *Plan) rehearse(ctx context.Context, r *run, c Collector, t *planTaker) error {
	soft, cancel := context.WithTimeout(ctx, r.deadlineOf(c))
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil {
				done <- fmt.Errorf("%w: %v", errPanicked, v)
			}
		}()
		done <- c.Run(soft, r.host, t)
	}()
	select {
	case err := <-done:
		return err
	case <-soft.Done():
	}
	patience := time.NewTimer(grace)
	defer patience.Stop()
	select {
	case err := <-done:
		return err
	case <-patience.C:
		return fmt.Errorf("%w: %w", errAbandoned, soft.Err())
	}
}

// sum adds up and tells the time.
func (p *Plan) sum(r *run) {
	for _, c := range p.Collectors {
		p.Items, p.Bytes, p.Hashed, p.Names = p.Items+c.Items, p.Bytes+c.Bytes, p.Hashed+c.Hashed, p.Names+c.Names
	}
	p.Folders, p.WithAtime = r.host.Opened()
	p.LinksRead = r.host.LinksRead()
	p.Most = p.Bytes + p.Items*overhead(0) + p.Bytes/1024 + minMaxSize/4
	p.Seconds = float64(p.Bytes)/rateContent + float64(p.Hashed)/rateHash + float64(p.Names)/rateNames
	b := r.opt.Budget
	if b.CPU > 0 && b.CPU < 100 {
		p.Seconds *= 100 / float64(b.CPU)
	}
	if b.IORate > 0 {
		p.Seconds = max(p.Seconds, float64(p.Bytes+p.Hashed)/float64(b.IORate))
	}
	p.Seconds = max(p.Seconds, r.opt.CaptureFor.Seconds())
	if b.MaxSize > 0 && p.Most > b.MaxSize {
		p.Remarks = append(p.Remarks, fmt.Sprintf("the bundle may have %d bytes: what does not fit will be recorded as left out", b.MaxSize))
	}
	if b.MaxTime > 0 && p.Seconds > b.MaxTime.Seconds() {
		p.Remarks = append(p.Remarks, fmt.Sprintf("the run ends after %v: what is not taken by then will be recorded as left out", b.MaxTime))
	}
	p.Remarks = append(p.Remarks,
		"home directories that only /etc/passwd names are not counted: no file was opened",
		"whether each file may be read is known when it is opened; a private key is known by its content, and left out unless ordered")
}

// planTaker counts what it is offered.
type planTaker struct {
	r    *run
	plan *Plan
	name string

	mu     sync.Mutex
	closed bool
	items  int64
	bytes  int64
}

// Went implements Taker: how definitions go is for the run to say.
func (t *planTaker) Went(string, int, Outcome, string) {}

func (t *planTaker) count(items, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.items, t.bytes = t.items+items, t.bytes+bytes
	}
}

func (t *planTaker) gap(path, rule, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.plan.LeftOutCount++
	if len(t.plan.LeftOut) < maxGaps {
		t.plan.LeftOut = append(t.plan.LeftOut, PlannedGap{t.name, path, rule, why})
	}
}

// File counts what taking a path would store.
func (t *planTaker) File(ctx context.Context, path, rule string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h := t.r.host
	if m, ok := h.MountOf(path); ok && m.Storage() == Remote {
		t.gap(path, rule, "on a "+m.FSType+" file system, which may not answer")
		return nil
	}
	st, err := h.Stat(path)
	if err != nil {
		if _, outcome, _ := classify(err); outcome != Absent {
			t.gap(path, rule, reason(err))
		}
		t.count(1, 0)
		return nil
	}
	t.count(1, t.content(path, rule, st))
	return nil
}

// content returns the bytes of a path that would be stored.
func (t *planTaker) content(path, rule string, st *evidence.Stat) int64 {
	if st.Mode&modeType != modeRegular {
		return 0
	}
	it := evidence.Item{Path: path, Stat: st}
	if _, _, again := t.r.taken.find(it); again {
		return 0
	}
	t.r.taken.add(it, 0)
	size := dataSize(st)
	if limit := t.r.opt.MaxFileSize; limit > 0 && size > limit {
		t.gap(path, rule, fmt.Sprintf("%d bytes, over the limit of %d", size, limit))
		return 0
	}
	return size
}

// Stream reads what the collector makes of names and metadata, and drops it.
func (t *planTaker) Stream(_ context.Context, _ evidence.Item, r io.Reader) error {
	n, err := io.Copy(io.Discard, r)
	t.count(1, n)
	return err
}

// Open counts an open file.
func (t *planTaker) Open(_ context.Context, it evidence.Item, f ReaderAt) error {
	st, err := t.r.host.StatFile(f)
	if err == nil {
		t.count(1, t.content(it.Path, it.Rule, st))
	}
	return err
}

// Note counts an item without content; one that is left out is a gap.
func (t *planTaker) Note(ctx context.Context, it evidence.Item) error {
	if it.Kind == evidence.KindSkipped || it.Kind == evidence.KindDenied || it.Kind == evidence.KindError {
		t.gap(it.Path, it.Rule, it.Detail)
	}
	t.count(1, 0)
	return ctx.Err()
}

// Seen is for a ledger; a plan has none.
func (t *planTaker) Seen(string, int) {}

// Problem is a gap, but for the files that planning does not open.
func (t *planTaker) Problem(p evidence.Problem) {
	if !strings.Contains(p.Detail, ErrPlanned.Error()) {
		t.gap(p.Path, "", p.Detail)
	}
}
