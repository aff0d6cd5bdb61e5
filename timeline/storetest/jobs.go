// Package storetest holds what every store and engine must do: one suite,
// one generator of hostile jobs, one generator of queries.
package storetest

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// Job is a job with what its parser would append.
type Job struct {
	timeline.Job
	Events   int
	Problems int
	seed     uint64
}

// Jobs returns jobs with random events, the same for the same seed: a few
// families, sizes from nothing to perJob, sources with paths that are no
// UTF-8.
func Jobs(seed uint64, n, perJob int) []Job {
	r := rand.New(rand.NewPCG(seed, 1))
	families := []string{"text", "journal", "fs"}
	jobs := make([]Job, n)
	for i := range jobs {
		key := evidence.Sum(fmt.Appendf(nil, "%d-%d", seed, i))
		src := &timeline.Source{
			Bundle: evidence.Sum([]byte("bundle")), Member: fmt.Sprintf("files/%04d", i), Index: int64(i),
			Path: fmt.Sprintf("/var/log/%s%d.log", []string{"auth", "\xff\xfe", "säge"}[i%3], i), SHA256: key, Size: int64(r.IntN(1 << 30)),
			Inode: r.Uint64(), Collector: "files", Host: []string{"web1", "db1"}[i%2], HostID: strings.Repeat("ab", 16),
			Chain: []string{"", "gzip"}[i%2],
		}
		jobs[i] = Job{
			Job: timeline.Job{
				Order: int64(i), Key: key.String(), Family: families[r.IntN(len(families))],
				Parser: fmt.Sprintf("parser_%d@1", i%4), Source: src,
			},
			Events: r.IntN(perJob + 1), Problems: r.IntN(3), seed: r.Uint64(),
		}
	}
	return jobs
}

// Run appends the job's events and problems to sink.
func (j *Job) Run(ctx context.Context, sink timeline.Sink) error {
	name, _, _ := strings.Cut(j.Parser, "@")
	out := timeline.NewAppender(ctx, sink, j.Source, name, 1)
	r := rand.New(rand.NewPCG(j.seed, 2))
	for i := range j.Events {
		fillEvent(r, out, int64(i))
		for j.Problems > 0 && i == j.Events/2 && r.IntN(3) == 0 {
			break
		}
	}
	for i := range j.Problems {
		out.Problem(evidence.Corrupt, int64(i*100), -1, fmt.Sprintf("bad <record> %d \"\x1b\"", i))
	}
	return out.Flush()
}

var (
	users    = []string{"root", "Root", "www-data", "NT AUTHORITY\\SYSTEM", "jürgen", "JÜRGEN", "kelvin\u212a", "ſeba", ""}
	exes     = []string{"/usr/sbin/sshd", "/bin/bash", "C:\\Windows\\System32\\cmd.exe", "/usr/bin/curl", ""}
	words    = []string{"Accepted", "failed", "password", "for", "root", "from", "port", "ssh2", "PowerShell", "mimikatz", "session", "opened", "straße", "STRASSE", "K", "\u212a", "ſ", "naïve", "x_y", "a-b", "=cmd", "日本語", "e\u0301"}
	ips      = []string{"10.0.0.1", "10.0.0.10", "10.1.2.3", "192.168.1.1", "::ffff:10.0.0.1", "fe80::1%eth0", "2001:db8::7", "not-an-ip", ""}
	attrKeys = []string{"facility", "severity", "user", "a.b", "quo\"te", "back\\slash", "", "n", "ключ"}
	hostile  = []string{"\x00", "\x1b[31m", "\n\r\t", "\"", "\\", "\\u0041", "{\"n\":1}", ",\"n\":7", "<script>", "\u202e", "=1+1", "\xff\xfe", "\u2028", "%s%d", strings.Repeat("long ", 300)}
)

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func phrase(r *rand.Rand) []byte {
	var b []byte
	for range 1 + r.IntN(8) {
		if len(b) > 0 {
			b = append(b, pick(r, []string{" ", ", ", "=", "/", "", ": "})...)
		}
		switch r.IntN(12) {
		case 0:
			b = append(b, pick(r, hostile)...)
		case 1:
			b = append(b, pick(r, ips)...)
		case 2:
			b = fmt.Appendf(b, "%d", r.IntN(5000))
		default:
			b = append(b, pick(r, words)...)
		}
	}
	return b
}

func fillEvent(r *rand.Rand, out *timeline.Appender, i int64) {
	e := out.Event(i*100, int64(r.IntN(300)))
	switch r.IntN(20) {
	case 0:
		e.TSState = timeline.TimeState(1 + r.IntN(4))
	case 1:
		e.SetNanos(pick(r, []int64{math.MaxInt64, math.MinInt64 + 1, 0, -1, 1}))
	default:
		// Close together, so that equal times and bucket edges happen.
		e.SetNanos(1_795_000_000e9 + int64(r.IntN(40))*900e9 + int64(r.IntN(3)))
	}
	if r.IntN(8) == 0 {
		e.TSEnd = e.TS
	}
	e.Message = out.Text(phrase(r))
	e.TSDesc = pick(r, []string{"Content Modification Time", "Logged", ""})
	e.DataType = pick(r, []string{"linux:syslog:line", "linux:utmp:event", "fs:stat"})
	e.Action, e.Outcome = pick(r, []string{"login", "exec", ""}), pick(r, []string{"success", "failure", ""})
	e.User, e.Exe = out.Str(pick(r, users)), pick(r, exes)
	e.SrcIP, e.DstIP = pick(r, ips), pick(r, ips)
	if r.IntN(2) == 0 {
		e.SrcPort, e.DstPort = int64(r.IntN(65536)), pick(r, []int64{22, 80, 443})
		e.PID, e.PPID = int64(r.IntN(9999)), 1
	}
	switch r.IntN(6) {
	case 0:
		e.SHA256 = evidence.Sum([]byte{byte(r.IntN(5))}).String()
	case 1:
		e.SHA256 = pick(r, []string{strings.ToUpper(evidence.Sum([]byte{1}).String()), "deadbeef", "\xff"})
	}
	if r.IntN(3) == 0 {
		e.Cmdline = out.Text(phrase(r))
		e.File = "/etc/" + pick(r, words)
		e.EventCode = fmt.Sprint(r.IntN(5000))
		e.UID = int64(r.IntN(3)) * 500
		e.Line = i + 1
	}
	e.Flags = timeline.Flags(r.IntN(8))
	if r.IntN(10) == 0 {
		e.Domain = pick(r, hostile) // not through Text: the store must cope
	}
	attrs(r, out)
}

func attrs(r *rand.Rand, out *timeline.Appender) {
	for range r.IntN(4) {
		key := pick(r, attrKeys)
		switch r.IntN(5) {
		case 0:
			out.AttrInt(key, int64(r.IntN(300)-20))
		case 1:
			out.AttrRaw(key, pick(r, []string{"1.50", "-0.25", "007", "1e5", "", "12345678901234567890"}), pick(r, []byte("ifs")))
		case 2:
			out.AttrRaw(key, "2026-11-23T09:00:00Z", 't')
		case 3:
			out.AttrRaw(key, hex.EncodeToString([]byte{byte(r.IntN(4))}), 'b')
		default:
			out.Attr(key, phrase(r))
		}
	}
}

// Collect returns the events and problems of jobs as an engine in memory
// needs them.
func Collect(t testing.TB, jobs []Job) (events []*timeline.Event, problems []evidence.Problem, sources []timeline.SourceInfo) {
	t.Helper()
	for i := range jobs {
		before, lost := len(events), len(problems)
		err := jobs[i].Run(context.Background(), timeline.SinkFunc(func(_ context.Context, b *timeline.Batch) error {
			for k := range b.Events {
				events = append(events, b.Events[k].Clone())
			}
			problems = append(problems, b.Problems...)
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, timeline.SourceInfo{
			Source: jobs[i].Source, Parser: jobs[i].Parser, Events: int64(len(events) - before), Problems: int64(len(problems) - lost),
		})
	}
	return events, problems, sources
}

// Build runs jobs through a builder with that many workers, each job begun,
// filled and committed, in an order that depends on the number of workers.
func Build(t testing.TB, b timeline.Builder, jobs []Job, workers int) {
	t.Helper()
	todo := make(chan *Job)
	errs := make(chan error, workers)
	for range workers {
		go func() {
			var err error
			for j := range todo {
				if err == nil && !b.Done(j.Key) {
					err = buildOne(b, j)
				}
			}
			errs <- err
		}()
	}
	for i := range jobs {
		k := i
		if workers > 1 {
			k = len(jobs) - 1 - i
		}
		todo <- &jobs[k]
	}
	close(todo)
	for range workers {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

func buildOne(b timeline.Builder, j *Job) error {
	ctx := context.Background()
	w, err := b.Begin(ctx, j.Job)
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := j.Run(ctx, w); err != nil {
		return err
	}
	return w.Commit(ctx)
}
