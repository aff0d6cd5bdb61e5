// Package e2e runs the programs as a user would: on the data of a host that
// was really broken into, on samples of everything that is parsed, and on this
// kernel, in namespaces of its own, with a known intrusion planted.
package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// binaries is the folder of the built programs, made when first asked for.
var binaries struct {
	sync.Once
	dir string
	err error
}

func TestMain(m *testing.M) {
	if play := os.Getenv("EXHIBIT_E2E_ROLE"); play != "" {
		os.Exit(perform(play))
	}
	code := m.Run()
	if binaries.dir != "" {
		os.RemoveAll(binaries.dir)
	}
	os.Exit(code)
}

// program returns the path of one of the two programs, built once from this
// source as the Makefile does.
func program(t *testing.T, name string) string {
	t.Helper()
	golang := testenv.Tool(t, "go")
	binaries.Do(func() {
		if binaries.dir, binaries.err = os.MkdirTemp("", "exhibit-e2e-"); binaries.err != nil {
			return
		}
		build := exec.Command(golang, "build", "-trimpath", "-o", binaries.dir, "./cmd/exhibit", "./cmd/exhibit-collector")
		build.Dir, build.Env = testenv.Root(t), append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			binaries.err = fmt.Errorf("build: %w: %s", err, out)
		}
	})
	if binaries.err != nil {
		t.Fatal(binaries.err)
	}
	return filepath.Join(binaries.dir, name)
}

// lab is a fresh case with an examiner's key, and the analyst's program.
type lab struct {
	t       *testing.T
	program string
	work    string // what the case was made of
	dir     string // the case
	env     []string
}

// complete are the codes of a run that did all it could: everything, or all
// but what is listed.
var complete = []int{0, 3}

func newLab(t *testing.T) *lab {
	t.Helper()
	work := t.TempDir()
	l := &lab{
		t: t, program: program(t, "exhibit"), work: work, dir: work,
		env: append(os.Environ(), "XDG_CONFIG_HOME="+filepath.Join(work, "config")),
	}
	l.run([]int{0}, "key", "new", "examiner", "--id", "examiner@lab")
	l.run([]int{0}, "case", "init", "case")
	l.dir = filepath.Join(work, "case")
	return l
}

// in returns the same case for a subtest.
func (l *lab) in(t *testing.T) *lab {
	sub := *l
	sub.t = t
	return &sub
}

// run runs the program inside the case; any of the codes is right.
func (l *lab) run(codes []int, args ...string) []byte {
	l.t.Helper()
	cmd := exec.Command(l.program, args...)
	cmd.Dir, cmd.Env = l.dir, l.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		l.t.Fatalf("%v: %v", args, err)
	}
	if code := cmd.ProcessState.ExitCode(); !slices.Contains(codes, code) {
		l.t.Fatalf("%v: exit code %d, want one of %v: %s%s", args, code, codes, stderr.Bytes(), tail(out))
	}
	return out
}

// tail is the end of an output that explains a failure.
func tail(b []byte) []byte { return b[max(len(b)-2000, 0):] }

// ask runs the program with --json and decodes what it says.
func ask[T any](l *lab, codes []int, args ...string) T {
	l.t.Helper()
	var v T
	out := l.run(codes, append(args[:len(args):len(args)], "--json")...)
	if err := json.Unmarshal(out, &v); err != nil {
		l.t.Fatalf("%v: %v in %.300q", args, err, out)
	}
	return v
}

// bundlePath returns the bundle of an exhibit of the case.
func (l *lab) bundlePath(exhibit string) string {
	l.t.Helper()
	names, err := filepath.Glob(filepath.Join(l.dir, "exhibits", exhibit, "*.exhibit.tar.zst"))
	if err != nil || len(names) != 1 {
		l.t.Fatal(exhibit, names, err)
	}
	return names[0]
}

// openBundle opens a bundle until the test ends.
func openBundle(t *testing.T, path string) *bundle.Reader {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := bundle.Open(f, st.Size())
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return r
}

// bundles opens every bundle of the case.
func (l *lab) bundles() []*bundle.Reader {
	l.t.Helper()
	entries, err := os.ReadDir(filepath.Join(l.dir, "exhibits"))
	if err != nil {
		l.t.Fatal(err)
	}
	var all []*bundle.Reader
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "EX-") && e.IsDir() {
			all = append(all, openBundle(l.t, l.bundlePath(e.Name())))
		}
	}
	return all
}
