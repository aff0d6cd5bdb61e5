package collectors

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// clockFiles are kept as they are, beside the record made of them.
var clockFiles = []string{
	"/proc/uptime", "/proc/stat", "/proc/driver/rtc", "/etc/timezone", "/etc/localtime", "/etc/adjtime",
	"/sys/devices/system/clocksource/clocksource0/current_clocksource",
	"/sys/devices/system/clocksource/clocksource0/available_clocksource",
	"/sys/class/dmi/id/product_uuid", "/sys/class/dmi/id/product_serial", "/sys/class/dmi/id/product_name",
	"/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/board_serial", "/sys/class/dmi/id/bios_version",
	"/sys/hypervisor/type", "/sys/hypervisor/uuid",
}

func collectClocks(ctx context.Context, h *collect.Host, out collect.Taker) error {
	self, errs := selfRecord(h)
	for _, err := range errs {
		out.Problem(problemOf(err, record.Self))
	}
	lines := collect.NewRecords(ctx, out, evidence.Item{Path: record.Self, Source: "proc"})
	err := lines.Write(self)
	if cerr := lines.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return takeFiles(ctx, out, "clocks", clockFiles)
}

// takeFiles takes paths of one definition.
func takeFiles(ctx context.Context, out collect.Taker, rule string, paths []string) error {
	for _, path := range paths {
		if err := out.File(ctx, path, rule); err != nil {
			return err
		}
	}
	out.Seen(rule, len(paths))
	return nil
}

func selfRecord(h *collect.Host) (record.SelfRecord, []error) {
	var errs []error
	keep := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	line := func(path string) string {
		text, err := h.ReadFile(path, 4096)
		keep(err)
		return strings.TrimSpace(string(text))
	}
	clock, err := collect.ReadClock()
	keep(err)
	s := record.SelfRecord{
		Clock:     clock,
		BootID:    line("/proc/sys/kernel/random/boot_id"),
		MachineID: machineID(h),
		Hostname:  line("/proc/sys/kernel/hostname"),
		Kernel:    line("/proc/sys/kernel/osrelease"),
		Arch:      runtime.GOARCH,
		PID:       int64(os.Getpid()),
		UID:       int64(os.Getuid()),
		Args:      bytesOf(os.Args),
	}
	stat, err := h.ReadFile("/proc/stat", 16<<20)
	keep(err)
	s.BootTime = parseBootTime(stat) * 1e9
	s.ClockTicks = clockTicks(h)
	_, s.ExeSHA256, _, err = collect.OwnExecutable()
	keep(err)
	proc, err := openProcesses(h)
	if err != nil {
		return s, append(errs, err)
	}
	defer proc.close()
	p, err := proc.process(s.PID)
	if err != nil {
		return s, append(errs, err)
	}
	defer p.close()
	s.Cgroup = p.cgroup()
	s.Namespaces = p.namespaces()
	status, err := p.read("status", maxStatus)
	keep(err)
	s.Capabilities = parseStatus(status).capEff
	return s, errs
}

// machineID is machine-id(5); D-Bus has its own copy on systems without
// systemd.
func machineID(h *collect.Host) string {
	for _, path := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		if text, err := h.ReadFile(path, 4096); err == nil {
			return strings.TrimSpace(string(text))
		}
	}
	return ""
}

// clockTicks is AT_CLKTCK (17) of the auxiliary vector, in which
// /proc/PID/stat counts time; 100 on every Linux with an ordinary C library.
func clockTicks(h *collect.Host) int64 {
	const usual, atClktck = 100, 17
	auxv, err := h.ReadFile("/proc/self/auxv", 4096)
	if err != nil {
		return usual
	}
	if ticks := auxValue(auxv, atClktck, strconv.IntSize/8); ticks > 0 && ticks <= 1_000_000 {
		return ticks
	}
	return usual
}

func bytesOf(texts []string) []record.Bytes {
	list := make([]record.Bytes, 0, len(texts))
	for _, s := range texts {
		list = append(list, record.Bytes(s))
	}
	return list
}
