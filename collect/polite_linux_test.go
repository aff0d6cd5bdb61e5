package collect

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const politeVariable = "COLLECT_POLITE_HELPER"

// TestPoliteHelper is no test: it is the program whose priority is lowered,
// which nobody without privileges can raise again.
func TestPoliteHelper(t *testing.T) {
	if os.Getenv(politeVariable) == "" {
		t.Skip("skipped: runs only as a subprocess")
	}
	if err := standBehind(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		tid, _ := strconv.Atoi(e.Name())
		raw, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
		class, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, ioprioProcess, uintptr(tid), 0)
		if err == nil && errno == 0 {
			fmt.Printf("thread %d %d\n", 20-raw, class>>13)
		}
	}
}

func TestEveryThreadStandsBehindTheHost(t *testing.T) {
	mine, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPoliteHelper$")
	cmd.Env = append(os.Environ(), politeVariable+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	threads := 0
	for line := range strings.Lines(string(out)) {
		var nice, class int
		if n, _ := fmt.Sscanf(line, "thread %d %d", &nice, &class); n != 2 {
			continue
		}
		threads++
		if want := min(20-mine+niceness, 19); nice != want || class != 3 {
			t.Errorf("nice %d and class %d, want %d and 3 (idle)", nice, class, want)
		}
	}
	if threads < 2 {
		t.Errorf("%d threads: %s", threads, out)
	}
}

// What is volatile waits for nobody: the priority falls with the first
// collector behind it.
func TestVolatileEvidenceIsNotMadeToWait(t *testing.T) {
	r := &run{host: &Host{governor: &governor{}}}
	r.opt.Budget.Polite = true
	for _, tier := range []Tier{TierClocks, TierNetwork, TierProcesses, TierKernel, TierMemory} {
		if r.standBehind(tier); r.host.governor.polite {
			t.Errorf("tier %d stands back", tier)
		}
	}
	g := &governor{ask: func(string) (Pressure, bool) { return Pressure{Avg10: 100}, true }}
	g.beginCollector(time.Hour)
	begun := time.Now()
	g.pace(t.Context(), 1)
	if took := time.Since(begun); took > standStill/2 {
		t.Errorf("it waited %v for others", took)
	}
}
