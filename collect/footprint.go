package collect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/footprint"
)

// Footprint is what the run itself did to the host: one line of FootprintAt.
type Footprint struct {
	Started     int64          `json:"started"` // ns since 1970
	Finished    int64          `json:"finished"`
	PID         int            `json:"pid"`
	Exe         record.Bytes   `json:"exe"`
	ExeSHA256   string         `json:"exe_sha256"`
	ExeSize     int64          `json:"exe_size"`
	Args        []record.Bytes `json:"args"`
	Version     string         `json:"version"`
	Revision    string         `json:"revision"`
	GoVersion   string         `json:"go_version"`
	Written     int64          `json:"bytes_written"`     // of bundle, before this record
	FilesOpened int64          `json:"files_opened"`      // for reading, by a path of the host; folders, too
	ProcOpened  int64          `json:"proc_files_opened"` // besides, what the kernel makes while it is read: of processes, namespaces and tracing
	OpenedAtime int64          `json:"opened_with_atime"`
	LinksRead   int64          `json:"links_read"`
	AtimePolicy string         `json:"atime_policy"`
	Children    int            `json:"child_processes"` // always 0: none is ever started
	PeakRSS     int64          `json:"peak_rss_bytes"`
	UserNS      int64          `json:"user_cpu_ns"`
	SystemNS    int64          `json:"system_cpu_ns"`
	BlocksIn    int64          `json:"blocks_read"`    // 512-byte blocks that came from a device since the run began
	BlocksOut   int64          `json:"blocks_written"` // and that went to one
	// Writing is what was open for writing when a collector ended or the run
	// did, in the kernel's words: the bundle, a terminal, a pipe. Sockets are
	// those that collectors opened, by family.
	Writing []record.Bytes   `json:"open_for_writing"`
	Sockets map[string]int64 `json:"sockets"`
	Atimes  AtimeSample      `json:"atime_sample"`
	Pauses  []Pause          `json:"pauses,omitempty"`
	Stopped string           `json:"stopped,omitempty"` // the budget that ended the run
	// Effects are what collectors did beyond reading, because they were told to.
	Effects []string `json:"effects,omitempty"`

	LedgerLost   int64 `json:"ledger_lines_lost,omitempty"`
	ProblemsLost int64 `json:"problem_lines_lost,omitempty"`
	LogLost      int64 `json:"log_lines_lost,omitempty"`
}

func (r *run) footprint() Footprint {
	f := Footprint{
		Started: r.started.UnixNano(), Finished: time.Now().UnixNano(), PID: os.Getpid(),
		Version: r.opt.Version, Revision: r.opt.Revision, GoVersion: runtime.Version(),
		Written: r.out.n.Load(), AtimePolicy: atimePolicy,
		LedgerLost: r.ledger.lines.Lost(), ProblemsLost: r.ledger.problems.Lost(), LogLost: r.logged.Lost(),
	}
	f.FilesOpened, f.OpenedAtime = r.host.Opened()
	f.LinksRead = r.host.LinksRead()
	r.noteWriting()
	for name := range r.writing {
		f.Writing = append(f.Writing, record.Bytes(name))
	}
	slices.SortFunc(f.Writing, func(a, b record.Bytes) int { return strings.Compare(string(a), string(b)) })
	f.ProcOpened = footprint.ProcFiles() - r.procFiles
	f.Sockets = footprint.Sockets()
	for family, n := range r.sockets {
		if f.Sockets[family] -= n; f.Sockets[family] == 0 {
			delete(f.Sockets, family)
		}
	}
	r.host.effectsMu.Lock()
	f.Effects = slices.Clone(r.host.effects)
	r.host.effectsMu.Unlock()
	f.Atimes = r.atimes.compare(r.host)
	for _, c := range r.opt.Collectors {
		f.Pauses = append(f.Pauses, r.host.governor.pausedBy(c.Name)...)
	}
	if over := r.spent.Load(); over != nil {
		f.Stopped = over.Error()
	}
	for _, arg := range r.opt.Command {
		f.Args = append(f.Args, record.Bytes(arg))
	}
	exe, sum, size, err := OwnExecutable()
	if err != nil {
		r.log.Warn("own executable", "error", err.Error())
	}
	f.Exe, f.ExeSHA256, f.ExeSize = record.Bytes(exe), sum, size
	f.usage()
	// The counts of a process go on when it starts another program.
	f.BlocksIn -= r.before.BlocksIn
	f.BlocksOut -= r.before.BlocksOut
	return f
}

// noteWriting looks at what is open for writing.
func (r *run) noteWriting() {
	names := openForWriting()
	r.writingMu.Lock()
	defer r.writingMu.Unlock()
	if r.writing == nil {
		r.writing = map[string]bool{}
	}
	for _, name := range names {
		if len(r.writing) < maxWriting {
			r.writing[name] = true
		}
	}
}

// maxWriting bounds the files listed as open for writing: a program that has
// more of them is not this one.
const maxWriting = 1000

// OwnExecutable returns the path of the running program, the SHA-256 of its
// bytes in hexadecimal, and its size. On Linux it reads the running image
// itself, which may no longer be at its path.
func OwnExecutable() (path, sum string, size int64, err error) {
	path, err = os.Executable()
	if err != nil {
		return "", "", 0, fmt.Errorf("find own executable: %w", err)
	}
	open := path
	if runtime.GOOS == "linux" {
		open = "/proc/self/exe"
	}
	f, err := os.Open(open)
	if err != nil {
		return path, "", 0, fmt.Errorf("hash own executable: %w", err)
	}
	defer f.Close()
	h := evidence.NewHash()
	if size, err = io.Copy(h, f); err != nil {
		return path, "", 0, fmt.Errorf("hash own executable: %w", err)
	}
	return path, evidence.DigestOf(h).String(), size, nil
}

// clock adds a reading of the clocks to the bundle.
func (r *run) clock(ctx context.Context, path string) record.Clock {
	clock, err := ReadClock()
	if err != nil {
		r.log.Warn("read clocks", "error", err.Error())
	}
	r.own(ctx, evidence.KindClock, path, marshalLine(clock))
	return clock
}

// maxDrift is how far the wall clock may move against the time since boot
// before it counts as set. Discipline by NTP moves it by less than a
// thousandth.
const maxDrift = 2 * time.Second

// clockSet says that somebody set the wall clock during the run: times of
// records from before and after do not fit together then.
func clockSet(start, end record.Clock) (evidence.Problem, bool) {
	if start.Boottime == 0 || end.Boottime == 0 {
		return evidence.Problem{}, false // no second clock to compare with
	}
	moved := time.Duration((end.Realtime - start.Realtime) - (end.Boottime - start.Boottime))
	return evidence.Problem{
		Stage: "engine", Code: evidence.Changed, Path: ClockEnd, Ref: evidence.Ref{Offset: -1, Length: -1},
		Detail: fmt.Sprintf("the wall clock was moved by %v during the run", moved),
	}, moved.Abs() > maxDrift+time.Duration(end.Boottime-start.Boottime)/1000
}

func marshalLine(v any) []byte {
	line, err := json.Marshal(v)
	if err != nil { // only a value JSON has no form for, which our records cannot hold
		return mustQuote(err.Error())
	}
	return append(line, '\n')
}

// own adds a record of the engine itself.
func (r *run) own(ctx context.Context, kind evidence.Kind, path string, text []byte) {
	r.ownStream(ctx, kind, path, bytes.NewReader(text), int64(len(text)))
}

func (r *run) ownStream(ctx context.Context, kind evidence.Kind, path string, text io.Reader, size int64) {
	it := evidence.Item{
		Index: -1, Kind: kind, Source: "collector", Path: path, Collector: "engine", Size: size, Started: time.Now(),
	}
	if r.failure() != nil {
		return
	}
	it, err := r.sink.add(context.WithoutCancel(ctx), it, content{r: text})
	if err != nil {
		r.fail(err)
		return
	}
	r.took("engine", it)
}

// set is a record set of the engine itself.
type set struct {
	kind  evidence.Kind
	path  string
	lines *Spool
}

// sets are those that every bundle of a run has, in the order in which they
// are written.
func (r *run) sets() []set {
	return []set{
		{evidence.KindStream, ProblemSet, &r.ledger.problems},
		{evidence.KindStream, LedgerSet, &r.ledger.lines},
		{evidence.KindLog, RunLog, &r.logged},
	}
}

// finish writes what the run knows about itself and seals.
func (r *run) finish(ctx context.Context, res *Result) error {
	w, ok := r.sink.(sealer)
	if !ok { // it always is one
		return errors.New("the sink cannot be sealed")
	}
	if p, set := clockSet(r.began, r.clock(ctx, ClockEnd)); set {
		r.ledger.problem(p)
	}
	res.Footprint = r.footprint()
	r.own(ctx, evidence.KindStream, FootprintAt, marshalLine(res.Footprint))
	r.log.Info("run ends", "records", r.items.Load(), "bytes", r.bytes.Load(), "partial", res.Partial)
	for _, set := range r.sets() {
		text, size := set.lines.Take()
		r.ownStream(ctx, set.kind, set.path, text, size)
	}
	r.ledger.summary(res)
	res.Items, res.Bytes = r.items.Load(), r.bytes.Load()
	err := r.failure()
	if err == nil {
		res.Seal, err = w.seal(res)
	}
	res.Parts = r.parts.done
	res.Finished, res.Written = time.Now(), r.out.n.Load()
	return err
}
