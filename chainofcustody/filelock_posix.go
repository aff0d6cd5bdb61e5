//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package chainofcustody

import (
	"errors"
	"os"
	"syscall"
)

func tryLock(f *os.File) (busy bool, err error) {
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return true, nil
		}
		return false, err
	}
}
