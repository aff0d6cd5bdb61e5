package analyze_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// folder is Evidence of a few literal files.
type folder struct {
	items   []evidence.Item
	content map[string][]byte
	broken  map[string]error
}

func (f *folder) add(path, content string) *folder {
	if f.content == nil {
		f.content = map[string][]byte{}
	}
	f.items = append(f.items, evidence.Item{
		Index: int64(len(f.items)), Kind: evidence.KindFile, Member: "files" + path, Path: path,
		Size: int64(len(content)), Stored: int64(len(content)), SHA256: evidence.Sum([]byte(content)),
	})
	f.content["files"+path] = []byte(content)
	return f
}

func (f *folder) Items() iter.Seq2[evidence.Item, error] {
	return func(yield func(evidence.Item, error) bool) {
		for _, it := range f.items {
			if !yield(it, nil) {
				return
			}
		}
	}
}

type content struct{ *bytes.Reader }

func (content) Close() error  { return nil }
func (c content) Size() int64 { return c.Reader.Size() }

func (f *folder) Open(member string) (evidence.Content, error) {
	if err := f.broken[member]; err != nil {
		return nil, err
	}
	b, ok := f.content[member]
	if !ok {
		return nil, fmt.Errorf("no member %q", member)
	}
	return content{bytes.NewReader(b)}, nil
}

// shelf keeps committed events and problems by job key.
type shelf struct {
	mu       sync.Mutex
	jobs     map[string][]timeline.Event
	problems []evidence.Problem
	fail     error
}

func newShelf() *shelf { return &shelf{jobs: map[string][]timeline.Event{}} }

func (s *shelf) Done(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.jobs[key]
	return ok
}

func (s *shelf) Begin(_ context.Context, job timeline.Job) (timeline.JobWriter, error) {
	return &shelfJob{shelf: s, key: job.Key}, nil
}
func (s *shelf) Close() error { return nil }

// messages returns "message" of all events in a stable order.
func (s *shelf) messages() []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(s.jobs)) {
		for _, ev := range s.jobs[key] {
			all = append(all, ev.ID.String()+" "+ev.Message)
		}
	}
	return all
}

type shelfJob struct {
	shelf    *shelf
	key      string
	events   []timeline.Event
	problems []evidence.Problem
}

func (j *shelfJob) Append(_ context.Context, b *timeline.Batch) error {
	for i := range b.Events {
		j.events = append(j.events, *b.Events[i].Clone())
	}
	j.problems = append(j.problems, b.Problems...)
	return j.shelf.fail
}

func (j *shelfJob) Commit(context.Context) error {
	j.shelf.mu.Lock()
	defer j.shelf.mu.Unlock()
	j.shelf.jobs[j.key] = j.events
	j.shelf.problems = append(j.shelf.problems, j.problems...)
	return nil
}
func (j *shelfJob) Abort() {}

// lines makes an event of every line of files that begin with "log".
var lines = analyze.Parser{
	Name: "test_lines", Doc: "lines", Version: 1, Family: "text",
	Match: func(_ *evidence.Item, head []byte) bool { return bytes.HasPrefix(head, []byte("log")) },
	Parse: func(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
		b, err := io.ReadAll(src)
		off := int64(0)
		for line := range bytes.Lines(b) {
			if bytes.Contains(line, []byte("panic")) {
				var none []int
				_ = none[len(line)]
			}
			ev := out.Event(off, int64(len(line)))
			ev.Message = out.Text(bytes.TrimSpace(line))
			off += int64(len(line))
		}
		return err
	},
}

func mustRun(t *testing.T, ev analyze.Evidence, s *shelf, opt analyze.Options) *analyze.Result {
	t.Helper()
	opt.Parsers = []analyze.Parser{lines}
	res, err := analyze.Run(t.Context(), ev, s, opt)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestOneBadItemCostsNoOther(t *testing.T) {
	ev := new(folder).add("/a", "log one\n").add("/b", "log two\npanic here\nnever\n").add("/c", "log three\n").
		add("/d", "log gone").add("/e", "\x1f\x8b\x08broken gzip").add("/f", "unknown")
	ev.broken = map[string]error{"files/d": errors.New("frame damaged")}
	s := newShelf()
	res := mustRun(t, ev, s, analyze.Options{})
	text := strings.Join(s.messages(), "\n")
	for _, want := range []string{"log one", "log two", "log three"} {
		if !strings.Contains(text, want) {
			t.Errorf("events lack %q:\n%s", want, text)
		}
	}
	codes := map[string]evidence.Code{}
	for _, p := range s.problems {
		codes[p.Path] = p.Code
	}
	want := map[string]evidence.Code{"/b": evidence.Panicked, "/d": evidence.IOError, "/e": evidence.Corrupt}
	if !maps.Equal(codes, want) {
		t.Errorf("problems %v, want %v", codes, want)
	}
	if !strings.Contains(fmt.Sprint(s.problems), "run_test.go:") {
		t.Errorf("the panic's place is not named: %v", s.problems)
	}
	if res.Items != 6 || res.Unparsed != 1 || res.Events != 3 {
		t.Errorf("result %+v, want 6 items, 1 unparsed, 3 events", res)
	}
}

func TestResultDoesNotDependOnWorkers(t *testing.T) {
	ev := new(folder)
	for i := range 50 {
		ev.add(fmt.Sprintf("/f%d", i), fmt.Sprintf("log %d\nsecond\n", i))
	}
	one, many := newShelf(), newShelf()
	mustRun(t, ev, one, analyze.Options{Workers: 1})
	mustRun(t, ev, many, analyze.Options{Workers: 8})
	if !slices.Equal(one.messages(), many.messages()) {
		t.Error("1 and 8 workers give different events")
	}
}

func TestItemsOfAWorkerDoNotSeeEachOther(t *testing.T) {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	w.Write([]byte("log packed\n"))
	w.Close()
	long := "log " + strings.Repeat("x", 3*analyze.HeadSize)
	ev := new(folder).add("/a", long).add("/b", "no").add("/c", "log short\n").add("/d", "\x1f\x8b\x08broken").
		add("/e", gz.String()).add("/f", "").add("/g", "log")
	s := newShelf()
	mustRun(t, ev, s, analyze.Options{Workers: 1})
	got := map[string]bool{}
	for _, m := range s.messages() {
		_, text, _ := strings.Cut(m, " ")
		got[text] = true
	}
	want := map[string]bool{long: true, "log short": true, "log packed": true, "log": true}
	if !maps.Equal(got, want) {
		t.Errorf("%d events, want %d: %.300v", len(got), len(want), slices.Collect(maps.Keys(got)))
	}
}

func TestDoneJobsAreNotRunAgain(t *testing.T) {
	ev := new(folder).add("/a", "log one\n")
	s := newShelf()
	mustRun(t, ev, s, analyze.Options{})
	if res := mustRun(t, ev, s, analyze.Options{Bundle: evidence.Sum([]byte("another bundle"))}); res.Reused != 1 || res.Events != 0 {
		t.Errorf("second run: %+v, want one reused job and no events", res)
	}
	if res := mustRun(t, ev, s, analyze.Options{Year: 2020}); res.Reused != 0 {
		t.Error("another year must parse again")
	}
}

func TestCompressedItemsAreDecoded(t *testing.T) {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	w.ModTime = time.Unix(1700000000, 0)
	io.WriteString(w, "log packed\n")
	w.Close()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	ev := new(folder).add("/a.gz", gz.String()).add("/b.zst", string(enc.EncodeAll([]byte("log zipped\n"), nil)))
	s := newShelf()
	mustRun(t, ev, s, analyze.Options{})
	text := strings.Join(s.messages(), "\n")
	if !strings.Contains(text, "log packed") || !strings.Contains(text, "log zipped") {
		t.Errorf("events: %s", text)
	}
	for _, events := range s.jobs {
		if c := events[0].Source.Chain; c != "gzip" && c != "zstd" {
			t.Errorf("chain %q", c)
		}
	}
}

func TestCutCompressedItemKeepsWhatWasDecoded(t *testing.T) {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	for i := range 20000 {
		fmt.Fprintf(w, "log line %d %x\n", i, evidence.Sum([]byte{byte(i), byte(i >> 8)}))
	}
	w.Close()
	ev := new(folder).add("/a.gz", gz.String()[:gz.Len()/2])
	s := newShelf()
	res := mustRun(t, ev, s, analyze.Options{})
	if res.Events < 5000 || len(s.problems) != 1 || s.problems[0].Code != evidence.Truncated {
		t.Errorf("%d events, problems %v; want thousands and one of truncation", res.Events, s.problems)
	}
}

func TestBytesOfACompressionInFrontDoNotHideALog(t *testing.T) {
	odd := lines
	odd.Match = func(_ *evidence.Item, head []byte) bool { return bytes.HasPrefix(head, []byte("BZh")) }
	s := newShelf()
	_, err := analyze.Run(t.Context(), new(folder).add("/a", "BZhlog one\nlog two\n"), s, analyze.Options{Parsers: []analyze.Parser{odd}})
	if err != nil || len(s.messages()) != 2 || len(s.problems) != 0 {
		t.Errorf("events %v, problems %v, error %v", s.messages(), s.problems, err)
	}
}

func TestDecodingIsBounded(t *testing.T) {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	zeros := make([]byte, 1<<20)
	for range 1100 {
		w.Write(zeros)
	}
	w.Close()
	r, chain, err := analyze.Decode(&gz, 1000)
	if err != nil || chain != "gzip" {
		t.Fatal(chain, err)
	}
	n, err := io.Copy(io.Discard, r)
	if !errors.Is(err, analyze.ErrExpansion) || n > 1<<30 {
		t.Errorf("read %d bytes, error %v; want an end at 1 GiB", n, err)
	}
}

func TestASmallXZFileTakesLittleMemory(t *testing.T) {
	var packed bytes.Buffer
	w, err := xz.WriterConfig{DictCap: 1 << 16}.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("log packed\n"))
	w.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, chain, err := analyze.Decode(&packed, int64(packed.Len()))
	if err != nil || chain != "xz" {
		t.Fatal(chain, err)
	}
	b, err := io.ReadAll(r)
	runtime.ReadMemStats(&after)
	if string(b) != "log packed\n" || err != nil {
		t.Errorf("decoded %q, %v", b, err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("%d bytes allocated for a dictionary of 64 KiB", n)
	}
}

func TestStoreFailureEndsTheRun(t *testing.T) {
	ev := new(folder).add("/a", "log one\n").add("/b", "log two\n")
	s := newShelf()
	s.fail = errors.New("disk full")
	_, err := analyze.Run(t.Context(), ev, s, analyze.Options{Parsers: []analyze.Parser{lines}})
	if !errors.Is(err, s.fail) {
		t.Errorf("error %v, want the store's", err)
	}
}

func TestCancellationEndsTheRun(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	_, err := analyze.Run(ctx, new(folder).add("/a", "log one\n"), newShelf(), analyze.Options{Parsers: []analyze.Parser{lines}})
	if !errors.Is(err, why) {
		t.Errorf("error %v, want the cause", err)
	}
}

func TestHostFactsComeFromTheEvidence(t *testing.T) {
	ev := new(folder).
		add("/etc/hostname", "web01\n").add("/etc/machine-id", "0123456789abcdef0123456789abcdef\n").
		add("/etc/passwd", "root:x:0:0::/root:/bin/sh\nbad line\nalice:x:1000:1000::/home/alice:/bin/bash\nalias:x:1000:1::/:/x\n").
		add("/etc/timezone", "Europe/Berlin\n")
	h, err := analyze.HostFacts(ev)
	if err != nil {
		t.Fatal(err)
	}
	if h.Name != "web01" || h.MachineID != "0123456789abcdef0123456789abcdef" || h.Users[1000] != "alice" || h.Users[0] != "root" {
		t.Errorf("facts %+v", h)
	}
	if h.Zone.String() != "Europe/Berlin" || h.ZoneSrc != timeline.ZoneHostConfig {
		t.Errorf("zone %v from %s", h.Zone, h.ZoneSrc)
	}
	live := new(folder).add("/etc/hostname", "forged\n").
		add(record.Self, `{"hostname":"real","machine_id":"m","boot_id":"b","boot_time":1700000000000000000,"clock_ticks":100,"clock":{"zone":"UTC"}}`+"\n")
	if h, err = analyze.HostFacts(live); err != nil || h.Name != "real" || h.BootID != "b" || h.BootTime.Unix() != 1700000000 {
		t.Errorf("facts %+v, %v", h, err)
	}
	if h, _ = analyze.HostFacts(new(folder).add("/etc/timezone", "../../etc/passwd\n")); h.Zone != time.UTC || h.ZoneSrc != timeline.ZoneAssumed {
		t.Errorf("a hostile zone name gave %v from %s", h.Zone, h.ZoneSrc)
	}
}
