package collectors

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// linuxKernel writes live/modules.jsonl, which holds every module that one of
// three views knows - a module that hides from one of them is told by the
// others -, live/taint.jsonl, and keeps the kernel's own files.
var linuxKernel = register(collect.Collector{
	Name: "linux_kernel",
	Doc:  "Kernel modules by three views, taint decoded, command line, parameters, keys, binary formats, IMA measurements, what is hooked by probes and function tracing, and security state",
	Tier: collect.TierKernel,
	Live: true,
	Run:  collectKernel,
})

// Taint is the name of the record set with the decoded taint of the kernel:
// one TaintRecord.
const Taint = "live/taint.jsonl"

// TaintRecord is /proc/sys/kernel/tainted in words.
type TaintRecord struct {
	Value uint64     `json:"value"`
	Flags []TaintBit `json:"flags"`
}

// TaintBit is one bit of it (admin-guide/tainted-kernels).
type TaintBit struct {
	Bit    int    `json:"bit"`
	Letter string `json:"letter"`
	Means  string `json:"means"`
}

var taintBits = [...]struct{ letter, means string }{
	{"P", "a proprietary module was loaded"},
	{"F", "a module was force loaded"},
	{"S", "the kernel runs on a processor or system out of specification"},
	{"R", "a module was force unloaded"},
	{"M", "a machine check exception was reported"},
	{"B", "a bad page was met"},
	{"U", "taint was requested by a user-space program"},
	{"D", "the kernel died (oops or BUG)"},
	{"A", "an ACPI table was overridden"},
	{"W", "the kernel issued a warning"},
	{"C", "a staging driver was loaded"},
	{"I", "a workaround for a firmware bug is in use"},
	{"O", "a module built outside the kernel's tree was loaded"},
	{"E", "an unsigned module was loaded"},
	{"L", "a soft lockup happened"},
	{"K", "the kernel was live patched"},
	{"X", "auxiliary taint, set by the distribution"},
	{"T", "the kernel was built with the struct randomisation plugin"},
	{"N", "an in-kernel test ran"},
	{"J", "a user-space program used a mutating debug operation (fwctl)"},
}

func decodeTaint(value uint64) TaintRecord {
	r := TaintRecord{Value: value, Flags: []TaintBit{}}
	for bit := range 64 {
		if value&(1<<bit) == 0 {
			continue
		}
		b := TaintBit{Bit: bit, Letter: "?", Means: "not known to this program"}
		if bit < len(taintBits) {
			b.Letter, b.Means = taintBits[bit].letter, taintBits[bit].means
		}
		r.Flags = append(r.Flags, b)
	}
	return r
}

// taintMeans are the letters of a module's taint in words (module_flags_taint
// in kernel/module/main.c). A plus and a minus there say that it is being
// loaded or unloaded.
func taintMeans(letters string) (means []string) {
	for _, letter := range letters {
		if letter == '+' || letter == '-' {
			continue
		}
		text := "?: not known to this program"
		for _, b := range taintBits {
			if b.letter == string(letter) {
				text = b.letter + ": " + b.means
			}
		}
		means = append(means, text)
	}
	return means
}

// parseModules reads /proc/modules:
//
//	ext4 954368 1 jbd2,mbcache, Live 0xffffffffc0a00000 (OE)
func parseModules(text []byte) []record.Module {
	var list []record.Module
	for line := range bytes.Lines(text) {
		f := strings.Fields(string(line))
		if len(f) < 6 {
			continue
		}
		m := record.Module{Name: f[0], State: f[4], Address: f[5], InProc: true}
		m.Size, _ = strconv.ParseInt(f[1], 10, 64)
		m.RefCount, _ = strconv.ParseInt(f[2], 10, 64)
		for user := range strings.SplitSeq(f[3], ",") {
			if user != "" && user != "-" {
				m.UsedBy = append(m.UsedBy, user)
			}
		}
		if len(f) > 6 {
			m.Taint = strings.Trim(f[6], "()")
		}
		list = append(list, m)
	}
	return list
}

// symbolModule returns the module of one line of /proc/kallsyms:
//
//	ffffffffc0a01000 t ext4_open	[ext4]
//
// "" for the kernel itself and for what it calls modules but are none: eBPF
// programs and its own trampolines.
func symbolModule(line []byte) string {
	open := bytes.IndexByte(line, '[')
	end := bytes.LastIndexByte(line, ']')
	if open < 0 || end < open {
		return ""
	}
	name := string(line[open+1 : end])
	if name == "bpf" || strings.HasPrefix(name, "__builtin__") {
		return ""
	}
	return name
}

// mergeModules joins the views by name.
func mergeModules(proc []record.Module, sysfs, symbols map[string]bool) []record.Module {
	byName := map[string]*record.Module{}
	for _, m := range proc {
		byName[m.Name] = &m
	}
	get := func(name string) *record.Module {
		if byName[name] == nil {
			byName[name] = &record.Module{Name: name}
		}
		return byName[name]
	}
	for name := range sysfs {
		get(name).InSysfs = true
	}
	for name := range symbols {
		get(name).InKsyms = true
	}
	list := make([]record.Module, 0, len(byName))
	for _, m := range byName {
		list = append(list, *m)
	}
	slices.SortFunc(list, func(a, b record.Module) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// kernelFiles are kept as they are; tracefs is read unmounted too. Nothing below /sys/kernel/debug/tracing is
// asked for: the look would mount tracefs there. The log buffer is asked for by
// syslog(2): /dev/kmsg is a device, which would have to be opened.
var kernelFiles = []string{
	"/proc/version", "/proc/version_signature", "/proc/cmdline", "/proc/bootconfig", "/proc/modules", "/proc/kallsyms",
	"/proc/sys/kernel/tainted", "/proc/cpuinfo", "/proc/meminfo", "/proc/vmstat", "/proc/loadavg", "/proc/iomem", "/proc/ioports",
	"/proc/interrupts", "/proc/softirqs", "/proc/devices", "/proc/misc", "/proc/filesystems", "/proc/keys",
	"/proc/key-users", "/proc/crypto", "/proc/locks", "/proc/timer_list", "/proc/swaps", "/proc/partitions",
	"/proc/consoles", "/proc/config.gz", "/proc/vmallocinfo", "/proc/sysvipc/shm", "/proc/sysvipc/sem", "/proc/sysvipc/msg", "/proc/buddyinfo",
	"/sys/kernel/security/lockdown", "/sys/kernel/security/lsm", "/sys/kernel/security/ima/ascii_runtime_measurements",
	"/sys/kernel/security/ima/binary_runtime_measurements", "/sys/kernel/security/ima/violations",
	"/sys/kernel/security/ima/policy", "/sys/kernel/security/tpm0/binary_bios_measurements",
	"/sys/kernel/security/integrity/evm/evm", "/sys/kernel/security/tomoyo/profile",
	"/sys/kernel/security/apparmor/profiles", "/sys/fs/selinux/enforce",
	"/sys/kernel/tracing/enabled_functions",
	"/sys/kernel/tracing/touched_functions", "/sys/kernel/tracing/dynamic_events",
	"/sys/kernel/tracing/set_ftrace_filter", "/sys/kernel/debug/kprobes/list", "/sys/kernel/debug/kprobes/enabled",
	"/sys/kernel/tracing/kprobe_events", "/sys/kernel/tracing/uprobe_events", "/sys/kernel/tracing/current_tracer",
	"/sys/kernel/kexec_loaded", "/sys/kernel/kexec_crash_loaded", "/sys/kernel/uevent_helper",
	"/sys/firmware/efi/fw_platform_size",
	"/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
	"/sys/firmware/efi/efivars/SetupMode-8be4df61-93ca-11d2-aa0d-00e098032b8c",
	"/sys/firmware/efi/mok-variables/MokListRT", "/sys/firmware/efi/mok-variables/MokListXRT",
	"/sys/firmware/efi/mok-variables/SbatLevelRT",
}

// KernelLog is the name of the item with the kernel's log buffer, as
// dmesg --raw shows it.
const KernelLog = "live/kmsg"

// sysctlRoot is taken whole: it is small, and what an intruder changes
// (core_pattern, modprobe, randomize_va_space, forwarding …) is in it. The
// handlers of binfmt_misc are in it where that is mounted.
const sysctlRoot = "/proc/sys"

// unreadSysctls act when they are read, or wait.
var unreadSysctls = map[string]string{
	"/proc/sys/vm/stat_refresh": "reading it makes every processor fold its counters",
}

// maxSysctls bounds their number: every interface brings some eighty.
const maxSysctls = 100_000

// kernelTrees are folders of sysfs that are taken whole.
var kernelTrees = []string{"/sys/devices/system/cpu/vulnerabilities", "/sys/kernel/livepatch"}

// wouldMount reports whether a look into a folder makes autofs mount something
// there, which would change the host (/proc/sys/fs/binfmt_misc under systemd).
func wouldMount(mounts []collect.MountPoint, path string) bool {
	waits := false
	for _, m := range mounts {
		if m.Point == path {
			waits = m.FSType == "autofs" // a later mount covers an earlier one
		}
	}
	return waits
}

// Sysctl is the name of the record set with the values below sysctlRoot: one
// SysctlRecord a line. A file for each would take more space in the bundle
// than its value does.
const Sysctl = "live/sysctl.jsonl"

// SysctlRecord is one kernel parameter.
type SysctlRecord struct {
	Path  string       `json:"path"`
	Value record.Bytes `json:"value"`
	Error string       `json:"error,omitempty"`
}
