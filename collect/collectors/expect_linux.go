package collectors

import (
	"context"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect"
)

// expectProcesses counts the processes and the bytes of their executables,
// each file once. Nothing is opened but the folder /proc.
func expectProcesses(ctx context.Context, h *collect.Host) (collect.Expected, error) {
	entries, err := h.ReadDir("/proc")
	if err != nil {
		return collect.Expected{}, err
	}
	e := collect.Expected{Items: 2} // the two record sets
	type file struct{ dev, inode uint64 }
	seen := map[file]bool{}
	for _, entry := range entries {
		if _, err := strconv.ParseInt(entry.Name, 10, 64); err != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return e, err
		}
		e.Names++
		st, err := collect.Patiently(h, hashWait, nil, func() (st unix.Stat_t, err error) {
			err = unix.Stat("/proc/"+entry.Name+"/exe", &st)
			return st, err
		})
		if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG { // a thread of the kernel, or not ours to look at
			continue
		}
		if f := (file{uint64(st.Dev), st.Ino}); !seen[f] {
			seen[f] = true
			e.Hashed += st.Size
		}
	}
	return e, nil
}
