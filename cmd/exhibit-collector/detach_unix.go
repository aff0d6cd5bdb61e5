//go:build linux || darwin || freebsd

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/cmd/internal/command"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/collect/sink"
)

// beginWait is how long --detach waits for the run to begin or be refused: the
// time limits of consoles from afar are short.
const beginWait = 5 * time.Second

// startPipe is the number under which the run in the background finds the pipe
// to who started it.
const startPipe = 3

// detach runs the same program with the same arguments in a session of its own
// (setsid(2)), so that no signal to the terminal or process group that started
// it reaches it, and returns once it collects.
func detach(c *cli.Context, r *result, out string) error {
	if out == "-" {
		return command.Failf(command.Usage, "name a file or a server: -o", "a run in the background has no standard output for a bundle")
	}
	path := c.String("log")
	switch {
	case path == "-":
		path = ""
	case path == "" && !sink.IsURL(out):
		path = out + ".log"
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	log := null
	if path != "" {
		if err := gathering.MayWrite(c, path); err != nil {
			return err
		}
		if log, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600); err != nil {
			return err
		}
		defer log.Close()
		if err := unix.Flock(int(log.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return fmt.Errorf("lock %s: %w", path, err)
		}
	}
	pid, err := startApart(log, null, out)
	if err != nil {
		if path != "" {
			err = errors.Join(err, os.Remove(path))
		}
		return err
	}
	r.other = true
	return startedJSON{Result: "started", PID: pid, Bundle: out, Log: path}.print(c)
}

// startApart starts the run and waits until it collects.
func startApart(log, null *os.File, out string) (pid int, err error) {
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	name := exe
	if runtime.GOOS == "linux" {
		name = "/proc/self/exe" // also where its file has no name any more
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer pr.Close()
	p, err := os.StartProcess(name, append([]string{exe}, os.Args[1:]...), &os.ProcAttr{
		Files: []*os.File{null, log, log, pw}, Env: append(os.Environ(), detachedOutput+"="+out), Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err = errors.Join(err, pw.Close()); err != nil {
		return 0, err
	}
	if err := pr.SetReadDeadline(time.Now().Add(beginWait)); err != nil {
		return 0, err
	}
	var said [4096]byte
	n, err := io.ReadAtLeast(pr, said[:], len(began))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), string(said[:n]) == began:
		pid = p.Pid
		return pid, p.Release()
	}
	rest, err := io.ReadAll(io.LimitReader(pr, int64(len(said))))
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, err
	}
	why := strings.TrimSpace(string(said[:n]) + string(rest))
	st, err := p.Wait()
	if err != nil {
		return 0, err
	}
	if why == "" {
		why = "the run in the background ended before it began: " + st.String()
	}
	why, hint, _ := strings.Cut(why, "\n")
	return 0, command.Failf(max(st.ExitCode(), command.Failure), hint, "%s", why)
}

// starter is the pipe to who started a run in the background; nil where this
// is none.
func starter() *os.File {
	if !detached() {
		return nil
	}
	unix.CloseOnExec(startPipe)
	return os.NewFile(startPipe, "starter")
}

// held reports whether the run that writes a log goes on: it holds a lock
// (flock(2)) that ends with it.
func held(log *os.File) (bool, error) {
	err := unix.Flock(int(log.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask for the lock of %s: %w", log.Name(), err)
	}
	return false, unix.Flock(int(log.Fd()), unix.LOCK_UN)
}
