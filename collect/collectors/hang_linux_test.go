package collectors

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/hungfs"
)

// A program that runs from a file system which no mount table shows and which
// does not answer must not keep the collectors from the other processes.
func TestAProgramOnAFileSystemThatHangsDoesNotStopTheSweep(t *testing.T) {
	if hungfs.Elsewhere(t) {
		return
	}
	program, err := exec.LookPath("sleep")
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	fs := hungfs.Mount(t, dir, content)
	// By a shell: between fork and exec this process cannot serve the files.
	held := exec.Command("sh", "-c", `exec "$0" 300`, filepath.Join(dir, hungfs.File))
	if err := held.Start(); err != nil {
		t.Skipf("skipped: %v", err)
	}
	other := exec.Command(program, "300")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before the file system goes
		for _, p := range []*exec.Cmd{held, other} {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
	})
	waitForExe(t, held.Process.Pid, filepath.Join(dir, hungfs.File))
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	fs.Hang()
	begun := time.Now()
	got := collecttest.Collect(t.Context(), t, collect.Options{Collectors: []collect.Collector{linuxProcesses, linuxDeleted}})
	if took := time.Since(begun); took > 100*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, res := range got.Result.Collectors {
		if res.Outcome != collect.Collected && res.Outcome != collect.Empty {
			t.Errorf("%s: %s: %s", res.Name, res.Outcome, res.Detail)
		}
	}
	found := map[int64]record.Process{}
	for _, p := range collecttest.Lines[record.Process](t, got, record.Processes) {
		found[p.PID] = p
	}
	if p := found[int64(other.Process.Pid)]; p.ExeSHA256 == "" {
		t.Errorf("the other process: %+v", p)
	}
	p, ok := found[int64(held.Process.Pid)]
	if !ok || p.ExeSHA256 != "" || !strings.Contains(strings.Join(p.Errors, "\n"), "did not answer in time") {
		t.Errorf("the process from the file system that hangs: %+v", p)
	}
	if fs.Unanswered() == 0 {
		t.Error("nobody asked the file system: the test shows nothing")
	}
}

// waitForExe waits until a process runs a program and sleeps in it.
func waitForExe(t *testing.T, pid int, program string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if st, ok := parseProcStat(stat); exe == program && ok && st.state == "S" {
			time.Sleep(200 * time.Millisecond) // what it loads while it starts makes it sleep, too
			return
		}
	}
	t.Skipf("skipped: %s does not run", program)
}
