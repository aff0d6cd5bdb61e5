package collect

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// governor makes those who read evidence wait, so that the run keeps to its
// rates. Everything that reads in blocks calls Host.Pace after each.
type governor struct {
	cpu      int           // percent of one core; 0: no bound
	io       int64         // bytes a second; 0: no bound
	spentCPU func() int64  // ns of processor time of the process
	ask      pressureFunc  // nil: nobody else is asked
	found    func(squeeze) // told of each pause for others

	waiting atomic.Pointer[string] // what is being waited for; nil: nothing

	mu      sync.Mutex
	polite  bool // ask is used from now on
	looked  time.Time
	lastCPU int64
	cpuDebt time.Duration // processor time used beyond what was allowed
	ioAt    time.Time
	ioDebt  float64 // bytes read beyond what was allowed
	others  backOff
	pauses  map[pauseKey]*Pause
}

type pauseKey struct{ collector, reason string }

// Reasons of pauses.
const (
	pauseCPU = "cpu"
	pauseIO  = "io-rate"
)

// Pause sums up how long a collector was made to wait for one reason.
type Pause struct {
	Collector string        `json:"collector"`
	Reason    string        `json:"reason"` // cpu, io-rate, pressure-cpu, pressure-io, pressure-memory
	Times     int64         `json:"times"`
	Total     time.Duration `json:"total_ns"`
	Longest   time.Duration `json:"longest_ns"`
	First     int64         `json:"first"` // ns since 1970
	Last      int64         `json:"last"`
}

const (
	// cpuEvery is how often the processor time is asked for.
	cpuEvery = 10 * time.Millisecond
	// credit is what may be saved up while nothing is read.
	credit = 250 * time.Millisecond
	// longestPause bounds one wait for the processor, so that a read in
	// the middle of an item is never taken for one that hangs. What is owed
	// beyond stays owed.
	longestPause = 10 * time.Second
)

type collectorName struct{}

// under names the collector on whose behalf things are done under a context.
func under(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, collectorName{}, name)
}

// Pace says that n bytes of evidence were read, and returns when the budget of
// the run allows to go on, or ctx is done. A collector that reads content by
// itself, not through its Taker, calls it after each block, with no errand
// open. Whoever captures a network does not: the network does not wait.
func (h *Host) Pace(ctx context.Context, n int) {
	if h.governor != nil {
		h.governor.pace(ctx, n)
	}
}

func (g *governor) pace(ctx context.Context, n int) {
	g.mu.Lock()
	now := time.Now()
	owed := g.owedIO(now, n)
	cpu := g.owedCPU(now)
	squeezed := g.polite && g.others.due(now)
	g.mu.Unlock()
	if owed > 0 {
		g.pause(ctx, pauseIO, owed)
	}
	if cpu > 0 {
		g.pause(ctx, pauseCPU, cpu)
	}
	if squeezed {
		g.yield(ctx)
	}
}

// owedIO takes n bytes from the bucket and returns how long it takes to fill.
func (g *governor) owedIO(now time.Time, n int) time.Duration {
	if g.io <= 0 {
		return 0
	}
	rate := float64(g.io)
	if !g.ioAt.IsZero() {
		g.ioDebt -= now.Sub(g.ioAt).Seconds() * rate
	}
	g.ioAt = now
	g.ioDebt = max(g.ioDebt, -rate*credit.Seconds()) + float64(n)
	return time.Duration(g.ioDebt / rate * float64(time.Second))
}

// owedCPU compares the processor time used since the last look with what the
// time that passed allows.
func (g *governor) owedCPU(now time.Time) time.Duration {
	if g.cpu <= 0 || !g.looked.IsZero() && now.Sub(g.looked) < cpuEvery {
		return 0
	}
	used, passed := g.spentCPU(), now.Sub(g.looked)
	if g.looked.IsZero() {
		g.looked, g.lastCPU = now, used
		return 0
	}
	percent := time.Duration(g.cpu)
	g.cpuDebt += time.Duration(used-g.lastCPU) - passed*percent/100
	g.cpuDebt = max(g.cpuDebt, -credit*percent/100)
	g.looked, g.lastCPU = now, used
	return min(g.cpuDebt*100/percent, longestPause)
}

// pause waits and adds it to the sum.
func (g *governor) pause(ctx context.Context, reason string, d time.Duration) {
	begun := time.Now()
	g.waiting.Store(&reason)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	g.waiting.Store(nil)
	name, _ := ctx.Value(collectorName{}).(string)
	g.add(name, reason, begun, time.Since(begun))
}

func (g *governor) add(collector, reason string, begun time.Time, took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pauses == nil {
		g.pauses = map[pauseKey]*Pause{}
	}
	k := pauseKey{collector, reason}
	p := g.pauses[k]
	if p == nil {
		p = &Pause{Collector: collector, Reason: reason, First: begun.UnixNano()}
		g.pauses[k] = p
	}
	p.Times, p.Total, p.Longest, p.Last = p.Times+1, p.Total+took, max(p.Longest, took), begun.UnixNano()
}

// pausedBy returns the pauses of a collector, by reason.
func (g *governor) pausedBy(collector string) (all []Pause) {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, reason := range []string{pauseCPU, pauseIO, pressurePrefix + "cpu", pressurePrefix + "io", pressurePrefix + "memory"} {
		if p := g.pauses[pauseKey{collector, reason}]; p != nil {
			all = append(all, *p)
		}
	}
	return all
}

// waitsFor says what is being waited for, "" for nothing.
func (g *governor) waitsFor() string {
	if g == nil {
		return ""
	}
	if reason := g.waiting.Load(); reason != nil {
		return *reason
	}
	return ""
}

// ledgerPauses writes what a collector waited for.
func (r *run) ledgerPauses(collector string) {
	for _, p := range r.host.governor.pausedBy(collector) {
		r.ledger.line(LedgerLine{
			What: "pause", Collector: collector, Rule: p.Reason, Outcome: Paused, Duration: int64(p.Total),
			Detail: fmt.Sprintf("%d times, at most %v, %s to %s", p.Times, p.Longest.Round(time.Millisecond),
				time.Unix(0, p.First).UTC().Format(time.RFC3339), time.Unix(0, p.Last).UTC().Format(time.RFC3339)),
		})
	}
}
