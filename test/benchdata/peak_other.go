//go:build !linux

package main

import "os"

// peakKiB is not known: the peers run on Linux only.
func peakKiB(*os.ProcessState) int64 { return 0 }
