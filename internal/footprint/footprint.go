// Package footprint counts what this process opens besides files, for the
// record of what a collection did to its host.
package footprint

import (
	"maps"
	"sync"
)

var (
	mu      sync.Mutex
	sockets = map[string]int64{}
)

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
