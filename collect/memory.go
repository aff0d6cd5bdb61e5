package collect

import "runtime/debug"

// On a suspect host memory is evidence: what the collector takes may push out
// what somebody wants to see. During a run the garbage collector works harder
// than by default.
const (
	// memoryGoal is of all memory that Go manages; the program itself adds
	// about 8 MiB. About 40 MiB are in use at any time, most of them buffers
	// and tables of the compressor; a goal close to that would cost more CPU
	// time than the whole collection.
	memoryGoal = 56 << 20
	// perRecord is what the goal grows by, for what has to be remembered of
	// each record: leaf, name, identity of the file.
	perRecord = 160
	gcPercent = 15
	// packers is how many goroutines compress: each takes about 20 MiB, and
	// the host has its own work to do.
	packers = 1
)

// spareMemory sets the goals and returns what restores them.
func spareMemory() (restore func()) {
	limit, percent := debug.SetMemoryLimit(memoryGoal), debug.SetGCPercent(gcPercent)
	return func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}
}

// growMemory raises the goal now and then as records add up.
func growMemory(records int64) {
	if records%(1<<14) == 0 {
		debug.SetMemoryLimit(memoryGoal + perRecord*records)
	}
}
