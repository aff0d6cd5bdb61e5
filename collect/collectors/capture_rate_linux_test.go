package collectors

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/packet/packettest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// floodFilter keeps what packettest.Flood sends.
var floodFilter = fmt.Sprintf("ether proto %#x", packettest.FloodType)

func TestEveryFrameOfAFloodIsInAFileOrToldAsDropped(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	veth(t)
	out := newMemoryTaker(nil)
	var flooded packettest.Flooded
	capturing(t, CaptureOptions{Interfaces: []string{"v1"}, Filter: floodFilter}, out, func() {
		flooded = packettest.Flood(t, "v0", 300_000, 100, 0)
	})
	s := statisticsOf(t, out)
	if s.Received != uint64(flooded.Sent) || s.Received != uint64(s.Packets)+s.Dropped {
		t.Errorf("sent %d, statistics %+v", flooded.Sent, s)
	}
	if s.Interfaces[0].Dropped == nil || *s.Interfaces[0].Dropped != s.Dropped || (s.Dropped > 0) != (len(out.problems) > 0) {
		t.Errorf("drops are told differently: %+v, problems %+v", s, out.problems)
	}
	// The numbers in the frames rise, and each is there once.
	last, found := -1, int64(0)
	file := out.streams[s.Files[0].Path]
	for at := 0; at+12 <= len(file); {
		kind, size := binary.LittleEndian.Uint32(file[at:]), int(binary.LittleEndian.Uint32(file[at+4:]))
		if kind == 6 { // an enhanced packet block: its data begin 28 bytes in
			n := int(binary.BigEndian.Uint32(file[at+28+14:]))
			if n <= last {
				t.Fatalf("frame %d behind frame %d", n, last)
			}
			last = n
			found++
		}
		at += size
	}
	if found != s.Packets {
		t.Errorf("%d frames in the file, %d counted", found, s.Packets)
	}
}

// onlyStatistics keeps the statistics and throws the packets away.
type onlyStatistics struct{ *memoryTaker }

func (o onlyStatistics) Stream(ctx context.Context, it evidence.Item, r io.Reader) error {
	if it.Path == captureStatistics {
		return o.memoryTaker.Stream(ctx, it, r)
	}
	_, err := io.Copy(io.Discard, r)
	return err
}

// BenchmarkSustainedCapture captures frames of 100 bytes that come at
// EXHIBIT_FLOOD_RATE a second (600000) for ten seconds: through the collector
// alone, and into a sealed bundle. It fails when a frame is neither captured
// nor told as dropped. CPU seconds are those of the capture without the
// sender's.
func BenchmarkSustainedCapture(b *testing.B) {
	if packettest.Elsewhere(b) {
		return
	}
	rate := 600_000
	if text := os.Getenv("EXHIBIT_FLOOD_RATE"); text != "" {
		var err error
		if rate, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	veth(b)
	opt := CaptureOptions{Interfaces: []string{"v1"}, Filter: floodFilter, MaxBytes: 4 << 30, MaxPackets: 1 << 40}
	b.Run("collector", func(b *testing.B) {
		for b.Loop() {
			out := onlyStatistics{newMemoryTaker(nil)}
			measureFlood(b, rate, func(traffic func()) CaptureStatistics {
				capturing(b, opt, out, traffic)
				return statisticsOf(b, out.memoryTaker)
			})
		}
	})
	b.Run("bundle", func(b *testing.B) {
		for b.Loop() {
			measureFlood(b, rate, func(traffic func()) CaptureStatistics {
				var s CaptureStatistics
				capture := Capture(opt)
				inner := capture.Run
				capture.Run = func(ctx context.Context, h *collect.Host, out collect.Taker) error {
					return inner(ctx, h, statisticsTap{out, &s})
				}
				beside := collect.Collector{Name: "traffic", Live: true, Run: func(context.Context, *collect.Host, collect.Taker) error {
					time.Sleep(200 * time.Millisecond) // the socket is open by then
					traffic()
					return nil
				}}
				_, err := collect.Run(context.Background(), collect.Options{Collectors: []collect.Collector{capture, beside}, Out: io.Discard})
				check(b, err)
				return s
			})
		}
	})
}

// statisticsTap reads the statistics on their way into a bundle.
type statisticsTap struct {
	collect.Taker
	s *CaptureStatistics
}

func (s statisticsTap) Stream(ctx context.Context, it evidence.Item, r io.Reader) error {
	if it.Path != captureStatistics {
		return s.Taker.Stream(ctx, it, r)
	}
	return json.NewDecoder(r).Decode(s.s)
}

func measureFlood(b *testing.B, rate int, run func(traffic func()) CaptureStatistics) {
	var f packettest.Flooded
	before := testenv.CPUSeconds()
	s := run(func() { f = packettest.Flood(b, "v0", 10*rate, 100, rate) })
	cpu := testenv.CPUSeconds() - before - f.CPU
	unreported := int64(s.Received) - s.Packets - int64(s.Dropped)
	if s.Received != uint64(f.Sent) || unreported != 0 {
		b.Errorf("sent %d, not told of: %d; statistics %+v", f.Sent, unreported, s)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(f.Sent)/f.Seconds, "sent/s")
	b.ReportMetric(float64(s.Packets)/f.Seconds, "captured/s")
	b.ReportMetric(float64(s.Dropped), "dropped")
	b.ReportMetric(float64(unreported), "unreported")
	b.ReportMetric(cpu, "CPU-s")
	b.ReportMetric(float64(s.Packets)/cpu, "captured/CPU-s")
	b.ReportMetric(f.CPU, "sender-CPU-s")
}
