package collectors

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/packet"
	"github.com/exhibit-dfir/exhibit/internal/pcapfilter"
	"github.com/exhibit-dfir/exhibit/internal/pcapng"
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
	For         time.Duration      // 0: as long as the context lasts
	Interfaces  []string           // none: Host.CaptureInterfaces; none there: all
	MaxBytes    int64              // of all capture files together; 0: 256 MiB
	MaxPackets  int64              // 0: ten million
	SnapLen     int                // bytes kept of each packet; 0: all
	Promiscuous bool               // also what is addressed to others; needs Interfaces
	Filter      string             // which packets to keep, as in pcap-filter(7); "": all
	Program     pcapfilter.Program // the filter as bytecode, in place of Filter
	RotateBytes int64              // begin another file at this size, overrun by at most 512 KiB of packets; 0: do not
	RotateEvery time.Duration      // begin another file after this time; 0: do not
}

// CaptureStatistics says how a capture went, and what it was told to do.
type CaptureStatistics struct {
	Started  int64  `json:"started"` // ns since 1970 UTC
	Ended    int64  `json:"ended"`
	Reason   string `json:"reason"`   // why it ended
	Packets  int64  `json:"packets"`  // in the files
	Bytes    int64  `json:"bytes"`    // of packets in the files
	Received uint64 `json:"received"` // by the kernel, behind the filter; the dropped ones included
	Dropped  uint64 `json:"dropped"`

	MaxBytes    int64  `json:"max_bytes"`
	MaxPackets  int64  `json:"max_packets"`
	SnapLen     int    `json:"snap_length,omitempty"`
	RotateBytes int64  `json:"rotate_bytes,omitempty"`
	RotateEvery int64  `json:"rotate_ns,omitempty"`
	Filter      string `json:"filter,omitempty"`
	Program     string `json:"program,omitempty"` // of the filter, as tcpdump -ddd prints it
	Promiscuous bool   `json:"promiscuous"`

	Files      []CaptureFile      `json:"files"`
	Interfaces []CaptureInterface `json:"interfaces"`
}

// CaptureFile is one pcapng file.
type CaptureFile struct {
	Path     string `json:"path"`
	Started  int64  `json:"started"`
	Ended    int64  `json:"ended"`
	Packets  int64  `json:"packets"`
	Size     int64  `json:"size"`
	Received uint64 `json:"received"` // by the kernel while the file was written
	Dropped  uint64 `json:"dropped"`
}

// CaptureInterface is one interface description of the capture files, in the
// order of the files.
type CaptureInterface struct {
	Index     int      `json:"index"`
	Name      string   `json:"name"`
	MAC       string   `json:"mac,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	MTU       int      `json:"mtu,omitempty"`
	Speed     uint64   `json:"speed,omitempty"` // bits per second
	Hardware  uint16   `json:"hardware"`        // ARPHRD_*
	Link      uint16   `json:"link"`            // LINKTYPE_*
	Packets   int64    `json:"packets"`
	Bytes     int64    `json:"bytes"`
	Dropped   *uint64  `json:"dropped"` // null: the kernel counts drops of several interfaces together

	// How many programs had asked for all packets of the interface
	// (IFLA_PROMISCUITY) before the capture began, while it ran and when it
	// was over; only where Promiscuous was asked for.
	PromiscuityBefore *uint32 `json:"promiscuity_before,omitempty"`
	Promiscuity       *uint32 `json:"promiscuity,omitempty"`
	PromiscuityAfter  *uint32 `json:"promiscuity_after,omitempty"`

	described pcapng.Interface
	ring      *captureRing
}

// Capture collects network traffic while the other collectors run, into one
// pcapng file or several. It is not on the shelf: whoever runs a collection
// decides about listening to traffic, and adds it.
func Capture(opt CaptureOptions) collect.Collector {
	return collect.Collector{
		Name: packetCaptureName,
		Doc:  "Network traffic while the run lasts, as pcapng",
		Tier: collect.TierAlongside,
		Live: true,
		Run: func(ctx context.Context, h *collect.Host, out collect.Taker) error {
			opt := opt
			if len(opt.Interfaces) == 0 {
				opt.Interfaces = h.CaptureInterfaces
			}
			return runCapture(ctx, opt, h, out)
		},
	}
}

func runCapture(ctx context.Context, opt CaptureOptions, h *collect.Host, out collect.Taker) error {
	if opt.MaxBytes <= 0 {
		opt.MaxBytes = defaultCaptureBytes
	}
	if opt.MaxPackets <= 0 {
		opt.MaxPackets = defaultCapturePackets
	}
	if opt.Filter != "" && opt.Program == nil {
		var err error
		if opt.Program, err = pcapfilter.Compile(opt.Filter); err != nil {
			return err
		}
	}
	asked, err := chooseInterfaces(ctx, opt, out)
	if err != nil || len(asked) == 0 {
		return err
	}
	c := newCapture(opt, h)
	before := promiscuity()
	if err := c.open(asked); err != nil {
		out.Seen(captureRule, 0)
		return out.Note(ctx, noCapture(errors.Join(err, c.close())))
	}
	during := promiscuity()
	err = c.run(ctx, asked, out)
	err = errors.Join(err, c.close())
	if opt.Promiscuous {
		after := promiscuity()
		for i := range c.stats.Interfaces {
			at := &c.stats.Interfaces[i]
			at.PromiscuityBefore, at.Promiscuity, at.PromiscuityAfter = before[at.Index], during[at.Index], after[at.Index]
		}
	}
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
			if !slices.ContainsFunc(chosen, func(c net.Interface) bool { return c.Index == i.Index }) {
				chosen = append(chosen, *i)
			}
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
