package collectors

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/footprint"
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
	h        *collect.Host
	fd       int
	detached bool
	buf      []byte
}

// procWait is how long a process may keep us waiting. A process whose memory
// map is locked, because a page of it comes from a file system that hangs or
// because somebody means it to, answers no question about its memory.
const procWait = 5 * time.Second

func openProcesses(h *collect.Host) (*processes, error) {
	if fd, err := detachedProc(); err == nil {
		return &processes{h: h, fd: fd, detached: true}, nil
	}
	path := filepath.Join(h.Root, "proc")
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &processes{h: h, fd: fd}, nil
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
	footprint.ProcFile()
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
	pid   int64
	fd    int
	all   *processes
	stuck bool // it kept us waiting once, and is not asked for its memory again
}

func (p *processes) process(pid int64) (*process, error) {
	fd, err := unix.Openat(p.fd, strconv.FormatInt(pid, 10), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: "/proc/" + strconv.FormatInt(pid, 10), Err: err}
	}
	return &process{pid: pid, fd: fd, all: p}, nil
}

func (p *process) close() { unix.Close(p.fd) }

// read reads a file of the process. The bytes are valid until the next read.
// Of a longer file it returns max bytes and collect.ErrTooBig.
func (p *process) read(name string, max int) ([]byte, error) {
	if p.stuck {
		return nil, &fs.PathError{Op: "read", Path: name, Err: collect.ErrTimeout}
	}
	dir, buf := p.fd, p.all.buf
	p.all.buf = nil // not ours until the answer is here
	type text struct {
		buf []byte
		n   int
		err error
	}
	t, err := collect.Patiently(p.all.h, procWait, nil, func() (text, error) {
		var t text
		t.buf, t.n, t.err = readAt(dir, name, buf, max)
		return t, nil
	})
	if err != nil {
		p.stuck = true
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	p.all.buf = t.buf
	return t.buf[:t.n], t.err
}

func openIn(dir int, name string) (int, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	footprint.ProcFile()
	return fd, nil
}

// readAt reads a file into buf, which it returns, grown where it had to.
func readAt(dir int, name string, buf []byte, max int) (out []byte, n int, err error) {
	fd, err := openIn(dir, name)
	if err != nil {
		return buf, 0, err
	}
	defer unix.Close(fd)
	for {
		if n == len(buf) {
			buf = append(buf, make([]byte, 64<<10)...)
		}
		m, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if m > 0 {
			n += m
		}
		switch {
		case n > max:
			return buf, max, collect.ErrTooBig
		case err != nil:
			return buf, n, &fs.PathError{Op: "read", Path: name, Err: err}
		case m == 0:
			return buf, n, nil
		}
	}
}

// pieces hands on a file of the process piece by piece, up to most bytes: a
// process may have made it as long as it likes. cut says that there was more.
func (p *process) pieces(name string, most int64, piece func(at int64, text []byte) error) (cut bool, err error) {
	const size = 256 << 10
	if p.stuck {
		return false, &fs.PathError{Op: "read", Path: name, Err: collect.ErrTimeout}
	}
	dir := p.fd
	fd, err := collect.Patiently(p.all.h, procWait, func(fd int) { unix.Close(fd) }, func() (int, error) { return openIn(dir, name) })
	if err != nil {
		return false, p.late(name, err)
	}
	held := false // by a read that does not come back: its number must not be given away
	defer func() {
		if !held {
			unix.Close(fd)
		}
	}()
	for at := int64(0); ; {
		buf := p.all.buf
		p.all.buf = nil
		if len(buf) < size {
			buf = make([]byte, size)
		}
		n, err := collect.Patiently(p.all.h, procWait, nil, func() (int, error) { return fill(fd, buf[:size]) })
		if errors.Is(err, collect.ErrTimeout) {
			held = true
			return false, p.late(name, err)
		}
		p.all.buf = buf
		if n > 0 {
			if err := piece(at, buf[:n]); err != nil {
				return false, err
			}
		}
		at += int64(n)
		switch {
		case err != nil:
			return false, &fs.PathError{Op: "read", Path: name, Err: err}
		case n < size:
			return false, nil
		case at >= most:
			return true, nil
		}
	}
}

// fill reads until the buffer is full or the file ends, which is no error.
func fill(fd int, buf []byte) (n int, err error) {
	for n < len(buf) {
		m, err := unix.Read(fd, buf[n:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, err
		case m == 0:
			return n, nil
		default:
			n += m
		}
	}
	return n, nil
}

// late notes that the process kept us waiting.
func (p *process) late(name string, err error) error {
	if errors.Is(err, collect.ErrTimeout) {
		p.stuck = true
		return &fs.PathError{Op: "read", Path: name, Err: collect.ErrTimeout}
	}
	return err
}

// maxMapText bounds what is read of /proc/PID/maps: some million mappings.
const maxMapText = 128 << 20

// execMaps reads the executable mappings; more says that there are others.
func (p *process) execMaps() (list []record.Map, more bool, err error) {
	var m execMaps
	cut, err := p.pieces("maps", maxMapText, func(_ int64, text []byte) error {
		if !m.add(text) {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return m.list, true, nil
	}
	return m.list, cut, err
}

var errEnough = errors.New("enough")

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
	ctime   unix.StatxTimestamp
}

// statLink asks for what is known already, without going to a server for it,
// and waits no longer than for anything else.
func (p *process) statLink(name string) (linked, error) {
	dir := p.fd
	sx, err := collect.Patiently(p.all.h, procWait, nil, func() (sx unix.Statx_t, err error) {
		err = unix.Statx(dir, name, unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, unix.STATX_BASIC_STATS, &sx)
		return sx, err
	})
	if err != nil {
		return linked{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return linked{
		dev:   fmt.Sprintf("%d:%d", sx.Dev_major, sx.Dev_minor),
		inode: sx.Ino, mode: uint32(sx.Mode), size: int64(sx.Size), deleted: sx.Nlink == 0, ctime: sx.Ctime,
	}, nil
}

func (l linked) regular() bool { return l.mode&unix.S_IFMT == unix.S_IFREG }

// open opens the regular file behind a link of the process without moving its
// access time where permitted.
func (p *process) open(name string) (*os.File, error) { return p.all.h.OpenLink(p.fd, name) }

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
