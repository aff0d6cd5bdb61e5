package collect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// collect runs all collectors: those alongside from the first moment to the
// last, the others one after the other by tier.
func (r *run) collect(ctx context.Context) {
	order := slices.Clone(r.opt.Collectors)
	slices.SortStableFunc(order, func(a, b Collector) int {
		if a.Tier != b.Tier {
			return int(a.Tier - b.Tier)
		}
		return strings.Compare(a.Name, b.Name)
	})
	first := slices.IndexFunc(order, func(c Collector) bool { return c.Tier >= TierAlongside })
	if first < 0 {
		first = len(order)
	}
	beside, stop := context.WithCancel(ctx)
	defer stop()
	finished := make(chan CollectorResult, len(order))
	begun := time.Now()
	for _, c := range order[first:] {
		go func() { finished <- r.runOne(ctx, beside, c) }()
	}
	for _, c := range order[:first] {
		r.standBehind(c.Tier)
		r.results = append(r.results, r.runOne(ctx, ctx, c))
	}
	left := len(order) - first
	late := time.NewTimer(r.opt.CaptureFor - time.Since(begun))
	defer late.Stop()
	for waiting := true; left > 0; {
		if !waiting {
			r.results = append(r.results, <-finished)
			left--
			continue
		}
		select {
		case res := <-finished:
			r.results = append(r.results, res)
			left--
		case <-late.C:
			waiting = false
			stop()
		case <-ctx.Done():
			waiting = false
		}
	}
}

// runOne runs a collector under its deadline and records how it went. asked
// is the context of its Run: that of one alongside also ends when its time
// has come, and then it has done all that was asked.
func (r *run) runOne(ctx, asked context.Context, c Collector) CollectorResult {
	r.number.Add(1)
	started := time.Now()
	t := &taker{r: r, name: c.Name, secret: c.Secret}
	hard, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	t.hard = hard
	r.progress(Progress{Collector: c.Name})
	r.log.Info("collector begins", "collector", c.Name)
	if c.Tier < TierAlongside {
		r.running.Store(&c.Name)
		r.host.governor.beginCollector(r.deadlineOf(c))
	}
	err := r.attempt(under(asked, c.Name), c, t)
	giveUp() // a stream of it that still hangs must not hold up the record of how it went
	if ctx.Err() == nil && asked.Err() != nil && errors.Is(err, context.Canceled) && !errors.Is(err, errAbandoned) {
		err = nil
	}
	res := CollectorResult{Name: c.Name, Tier: c.Tier, Duration: time.Since(started)}
	res.Outcome, res.Detail = r.judge(ctx, c, t, err)
	res.Counts, res.Items, res.Bytes = t.result()
	if res.Outcome == Collected && res.Items == 0 {
		res.Outcome = Empty
	}
	r.ledger.line(LedgerLine{
		What: "collector", Collector: c.Name, Outcome: res.Outcome, Detail: res.Detail,
		Duration: int64(res.Duration), Counts: countsByName(res.Counts), Size: res.Bytes,
	})
	r.ledgerPauses(c.Name)
	r.noteWriting()
	r.log.Info("collector ends", "collector", c.Name, "outcome", string(res.Outcome),
		"records", res.Items, "bytes", res.Bytes, "ns", int64(res.Duration))
	r.progress(Progress{Collector: c.Name, Done: true})
	return res
}

func countsByName(counts map[Outcome]int64) map[string]int64 {
	named := map[string]int64{}
	for outcome, n := range counts {
		named[string(outcome)] = n
	}
	return named
}

// The ends of an attempt that are no error of the collector itself.
var (
	errNotLive   = errors.New("needs a running host")
	errAbandoned = errors.New("did not return after its deadline and was left behind")
	errPanicked  = errors.New("panic")
)

// attempt calls the collector in a goroutine of its own. One that does not
// return soon after its context ended is left behind: its Taker takes nothing
// more.
func (r *run) attempt(ctx context.Context, c Collector, t *taker) error {
	if c.Live && !r.host.Live {
		return errNotLive
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	soft, cancel := ctx, context.CancelFunc(func() {})
	if c.Tier < TierAlongside {
		soft, cancel = context.WithTimeout(ctx, r.deadlineOf(c))
	}
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("%w: %v\n%s", errPanicked, p, debug.Stack())
			}
		}()
		done <- c.Run(soft, r.host, t)
	}()
	select {
	case err := <-done:
		return ended(soft, err)
	case <-soft.Done():
	}
	patience := time.NewTimer(grace)
	defer patience.Stop()
	select {
	case err := <-done:
		return ended(soft, err)
	case <-patience.C:
		return fmt.Errorf("%w: %w", errAbandoned, soft.Err())
	}
}

// deadlineOf is how long a collector may take, pauses included.
func (r *run) deadlineOf(c Collector) time.Duration {
	return cmp.Or(max(r.opt.Deadline, 0), c.Deadline, DefaultDeadline)
}

// ended tells a collector that returned because its deadline had passed from
// one that failed by itself.
func ended(soft context.Context, err error) error {
	if err != nil && soft.Err() != nil && errors.Is(err, context.Canceled) {
		return soft.Err()
	}
	return err
}

// judge turns the end of an attempt into an outcome; what went wrong becomes
// a problem and a record of its own.
func (r *run) judge(ctx context.Context, c Collector, t *taker, err error) (Outcome, string) {
	if err == nil {
		return Collected, ""
	}
	it := evidence.Item{Kind: evidence.KindError, Path: c.Name, Collector: c.Name, Source: r.source, Detail: err.Error()}
	outcome, code := Failed, evidence.IOError
	spent := r.spent.Load()
	if ctx.Err() != nil && spent != nil {
		err = errors.Join(spent, err)
	}
	switch {
	case errors.Is(err, errNotLive), errors.Is(err, ErrUnsupported):
		it.Kind, outcome, code = evidence.KindSkipped, Skipped, ""
	case r.failure() != nil:
		return Failed, "the sink failed"
	case errors.As(err, &spent) && !errors.Is(err, errPanicked):
		it.Kind, it.Detail, outcome, code = evidence.KindSkipped, spent.Error(), OverBudget, evidence.Skipped
	case ctx.Err() != nil && !errors.Is(err, errPanicked):
		it.Kind, it.Detail, outcome, code = evidence.KindSkipped, "the run was interrupted", Skipped, evidence.Skipped
	case errors.Is(err, context.DeadlineExceeded):
		it.Detail, outcome, code = "deadline passed: "+err.Error(), TimedOut, evidence.TimedOut
		if last := r.host.doing.last(); last != "" && errors.Is(err, errAbandoned) {
			it.Detail += "; the last it asked of the host: " + last
		}
	case errors.Is(err, errPanicked):
		code = evidence.Panicked
	}
	if code != "" {
		t.Problem(evidence.Problem{Code: code, Path: c.Name, Detail: it.Detail, Ref: evidence.Ref{Offset: -1, Length: -1}})
	}
	if err := t.put(it, outcome); err != nil {
		r.log.Error("outcome not written", "collector", c.Name, "error", err.Error())
	}
	return outcome, it.Detail
}
