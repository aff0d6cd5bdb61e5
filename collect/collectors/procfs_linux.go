package collectors

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"golang.org/x/sys/unix"
)

const (
	maxStatus = 64 << 10
	maxSmall  = 1 << 20 // of one file of /proc/PID; longer ones are cut, which is said
)

// processes is procfs. Where permitted it is an instance of our own that is
// mounted nowhere (fsopen(2), fsmount(2)): a mount over /proc/PID, by which a
// process can be hidden from ps, does not cover it, and hidepid= of the
// host's mount does not bind it. Nothing of the host changes by it.
type processes struct {
	fd       int
	detached bool
	buf      []byte
}

func openProcesses(h *collect.Host) (*processes, error) {
	if fd, err := detachedProc(); err == nil {
		return &processes{fd: fd, detached: true}, nil
	}
	path := filepath.Join(h.Root, "proc")
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &processes{fd: fd}, nil
}

func detachedProc() (int, error) {
	fsfd, err := unix.Fsopen("proc", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fsfd)
	if err := unix.FsconfigCreate(fsfd); err != nil {
		return -1, err
	}
	return unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
}

func (p *processes) close() { unix.Close(p.fd) }

// list returns the process ids that procfs lists, in order.
func (p *processes) list() ([]int64, error) { return listNumbers(p.fd, ".") }

// listNumbers lists the names of a folder that are decimal numbers.
func listNumbers(dir int, name string) ([]int64, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	var numbers []int64
	for {
		names, err := f.Readdirnames(1024)
		for _, name := range names {
			if n, err := strconv.ParseInt(name, 10, 64); err == nil {
				numbers = append(numbers, n)
			}
		}
		if err != nil || len(names) == 0 {
			slices.Sort(numbers)
			return numbers, nil
		}
	}
}

// process is one folder of procfs, opened: what is read through it is always
// of the same process, also when the number is given to another meanwhile.
type process struct {
	pid int64
	fd  int
	all *processes
}

func (p *processes) process(pid int64) (*process, error) {
	fd, err := unix.Openat(p.fd, strconv.FormatInt(pid, 10), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: "/proc/" + strconv.FormatInt(pid, 10), Err: err}
	}
	return &process{pid, fd, p}, nil
}

func (p *process) close() { unix.Close(p.fd) }

// read reads a file of the process. The bytes are valid until the next read.
// Of a longer file it returns max bytes and collect.ErrTooBig.
func (p *process) read(name string, max int) ([]byte, error) {
	fd, err := unix.Openat(p.fd, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	n := 0
	for {
		if n == len(p.all.buf) {
			p.all.buf = append(p.all.buf, make([]byte, 64<<10)...)
		}
		m, err := unix.Read(fd, p.all.buf[n:])
		if err == unix.EINTR {
			continue
		}
		if m > 0 {
			n += m
		}
		switch {
		case n > max:
			return p.all.buf[:max], collect.ErrTooBig
		case err != nil:
			return p.all.buf[:n], &fs.PathError{Op: "read", Path: name, Err: err}
		case m == 0:
			return p.all.buf[:n], nil
		}
	}
}

// link returns the text of one of the process's links.
func (p *process) link(name string) (string, error) {
	var buf [4096 + 32]byte
	n, err := unix.Readlinkat(p.fd, name, buf[:])
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(buf[:n]), nil
}

func (p *process) cgroup() record.Bytes {
	text, _ := p.read("cgroup", maxStatus) // none without CONFIG_CGROUPS
	return parseCgroup(text)
}

var namespaceNames = []string{
	"cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children", "user", "uts",
}

// namespaces returns the links of /proc/PID/ns, for example "net:[4026531840]".
func (p *process) namespaces() map[string]string {
	ns := map[string]string{}
	for _, name := range namespaceNames {
		if target, err := p.link("ns/" + name); err == nil {
			ns[name] = target
		}
	}
	return ns
}

// linked is the file behind a link of the process: its identity and whether
// it still has a name.
type linked struct {
	dev     string
	inode   uint64
	mode    uint32
	size    int64
	deleted bool
	ctime   unix.Timespec
}

func (p *process) statLink(name string) (linked, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(p.fd, name, &st, unix.AT_NO_AUTOMOUNT); err != nil {
		return linked{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return linked{
		dev:   fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)),
		inode: st.Ino, mode: st.Mode, size: st.Size, deleted: st.Nlink == 0, ctime: st.Ctim,
	}, nil
}

func (l linked) regular() bool { return l.mode&unix.S_IFMT == unix.S_IFREG }

// open opens the regular file behind a link of the process without moving its
// access time where permitted.
func (p *process) open(name string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := unix.Openat(p.fd, name, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) {
		fd, err = unix.Openat(p.fd, name, flags, 0)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// gone reports whether an error says that the process has ended.
func gone(err error) bool {
	return errors.Is(err, unix.ESRCH) || errors.Is(err, fs.ErrNotExist)
}

// problemOf makes a problem of an error about a record set or a path.
func problemOf(err error, path string) evidence.Problem {
	return evidence.Problem{
		Code: codeOf(err), Path: path, Detail: err.Error(), Ref: evidence.Ref{Offset: -1, Length: -1},
	}
}
