package main

import (
	"os"
	"syscall"
)

// usage returns the largest resident size of an ended process and how many
// bytes it made a block device write, or would have: the kernel counts pages
// when they become dirty (task_io_accounting_ops.h), those of a file that was
// deleted before they reached the disk too, and none of a tmpfs.
func usage(st *os.ProcessState) (peakKiB, written int64) {
	if u, ok := st.SysUsage().(*syscall.Rusage); ok {
		return u.Maxrss, u.Oublock * 512 // getrusage(2)
	}
	return 0, 0
}
