//go:build !unix

package testenv

// CPUSeconds is not known here.
func CPUSeconds() float64 { return 0 }
