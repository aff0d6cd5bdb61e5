package collectors

import (
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// frozen is a process that was stopped with ptrace(2): PTRACE_SEIZE and
// PTRACE_INTERRUPT of each thread. Unlike SIGSTOP, its parent is not told, and
// unlike a cgroup, nothing beside it stands still; above all the kernel itself
// sets the threads going again when the thread that stopped them ends, in
// whatever way: a panic, a second Ctrl-C, SIGKILL. While it is stopped its
// TracerPid is that of the thread, and system calls it waits in may return
// EINTR afterwards, as after any stop. A nil *frozen stopped nothing.
type frozen struct {
	done    chan struct{}
	thawed  chan struct{}
	threads map[int64]*frozenThread
	reason  string // why not all of it stands still
}

type frozenThread struct {
	signal    int // that was on its way and is given to it when it goes on
	stopped   bool
	registers []byte
}

const (
	// freezeWait is how long threads have to stop; one that waits for a
	// device does not.
	freezeWait = 2 * time.Second
	// maxFrozen bounds the threads that are stopped.
	maxFrozen = 1 << 15

	ptraceEventStop = 128 // PTRACE_EVENT_STOP of linux/ptrace.h
	notePRStatus    = 1   // NT_PRSTATUS of elf.h
)

// freeze stops a process until thaw. What could not be stopped, why says.
func freeze(p *process) *frozen {
	f := &frozen{done: make(chan struct{}), thawed: make(chan struct{}), threads: map[int64]*frozenThread{}}
	ready := make(chan struct{})
	go f.hold(p, ready)
	<-ready
	return f
}

// hold stops the threads and holds them from a thread of its own, which ends
// with it: the goroutine never gives it back.
func (f *frozen) hold(p *process, ready chan struct{}) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The main thread would not end. While it is locked here, another
		// one is found.
		inner := make(chan struct{})
		go func() {
			defer close(inner)
			f.hold(p, ready)
		}()
		<-inner
		runtime.UnlockOSThread()
		return
	}
	defer close(f.thawed)
	defer f.release()
	func() {
		defer close(ready) // also after a panic: nobody waits for ever
		f.stop(p)
	}()
	<-f.done
}

// stop stops all threads, those that begin meanwhile, too.
func (f *frozen) stop(p *process) {
	deadline := time.Now().Add(freezeWait)
	for {
		tids, err := listNumbers(p.fd, "task")
		if err != nil {
			f.reason = "it ended"
			return
		}
		fresh := false
		for _, tid := range tids {
			if f.threads[tid] != nil {
				continue
			}
			if len(f.threads) == maxFrozen {
				f.reason = fmt.Sprintf("it has more than %d threads", maxFrozen)
				return
			}
			if err := ptrace(unix.PTRACE_SEIZE, tid, 0, 0); err != nil {
				if err == unix.ESRCH {
					continue // this thread ended
				}
				f.reason = "it cannot be stopped: " + err.Error()
				return
			}
			fresh, f.threads[tid] = true, &frozenThread{}
			_ = ptrace(unix.PTRACE_INTERRUPT, tid, 0, 0) // fails where it ended, which waiting shows
		}
		for tid, t := range f.threads {
			if !t.stopped && !f.await(tid, t, deadline) {
				f.reason = fmt.Sprintf("thread %d did not stop", tid)
				return
			}
		}
		if !fresh {
			return
		}
	}
}

// await waits until a thread stands still or is gone.
func (f *frozen) await(tid int64, t *frozenThread, deadline time.Time) bool {
	for {
		var ws unix.WaitStatus
		got, err := unix.Wait4(int(tid), &ws, unix.WALL|unix.WNOHANG, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil, got > 0 && !ws.Stopped():
			delete(f.threads, tid) // it ended
			return true
		case got > 0:
			t.stopped = true
			if int(ws)>>16 != ptraceEventStop { // it was about to get a signal
				t.signal = int(ws.StopSignal())
			}
			t.registers = registersOf(tid)
			return true
		case time.Now().After(deadline):
			return false
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// release sets all threads going again. What does not stand still yet cannot
// be told to: it goes on when this thread ends.
func (f *frozen) release() {
	for tid, t := range f.threads {
		if t.stopped {
			_ = ptrace(unix.PTRACE_DETACH, tid, 0, uintptr(t.signal)) // fails where it was killed
		}
	}
}

// thaw sets the process going again. It may be called more than once.
func (f *frozen) thaw() {
	if f == nil || f.done == nil {
		return
	}
	close(f.done)
	<-f.thawed
	f.done = nil
}

func (f *frozen) whole() bool { return f != nil && f.reason == "" }

// count is how many threads were stopped.
func (f *frozen) count() (n int) {
	for _, t := range f.threads {
		if t.stopped {
			n++
		}
	}
	return n
}

func (f *frozen) why() string {
	if f == nil {
		return "it was not to be stopped"
	}
	return f.reason
}

// registers returns those of a thread that stands still, as NT_PRSTATUS of
// a core has them; nil of others.
func (f *frozen) registers(tid int64) []byte {
	if f == nil || f.threads[tid] == nil {
		return nil
	}
	return f.threads[tid].registers
}

func ptrace(request int, tid int64, addr, data uintptr) error {
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), addr, data, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func registersOf(tid int64) []byte {
	buf := make([]byte, 1024) // arm64 has 272 bytes, amd64 216
	iov := unix.Iovec{Base: &buf[0]}
	iov.SetLen(len(buf))
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GETREGSET, uintptr(tid), notePRStatus, uintptr(unsafe.Pointer(&iov)), 0, 0)
	runtime.KeepAlive(buf)
	if errno != 0 {
		return nil
	}
	return buf[:iov.Len:iov.Len]
}
