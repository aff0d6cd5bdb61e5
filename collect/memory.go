package collect

import "runtime/debug"

// On a suspect host memory is evidence: what the collector takes may push out
// what somebody wants to see. During a run the garbage collector works harder
// than by default.
const (
	memoryGoal = 44 << 20 // of the Go heap; the program itself adds about 10 MiB
	gcPercent  = 25
)

// spareMemory sets the goals and returns what restores them.
func spareMemory() (restore func()) {
	limit, percent := debug.SetMemoryLimit(memoryGoal), debug.SetGCPercent(gcPercent)
	return func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}
}
