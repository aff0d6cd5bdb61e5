package collectors

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
)

// finder says what is out of the ordinary about a process, by comparing what
// the kernel says of it in different places.
type finder struct {
	h       *collect.Host
	proc    *processes
	listed  map[int64]bool // by the host's own procfs
	covered map[int64]bool // by a mount
}

func newFinder(h *collect.Host, proc *processes) *finder {
	f := &finder{h: h, proc: proc, covered: coveredProcesses(h)}
	f.listed = listedProcesses(h)
	return f
}

// listedProcesses are those that the host's own procfs lists: nil where it
// cannot be listed.
func listedProcesses(h *collect.Host) map[int64]bool {
	entries, err := h.ReadDir("/proc")
	if err != nil {
		return nil
	}
	listed := map[int64]bool{}
	for _, e := range entries {
		if pid, err := strconv.ParseInt(e.Name, 10, 64); err == nil {
			listed[pid] = true
		}
	}
	return listed
}

// unlisted returns the numbers of processes that answer but are in no list
// and are no threads of those that are.
func (f *finder) unlisted(ctx context.Context, pids []int64) ([]int64, error) {
	known := map[int64]bool{}
	for _, pid := range pids {
		known[pid] = true
	}
	var found []int64
	highest := highestPID(f.h)
	for pid := int64(1); pid < highest; pid++ {
		if pid%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !answers(pid) || known[pid] {
			continue
		}
		p, err := f.proc.process(pid)
		if err != nil {
			continue
		}
		text, err := p.read("status", maxStatus)
		p.close()
		if tgid := parseStatus(text).tgid; err == nil && tgid == pid {
			found = append(found, pid)
		}
	}
	return found, nil
}

// of says what is to be found about a process.
func (f *finder) of(p *process, st procStat) []string {
	if st.flags&kernelThread != 0 {
		return nil
	}
	var all []string
	say := func(format string, args ...any) { all = append(all, "finding: "+fmt.Sprintf(format, args...)) }
	if f.covered[p.pid] {
		say("its folder in /proc is covered by a mount")
	}
	if f.listed != nil && !f.listed[p.pid] && f.proc.detached && !veiled(f.h) && !listedProcesses(f.h)[p.pid] {
		say("the host's /proc does not list it")
	}
	target, err := p.link("exe")
	if err == nil {
		f.executable(p, target, say)
	}
	f.code(p, say)
	if text, aerr := p.read("cmdline", maxArgs); aerr == nil && err == nil {
		if args := parseArgs(text); len(args) > 0 && masked(string(args[0])) {
			say("it is called %q like a thread of the kernel, but runs a program", string(args[0]))
		}
	}
	if err == nil && kernelName(string(st.comm)) {
		say("its name %q is one of the kernel's threads, but it runs a program", string(st.comm))
	}
	text, err := p.read("environ", maxSmall)
	if err == nil {
		for _, lib := range preloads(string(text)) {
			say("%s from an unusual place", lib)
		}
	}
	return all
}

func (f *finder) executable(p *process, target string, say func(string, ...any)) {
	st, err := p.statLink("exe")
	switch {
	case err != nil:
	case strings.HasPrefix(target, "/memfd:"):
		say("its executable is in memory only: %q", target)
	case st.deleted:
		say("its executable was deleted: %q", target)
	case (&rescue{h: f.h}).replaced(p, target, st):
		say("the name of its executable is of another file now: %q", target)
	}
}

// code looks for executable memory that is not that of a file with a name.
func (f *finder) code(p *process, say func(string, ...any)) {
	maps, _, err := p.execMaps()
	if err != nil {
		return
	}
	anonymous, nameless := 0, 0
	for _, m := range maps {
		switch path := string(m.Path); {
		case kernelMapping(path):
		case path == "[heap]" || strings.HasPrefix(path, "[stack"):
			say("its %s is executable", path)
		case m.Inode == 0:
			anonymous++
		case strings.HasPrefix(path, "/memfd:") || strings.HasSuffix(path, deletedSuffix):
			nameless++
		}
	}
	if anonymous > 0 {
		say("%d executable mappings without a file", anonymous)
	}
	if nameless > 0 {
		say("%d executable mappings of files without a name", nameless)
	}
}

// kernelMapping reports whether the kernel itself put an executable mapping
// into every process.
func kernelMapping(path string) bool {
	return path == "[vdso]" || path == "[vsyscall]" || path == "[uprobes]" || path == "[vectors]" || path == "[sigpage]"
}

// masked reports whether a first argument looks like the name that ps shows
// of a thread of the kernel.
func masked(arg string) bool {
	arg = strings.TrimRight(arg, " ")
	return strings.HasPrefix(arg, "[") && strings.HasSuffix(arg, "]")
}

// kernelName reports whether a name is one that only threads of the kernel have.
func kernelName(comm string) bool {
	for _, prefix := range []string{"kworker/", "ksoftirqd/", "migration/", "rcu_", "kthreadd", "kswapd", "cpuhp/", "jbd2/", "irq/"} {
		if strings.HasPrefix(comm, prefix) {
			return true
		}
	}
	return false
}

// usualLibraries are the folders that libraries are installed in.
var usualLibraries = []string{"/lib/", "/lib32/", "/lib64/", "/libx32/", "/usr/lib/", "/usr/lib32/", "/usr/lib64/", "/usr/libexec/", "/usr/local/lib/", "/opt/", "/snap/", "/nix/store/"}

// preloads returns the libraries that an environment has loaded into each
// program (ld.so(8)) and that lie in no folder for libraries.
func preloads(environ string) (found []string) {
	for entry := range strings.SplitSeq(environ, "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		if name != "LD_PRELOAD" && name != "LD_AUDIT" {
			continue
		}
		for _, lib := range strings.FieldsFunc(value, func(r rune) bool { return r == ':' || r == ' ' }) {
			if strings.Contains(lib, "/") && !usualPlace(lib) {
				found = append(found, name+" "+lib)
			}
		}
	}
	return found
}

func usualPlace(lib string) bool {
	if strings.Contains(lib, "/../") {
		return false
	}
	for _, dir := range usualLibraries {
		if strings.HasPrefix(lib, dir) {
			return true
		}
	}
	return strings.HasPrefix(lib, "$LIB/")
}
