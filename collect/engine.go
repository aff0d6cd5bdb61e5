package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/footprint"
	"golang.org/x/crypto/ssh"
)

// Options says what a run collects, where it goes and in whose name. Out and
// Collectors are required.
type Options struct {
	Case, Exhibit, Examiner, Authority, Profile string          // as the bundle's header states them
	Version, Revision                           string          // of this program
	Recipients                                  []string        // whom Out encrypts to, for the record
	Continues                                   string          // seal id of the bundle this one continues
	Origin                                      string          // what is mounted at Root, and how: "" where nobody knows
	SelectionSHA256                             evidence.Digest // of what is collected, for comparison with an order; zero: not known

	Root        string        // "" or "/": the running host; else a folder where one is mounted
	Collectors  []Collector   // in any order
	Deadline    time.Duration // of every collector; 0: what it states itself, else DefaultDeadline
	MaxFileSize int64         // bytes of data; larger files are recorded as skipped; 0: no limit
	HashMD5SHA1 bool          // MD5 and SHA-1 of everything, not only of small files
	Held        *HeldBefore   // files that are left out because an earlier bundle has them as they are; nil: none
	Split       int64         // bytes of a bundle, after which the run goes on in another; 0: no limit
	// NextPart gives the place of the next bundle, once one is sealed because of
	// Split or because it takes no more records; nil: a run has one bundle.
	NextPart          func(Part) (*Next, error)
	Budget            Budget            // what the run may cost
	CaptureFor        time.Duration     // see Host
	CaptureInterfaces []string          // see Host
	CaptureOptions    map[string]string // what else the capture was told, for the header: capture_filter, …
	Log               *slog.Logger      // besides the log in the bundle; nil: none
	Progress          func(Progress)    // called from any goroutine, at most ten times a second, at least once, plus once for each collector
	Command           []string          // argv, for the record; nil: os.Args
	Facts             map[string]string // what else the header's options state: where the bundle goes

	Out      io.Writer    // where the bundle goes
	Sync     func() error // makes what was written durable; nil: nothing to do
	OwnFiles []*os.File   // never collected: the bundle itself, a log

	Key  *chainofcustody.RunKey                          // nil: a fresh one
	Bind func(key ssh.PublicKey) (bundle.Mandate, error) // what ties that key of the run to people; nil: unattended
}

// DefaultDeadline is how long a collector may take when neither the caller
// nor it itself says.
const DefaultDeadline = 15 * time.Minute

// grace is how long a collector may take to return after its context ended:
// longer than it waits for a file system that hangs, so that it gets to say
// how far it came.
const grace = lookWait + 2*time.Second

// Progress is a sign of life.
type Progress struct {
	Collector string // running, or just finished when Done; "" in a heartbeat between two
	Done      bool
	Path      string        // being looked at, or taken last
	Doing     string        // what is done to it: open, stat, list folder, read …; "" when it was taken
	Since     time.Duration // how long that has gone on
	Waiting   string        // the budget that makes the run wait, "" for none
	Reading   int64         // bytes read of the path so far, of a large file
	Number    int           // of this collector, from 1
	Of        int           // collectors to run
	Items     int64         // records so far
	Bytes     int64         // content so far
	Written   int64         // bytes of bundle so far
	Elapsed   time.Duration
}

// CollectorResult is how one collector went.
type CollectorResult struct {
	Name     string
	Tier     Tier
	Outcome  Outcome
	Detail   string // why, for all but collected and empty
	Duration time.Duration
	Items    int64             // records
	Bytes    int64             // content stored
	Counts   map[Outcome]int64 // records by outcome
}

// Result is how a run went. It is complete even when Run returns an error,
// but for Seal.
type Result struct {
	Seal         bundle.Seal
	Partial      bool   // something ended the run before its end
	Reason       string // what, "" for a whole run: interrupted, sink, max-size, max-time, max-memory
	Collectors   []CollectorResult
	Counts       map[Outcome]int64 // paths by outcome
	Items        int64             // records
	Bytes        int64             // content stored
	Written      int64             // bytes of bundle
	ProblemCount int64
	Problems     []evidence.Problem // the first thousand; the bundle has them all
	Footprint    Footprint
	Parts        []Part // bundles before the one that Seal is of
	Started      time.Time
	Finished     time.Time

	definitions []bundle.Outcome
}

// run is one collection on its way.
type run struct {
	opt     Options
	host    *Host
	source  string // evidence.Item.Source of files
	sink    sink
	ledger  ledger
	log     *slog.Logger
	logged  Spool
	started time.Time
	began   record.Clock
	out     *counter

	cancel  context.CancelFunc // ends the collectors
	failMu  sync.Mutex
	sinkErr error

	taken       taken
	atimes      atimes
	sockets     map[string]int64 // of this process before the run
	procFiles   int64            // the same
	before      Footprint        // the same: usage of whatever this process was before
	writingMu   sync.Mutex
	writing     map[string]bool // names of what was open for writing
	parts       parts
	bundleBegan time.Time
	limit       *sizeLimit           // nil: none
	spent       atomic.Pointer[over] // the budget that ended the run
	short       atomic.Bool          // something was left out for want of budget
	squeezes    atomic.Int64         // pauses for others

	items, bytes atomic.Int64
	spoke        atomic.Int64           // ns of the last progress
	running      atomic.Pointer[string] // the collector that runs, but for those alongside
	number       atomic.Int64
	of           int
	results      []CollectorResult
}

// Run collects and seals. Cancelling ctx ends the collectors; what they have
// gathered is still sealed, as a partial bundle, and Run returns no error.
// An error means that there is no sealed bundle: the root cannot be opened or
// the sink failed. What was written until then is a prefix that verifies up
// to its last checkpoint.
func Run(ctx context.Context, opt Options) (*Result, error) {
	if opt.Out == nil {
		return nil, errors.New("collect: no output given")
	}
	r, err := prepare(opt)
	if err != nil {
		return nil, err
	}
	defer r.host.Close()
	defer spareMemory(opt.Budget.MaxMemory)()
	w, err := r.openBundle()
	if err != nil {
		return nil, fmt.Errorf("begin bundle: %w", err)
	}
	return r.execute(ctx, w)
}

// execute collects into an open bundle and seals it.
func (r *run) execute(ctx context.Context, w sealer) (*Result, error) {
	r.sink, r.parts.number = w, 1
	if b, ok := w.(*bundleSink); ok {
		r.parts.ids = []string{b.w.Header().Bundle}
	}
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	r.cancel = cancel

	if limit := r.opt.Budget.MaxSize; limit > 0 {
		r.limit = &sizeLimit{max: limit, length: r.length}
	}
	r.began = r.clock(ctx, ClockStart)
	stopWatch, stopBeat := r.watchTime(), r.beat()
	r.collect(running)
	stopWatch()
	stopBeat()
	res := &Result{Started: r.started, Collectors: r.results}
	switch over := r.spent.Load(); {
	case ctx.Err() != nil:
		res.Partial, res.Reason = true, "interrupted"
	case over != nil:
		res.Partial, res.Reason = true, over.limit
	case r.short.Load():
		res.Partial, res.Reason = true, limitSize
	}
	if err := r.finish(context.WithoutCancel(ctx), res); err != nil {
		res.Partial, res.Reason = true, "sink"
		return res, fmt.Errorf("write bundle: %w", err)
	}
	return res, nil
}

// prepare opens the host and fills in what the caller left open.
func prepare(opt Options) (*run, error) {
	if opt.Root == "" {
		opt.Root = "/"
	}
	if opt.Command == nil {
		opt.Command = os.Args
	}
	if err := opt.Budget.Check(); err != nil {
		return nil, err
	}
	live := opt.Root == "/"
	host, err := OpenHost(opt.Root, live)
	if err != nil {
		return nil, err
	}
	ours, others := suits(opt.Collectors, host.System())
	if len(ours) == 0 && len(others) > 0 {
		host.Close()
		return nil, fmt.Errorf("this host looks like %s, and none of the collectors asked for is for it", host.System())
	}
	opt.Collectors = ours
	host.CaptureFor, host.CaptureInterfaces = opt.CaptureFor, opt.CaptureInterfaces
	for _, f := range opt.OwnFiles {
		st, err := host.StatFile(f)
		if err != nil {
			host.Close()
			return nil, fmt.Errorf("own file %s: %w", f.Name(), err)
		}
		host.Exclude(st.Dev, st.Inode)
	}
	now := time.Now()
	r := &run{
		opt: opt, host: host, source: "file", started: now, bundleBegan: now,
		of: len(opt.Collectors), sockets: footprint.Sockets(), procFiles: footprint.ProcFiles(),
	}
	if !live {
		r.source = "root"
	} else {
		host.readZone()
	}
	r.before.usage()
	r.opt.Held.ready()
	r.govern()
	r.out = &counter{w: opt.Out}
	handler := slog.Handler(slog.NewJSONHandler(&r.logged, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: inUTC}))
	if opt.Log != nil {
		handler = slog.NewMultiHandler(handler, opt.Log.Handler())
	}
	r.log = slog.New(handler)
	for _, c := range others {
		r.ledger.line(LedgerLine{What: "collector", Collector: c.Name, Outcome: Skipped, Detail: "for " + c.System() + "; this host looks like " + host.System()})
	}
	return r, nil
}

// inUTC has the log tell times in UTC. In local time they would have the
// runtime open /etc/localtime, which moves that file's access time.
func inUTC(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		a.Value = slog.TimeValue(a.Value.Time().UTC())
	}
	return a
}

// fail notes that the sink takes no more and ends the collectors.
func (r *run) fail(err error) error {
	r.failMu.Lock()
	defer r.failMu.Unlock()
	if r.sinkErr == nil {
		r.sinkErr = err
		r.log.Error("sink failed", "error", err.Error())
		r.cancel()
	}
	return r.sinkErr
}

func (r *run) failure() error {
	r.failMu.Lock()
	defer r.failMu.Unlock()
	return r.sinkErr
}

// took counts a record and tells the progress.
func (r *run) took(collector string, it evidence.Item) {
	if it.Kind == evidence.KindFile && it.Index >= 0 {
		r.taken.add(it, r.here())
	}
	growMemory(r.items.Add(1), r.opt.Budget.MaxMemory)
	r.bytes.Add(it.Stored)
	if r.opt.Progress == nil {
		return
	}
	now, last := time.Now().UnixNano(), r.spoke.Load()
	if now-last > int64(100*time.Millisecond) && r.spoke.CompareAndSwap(last, now) {
		r.progress(Progress{Collector: collector, Path: it.Path})
	}
}

func (r *run) progress(p Progress) {
	if r.opt.Progress == nil {
		return
	}
	p.Number, p.Of = int(r.number.Load()), r.of
	p.Items, p.Bytes, p.Written = r.items.Load(), r.bytes.Load(), r.out.n.Load()
	p.Elapsed = time.Since(r.started)
	r.opt.Progress(p)
}

// counter counts what goes out, of all bundles together.
type counter struct {
	mu sync.Mutex
	w  io.Writer
	n  atomic.Int64
}

func (c *counter) redirect(w io.Writer) {
	c.mu.Lock()
	c.w = w
	c.mu.Unlock()
}

func (c *counter) Write(p []byte) (int, error) {
	c.mu.Lock()
	w := c.w
	c.mu.Unlock()
	n, err := w.Write(p)
	c.n.Add(int64(n))
	return n, err
}
