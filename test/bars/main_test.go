// Package bars holds the collector to what docs/benchmarks.md promises of it
// and no benchmark can show: what it leaves behind on a host and what it does
// not lose. The program is run as it is built and watched from outside.
package bars

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// program is where a test that runs in namespaces of its own finds the
// collector that was built before.
const program = "EXHIBIT_BARS_COLLECTOR"

var built string // its folder, "" before

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// collector returns the small collector, built once from this source. Every
// account may start it.
func collector(t testing.TB) string {
	t.Helper()
	if path := os.Getenv(program); path != "" {
		return path
	}
	golang := testenv.Tool(t, "go")
	dir, err := os.MkdirTemp("", "exhibit-bars-")
	check(t, err)
	built = dir
	check(t, os.Chmod(dir, 0o755))
	path := filepath.Join(dir, "exhibit-collector")
	build := exec.Command(golang, "build", "-trimpath", "-tags", "urfave_cli_no_docs,exhibit_no_web", "-ldflags", "-s -w", "-o", path, "./cmd/exhibit-collector")
	build.Dir, build.Env = testenv.Root(t), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	check(t, os.Setenv(program, path)) // for the processes of Elsewhere, too
	return path
}

// folder returns a new folder that every account may look into, as the
// temporary ones of tests are not.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "exhibit-bars-")
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	check(t, os.Chmod(dir, 0o755))
	return dir
}

// put writes a file and the folders above it.
func put(t testing.TB, path string, text []byte) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(t, os.WriteFile(path, text, 0o644))
}

// ran is a collection that went to a pipe.
type ran struct {
	*collecttest.Collected
	size  int64 // of the bundle
	state *os.ProcessState
}

func (r *ran) footprint(t testing.TB) collect.Footprint {
	t.Helper()
	return collecttest.Lines[collect.Footprint](t, r.Collected, collect.FootprintAt)[0]
}

// stream runs a command that writes a bundle to its standard output, a pipe,
// and opens that. It has to be whole; what could not be read may be missing.
// What is done meanwhile is given the number of the process.
func stream(t testing.TB, cmd *exec.Cmd, meanwhile ...func(pid int) error) *ran {
	t.Helper()
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	check(t, cmd.Start())
	for _, do := range meanwhile {
		if err := do(cmd.Process.Pid); err != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("%v: %s", err, said.String())
		}
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 3) {
		t.Fatalf("%v: %v: %s", cmd.Args, err, said.String())
	}
	from := bytes.NewReader(out.Bytes())
	report, err := bundle.Verify(t.Context(), from, from.Size(), bundle.VerifyOptions{})
	check(t, err)
	if report.Verdict != bundle.SignerUnknown || !report.Sealed || !report.Complete {
		t.Fatalf("the bundle is %+v: %s", report, said.String())
	}
	return &ran{Collected: collecttest.Open(t, from, from.Size()), size: from.Size(), state: cmd.ProcessState}
}
