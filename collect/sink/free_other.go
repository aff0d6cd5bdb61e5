//go:build !linux

package sink

// freeSpace is not known here.
func freeSpace(string) int64 { return -1 }

// sameDevice is not known here.
func sameDevice(string, string) bool { return false }
