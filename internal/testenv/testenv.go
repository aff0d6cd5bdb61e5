// Package testenv tells tests what the machine offers: the evidence corpus,
// the laboratory's data, external tools that serve as oracles, and golden
// files.
package testenv

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files with what the code produces now")

// Updating reports whether golden files are written anew. It is for those that
// are other bytes each time: Golden writes and compares all others.
func Updating() bool { return *update }

// Root returns the root folder of the repository.
func Root(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("testenv: source location unknown")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

func folder(t testing.TB, variable, fallback, probe string) string {
	t.Helper()
	dir := os.Getenv(variable)
	if dir == "" {
		dir = filepath.Join(Root(t), fallback)
	}
	if _, err := os.Stat(filepath.Join(dir, probe)); err != nil {
		t.Skipf("skipped: no %s in %s (set %s to the folder that holds it)", probe, dir, variable)
	}
	return dir
}

// Corpus returns the folder of real evidence files with their expected
// results, from EXHIBIT_CORPUS or beside the checkout. The test is skipped
// where there is none.
func Corpus(t testing.TB) string {
	t.Helper()
	return folder(t, "EXHIBIT_CORPUS", "../shared/corpus", "MANIFEST.jsonl")
}

// Lab returns the folder with the data of the laboratory's scenario A, from
// EXHIBIT_LAB or beside the checkout. The test is skipped where there is none.
func Lab(t testing.TB) string {
	t.Helper()
	return folder(t, "EXHIBIT_LAB", "../shared/lab/A/data", "truth.jsonl")
}

// Tool returns the path of an external program. Where it is missing the test
// is skipped with a message; in CI, which installs every tool, it fails.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed, and CI must have it", name)
	}
	t.Skipf("skipped: %s is not installed", name)
	return ""
}

// Golden compares got with the golden file at path, or rewrites the file when
// the test runs with -update.
func Golden(t testing.TB, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update to create it)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("differs from %s:\n%s", path, firstDifference(want, got))
	}
}

// firstDifference shows the first line in which two texts differ.
func firstDifference(want, got []byte) string {
	a, b := bytes.Split(want, []byte("\n")), bytes.Split(got, []byte("\n"))
	for i := range max(len(a), len(b)) {
		var x, y []byte
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if !bytes.Equal(x, y) {
			return "want: " + string(x) + "\n got: " + string(y)
		}
	}
	return "only the end differs"
}

// CPUMeter reports how much of something a benchmark did per processor second
// of the whole process. Unlike ns/op that holds on a machine with other work.
type CPUMeter struct{ start float64 }

// StartCPU starts measuring: call it right before the loop.
func StartCPU() CPUMeter { return CPUMeter{CPUSeconds()} }

// Report adds the metric unit + "/cpu-s", n being the amount of all rounds.
func (m CPUMeter) Report(b *testing.B, n float64, unit string) {
	b.Helper()
	if spent := CPUSeconds() - m.start; spent > 0 {
		b.ReportMetric(n/spent, unit+"/cpu-s")
	}
}
