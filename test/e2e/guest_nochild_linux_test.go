package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From linux/seccomp.h, linux/filter.h and sched.h.
const (
	seccompKill  = 0x80000000
	seccompErrno = 0x00050000
	seccompAllow = 0x7fff0000
	cloneThread  = 0x00010000
	clone3       = 435 // on every architecture
)

// runWithoutChildren executes the program that its arguments name under a
// filter that kills whoever makes a process or executes a program. The one
// execution that is let through is told by the address of its path, which
// nothing has behind it.
func runWithoutChildren() error {
	os.Unsetenv(role)
	if len(os.Args) < 2 {
		return errors.New("no program named")
	}
	runtime.LockOSThread()
	page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	copy(page, os.Args[1])
	path := uintptr(unsafe.Pointer(&page[0]))
	argv, err := syscall.SlicePtrFromStrings(os.Args[1:])
	if err != nil {
		return err
	}
	env, err := syscall.SlicePtrFromStrings(os.Environ())
	if err != nil {
		return err
	}
	filter := noChildFilter(uint64(path))
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	const modeFilter, everyThread = 1, 1
	if _, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, modeFilter, everyThread, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		return fmt.Errorf("%w: seccomp: %w", errNotPermitted, errno)
	}
	_, _, errno := unix.RawSyscall(unix.SYS_EXECVE, path, uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])))
	return fmt.Errorf("execute %s: %w", os.Args[1], errno)
}

// noChildFilter is a program over struct seccomp_data: number at 0, arguments
// from 16, eight bytes each, low half first.
func noChildFilter(path uint64) []unix.SockFilter {
	var p []unix.SockFilter
	load := func(at uint32) { p = append(p, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}) }
	jump := func(op uint16, k uint32, yes, no uint8) {
		p = append(p, unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, Jt: yes, Jf: no, K: k})
	}
	say := func(k uint32) { p = append(p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k}) }

	load(0)
	jump(unix.BPF_JEQ, unix.SYS_EXECVE, 0, 6)
	load(16)
	jump(unix.BPF_JEQ, uint32(path), 0, 3)
	load(20)
	jump(unix.BPF_JEQ, uint32(path>>32), 0, 1)
	say(seccompAllow)
	say(seccompKill)
	jump(unix.BPF_JEQ, unix.SYS_CLONE, 0, 4)
	load(16)
	jump(unix.BPF_JSET, cloneThread, 0, 1)
	say(seccompAllow)
	say(seccompKill)
	jump(unix.BPF_JEQ, clone3, 0, 1)
	say(seccompErrno | uint32(unix.ENOSYS)) // the runtime falls back to clone, which can be looked into
	forbidden := []uint32{unix.SYS_EXECVEAT}
	if runtime.GOARCH == "amd64" {
		forbidden = append(forbidden, 57, 58) // fork and vfork
	}
	for _, nr := range forbidden {
		jump(unix.BPF_JEQ, nr, 0, 1)
		say(seccompKill)
	}
	say(seccompAllow)
	return p
}

// noChildHolds checks the fence itself: a shell behind it dies when it starts
// a program, and lives when it does not.
func (g *guest) noChildHolds() error {
	for script, dies := range map[string]bool{"echo alive": false, "(echo child); echo alive": true, "exec /bin/sh -c 'echo alive'": true} {
		cmd := exec.Command(initPath)
		cmd.Args = []string{"no-child", "/bin/sh", "-c", script}
		cmd.Env = append(os.Environ(), role+"="+roleNoChild)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return err
		}
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if died := status.Signaled() && status.Signal() == syscall.SIGSYS; died != dies || !dies && out.String() != "alive\n" {
			return fmt.Errorf("behind the fence %q ended with %v and said %q", script, cmd.ProcessState, out.String())
		}
	}
	return nil
}
