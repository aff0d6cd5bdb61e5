// Package footprint counts what this process opens besides files, for the
// record of what a collection did to its host.
package footprint

import (
	"maps"
	"sync"
	"sync/atomic"
)

var (
	mu      sync.Mutex
	sockets = map[string]int64{}

	procFiles atomic.Int64
)

// ProcFile counts a file or folder of procfs or tracefs, a namespace or a device
// of memory that was opened for what the kernel says there.
func ProcFile() { procFiles.Add(1) }

// ProcFiles returns how many there were since the process began.
func ProcFiles() int64 { return procFiles.Load() }

// Socket counts a socket of an address family: netlink, packet, inet.
func Socket(family string) {
	mu.Lock()
	defer mu.Unlock()
	sockets[family]++
}

// Sockets returns how many of each family were opened since the process began.
func Sockets() map[string]int64 {
	mu.Lock()
	defer mu.Unlock()
	return maps.Clone(sockets)
}
