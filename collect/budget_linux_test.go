package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/evidence"
)

func TestBudgetsThatCannotBeKeptAreRefused(t *testing.T) {
	for _, b := range []Budget{{CPU: -1}, {IORate: 1000}, {MaxSize: 1 << 20}, {MaxTime: time.Millisecond}, {MaxMemory: 16 << 20}} {
		if _, err := Run(t.Context(), Options{Out: io.Discard, Root: t.TempDir(), Budget: b}); err == nil {
			t.Errorf("%+v was accepted", b)
		}
	}
	if err := (Budget{CPU: 1, IORate: minIORate, MaxSize: minMaxSize, MaxTime: minMaxTime, MaxMemory: minMaxMemory}).Check(); err != nil {
		t.Error(err)
	}
}

func TestReadingKeepsToItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &governor{io: 1 << 20}
		ctx, begun := under(t.Context(), "c"), time.Now()
		for range 40 {
			g.pace(ctx, 256<<10)
		}
		if took := time.Since(begun); took < 9500*time.Millisecond || took > 10*time.Second {
			t.Errorf("10 MiB at 1 MiB/s took %v", took)
		}
		p := g.pausedBy("c")
		if len(p) != 1 || p[0].Reason != pauseIO || p[0].Total < 9*time.Second || p[0].Times == 0 {
			t.Errorf("pauses %+v", p)
		}
		time.Sleep(time.Hour) // nothing is saved up but a moment
		begun = time.Now()
		g.pace(ctx, 2<<20)
		if took := time.Since(begun); took < 1700*time.Millisecond {
			t.Errorf("after an hour 2 MiB took %v", took)
		}
	})
}

func TestTheProcessorIsLeftToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var used time.Duration
		g := &governor{cpu: 25, spentCPU: func() int64 { return int64(used) }}
		begun := time.Now()
		for range 200 {
			time.Sleep(20 * time.Millisecond) // of work
			used += 20 * time.Millisecond
			g.pace(t.Context(), 0)
		}
		share := 100 * float64(used) / float64(time.Since(begun))
		if share < 24 || share > 27 {
			t.Errorf("%.1f %% of a core were used, 25 are allowed", share)
		}
	})
}

func TestAPauseEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &governor{io: minIORate}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		g.pace(ctx, 1<<30)
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("it went on for %v", took)
		}
	})
}

// host is a kernel whose tasks wait as much as the test says.
type waiting struct {
	avg    float64
	others func() float64 // share of the time
	at     time.Time
	total  time.Duration
}

func (w *waiting) ask(resource string) (Pressure, bool) {
	if resource != "io" {
		return Pressure{}, false
	}
	now := time.Now()
	w.total += time.Duration(w.others() * float64(now.Sub(w.at)))
	w.at = now
	return Pressure{w.avg, w.total}, true
}

func TestTheRunStandsBackForOthersAndNotForItself(t *testing.T) {
	for _, tc := range []struct {
		name     string
		avg      float64
		others   float64
		least    time.Duration
		most     time.Duration
		squeezes int
	}{
		{"nobody waits", 3, 0, 0, 0, 0},
		{"it waits for itself", 99, 0.05, standStill, standStill, 1},
		{"others wait", 99, 0.9, longestYield, longestYield + standStill, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var found []squeeze
				w := &waiting{avg: tc.avg, others: func() float64 { return tc.others }, at: time.Now()}
				g := &governor{ask: w.ask, polite: true, found: func(s squeeze) { found = append(found, s) }}
				g.beginCollector(time.Hour)
				begun := time.Now()
				g.pace(under(t.Context(), "c"), 1)
				if took := time.Since(begun); took < tc.least || took > tc.most {
					t.Errorf("stood back for %v", took)
				}
				if len(found) != tc.squeezes {
					t.Errorf("told of %+v", found)
				}
			})
		})
	}
}

// A host that is busy for good is collected all the same.
func TestOthersHoldACollectorUpForAQuarterOfItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &waiting{avg: 99, others: func() float64 { return 1 }, at: time.Now()}
		g := &governor{ask: w.ask, polite: true}
		g.beginCollector(4 * time.Minute)
		begun := time.Now()
		work := time.Duration(0)
		for range 2000 {
			time.Sleep(100 * time.Millisecond)
			work += 100 * time.Millisecond
			g.pace(t.Context(), 1)
		}
		if waited := time.Since(begun) - work; waited < time.Minute || waited > 70*time.Second {
			t.Errorf("it waited for %v", waited)
		}
	})
}

func TestPressureFiles(t *testing.T) {
	p, ok := ParsePressure("some avg10=12.34 avg60=1.00 avg300=0.10 total=1500\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")
	if !ok || p.Avg10 != 12.34 || p.Total != 1500*time.Microsecond {
		t.Errorf("got %+v, %v", p, ok)
	}
	for _, bad := range []string{"", "some", "some avg10=x a b total=1", "some avg10=NaN a b total=1", "some avg10=1 a b total=-1", "full avg10=1 a b total=1", "some avg10=1 a b total=9223372036854775807"} {
		if p, ok := ParsePressure(bad); ok {
			t.Errorf("%q gave %+v", bad, p)
		}
	}
}

func FuzzParsePressure(f *testing.F) {
	f.Add("some avg10=12.34 avg60=1.00 avg300=0.10 total=1500\n")
	f.Fuzz(func(t *testing.T, s string) {
		if p, ok := ParsePressure(s); ok && (p.Total < 0 || p.Avg10 < 0 || p.Avg10 > 100) {
			t.Errorf("%+v", p)
		}
	})
}

// noise writes files that do not compress.
func noise(t *testing.T, dir string, files, size int) (paths []string) {
	t.Helper()
	src := rand.NewChaCha8([32]byte{1})
	buf := make([]byte, size)
	for i := range files {
		_, _ = src.Read(buf)
		name := fmt.Sprintf("n%05d", i)
		if err := os.WriteFile(filepath.Join(dir, name), buf, 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, "/"+name)
	}
	return paths
}

// nameLedger adds the paths that a ledger names.
func nameLedger(t *testing.T, r *bundle.Reader, it evidence.Item, named map[string]bool) {
	t.Helper()
	f, err := r.Open(it.Member)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for dec := json.NewDecoder(f); dec.More(); {
		var l LedgerLine
		if err := dec.Decode(&l); err != nil {
			t.Fatal(err)
		}
		named[string(l.Path)] = true
	}
}

func TestABundleStaysBelowItsSizeAndSaysWhatIsMissing(t *testing.T) {
	for _, tc := range []struct {
		name        string
		files, size int
		max         int64
		whole       bool
	}{
		{"everything fits", 8, 100 << 10, 8 << 20, true},
		{"large files", 12, 1500 << 10, 8 << 20, false},
		{"many files", 400, 40 << 10, 6 << 20, false},
		{"records that fit", 2000, 1, minMaxSize, true},
		{"more records than fit", 30000, 1, minMaxSize, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			paths := noise(t, root, tc.files, tc.size)
			stream := Collector{Name: "stream", Tier: TierFiles, Run: func(ctx context.Context, _ *Host, out Taker) error {
				r := io.LimitReader(rand.NewChaCha8([32]byte{2}), 20<<20)
				if tc.whole {
					r = strings.NewReader("short")
				}
				return out.Stream(ctx, evidence.Item{Path: "stream", Size: -1}, r)
			}}
			out, err := os.Create(filepath.Join(t.TempDir(), "b"))
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			res, err := Run(t.Context(), Options{
				Root: root, Out: out, Budget: Budget{MaxSize: tc.max}, Collectors: []Collector{taking("files", paths...), stream},
			})
			if err != nil {
				t.Fatal(err)
			}
			if res.Written > tc.max {
				t.Errorf("the bundle has %d bytes, %d are allowed", res.Written, tc.max)
			}
			if !tc.whole && res.Written < tc.max/2 {
				t.Errorf("the bundle has %d bytes of the %d it may have", res.Written, tc.max)
			}
			r, err := bundle.Open(out, res.Written)
			if err != nil {
				t.Fatal(err)
			}
			taken, named := int64(0), map[string]bool{}
			for it, err := range r.Items() {
				if err != nil {
					t.Fatal(err)
				}
				named[it.Path] = true
				if it.Path == LedgerSet {
					nameLedger(t, r, it, named)
				}
				if it.Kind == evidence.KindFile {
					taken++
				}
			}
			if res.Collectors[0].Outcome == Collected { // it was not ended
				for _, p := range paths {
					if !named[p] {
						t.Fatalf("no record of %s", p)
					}
				}
			}
			if res.Partial == tc.whole || (res.Counts[OverBudget] == 0) != tc.whole {
				t.Errorf("partial %v (%s), outcomes %v", res.Partial, res.Reason, res.Counts)
			}
			if !tc.whole && (res.Reason != limitSize || res.Collectors[1].Outcome != OverBudget) {
				t.Errorf("reason %q, stream %+v", res.Reason, res.Collectors[1])
			}
			if taken == 0 || r.Trailer().Complete != tc.whole {
				t.Errorf("%d files taken, complete %v", taken, r.Trailer().Complete)
			}
		})
	}
}

func TestARunThatIsOutOfTimeSealsWhatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := Collector{Name: "slow", Tier: TierClocks, Run: func(ctx context.Context, _ *Host, out Taker) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		begun := time.Now()
		res, m, err := runWith(t, t.Context(), Options{
			Root: t.TempDir(), Collectors: []Collector{slow, taking("never", "/x")}, Budget: Budget{MaxTime: 9 * time.Minute},
		})
		if err != nil || !res.Partial || res.Reason != limitTime || !m.sealed {
			t.Fatalf("%+v, %v", res, err)
		}
		if took := time.Since(begun); took != 9*time.Minute {
			t.Errorf("it took %v", took)
		}
		for _, c := range res.Collectors {
			if c.Outcome != OverBudget || !strings.Contains(c.Detail, "9m") {
				t.Errorf("%+v", c)
			}
		}
		stops := 0
		for _, l := range m.ledgerOf(t) {
			if l.What == "stop" && l.Rule == limitTime {
				stops++
			}
		}
		if stops != 1 {
			t.Errorf("%d lines say why it stopped", stops)
		}
	})
}

func TestARunThatTakesTooMuchMemoryEnds(t *testing.T) {
	hold := make([]byte, 96<<20)
	for i := 0; i < len(hold); i += 4096 {
		hold[i] = 1
	}
	hog := Collector{Name: "hog", Run: func(ctx context.Context, _ *Host, _ Taker) error {
		<-ctx.Done()
		hold[0]++
		return ctx.Err()
	}}
	res, _, err := runWith(t, t.Context(), Options{Root: t.TempDir(), Collectors: []Collector{hog}, Budget: Budget{MaxMemory: minMaxMemory}})
	if err != nil || res.Reason != limitMemory {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestPausesAreInTheLedger(t *testing.T) {
	root := t.TempDir()
	paths := noise(t, root, 3, 64<<10)
	for _, tc := range []struct {
		budget Budget
		want   string
		least  time.Duration
	}{
		{Budget{}, "", 0},
		{Budget{IORate: minIORate}, pauseIO, time.Second},
		{Budget{CPU: 1}, pauseCPU, time.Second},
	} {
		// It works for 20 ms of processor time: at one percent that takes two seconds.
		busy := Collector{Name: "c", Tier: TierLogs, Run: func(ctx context.Context, h *Host, out Taker) error {
			for begun := processCPU(); processCPU()-begun < int64(20*time.Millisecond); {
				h.Pace(ctx, 0)
			}
			return taking("c", paths...).Run(ctx, h, out)
		}}
		_, m, err := runWith(t, t.Context(), Options{Root: root, Collectors: []Collector{busy}, Budget: tc.budget})
		if err != nil {
			t.Fatal(err)
		}
		var reasons []string
		for _, l := range m.ledgerOf(t) {
			if l.What == "pause" {
				reasons = append(reasons, l.Rule)
				if l.Outcome != Paused || l.Duration < int64(tc.least) || l.Collector != "c" {
					t.Errorf("%+v", l)
				}
			}
		}
		if got := strings.Join(reasons, " "); got != tc.want {
			t.Errorf("%+v: pauses for %q, want %q", tc.budget, got, tc.want)
		}
	}
}

func TestAFileThatTimeCutShortSaysSo(t *testing.T) {
	root := t.TempDir()
	paths := noise(t, root, 1, 4<<20)
	res, m, err := runWith(t, t.Context(), Options{
		Root: root, Collectors: []Collector{taking("c", paths...)}, Budget: Budget{MaxTime: time.Second, IORate: 1 << 20},
	})
	if err != nil || res.Counts[OverBudget] != 1 || res.Counts[Failed] != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	if it, ok := m.find(paths[0]); !ok || len(it.Unread) == 0 {
		t.Errorf("%+v", it)
	}
}

func TestAFileIsLeftToAnEarlierBundleOnlyAsItWas(t *testing.T) {
	root := t.TempDir()
	paths := noise(t, root, 4, 100)
	_, before, err := runWith(t, t.Context(), Options{Root: root, Collectors: []Collector{taking("c", paths...)}})
	if err != nil {
		t.Fatal(err)
	}
	held := &HeldBefore{}
	held.Begin()
	for i, p := range paths {
		it, ok := before.find(p)
		if !ok {
			t.Fatalf("%s was not taken", p)
		}
		it.Changed = i == 2
		held.Add(it)
	}
	last, _ := before.find(paths[3])
	held.End("0-1", last.Index) // nobody signed for the last
	now := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(root, paths[1]), now, now); err != nil {
		t.Fatal(err)
	}
	res, after, err := runWith(t, t.Context(), Options{Root: root, Held: held, Collectors: []Collector{taking("c", paths...)}})
	if err != nil || res.Counts[Held] != 1 || res.Counts[Collected] != 3 || res.Partial {
		t.Fatalf("%+v, %v", res, err)
	}
	first, _ := before.find(paths[0])
	if it, _ := after.find(paths[0]); it.Kind != evidence.KindSkipped || it.Detail != fmt.Sprintf("unchanged since item %d of bundle 0-1", first.Index) || it.Stat == nil {
		t.Errorf("%+v", it)
	}
}
