package archive

import (
	"io/fs"
	"syscall"
	"time"
)

// nonBlock keeps an open from waiting where a FIFO took a file's place.
const nonBlock = syscall.O_NONBLOCK

// Copied reports whether a file's time of modification is that of the copy:
// what is unpacked or copied with its times is given them afterwards, so that
// its status changed later than its content.
func Copied(st fs.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	return time.Unix(sys.Ctim.Unix()).Sub(st.ModTime()).Abs() < copyGrain
}
