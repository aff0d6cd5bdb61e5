package collect

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/windows"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// maxRanges bounds the allocated ranges that are asked for at once.
const maxRanges = 64 << 10

// holesOf lists the holes of an open file by FSCTL_QUERY_ALLOCATED_RANGES
// (MS-FSCC 2.3.48: offset and length, 8 bytes each), nil where the file system
// knows none or there are more than the format describes: then zeros are read.
func holesOf(file uintptr, size int64) (holes []evidence.Extent, end int64) {
	ask := binary.LittleEndian.AppendUint64(make([]byte, 8), uint64(size))
	buf := make([]byte, 16*maxRanges)
	var n uint32
	err := windows.DeviceIoControl(windows.Handle(file), windows.FSCTL_QUERY_ALLOCATED_RANGES, &ask[0], uint32(len(ask)), &buf[0], uint32(len(buf)), &n, nil)
	if err != nil {
		return nil, size
	}
	at := int64(0)
	for b := range slices.Chunk(buf[:n/16*16], 16) {
		offset, length := int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))
		if offset < at || length < 0 || offset > size {
			return nil, size
		}
		if offset > at {
			holes = append(holes, evidence.Extent{Offset: at, Length: offset - at})
		}
		at = min(offset+length, size)
	}
	if at < size {
		holes = append(holes, evidence.Extent{Offset: at, Length: size - at})
	}
	if len(holes) > maxHoles {
		holes, _ = longestHoles(holes)
	}
	return holes, size
}
