//go:build linux || darwin || freebsd

package collect

import (
	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// holesOf lists the longest holes of an open file by SEEK_HOLE and SEEK_DATA,
// nil where the file system knows none. end is the size, or where the file is
// cut off because what lies behind would never end.
func holesOf(file uintptr, size int64) (holes []evidence.Extent, end int64) {
	fd := int(file)
	defer func() { _, _ = unix.Seek(fd, 0, unix.SEEK_SET) }()
	filled := int64(0)
	for at := int64(0); at < size; {
		hole, err := unix.Seek(fd, at, unix.SEEK_HOLE)
		if err != nil || hole >= size {
			break
		}
		data, err := unix.Seek(fd, hole, unix.SEEK_DATA)
		if err == unix.ENXIO {
			data = size // a hole to the end
		} else if err != nil || data <= hole {
			break
		}
		holes = append(holes, evidence.Extent{Offset: hole, Length: min(data, size) - hole})
		at = data
		if len(holes) < 2*maxHoles {
			continue
		}
		longest, rest := longestHoles(holes)
		if filled += rest; filled > maxFilled {
			return holes[:maxHoles], holes[maxHoles].Offset
		}
		holes = longest
	}
	if len(holes) > maxHoles {
		longest, rest := longestHoles(holes)
		if filled+rest > maxFilled {
			return holes[:maxHoles], holes[maxHoles].Offset
		}
		holes = longest
	}
	return holes, size
}
