package collectors

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/packet"
)

const (
	packetCaptureName = "packet_capture"
	captureRule       = "packet capture"

	// captureStatistics is one CaptureStatistics object in JSON.
	captureStatistics = "network/capture-statistics.json"

	defaultCaptureBytes   = 256 << 20
	defaultCapturePackets = 10_000_000
)

// CaptureOptions bounds a packet capture. The zero value captures whole
// packets on all interfaces until the run ends or the default limits are
// reached.
type CaptureOptions struct {
	For         time.Duration // 0: as long as the context lasts
	Interfaces  []string      // none: Host.CaptureInterfaces; none there: all
	MaxBytes    int64         // of the capture file; 0: 256 MiB
	MaxPackets  int64         // 0: ten million
	SnapLen     int           // bytes kept of each packet; 0: all
	Promiscuous bool          // also what is addressed to others; needs Interfaces
}

// CaptureStatistics says how a capture went.
type CaptureStatistics struct {
	Started    int64              `json:"started"` // ns since 1970 UTC
	Ended      int64              `json:"ended"`
	Reason     string             `json:"reason"`   // why it ended
	Packets    int64              `json:"packets"`  // in the file
	Bytes      int64              `json:"bytes"`    // of packets in the file
	Received   uint64             `json:"received"` // by the kernel, the dropped ones included
	Dropped    uint64             `json:"dropped"`
	Interfaces []CaptureInterface `json:"interfaces"`
}

// CaptureInterface is one interface description of the capture file, in the
// order of the file.
type CaptureInterface struct {
	Index    int    `json:"index"`
	Name     string `json:"name"`
	MAC      string `json:"mac,omitempty"`
	Hardware uint16 `json:"hardware"` // ARPHRD_*
	Link     uint16 `json:"link"`     // LINKTYPE_*
	Packets  int64  `json:"packets"`
	Bytes    int64  `json:"bytes"`
}

// Capture collects network traffic while the other collectors run, into one
// pcapng file. It is not on the shelf: whoever runs a collection decides
// about listening to traffic, and adds it.
func Capture(opt CaptureOptions) collect.Collector {
	return collect.Collector{
		Name: packetCaptureName,
		Doc:  "Network traffic while the run lasts, as pcapng",
		Tier: collect.TierAlongside,
		Live: true,
		Run: func(ctx context.Context, h *collect.Host, out collect.Taker) error {
			if len(opt.Interfaces) == 0 {
				opt.Interfaces = h.CaptureInterfaces
			}
			return runCapture(ctx, opt, out)
		},
	}
}

func runCapture(ctx context.Context, opt CaptureOptions, out collect.Taker) error {
	asked, err := chooseInterfaces(ctx, opt, out)
	if err != nil || len(asked) == 0 {
		return err
	}
	var indexes []int
	if len(opt.Interfaces) > 0 {
		for _, i := range asked {
			indexes = append(indexes, i.Index)
		}
	}
	ring, err := packet.Open(packet.Options{
		Interfaces: indexes, SnapLen: opt.SnapLen, Promiscuous: opt.Promiscuous,
	})
	if err != nil {
		out.Seen(captureRule, 0)
		return out.Note(ctx, noCapture(err))
	}
	defer ring.Close()
	if opt.MaxBytes <= 0 {
		opt.MaxBytes = defaultCaptureBytes
	}
	if opt.MaxPackets <= 0 {
		opt.MaxPackets = defaultCapturePackets
	}
	c := &capture{opt: opt, ring: ring, ids: map[interfaceKey]int{}, stats: CaptureStatistics{Started: time.Now().UnixNano()}}
	it := captureItem(record.Capture)
	err = streamTo(ctx, out, it, func(w io.Writer) error { return c.run(ctx, w, asked) })
	return errors.Join(err, c.report(ctx, out))
}

func captureItem(name string) evidence.Item {
	return evidence.Item{
		Index: -1, Kind: evidence.KindStream, Source: "packet", Path: name, Size: -1,
		Collector: packetCaptureName, Rule: captureRule,
	}
}

// noCapture is the record of a capture that could not begin.
func noCapture(err error) evidence.Item {
	it := captureItem(record.Capture)
	it.Kind, it.Size, it.Detail = evidence.KindError, 0, err.Error()
	switch {
	case errors.Is(err, fs.ErrPermission):
		it.Kind, it.Detail = evidence.KindDenied, err.Error()+": capturing needs CAP_NET_RAW"
	case errors.Is(err, packet.ErrUnsupported):
		it.Kind = evidence.KindSkipped
	}
	return it
}

// chooseInterfaces returns the interfaces to describe from the start: those
// asked for, or all that are up, or all when none is. One asked for that is
// not there becomes a record.
func chooseInterfaces(ctx context.Context, opt CaptureOptions, out collect.Taker) ([]net.Interface, error) {
	absent := func(name, why string) error {
		it := captureItem("network/" + name)
		it.Kind, it.Size, it.Detail = evidence.KindAbsent, 0, why
		return out.Note(ctx, it)
	}
	var chosen []net.Interface
	for _, name := range opt.Interfaces {
		i, err := net.InterfaceByName(name)
		if err == nil {
			chosen = append(chosen, *i)
		} else if err := absent(name, "no such network interface"); err != nil {
			return nil, err
		}
	}
	if len(opt.Interfaces) > 0 {
		return chosen, nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 {
			chosen = append(chosen, i)
		}
	}
	switch {
	case len(chosen) > 0:
		return chosen, nil
	case len(all) > 0:
		return all, nil
	}
	return nil, absent("interfaces", "the host has no network interface")
}

// report adds what the file itself cannot say.
func (c *capture) report(ctx context.Context, out collect.Taker) error {
	out.Seen(captureRule, int(c.stats.Packets))
	if c.stats.Dropped > 0 {
		out.Problem(evidence.Problem{
			Stage: packetCaptureName, Code: evidence.Dropped, Path: record.Capture,
			Ref:    evidence.Ref{Offset: -1, Length: -1},
			Detail: fmt.Sprintf("%d of %d packets were lost because the capture did not keep up", c.stats.Dropped, c.stats.Received),
		})
	}
	if c.limit {
		out.Problem(evidence.Problem{
			Stage: packetCaptureName, Code: evidence.Skipped, Path: record.Capture,
			Ref: evidence.Ref{Offset: -1, Length: -1}, Detail: c.stats.Reason,
		})
	}
	text, err := json.Marshal(c.stats)
	if err != nil {
		return fmt.Errorf("write capture statistics: %w", err)
	}
	it := captureItem(captureStatistics)
	it.Size = int64(len(text)) + 1
	return out.Stream(context.WithoutCancel(ctx), it, bytes.NewReader(append(text, '\n')))
}
