package collect

import (
	"context"
	"fmt"
	"io"
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
	root := t.TempDir()
	paths := noise(t, root, 2, 1000)
	tell := func(name string, tier Tier, path string) Collector {
		return Collector{Name: name, Tier: tier, Run: func(ctx context.Context, _ *Host, out Taker) error {
			priorities(name)
			return out.File(ctx, path, "rule")
		}}
	}
	r, err := prepare(Options{
		Root: root, Out: io.Discard, Budget: Budget{Polite: true},
		Collectors: []Collector{tell("volatile", TierProcesses, paths[0]), tell("later", TierLogs, paths[1])},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.host.Close()
	_, kernel := kernelPressure("cpu")
	_, asked := r.host.governor.ask("cpu")
	fmt.Println("kernel", kernel, asked)
	// Others wait for a second.
	left := 3
	w := &waiting{avg: 99, at: time.Now(), others: func() float64 {
		if left--; left > 0 {
			return 0.9
		}
		return 0
	}}
	r.host.governor.ask = w.ask
	res, err := r.execute(t.Context(), &memorySink{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range res.Footprint.Pauses {
		fmt.Println("paused", p.Collector, p.Reason, p.Total.Milliseconds())
	}
}

// priorities prints niceness and I/O class of every thread.
func priorities(name string) {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range entries {
		tid, _ := strconv.Atoi(e.Name())
		raw, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
		class, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, ioprioProcess, uintptr(tid), 0)
		if err == nil && errno == 0 {
			fmt.Println(name, 20-raw, class>>13)
		}
	}
}

// A polite run has idle priority for the disk and less for the processor, on
// every thread, and stands back while others wait, from the first collector
// on that takes nothing volatile.
func TestAPoliteRunStandsBehindTheHost(t *testing.T) {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	mine := 20 - raw
	own, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, ioprioProcess, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPoliteHelper$")
	cmd.Env = append(os.Environ(), politeVariable+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	threads, pauses := map[string]int{}, 0
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		switch want := map[string]string{
			"volatile": fmt.Sprint(mine, own>>13),
			"later":    fmt.Sprint(min(mine+niceness, 19), 3), // IOPRIO_CLASS_IDLE
		}; {
		case len(f) == 3 && want[f[0]] != "":
			if threads[f[0]]++; f[1]+" "+f[2] != want[f[0]] {
				t.Errorf("%s: nice and class %s %s, want %s", f[0], f[1], f[2], want[f[0]])
			}
		case len(f) == 3 && f[0] == "kernel":
			if f[1] != f[2] {
				t.Errorf("pressure: the kernel tells it: %s; the run asks: %s", f[1], f[2])
			}
		case len(f) == 4 && f[0] == "paused":
			if ms, err := strconv.Atoi(f[3]); err != nil || f[1] != "later" || f[2] != "pressure-io" || ms < 900 {
				t.Errorf("%s", line)
			}
			pauses++
		}
	}
	if threads["volatile"] < 2 || threads["later"] < 2 || pauses != 1 {
		t.Errorf("%v threads, %d pauses: %s", threads, pauses, out)
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
