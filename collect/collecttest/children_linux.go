package collecttest

import (
	"testing"

	"golang.org/x/sys/unix"
)

// children returns the CPU time and the page faults of all ended and awaited
// children of this process: a number that moves when one was started, be it
// for a moment.
func children(t testing.TB) int64 {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &u); err != nil {
		t.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano() + int64(u.Minflt) + int64(u.Majflt)
}
