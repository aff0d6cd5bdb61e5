package collect

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// liveFacts are those that the running kernel tells. line reads a small file of
// the host.
func liveFacts(f *bundle.Host, line func(string) string) {
	if name := line("/proc/sys/kernel/hostname"); name != "" {
		f.Hostname = name
	}
	f.BootID = line("/proc/sys/kernel/random/boot_id")
	f.Kernel = line("/proc/sys/kernel/osrelease")
}

// ReadClock reads the clocks of the running machine one right after the
// other, and what adjtimex(2) says of their quality. Zone is the zone the
// link /etc/localtime names, or TZ.
func ReadClock() (record.Clock, error) {
	var c record.Clock
	var errs []error
	for _, clock := range []struct {
		id  int32
		out *int64
	}{
		{unix.CLOCK_REALTIME, &c.Realtime}, {unix.CLOCK_MONOTONIC, &c.Monotonic}, {unix.CLOCK_BOOTTIME, &c.Boottime},
	} {
		var ts unix.Timespec
		if err := unix.ClockGettime(clock.id, &ts); err != nil {
			errs = append(errs, fmt.Errorf("read clock %d: %w", clock.id, err))
			continue
		}
		*clock.out = ts.Nano()
	}
	var tx unix.Timex
	state, err := unix.Adjtimex(&tx)
	if err != nil {
		errs = append(errs, fmt.Errorf("read clock state: %w", err))
	} else {
		c.Synced = state != unix.TIME_ERROR && tx.Status&unix.STA_UNSYNC == 0
		unit := int64(1000) // microseconds, unless the kernel counts finer
		if tx.Status&unix.STA_NANO != 0 {
			unit = 1
		}
		c.OffsetNS, c.MaxErrNS = int64(tx.Offset)*unit, int64(tx.Maxerror)*1000
	}
	c.Zone = os.Getenv("TZ")
	if c.Zone == "" {
		_, c.Zone, _ = strings.Cut(zoneLink(), "zoneinfo/")
	}
	return c, errors.Join(errs...)
}

// zone is where /etc/localtime leads, "" where it is no link. It is read once,
// because reading a link may move its access time.
var zone struct {
	once sync.Once
	link string
}

// readZone reads it as evidence is read.
func (h *Host) readZone() {
	zone.once.Do(func() { zone.link, _ = h.Readlink("/etc/localtime") }) //nolint:errcheck // "" then
}

func zoneLink() string {
	zone.once.Do(func() { zone.link, _ = os.Readlink("/etc/localtime") }) //nolint:errcheck // "" then
	return zone.link
}

func (f *Footprint) usage() {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return
	}
	f.PeakRSS = peakMemory(int64(u.Maxrss) * 1024)
	f.UserNS, f.SystemNS = u.Utime.Nano(), u.Stime.Nano()
	f.BlocksIn, f.BlocksOut = int64(u.Inblock), int64(u.Oublock)
}

// peakMemory is the most memory this program had. The kernel's ru_maxrss is
// the fall-back only: a program inherits it from whoever started it, so that
// one that was started by a large program would be charged with that one's.
func peakMemory(inherited int64) int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return inherited
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kilobytes, _, _ := strings.Cut(strings.TrimSpace(value), " ")
			if n, err := strconv.ParseInt(kilobytes, 10, 64); err == nil {
				return n * 1024
			}
		}
	}
	return inherited
}
