package collect

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Budget bounds what a run takes from the host and from whoever waits for the
// bundle. Zero fields bound nothing.
type Budget struct {
	CPU       int           // percent of one core, all threads together
	IORate    int64         // bytes of evidence read a second
	MaxSize   int64         // bytes of bundle, of all together where there are several
	MaxTime   time.Duration // of collecting; sealing comes after it
	MaxMemory int64         // bytes of resident memory
	// Polite gives way to the host's own work: idle priority for the disk,
	// less for the processor, and pauses while others have to wait (PSI).
	// It begins behind what is volatile: that does not wait for anybody.
	Polite bool
}

// The least that each budget may be. Below, the run could not hold its
// promise, or would take nothing at all.
const (
	minIORate    = 64 << 10 // one block of guardChunk in four seconds: nothing counts as stalled
	minMaxSize   = 4 << 20  // ledger, log and trailer of a run that was cut short
	minMaxTime   = time.Second
	minMaxMemory = 56 << 20 // what a run of any kind needs, a packet capture included: see memory.go
)

// ErrBudget says that a budget is not one that can be kept.
var ErrBudget = errors.New("budget")

// Check refuses what cannot be kept.
func (b Budget) Check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrBudget, fmt.Sprintf(format, args...))
	}
	switch {
	case b.CPU < 0:
		return bad("%d percent of a processor are less than none", b.CPU)
	case b.IORate < 0 || b.IORate > 0 && b.IORate < minIORate:
		return bad("%d bytes a second are too few to tell a slow disk from a dead one; the least is %d", b.IORate, minIORate)
	case b.MaxSize < 0 || b.MaxSize > 0 && b.MaxSize < minMaxSize:
		return bad("a bundle of %d bytes does not hold its own records; the least is %d", b.MaxSize, minMaxSize)
	case b.MaxTime < 0 || b.MaxTime > 0 && b.MaxTime < minMaxTime:
		return bad("a run cannot be over in %v; the least is %v", b.MaxTime, minMaxTime)
	case b.MaxMemory < 0 || b.MaxMemory > 0 && b.MaxMemory < minMaxMemory:
		return bad("the collector needs more than %d bytes of memory; the least is %d", b.MaxMemory, minMaxMemory)
	}
	return nil
}

// Limits, as the ledger and Result.Reason name them.
const (
	limitSize   = "max-size"
	limitTime   = "max-time"
	limitMemory = "max-memory"
)

// over is the error of a collector or stream that a budget ended.
type over struct {
	limit  string
	detail string
}

func (o *over) Error() string { return o.limit + ": " + o.detail }

// exhaust ends the collectors because a budget is used up: once, and the
// first reason stands.
func (r *run) exhaust(limit, detail string) {
	o := &over{limit, detail}
	if !r.spent.CompareAndSwap(nil, o) {
		return
	}
	r.ledger.line(LedgerLine{What: "stop", Rule: limit, Outcome: OverBudget, Detail: detail})
	r.log.Warn("budget used up", "limit", limit, "detail", detail)
	r.cancel()
}

// watchTime ends the collectors when their time is over.
func (r *run) watchTime() (stop func()) {
	limit := r.opt.Budget.MaxTime
	if limit <= 0 {
		return func() {}
	}
	t := time.AfterFunc(limit, func() { r.exhaust(limitTime, fmt.Sprintf("the run was given %v", limit)) })
	return func() { t.Stop() }
}

// govern makes the governor that the budget asks for.
func (r *run) govern() {
	b := r.opt.Budget
	if b.CPU == 0 && b.IORate == 0 && !b.Polite {
		return
	}
	g := &governor{cpu: b.CPU, io: b.IORate, spentCPU: processCPU}
	if b.Polite {
		g.ask, g.found = kernelPressure, r.squeezed
	}
	r.host.governor = g
}

// maxSqueezed bounds the pauses for others that the log lists one by one; the
// ledger sums them all up.
const maxSqueezed = 10000

func (r *run) squeezed(s squeeze) {
	if r.squeezes.Add(1) > maxSqueezed {
		return
	}
	r.log.Info("stood back", "collector", s.Collector, "pressure", s.Resource, "avg10", s.Avg10,
		"others_percent", int(s.Others), "ns", int64(s.Took))
}

// niceness is what the run adds to its own: of a busy processor it still gets
// a tenth.
const niceness = 10

// standBehind gives way to the host's own work from the first collector on
// that takes nothing volatile.
func (r *run) standBehind(tier Tier) {
	g := r.host.governor
	if !r.opt.Budget.Polite || tier < TierSessions {
		return
	}
	g.mu.Lock()
	again := g.polite
	g.polite = true
	g.mu.Unlock()
	if again {
		return
	}
	if err := standBehind(); err != nil {
		r.log.Warn("priority not lowered", "error", err.Error())
		return
	}
	r.log.Info("priority lowered", "how", lowered)
}

// length is how long all bundles would be if the run ended now, at most.
func (r *run) length() int64 {
	r.parts.mu.Lock()
	defer r.parts.mu.Unlock()
	return r.parts.before + r.ending()
}

// ending is how long the present bundle would be if it ended now, at most.
// Called with parts.mu held.
func (r *run) ending() int64 {
	n := r.sink.length() + r.ledger.lines.Held() + r.ledger.problems.Held() + r.logged.Held() + r.ledger.trailerSize() + 64<<10
	if len(r.opt.Recipients) > 0 {
		n += n/4096 + 16<<10 // 16 bytes for every 64 KiB, and a header of the envelope
	}
	return n
}

// Describe adds the budget to the options that a header states.
func (b Budget) Describe(to map[string]string) {
	for name, n := range map[string]int64{"cpu": int64(b.CPU), "io_rate": b.IORate, "max_size": b.MaxSize, "max_memory": b.MaxMemory} {
		if n > 0 {
			to[name] = strconv.FormatInt(n, 10)
		}
	}
	if b.MaxTime > 0 {
		to["max_time"] = b.MaxTime.String()
	}
	to["polite"] = strconv.FormatBool(b.Polite)
}
