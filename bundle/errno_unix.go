//go:build unix

package bundle

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// errnoName returns the name of the error number behind err, such as EIO.
func errnoName(err error) string {
	var no syscall.Errno
	if errors.As(err, &no) {
		return unix.ErrnoName(no)
	}
	return ""
}
