package collectors

import "github.com/exhibit-dfir/exhibit/internal/netlink"

// promiscuity returns by interface index how many have asked for all packets
// of the interface; nothing where the kernel does not say.
func promiscuity() map[int]*uint32 {
	links, err := netlink.Links()
	if err != nil {
		return nil
	}
	counts := map[int]*uint32{}
	for _, l := range links {
		counts[int(l.Index)] = &l.Promiscuity
	}
	return counts
}
