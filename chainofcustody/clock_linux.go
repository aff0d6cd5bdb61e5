package chainofcustody

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// bootClock reads CLOCK_BOOTTIME and the boot's id (random(4), proc(5)): two
// events of one boot can be ordered whatever the wall clock did.
func bootClock() (mono int64, bootID string) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err == nil {
		mono = ts.Nano()
	}
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil && len(id) <= 64 {
		bootID = strings.TrimSpace(string(id))
	}
	return mono, bootID
}
