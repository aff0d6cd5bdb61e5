package collect

import (
	"cmp"
	"fmt"
	"runtime/debug"
)

// On a suspect host memory is evidence: what the collector takes may push out
// what somebody wants to see. During a run the garbage collector works harder
// than by default.
const (
	// memoryGoal is of all memory that Go manages. The program's own pages
	// add 10 to 16 MiB to it, and a packet capture its ring of 8 MiB: all of
	// that has to stay below 64 MiB. About 16 MiB are in use at any time; a
	// goal close to that would cost more CPU time than the whole collection.
	memoryGoal = 38 << 20
	// restGoal is the goal for all but what has to be remembered of each
	// record, once that is much: leaf (32 bytes), name (10 to 15), identity of
	// the file (23 to 31).
	restGoal = 31 << 20
	// maxRemembered is what a bundle may have to remember of its records before
	// the run goes on in the next one, where it can: some 220,000 files.
	maxRemembered = 10 << 20
	gcPercent     = 40
	// packers is how many goroutines compress: each has buffers and tables
	// of its own, and the host has its own work to do.
	packers = 1
	// frameSize and segmentSize are smaller than the format permits: 1 MiB
	// frames make a bundle 2 % larger than 4 MiB ones and save 20 MiB.
	frameSize   = 1 << 20
	segmentSize = 4 << 20
)

// outsideGo is what the program needs besides the memory that Go manages: its
// own pages and the ring of a packet capture.
const outsideGo = 24 << 20

// goal is of all memory that Go manages, with so much to remember; most bounds
// the memory of the whole process, 0 does not.
func goal(remembered, most int64) int64 {
	g := max(memoryGoal, restGoal+remembered)
	if most > 0 {
		g = min(g, most-outsideGo)
	}
	return g
}

// spareMemory sets the goals and returns what restores them.
func spareMemory(most int64) (restore func()) {
	limit, percent := debug.SetMemoryLimit(goal(0, most)), debug.SetGCPercent(gcPercent)
	return func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}
}

// remembered is what the present bundle keeps of its records.
func (r *run) remembered() int64 {
	if w, ok := r.sink.(interface{ remembered() int64 }); ok {
		return w.remembered()
	}
	return 0
}

// mayRemember is what the bundle should keep of them at most.
func (r *run) mayRemember() int64 { return cmp.Or(r.opt.remember, maxRemembered) }

// growMemory raises the goal as there is more to remember, and says once what
// that comes to. Called by who has entered the bundle.
func (r *run) growMemory() {
	bundle := r.remembered()
	debug.SetMemoryLimit(goal(bundle+r.taken.bytes(), r.opt.Budget.MaxMemory))
	if most := r.mayRemember(); bundle >= most+most/4 && r.parts.grown.CompareAndSwap(false, true) {
		why := "the run has one bundle"
		if r.opt.NextPart != nil {
			why = "a stream is open, which must not be cut in two"
		}
		r.memoryLine("records", Grown, fmt.Sprintf(
			"%d bytes are remembered of the records of this bundle, more than is meant: %s, so that memory grows by 32 to 50 bytes for each further record", bundle, why))
	}
	if r.taken.forgetful() && r.forgot.CompareAndSwap(false, true) {
		r.memoryLine("files taken", Forgotten,
			"there are more files than are remembered: of one that was taken long ago, and is asked for again by another name or definition, the content is stored again")
	}
}

// memoryLine says in ledger and log that something was too much to remember.
func (r *run) memoryLine(what string, outcome Outcome, detail string) {
	r.ledger.line(LedgerLine{What: "memory", Rule: what, Outcome: outcome, Detail: detail})
	r.log.Warn("memory", "what", what, "detail", detail)
}
