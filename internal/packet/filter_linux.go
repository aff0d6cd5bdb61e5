package packet

import "golang.org/x/sys/unix"

// Ancillary data that a classic BPF program loads as if it lay behind the
// packet (linux/filter.h).
const (
	ancillary         = -0x1000 // SKF_AD_OFF
	ancillaryType     = 4       // SKF_AD_PKTTYPE
	ancillaryIndex    = 8       // SKF_AD_IFINDEX
	ancillaryHardware = 28      // SKF_AD_HATYPE
)

// filter returns the program that keeps at most snap bytes of each packet of
// the interfaces, all when there are none, but no packet that the loopback
// interface shows on its way out: it comes in again.
func filter(interfaces []int, snap uint32) []unix.SockFilter {
	load := func(what int32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: uint32(ancillary + what)}
	}
	// equal jumps over the next ok or not instructions.
	equal := func(value uint32, ok, not uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: ok, Jf: not, K: value}
	}
	give := func(n uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: n} }

	program := []unix.SockFilter{
		load(ancillaryHardware), equal(hardwareLoopback, 0, 3),
		load(ancillaryType), equal(directionOutgoing, 0, 1),
		give(0),
	}
	if len(interfaces) == 0 {
		return append(program, give(snap))
	}
	program = append(program, load(ancillaryIndex))
	for _, index := range interfaces {
		program = append(program, equal(uint32(index), 0, 1), give(snap))
	}
	return append(program, give(0))
}
