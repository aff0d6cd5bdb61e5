package parsertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// Result is what a parser made of a sample.
type Result struct {
	Events   []*timeline.Event
	Problems []evidence.Problem
	Err      error
}

// Parse runs the parser over the sample. A panic fails the test.
func Parse(t testing.TB, p analyze.Parser, s Sample) Result {
	t.Helper()
	return parse(t, p, s, bytes.NewReader(s.Data))
}

// parse is Parse with the sequential content read through r.
func parse(t testing.TB, p analyze.Parser, s Sample, r io.Reader) Result {
	t.Helper()
	var res Result
	sink := timeline.SinkFunc(func(_ context.Context, b *timeline.Batch) error {
		for i := range b.Events {
			res.Events = append(res.Events, b.Events[i].Clone())
		}
		res.Problems = append(res.Problems, b.Problems...)
		return nil
	})
	it, host := s.Item(), s.Host(t)
	src := analyze.NewSource(t.Context(), it, host, r, bytes.NewReader(s.Data), it.Size)
	src.Year, src.GzipTime = s.Facts.Year, s.Facts.GzipTime
	if s.Beside != nil {
		src.Beside = &analyze.Companion{Item: &evidence.Item{}, ReaderAt: bytes.NewReader(s.Beside), Size: int64(len(s.Beside))}
	}
	out := timeline.NewAppender(t.Context(), sink, sourceOf(it, host), p.Name, p.Version)
	res.Err = p.Parse(t.Context(), src, out)
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	return res
}

func sourceOf(it *evidence.Item, host *analyze.Host) *timeline.Source {
	src := &timeline.Source{
		Member: it.Member, Index: it.Index, Path: it.Path, SHA256: it.SHA256, Size: it.Size,
		Collector: it.Collector, Host: host.Name, HostID: host.MachineID,
	}
	if it.Stat != nil {
		src.Modified = it.Stat.Modified
	}
	return src
}

// patience is how long a parser may take over a damaged sample. Samples are
// small: whoever needs this long is in an endless loop.
const patience = 30 * time.Second

// guarded parses on another goroutine and fails the test on a panic or when
// patience ends. what names the input in the message.
func guarded(t testing.TB, p analyze.Parser, s Sample, what string) Result {
	t.Helper()
	var res Result
	var broken any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { broken = recover() }()
		res = Parse(t, p, s)
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		t.Fatalf("%s: the parser did not return within %v", what, patience)
	}
	if broken != nil {
		t.Fatalf("%s: the parser panicked: %v", what, broken)
	}
	return res
}

// Bench measures the parser over the sample and reports bytes and events per
// processor second. Events are discarded. The meter is for what the caller
// counts beside them.
func Bench(b *testing.B, p analyze.Parser, s Sample) testenv.CPUMeter {
	b.Helper()
	it, host := s.Item(), s.Host(b)
	sink := timeline.SinkFunc(func(context.Context, *timeline.Batch) error { return nil })
	source := sourceOf(it, host)
	b.SetBytes(it.Size)
	b.ReportAllocs()
	var events int64
	meter := testenv.StartCPU()
	for b.Loop() {
		src := analyze.NewSource(b.Context(), it, host, bytes.NewReader(s.Data), bytes.NewReader(s.Data), it.Size)
		src.Year, src.GzipTime = s.Facts.Year, s.Facts.GzipTime
		out := timeline.NewAppender(b.Context(), sink, source, p.Name, p.Version)
		if err := p.Parse(b.Context(), src, out); err != nil {
			b.Fatal(err)
		}
		if err := out.Flush(); err != nil {
			b.Fatal(err)
		}
		n, _ := out.Counts()
		events += n
	}
	meter.Report(b, float64(events), "events")
	meter.Report(b, float64(it.Size)*float64(b.N)/1e6, "MB")
	return meter
}

// Fuzz runs the parser over mutations of its samples and checks that it
// returns and that its events lie inside the item.
func Fuzz(f *testing.F, p analyze.Parser, dir string) {
	f.Helper()
	samples := Load(f, dir)
	for i := range samples {
		f.Add(samples[i].Data)
	}
	facts, beside := samples[0].Facts, samples[0].Beside
	f.Fuzz(func(t *testing.T, data []byte) {
		s := Sample{Name: "fuzz", Data: data, Beside: beside, Facts: facts}
		res := Parse(t, p, s)
		if err := inside(res, int64(len(data))); err != nil {
			t.Fatal(err)
		}
	})
}

// inside says which event or problem lies outside size bytes of content.
func inside(res Result, size int64) error {
	for _, ev := range res.Events {
		if ev.RecOff < 0 || ev.RecLen <= 0 || ev.RecOff > size-ev.RecLen {
			return fmt.Errorf("event %d is at %d+%d, outside the %d bytes of the item", ev.Seq, ev.RecOff, ev.RecLen, size)
		}
	}
	for _, pr := range res.Problems {
		if pr.Ref.Offset < -1 || pr.Ref.Length < -1 || pr.Ref.Offset > size {
			return fmt.Errorf("problem %q is at %d+%d, outside the %d bytes of the item", pr.Detail, pr.Ref.Offset, pr.Ref.Length, size)
		}
	}
	return nil
}
