package collectors

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/kcore"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// planted is a python program that has known memory: it says its addresses on
// one line and waits for a line.
const planted = `
import ctypes, os, sys, hashlib
noise = os.urandom(int(os.environ.get("NOISE", "0")))
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
P = 4096
def anon(size, prot): return libc.mmap(None, size, prot, 0x22, -1, 0)
data = hashlib.sha256(b"planted").digest() * 128          # one page
big = anon(40 << 20, 3)                                    # two pages touched, far apart
ctypes.memmove(big + 5 * P, data, P)
ctypes.memmove(big + (30 << 20), data, P)
code = anon(16 * P, 7)                                     # code without a file
ctypes.memmove(code, data, P)
ctypes.memmove(code + 3 * P, data, P)
fd = open(sys.argv[1], "rb")                               # a file, one page of its code changed
lib = libc.mmap(None, 8 * P, 5, 2, fd.fileno(), 0)
libc.mprotect(lib, 8 * P, 7)
ctypes.memmove(lib + 2 * P, data, P)
libc.mprotect(lib, 8 * P, 5)
short = open(sys.argv[2], "rb")                            # a file of two pages, mapped as four
hole = libc.mmap(None, 4 * P, 3, 2, short.fileno(), 0)
ctypes.memmove(hole, data, P)
ctypes.string_at(hole + P, 1)
print(big, code, lib, hole, flush=True)
sys.stdin.readline()
`

// plantedProcess starts it and returns its number, its addresses and what ends
// its waiting.
func plantedProcess(t *testing.T, env ...string) (pid int64, big, code, lib, hole uint64, libFile string) {
	t.Helper()
	python := testenv.Tool(t, "python3")
	dir := t.TempDir()
	libFile = filepath.Join(dir, "lib.so")
	check(t, os.WriteFile(libFile, bytes.Repeat([]byte("library "), 8*4096/8), 0o755))
	short := filepath.Join(dir, "short")
	check(t, os.WriteFile(short, bytes.Repeat([]byte("short 8 "), 2*4096/8), 0o644))
	cmd := exec.Command(python, "-c", planted, libFile, short)
	cmd.Env = append(os.Environ(), env...)
	stdin, err := cmd.StdinPipe()
	check(t, err)
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	cmd.Stderr = os.Stderr
	check(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Process.Kill() // may have ended
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	check(t, err)
	var at [4]uint64
	for i, f := range strings.Fields(line) {
		at[i], err = strconv.ParseUint(f, 10, 64)
		check(t, err)
	}
	return int64(cmd.Process.Pid), at[0], at[1], at[2], at[3], libFile
}

// memoryOf joins the ranges of the items below a prefix.
func memoryOf(t *testing.T, got *collecttest.Collected, prefix string) map[kcore.Range][]byte {
	t.Helper()
	streams := map[string][]byte{}
	for _, it := range got.Items {
		if strings.HasPrefix(it.Path, prefix) && strings.HasSuffix(it.Path, ".lime") {
			streams[it.Path] = got.Content(t, it.Path)
		}
	}
	return lime(t, streams)
}

// memoryAt returns what was taken of an address range, false where any is missing.
func memoryAt(ranges map[kcore.Range][]byte, start, size uint64) ([]byte, bool) {
	out, have := make([]byte, size), uint64(0)
	for r, data := range ranges {
		if r.Start < start+size && r.End > start {
			from, to := max(r.Start, start), min(r.End, start+size)
			have += uint64(copy(out[from-start:to-start], data[from-r.Start:to-r.Start]))
		}
	}
	return out, have == size
}

func processRecords(t *testing.T, got *collecttest.Collected, pid int64) map[string][]ProcessMemoryRecord {
	t.Helper()
	by := map[string][]ProcessMemoryRecord{}
	for _, r := range collecttest.Lines[ProcessMemoryRecord](t, got, ProcessMemoryMap) {
		if r.PID == pid || r.What == "selection" {
			by[r.What] = append(by[r.What], r)
		}
	}
	return by
}

func TestMemoryOfAProcessIsWhatItHolds(t *testing.T) {
	pid, big, code, lib, hole, libFile := plantedProcess(t)
	page := sum256("planted", 128)
	got := live(t, ProcessMemory(ProcessMemoryOptions{Which: []string{strconv.FormatInt(pid, 10)}}))
	rec := processRecords(t, got, pid)
	if len(rec["process"]) != 1 || len(rec["end"]) != 1 || len(rec["thread"]) != 1 || len(rec["selection"]) != 1 {
		t.Fatalf("records %+v", rec)
	}
	p := rec["process"][0]
	mem := memoryOf(t, got, "memory/process-"+strconv.FormatInt(pid, 10)+"-"+strconv.FormatInt(p.StartTicks, 10)+"/")
	for _, at := range []uint64{big + 5*4096, big + 30<<20, code, code + 3*4096, lib + 2*4096, hole} {
		if data, ok := memoryAt(mem, at, 4096); !ok || !bytes.Equal(data, page) {
			t.Errorf("page at %#x: taken %v, as planted %v", at, ok, bytes.Equal(data, page))
		}
	}
	if _, ok := memoryAt(mem, big+6*4096, 4096); ok {
		t.Error("a page that was never touched is stored")
	}
	if p.Class != 64 || p.Machine == 0 || len(p.Auxv) == 0 || len(p.Args) != 5 || p.Frozen || !slices.Contains(p.Chosen, "process id "+strconv.FormatInt(pid, 10)) {
		t.Errorf("process %+v", p)
	}
	if th := rec["thread"][0]; th.TID != pid || th.PC == 0 || th.SP == 0 || th.Registers != nil {
		t.Errorf("thread %+v", th)
	}
	end := rec["end"][0]
	if end.State != "complete" {
		t.Errorf("ended %+v; unread %+v", end, rec["unread"])
	}
	// The lines account for every byte of every mapping.
	maps, err := os.ReadFile("/proc/" + strconv.FormatInt(pid, 10) + "/maps")
	check(t, err)
	n, stored := bytes.Count(maps, []byte("\n")), uint64(0)
	if n != len(rec["range"]) {
		t.Errorf("%d ranges, the process has %d mappings", len(rec["range"]), n)
	}
	for _, r := range rec["range"] {
		stored += r.Stored
		if r.Why == "" && r.Stored+r.Untouched != r.End-r.Start {
			t.Errorf("range %+v does not add up", r)
		}
		if strings.HasPrefix(string(r.Backing), "[vvar") && (r.Why == "" || r.Stored != 0) {
			t.Errorf("range %+v", r)
		}
		if r.Start == lib && (string(r.Backing) != libFile || r.Inode == 0 || r.Perms != "r-xp" || !strings.Contains(r.Dev, ":")) {
			t.Errorf("range of the library %+v", r)
		}
	}
	if stored != end.Stored {
		t.Errorf("%d bytes to take, %d taken", stored, end.Stored)
	}
}

func sum256(of string, times int) []byte {
	d := evidence.Sum([]byte(of))
	return bytes.Repeat(d[:], times)
}

func TestProcessesAreChosenByNumberNameAndFinding(t *testing.T) {
	sleep := testenv.Tool(t, "sleep")
	dir := t.TempDir()
	name := "exh-" + strconv.Itoa(os.Getpid()) + "-x"
	exe := filepath.Join(dir, name)
	copyFile(t, sleep, exe)
	var pids []int64
	for range 2 {
		pids = append(pids, spawn(t, exec.Command(exe, "1000")))
	}
	gone := filepath.Join(dir, "deleted")
	copyFile(t, sleep, gone)
	deleted := spawn(t, exec.Command(gone, "1000"))
	check(t, os.Remove(gone))
	masked := exec.Command(sleep, "1000")
	masked.Args[0] = "[kworker/0:1]"
	mask := spawn(t, masked)
	preload := exec.Command(sleep, "1000")
	preload.Env = []string{"LD_PRELOAD=/tmp/not-there.so"}
	preloaded := spawn(t, preload)
	m := newMemoryTaker(nil)
	h, err := collect.OpenHost("/", true)
	check(t, err)
	defer h.Close()
	m.host = h
	proc, err := openProcesses(h)
	check(t, err)
	defer proc.close()
	a := &memoryOfProcesses{ctx: context.Background(), h: h, out: m, proc: proc}
	found, err := a.choose([]string{name, SelectFindings, strconv.FormatInt(mask, 10), "no-such-name"})
	check(t, err)
	why := map[int64]string{}
	for _, c := range found {
		why[c.pid] = strings.Join(c.why, "; ")
	}
	for pid, want := range map[int64]string{
		pids[0]: "name " + name, pids[1]: "name " + name, deleted: "its executable was deleted", mask: `called "[kworker/0:1]"`,
		preloaded: "LD_PRELOAD /tmp/not-there.so from an unusual place",
	} {
		if !strings.Contains(why[pid], want) {
			t.Errorf("process %d: %q, want %q", pid, why[pid], want)
		}
	}
	if !strings.Contains(why[mask], "process id "+strconv.FormatInt(mask, 10)) {
		t.Errorf("not all choices are told: %q", why[mask])
	}
	if len(m.problems) != 1 || !strings.Contains(m.problems[0].Detail, "no-such-name: no such process") {
		t.Errorf("problems %+v", m.problems)
	}
	r, _ := a.lines.Take()
	text, err := io.ReadAll(r)
	check(t, err)
	if !bytes.Contains(text, []byte("2 fit, all taken: ")) {
		t.Errorf("several matches are not told: %s", text)
	}
}

func TestAProcessThatEndsOrStartsAnotherProgramIsTold(t *testing.T) {
	sleep := testenv.Tool(t, "sleep")
	h, err := collect.OpenHost("/", true)
	check(t, err)
	defer h.Close()
	for _, c := range []struct {
		name, want string
		act        func(*testing.T, *exec.Cmd)
	}{
		{"ends", "ended", func(t *testing.T, cmd *exec.Cmd) {
			check(t, cmd.Process.Kill())
			_ = cmd.Wait() // killed
		}},
		{"starts another program", "replaced", func(t *testing.T, cmd *exec.Cmd) {
			check(t, cmd.Process.Signal(unix.SIGUSR1))
			link := "/proc/" + strconv.Itoa(cmd.Process.Pid) + "/exe"
			for range 1000 {
				if now, _ := os.Readlink(link); filepath.Base(now) == filepath.Base(mustResolve(t, sleep)) {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
			t.Fatal("it never did")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(testenv.Tool(t, "python3"), "-c",
				"import os,signal,sys\nsignal.signal(signal.SIGUSR1, lambda *a: os.execv(sys.argv[1], ['sleep','1000']))\nprint('x', flush=True)\nwhile True: signal.pause()", sleep)
			stdout, err := cmd.StdoutPipe()
			check(t, err)
			check(t, cmd.Start())
			defer func() {
				_ = cmd.Process.Kill() // may have ended
				_ = cmd.Wait()
			}()
			if _, err := stdout.Read(make([]byte, 8)); err != nil {
				t.Fatal(err)
			}
			proc, err := openProcesses(h)
			check(t, err)
			defer proc.close()
			m := newMemoryTaker(h)
			a := &memoryOfProcesses{ctx: context.Background(), h: h, out: &actingTaker{memoryTaker: m, act: func() { c.act(t, cmd) }}, proc: proc}
			found, err := a.choose([]string{strconv.Itoa(cmd.Process.Pid)})
			check(t, err)
			check(t, a.one(found[0]))
			check(t, a.finish())
			var end ProcessMemoryRecord
			for line := range bytes.Lines(m.streams[ProcessMemoryMap]) {
				check(t, json.Unmarshal(line, &end))
			}
			if end.What != "end" || end.State != c.want || len(m.problems) == 0 {
				t.Errorf("got %+v, problems %v", end, m.problems)
			}
		})
	}
}

func mustResolve(t *testing.T, path string) string {
	t.Helper()
	real, err := filepath.EvalSymlinks(path)
	check(t, err)
	return real
}

// actingTaker does something once the first chunk has begun.
type actingTaker struct {
	*memoryTaker
	act func()
}

func (a *actingTaker) Stream(ctx context.Context, it evidence.Item, r io.Reader) error {
	if act := a.act; act != nil {
		a.act = nil
		if _, err := r.Read(make([]byte, 1)); err != nil {
			return err
		}
		act()
	}
	return a.memoryTaker.Stream(ctx, it, r)
}

func TestCodeWithoutAFileAndChangedCodeAreTaken(t *testing.T) {
	pid, _, code, lib, _, libFile := plantedProcess(t)
	page := sum256("planted", 128)
	again, _, _, _, _, _ := plantedProcess(t)
	got := live(t, linuxCode)
	find := func(pid int64, start uint64) (evidence.Item, bool) {
		for _, it := range got.Items {
			_, span, ok := strings.Cut(it.Path, "live/code/"+strconv.FormatInt(pid, 10)+"-")
			low, high, _ := strings.Cut(strings.TrimSuffix(filepath.Base(span), ".bin"), "-")
			from, err1 := strconv.ParseUint(low, 16, 64)
			to, err2 := strconv.ParseUint(high, 16, 64)
			// The kernel joins neighbours of one kind: it may begin before.
			if ok && err1 == nil && err2 == nil && from <= start && start < to {
				return it, true
			}
		}
		return evidence.Item{}, false
	}
	it, ok := find(pid, code)
	if !ok || it.Kind != evidence.KindStream {
		t.Fatalf("no code without a file: %+v", it)
	}
	want := slices.Concat(page, make([]byte, 2*4096), page)
	if !bytes.Contains(got.Content(t, it.Path), want) {
		t.Error("its content differs")
	}
	it, ok = find(pid, lib+2*4096)
	if !ok || it.Link != libFile || !bytes.Equal(got.Content(t, it.Path), page) {
		t.Errorf("changed code: %+v", it)
	}
	same := 0
	for _, it := range got.Items {
		if strings.HasPrefix(it.Path, "live/code/"+strconv.FormatInt(again, 10)+"-") && strings.Contains(it.Detail, "the same content as live/code/"+strconv.FormatInt(pid, 10)) {
			same++
		}
	}
	if same < 1 && pid < again {
		t.Error("no content of the second process is told to be in the bundle already")
	}
	for _, it := range got.Items {
		if strings.HasPrefix(it.Path, "live/code/") && it.Rule == ruleModified && it.Link != libFile && strings.HasSuffix(it.Link, "sleep") {
			t.Errorf("code that nobody changed: %+v", it)
		}
	}
}

func TestAFrozenProcessStandsStillAndGoesOn(t *testing.T) {
	pid, _, _, _, _, _ := plantedProcess(t)
	h, err := collect.OpenHost("/", true)
	check(t, err)
	defer h.Close()
	proc, err := openProcesses(h)
	check(t, err)
	defer proc.close()
	p, err := proc.process(pid)
	check(t, err)
	defer p.close()
	state := func() string {
		text, err := p.read("stat", maxStatus)
		check(t, err)
		st, _ := parseProcStat(text)
		return st.state
	}
	goesOn := func() {
		t.Helper()
		for range 400 {
			if s := state(); s == "S" || s == "R" {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Fatalf("it stands still for ever: state %s", state())
	}
	f := freeze(p)
	if !f.whole() {
		f.thaw()
		t.Skip("skipped: ptrace is not permitted here: " + f.why())
	}
	if s := state(); s != "t" {
		t.Errorf("state %s while frozen", s)
	}
	if len(f.registers(pid)) == 0 {
		t.Error("no registers")
	}
	f.thaw()
	f.thaw() // a second time does nothing
	goesOn()

	// A collector that panics in the middle.
	func() {
		defer func() { _ = recover() }()
		still := freeze(p)
		defer still.thaw()
		panic("in the middle")
	}()
	goesOn()

	// A sink that fails, and a run that is stopped, both in the middle.
	for name, stop := range map[string]func(context.CancelFunc) error{
		"failing sink": func(context.CancelFunc) error { return unix.ENOSPC },
		"stopped":      func(cancel context.CancelFunc) error { cancel(); return nil },
	} {
		ctx, cancel := context.WithCancel(context.Background())
		m := newMemoryTaker(h)
		a := &memoryOfProcesses{ctx: ctx, h: h, out: &stoppingTaker{m, func() error { return stop(cancel) }}, proc: proc, freeze: true}
		found, err := a.choose([]string{strconv.FormatInt(pid, 10)})
		check(t, err)
		err = a.one(found[0])
		cancel()
		if (name == "failing sink") != (err != nil) {
			t.Errorf("%s: %v", name, err)
		}
		goesOn()
	}

	// What was done stands in the footprint.
	got := live(t, ProcessMemory(ProcessMemoryOptions{Which: []string{strconv.FormatInt(pid, 10)}, Freeze: true}))
	rec := processRecords(t, got, pid)
	if len(rec["process"]) != 1 || !rec["process"][0].Frozen || len(rec["thread"]) != 1 || len(rec["thread"][0].Registers) == 0 {
		t.Errorf("records of a frozen process: %+v", rec)
	}
	if e := got.Result.Footprint.Effects; len(e) != 1 || !strings.Contains(e[0], "1 of its threads stopped with ptrace") {
		t.Errorf("effects %q", e)
	}
	goesOn()

	// One that was stopped before stays so.
	check(t, unix.Kill(int(pid), unix.SIGSTOP))
	for state() != "T" {
		time.Sleep(time.Millisecond)
	}
	f = freeze(p)
	f.thaw()
	for i := 0; state() != "T"; i++ { // it runs in the kernel until it has seen that it is stopped
		if i == 400 {
			t.Fatalf("a process that was stopped before goes on: %s", state())
		}
		time.Sleep(5 * time.Millisecond)
	}
	check(t, unix.Kill(int(pid), unix.SIGCONT))
	goesOn()
}

type stoppingTaker struct {
	*memoryTaker
	stop func() error
}

func (s *stoppingTaker) Stream(ctx context.Context, it evidence.Item, r io.Reader) error {
	if _, err := r.Read(make([]byte, 1)); err != nil {
		return err
	}
	if err := s.stop(); err != nil {
		return err
	}
	return s.memoryTaker.Stream(ctx, it, r)
}

const smapsText = "559e6c400000-559e6c402000 r-xp 00001000 fe:10 18500   /usr/bin/a b\n" +
	"Size:                  8 kB\nRss:                   4 kB\nSwap:                  4 kB\nVmFlags: rd ex mr mw me \n" +
	"7ffc0a5c4000-7ffc0a5c8000 r--p 00000000 00:00 0   [vvar]\nRss: 0 kB\nVmFlags: rd mr pf io de dd\n" +
	"7ffc0a5c9000-7ffc0a5ca000 rw-s 00000000 00:06 77   /dev/mem\nRss: 4 kB\nVmFlags: rd wr sh io pf\n"

func TestMappingsAreReadWithWhatIsKnownOfThem(t *testing.T) {
	var m mappings
	m.add([]byte(smapsText))
	want := []mapping{
		{0x559e6c400000, 0x559e6c402000, 0x1000, "r-xp", "254:16", 18500, []byte("/usr/bin/a b"), 8192, "rd ex mr mw me", true},
		{0x7ffc0a5c4000, 0x7ffc0a5c8000, 0, "r--p", "0:0", 0, []byte("[vvar]"), 0, "rd mr pf io de dd", true},
		{0x7ffc0a5c9000, 0x7ffc0a5ca000, 0, "rw-s", "0:6", 77, []byte("/dev/mem"), 4096, "rd wr sh io pf", true},
	}
	if !reflect.DeepEqual(m.list, want) {
		t.Errorf("got %+v", m.list)
	}
	for i, why := range []string{"", "a page of the kernel", "memory of a device (VM_IO)"} {
		if got := m.list[i].skipped(); got != why {
			t.Errorf("mapping %d is skipped for %q, want %q", i, got, why)
		}
	}
	// Without smaps the name alone says what may be a device's.
	for name, skip := range map[string]bool{"/dev/mem": true, "/dev/dri/card0": true, "/dev/shm/x": false, "/dev/zero (deleted)": false, "/usr/lib/x": false} {
		if got := (&mapping{path: []byte(name)}).skipped() != ""; got != skip {
			t.Errorf("%s is skipped: %v", name, got)
		}
	}
}

func FuzzMappings(f *testing.F) {
	f.Add([]byte(smapsText), 100)
	f.Add([]byte("1000-2000 r-xp 0 0:0 0\nRss: 99999999999999999999 kB\n"), 3)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		var whole, parts mappings
		whole.add(text)
		cut = max(0, min(cut, len(text)))
		parts.add(text[:cut])
		parts.add(text[cut:])
		if !reflect.DeepEqual(whole.list, parts.list) {
			t.Fatalf("in two pieces %+v, in one %+v", parts.list, whole.list)
		}
		for _, m := range whole.list {
			if m.end <= m.start || len(m.perms) != 4 {
				t.Fatalf("mapping %+v", m)
			}
		}
	})
}
