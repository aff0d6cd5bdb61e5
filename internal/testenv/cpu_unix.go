//go:build unix

package testenv

import "syscall"

// CPUSeconds returns the processor seconds this process has used, of the user
// and of the system.
func CPUSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
