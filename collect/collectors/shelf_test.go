package collectors

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// On a running host each collector of one must find something, and a file
// without a name, or code without a file, is not on every host.
func TestEveryCollectorKeepsTheRules(t *testing.T) {
	if runtime.GOOS == "linux" {
		holdNamelessFile(t)
		holdCode(t)
	}
	for _, c := range All() {
		t.Run(c.Name, func(t *testing.T) { collecttest.Run(t, c) })
	}
}

// holdCode starts a program that has code without a file until the test ends.
func holdCode(t *testing.T) {
	t.Helper()
	cmd := exec.Command(testenv.Tool(t, "python3"), "-c", "import mmap, sys\n"+
		"m = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE|mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ|mmap.PROT_WRITE|mmap.PROT_EXEC)\n"+
		"m.write(b'code')\nprint('ready', flush=True)\nsys.stdin.read()")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill() // may have ended
		_ = cmd.Wait()
	})
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// holdNamelessFile starts a program that holds a removed file open until the
// test ends.
func holdNamelessFile(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "removed")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("held open"); err != nil {
		t.Fatal(err)
	}
	holder := exec.Command(testenv.Tool(t, "sleep"), "1000")
	holder.Stdin = f
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = holder.Process.Kill() // may have ended
		_ = holder.Wait()
	})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestTheShelfIsACopyInOrderOfVolatility(t *testing.T) {
	all := All()
	if len(all) < 8 || !slices.IsSortedFunc(all, func(a, b collect.Collector) int { return int(a.Tier - b.Tier) }) {
		t.Errorf("%d collectors, or not in order", len(all))
	}
	all[0].Name = "changed"
	if All()[0].Name == "changed" {
		t.Error("the shelf itself was handed out")
	}
}

var tierNames = map[collect.Tier]string{
	collect.TierClocks: "clocks and self", collect.TierNetwork: "network", collect.TierProcesses: "processes",
	collect.TierKernel: "kernel", collect.TierMemory: "memory", collect.TierSessions: "mounts and sessions",
	collect.TierLogs: "temporary and rotating", collect.TierPersistence: "persistence and configuration",
	collect.TierUsers: "users", collect.TierFiles: "file system", collect.TierAlongside: "alongside, from first to last",
}

// The reference of collectors is made of the shelf, so that it cannot differ.
func TestTheReferenceNamesEveryCollector(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# Collectors\n\nWhat a run collects, in the order in which it is collected: what is lost soonest comes\n" +
		"first. This file is generated from the program (`go test ./collect/collectors -update`).\n\n" +
		"*Running host* says that a collector needs the machine itself; under `--root` it is left\n" +
		"out, which the bundle records. Every look leaves a record, whether it found something or\n" +
		"not: see `collection/ledger.jsonl` in each bundle.\n\n" +
		"| order | collector | what it takes | running host |\n|---|---|---|---|\n")
	for _, c := range All() {
		live := ""
		if c.Live {
			live = "needed"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", tierNames[c.Tier], c.Name, c.Doc, live)
	}
	testenv.Golden(t, filepath.Join(testenv.Root(t), "docs", "collectors.md"), b.Bytes())
}
