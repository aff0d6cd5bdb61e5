package xtables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	getInfo    = 64 // IPT_SO_GET_INFO, IP6T_SO_GET_INFO
	getEntries = 65
	maxTries   = 4
)

// Table reads one table of the caller's network namespace. Only one that is in
// use may be asked for: the kernel makes the others by the asking.
func (f Family) Table(name string) (Info, []byte, error) {
	fd, err := unix.Socket(f.domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return Info{}, nil, fmt.Errorf("open raw socket: %w", err)
	}
	defer unix.Close(fd)
	for range maxTries {
		b := make([]byte, infoSize)
		if len(name) > 31 {
			return Info{}, nil, unix.ENAMETOOLONG
		}
		copy(b, name)
		if err := f.get(fd, getInfo, b); err != nil {
			return Info{}, nil, err
		}
		info, _ := parseInfo(b)
		if info.Size > maxSize {
			return info, nil, fmt.Errorf("table of %d bytes: %d are the most", info.Size, maxSize)
		}
		b = make([]byte, headSize+int(info.Size))
		copy(b, name)
		binary.NativeEndian.PutUint32(b[32:], info.Size)
		err := f.get(fd, getEntries, b)
		if errors.Is(err, unix.EAGAIN) { // it was changed between the two
			continue
		}
		return info, b[headSize:], err
	}
	return Info{}, nil, unix.EAGAIN
}

func (f Family) get(fd, option int, b []byte) error {
	size := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(f.level), uintptr(option),
		uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return os.NewSyscallError("getsockopt", errno)
	}
	return nil
}
