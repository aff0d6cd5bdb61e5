package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The guest is a small host of its own on this kernel: namespaces for mounts,
// processes, network, name and IPC, and a root that holds nothing but what is
// put there. Its first process is this test binary, in three roles.
const (
	roleBuild    = "build"    // makes the root and moves into it
	roleInit     = "init"     // plants facts and runs the collector
	roleAttacker = "attacker" // another machine, in a network of its own
	roleStill    = "still"    // a process that does nothing, under another name
	roleNoChild  = "no-child" // executes a program that cannot start another
)

// role names what a process of this test binary is instead of a test.
const role = "EXHIBIT_E2E_ROLE"

// Files that the guest is given by their numbers.
const (
	fdTruth  = 3 + iota // what was planted, as JSON
	fdBundle            // the bundle, streamed
	fdKilled            // what a killed collector left in a file
	fdPipe              // and what had left through a pipe
	fdPlain             // the bundle of a run without privileges
)

const (
	medium   = "/mnt/usb" // what the examiner brought: programs, and room for bundles
	initPath = medium + "/init"
	program2 = medium + "/exhibit-collector"
)

// perform plays a role and returns the exit code.
func perform(play string) int {
	roles := map[string]func() error{
		roleBuild: buildGuest, roleInit: runGuest, roleAttacker: runAttacker, roleStill: standStill, roleNoChild: runWithoutChildren,
	}
	do := roles[play]
	if do == nil {
		fmt.Fprintln(os.Stderr, "no role", play)
		return 2
	}
	if err := do(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", play, err)
		return 1
	}
	return 0
}

// errNotPermitted marks what this system does not let us do at all.
var errNotPermitted = errors.New("not permitted")

// buildGuest makes the root in a new file system that records every access,
// moves into it and becomes the guest's first process.
func buildGuest() error {
	root := os.Getenv("EXHIBIT_E2E_DIR")
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("%w: mount: %w", errNotPermitted, err)
	}
	if err := unix.Mount("guest", root, "tmpfs", unix.MS_STRICTATIME, "size=1g,mode=755"); err != nil {
		return fmt.Errorf("%w: mount tmpfs: %w", errNotPermitted, err)
	}
	for _, dir := range []string{"proc", "dev", "etc/systemd/system", "run/sshd", "tmp", "var/log", "root/.ssh", "home/bob", "old", medium} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(root, "root"), 0o700); err != nil {
		return err
	}
	if err := unix.Mount("usb", filepath.Join(root, medium), "tmpfs", 0, "size=1g,mode=755"); err != nil {
		return err
	}
	if err := copyPrograms(root); err != nil {
		return err
	}
	if err := unix.Mount("proc", filepath.Join(root, "proc"), "proc", 0, ""); err != nil {
		return fmt.Errorf("%w: mount proc: %w", errNotPermitted, err)
	}
	for name, number := range map[string]int{"null": 3, "zero": 5, "random": 8, "urandom": 9} {
		if err := unix.Mknod(filepath.Join(root, "dev", name), unix.S_IFCHR|0o666, int(unix.Mkdev(1, uint32(number)))); err != nil {
			return fmt.Errorf("%w: mknod: %w", errNotPermitted, err)
		}
	}
	if err := unix.PivotRoot(root, filepath.Join(root, "old")); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/old", unix.MNT_DETACH); err != nil {
		return err
	}
	if err := errors.Join(os.Remove("/old"), unix.Sethostname([]byte("victim"))); err != nil {
		return err
	}
	return unix.Exec(initPath, []string{"init"}, []string{role + "=" + roleInit, "PATH=/usr/sbin:/usr/bin:/sbin:/bin"})
}

var libraryLine = regexp.MustCompile(`(?m)(?:=> |^\s*)(/\S+) \(0x`)

// copyPrograms copies what the guest runs, with the libraries it needs.
func copyPrograms(root string) error {
	own, err := os.Executable()
	if err != nil {
		return err
	}
	copies := map[string]string{own: initPath, os.Getenv("EXHIBIT_E2E_COLLECTOR"): program2}
	for _, name := range []string{"sshd", "sh", "sleep", "ip"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		to := path
		if name == "sh" {
			to = "/bin/sh"
		}
		copies[path] = to
	}
	for _, pattern := range []string{"/usr/lib/openssh/sshd-*", "/usr/libexec/openssh/sshd-*"} {
		helpers, _ := filepath.Glob(pattern)
		for _, path := range helpers {
			copies[path] = path
		}
	}
	for from, to := range copies {
		out, _ := exec.Command("ldd", from).Output() // fails for static programs
		for _, m := range libraryLine.FindAllSubmatch(out, -1) {
			if err := copyFile(string(m[1]), filepath.Join(root, string(m[1])), 0o755); err != nil {
				return err
			}
		}
		if err := copyFile(from, filepath.Join(root, to), 0o755); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string, mode os.FileMode) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return put(to, b, mode)
}

func put(path string, b []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, b, mode&0o777); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// fact is something planted, and how it must be found.
type fact struct {
	Name  string
	Query string   // rows of the timeline
	Rows  int      // exactly so many; 0: at least one
	At    int64    // ns since 1970 of one of the rows, ±2 s; 0: not checked
	Bytes []string // the sealed bytes of one of the rows hold all of these
}

// truth is what the guest knows of itself, for those who look from outside.
type truth struct {
	Facts    []fact
	Deleted  map[string]string // SHA-256 of what runs or is held without a name, by the name it had
	Setuid   []string
	Listen   []int64   // TCP ports with a listener
	Networks [2]string // net:[inode] of the guest's own and of the attacker's namespace
	Holes    map[string]int64
	Xattrs   map[string]string // of file odd, in base64 as JSON has it
	Flags    bool              // the file system took the immutable flag
	Special  map[string]uint32 // FIFO, socket and device by path: type bits of st_mode
	Moving   []string          // files that changed while they were read
	RawName  []byte            // a path that is no UTF-8
	Link     string            // the one symbolic link
	Sent     map[string]int64  // packets by interface while the capture ran
	Moved    []string          // access times that a run moved
	Main     ran               // the run that the facts are checked against
	Killed   ran
	KilledIn ran // the pipe
	Plain    ran
}

// ran is what the guest saw of a run of the collector.
type ran struct {
	PID             int
	Code            int
	Signal          string
	Args            []string
	Started, Ended  int64
	CPU             int64 // ns, by wait4
	MaxRSS          int64
	Summary, Stderr string
}

// runGuest is the guest's first process.
func runGuest() error {
	for fd := fdTruth; fd <= fdPlain; fd++ {
		unix.CloseOnExec(fd)
	}
	g := &guest{truth: truth{
		Deleted: map[string]string{}, Holes: map[string]int64{}, Xattrs: map[string]string{}, Special: map[string]uint32{}, Sent: map[string]int64{},
	}}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"network", g.connect},
		{"log", g.logDaemon},
		{"files", g.plantFiles},
		{"processes", g.plantProcesses},
		{"intrusion", g.intrude},
		{"collection", g.collect},
		{"a run that is killed, to a file", g.killedInFile},
		{"a run that is killed, to a pipe", g.killedInPipe},
		{"a run without privileges", g.collectPlain},
	} {
		began := time.Now()
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Fprintf(os.Stderr, "guest: %s took %.1f s\n", step.name, time.Since(began).Seconds())
	}
	out := os.NewFile(fdTruth, "truth")
	if err := json.NewEncoder(out).Encode(g.truth); err != nil {
		return err
	}
	return out.Close()
}

// guest is the state of the guest's first process.
type guest struct {
	truth    truth
	attacker *attacker
	kept     []any // what must stay open
}

func (g *guest) fact(name, query string, rows int, at time.Time, bytes ...string) {
	f := fact{Name: name, Query: query, Rows: rows, Bytes: bytes}
	if !at.IsZero() {
		f.At = at.UnixNano()
	}
	g.truth.Facts = append(g.truth.Facts, f)
}

// standStill waits to be killed.
func standStill() error {
	select {}
}

// start starts a program of the guest that lives until the guest ends, and
// waits until it runs under its own name.
func start(cmd *exec.Cmd) (int, error) {
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go cmd.Wait() //nolint:errcheck // it ends with the guest
	pid := cmd.Process.Pid
	for range 400 {
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if exe != "" && exe != initPath {
			return pid, nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return 0, fmt.Errorf("%s did not start", cmd.Path)
}

// separate gives a command namespaces of its own.
func separate(cmd *exec.Cmd, flags uintptr) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
}

func lines(s string) []string { return strings.Split(strings.TrimSpace(s), "\n") }
