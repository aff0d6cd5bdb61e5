package collectors

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
)

// Nothing that runs in the collector thaws a process when it is killed: the
// kernel does.
func TestAFrozenProcessGoesOnWhenTheCollectorIsKilled(t *testing.T) {
	const inside = "EXHIBIT_TEST_FREEZE"
	h, err := collect.OpenHost("/", true)
	check(t, err)
	defer h.Close()
	proc, err := openProcesses(h)
	check(t, err)
	defer proc.close()
	if text := os.Getenv(inside); text != "" {
		pid, err := strconv.ParseInt(text, 10, 64)
		check(t, err)
		p, err := proc.process(pid)
		check(t, err)
		f := freeze(p)
		os.Stdout.WriteString("frozen:" + f.reason + "\n")
		_, _ = io.Copy(io.Discard, os.Stdin) // until killed
		return
	}
	pid, _, _, _, _, _ := plantedProcess(t)
	exe, err := os.Executable()
	check(t, err)
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inside+"="+strconv.FormatInt(pid, 10))
	stdin, err := cmd.StdinPipe()
	check(t, err)
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	line := make([]byte, 256)
	n, err := stdout.Read(line)
	check(t, err)
	said := strings.TrimSpace(string(line[:n]))
	state := func() string {
		text, err := os.ReadFile("/proc/" + strconv.FormatInt(pid, 10) + "/stat")
		check(t, err)
		st, _ := parseProcStat(text)
		return st.state
	}
	before := state()
	check(t, cmd.Process.Signal(unix.SIGKILL))
	_ = cmd.Wait() // killed
	if said != "frozen:" {
		t.Skip("skipped: ptrace is not permitted here: " + said)
	}
	if before != "t" {
		t.Errorf("state %s while frozen", before)
	}
	for i := 0; state() == "t"; i++ {
		if i == 400 {
			t.Fatal("it stands still for ever")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestANumberThatWasGivenToAnotherProcessIsTold(t *testing.T) {
	pid, _, _, _, _, _ := plantedProcess(t)
	h, err := collect.OpenHost("/", true)
	check(t, err)
	defer h.Close()
	proc, err := openProcesses(h)
	check(t, err)
	defer proc.close()
	m := newMemoryTaker(h)
	a := &memoryOfProcesses{ctx: context.Background(), h: h, out: m, proc: proc, freeze: true}
	check(t, a.one(chosen{pid: pid, start: 1})) // chosen when another process had the number
	check(t, a.finish())
	if text := string(m.streams[ProcessMemoryMap]); len(m.streams) != 1 || !strings.Contains(text, `"state":"ended"`) || !strings.Contains(text, "its number was given to a process") || len(m.problems) != 1 {
		t.Errorf("taken %d streams, said %s, problems %v", len(m.streams), text, m.problems)
	}
}

// A bundle that may not hold everything ends, and says so; the process goes on.
func TestMemoryOfAProcessKeepsToTheBudget(t *testing.T) {
	pid, _, _, _, _, _ := plantedProcess(t, "NOISE=12000000")
	got := collecttest.Collect(context.Background(), t, collect.Options{
		Collectors: []collect.Collector{ProcessMemory(ProcessMemoryOptions{Which: []string{strconv.FormatInt(pid, 10)}, Freeze: true})},
		Budget:     collect.Budget{MaxSize: 4 << 20},
	})
	if !got.Result.Partial || got.Result.Written > 4<<20 || len(got.Result.Problems) == 0 {
		t.Errorf("partial %v, %d bytes, problems %+v", got.Result.Partial, got.Result.Written, got.Result.Problems)
	}
	for i := 0; ; i++ {
		text, err := os.ReadFile("/proc/" + strconv.FormatInt(pid, 10) + "/stat")
		check(t, err)
		if st, _ := parseProcStat(text); st.state != "t" {
			break
		}
		if i == 400 {
			t.Fatal("it stands still for ever")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
