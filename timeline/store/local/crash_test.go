package local_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/local"
	"github.com/exhibit-dfir/exhibit/timeline/storetest"
)

// crashJobs is what the helper process builds until it is killed.
func crashJobs() []storetest.Job { return storetest.Jobs(31, 60, 600) }

// TestMain is also the helper of TestKilledBuildLosesOnlyUnfinishedJobs: with
// EXHIBIT_CRASH_DIR set it builds there, says which jobs were committed, and
// closes as often as it is let.
func TestMain(m *testing.M) {
	dir := os.Getenv("EXHIBIT_CRASH_DIR")
	if dir == "" {
		os.Exit(m.Run())
	}
	b, err := local.Create(dir)
	if err != nil {
		panic(err)
	}
	b.SetLimits(700, 120)
	ctx := context.Background()
	jobs := crashJobs()
	for i := range jobs {
		if b.Done(jobs[i].Key) {
			continue
		}
		w, err := b.Begin(ctx, jobs[i].Job)
		if err == nil {
			err = jobs[i].Run(ctx, w)
		}
		if err == nil {
			err = w.Commit(ctx)
		}
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString("committed " + jobs[i].Key + "\n")
	}
	os.Stdout.WriteString("closing\n")
	if err := b.Close(); err != nil {
		panic(err)
	}
	os.Exit(0)
}

func TestKilledBuildLosesOnlyUnfinishedJobs(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Skip("skipped: the test does not know its own program")
	}
	jobs := crashJobs()
	whole := t.TempDir()
	build(t, whole, jobs, 1)
	want := files(t, whole)
	dir := t.TempDir()
	committed := make(map[string]bool)
	for round := range 12 {
		for _, key := range killAfter(t, exe, dir, round*4, time.Duration(round)*700*time.Microsecond) {
			committed[key] = true
		}
		b := create(t, dir)
		for key := range committed {
			if !b.Done(key) {
				t.Fatalf("round %d: job %.16s was committed and is lost", round, key)
			}
		}
		if err := b.Suspend(); err != nil {
			t.Fatal(err)
		}
	}
	if len(committed) < 5 {
		t.Fatalf("only %d jobs were committed before the kills", len(committed))
	}
	build(t, dir, jobs, 2)
	sameFiles(t, files(t, dir), want)
	v, err := open(t, dir).Verify(context.Background(), func(err error) { t.Error(err) })
	if err != nil || v.Files == 0 {
		t.Errorf("%+v, %v", v, err)
	}
}

// killAfter starts the helper and kills it some time after it committed n
// jobs. It returns the jobs that it reported.
func killAfter(t *testing.T, exe, dir string, n int, delay time.Duration) []string {
	t.Helper()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "EXHIBIT_CRASH_DIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var keys []string
	in := bufio.NewScanner(out)
	for killed := false; in.Scan(); {
		if key, ok := strings.CutPrefix(in.Text(), "committed "); ok {
			keys = append(keys, key)
		}
		if !killed && (len(keys) >= n || in.Text() == "closing") {
			killed = true
			time.Sleep(delay)
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	return keys
}

func TestTornRecordOfPendingIsCutOff(t *testing.T) {
	jobs := storetest.Jobs(32, 6, 100)
	whole := t.TempDir()
	build(t, whole, jobs, 1)
	want := files(t, whole)
	first := t.TempDir()
	b := create(t, first)
	storetest.Build(t, b, jobs, 1)
	if err := b.Suspend(); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(first + "/PENDING")
	if err != nil {
		t.Fatal(err)
	}
	for cut := 0; cut < len(log); cut += len(log)/40 + 1 {
		dir := t.TempDir()
		torn := append([]byte(nil), log[:cut]...)
		if cut%2 == 1 && cut > 20 {
			torn[cut-10] ^= 0x40 // damaged rather than short
		}
		if err := os.WriteFile(dir+"/PENDING", torn, 0o644); err != nil {
			t.Fatal(err)
		}
		build(t, dir, jobs, 1)
		t.Run(strconv.Itoa(cut), func(t *testing.T) { sameFiles(t, files(t, dir), want) })
	}
}

func TestFullDiskFailsTheJobAndKeepsTheRest(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("skipped: mounting a small file system needs root")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("skipped: no tmpfs here: %s", out)
	}
	defer exec.Command("umount", dir).Run()
	b := create(t, dir)
	ctx := context.Background()
	failed, kept := 0, 0
	for _, job := range storetest.Jobs(33, 30, 600) {
		w, err := b.Begin(ctx, job.Job)
		if err != nil {
			t.Fatal(err)
		}
		if err = job.Run(ctx, w); err == nil {
			err = w.Commit(ctx)
		}
		w.Abort()
		if err != nil {
			failed++
			if !strings.Contains(err.Error(), "no space") {
				t.Fatalf("error %v, want one that says there is no space", err)
			}
		} else {
			kept++
		}
	}
	if failed == 0 || kept == 0 {
		t.Fatalf("%d failed, %d kept: the disk is of the wrong size", failed, kept)
	}
	if err := b.Suspend(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "remount,size=64m", dir).CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	build(t, dir, storetest.Jobs(33, 30, 600), 1)
	e, err := local.Open(dir, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	events, _, _ := storetest.Collect(t, storetest.Jobs(33, 30, 600))
	if n, err := e.Count(ctx, timeline.Query{}); err != nil || n != int64(len(events)) {
		t.Errorf("%d events, %v; want %d", n, err, len(events))
	}
}
