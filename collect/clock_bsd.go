//go:build darwin || freebsd

package collect

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// ReadClock reads the wall clock and the time since boot. Whether the clock is
// synchronised is not asked, which the error says.
func ReadClock() (record.Clock, error) {
	c := record.Clock{Realtime: time.Now().UnixNano(), Zone: os.Getenv("TZ")}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err == nil {
		c.Monotonic, c.Boottime = ts.Nano(), ts.Nano()
	}
	if target, err := os.Readlink("/etc/localtime"); err == nil && c.Zone == "" {
		if _, zone, ok := strings.Cut(target, "zoneinfo/"); ok {
			c.Zone = zone
		}
	}
	return c, fmt.Errorf("whether the clock is synchronised: %w", ErrUnsupported)
}

func (f *Footprint) usage() {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return
	}
	f.PeakRSS = peakMemory(int64(u.Maxrss))
	f.UserNS, f.SystemNS = u.Utime.Nano(), u.Stime.Nano()
	f.BlocksIn, f.BlocksOut = int64(u.Inblock), int64(u.Oublock)
}

// liveFacts are those that sysctl(3) tells.
func liveFacts(f *bundle.Host, _ func(string) string) {
	ask := func(name string) string {
		text, err := unix.Sysctl(name)
		if err != nil {
			return "" // not every version has every name
		}
		return text
	}
	f.Hostname = ask("kern.hostname")
	f.Kernel = ask("kern.osrelease")
	f.BootID = ask("kern.bootsessionuuid")
	f.MachineID = ask("kern.hostuuid")
	f.OS = strings.TrimSpace(ask("kern.ostype") + " " + ask("kern.osproductversion"))
}

// standBehind lowers the priority of the process (setpriority(2)).
func standBehind() error {
	now, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return err
	}
	return unix.Setpriority(unix.PRIO_PROCESS, 0, min(now+niceness, 19))
}

// processCPU is the processor time that this process has used, in ns.
func processCPU() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// residentMemory: the kernel tells the most there ever was, not what there is.
func residentMemory() int64 { return 0 }

// lowered says what standBehind does, for the log.
const lowered = "nice 10 more"

// readZone reads nothing here.
func (h *Host) readZone() {}
