package rootcause_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/rootcause"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/memory"
)

// busy tells a case of n events and more: logins, programs, writes, connections
// and file times of many accounts, with one intrusion in the middle. It returns
// the alert.
func busy(n int, sink func(*timeline.Event)) timeline.ID {
	s := &story{host: "big1", now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), pid: 1000, audit: true, sink: sink}
	s.boot()
	var alert timeline.ID
	for i := 0; s.count < n; i++ {
		if alert == (timeline.ID{}) && s.count > n/2 {
			for range 40 {
				s.fail("mallory", outside)
			}
			_, sh := s.login("mallory", outside, "password", "", 900_000)
			root := s.exec(s.exec(sh, "/usr/bin/sudo", "sudo -s"), "/usr/bin/bash", "/bin/bash")
			s.write(root, "file-created", "/etc/cron.d/kd")
			alert = s.exec(s.cron("root", "/usr/local/sbin/kd --once"), "/usr/local/sbin/kd", "/usr/local/sbin/kd --once").ID
		}
		user := fmt.Sprintf("user%d", i%50)
		_, sh := s.login(user, fmt.Sprintf("10.0.%d.%d", i%4, i%250), "publickey", "SHA256:"+user, i+1)
		for k := range 20 {
			p := s.exec(sh, "/usr/bin/make", fmt.Sprintf("make -C /home/%s/build target%d", user, i*20+k))
			s.write(p, "file-opened-for-write", fmt.Sprintf("/home/%s/build/out%d.o", user, k))
			if k%5 == 0 {
				s.connect(p, fmt.Sprintf("10.9.%d.%d", i%250, k), 443)
			}
			s.stat(fmt.Sprintf("/home/%s/build/src%d-%d.c", user, i, k), user)
		}
		if s.pid > 4_000_000 {
			s.pid = 1000
		}
	}
	s.flush()
	return alert
}

// stream is an engine that makes its events anew for every question, so that
// only what the walk itself holds counts as memory.
type stream struct {
	*memory.Engine
	n int
}

func (e stream) Events(_ context.Context, q timeline.Query, _ *timeline.Cursor) iter.Seq2[*timeline.Event, error] {
	_, other := q.Where.(timeline.Not)
	return func(yield func(*timeline.Event, error) bool) {
		busy(e.n, func(ev *timeline.Event) {
			if other == (ev.DataType != "fs:stat") {
				yield(ev, nil)
			}
		})
	}
}

func (e stream) Get(_ context.Context, id timeline.ID) (*timeline.Event, error) {
	var found *timeline.Event
	busy(e.n, func(ev *timeline.Event) {
		if ev.ID == id {
			found = ev
		}
	})
	return found, nil
}

func BenchmarkWhyOverAMillionEvents(b *testing.B) {
	const n = 1_000_000
	eng := stream{memory.New(nil), n}
	alert := busy(n, func(*timeline.Event) {})
	stop, peak := make(chan struct{}), make(chan uint64)
	go watchHeap(stop, peak)
	b.ReportAllocs()
	for b.Loop() {
		g, err := rootcause.Why(b.Context(), eng, []timeline.ID{alert}, rootcause.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if len(g.Entries) == 0 || g.Entries[0].Account != "mallory" {
			b.Fatalf("first entry: %+v", g.Entries)
		}
	}
	close(stop)
	b.ReportMetric(float64(<-peak)/(1<<20), "MiB-peak")
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// watchHeap samples the heap, garbage included, and returns the most it saw.
func watchHeap(stop <-chan struct{}, peak chan<- uint64) {
	var m runtime.MemStats
	most := uint64(0)
	for {
		select {
		case <-stop:
			peak <- most
			return
		case <-time.After(20 * time.Millisecond):
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	}
}
