package local_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/local"
	"github.com/exhibit-dfir/exhibit/timeline/store/memory"
	"github.com/exhibit-dfir/exhibit/timeline/storetest"
)

// create opens a builder with segments of at most 700 rows, in which jobs of
// more than 120 events do not share.
func create(t testing.TB, dir string) *local.Builder {
	t.Helper()
	b, err := local.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	b.SetLimits(700, 120)
	return b
}

func build(t testing.TB, dir string, jobs []storetest.Job, workers int) {
	t.Helper()
	b := create(t, dir)
	storetest.Build(t, b, jobs, workers)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string) *local.Engine {
	t.Helper()
	e, err := local.Open(dir, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// files reads a folder into one text per file.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameFiles(t testing.TB, got, want map[string]string) {
	t.Helper()
	for name, text := range want {
		if other, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		} else if other != text {
			t.Errorf("%s differs", name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is too much", name)
		}
	}
}

func TestEngine(t *testing.T) {
	storetest.Run(t, func(t *testing.T, jobs []storetest.Job) timeline.Engine {
		dir := t.TempDir()
		build(t, dir, jobs, 3)
		e, err := local.Open(dir, local.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}

func TestEngineOverSharedSegments(t *testing.T) {
	storetest.Run(t, func(t *testing.T, jobs []storetest.Job) timeline.Engine {
		dir := t.TempDir()
		b, err := local.Create(dir)
		if err != nil {
			t.Fatal(err)
		}
		storetest.Build(t, b, jobs, 2)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if n := len(segments(t, dir)); n != 3 && len(jobs) > 0 {
			t.Fatalf("%d segments, want one per family", n)
		}
		e, err := local.Open(dir, local.Options{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	for name := range files(t, dir) {
		if strings.HasSuffix(name, ".parquet") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func TestSegmentsOfManyBlocksAnswerAlike(t *testing.T) {
	jobs := storetest.Jobs(21, 2, 75_000)
	dir := t.TempDir()
	b, err := local.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Build(t, b, jobs, 2)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	e := open(t, dir)
	events, _, _ := storetest.Collect(t, jobs)
	if len(events) < 80_000 {
		t.Fatalf("%d events are too few for several blocks", len(events))
	}
	m := memory.New(events)
	ctx := context.Background()
	r := rand.New(rand.NewPCG(8, 8))
	for range 12 {
		q := timeline.Query{Where: storetest.RandomExpr(r, 2)}
		want, err := m.Count(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := e.Count(ctx, q); err != nil || got != want {
			t.Fatalf("%s: %d, %v; want %d", timeline.Format(q.Where), got, err, want)
		}
	}
	got := storetest.Slice(t, e.Events(ctx, timeline.Query{}, nil))
	storetest.Ordered(t, got)
	if len(got) != len(events) {
		t.Fatalf("%d events, want %d", len(got), len(events))
	}
	for _, i := range []int{0, 32767, 32768, 65535, 65536, len(got) - 2} {
		c := &timeline.Cursor{TS: got[i].TS, ID: got[i].ID}
		next := storetest.Slice(t, e.Events(ctx, timeline.Query{Limit: 1}, c))
		if len(next) != 1 || next[0].ID != got[i+1].ID {
			t.Fatalf("after event %d comes not event %d", i, i+1)
		}
	}
}

func TestWorkersDoNotShowInTheBytes(t *testing.T) {
	jobs := storetest.Jobs(2, 40, 400)
	one, many := t.TempDir(), t.TempDir()
	build(t, one, jobs, 1)
	build(t, many, jobs, 5)
	sameFiles(t, files(t, many), files(t, one))
	if len(segments(t, one)) < 20 {
		t.Fatal("too few segments to mean something")
	}
}

func TestSuspendedBuildEndsInTheSameBytes(t *testing.T) {
	jobs := storetest.Jobs(4, 30, 400)
	whole, parts := t.TempDir(), t.TempDir()
	build(t, whole, jobs, 1)
	for _, part := range [][]storetest.Job{jobs[20:], jobs[5:25]} {
		b := create(t, parts)
		storetest.Build(t, b, part, 2)
		if err := b.Suspend(); err != nil {
			t.Fatal(err)
		}
		if _, err := local.Open(parts, local.Options{}); !errors.Is(err, local.ErrNoTimeline) {
			t.Fatalf("suspended build: %v, want ErrNoTimeline", err)
		}
	}
	build(t, parts, jobs, 3)
	sameFiles(t, files(t, parts), files(t, whole))
}

func TestLaterBuildsOnlyAdd(t *testing.T) {
	jobs := storetest.Jobs(5, 20, 300)
	dir := t.TempDir()
	build(t, dir, jobs[:8], 2)
	before := files(t, dir)
	build(t, dir, jobs[:8], 2)
	sameFiles(t, files(t, dir), before)

	build(t, dir, jobs, 2)
	after := files(t, dir)
	for name, text := range before {
		if name != "MANIFEST" && after[name] != text {
			t.Errorf("%s changed", name)
		}
	}
	if !strings.HasPrefix(after["MANIFEST"], before["MANIFEST"]) {
		t.Error("the manifest does not begin with what it was")
	}
	events, _, _ := storetest.Collect(t, jobs)
	n, err := open(t, dir).Count(context.Background(), timeline.Query{})
	if err != nil || n != int64(len(events)) {
		t.Errorf("%d events, %v; want %d", n, err, len(events))
	}
}

func TestTwoBuildersCannotWorkInOneFolder(t *testing.T) {
	dir := t.TempDir()
	b := create(t, dir)
	if _, err := local.Create(dir); !errors.Is(err, local.ErrBusy) {
		t.Errorf("error %v, want ErrBusy", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	create(t, dir).Close()
}

func TestAbortedAndFailedJobsLeaveNothing(t *testing.T) {
	jobs := storetest.Jobs(6, 4, 400)
	dir, clean := t.TempDir(), t.TempDir()
	b := create(t, dir)
	ctx := context.Background()
	for i := range jobs {
		w, err := b.Begin(ctx, jobs[i].Job)
		if err != nil {
			t.Fatal(err)
		}
		if err := jobs[i].Run(ctx, w); err != nil {
			t.Fatal(err)
		}
		w.Abort()
		if err := w.Commit(ctx); err == nil {
			t.Fatal("an aborted job was committed")
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	create(t, clean).Close()
	sameFiles(t, files(t, dir), files(t, clean))
}

func TestEqualEventsOfASegmentAreKeptOnce(t *testing.T) {
	dir := t.TempDir()
	b := create(t, dir)
	job := storetest.Jobs(7, 1, 50)[0]
	job.Events = 40
	ctx := context.Background()
	w, err := b.Begin(ctx, job.Job)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := job.Run(ctx, w); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := open(t, dir).Count(ctx, timeline.Query{}); n != 40 || err != nil {
		t.Errorf("%d events, %v; want 40", n, err)
	}
}

func TestBuilderRefusesNamesThatLeadElsewhere(t *testing.T) {
	b := create(t, t.TempDir())
	defer b.Close()
	good := storetest.Jobs(1, 1, 1)[0].Job
	for name, change := range map[string]func(*timeline.Job){
		"key": func(j *timeline.Job) { j.Key = "../x" }, "family": func(j *timeline.Job) { j.Family = "../x" },
		"no family": func(j *timeline.Job) { j.Family = "" }, "no source": func(j *timeline.Job) { j.Source = nil },
	} {
		job := good
		change(&job)
		if _, err := b.Begin(context.Background(), job); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestManyProblemsAreCountedNotListed(t *testing.T) {
	dir := t.TempDir()
	b := create(t, dir)
	job := storetest.Jobs(8, 1, 0)[0]
	job.Problems = 10_500
	storetest.Build(t, b, []storetest.Job{job}, 1)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	got := storetest.Slice(t, open(t, dir).Problems(context.Background()))
	if len(got) != 10_001 || !strings.Contains(got[10_000].Detail, "500 more problems") {
		t.Errorf("%d problems, the last %+v", len(got), got[len(got)-1])
	}
}

func TestColumnsOfManyValuesAnswerAlike(t *testing.T) {
	dir := t.TempDir()
	b, err := local.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	var events []*timeline.Event
	src := &timeline.Source{Path: "/x", SHA256: evidence.Sum([]byte("x"))}
	job := timeline.Job{Key: src.SHA256.String(), Family: "net", Parser: "p@1", Source: src}
	ctx := context.Background()
	w, err := b.Begin(ctx, job)
	if err != nil {
		t.Fatal(err)
	}
	fill := func(sink timeline.Sink) {
		out := timeline.NewAppender(ctx, sink, src, "p", 1)
		for i := range int64(20_000) {
			e := out.Event(i, 1)
			e.SetNanos(i * 1000)
			if i%7 != 0 {
				e.SrcIP = out.Str(fmt.Sprintf("10.%d.%d.%d", i%5, i/256%256, i%256))
				e.User = out.Str(fmt.Sprintf("User%dK", i))
			}
		}
		if err := out.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	fill(w)
	fill(timeline.SinkFunc(func(_ context.Context, b *timeline.Batch) error {
		for i := range b.Events {
			events = append(events, b.Events[i].Clone())
		}
		return nil
	}))
	if err := errors.Join(w.Commit(ctx), b.Close()); err != nil {
		t.Fatal(err)
	}
	e, m := open(t, dir), memory.New(events)
	for _, text := range []string{
		`src_ip:10.1.0.1`, `src_ip:9.9.9.9`, `user:uSER77k`, `user:*99*`, `-user:/9k$/`, `has:user`, `ip:10.3.0.0/16`,
		`user77k`, `NOT has:src_ip`, `user:[User5 TO User6]`, `src_ip:10.1.0.1 OR user:user12K`,
	} {
		q, err := timeline.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := m.Count(ctx, q)
		if got, err := e.Count(ctx, q); got != want || err != nil {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
		wantTop, _ := m.Top(ctx, q, "user", 9)
		if got, err := e.Top(ctx, q, "user", 9); err != nil || !slices.Equal(got, wantTop) {
			t.Errorf("%s: top %v, %v; want %v", text, got, err, wantTop)
		}
	}
	if n, err := e.Distinct(ctx, timeline.Query{}, "src_ip"); err != nil || n < 10_000 {
		t.Errorf("%d addresses, %v", n, err)
	}
}
