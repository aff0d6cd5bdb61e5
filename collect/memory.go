package collect

import "runtime/debug"

// On a suspect host memory is evidence: what the collector takes may push out
// what somebody wants to see. During a run the garbage collector works harder
// than by default.
const (
	// memoryGoal is of all memory that Go manages. The program's own pages
	// add 10 to 16 MiB to it, and a packet capture its ring of 8 MiB: all of
	// that has to stay below 64 MiB. About 16 MiB are in use at any time; a
	// goal close to that would cost more CPU time than the whole collection.
	memoryGoal = 38 << 20
	// restGoal and perRecord are the goal once what has to be remembered of
	// each record takes most of it: leaf (32 bytes), name (10 to 15), identity
	// of the file (28 to 37), ledger line (50).
	restGoal  = 24 << 20
	perRecord = 125
	gcPercent = 40
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

// goal is of all memory that Go manages, for so many records; most bounds the
// memory of the whole process, 0 does not.
func goal(records, most int64) int64 {
	g := max(memoryGoal, restGoal+perRecord*records)
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

// growMemory raises the goal now and then as records add up.
func growMemory(records, most int64) {
	if records%(1<<14) == 0 {
		debug.SetMemoryLimit(goal(records, most))
	}
}
