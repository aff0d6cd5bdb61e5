//go:build linux

package clitest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// passed are the variables of a script that commands started here see.
var passed = []string{"PATH", "HOME", "XDG_CONFIG_HOME", "TERM", "TZ", "TMPDIR", "NO_COLOR", "CLICOLOR_FORCE", "EXHIBIT_PROGRESS", "EXHIBIT_CASE"}

func newCommand(ts *testscript.TestScript, args []string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range passed {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	return cmd
}

// patience bounds how long a script waits for something to begin or end.
const patience = 30 * time.Second

// interrupt WHEN SIGNAL CODE COMMAND…: sends INT or TERM at a known moment,
// and again until the command ends if SIGNAL has a plus behind it. WHEN is
// stderr:REGEXP, file:GLOB, grown:GLOB (a file there has over 1 MiB), or stalled: nobody reads the command's standard
// output and there is no more room in the pipe.
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: interrupt stderr:REGEXP|file:GLOB|grown:GLOB|stalled INT|TERM[+] CODE COMMAND...")
	}
	name, again := strings.CutSuffix(args[1], "+")
	sig, ok := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM}[name]
	want, err := strconv.Atoi(args[2])
	if err != nil || !ok {
		ts.Fatalf("%q is no signal, or %q no code", args[1], args[2])
	}
	p := start(ts, args[3:], args[0] == "stalled")
	p.await(ts, args[0])
	p.signal(ts, sig, again)
	got := p.cmd.ProcessState.ExitCode()
	out, rest := p.result()
	fmt.Fprint(ts.Stdout(), out)
	fmt.Fprint(ts.Stderr(), rest)
	if got != want {
		ts.Fatalf("%q: exit code %d (%v), want %d\n%s", args[3:], got, p.cmd.ProcessState, want, rest)
	}
}

// process is a command in the background with what it has written so far.
type process struct {
	cmd    *exec.Cmd
	out    *os.File // read end of its standard output
	stderr lockedBuffer
	stdout lockedBuffer
	ended  chan error
	read   sync.WaitGroup
}

func start(ts *testscript.TestScript, args []string, stall bool) *process {
	p := &process{cmd: newCommand(ts, args), ended: make(chan error, 1)}
	r, w, err := os.Pipe()
	ts.Check(err)
	p.out, p.cmd.Stdout, p.cmd.Stderr = r, w, &p.stderr
	if stall {
		_, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, pipeSize)
		ts.Check(err)
	} else {
		p.read.Go(func() { _, _ = io.Copy(&p.stdout, r) })
	}
	ts.Check(p.cmd.Start())
	ts.Check(w.Close())
	go func() { p.ended <- p.cmd.Wait() }()
	return p
}

const pipeSize = 4096

// await returns when the moment has come.
func (p *process) await(ts *testscript.TestScript, when string) {
	come := p.moment(ts, when)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if come() {
			return
		}
		select {
		case err := <-p.ended:
			ts.Fatalf("the command ended before %s: %v\n%s", when, err, p.stderr.String())
		default:
		}
	}
	_ = p.cmd.Process.Kill()
	ts.Fatalf("%s did not come about\n%s", when, p.stderr.String())
}

func (p *process) moment(ts *testscript.TestScript, when string) func() bool {
	kind, rest, _ := strings.Cut(when, ":")
	switch kind {
	case "stderr":
		re := regexp.MustCompile(rest)
		return func() bool { return re.MatchString(p.stderr.String()) }
	case "file":
		return func() bool {
			found, err := filepath.Glob(ts.MkAbs(rest))
			return err == nil && len(found) > 0
		}
	case "grown":
		return func() bool {
			found, err := filepath.Glob(ts.MkAbs(rest))
			if err != nil || len(found) == 0 {
				return false
			}
			st, err := os.Stat(found[0])
			return err == nil && st.Size() > 1<<20
		}
	case "stalled":
		return func() bool {
			n, err := unix.IoctlGetInt(int(p.out.Fd()), unix.TIOCINQ)
			return err == nil && n == pipeSize
		}
	}
	ts.Fatalf("unknown moment %q", when)
	return nil
}

// signal sends sig, again and again if asked to, until the process has ended.
func (p *process) signal(ts *testscript.TestScript, sig syscall.Signal, again bool) {
	ts.Check(p.cmd.Process.Signal(sig))
	for end := time.Now().Add(patience); time.Now().Before(end); {
		select {
		case <-p.ended:
			return
		case <-time.After(50 * time.Millisecond):
		}
		if again {
			_ = p.cmd.Process.Signal(sig)
		}
	}
	_ = p.cmd.Process.Kill()
	ts.Fatalf("the command did not end after %v\n%s", sig, p.stderr.String())
}

// result returns all that the ended process has written.
func (p *process) result() (stdout, stderr string) {
	p.read.Wait()
	_, _ = io.Copy(&p.stdout, p.out) // what stalled
	p.out.Close()
	return p.stdout.String(), p.stderr.String()
}

// lockedBuffer is a buffer that is read while a process still writes to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// onPty CODE COMMAND…: runs the command with both its outputs on a terminal;
// what the terminal was sent is standard output for the script.
func onPty(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: onpty CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	control, terminal, err := openPty()
	ts.Check(err)
	cmd := newCommand(ts, args[1:])
	cmd.Stdout, cmd.Stderr = terminal, terminal
	ts.Check(cmd.Start())
	ts.Check(terminal.Close())
	var shown bytes.Buffer
	_, _ = io.Copy(&shown, control) // ends with EIO when the last writer has closed
	err = cmd.Wait()
	ts.Check(control.Close())
	fmt.Fprint(ts.Stdout(), shown.String())
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("%q: exit code %d, want %d\n%s", args[1:], got, want, shown.String())
	}
}

func openPty() (control, terminal *os.File, err error) {
	control, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(control.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		return nil, nil, errors.Join(err, control.Close())
	}
	return control, terminal, nil
}

// ended LOG: the run in the background that writes LOG ends in time. It holds
// a lock on it (flock(2)) for as long as it lives.
func ended(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ended LOG")
	}
	f, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
			return
		}
	}
	ts.Fatalf("the run that writes %s goes on and on", args[0])
}
