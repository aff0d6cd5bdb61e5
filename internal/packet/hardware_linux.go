package packet

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/internal/footprint"
)

// Hardware returns the ARPHRD_* type of an interface by its name.
func Hardware(name string) (uint16, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0, fmt.Errorf("ask for hardware type of %q: %w", name, err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("ask for hardware type of %q: %w", name, err)
	}
	footprint.Socket("inet")
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, request); err != nil {
		return 0, fmt.Errorf("ask for hardware type of %q: %w", name, err)
	}
	return request.Uint16(), nil // sa_family of ifr_hwaddr
}

// Speed returns the speed of an interface in bits per second, as its driver
// states it (struct ethtool_cmd of linux/ethtool.h).
func Speed(name string) (uint64, error) {
	const (
		settings = 1  // ETHTOOL_GSET
		low      = 12 // 16 bits of Mbit/s, with those at high
		high     = 28
		unknown  = 0xffffffff
	)
	command := make([]byte, 44)
	binary.NativeEndian.PutUint32(command, settings)
	request := struct {
		name    [unix.IFNAMSIZ]byte
		command *byte
		_       [16]byte
	}{command: &command[0]}
	if len(name) >= len(request.name) {
		return 0, fmt.Errorf("ask for speed of %q: %w", name, unix.EINVAL)
	}
	copy(request.name[:], name)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("ask for speed of %q: %w", name, err)
	}
	defer unix.Close(fd)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return 0, fmt.Errorf("ask for speed of %q: %w", name, errno)
	}
	megabits := uint32(binary.NativeEndian.Uint16(command[low:])) | uint32(binary.NativeEndian.Uint16(command[high:]))<<16
	if megabits == unknown {
		return 0, fmt.Errorf("ask for speed of %q: its driver does not know", name)
	}
	return uint64(megabits) * 1_000_000, nil
}
