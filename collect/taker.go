package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"sync"
	"syscall"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// content is how the engine hands an item's bytes to the sink. r gives them
// in order; at is there for files, so that holes need not be read; after
// tells the metadata once everything was read.
type content struct {
	r     io.Reader
	at    io.ReaderAt
	after func() (*evidence.Stat, error)
}

// sink is the bundle as the engine sees it. Methods are safe for concurrent
// use; an error means that nothing more can be written.
type sink interface {
	add(ctx context.Context, it evidence.Item, c content) (evidence.Item, error)
	note(it evidence.Item) error
	length() int64 // of the bundle if it ended now, in bytes
}

// sealer is a sink that can be closed for good.
type sealer interface {
	sink
	seal(res *Result) (bundle.Seal, error)
}

// taker is the Taker of one collector. soft is the context its Run got; hard
// ends when the engine gives the collector up: then nothing more is taken
// from it, wherever its goroutine may be stuck.
type taker struct {
	r    *run
	name string
	hard context.Context

	secret func([]byte) (leave bool, detail string) // of the collector; nil: nothing is one

	mu     sync.Mutex
	counts map[Outcome]int64
	rules  map[string]map[Outcome]int64 // counts by definition
	items  int64
	bytes  int64
}

// stop returns why nothing more is taken.
func (t *taker) stop() error {
	if err := t.hard.Err(); err != nil {
		return err
	}
	return t.r.failure()
}

// classify turns the error of a look into the kind of its record, its outcome
// and the code of its problem ("" when it is none: nothing was lost by a file
// that is not there).
func classify(err error) (evidence.Kind, Outcome, evidence.Code) {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return evidence.KindAbsent, Absent, ""
	case errors.Is(err, fs.ErrPermission):
		return evidence.KindDenied, Denied, evidence.Denied
	case isTimeout(err):
		return evidence.KindError, TimedOut, evidence.TimedOut
	case errors.Is(err, ErrTooBig):
		return evidence.KindSkipped, Skipped, evidence.TooBig
	case errors.Is(err, ErrUnsupported):
		return evidence.KindSkipped, Skipped, evidence.Unsupported
	}
	return evidence.KindError, Failed, evidence.IOError
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, ErrTimeout) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, syscall.ETIMEDOUT) || (errors.As(err, &t) && t.Timeout())
}

// reason is an error as a record's detail: without the path, which the record
// has.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Op + ": " + p.Err.Error()
	}
	return err.Error()
}

// failed records a look that did not work.
func (t *taker) failed(it evidence.Item, err error) error {
	kind, outcome, code := classify(err)
	it.Kind, it.Detail, it.Size = kind, reason(err), 0
	if code != "" {
		t.Problem(evidence.Problem{
			Code: code, Path: it.Path, Ref: evidence.Ref{Offset: -1, Length: -1}, Detail: it.Detail,
		})
	}
	return t.put(it, outcome)
}

// put writes an item without content.
func (t *taker) put(it evidence.Item, outcome Outcome) error {
	leave, err := t.r.enter(t.hard, 0)
	if err != nil {
		return err
	}
	defer leave()
	return t.putHere(it, outcome)
}

// putHere is put for who has entered the bundle.
func (t *taker) putHere(it evidence.Item, outcome Outcome) error {
	it.Index = -1
	if it.Started.IsZero() {
		it.Started = time.Now()
	}
	if it.Finished.IsZero() {
		it.Finished = time.Now()
	}
	if t.r.limit.notes() {
		if err := t.r.sink.note(it); err != nil {
			return t.r.fail(err)
		}
	}
	t.account(it, outcome)
	return nil
}

// leftOut records an item that a budget has no room for.
func (t *taker) leftOut(it evidence.Item, why string) error {
	t.r.short.Store(true)
	it.Kind, it.Detail, it.Size, it.Holes = evidence.KindSkipped, why, 0, nil
	return t.put(it, OverBudget)
}

// account adds an item to ledger and counts.
func (t *taker) account(it evidence.Item, outcome Outcome) {
	t.mu.Lock()
	if t.counts == nil {
		t.counts = map[Outcome]int64{}
	}
	t.counts[outcome]++
	if it.Rule != "" {
		if t.rules[it.Rule] == nil {
			if t.rules == nil {
				t.rules = map[string]map[Outcome]int64{}
			}
			t.rules[it.Rule] = map[Outcome]int64{}
		}
		t.rules[it.Rule][outcome]++
	}
	t.items++
	t.bytes += it.Stored
	t.mu.Unlock()
	line := LedgerLine{
		What: "path", Collector: t.name, Rule: it.Rule, Path: record.Bytes(it.Path),
		Outcome: outcome, Detail: it.Detail, Size: it.Size,
	}
	if it.Index > 0 {
		line.Item = it.Index
	}
	t.r.ledger.line(line)
	t.r.took(t.name, it)
	if t.r.limit.exhausted() {
		t.r.exhaust(limitSize, fmt.Sprintf("the bundle may have %d bytes, and not even records of what is left out fit any more", t.r.limit.max))
	}
}

func (t *taker) stamp(it evidence.Item) evidence.Item {
	it.Collector = t.name
	if it.Source == "" {
		it.Source = t.r.source
	}
	return it
}

// Stream takes content of a length that need not be known.
func (t *taker) Stream(ctx context.Context, it evidence.Item, r io.Reader) error {
	if err := t.stop(); err != nil {
		return err
	}
	it = t.stamp(it)
	if it.Kind == "" {
		it.Kind = evidence.KindStream
	}
	it.Started = time.Now()
	done, why := t.r.limit.admit(it.Size)
	if why != "" {
		if err := t.leftOut(it, why); err != nil {
			return err
		}
		return &over{limitSize, "nothing more fits into the bundle"}
	}
	defer done()
	// The hard context: a stream whose collector was asked to end is read to
	// the end that the collector gives it.
	g := guard(t.hard, r, nil, 0)
	defer g.Close()
	if it.Size < 0 {
		goOn, ended := t.r.limit.stream()
		defer ended()
		g.goOn = goOn
	}
	if err := t.add(ctx, it, content{r: g}, g); err != nil {
		return err
	}
	if o := (*over)(nil); errors.As(g.lost, &o) {
		return o
	}
	return nil
}

// add hands content to the sink and judges what came back.
func (t *taker) add(ctx context.Context, it evidence.Item, c content, g *guarded) error {
	it.Index = -1
	size := it.Size
	for _, h := range it.Holes {
		size -= h.Length
	}
	leave, err := t.r.enter(t.hard, size)
	if err != nil {
		return err
	}
	defer leave()
	out, err := t.r.sink.add(context.WithoutCancel(ctx), it, c)
	if err != nil {
		return t.r.fail(err)
	}
	outcome := Collected
	if out.Size == 0 {
		outcome = Empty
	}
	if g != nil && g.lost != nil {
		if o := t.r.spent.Load(); o != nil && errors.Is(g.lost, context.Canceled) {
			g.lost = o // which is why it was cancelled
		}
		code := reasonOf(g.lost)
		outcome, out.Detail = Failed, reason(g.lost)
		switch {
		case code == evidence.TimedOut:
			outcome = TimedOut
		case code == evidence.Skipped:
			outcome = OverBudget
			t.r.short.Store(true)
		}
		t.Problem(evidence.Problem{
			Code: code, Path: it.Path, Detail: "reading stopped: " + out.Detail,
			Ref: evidence.Ref{Member: out.Member, Offset: -1, Length: -1},
		})
	}
	for _, u := range out.Unread {
		t.Problem(evidence.Problem{
			Code: evidence.IOError, Path: it.Path, Detail: "not read: " + u.Reason,
			Ref: evidence.Ref{Member: out.Member, Offset: u.Offset, Length: u.Length},
		})
	}
	t.account(out, outcome)
	return nil
}

// Note takes an item without content.
func (t *taker) Note(_ context.Context, it evidence.Item) error {
	if err := t.stop(); err != nil {
		return err
	}
	outcome := Collected
	switch it.Kind {
	case evidence.KindAbsent:
		outcome = Absent
	case evidence.KindDenied:
		outcome = Denied
	case evidence.KindError:
		outcome = Failed
	case evidence.KindSkipped:
		outcome = Skipped
	}
	return t.put(t.stamp(it), outcome)
}

// Seen adds a definition's line to the ledger.
func (t *taker) Seen(rule string, matched int) { t.Went(rule, matched, "", "") }

// Went adds a definition's line to the ledger.
func (t *taker) Went(rule string, matched int, outcome Outcome, detail string) {
	if outcome == "" {
		outcome = t.outcomeOf(rule, matched)
	}
	t.r.ledger.line(LedgerLine{What: "definition", Collector: t.name, Rule: rule, Outcome: outcome, Detail: detail, Matched: &matched})
}

// outcomeOf is how a definition went by the records under its rule: it has
// collected when one of them has, and else went as the worst of them did.
func (t *taker) outcomeOf(rule string, matched int) Outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts := t.rules[rule]
	if counts[Collected] == 0 && counts[Empty] == 0 {
		for _, o := range []Outcome{TimedOut, Denied, Failed, Skipped} {
			if counts[o] > 0 {
				return o
			}
		}
	}
	if matched == 0 {
		return Empty
	}
	return Collected
}

// Problem records evidence that was lost.
func (t *taker) Problem(p evidence.Problem) {
	if p.Stage == "" {
		p.Stage = t.name
	}
	t.r.ledger.problem(p)
	t.r.log.Warn("problem", "collector", t.name, "code", string(p.Code),
		"path", fmt.Sprintf("%q", p.Path), "detail", p.Detail)
}

// result sums up what the collector recorded.
func (t *taker) result() (counts map[Outcome]int64, items, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.counts), t.items, t.bytes
}
