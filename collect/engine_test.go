//go:build linux

package collect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// memorySink keeps what a bundle would hold.
type memorySink struct {
	mu     sync.Mutex
	items  []evidence.Item
	text   map[string][]byte
	sealed bool
	broken error
}

func (m *memorySink) add(_ context.Context, it evidence.Item, c content) (evidence.Item, error) {
	text, err := io.ReadAll(c.r) // without the lock, as the bundle does: it may wait for good
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return it, m.broken
	}
	if m.sealed {
		return it, errors.New("added after the seal")
	}
	if err != nil {
		it.Unread = append(it.Unread, evidence.Unread{Offset: int64(len(text)), Length: it.Size - int64(len(text)), Reason: err.Error()})
	}
	if c.after != nil {
		if it.After, err = c.after(); err != nil {
			return it, err
		}
	}
	if it.Size < 0 {
		it.Size = int64(len(text))
	}
	it.Stored, it.SHA256, it.Index = int64(len(text)), evidence.Sum(text), int64(len(m.items)+1)
	m.items = append(m.items, it)
	if m.text == nil {
		m.text = map[string][]byte{}
	}
	m.text[it.Path] = text
	return it, nil
}

func (m *memorySink) note(it evidence.Item) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	if m.sealed {
		return errors.New("noted after the seal")
	}
	m.items = append(m.items, it)
	return nil
}

func (m *memorySink) length() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := int64(0)
	for _, it := range m.items {
		n += it.Stored + 100
	}
	return n
}

func (m *memorySink) seal(*Result) (bundle.Seal, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sealed = true
	return bundle.Seal{Size: int64(len(m.items))}, m.broken
}

func (m *memorySink) find(path string) (evidence.Item, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.items, func(it evidence.Item) bool { return it.Path == path })
	if i < 0 {
		return evidence.Item{}, false
	}
	return m.items[i], true
}

// setOf returns a record set of the engine: its pieces and what follows them.
func (m *memorySink) setOf(path string) (text []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, it := range m.items {
		if it.Path == path || strings.HasPrefix(it.Path, strings.TrimSuffix(path, "jsonl")) {
			text = append(text, m.text[it.Path]...)
		}
	}
	return text
}

// ledgerOf returns the ledger's lines as the sink got them.
func (m *memorySink) ledgerOf(t *testing.T) []LedgerLine {
	t.Helper()
	var lines []LedgerLine
	for line := range bytes.Lines(m.setOf(LedgerSet)) {
		var l LedgerLine
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("ledger line %q: %v", line, err)
		}
		lines = append(lines, l)
	}
	return lines
}

// runWith runs collectors over a root into a memory sink.
func runWith(t *testing.T, ctx context.Context, opt Options) (*Result, *memorySink, error) {
	t.Helper()
	opt.Out = io.Discard
	r, err := prepare(opt)
	if err != nil {
		t.Fatal(err)
	}
	defer r.host.Close()
	m := &memorySink{}
	res, err := r.execute(ctx, m)
	return res, m, err
}

func taking(name string, paths ...string) Collector {
	return Collector{Name: name, Tier: TierLogs, Run: func(ctx context.Context, _ *Host, out Taker) error {
		for _, p := range paths {
			if err := out.File(ctx, p, "rule"); err != nil {
				return err
			}
		}
		out.Seen("rule", len(paths))
		return nil
	}}
}

func TestEveryLookHasAnOutcome(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "full"), "text")
	write(t, filepath.Join(root, "empty"), "")
	write(t, filepath.Join(root, "big"), strings.Repeat("x", 5000))
	write(t, filepath.Join(root, "dir/in"), "")
	link(t, "full", filepath.Join(root, "link"))
	if err := os.Link(filepath.Join(root, "full"), filepath.Join(root, "hard")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(root, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	own, err := os.Create(filepath.Join(root, "own"))
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	paths := []string{"/full", "/empty", "/big", "/dir", "/link", "/hard", "/full", "/fifo", "/own", "/none", "/full/below"}
	res, m, err := runWith(t, context.Background(), Options{
		Root: root, MaxFileSize: 4999, OwnFiles: []*os.File{own}, Collectors: []Collector{taking("c", paths...)},
	})
	if err != nil || res.Partial {
		t.Fatalf("%+v, %v", res, err)
	}
	want := []struct {
		path    string
		kind    evidence.Kind
		outcome Outcome
		detail  string
	}{
		{"/full", evidence.KindFile, Collected, ""},
		{"/empty", evidence.KindFile, Empty, ""},
		{"/big", evidence.KindSkipped, Skipped, "5000 bytes, over the limit of 4999"},
		{"/dir", evidence.KindDir, Collected, ""},
		{"/link", evidence.KindSymlink, Collected, ""},
		{"/hard", evidence.KindSkipped, Skipped, `the same file as item`},
		{"/full", "", Collected, "already taken as item"},
		{"/fifo", evidence.KindDevice, Collected, ""},
		{"/own", evidence.KindSkipped, Skipped, "own file of this run"},
		{"/none", evidence.KindAbsent, Absent, "no such file"},
		{"/full/below", evidence.KindAbsent, Absent, "not a directory"},
	}
	var lines []LedgerLine
	for _, l := range m.ledgerOf(t) {
		if l.What == "path" {
			lines = append(lines, l)
		}
	}
	if len(lines) != len(want) {
		t.Fatalf("%d ledger lines for %d looks", len(lines), len(want))
	}
	for i, w := range want {
		if l := lines[i]; string(l.Path) != w.path || l.Outcome != w.outcome || !strings.Contains(l.Detail, w.detail) || l.Rule != "rule" {
			t.Errorf("ledger has %+v, want %+v", l, w)
		}
		if it, ok := m.find(w.path); w.kind != "" && (!ok || it.Kind != w.kind || it.Collector != "c" || it.Source != "root") {
			t.Errorf("%s is %+v, want kind %s", w.path, it, w.kind)
		}
	}
	if it, _ := m.find("/link"); it.Link != "full" {
		t.Errorf("link target %q", it.Link)
	}
	if string(m.text["/full"]) != "text" {
		t.Errorf("content %q", m.text["/full"])
	}
}

func TestSparseFilesAreTakenByTheirExtents(t *testing.T) {
	root := t.TempDir()
	f, err := os.Create(filepath.Join(root, "lastlog"))
	if err != nil {
		t.Fatal(err)
	}
	const size = 16 << 20
	for _, off := range []int64{4 << 20, size - 3} {
		if _, err := f.WriteAt([]byte("end"), off); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	_, m, err := runWith(t, context.Background(), Options{Root: root, Collectors: []Collector{taking("c", "/lastlog")}})
	if err != nil {
		t.Fatal(err)
	}
	it, _ := m.find("/lastlog")
	if it.Size != size || len(it.Holes) != 2 || it.Holes[0].Offset != 0 {
		t.Errorf("size %d, holes %v", it.Size, it.Holes)
	}
	for _, h := range it.Holes {
		if n := bytes.Count(m.text["/lastlog"][h.Offset:h.Offset+h.Length], []byte{0}); int64(n) != h.Length {
			t.Errorf("hole %v has data", h)
		}
	}
}

func TestAFailingCollectorDoesNotEndTheRun(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "f"), "x")
	bad := func(name string, run func(context.Context, *Host, Taker) error) Collector {
		return Collector{Name: name, Tier: TierClocks, Run: run}
	}
	res, m, err := runWith(t, context.Background(), Options{Root: root, Collectors: []Collector{
		taking("last", "/f"),
		bad("fails", func(context.Context, *Host, Taker) error { return errors.New("odd") }),
		bad("panics", func(context.Context, *Host, Taker) error { panic("boo") }),
		bad("quiet", func(context.Context, *Host, Taker) error { return nil }),
		{Name: "live", Live: true, Run: func(context.Context, *Host, Taker) error { return nil }},
	}})
	if err != nil || res.Partial {
		t.Fatalf("%+v, %v", res, err)
	}
	want := map[string]Outcome{"last": Collected, "fails": Failed, "panics": Failed, "quiet": Empty, "live": Skipped}
	for _, c := range res.Collectors {
		if c.Outcome != want[c.Name] {
			t.Errorf("%s: %s (%s), want %s", c.Name, c.Outcome, c.Detail, want[c.Name])
		}
	}
	if len(res.Collectors) != len(want) || res.Collectors[len(want)-1].Name != "last" {
		t.Errorf("order of volatility not kept: %+v", res.Collectors)
	}
	if it, ok := m.find("live"); !ok || it.Kind != evidence.KindSkipped {
		t.Errorf("no skipped record for the live collector: %+v", it)
	}
	if res.ProblemCount != 2 || res.Problems[1].Code != evidence.Panicked {
		t.Errorf("problems %+v", res.Problems)
	}
	if !bytes.Contains(m.text[RunLog], []byte(`"collector":"panics"`)) || !bytes.Contains(m.text[ProblemSet], []byte(`"boo`)) && !bytes.Contains(m.text[ProblemSet], []byte("boo")) {
		t.Error("log or problems do not tell of the panic")
	}
	for _, path := range []string{ClockStart, ClockEnd, FootprintAt, ProblemSet, LedgerSet, RunLog} {
		if _, ok := m.find(path); !ok {
			t.Errorf("no %s", path)
		}
	}
}

func TestAHangingCollectorIsLeftBehindAtItsDeadline(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "f"), "x")
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		late := make(chan error, 1)
		hang := Collector{Name: "hang", Deadline: time.Minute, Run: func(ctx context.Context, _ *Host, out Taker) error {
			r, w := io.Pipe() // a source that never answers, read by the sink
			defer w.Close()
			go func() { late <- out.Stream(ctx, evidence.Item{Path: "never", Size: -1}, r) }()
			<-release
			return nil
		}}
		began := time.Now()
		res, m, err := runWith(t, context.Background(), Options{Root: root, Collectors: []Collector{hang, taking("next", "/f")}})
		if err != nil || res.Partial {
			t.Fatalf("%+v, %v", res, err)
		}
		if took := time.Since(began); took < time.Minute || took > time.Minute+grace+time.Second {
			t.Errorf("took %v", took)
		}
		if c := res.Collectors[0]; c.Outcome != TimedOut {
			t.Errorf("hang: %+v", c)
		}
		if c := res.Collectors[1]; c.Outcome != Collected {
			t.Errorf("next: %+v", c)
		}
		if it, ok := m.find("hang"); !ok || it.Kind != evidence.KindError {
			t.Errorf("no record of the collector left behind: %+v", it)
		}
		<-late
		close(release)
		synctest.Wait()
	})
}

func TestCancellingSealsWhatIsThere(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "f"), "x")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		slow := Collector{Name: "slow", Tier: TierUsers, Run: func(ctx context.Context, _ *Host, out Taker) error {
			lines := NewRecords(ctx, out, evidence.Item{Path: "lines"})
			if err := lines.Write("before"); err != nil {
				return err
			}
			cancel()
			<-ctx.Done()
			return errors.Join(lines.Close(), ctx.Err())
		}}
		never := Collector{Name: "never", Tier: TierFiles, Run: func(context.Context, *Host, Taker) error {
			t.Error("a collector began after the run was cancelled")
			return nil
		}}
		res, m, err := runWith(t, ctx, Options{Root: root, Collectors: []Collector{taking("first", "/f"), slow, never}})
		if err != nil || !res.Partial || res.Reason != "interrupted" || !m.sealed {
			t.Fatalf("%+v, %v", res, err)
		}
		if string(m.text["lines"]) != "\"before\"\n" {
			t.Errorf("lines written before the end: %q", m.text["lines"])
		}
		if _, ok := m.find(ClockEnd); !ok {
			t.Error("no clock at the end")
		}
		for _, c := range res.Collectors[1:] {
			if c.Outcome != Skipped {
				t.Errorf("%+v", c)
			}
		}
	})
}

func TestAlongsideGoesFirstAndIsStoppedLast(t *testing.T) {
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, what)
		}
		beside := Collector{Name: "beside", Tier: TierAlongside, Run: func(ctx context.Context, h *Host, _ Taker) error {
			note("begin")
			<-ctx.Done()
			note("end")
			return nil
		}}
		other := Collector{Name: "other", Run: func(context.Context, *Host, Taker) error {
			time.Sleep(time.Second)
			note("other")
			return nil
		}}
		began := time.Now()
		res, _, err := runWith(t, context.Background(), Options{
			Root: root, Collectors: []Collector{beside, other}, CaptureFor: 10 * time.Second,
		})
		if err != nil || res.Partial || len(res.Collectors) != 2 {
			t.Fatalf("%+v, %v", res, err)
		}
		if fmt.Sprint(order) != "[begin other end]" || time.Since(began) < 10*time.Second {
			t.Errorf("%v in %v", order, time.Since(began))
		}
	})
}

func TestAFailingSinkEndsTheRun(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "f"), "x")
	write(t, filepath.Join(root, "g"), "x")
	r, err := prepare(Options{Root: root, Out: io.Discard, Collectors: []Collector{taking("c", "/f", "/g"), taking("d", "/g")}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.host.Close()
	full := &memorySink{broken: unix.ENOSPC}
	res, err := r.execute(context.Background(), full)
	if !errors.Is(err, unix.ENOSPC) || !res.Partial || res.Reason != "sink" {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestAReadErrorIsAProblemNotAnEnd(t *testing.T) {
	root := t.TempDir()
	broken := Collector{Name: "c", Run: func(ctx context.Context, _ *Host, out Taker) error {
		r := io.MultiReader(strings.NewReader("some"), failing{unix.EIO})
		return out.Stream(ctx, evidence.Item{Path: "s", Size: -1}, r)
	}}
	res, m, err := runWith(t, context.Background(), Options{Root: root, Collectors: []Collector{broken}})
	if err != nil || res.ProblemCount == 0 || res.Problems[0].Code != evidence.IOError {
		t.Fatalf("%+v, %v", res, err)
	}
	if string(m.text["s"]) != "some" {
		t.Errorf("content %q", m.text["s"])
	}
}

func TestGuardedReaderGivesUpOnAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		g := guard(context.Background(), r, nil, time.Second)
		if _, err := g.Read(make([]byte, 1)); !errors.Is(err, ErrTimeout) {
			t.Errorf("a silent source gave %v", err)
		}
		w.Close()
		g.Close()
	})
}

func TestPseudoFilesAreReadToTheirEnd(t *testing.T) {
	res, m, err := runWith(t, context.Background(), Options{Collectors: []Collector{
		taking("c", "/proc/self/status", "/proc/kallsyms", "/proc/version"),
	}})
	if err != nil {
		t.Fatalf("%+v, %v", res, err)
	}
	for path, part := range map[string]string{"/proc/self/status": "VmRSS:", "/proc/version": "Linux version"} {
		it, ok := m.find(path)
		if !ok || it.Source != "proc" || it.Kind != evidence.KindFile || !strings.Contains(string(m.text[path]), part) {
			t.Errorf("%s: %+v %q", path, it, m.text[path])
		}
	}
	if it, ok := m.find("/proc/kallsyms"); ok && it.Kind == evidence.KindFile && !bytes.HasSuffix(m.text[it.Path], []byte("\n")) {
		t.Error("kallsyms was cut")
	}
}
