package main

import (
	"os"
	"syscall"
)

// peakKiB returns the largest resident size of an ended process.
func peakKiB(st *os.ProcessState) int64 {
	if u, ok := st.SysUsage().(*syscall.Rusage); ok {
		return u.Maxrss
	}
	return 0
}
