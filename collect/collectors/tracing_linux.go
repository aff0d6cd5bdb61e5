package collectors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/footprint"
	"golang.org/x/sys/unix"
)

// maxTracing bounds one file of tracefs: a host that traces every function
// lists some ten thousand.
const maxTracing = 16 << 20

// tracefsDir is where tracefs is mounted, if it is. Below /sys/kernel/debug/tracing
// a mere look would mount it.
const tracefsDir = "/sys/kernel/tracing"

// openTracefs returns a tracefs that is mounted nowhere (fsopen(2), fsmount(2)):
// most hosts do not have it mounted, and mounting it would be seen; nor can
// something be mounted over it.
func openTracefs() (int, error) {
	fsfd, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fsfd)
	if err := unix.FsconfigCreate(fsfd); err != nil {
		return -1, os.NewSyscallError("fsconfig", err)
	}
	fd, err := unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	return fd, os.NewSyscallError("fsmount", err)
}

// collectTracing takes the files of tracefs and tells what is hooked.
func collectTracing(ctx context.Context, h *collect.Host, out collect.Taker) error {
	s := newSets(record.Probes, record.Ftrace)
	fd, detachedErr := openTracefs()
	if detachedErr == nil {
		defer unix.Close(fd)
	}
	read := 0
	for _, name := range tracingFiles {
		var text []byte
		var err error
		if detachedErr == nil {
			text, err = readTracing(h, fd, name)
		} else {
			text, err = h.ReadFile(tracefsDir+"/"+name, maxTracing)
		}
		if err != nil && errors.Is(err, fs.ErrNotExist) {
			continue // the kernel was built without, or it is not mounted
		}
		if err != nil {
			out.Problem(problemOf(err, "live/tracefs/"+name))
		}
		read++
		if detachedErr == nil {
			it := evidence.Item{Kind: evidence.KindStream, Path: "live/tracefs/" + name, Source: "tracefs", Size: -1, Rule: "tracing"}
			if err := out.Stream(ctx, it, bytes.NewReader(text)); err != nil {
				return err
			}
		}
		if bad := tellTracing(s, name, text); bad > 0 {
			out.Problem(problemAt(evidence.Corrupt, "live/tracefs/"+name, fmt.Sprintf("%d lines are not readable and are in no record", bad)))
		}
	}
	out.Seen("tracing", read)
	if read == 0 && detachedErr != nil {
		for _, set := range s.order {
			s.absent[set] = detachedErr
		}
	}
	return s.write(ctx, out, "tracefs")
}

func readTracing(h *collect.Host, fd int, name string) ([]byte, error) {
	return collect.Patiently(h, hashStall, nil, func() ([]byte, error) {
		file, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		footprint.ProcFile()
		f := os.NewFile(uintptr(file), name)
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, maxTracing+1))
		if len(text) > maxTracing {
			return text[:maxTracing], &fs.PathError{Op: "read", Path: name, Err: collect.ErrTooBig}
		}
		return text, err
	})
}

// tellTracing makes records of the files that list hooks, and counts lines
// that are not readable.
func tellTracing(s *sets, name string, text []byte) (bad int) {
	for line := range bytes.Lines(text) {
		line := strings.TrimRight(string(line), "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		switch name {
		case "kprobe_events", "uprobe_events", "dynamic_events":
			p, ok := parseProbe(name, line)
			if ok {
				s.put(record.Probes, p)
			} else {
				bad++
			}
		case "enabled_functions":
			f, ok := parseTraced(line)
			if ok {
				s.put(record.Ftrace, f)
			} else {
				bad++
			}
		}
	}
	return bad
}

const efiVars = "/sys/firmware/efi/efivars/"

// efiGlobal is EFI_GLOBAL_VARIABLE (UEFI specification 3.3).
const efiGlobal = "-8be4df61-93ca-11d2-aa0d-00e098032b8c"

func collectBootSecurity(ctx context.Context, h *collect.Host, out collect.Taker) error {
	read := func(name string) []byte {
		text, err := h.ReadFile(name, 4096)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			out.Problem(problemOf(err, name))
		}
		return text
	}
	b := record.BootState{
		SecureBoot: efiFlag(read(efiVars + "SecureBoot" + efiGlobal)), SetupMode: efiFlag(read(efiVars + "SetupMode" + efiGlobal)),
		Lockdown: lockdownState(read("/sys/kernel/security/lockdown")),
	}
	if lsm := strings.TrimSpace(string(read("/sys/kernel/security/lsm"))); lsm != "" {
		b.LSM = strings.Split(lsm, ",")
	}
	lines := collect.NewRecords(ctx, out, evidence.Item{Path: record.BootSecurity, Source: "sysfs"})
	return errors.Join(lines.Write(b), lines.Close())
}
