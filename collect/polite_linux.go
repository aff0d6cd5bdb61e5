package collect

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// ioprioIdle is IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0) of
	// linux/ioprio.h. No scheduler starves the class for ever: BFQ serves it
	// five times a second, mq-deadline after ten seconds at the latest.
	ioprioIdle    = 3 << 13
	ioprioProcess = 1 // IOPRIO_WHO_PROCESS
)

// standBehind lowers the priority of every thread; those that start later
// have that of the thread that starts them.
func standBehind() error {
	for done := map[int]bool{}; ; {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("list own threads: %w", err)
		}
		fresh := false
		for _, e := range entries {
			tid, err := strconv.Atoi(e.Name())
			if err != nil || done[tid] {
				continue
			}
			fresh, done[tid] = true, true
			if err := stepBack(tid); err != nil && err != unix.ESRCH {
				return err
			}
		}
		if !fresh {
			return nil
		}
	}
}

func stepBack(tid int) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, ioprioProcess, uintptr(tid), ioprioIdle); errno != 0 {
		return errno
	}
	// getpriority(2) of the system call gives 20 less the nice value.
	now, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
	if err != nil {
		return err
	}
	return unix.Setpriority(unix.PRIO_PROCESS, tid, min(20-now+niceness, 19))
}

// processCPU is the processor time that this process has used, in ns.
func processCPU() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// residentMemory is what this process has in memory, in bytes.
func residentMemory() int64 {
	text, err := os.ReadFile("/proc/self/statm") // size resident …, in pages
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}

// lowered says what standBehind does, for the log.
const lowered = "nice 10 more, and ioprio idle"
