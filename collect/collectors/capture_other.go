//go:build !linux

package collectors

// promiscuity is known on Linux only.
func promiscuity() map[int]*uint32 { return nil }
