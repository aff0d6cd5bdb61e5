package collectors

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"golang.org/x/sys/unix"
)

func collectKernel(ctx context.Context, h *collect.Host, out collect.Taker) error {
	if err := collectModules(ctx, h, out); err != nil {
		return err
	}
	if err := collectTaint(ctx, h, out); err != nil {
		return err
	}
	if err := collectTracing(ctx, h, out); err != nil {
		return err
	}
	if err := collectBootSecurity(ctx, h, out); err != nil {
		return err
	}
	if err := collectKernelSets(ctx, h, out); err != nil {
		return err
	}
	if err := collectKernelLog(ctx, out); err != nil {
		return err
	}
	files := kernelFiles
	if release, err := h.ReadFile("/proc/sys/kernel/osrelease", 256); err == nil {
		r := strings.TrimSpace(string(release))
		files = append(slices.Clone(files), "/boot/config-"+r, "/lib/modules/"+r+"/config", "/lib/modules/"+r+"/modules.builtin")
	}
	if err := takeFiles(ctx, out, "kernel files", files); err != nil {
		return err
	}
	for _, tree := range kernelTrees {
		if err := takeTree(ctx, h, out, tree); err != nil {
			return err
		}
	}
	return collectSysctl(ctx, h, out)
}

func collectModules(ctx context.Context, h *collect.Host, out collect.Taker) error {
	lose := func(err error) {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			out.Problem(problemOf(err, record.Modules))
		}
	}
	text, err := h.ReadFile("/proc/modules", 4<<20)
	lose(err)
	sysfs, err := sysfsModules(h)
	lose(err)
	symbols, err := symbolModules(h)
	lose(err)
	lines := collect.NewRecords(ctx, out, evidence.Item{Path: record.Modules, Source: "proc"})
	for _, m := range mergeModules(parseModules(text), sysfs, symbols) {
		if v, err := h.ReadFile("/sys/module/"+m.Name+"/srcversion", 4096); err == nil {
			m.Version = strings.TrimSpace(string(v))
		}
		if v, err := h.ReadFile("/sys/module/"+m.Name+"/taint", 4096); err == nil && m.Taint == "" {
			m.Taint = strings.TrimSpace(string(v))
		}
		m.TaintMeans = taintMeans(m.Taint)
		if m.InProc != m.InSysfs || m.InSysfs && !m.InKsyms && len(symbols) > 0 {
			out.Problem(evidence.Problem{
				Code: evidence.Inconsistent, Path: "/proc/modules", Ref: evidence.Ref{Offset: -1, Length: -1},
				Detail: "module " + strconv.Quote(m.Name) + " is not in all views: /proc/modules " + strconv.FormatBool(m.InProc) +
					", /sys/module " + strconv.FormatBool(m.InSysfs) + ", /proc/kallsyms " + strconv.FormatBool(m.InKsyms),
			})
		}
		if err := lines.Write(m); err != nil {
			return errors.Join(err, lines.Close())
		}
	}
	return lines.Close()
}

// sysfsModules lists the loaded modules of /sys/module. What is built into
// the kernel has a folder there too when it has parameters or a version, but
// no initstate.
func sysfsModules(h *collect.Host) (map[string]bool, error) {
	entries, err := h.ReadDir("/sys/module")
	names := map[string]bool{}
	for _, e := range entries {
		if _, err := h.Stat("/sys/module/" + e.Name + "/initstate"); err == nil {
			names[e.Name] = true
		}
	}
	return names, err
}

func symbolModules(h *collect.Host) (map[string]bool, error) {
	f, err := h.Open("/proc/kallsyms")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names := map[string]bool{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if line := lines.Bytes(); bytes.IndexByte(line, '[') >= 0 {
			if name := symbolModule(line); name != "" {
				names[name] = true
			}
		}
	}
	return names, lines.Err()
}

func collectTaint(ctx context.Context, h *collect.Host, out collect.Taker) error {
	text, err := h.ReadFile("/proc/sys/kernel/tainted", 64)
	if err != nil {
		out.Problem(problemOf(err, Taint))
		return nil
	}
	value, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		out.Problem(problemOf(err, Taint))
		return nil
	}
	lines := collect.NewRecords(ctx, out, evidence.Item{Path: Taint, Source: "proc"})
	return errors.Join(lines.Write(decodeTaint(value)), lines.Close())
}

// maxKernelLog bounds the buffer that is asked for; CONFIG_LOG_BUF_SHIFT allows
// 32 MiB, the usual is less than one.
const maxKernelLog = 32 << 20

// collectKernelLog takes what is in the kernel's log buffer and leaves it
// there (SYSLOG_ACTION_READ_ALL of syslog(2)).
func collectKernelLog(ctx context.Context, out collect.Taker) error {
	size, err := unix.Klogctl(unix.SYSLOG_ACTION_SIZE_BUFFER, nil)
	var text []byte
	if err == nil && size > 0 {
		text = make([]byte, min(size, maxKernelLog))
		var n int
		if n, err = unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, text); err == nil {
			text = text[:n]
		}
	}
	if err != nil {
		out.Problem(problemOf(os.NewSyscallError("syslog", err), KernelLog))
		return nil
	}
	it := evidence.Item{Kind: evidence.KindStream, Path: KernelLog, Source: "syslog", Size: -1, Rule: "kernel log"}
	return out.Stream(ctx, it, bytes.NewReader(text))
}

func collectSysctl(ctx context.Context, h *collect.Host, out collect.Taker) error {
	mounts, err := h.Mounts()
	if err != nil {
		out.Problem(problemOf(err, Sysctl))
		return nil // without the table a look could mount something
	}
	lines := collect.NewRecords(ctx, out, evidence.Item{Path: Sysctl, Source: "proc"})
	err = sysctlTree(ctx, h, mounts, sysctlRoot, lines)
	out.Seen("sysctl", int(lines.Count()))
	if errors.Is(err, collect.ErrTooBig) {
		out.Problem(problemAt(evidence.TooBig, Sysctl, "more parameters than "+strconv.Itoa(maxSysctls)+"; the rest was left out"))
		err = nil
	}
	return errors.Join(err, lines.Close())
}

func sysctlTree(ctx context.Context, h *collect.Host, mounts []collect.MountPoint, dir string, lines *collect.Records) error {
	if wouldMount(mounts, dir) {
		return lines.Write(SysctlRecord{Path: dir, Error: "not entered: it would be mounted by a look"})
	}
	entries, err := h.ReadDir(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return ctx.Err()
		}
		return lines.Write(SysctlRecord{Path: dir, Error: err.Error()})
	}
	for _, e := range entries {
		path := dir + "/" + e.Name
		if err := ctx.Err(); err != nil {
			return err
		}
		if lines.Count() >= maxSysctls {
			return collect.ErrTooBig
		}
		if e.Type == unix.S_IFDIR {
			if err := sysctlTree(ctx, h, mounts, path, lines); err != nil {
				return err
			}
			continue
		}
		st, err := h.Stat(path)
		if err == nil && st.Mode&0o444 == 0 {
			continue // only for writing
		}
		r := SysctlRecord{Path: path}
		if why := unreadSysctls[path]; why != "" {
			r.Error = "not read: " + why
		} else {
			if err == nil {
				r.Value, err = h.ReadFile(path, 64<<10)
			}
			if err != nil {
				r.Error = err.Error()
			}
		}
		if err := lines.Write(r); err != nil {
			return err
		}
	}
	return nil
}
