package collect

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"
)

// Pressure is the line "some" of /proc/pressure/{cpu,io,memory} (Linux 4.20,
// Documentation/accounting/psi.rst):
//
//	some avg10=1.53 avg60=0.87 avg300=0.21 total=1157622
//
// avg10 is the share of the last ten seconds, in percent, in which at least
// one task had to wait for the resource; total the time in microseconds.
type Pressure struct {
	Avg10 float64
	Total time.Duration
}

// ParsePressure reads such a file.
func ParsePressure(text string) (Pressure, bool) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 5 || f[0] != "some" {
			continue
		}
		avg, hasAvg := strings.CutPrefix(f[1], "avg10=")
		total, hasTotal := strings.CutPrefix(f[4], "total=")
		a, err1 := strconv.ParseFloat(avg, 64)
		t, err2 := strconv.ParseInt(total, 10, 64)
		if !hasAvg || !hasTotal || err1 != nil || err2 != nil || !(a >= 0 && a <= 100) || t < 0 || t > int64(1<<63-1)/1000 {
			return Pressure{}, false
		}
		return Pressure{a, time.Duration(t) * time.Microsecond}, true
	}
	return Pressure{}, false
}

// pressureFunc returns the pressure on cpu, io or memory; false where the
// kernel does not tell.
type pressureFunc func(resource string) (Pressure, bool)

// kernelPressure asks the running kernel.
func kernelPressure(resource string) (Pressure, bool) {
	text, err := os.ReadFile("/proc/pressure/" + resource)
	if err != nil {
		return Pressure{}, false
	}
	return ParsePressure(string(text))
}

const pressurePrefix = "pressure-"

// squeezes are the resources and how many percent of the time somebody may
// wait for each before the run stands back.
var squeezes = []struct {
	resource string
	limit    float64
}{{"memory", 10}, {"io", 40}, {"cpu", 60}}

const (
	pressureEvery = time.Second            // between two looks
	standStill    = 500 * time.Millisecond // how long to stand still to see who else waits
	longestYield  = 5 * time.Second        // of every pause; a second of work lies between two
	quietAfterOwn = 10 * time.Second       // avg10 has forgotten our own share by then
)

// backOff remembers when pressure was looked at.
type backOff struct {
	next time.Time     // the next look
	left time.Duration // how long the collector that runs may still be held up
}

// due reports whether it is time to look.
func (b *backOff) due(now time.Time) bool {
	if b.left <= 0 || now.Before(b.next) {
		return false
	}
	b.next = now.Add(pressureEvery)
	return true
}

// squeeze is one pause for others.
type squeeze struct {
	Collector string
	Resource  string
	Avg10     float64 // when it began
	Others    float64 // percent of the time in which somebody waited while this run stood still
	Took      time.Duration
}

// yield stands still while others wait. Pressure counts the waiting of this
// run itself: a run that reads always waits for the disk. So what decides is
// how much is waited while it stands still: if that is little, the pressure
// was its own, and it goes on.
func (g *governor) yield(ctx context.Context) {
	for _, s := range squeezes {
		before, ok := g.ask(s.resource)
		if !ok || before.Avg10 < s.limit {
			continue
		}
		g.stand(ctx, s.resource, s.limit, before)
		return
	}
}

func (g *governor) stand(ctx context.Context, resource string, limit float64, before Pressure) {
	name, _ := ctx.Value(collectorName{}).(string)
	at, first := time.Now(), before
	others := limit
	for others >= limit && time.Since(at) < longestYield && ctx.Err() == nil {
		step := time.Now()
		g.pause(ctx, pressurePrefix+resource, standStill)
		now, ok := g.ask(resource)
		if !ok {
			break
		}
		others = 100 * float64(now.Total-before.Total) / float64(max(time.Since(step), 1))
		before = now
	}
	took := time.Since(at)
	g.mu.Lock()
	g.others.left -= took
	g.others.next = time.Now().Add(pressureEvery)
	if others < limit {
		g.others.next = time.Now().Add(quietAfterOwn)
	}
	g.mu.Unlock()
	if g.found != nil {
		g.found(squeeze{name, resource, first.Avg10, others, took})
	}
}

// beginCollector gives a collector the time for which it may be held up by
// others: a quarter of its deadline. A host under pressure for good is
// collected all the same.
func (g *governor) beginCollector(deadline time.Duration) {
	if g == nil {
		return
	}
	g.mu.Lock()
	g.others.left = deadline / 4
	g.mu.Unlock()
}
