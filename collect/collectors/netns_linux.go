package collectors

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/footprint"
	"golang.org/x/sys/unix"
)

const (
	maxNetns       = 4096 // namespaces that are entered; more are counted
	maxNetnsOwners = 16   // processes named for each
	nsfsMagic      = 0x6e736673
)

// netns is one network namespace: who lives in it and what keeps it alive.
type netns struct {
	name      string // net:[inode], as /proc/PID/ns/net says
	inode     uint64
	own       bool
	processes int64
	pids      []int64          // the first of them, by number
	tids      []int64          // threads that left the namespace of their process for this one
	fds       []record.NetnsFD // descriptors that keep it: setns(2) needs no more to come back
	links     []string         // below procfs, which lead to it: PID/ns/net
	pins      []string         // mounts that keep it (ip-netns(8) makes them in /run/netns)
}

// netnsInode reads "net:[4026531840]".
func netnsInode(name string) (uint64, bool) {
	text, ok := strings.CutPrefix(name, "net:[")
	if !ok || !strings.HasSuffix(text, "]") {
		return 0, false
	}
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 64)
	return n, err == nil && n != 0
}

// namespaces lists the network namespaces of all processes, of all their
// threads and descriptors, and of the mounts that the collector and process 1
// see; the collector's own comes first, the others by inode.
func namespaces(ctx context.Context, h *collect.Host) ([]*netns, error) {
	all := map[string]*netns{}
	get := func(name string) *netns {
		inode, ok := netnsInode(name)
		if !ok {
			return nil
		}
		if all[name] == nil {
			all[name] = &netns{name: name, inode: inode}
		}
		return all[name]
	}
	own, err := os.Readlink("/proc/thread-self/ns/net")
	if n := get(own); n != nil {
		n.own = true
	} else { // a kernel without network namespaces has one network all the same
		all[""] = &netns{own: true}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	err = errors.Join(err, netnsOfProcesses(ctx, h, get))
	for _, of := range []string{"/proc/thread-self/mountinfo", processOne} {
		text, err := os.ReadFile(of)
		if err != nil {
			continue // of process 1: not permitted
		}
		if of == processOne {
			footprint.ProcFile()
		}
		mounts, _ := collect.ParseMountInfo(text)
		for _, m := range mounts {
			n := (*netns)(nil)
			if m.FSType == "nsfs" {
				n = get(string(m.Root))
			}
			if n != nil && !slices.Contains(n.pins, string(m.Point)) {
				n.pins = append(n.pins, string(m.Point))
			}
		}
	}
	list := make([]*netns, 0, len(all))
	for _, n := range all {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b *netns) int {
		switch {
		case a.own != b.own && a.own, a.own == b.own && a.inode < b.inode:
			return -1
		}
		return 1
	})
	return list, err
}

func netnsOfProcesses(ctx context.Context, h *collect.Host, get func(string) *netns) error {
	proc, err := openProcesses(h)
	if err != nil {
		return err
	}
	defer proc.close()
	pids, err := proc.list()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := proc.process(pid)
		if err != nil {
			continue // ended meanwhile
		}
		netnsOfProcess(p, get)
		p.close()
	}
	return nil
}

func netnsOfProcess(p *process, get func(string) *netns) {
	const link = "ns/net"
	pid := strconv.FormatInt(p.pid, 10)
	name, err := p.link(link)
	if err != nil {
		return // ended, a zombie, or not permitted: the processes collector says so
	}
	if n := get(name); n != nil {
		n.processes++
		if len(n.pids) < maxNetnsOwners {
			n.pids, n.links = append(n.pids, p.pid), append(n.links, pid+"/"+link)
		}
	}
	fds, _ := listNumbers(p.fd, "fd") // ended, or not permitted: likewise
	for _, fd := range fds {
		in := "fd/" + strconv.FormatInt(fd, 10)
		target, err := p.link(in)
		if err != nil || !strings.HasPrefix(target, "net:[") {
			continue
		}
		if n := get(target); n != nil && len(n.fds) < maxNetnsOwners {
			n.fds, n.links = append(n.fds, record.NetnsFD{PID: p.pid, FD: fd}), append(n.links, pid+"/"+in)
		}
	}
	tids, err := listNumbers(p.fd, "task")
	if err != nil || len(tids) < 2 {
		return
	}
	for _, tid := range tids {
		in := "task/" + strconv.FormatInt(tid, 10) + "/" + link
		other, err := p.link(in)
		if err != nil || other == name {
			continue
		}
		if n := get(other); n != nil && len(n.tids) < maxNetnsOwners {
			n.tids, n.links = append(n.tids, tid), append(n.links, pid+"/"+in)
		}
	}
}

// open returns a descriptor by which a namespace can be entered: through the
// first owner that is still there, else through a mount.
func (n *netns) open(h *collect.Host) (int, error) {
	last := error(fs.ErrNotExist)
	try := func(path string) (int, bool) {
		fd, err := openNetns(path, n.inode)
		if err != nil {
			last = &fs.PathError{Op: "open", Path: path, Err: err}
		}
		return fd, err == nil
	}
	for _, link := range n.links {
		if fd, ok := try(filepath.Join(h.Root, "proc", link)); ok {
			return fd, nil
		}
	}
	for _, pin := range n.pins {
		if fd, ok := try(filepath.Join(h.Root, pin)); ok {
			return fd, nil
		}
	}
	return -1, last
}

// processOne has the mounts of the first process, which may be others than
// this program's.
const processOne = "/proc/1/mountinfo"

// openNetns opens path when it is the namespace wanted. What it is is seen
// before it is opened: what the name means now may be a device or a pipe.
func openNetns(path string, inode uint64) (int, error) {
	at, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(at)
	var of unix.Statfs_t
	var st unix.Stat_t
	if err := unix.Fstatfs(at, &of); err != nil {
		return -1, err
	}
	if err := unix.Fstat(at, &st); err != nil {
		return -1, err
	}
	if of.Type != nsfsMagic || st.Ino != inode {
		return -1, unix.ESTALE
	}
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(at), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		footprint.ProcFile()
	}
	return fd, err
}

// inNetns runs look on a thread of its own that has entered the network
// namespace of fd and ends with it: setns(2) changes a thread, and a thread
// that was in a foreign namespace must not serve anything else afterwards.
func inNetns(fd int, look func() error) error {
	return onThread(func() error {
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("setns", err)
		}
		return look()
	})
}

// onThread runs do on a thread that ends afterwards. It is never the first
// one of the process: that cannot end before the others, and what the kernel
// says of the process, /proc/self and /proc/net among it, is of that one.
func onThread(do func() error) error {
	type end struct {
		err   error
		panic any
	}
	done := make(chan end, 1)
	go func() {
		var e end
		defer func() {
			e.panic = recover() // the engine can only catch what its own goroutine throws
			done <- e
		}()
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			e.err = onThread(do) // which gets another, because we hold this one
			return
		}
		e.err = do() // still locked: the thread ends with the goroutine
	}()
	e := <-done
	if e.panic != nil {
		panic(e.panic)
	}
	return e.err
}

// eachNetns runs look in every network namespace, the own one first. One that
// cannot be entered is a problem of the record set what; an error of look ends
// it all.
func eachNetns(ctx context.Context, h *collect.Host, out collect.Taker, what string, look func(*netns) error) error {
	list, err := namespaces(ctx, h)
	if err != nil {
		out.Problem(problemOf(err, what))
	}
	return enterAll(ctx, h, out, what, list, look)
}

func enterAll(ctx context.Context, h *collect.Host, out collect.Taker, what string, list []*netns, look func(*netns) error) error {
	if more := len(list) - maxNetns; more > 0 {
		out.Problem(problemAt(evidence.TooBig, what,
			fmt.Sprintf("%d of %d network namespaces were not entered: %d are the most", more, len(list), maxNetns)))
		list = list[:maxNetns]
	}
	for _, n := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if n.own {
			if err := look(n); err != nil {
				return err
			}
			continue
		}
		var failed error // of look, which ends the run
		err := func() error {
			fd, err := n.open(h)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return inNetns(fd, func() error {
				failed = look(n)
				return nil
			})
		}()
		if failed != nil {
			return failed
		}
		if err != nil {
			out.Problem(problemOf(fmt.Errorf("enter network namespace %s: %w", n.name, err), what))
		}
	}
	return nil
}
