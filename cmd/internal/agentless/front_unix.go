//go:build unix

package agentless

import (
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// apart gives a program a process group of its own, so that Ctrl-C reaches us
// and not it: the bundle is to be ended by the collector, not by the loss of
// its connection. Where somebody may have to be asked for a password, the
// program has the terminal until back is called.
func apart(cmd *exec.Cmd, asks bool) (back func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if !asks || err != nil {
		if err == nil {
			tty.Close()
		}
		return func() {}
	}
	own, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	if err != nil || own != syscall.Getpgrp() { // in the background already
		tty.Close()
		return func() {}
	}
	cmd.SysProcAttr.Foreground, cmd.SysProcAttr.Ctty = true, int(tty.Fd())
	var once sync.Once
	return func() {
		once.Do(func() {
			defer tty.Close()
			signal.Ignore(syscall.SIGTTOU)
			defer signal.Reset(syscall.SIGTTOU)
			_ = unix.IoctlSetPointerInt(int(tty.Fd()), unix.TIOCSPGRP, own) //nolint:errcheck // without a terminal there is nothing to take back
		})
	}
}
