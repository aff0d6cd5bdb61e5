package local_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/local"
)

// benchEvents is how many events the benchmarks query; EXHIBIT_BENCH_EVENTS
// sets another number, for example 20000000.
func benchEvents(tb testing.TB) int {
	s := os.Getenv("EXHIBIT_BENCH_EVENTS")
	if s == "" {
		return 1_000_000
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// logWriter appends events that look like those of a busy server: about 120
// bytes of message, four attributes, Zipf users, addresses and words.
type logWriter struct {
	r     *rand.Rand
	words *rand.Zipf
	users *rand.Zipf
	vocab []string
	buf   []byte
}

func newLogWriter(seed uint64) *logWriter {
	r := rand.New(rand.NewPCG(seed, 9))
	w := &logWriter{r: r, words: rand.NewZipf(r, 1.1, 4, 19_999), users: rand.NewZipf(r, 1.2, 2, 300)}
	v := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		b := make([]byte, 3+v.IntN(8))
		for i := range b {
			b[i] = "etaoinshrdlucmfwypvbgkjqxz"[v.IntN(26)]
		}
		w.vocab = append(w.vocab, string(b))
	}
	return w
}

var benchFamilies = []string{"text", "journal", "audit", "fs", "net", "live", "history", "package"}

func (w *logWriter) event(out *timeline.Appender, family int, i int64, ts int64) {
	e := out.Event(i*140, 139)
	e.SetNanos(ts)
	w.buf = w.buf[:0]
	for len(w.buf) < 100 {
		w.buf = append(append(w.buf, w.vocab[w.words.Uint64()]...), ' ')
	}
	w.buf = strconv.AppendInt(append(w.buf, "from port "...), int64(w.r.IntN(65536)), 10)
	e.Message = out.Text(w.buf)
	e.TSDesc, e.TSKind, e.TSPrec = "Content Modification Time", timeline.Recorded, timeline.Microsecond
	e.DataType, e.SourceShort, e.SourceLong = "linux:"+benchFamilies[family], "LOG", "Log file"
	e.Action, e.Category = "logged", "host"
	e.User = fmtUser[w.users.Uint64()]
	e.PID, e.UID, e.Line = int64(w.r.IntN(32768)), int64(w.users.Uint64()), i+1
	e.Exe = benchExes[w.r.IntN(len(benchExes))]
	switch family {
	case 3:
		e.File = out.Join("/usr/share/", w.vocab[w.r.IntN(20_000)], "/", w.vocab[w.r.IntN(20_000)])
		sum := evidence.Sum(w.buf)
		e.SHA256 = out.Str(sum.String())
	case 4:
		e.SrcIP = out.Join("10.", out.Int(int64(w.r.IntN(256))), ".", out.Int(int64(w.r.IntN(256))), ".", out.Int(int64(w.r.IntN(256))))
		e.DstIP, e.DstPort, e.SrcPort = "192.0.2.7", 443, int64(w.r.IntN(65536))
	case 2:
		e.Cmdline = out.Join("/usr/bin/", w.vocab[w.words.Uint64()], " --", w.vocab[w.words.Uint64()])
	}
	out.AttrStr("facility", "authpriv")
	out.AttrInt("severity", int64(w.r.IntN(8)))
	out.AttrStr("unit_id", w.vocab[w.words.Uint64()])
	out.AttrInt("cursor", int64(w.r.Uint32()))
}

var (
	fmtUser = func() (u [301]string) {
		for i := range u {
			u[i] = fmt.Sprintf("user%03d", i)
		}
		return u
	}()
	benchExes = []string{"/usr/sbin/sshd", "/usr/bin/bash", "/usr/sbin/cron", "/usr/lib/systemd/systemd", "/usr/bin/python3", "/usr/sbin/nginx"}
)

// fill runs one job of n events whose times overlap those of all others.
func fill(tb testing.TB, b timeline.Builder, number, n int) {
	ctx := context.Background()
	key := evidence.Sum(fmt.Appendf(nil, "bench %d", number))
	family := number % len(benchFamilies)
	src := &timeline.Source{Path: "/var/log/" + strconv.Itoa(number), SHA256: key, Host: "web1", Member: "m" + strconv.Itoa(number)}
	w, err := b.Begin(ctx, timeline.Job{Order: int64(number), Key: key.String(), Family: benchFamilies[family], Parser: "bench@1", Source: src})
	if err != nil {
		tb.Fatal(err)
	}
	out := timeline.NewAppender(ctx, w, src, "bench", 1)
	gen := newLogWriter(uint64(number))
	const span = 60 * 86400 * 1_000_000_000
	for i := range int64(n) {
		gen.event(out, family, i, 1_790_000_000e9+i*(span/int64(n))+int64(gen.r.IntN(1_000_000_000)))
	}
	if number == 3 {
		e := out.Event(0, 1)
		e.SetNanos(1_790_000_000e9 + span/2)
		e.Message = "Sekurlsa mimikatz was here"
	}
	if err := out.Flush(); err != nil {
		tb.Fatal(err)
	}
	if err := w.Commit(ctx); err != nil {
		tb.Fatal(err)
	}
}

const benchJob = 250_000

// benchDir returns a timeline of benchEvents events, kept between runs in
// the folder EXHIBIT_BENCH_DIR where it is set.
func benchDir(tb testing.TB) string {
	n := benchEvents(tb)
	dir := os.Getenv("EXHIBIT_BENCH_DIR")
	if dir == "" {
		dir = tb.TempDir()
	}
	dir = filepath.Join(dir, strconv.Itoa(n))
	if _, err := local.Open(dir, local.Options{}); err == nil {
		return dir
	}
	b, err := local.Create(dir)
	if err != nil {
		tb.Fatal(err)
	}
	start := time.Now()
	todo := make(chan int)
	done := make(chan bool)
	for range runtime.GOMAXPROCS(0) {
		go func() {
			for number := range todo {
				fill(tb, b, number, min(benchJob, n-number*benchJob))
			}
			done <- true
		}()
	}
	for number := range (n + benchJob - 1) / benchJob {
		todo <- number
	}
	close(todo)
	for range runtime.GOMAXPROCS(0) {
		<-done
	}
	if err := b.Close(); err != nil {
		tb.Fatal(err)
	}
	var size int64
	filepath.WalkDir(dir, func(_ string, d os.DirEntry, _ error) error {
		if info, err := d.Info(); err == nil && !d.IsDir() {
			size += info.Size()
		}
		return nil
	})
	tb.Logf("built %d events in %v, %.1f B/event, %s", n, time.Since(start).Round(time.Millisecond), float64(size)/float64(n), peakMemory())
	return dir
}

// peakMemory says the largest resident size of the process so far.
func peakMemory() string {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "VmHWM:") {
			return "peak " + strings.Join(strings.Fields(line)[1:], " ")
		}
	}
	return "peak unknown"
}

func BenchmarkWrite(b *testing.B) {
	b.ReportAllocs()
	number := 0
	for b.Loop() {
		store, err := local.Create(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		fill(b, store, number, benchJob)
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
		number++
	}
	b.ReportMetric(float64(b.N)*benchJob/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkGenerate is the part of BenchmarkWrite that makes the events.
func BenchmarkGenerate(b *testing.B) {
	null := timeline.SinkFunc(func(context.Context, *timeline.Batch) error { return nil })
	src := &timeline.Source{}
	number := 0
	for b.Loop() {
		out := timeline.NewAppender(context.Background(), null, src, "bench", 1)
		gen := newLogWriter(uint64(number))
		for i := range int64(benchJob) {
			gen.event(out, number%len(benchFamilies), i, i)
		}
		if err := out.Flush(); err != nil {
			b.Fatal(err)
		}
		number++
	}
	b.ReportMetric(float64(b.N)*benchJob/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkQuery(b *testing.B) {
	dir := benchDir(b)
	ctx := context.Background()
	count := func(e *local.Engine, q string) {
		query, err := timeline.Parse(q)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := e.Count(ctx, query); err != nil {
			b.Fatal(err)
		}
	}
	page := func(e *local.Engine, q string, after *timeline.Cursor) {
		query, err := timeline.Parse(q)
		if err != nil {
			b.Fatal(err)
		}
		query.Limit = 100
		for _, err := range e.Events(ctx, query, after) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	const middle = 1_790_000_000e9 + 30*86400*1_000_000_000
	for _, bench := range []struct {
		name string
		run  func(*local.Engine)
	}{
		{"open", func(*local.Engine) {}},
		{"page of 100, one day", func(e *local.Engine) { page(e, `ts:"2026-10-23"`, nil) }},
		{"deep page of 100", func(e *local.Engine) { page(e, ``, &timeline.Cursor{TS: middle}) }},
		{"page of 100, user and word", func(e *local.Engine) { page(e, `user:user007 port`, &timeline.Cursor{TS: middle}) }},
		{"export of 50,000", func(e *local.Engine) {
			if _, err := timeline.WriteJSONL(io.Discard, e.Events(ctx, timeline.Query{Limit: 50_000}, &timeline.Cursor{TS: middle})); err != nil {
				b.Fatal(err)
			}
		}},
		{"histogram by hour", func(e *local.Engine) {
			if _, err := e.Hist(ctx, timeline.Query{}, 3600e9); err != nil {
				b.Fatal(err)
			}
		}},
		{"top 20 exe", func(e *local.Engine) {
			if _, err := e.Top(ctx, timeline.Query{}, "exe", 20); err != nil {
				b.Fatal(err)
			}
		}},
		{"top 20 src_ip", func(e *local.Engine) {
			if _, err := e.Top(ctx, timeline.Query{}, "src_ip", 20); err != nil {
				b.Fatal(err)
			}
		}},
		{"rare word", func(e *local.Engine) { count(e, `mimikatz`) }},
		{"substring of message", func(e *local.Engine) { count(e, `message:*kurlsa*`) }},
		{"substring anywhere", func(e *local.Engine) { count(e, `*kurlsa*`) }},
		{"user equals", func(e *local.Engine) { count(e, `user:USER007`) }},
		{"attribute equals", func(e *local.Engine) { count(e, `severity:3`) }},
		{"network", func(e *local.Engine) { count(e, `ip:10.7.0.0/16`) }},
		{"get by id", func(e *local.Engine) {
			if _, err := e.Get(ctx, timeline.ID{1}); err == nil {
				b.Fatal("found what is not there")
			}
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				e, err := local.Open(dir, local.Options{})
				if err != nil {
					b.Fatal(err)
				}
				bench.run(e)
				e.Close()
			}
		})
	}
	b.Log(peakMemory())
}
