package collectors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/packet"
	"github.com/exhibit-dfir/exhibit/internal/pcapng"
)

const (
	// captureLook is how long the capture may go on after it was told to end,
	// until it looks up.
	captureLook = 25 * time.Millisecond

	// maxOwnRings is up to how many interfaces that were asked for get a ring
	// of their own, so that the kernel counts drops of each. They share the
	// memory of one.
	maxOwnRings = 4
)

// capture writes pcapng files from rings.
type capture struct {
	opt   CaptureOptions
	rings []*captureRing
	hosts []pcapng.Name // of the hosts file
	ids   map[interfaceKey]int
	stats CaptureStatistics

	file    *pcapng.Writer // the one being written
	book    pcapng.Book    // names that this file shows
	counts  []fileCount    // of each interface in this file
	written int64          // size of the files before
	limit   bool           // it ended at a limit
	reading *captureRing   // whose block is being read
}

// captureRing is a ring and what came out of it.
type captureRing struct {
	*packet.Ring
	index int    // of its only interface; 0: of all
	taken uint64 // packets read

	told packet.Stats // as the files before have them
	now  packet.Stats
}

// fileCount is what one interface has in one file.
type fileCount struct{ packets uint64 }

// interfaceKey tells interface descriptions apart: the index of an interface
// may go to another one with another link type.
type interfaceKey struct {
	index int
	link  packet.Link
}

var errLimit = errors.New("limit reached")

func newCapture(opt CaptureOptions, h *collect.Host) *capture {
	c := &capture{opt: opt, ids: map[interfaceKey]int{}, stats: CaptureStatistics{
		Started: time.Now().UnixNano(), MaxBytes: opt.MaxBytes, MaxPackets: opt.MaxPackets, SnapLen: opt.SnapLen,
		RotateBytes: opt.RotateBytes, RotateEvery: int64(opt.RotateEvery), Filter: opt.Filter, Promiscuous: opt.Promiscuous,
		Files: []CaptureFile{}, Interfaces: []CaptureInterface{},
	}}
	if len(opt.Program) > 0 {
		c.stats.Program = opt.Program.String()
	}
	const largest = 1 << 20
	if text, err := h.ReadFile("/etc/hosts", largest); err == nil {
		c.hosts = pcapng.HostsFile(string(text)).Names()
	}
	return c
}

// open opens the rings.
func (c *capture) open(asked []net.Interface) error {
	opt := packet.Options{SnapLen: c.opt.SnapLen, Promiscuous: c.opt.Promiscuous, Filter: c.opt.Program}
	var each [][]int
	switch {
	case len(c.opt.Interfaces) == 0:
		each = [][]int{nil}
	case len(asked) <= maxOwnRings:
		for _, i := range asked {
			each = append(each, []int{i.Index})
		}
	default:
		each = [][]int{nil}
		for _, i := range asked {
			each[0] = append(each[0], i.Index)
		}
	}
	opt.RingBytes = packet.DefaultRing / len(each)
	for _, opt.Interfaces = range each {
		ring, err := packet.Open(opt)
		if err != nil {
			return err
		}
		r := &captureRing{Ring: ring}
		if len(opt.Interfaces) == 1 {
			r.index = opt.Interfaces[0]
		}
		c.rings = append(c.rings, r)
	}
	return nil
}

func (c *capture) close() error {
	var err error
	for _, r := range c.rings {
		err = errors.Join(err, r.Close())
	}
	return err
}

// run captures until the context or the time is over or a limit is reached.
func (c *capture) run(ctx context.Context, asked []net.Interface, out collect.Taker) error {
	if c.opt.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.opt.For)
		defer cancel()
	}
	for _, i := range asked {
		if hardware, err := packet.Hardware(i.Name); err == nil { // gone already: described when a packet comes after all
			c.describe(i.Index, hardware)
		}
	}
	for number := 1; ; number++ {
		more := false
		name := captureName(number)
		err := streamTo(ctx, out, captureItem(name), func(w io.Writer) error {
			var err error
			more, err = c.write(ctx, w, name)
			return err
		})
		if err != nil || !more {
			return err
		}
	}
}

// captureName is the path of a capture file, counted from 1.
func captureName(number int) string {
	if number == 1 {
		return record.Capture
	}
	return fmt.Sprintf("network/capture-%05d.pcapng", number)
}

// write writes one file, and reports whether another one is to follow.
func (c *capture) write(ctx context.Context, w io.Writer, name string) (more bool, err error) {
	c.file = pcapng.NewWriter(w, "exhibit", runtime.GOARCH, runtime.GOOS)
	c.book = pcapng.Book{}
	c.counts = make([]fileCount, len(c.stats.Interfaces))
	c.stats.Files = append(c.stats.Files, CaptureFile{Path: name, Started: time.Now().UnixNano()})
	for _, i := range c.stats.Interfaces {
		c.file.Interface(i.described)
	}
	if len(c.hosts) > 0 {
		c.file.Names("names of the host's /etc/hosts", c.hosts)
	}
	more, err = c.capture(ctx)
	switch {
	case more && err == nil:
	case errors.Is(err, errLimit):
		err = nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		c.stats.Reason = "its time was over"
	case ctx.Err() != nil:
		c.stats.Reason = "the run ended"
	case err != nil:
		c.stats.Reason = err.Error()
	}
	return more, errors.Join(err, c.finish(!more))
}

// capture takes packets until the file is full (then it reports true), the
// context is over or a limit is reached.
func (c *capture) capture(ctx context.Context) (bool, error) {
	begun := time.Now()
	for ctx.Err() == nil {
		if err := c.block(captureLook); err != nil {
			return false, err
		}
		if c.opt.RotateBytes > 0 && c.file.Size() >= c.opt.RotateBytes || c.opt.RotateEvery > 0 && time.Since(begun) >= c.opt.RotateEvery {
			return ctx.Err() == nil, nil
		}
	}
	// Nothing more comes in; what came before is handed over to the last.
	for _, r := range c.rings {
		if err := r.Stop(); err != nil {
			return false, err
		}
	}
	for quiet := time.Now(); time.Since(quiet) < packet.Settle; {
		before := c.taken()
		if err := c.block(captureLook); err != nil {
			return false, err
		}
		if c.taken() != before {
			quiet = time.Now()
		}
	}
	return false, nil
}

func (c *capture) taken() uint64 {
	var n uint64
	for _, r := range c.rings {
		n += r.taken
	}
	return n
}

// block takes what the rings hand over next, and passes it on at once: what
// was captured has to leave the host soon.
func (c *capture) block(wait time.Duration) error {
	n, err := c.sweep()
	if n == 0 && err == nil {
		rings := make([]*packet.Ring, len(c.rings))
		for i, r := range c.rings {
			rings[i] = r.Ring
		}
		if err := packet.Wait(wait, rings...); err != nil {
			return err
		}
		n, err = c.sweep()
	}
	if n > 0 || err != nil {
		err = errors.Join(err, c.file.Flush())
	}
	return err
}

// sweep takes one block of each ring that has one.
func (c *capture) sweep() (int, error) {
	total := 0
	for _, r := range c.rings {
		c.reading = r
		n, err := r.Read(0, c.packet)
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

// captureFlags are the flags of a packet by its PACKET_* of linux/if_packet.h.
var captureFlags = [...]uint32{
	pcapng.Inbound | pcapng.Unicast, pcapng.Inbound | pcapng.Broadcast, pcapng.Inbound | pcapng.Multicast,
	pcapng.Inbound | pcapng.ToOthers, pcapng.Outbound,
}

func (c *capture) packet(p *packet.Packet) error {
	if c.stats.Packets >= c.opt.MaxPackets {
		return c.stop(fmt.Sprintf("it reached its limit of %d packets", c.opt.MaxPackets))
	}
	size := int64(pcapng.PacketOverhead + (len(p.Data)+3)&^3)
	if c.written+c.file.Size()+size > c.opt.MaxBytes {
		return c.stop(fmt.Sprintf("it reached its limit of %d bytes", c.opt.MaxBytes))
	}
	id := c.describe(p.Interface, p.Hardware)
	flags := uint32(0)
	if int(p.Direction) < len(captureFlags) {
		flags = captureFlags[p.Direction]
	}
	at := uint64(p.Seconds)*1e9 + uint64(p.Nanoseconds)
	if err := c.file.Packet(id, at, flags, p.Length, p.Data); err != nil {
		return fmt.Errorf("write packet: %w", err)
	}
	i := &c.stats.Interfaces[id]
	c.book.Packet(i.Link, p.Data)
	c.reading.taken++
	c.counts[id].packets++
	c.stats.Packets++
	c.stats.Bytes += int64(len(p.Data))
	i.Packets++
	i.Bytes += int64(len(p.Data))
	return nil
}

func (c *capture) stop(reason string) error {
	c.limit, c.stats.Reason = true, reason
	return errLimit
}

// finish ends the file with the names its packets show and the counts of each
// interface; last says that no other file follows.
func (c *capture) finish(last bool) error {
	var err error
	now := time.Now().UnixNano()
	f := &c.stats.Files[len(c.stats.Files)-1]
	for _, r := range c.rings {
		var e error
		r.now, e = r.Stats()
		err = errors.Join(err, e)
		// At the end all that came is read, or it is lost.
		if last && !c.limit && r.now.Received > r.taken {
			r.now.Dropped = max(r.now.Dropped, r.now.Received-r.taken)
		}
		f.Received += r.now.Received - r.told.Received
		f.Dropped += r.now.Dropped - r.told.Dropped
	}
	names := c.book.Names()
	if len(names) > 0 {
		comment := "names of DNS answers in this file, as they came"
		if c.book.Full {
			comment += "; there were more"
		}
		c.file.Names(comment, names)
	}
	for id := range c.stats.Interfaces {
		c.file.Statistics(id, c.countsOf(id, f, uint64(now)))
	}
	for _, r := range c.rings {
		r.told = r.now
	}
	f.Ended, f.Size = now, c.file.Size()
	for _, n := range c.counts {
		f.Packets += int64(n.packets)
	}
	c.written += f.Size
	c.stats.Ended = now
	c.stats.Received += f.Received
	c.stats.Dropped += f.Dropped
	return errors.Join(err, c.file.Flush())
}

// countsOf returns the counts of an interface in a file. The kernel counts by
// ring: they are stated where they can only be one interface's, or where
// nothing was dropped.
func (c *capture) countsOf(id int, f *CaptureFile, now uint64) pcapng.Statistics {
	i := &c.stats.Interfaces[id]
	s := pcapng.Statistics{Start: uint64(f.Started), End: now}
	if id < len(c.counts) {
		s.Delivered = c.counts[id].packets
	}
	alone := i.ring != nil
	for other := range c.stats.Interfaces {
		alone = alone && (other == id || c.stats.Interfaces[other].ring != i.ring)
	}
	var accepted, dropped uint64
	if i.ring != nil {
		accepted, dropped = i.ring.now.Received-i.ring.told.Received, i.ring.now.Dropped-i.ring.told.Dropped
	}
	switch {
	case alone:
		s.Accepted, s.Dropped = &accepted, &dropped
		if len(c.opt.Program) == 0 {
			s.Received = &accepted
		}
	case dropped == 0:
		s.Dropped = &dropped
	default:
		s.Comment = fmt.Sprintf("%d packets of all interfaces together were dropped", dropped)
	}
	if s.Dropped == nil || i.Dropped == nil {
		i.Dropped = nil
		return s
	}
	sum := *i.Dropped + dropped
	i.Dropped = &sum
	return s
}
