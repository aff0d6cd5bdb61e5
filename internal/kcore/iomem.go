package kcore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ErrHidden says that /proc/iomem shows addresses as zeros, as it does to
// who lacks CAP_SYS_ADMIN (kernel/resource.c).
var ErrHidden = errors.New("/proc/iomem shows no addresses to this user")

// maxRanges bounds what is read of /proc/iomem; hosts have a few hundred.
const maxRanges = 1 << 16

// SystemRAM reads the ranges named "System RAM" of /proc/iomem, whole pages
// only. Resources are a line each, ends inclusive, what lies inside another
// indented by two blanks:
//
//	00100000-bffdffff : System RAM
//	  01000000-01e02ff1 : Kernel code
//
// Ranges that lie inside another System RAM range are not told twice. Memory
// added later by a driver has names of its own ("System RAM (kmem)").
func SystemRAM(text []byte) ([]Range, error) {
	var ranges []Range
	zeros := 0
	for line := range bytes.Lines(text) {
		span, name, ok := strings.Cut(strings.TrimSpace(string(line)), " : ")
		if !ok || name != "System RAM" && !strings.HasPrefix(name, "System RAM (") {
			continue
		}
		low, high, ok := strings.Cut(span, "-")
		start, err1 := strconv.ParseUint(low, 16, 64)
		end, err2 := strconv.ParseUint(high, 16, 64)
		if !ok || err1 != nil || err2 != nil || end < start || end > math.MaxInt64-1 {
			return nil, fmt.Errorf("/proc/iomem: bad System RAM range %q", span)
		}
		if end == 0 {
			zeros++
			continue
		}
		if len(ranges) == maxRanges {
			return nil, fmt.Errorf("/proc/iomem: more than %d System RAM ranges", maxRanges)
		}
		// The kernel manages whole pages: part of one at either end is not its.
		r := Range{(start + PageSize - 1) &^ (PageSize - 1), (end + 1) &^ (PageSize - 1)}
		if r.End > r.Start {
			ranges = append(ranges, r)
		}
	}
	if len(ranges) == 0 {
		if zeros > 0 {
			return nil, ErrHidden
		}
		return nil, errors.New("/proc/iomem names no System RAM")
	}
	return merge(ranges), nil
}

// PageSize is the unit in which memory that cannot be read is told. Pages of
// 16 and 64 KiB (arm64) are multiples of it.
const PageSize = 4096

// LimeHeaderSize is the length of the header of a range in the LiME format.
const LimeHeaderSize = 32

// AppendLimeHeader appends the header of a range (version 1): magic
// 0x4C694D45, version, first and last address, 8 bytes reserved, all little
// endian. Its memory follows; then the next range. So LiME files of ascending
// ranges, one after the other, are a LiME file again.
// Source: https://github.com/504ensicsLabs/LiME/tree/master/doc
func AppendLimeHeader(to []byte, r Range) []byte {
	le := binary.LittleEndian
	to = le.AppendUint32(to, 0x4C694D45)
	to = le.AppendUint32(to, 1)
	to = le.AppendUint64(to, r.Start)
	to = le.AppendUint64(to, r.End-1)
	return le.AppendUint64(to, 0)
}
