package packet

import (
	"fmt"

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
