//go:build unix

package collect

import (
	"os"

	"golang.org/x/sys/unix"
)

// unpolled is os.NewFile for a descriptor that was opened with O_NONBLOCK, but
// keeps it from the runtime's poller: adding a file of a dead FUSE file system
// to an epoll instance asks its daemon, and while that waits the instance is
// locked, for all of the program.
func unpolled(fd int, name string) *os.File {
	_ = unix.SetNonblock(fd, false) // what os.NewFile goes by
	f := os.NewFile(uintptr(fd), name)
	_ = unix.SetNonblock(fd, true)
	return f
}
