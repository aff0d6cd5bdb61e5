package collectors

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"golang.org/x/sys/unix"
)

// spawn starts a program that lives until the test ends.
func spawn(t *testing.T, cmd *exec.Cmd) int64 {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // may have ended
		_ = cmd.Wait()
	})
	// exec has happened once the name is no longer ours.
	for range 200 {
		exe, _ := os.Readlink("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/exe")
		if own, _ := os.Executable(); exe != own && exe != "" {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	return int64(cmd.Process.Pid)
}

func live(t *testing.T, cs ...collect.Collector) *collecttest.Collected {
	t.Helper()
	return collecttest.Collect(context.Background(), t, collect.Options{Collectors: cs})
}

func byPID(t *testing.T, c *collecttest.Collected) map[int64]record.Process {
	t.Helper()
	all := map[int64]record.Process{}
	for _, p := range collecttest.Lines[record.Process](t, c, record.Processes) {
		all[p.PID] = p
	}
	return all
}

func copyFile(t *testing.T, from, to string) []byte {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestProcessesAreRecordedByteForByte(t *testing.T) {
	sleep := testenv.Tool(t, "sleep")
	dir := t.TempDir()
	exe := filepath.Join(dir, "a) R 1 (\xff")
	text := copyFile(t, sleep, exe)
	cmd := exec.Command(exe, "1000")
	cmd.Args = []string{"", "1000"}
	cmd.Dir, cmd.Env = dir, []string{"KEY=\xfe\n", "B=2"}
	began := time.Now()
	pid := spawn(t, cmd)
	got := live(t, linuxProcesses)
	p, ok := byPID(t, got)[pid]
	if !ok {
		t.Fatalf("process %d is missing", pid)
	}
	if string(p.Comm) != "a) R 1 (\xff" || p.State != "S" || p.PPID != int64(os.Getpid()) || p.Threads != 1 || p.KThread {
		t.Errorf("stat: %+v", p)
	}
	if !slices.EqualFunc(p.Args, []string{"", "1000"}, func(a record.Bytes, b string) bool { return string(a) == b }) {
		t.Errorf("arguments %q", p.Args)
	}
	if string(p.Exe) != exe || string(p.CWD) != dir || string(p.Root) != "/" || p.ExeDeleted {
		t.Errorf("exe %q, cwd %q, root %q", p.Exe, p.CWD, p.Root)
	}
	if p.ExeSHA256 != evidence.Sum(text).String() || p.ExeSize != int64(len(text)) || p.ExeInode == 0 || p.ExeDev == "" {
		t.Errorf("exe %s of %d bytes", p.ExeSHA256, p.ExeSize)
	}
	if start := time.Unix(0, p.Start); start.Before(began.Add(-3*time.Second)) || start.After(began.Add(3*time.Second)) {
		t.Errorf("start %v, began %v", start, began)
	}
	if p.UID != [4]int64{int64(os.Getuid()), int64(os.Geteuid()), int64(os.Geteuid()), int64(os.Geteuid())} ||
		len(p.Namespaces) < 6 || len(p.CapEff) != 16 || p.Taken == 0 || len(p.Maps) == 0 || p.Hidden || len(p.Errors) > 0 {
		t.Errorf("got %+v", p)
	}
	environ := ""
	for _, r := range collecttest.Lines[RawFile](t, got, ProcRaw) {
		if r.PID == pid && r.File == "environ" && r.Start == p.StartTicks {
			environ = string(r.Data)
		}
	}
	if environ != "KEY=\xfe\n\x00B=2\x00" {
		t.Errorf("environment %q", environ)
	}
}

func TestOpenFilesSayWhereAndHow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log\n\xff")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("12345"); err != nil {
		t.Fatal(err)
	}
	p := byPID(t, live(t, linuxProcesses))[int64(os.Getpid())]
	i := slices.IndexFunc(p.FDs, func(fd record.FD) bool { return string(fd.Target) == path })
	if i < 0 || p.FDs[i].FD != int64(f.Fd()) || p.FDs[i].Pos != 5 || !strings.HasSuffix(p.FDs[i].Flags, "2001") {
		t.Errorf("descriptors %+v", p.FDs)
	}
}

func TestProcessesAreThoseOfPS(t *testing.T) {
	ps := testenv.Tool(t, "ps")
	got := byPID(t, live(t, linuxProcesses))
	out, err := exec.Command(ps, "-e", "-o", "pid=,ppid=,sid=,uid=,comm=").Output()
	if err != nil {
		t.Fatal(err)
	}
	agreed := 0
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		pid, _ := strconv.ParseInt(f[0], 10, 64)
		p, ok := got[pid]
		if !ok {
			continue // began between the two looks
		}
		if strconv.FormatInt(p.PPID, 10) == f[1] && strconv.FormatInt(p.SID, 10) == f[2] && strconv.FormatInt(p.UID[1], 10) == f[3] {
			agreed++
		} else if !p.Hidden && p.PPID > 2 && slices.Contains(strings.Fields(line), string(p.Comm)) {
			t.Logf("differs from ps %q: %+v", line, p)
		}
	}
	if agreed < len(got)*8/10 {
		t.Errorf("ps agrees on %d of %d processes", agreed, len(got))
	}
	for pid, p := range got {
		if p.Hidden {
			t.Errorf("process %d is called hidden: %+v", pid, p)
		}
	}
}

func TestThreadsAreNotTakenForHiddenProcesses(t *testing.T) {
	tid := make(chan int64)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		tid <- int64(unix.Gettid())
		<-stop
	}()
	thread := <-tid
	got := live(t, linuxProcesses)
	if p, ok := byPID(t, got)[thread]; ok && thread != int64(os.Getpid()) {
		t.Errorf("thread %d is a process of its own: %+v", thread, p)
	}
	if !slices.ContainsFunc(collecttest.Lines[RawFile](t, got, ProcRaw), func(r RawFile) bool {
		return r.TID == thread && r.File == "stat" && r.PID == int64(os.Getpid())
	}) && thread != int64(os.Getpid()) {
		t.Errorf("nothing of thread %d was kept", thread)
	}
}

func TestANumberThatAnswersWithoutBeingListedIsHidden(t *testing.T) {
	sleep := testenv.Tool(t, "sleep")
	pid := spawn(t, exec.Command(sleep, "1000"))
	h, err := collect.OpenHost("/", true)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	m := newMemoryTaker(h)
	proc, err := openProcesses(h)
	if err != nil {
		t.Fatal(err)
	}
	defer proc.close()
	s := &sweep{
		ctx: context.Background(), h: h, out: m, proc: proc, ticks: 100,
		hashes: map[exeKey]exeHash{}, mntns: map[string]bool{}, known: map[int64]bool{}, listed: map[int64]bool{},
	}
	s.lines = collect.NewRecords(s.ctx, m, evidence.Item{Path: record.Processes})
	s.raw = collect.NewRecords(s.ctx, m, evidence.Item{Path: ProcRaw})
	hidden, err := s.suspect(pid) // never listed by this sweep, like under a rootkit
	if err != nil || !hidden {
		t.Errorf("suspect(%d) = %v, %v", pid, hidden, err)
	}
	if hidden, err := s.suspect(4194303); err != nil || hidden {
		t.Errorf("a number without a process: %v, %v", hidden, err)
	}
	if s.lines.Close() != nil || s.raw.Close() != nil {
		t.Error("records were not taken")
	}
	if line := m.streams[record.Processes]; !bytes.Contains(line, []byte(`"hidden":true`)) || !bytes.Contains(line, []byte(`"comm":"sleep"`)) {
		t.Errorf("record %q", line)
	}
}

func TestAProcessUnderAMountIsFoundAndMarked(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("skipped: mounting needs root")
	}
	sleep := testenv.Tool(t, "sleep")
	pid := spawn(t, exec.Command(sleep, "1000"))
	// The mount is made in a mount namespace of one thread, which collects.
	done := make(chan record.Process, 1)
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
			failed <- err
			return
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			failed <- err
			return
		}
		if err := unix.Mount("tmpfs", "/proc/"+strconv.FormatInt(pid, 10), "tmpfs", 0, ""); err != nil {
			failed <- err
			return
		}
		p, err := coveredLook(pid)
		if err != nil {
			failed <- err
			return
		}
		done <- p
	}()
	select {
	case err := <-failed:
		t.Fatal(err)
	case p := <-done:
		if string(p.Comm) != "sleep" || !p.Hidden || p.ExeSHA256 == "" {
			t.Errorf("got %+v", p)
		}
	}
}

// coveredLook reads one process on the calling thread.
func coveredLook(pid int64) (record.Process, error) {
	h, err := collect.OpenHost("/", true)
	if err != nil {
		return record.Process{}, err
	}
	defer h.Close()
	proc, err := openProcesses(h)
	if err != nil {
		return record.Process{}, err
	}
	defer proc.close()
	p, err := proc.process(pid)
	if err != nil {
		return record.Process{}, err
	}
	defer p.close()
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return record.Process{}, err
	}
	mounts, _ := collect.ParseMountInfo(text)
	s := &sweep{ctx: context.Background(), h: h, proc: proc, hashes: map[exeKey]exeHash{}}
	r := record.Process{PID: pid, Hidden: coveredBy(mounts)[pid]}
	stat, err := p.read("stat", maxStatus)
	if err != nil {
		return r, err
	}
	st, _ := parseProcStat(stat)
	s.fromStat(&r, st)
	s.executable(p, &r, func(string, error) {})
	return r, nil
}

func TestDeletedExecutablesAndMemoryFilesAreRecoveredWhole(t *testing.T) {
	sleep := testenv.Tool(t, "sleep")
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone\xff")
	text := copyFile(t, sleep, gone)
	exePID := spawn(t, exec.Command(gone, "1000"))
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	// Larger than what other tools cut at.
	big := append(bytes.Clone(text), bytes.Repeat([]byte("x"), 25<<20)...)
	memPID := spawn(t, memoryProgram(t, big))
	replaced := filepath.Join(dir, "replaced")
	copyFile(t, sleep, replaced)
	replacedPID := spawn(t, exec.Command(replaced, "1000"))
	if err := os.Rename(copyOf(t, dir), replaced); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	f, err := os.Create(data)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("only held open"); err != nil {
		t.Fatal(err)
	}
	holder := exec.Command(sleep, "1000")
	holder.Stdin = f
	holderPID := spawn(t, holder)
	if err := os.Remove(data); err != nil {
		t.Fatal(err)
	}
	got := live(t, linuxDeleted, linuxProcesses)
	for _, want := range []struct {
		pid     int64
		name    string
		link    string
		content []byte
	}{
		{exePID, "exe", gone, text},
		{memPID, "exe", "/memfd:hidden", big},
		{replacedPID, "exe", replaced, text},
		{holderPID, "fd/0", data, []byte("only held open")},
	} {
		path := "/proc/" + strconv.FormatInt(want.pid, 10) + "/" + want.name
		it := got.Find(path)
		// Between fork and exec another child of this test may hold the same file.
		if first, ok := strings.CutPrefix(it.Detail, "the same file as "); ok && it.Kind == evidence.KindSkipped {
			path = first
			it = got.Find(path)
		}
		if it.Link != want.link || it.Size != int64(len(want.content)) || it.Kind != evidence.KindStream {
			t.Errorf("%s: %+v, want %q of %d bytes", path, it, want.link, len(want.content))
			continue
		}
		if !bytes.Equal(got.Content(t, path), want.content) {
			t.Errorf("%s: content differs", path)
		}
	}
	procs := byPID(t, got)
	if p := procs[exePID]; !p.ExeDeleted || string(p.Exe) != gone || p.ExeSHA256 != evidence.Sum(text).String() {
		t.Errorf("deleted: %+v", p)
	}
	if p := procs[memPID]; !p.ExeDeleted || string(p.Exe) != "/memfd:hidden" || p.ExeSHA256 != evidence.Sum(big).String() {
		t.Errorf("memfd: %+v", p)
	}
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "new")
	if err := os.WriteFile(path, []byte("#!/bin/true\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// memoryProgram is a program that exists in memory only.
func memoryProgram(t *testing.T, text []byte) *exec.Cmd {
	t.Helper()
	fd, err := unix.MemfdCreate("hidden", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "hidden")
	t.Cleanup(func() { f.Close() })
	if _, err := io.Copy(f, bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/fd/3", "1000")
	cmd.ExtraFiles = []*os.File{f}
	return cmd
}

func TestSocketsNameTheirProcess(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	want := netip.MustParseAddrPort(l.Addr().String())
	got := live(t, linuxNetwork)
	if n := got.Result.Footprint.Sockets["netlink"]; n == 0 {
		t.Error("the footprint does not tell of sockets to the kernel")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(collecttest.Lines[record.Socket](t, got, record.Sockets), func(s record.Socket) bool {
		return s.SrcIP == want.Addr().String() && s.SrcPort == int64(want.Port()) && s.State == "LISTEN" &&
			s.PID == int64(os.Getpid()) && string(s.Exe) == exe && s.Netns != "" && s.Taken != 0
	}) {
		t.Errorf("no listener %s of process %d", want, os.Getpid())
	}
	if !bytes.Contains(got.Content(t, "/proc/net/tcp"), []byte("local_address")) {
		t.Error("/proc/net/tcp was not kept")
	}
	ifaces := collecttest.Lines[record.Interface](t, got, record.Interfaces)
	if !slices.ContainsFunc(ifaces, func(i record.Interface) bool { return i.Name == "lo" && slices.Contains(i.Addresses, "127.0.0.1/8") }) {
		t.Errorf("interfaces %+v", ifaces)
	}
	if len(collecttest.Lines[record.Route](t, got, record.Routes)) == 0 {
		t.Error("no routes")
	}
}

func TestTheRunDescribesItselfAndItsClocks(t *testing.T) {
	before := time.Now().UnixNano()
	got := live(t, linuxClocks)
	s := collecttest.Lines[record.SelfRecord](t, got, record.Self)[0]
	if s.PID != int64(os.Getpid()) || len(s.BootID) != 36 || s.Kernel == "" || s.ClockTicks != 100 || s.ExeSHA256 == "" ||
		len(s.Namespaces) < 6 || s.Clock.Realtime < before || s.Clock.Boottime < s.Clock.Monotonic || s.BootTime == 0 {
		t.Errorf("got %+v", s)
	}
	start := collecttest.Lines[record.Clock](t, got, collect.ClockStart)[0]
	end := collecttest.Lines[record.Clock](t, got, collect.ClockEnd)[0]
	if start.Monotonic >= end.Monotonic || got.Find(collect.ClockEnd).Kind != evidence.KindClock {
		t.Errorf("clock went from %+v to %+v", start, end)
	}
	f := collecttest.Lines[collect.Footprint](t, got, collect.FootprintAt)[0]
	if f.ExeSHA256 != s.ExeSHA256 || f.PeakRSS == 0 || f.FilesOpened == 0 || f.Written == 0 || f.Children != 0 {
		t.Errorf("footprint %+v", f)
	}
}

func TestMountsHaveSizesAndAreThoseOfTheKernel(t *testing.T) {
	got := live(t, linuxMounts)
	mounts := collecttest.Lines[record.Mount](t, got, record.Mounts)
	i := slices.IndexFunc(mounts, func(m record.Mount) bool { return string(m.Point) == "/" })
	if i < 0 || mounts[i].TotalBytes == 0 || mounts[i].FreeBytes > mounts[i].TotalBytes {
		t.Errorf("root: %+v", mounts)
	}
	if n := bytes.Count(got.Content(t, "/proc/self/mountinfo"), []byte("\n")); n != len(mounts) {
		t.Errorf("%d mounts, mountinfo has %d lines", len(mounts), n)
	}
}

func TestKernelStateIsKept(t *testing.T) {
	got := live(t, linuxKernel)
	if len(got.Content(t, "/proc/cmdline")) == 0 || !bytes.HasPrefix(got.Content(t, "/proc/version"), []byte("Linux version")) {
		t.Error("command line or version missing")
	}
	taint := collecttest.Lines[TaintRecord](t, got, Taint)
	if len(taint) != 1 || strconv.FormatUint(taint[0].Value, 10) != strings.TrimSpace(string(got.Content(t, "/proc/sys/kernel/tainted"))) {
		t.Errorf("taint %+v", taint)
	}
	if !slices.ContainsFunc(collecttest.Lines[SysctlRecord](t, got, Sysctl), func(s SysctlRecord) bool {
		return s.Path == "/proc/sys/kernel/core_pattern" && len(s.Value) > 0
	}) {
		t.Error("no core_pattern")
	}
	var proc []record.Module
	if got.Find("/proc/modules").Kind != evidence.KindAbsent { // a kernel may have no modules at all
		proc = parseModules(got.Content(t, "/proc/modules"))
	}
	if !bytes.Contains(got.Content(t, "/proc/config.gz"), []byte{0x1f, 0x8b}) && got.Find("/proc/config.gz").Kind != evidence.KindAbsent {
		t.Error("no configuration")
	}
	if os.Getuid() == 0 && !bytes.HasPrefix(got.Content(t, KernelLog), []byte("<")) {
		t.Error("no kernel log")
	}
	named := 0
	for _, m := range collecttest.Lines[record.Module](t, got, record.Modules) {
		if m.InProc {
			named++
		}
	}
	if named != len(proc) {
		t.Errorf("%d of %d modules", named, len(proc))
	}
}

// tracefs is read without being mounted where anybody could see it.
func TestTracingIsReadWithoutAMount(t *testing.T) {
	mounts := func() string {
		text, err := os.ReadFile("/proc/self/mountinfo")
		check(t, err)
		return string(text)
	}
	before := mounts()
	got := live(t, linuxKernel)
	if after := mounts(); after != before {
		t.Errorf("mounts were\n%s, are\n%s", before, after)
	}
	if state := collecttest.Lines[record.BootState](t, got, record.BootSecurity); len(state) != 1 {
		t.Errorf("boot state %+v", state)
	}
	fd, err := openTracefs()
	if err != nil {
		t.Skipf("skipped: tracefs cannot be read here: %v", err)
	}
	check(t, unix.Close(fd))
	if text := bytes.TrimSpace(got.Content(t, "live/tracefs/current_tracer")); len(text) == 0 {
		t.Error("no tracer, not even nop")
	}
	if it := got.Find("live/tracefs/enabled_functions"); it.Kind == evidence.KindStream {
		lines := bytes.Count(got.Content(t, "live/tracefs/enabled_functions"), []byte("\n"))
		if n := bytes.Count(got.Content(t, record.Ftrace), []byte("\n")); n != lines {
			t.Errorf("%d records of %d lines", n, lines)
		}
	}
}
