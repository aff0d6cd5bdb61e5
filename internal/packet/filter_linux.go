package packet

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/internal/pcapfilter"
)

// Ancillary data that a classic BPF program loads as if it lay behind the
// packet (linux/filter.h).
const (
	ancillary         = -0x1000 // SKF_AD_OFF
	ancillaryType     = 4       // SKF_AD_PKTTYPE
	ancillaryIndex    = 8       // SKF_AD_IFINDEX
	ancillaryHardware = 28      // SKF_AD_HATYPE
)

// filter returns the program that keeps at most snap bytes of each packet of
// the interfaces, all when there are none, that wanted matches, all when it is
// empty; but no packet that the loopback interface shows on its way out: it
// comes in again.
func filter(interfaces []int, snap uint32, wanted pcapfilter.Program) ([]unix.SockFilter, error) {
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
	if len(interfaces) > 0 {
		program = append(program, load(ancillaryIndex))
		for left := len(interfaces) - 1; left >= 0; left-- {
			// From here to what is behind the refusal.
			over := unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(2*left + 1)}
			program = append(program, equal(uint32(interfaces[left]), 0, 1), over)
		}
		program = append(program, give(0))
	}
	for _, i := range wanted {
		if i.Code == unix.BPF_RET|unix.BPF_K {
			i.K = min(i.K, snap)
		}
		program = append(program, unix.SockFilter{Code: i.Code, Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	if len(wanted) == 0 {
		program = append(program, give(snap))
	}
	if len(program) > pcapfilter.MaxInstructions {
		return nil, fmt.Errorf("capture filter has %d instructions, %d with the interfaces: the kernel takes %d", len(wanted), len(program), pcapfilter.MaxInstructions)
	}
	return program, nil
}
