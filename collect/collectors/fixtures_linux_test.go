package collectors

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// inNamespaces runs the calling test once more as the first process of a mount
// and a process namespace of its own, and reports whether this is that run.
func inNamespaces(t *testing.T) bool {
	t.Helper()
	const inside = "EXHIBIT_TEST_NAMESPACES"
	if os.Getenv(inside) == "1" {
		for _, m := range [][2]string{{"", "/"}, {"proc", "/proc"}} {
			flags := uintptr(0)
			if m[0] == "" {
				flags = unix.MS_REC | unix.MS_PRIVATE
			}
			if err := unix.Mount(m[0], m[1], m[0], flags, ""); err != nil {
				t.Fatalf("mount %s: %v", m[1], err)
			}
		}
		return true
	}
	exe, err := os.Executable()
	check(t, err)
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, unix.EPERM):
		t.Skip("skipped: no namespaces for us (needs CAP_SYS_ADMIN)")
	case err != nil && !errors.As(err, &exit):
		t.Fatal(err)
	case err != nil:
		t.Errorf("in its namespaces: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("skipped in its namespaces:\n%s", out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name())):
		t.Errorf("it did not run in its namespaces:\n%s", out)
	}
	return false
}

// One run finds all five ways to hide, with their content whole.
func TestFiveHiddenThingsAreFoundInOneRun(t *testing.T) {
	if !inNamespaces(t) {
		return
	}
	sleep := testenv.Tool(t, "sleep")
	dir := t.TempDir()

	// A process whose folder in /proc is covered.
	covered := spawn(t, exec.Command(sleep, "1001"))
	check(t, unix.Mount("tmpfs", "/proc/"+strconv.FormatInt(covered, 10), "tmpfs", 0, ""))
	// An executable that was deleted.
	gone := filepath.Join(dir, "gone")
	goneText := copyFile(t, sleep, gone)
	deleted := spawn(t, exec.Command(gone, "1002"))
	check(t, os.Remove(gone))
	// A program of 50 MB that exists in memory only.
	text, err := os.ReadFile(sleep)
	check(t, err)
	big := append(text, make([]byte, 50_000_000-len(text))...)
	for i := len(text); i < len(big); i++ {
		big[i] = byte(i ^ i>>8 ^ i>>16)
	}
	inMemory := spawn(t, memoryProgram(t, big))
	// A listener in a network namespace of its own.
	var port int
	ns := elsewhere(t, func() error { return listen(t, &port) })
	// An eBPF program that is pinned nowhere.
	loadFilter(t, "exhibit_five", 815)

	got := live(t, linuxNetwork, linuxProcesses, linuxDeleted, linuxBPF)
	procs := byPID(t, got)
	p := procs[covered]
	if !p.Hidden || string(p.Comm) != "sleep" || len(p.Args) != 2 || string(p.Args[1]) != "1001" || p.ExeSHA256 != evidence.Sum(text).String() {
		t.Errorf("covered process: %+v", p)
	}
	views := collecttest.Lines[ProcessView](t, got, ProcessViews)
	if i := slices.IndexFunc(views, func(v ProcessView) bool { return v.PID == covered }); i < 0 {
		t.Errorf("no view of the covered process: %+v", views)
	} else if v := views[i]; !v.Covered || !v.Private || !v.Answers || !v.Opens || v.Why == "" {
		t.Errorf("view %+v", v)
	}
	if len(views) != 1 {
		t.Errorf("the views disagree about what nobody hid: %+v", views)
	}
	for pid, want := range map[int64][]byte{deleted: goneText, inMemory: big} {
		path := "/proc/" + strconv.FormatInt(pid, 10) + "/exe"
		it := got.Find(path)
		if first, ok := strings.CutPrefix(it.Detail, "the same file as "); ok && it.Kind == evidence.KindSkipped {
			path = first // between fork and exec another child held the same file
		}
		if !bytes.Equal(got.Content(t, path), want) {
			t.Errorf("%s: content is not complete: %+v", path, it)
		}
		if p := procs[pid]; !p.ExeDeleted || p.ExeSHA256 != evidence.Sum(want).String() {
			t.Errorf("process %d: %+v", pid, p)
		}
	}
	if !slices.ContainsFunc(collecttest.Lines[record.Socket](t, got, record.Sockets), func(s record.Socket) bool {
		return s.Netns == ns && s.SrcPort == int64(port) && s.State == "LISTEN" && s.Foreign && s.PID == int64(os.Getpid())
	}) {
		t.Errorf("no listener on port %d in %s", port, ns)
	}
	prog, ok := programNamed(collecttest.Lines[record.BPFProgram](t, got, record.BPFPrograms), "exhibit_five")
	if !ok || len(prog.Pins) != 0 || !bytes.Contains(got.Content(t, prog.Content), []byte{0xb7, 0, 0, 0, 0x2f, 3, 0, 0}) {
		t.Errorf("eBPF program: %v, %+v", ok, prog)
	}
}

// Arguments and environment are what the process has, byte for byte: short
// and empty ones, zero bytes, and what is no text.
func TestArgumentsAndEnvironmentAreKeptByteForByte(t *testing.T) {
	sleep := testenv.Tool(t, "sleep")
	python := testenv.Tool(t, "python3")
	for name, c := range map[string]struct {
		args, env []string
		environ   string
	}{
		"short":       {[]string{"sleep", "1000"}, []string{"A=1"}, "A=1\x00"},
		"empty":       {[]string{"", "1000"}, []string{"EMPTY=", "=x"}, "EMPTY=\x00=x\x00"},
		"no text":     {[]string{"\xff\n\t\"", "1000"}, []string{"B=\xfe\x01\r\n"}, "B=\xfe\x01\r\n\x00"},
		"nothing set": {[]string{"s", "1000"}, []string{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(sleep)
			cmd.Args, cmd.Env = c.args, c.env
			pid := spawn(t, cmd)
			got := live(t, linuxProcesses)
			p := byPID(t, got)[pid]
			if !slices.EqualFunc(p.Args, c.args, func(a record.Bytes, b string) bool { return string(a) == b }) {
				t.Errorf("arguments %q, want %q", p.Args, c.args)
			}
			if environ := rawOf(t, got, pid, 0, "environ"); environ != c.environ {
				t.Errorf("environment %q, want %q", environ, c.environ)
			}
			if line := rawOf(t, got, pid, 0, "cmdline"); line != strings.Join(c.args, "\x00")+"\x00" {
				t.Errorf("cmdline %q", line)
			}
		})
	}
	// A shell that is given a short command, and empty arguments in between.
	cmd := exec.Command(python, "-c", "import time; time.sleep(1000)", "", "id", "")
	pid := spawn(t, cmd)
	p := byPID(t, live(t, linuxProcesses))[pid]
	if n := len(p.Args); n != 6 || string(p.Args[3]) != "" || string(p.Args[4]) != "id" || string(p.Args[5]) != "" {
		t.Errorf("arguments %q", p.Args)
	}
}

// rawOf joins the lines of one raw file.
func rawOf(t *testing.T, got *collecttest.Collected, pid, tid int64, file string) string {
	t.Helper()
	var text []byte
	for _, r := range collecttest.Lines[RawFile](t, got, ProcRaw) {
		if r.PID == pid && r.TID == tid && r.File == file {
			text = append(text, r.Data...)
		}
	}
	return string(text)
}

// An environment may hold more zero bytes than entries: the kernel gives the
// memory where it was, whatever a program wrote there since.
func TestAnEnvironmentWithZeroBytesIsKept(t *testing.T) {
	python := testenv.Tool(t, "python3")
	cmd := exec.Command(python, "-c", `
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_void_p
at = libc.getenv(b"MARK")
ctypes.memmove(at, b"a\x00\x00b", 4)
print("ready", flush=True)
sys.stdin.readline()`)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "MARK=abcdefgh", "LAST=1"}
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	defer func() {
		in.Close()
		_ = cmd.Wait() // its end is not the test's
	}()
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	got := rawOf(t, live(t, linuxProcesses), int64(cmd.Process.Pid), 0, "environ")
	if !strings.Contains(got, "MARK=a\x00\x00befgh\x00") {
		t.Errorf("environment %q", got)
	}
}

// What differs by thread is kept by thread.
func TestThreadsKeepWhatIsTheirs(t *testing.T) {
	python := testenv.Tool(t, "python3")
	cmd := exec.Command(python, "-c", `
import subprocess, sys, threading
def other():
    child = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL)
    print(threading.get_native_id(), child.pid, flush=True)
    sys.stdin.readline()
    child.kill()
    child.wait()
t = threading.Thread(target=other)
t.start()
t.join()`)
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	defer func() {
		in.Close()
		_ = cmd.Wait() // its end is not the test's
	}()
	buf := make([]byte, 64)
	n := 0
	for !bytes.Contains(buf[:n], []byte("\n")) {
		m, err := out.Read(buf[n:])
		check(t, err)
		n += m
	}
	f := strings.Fields(string(buf[:n]))
	tid, err := strconv.ParseInt(f[0], 10, 64)
	check(t, err)
	got := live(t, linuxProcesses)
	pid := int64(cmd.Process.Pid)
	for _, file := range []string{"stat", "status", "comm"} {
		if rawOf(t, got, pid, tid, file) == "" {
			t.Errorf("nothing of %s of thread %d", file, tid)
		}
	}
	if _, err := os.Stat("/proc/self/task/" + strconv.Itoa(os.Getpid()) + "/children"); err == nil {
		if children := rawOf(t, got, pid, tid, "children"); strings.TrimSpace(children) != f[1] {
			t.Errorf("children of the thread %q, want %s", children, f[1])
		}
	}
	if _, err := os.Stat("/proc/self/smaps_rollup"); err == nil && !strings.Contains(rawOf(t, got, pid, 0, "smaps_rollup"), "Rss:") {
		t.Error("no smaps_rollup")
	}
}
