package bars

import (
	"bufio"
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/internal/hungfs"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// traced are the system calls by which a program opens, writes, changes or
// starts something.
const traced = "openat,openat2,?open,?creat,write,writev,pwrite64,pwritev,pwritev2,sendfile,copy_file_range,splice,readlinkat,?readlink,socket,socketpair," +
	"clone,clone3,?fork,?vfork,execve,execveat," +
	"mkdirat,?mkdir,mknodat,?mknod,unlinkat,?unlink,?rmdir,renameat,renameat2,?rename,linkat,?link,symlinkat,?symlink,truncate,ftruncate,fallocate," +
	"fchmod,fchmodat,?chmod,fchown,fchownat,?chown,?lchown,utimensat,?utime,?utimes,?futimesat,setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr," +
	"mount,umount2,move_mount,init_module,finit_module"

// changing are those of them that change a host.
var changing = regexp.MustCompile(`^(mk|unlink|rmdir|rename|link|symlink|trunc|ftrunc|fallocate|f?ch(mod|own)|lchown|utime|futimes|l?f?(set|remove)xattr|mount|umount|move_mount|init_module|finit_module)`)

// seen is what strace(1) saw of a run. Failed calls are not in it.
type seen struct {
	pid     int
	spared  []string  // opened with O_NOATIME: paths, as the kernel says
	plain   []string  // opened without, by a path
	within  []string  // the same, in an open folder of procfs or the like
	links   []string  // symbolic links read by path
	output  []written // to standard output
	sockets int64
	started []string // programs and processes
	changed []string // whatever else leaves a trace
}

// written is one write(2).
type written struct {
	at float64 // s since 1970
	n  int64   // bytes
}

// watch runs a program under strace and returns what it saw.
func watch(t *testing.T, attr *syscall.SysProcAttr, name string, args ...string) (*ran, *seen) {
	t.Helper()
	strace := testenv.Tool(t, "strace")
	dir := folder(t)
	check(t, os.Chmod(dir, 0o777))
	// A file a thread (-ff), so that no call is told in two halves.
	cmd := exec.Command(strace, append([]string{"-ff", "--seccomp-bpf", "-qq", "-y", "-z", "-ttt", "-s", "0", "-e", "signal=none", "-e", "trace=" + traced, "-o", filepath.Join(dir, "thread"), name}, args...)...)
	cmd.SysProcAttr = attr
	r := stream(t, cmd)
	s := &seen{pid: r.footprint(t).PID}
	defer func() { slices.SortFunc(s.output, func(a, b written) int { return cmp.Compare(a.at, b.at) }) }()
	threads, err := filepath.Glob(filepath.Join(dir, "thread.*"))
	check(t, err)
	for _, thread := range threads {
		f, err := os.Open(thread)
		check(t, err)
		for lines := bufio.NewScanner(f); lines.Scan(); {
			s.call(t, lines.Text())
		}
		f.Close()
	}
	return r, s
}

var (
	callText = regexp.MustCompile(`^([0-9.]+) (\w+)\((.*)\)\s+= (\d+)(?:<(.*)>)?$`)
	fdText   = regexp.MustCompile(`^(\d+)<(.*?)>, `)
)

// call notes one line of strace.
func (s *seen) call(t *testing.T, line string) {
	t.Helper()
	m := callText.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("strace says %q", line)
	}
	name, args, result := m[2], m[3], m[5]
	switch {
	case changing.MatchString(name):
		s.changed = append(s.changed, line)
	case strings.HasPrefix(name, "open") || name == "creat":
		switch {
		case strings.Contains(args, "O_PATH"):
		case regexp.MustCompile(`O_(WRONLY|RDWR|CREAT|TRUNC)`).MatchString(args) || name == "creat":
			s.changed = append(s.changed, line)
		case strings.Contains(args, "O_NOATIME"):
			s.spared = append(s.spared, result)
		case fdText.MatchString(args):
			s.within = append(s.within, result)
		default:
			s.plain = append(s.plain, result)
		}
	case strings.HasPrefix(name, "readlink"):
		// By an opened name, or the one that is not read through a collector.
		if fdText.MatchString(args) && strings.Contains(args, `>, "", `) || strings.Contains(args, `"/etc/localtime"`) {
			s.links = append(s.links, args)
		}
	case strings.Contains(name, "write") || name == "sendfile" || name == "copy_file_range" || name == "splice":
		fd := fdText.FindStringSubmatch(args)
		n, err := strconv.ParseInt(m[4], 10, 64)
		check(t, err)
		at, err := strconv.ParseFloat(m[1], 64)
		check(t, err)
		switch {
		case fd != nil && fd[1] == "1":
			s.output = append(s.output, written{at, n})
		case fd != nil && (fd[1] == "2" || strings.HasPrefix(fd[2], "anon_inode:") || strings.HasPrefix(fd[2], "socket:") || strings.HasPrefix(fd[2], "NETLINK") || strings.HasPrefix(fd[2], "pipe:")):
		default:
			s.changed = append(s.changed, line)
		}
	case name == "socket" || name == "socketpair":
		s.sockets++
	case strings.HasPrefix(name, "exec"):
		s.started = append(s.started, line)
	case strings.HasPrefix(name, "clone") || strings.HasSuffix(name, "fork"):
		if !strings.Contains(args, "CLONE_THREAD") {
			s.started = append(s.started, line)
		}
	}
}

// ownState reports whether a path tells a program about itself or is what the
// runtime reads at its start: nothing of it is evidence, unlike the network
// that it shares.
func (s *seen) ownState(path string) bool {
	if strings.Contains(path, "/net/") {
		return false
	}
	own := "/proc/" + strconv.Itoa(s.pid) + "/"
	for _, at := range []string{own, "/proc/self/", "/proc/thread-self/", "/proc/pressure/", "/sys/fs/cgroup/", "/sys/kernel/mm/transparent_hugepage/", os.Getenv(program)} {
		if strings.HasPrefix(path, at) {
			return true
		}
	}
	return false
}

// What the record of the run says of itself is what strace saw from outside:
// files opened and how, links read, bytes written, sockets, processes.
func TestTheFootprintIsWhatTheKernelSaw(t *testing.T) {
	testenv.Tool(t, "strace")
	name := collector(t)
	if hungfs.Elsewhere(t) {
		return
	}
	// A fresh process namespace has four million numbers to be asked for.
	few := filepath.Join(t.TempDir(), "pid_max")
	check(t, os.WriteFile(few, []byte("32768\n"), 0o644))
	check(t, unix.Mount(few, "/proc/sys/kernel/pid_max", "", unix.MS_BIND, ""))

	root := folder(t)
	for i := range 100 {
		put(t, filepath.Join(root, "var/log", "app"+strconv.Itoa(i)+".log"), []byte(strings.Repeat("line\n", i)))
	}
	put(t, filepath.Join(root, "etc/passwd"), []byte("root:x:0:0::/root:/bin/sh\n"))
	put(t, filepath.Join(root, "etc/hostname"), []byte("web01\n"))
	check(t, os.Symlink("app1.log", filepath.Join(root, "var/log/link")))

	dead := []string{"--quiet", "-o", "-", "--root", root, "-c", "linux_logs,linux_persistence,linux_users,filesystem_walk"}
	for _, tc := range []struct {
		name   string
		attr   *syscall.SysProcAttr
		args   []string
		atimes bool // O_NOATIME is refused
	}{
		{"below a folder", nil, dead, false},
		{"as somebody else", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}, dead, true},
		{"the running host", nil, []string{"--quiet", "-o", "-", "-c", "linux_clocks,linux_network,linux_processes,linux_kernel,linux_mounts,linux_sessions"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, s := watch(t, tc.attr, name, tc.args...)
			f := r.footprint(t)
			var plain, kernel, others []string
			for _, path := range s.plain {
				switch {
				case strings.HasPrefix(path, root):
					plain = append(plain, path)
				case s.ownState(path):
				case strings.HasPrefix(path, "/proc/") || strings.HasPrefix(path, "net:"):
					kernel = append(kernel, path)
				default:
					others = append(others, path)
				}
			}
			for _, path := range s.within {
				if strings.HasPrefix(path, root) {
					plain = append(plain, path)
				} else {
					kernel = append(kernel, path)
				}
			}
			if n := int64(len(s.spared) + len(plain)); f.FilesOpened != n || f.OpenedAtime != int64(len(plain)) || (f.OpenedAtime > 0) != tc.atimes {
				t.Errorf("%d files opened, %d of them without O_NOATIME; strace saw %d and %d", f.FilesOpened, f.OpenedAtime, n, len(plain))
			}
			if f.ProcOpened != int64(len(kernel)) {
				t.Errorf("%d files of the kernel opened, strace saw %d: %q", f.ProcOpened, len(kernel), kernel)
			}
			if len(others) > 0 {
				t.Errorf("opened and in no record: %q", others)
			}
			// Those read in the copy of the mounts have a path that begins there; of
			// the running host it is the same one.
			s.links = slices.DeleteFunc(s.links, func(l string) bool { return !strings.Contains(l, root) })
			if f.LinksRead != int64(len(s.links)) || f.LinksRead > 0 != tc.atimes {
				t.Errorf("%d links read, strace saw %d: %q", f.LinksRead, len(s.links), s.links)
			}
			before, all := false, int64(0)
			for _, w := range s.output {
				all += w.n
				before = before || all == f.Written
			}
			if !before || all != r.size {
				t.Errorf("%d bytes written before the record, %d in all; strace saw %v, %d in all", f.Written, r.size, s.output, all)
			}
			sockets := int64(0)
			for _, n := range f.Sockets {
				sockets += n
			}
			if sockets != s.sockets {
				t.Errorf("%d sockets, strace saw %d", sockets, s.sockets)
			}
			if f.Children != 0 || len(s.started) != 1 {
				t.Errorf("%d children, strace saw %q", f.Children, s.started)
			}
			if len(s.changed) > 0 {
				t.Errorf("it changed the host: %q", s.changed)
			}
		})
	}
}
