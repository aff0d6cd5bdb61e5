package collect_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/internal/hungfs"
)

// beats gathers what a run says of itself.
type beats struct {
	mu  sync.Mutex
	all []collect.Progress
}

func (b *beats) add(p collect.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, p)
}

func (b *beats) has(f func(collect.Progress) bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.all, f)
}

// While a file system does not answer, the run says what it waits for and
// since when; the collector that asked it without care is left behind at its
// deadline with its descriptor, and the next one runs.
func TestACollectorOnAFileSystemThatHangsIsLeftBehindAtItsDeadline(t *testing.T) {
	if hungfs.Elsewhere(t) {
		return
	}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "m"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "after"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	var fs *hungfs.FS
	held := filepath.Join(root, "m", hungfs.File)
	careless := collect.Collector{
		Name: "careless", Tier: collect.TierLogs, Deadline: 2 * time.Second,
		Run: func(_ context.Context, h *collect.Host, _ collect.Taker) error {
			if _, err := h.Mounts(); err != nil {
				return err
			}
			fs = hungfs.Mount(t, filepath.Join(root, "m"), []byte("x"))
			// Not os.Open: that asks the file system whether the file can be polled,
			// in a call during which this process, which has to answer, cannot
			// collect garbage.
			fd, err := unix.Open(held, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			f := os.NewFile(uintptr(fd), held)
			fs.Hang()
			_, _ = h.Stat("/m/" + hungfs.File) // gives up after its own patience
			_, err = f.Stat()                  // never does
			return err
		},
	}
	var said beats
	next := collect.Collector{Name: "next", Tier: collect.TierFiles, Run: func(ctx context.Context, _ *collect.Host, out collect.Taker) error {
		return out.File(ctx, "/after", "rule")
	}}
	got := collecttest.Collect(t.Context(), t, collect.Options{
		Root: root, Collectors: []collect.Collector{careless, next}, Progress: said.add,
	})
	res := got.Result.Collectors
	if res[0].Outcome != collect.TimedOut || !strings.Contains(res[0].Detail, "left behind") || !strings.Contains(res[0].Detail, `stat "/m/`+hungfs.File) {
		t.Errorf("%+v", res[0])
	}
	if res[1].Outcome != collect.Collected {
		t.Errorf("%+v", res[1])
	}
	if !said.has(func(p collect.Progress) bool {
		return p.Collector == "careless" && p.Doing == "stat" && p.Path == "/m/"+hungfs.File && p.Since > time.Second
	}) {
		t.Error("no heartbeat says what is being waited for")
	}
	lines := 0
	for _, l := range collecttest.Lines[collect.LedgerLine](t, got, collect.LedgerSet) {
		if l.What == "collector" && l.Collector == "careless" && l.Outcome == collect.TimedOut {
			lines++
		}
	}
	if lines != 1 {
		t.Errorf("%d lines of the ledger say it", lines)
	}
	if fs.Unanswered() == 0 {
		t.Error("nobody asked the file system: the test shows nothing")
	}
}

// A large file that is read slowly shows how far the reading came, and what
// holds it up.
func TestTheHeartbeatSaysHowMuchOfAFileIsRead(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "large"), make([]byte, 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	var said beats
	c := collect.Collector{Name: "c", Run: func(ctx context.Context, _ *collect.Host, out collect.Taker) error {
		return out.File(ctx, "/large", "rule")
	}}
	got := collecttest.Collect(t.Context(), t, collect.Options{
		Root: root, Collectors: []collect.Collector{c}, Progress: said.add, Budget: collect.Budget{IORate: 700 << 10}, // pauses that do not end as the beats do
	})
	if it := got.Find("/large"); it.Size != 3<<20 || len(it.Unread) > 0 {
		t.Errorf("%+v", it)
	}
	if !said.has(func(p collect.Progress) bool {
		return p.Path == "/large" && p.Doing == "read" && p.Reading > 0 && p.Reading < 3<<20 && p.Waiting == "io-rate"
	}) {
		t.Errorf("no heartbeat says it: %+v", said.all)
	}
}
