package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/cmd/internal/gathering"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// mostResident is what the collector may take of a host's memory, whatever is
// on it.
const mostResident = 64 << 20

// The trees of these tests take minutes to make and to collect, millions of
// inodes and some gigabytes: they run where EXHIBIT_SCALE is set, to a folder on
// a file system that has them. Trees are left there for the next time.

// TestFiveMillionEntriesFitInMemory walks 5,000,000 names, 1,300,000 of them in
// one folder, and takes a file of 50 GB that is nearly all hole.
func TestFiveMillionEntriesFitInMemory(t *testing.T) {
	dir := scale(t)
	tree := made(t, filepath.Join(dir, "walk"), func(tree string) {
		fill(t, filepath.Join(tree, "srv/deep"), 3_700_000, 1000, nil)
		fill(t, filepath.Join(tree, "srv/flat"), 1_300_000, 1_300_000, nil)
	})
	parts := sparse(t, filepath.Join(tree, "var/log/lastlog"))
	out := filepath.Join(t.TempDir(), "b.exhibit.tar.zst")
	collectTree(t, tree, out)
	r := opened(t, out)
	walked := int64(0)
	for it := range contents(t, r) {
		switch it.Path {
		case "/var/log/lastlog":
			sameSparse(t, r, it, parts, filepath.Join(tree, "var/log/lastlog"))
			parts = nil
		case record.Files:
			walked = lines(t, r, it)
		}
	}
	if parts != nil {
		t.Error("the large file is not in the bundle")
	}
	if walked < 5_000_000 {
		t.Errorf("%d names walked", walked)
	}
}

// TestAMillionFilesFitInMemory takes 1,000,000 files and 40,000 further names of
// some: half of them found at once, half when their files are forgotten. The
// bundles that it takes hold each of them, and continue each other.
func TestAMillionFilesFitInMemory(t *testing.T) {
	const files, links = 1_000_000, 20_000
	dir := scale(t)
	tree := made(t, filepath.Join(dir, "many"), func(tree string) {
		logs := filepath.Join(tree, "var/log")
		fill(t, logs, files, 1000, make([]byte, 64))
		for _, folder := range []string{"d00020-links", "later"} {
			if err := os.Mkdir(filepath.Join(logs, folder), 0o755); err != nil {
				t.Fatal(err)
			}
			for i := range links {
				if err := os.Link(filepath.Join(logs, fileName(i, 1000)), filepath.Join(logs, folder, fmt.Sprintf("f%07d.log", i))); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	out := filepath.Join(t.TempDir(), "b.exhibit.tar.zst")
	collectTree(t, tree, out)
	var chain []bundle.Link
	var taken, again, twice int
	seen := map[string]*[files]bool{"": {}, "d00020-links": {}, "later": {}}
	for part := 1; ; part++ {
		name := out
		if part > 1 {
			name = strings.TrimSuffix(out, gathering.Suffix) + fmt.Sprintf(".part%d", part) + gathering.Suffix
		}
		f, err := os.Open(name)
		if os.IsNotExist(err) && part > 1 {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		rep, err := bundle.Verify(t.Context(), f, st.Size(), bundle.VerifyOptions{})
		if err != nil || !rep.Sealed || rep.Unproven != 0 {
			t.Fatalf("%s: %+v, %v", name, rep, err)
		}
		chain = append(chain, bundle.Link{Name: name, Seal: rep.SealID, Continues: rep.Continues})
		r := opened(t, name)
		for it, err := range r.Items() {
			if err != nil {
				t.Fatal(err)
			}
			rest, ok := strings.CutPrefix(it.Path, "/var/log/")
			if !ok || !strings.HasSuffix(rest, ".log") {
				continue
			}
			folder, base, _ := strings.Cut(rest, "/")
			of := seen[folder]
			if of == nil {
				of = seen[""]
			}
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(base, "f"), ".log"))
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case of[n]:
				twice++
			case it.Kind == evidence.KindFile && it.Size == 64:
				of[n], taken = true, taken+1
			case it.Kind == evidence.KindSkipped && strings.HasPrefix(it.Detail, "the same file as item "):
				of[n], again = true, again+1
			}
		}
	}
	if c := bundle.CheckChain(chain); len(chain) < 2 || c == nil || c.State != bundle.ChainHolds {
		t.Errorf("%d bundles: %+v", len(chain), c)
	}
	if taken+again != files+2*links || again < links || twice != 0 {
		t.Errorf("%d taken, %d recorded as further names, %d twice, of %d", taken, again, twice, files+2*links)
	}
	t.Logf("%d bundles; %d names stored, %d left to the item that has their content", len(chain), taken, again)
}

func scale(t *testing.T) string {
	dir := os.Getenv("EXHIBIT_SCALE")
	if dir == "" {
		t.Skip("set EXHIBIT_SCALE to a folder: makes and collects a tree of millions of names there")
	}
	return dir
}

// made makes a tree once.
func made(t *testing.T, tree string, build func(tree string)) string {
	t.Helper()
	if _, err := os.Stat(tree + ".made"); err == nil {
		return tree
	}
	if err := os.RemoveAll(tree); err != nil {
		t.Fatal(err)
	}
	build(tree)
	if err := os.WriteFile(tree+".made", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return tree
}

func fileName(i, each int) string { return fmt.Sprintf("d%05d/f%07d.log", i/each, i) }

// fill makes files in folders of so many names each.
func fill(t *testing.T, dir string, files, each int, content []byte) {
	t.Helper()
	for i := range files {
		name := filepath.Join(dir, fileName(i, each))
		if i%each == 0 {
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		copy(content, name[len(dir):])
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// sparse makes a file of 50 GB with data here and there.
func sparse(t *testing.T, name string) (data []evidence.Extent) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 50_000_000_000
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for i := range int64(24) {
		e := evidence.Extent{Offset: i * 2_000_001_024 &^ 0xffff, Length: 64<<10 + i*8<<10}
		if _, err := f.WriteAt(bytes.Repeat([]byte{byte('a' + i)}, int(e.Length)), e.Offset); err != nil {
			t.Fatal(err)
		}
		data = append(data, e)
	}
	return data
}

// sameSparse compares content with its file: each range of data byte by byte,
// and between them that there is nothing but what the record calls a hole.
// Written out again, the file takes no more room than the data.
func sameSparse(t *testing.T, r *bundle.Reader, it evidence.Item, data []evidence.Extent, name string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := r.Open(it.Member)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stored := int64(0)
	for _, e := range data {
		got, want := make([]byte, e.Length), make([]byte, e.Length)
		if _, err := c.ReadAt(got, e.Offset); err != nil {
			t.Fatal(err)
		}
		if _, err := f.ReadAt(want, e.Offset); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the data at %d is another, %v", e.Offset, err)
		}
		stored += e.Length
	}
	holes := int64(0)
	for _, h := range it.Holes {
		holes += h.Length
		if slices.ContainsFunc(data, func(e evidence.Extent) bool {
			return e.Offset < h.Offset+h.Length && h.Offset < e.Offset+e.Length
		}) {
			t.Errorf("data is in the hole %+v", h)
		}
	}
	if it.Size != 50_000_000_000 || it.Stored+holes != it.Size || it.Stored > stored+24*(64<<10) {
		t.Errorf("%d bytes, %d stored and %d of holes", it.Size, it.Stored, holes)
	}
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := bundle.Extract(t.Context(), r, root, func(o evidence.Item) bool { return o.Index == it.Index }, bundle.ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	st, err := root.Stat(it.Member)
	if err != nil || st.Size() != it.Size {
		t.Fatalf("written out: %+v, %v", st, err)
	}
	if blocks := st.Sys().(*syscall.Stat_t).Blocks * 512; blocks > it.Stored+1<<20 {
		t.Errorf("written out it takes %d bytes for %d of data", blocks, it.Stored)
	}
}

// collectTree runs the collector as it is shipped, and fails when it took more
// memory than it may.
func collectTree(t *testing.T, root, out string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "exhibit-collector")
	build := exec.Command("go", "build", "-trimpath", "-tags", "urfave_cli_no_docs,exhibit_no_web", "-ldflags", "-s -w", "-o", program, "./cmd/exhibit-collector")
	build.Dir, build.Env = testenv.Root(t), append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, said)
	}
	cmd := exec.Command(program, "--json", "--root", root, "-o", out)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	peak := int64(0)
	for running := true; running; {
		select {
		case err := <-ended:
			running = false
			if code := cmd.ProcessState.ExitCode(); code != 0 && code != 3 { // 3: collectors that need a running host
				t.Fatalf("%v: %s", err, said.String())
			}
		case <-time.After(50 * time.Millisecond):
			peak = max(peak, highWater(cmd.Process.Pid))
		}
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	t.Logf("%s: %d KiB at most, %.1f CPU s", filepath.Base(root), peak>>10, cpu.Seconds())
	if peak > mostResident || peak == 0 {
		t.Errorf("%d bytes resident, %d are allowed", peak, mostResident)
	}
}

// highWater is VmHWM of proc_pid_status(5), in bytes; what a parent had before
// exec(2), which getrusage(2) counts, is not in it.
func highWater(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64) //nolint:errcheck // zero is told
			return n << 10
		}
	}
	return 0
}

func opened(t *testing.T, name string) *bundle.Reader {
	t.Helper()
	f, err := os.Open(name)
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
		t.Fatal(err)
	}
	return r
}

// contents are the items with content.
func contents(t *testing.T, r *bundle.Reader) func(func(evidence.Item) bool) {
	return func(yield func(evidence.Item) bool) {
		for it, err := range r.Items() {
			if err != nil {
				t.Fatal(err)
			}
			if it.Kind.HasContent() && !yield(it) {
				return
			}
		}
	}
}

func lines(t *testing.T, r *bundle.Reader, it evidence.Item) (n int64) {
	t.Helper()
	c, err := r.Open(it.Member)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 1<<20)
	for {
		m, err := c.Read(buf)
		n += int64(bytes.Count(buf[:m], []byte("\n")))
		if err == io.EOF {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
