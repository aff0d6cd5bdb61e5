package collectors

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/exhibit-dfir/exhibit/internal/packet"
)

// How long the capture may go on after it was told to end: until it looks up,
// and then until the ring has handed over what came before.
const (
	captureLook   = 25 * time.Millisecond
	captureSettle = 75 * time.Millisecond
)

// capture writes one pcapng file from a ring.
type capture struct {
	behind  bool // the last look at the ring still found packets
	opt     CaptureOptions
	ring    *packet.Ring
	file    *pcapgo.NgWriter // nil until the first interface is described
	to      *bufio.Writer
	ids     map[interfaceKey]int
	written int64 // bytes of packet blocks
	limit   bool  // it ended at a limit
	stats   CaptureStatistics
}

// interfaceKey tells interface descriptions apart: the index of an interface
// may go to another one with another link type.
type interfaceKey struct {
	index int
	link  packet.Link
}

var errLimit = errors.New("limit reached")

// run captures until the context or the time is over or a limit is reached.
func (c *capture) run(ctx context.Context, w io.Writer, asked []net.Interface) error {
	c.to = bufio.NewWriterSize(w, 64<<10)
	for _, i := range asked {
		hardware, err := packet.Hardware(i.Name)
		if err != nil {
			continue // gone already; described when a packet comes after all
		}
		if _, err := c.describe(i.Index, hardware); err != nil {
			return err
		}
	}
	if c.opt.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.opt.For)
		defer cancel()
	}
	err := c.capture(ctx)
	switch {
	case errors.Is(err, errLimit):
		err = nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		c.stats.Reason = "its time was over"
	case ctx.Err() != nil:
		c.stats.Reason = "the run ended"
	case err != nil:
		c.stats.Reason = err.Error()
	}
	return errors.Join(err, c.finish())
}

func (c *capture) capture(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := c.block(captureLook); err != nil {
			return err
		}
	}
	for end := time.Now().Add(captureSettle); ; {
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		if err := c.block(left); err != nil {
			return err
		}
	}
}

// block takes what the ring hands over next, and passes it on at once: what
// was captured has to leave the host soon.
func (c *capture) block(wait time.Duration) error {
	n, err := c.ring.Read(wait, c.packet)
	c.behind = n > 0
	if n > 0 {
		err = errors.Join(err, c.flush())
	}
	return err
}

func (c *capture) packet(p *packet.Packet) error {
	if c.stats.Packets >= c.opt.MaxPackets {
		return c.stop(fmt.Sprintf("it reached its limit of %d packets", c.opt.MaxPackets))
	}
	size := int64(32 + (len(p.Data)+3)&^3) // of an enhanced packet block
	if c.written+size > c.opt.MaxBytes {
		return c.stop(fmt.Sprintf("it reached its limit of %d bytes", c.opt.MaxBytes))
	}
	id, err := c.describe(p.Interface, p.Hardware)
	if err != nil {
		return err
	}
	err = c.file.WritePacket(gopacket.CaptureInfo{
		Timestamp: p.Time(), CaptureLength: len(p.Data), Length: p.Length, InterfaceIndex: id,
	}, p.Data)
	if err != nil {
		return fmt.Errorf("write packet: %w", err)
	}
	c.written += size
	c.stats.Packets++
	c.stats.Bytes += int64(len(p.Data))
	c.stats.Interfaces[id].Packets++
	c.stats.Interfaces[id].Bytes += int64(len(p.Data))
	return nil
}

func (c *capture) stop(reason string) error {
	c.limit, c.stats.Reason = true, reason
	return errLimit
}

// describe returns the number of an interface in the file, having written its
// description when it is new.
func (c *capture) describe(index int, hardware uint16) (int, error) {
	link := packet.LinkOf(hardware)
	key := interfaceKey{index, link}
	if id, known := c.ids[key]; known {
		return id, nil
	}
	info := CaptureInterface{Index: index, Name: fmt.Sprint("interface ", index), Hardware: hardware, Link: uint16(link)}
	if i, err := net.InterfaceByIndex(index); err == nil {
		info.Name, info.MAC = i.Name, i.HardwareAddr.String()
	}
	description := fmt.Sprintf("index %d, hardware type %d", index, hardware)
	if info.MAC != "" {
		description += ", address " + info.MAC
	}
	described := pcapgo.NgInterface{
		Name: info.Name, Description: description, OS: runtime.GOOS,
		LinkType: layers.LinkType(link), SnapLength: uint32(max(c.opt.SnapLen, 0)), TimestampResolution: 9,
	}
	var err error
	if c.file == nil {
		section := pcapgo.NgSectionInfo{Application: "exhibit", OS: runtime.GOOS, Hardware: runtime.GOARCH}
		c.file, err = pcapgo.NewNgWriterInterface(c.to, described, pcapgo.NgWriterOptions{SectionInfo: section})
	} else {
		_, err = c.file.AddInterface(described)
	}
	if err != nil {
		return 0, fmt.Errorf("describe interface %s: %w", info.Name, err)
	}
	id := len(c.stats.Interfaces)
	c.ids[key] = id
	c.stats.Interfaces = append(c.stats.Interfaces, info)
	return id, nil
}

func (c *capture) flush() error {
	if c.file == nil {
		return nil
	}
	return errors.Join(c.file.Flush(), c.to.Flush())
}

// finish ends the file with one statistics block an interface. The kernel
// counts drops for the whole capture: they are stated where they can only be
// one interface's, or where there are none.
func (c *capture) finish() error {
	counts, err := c.ring.Stats()
	c.stats.Ended = time.Now().UnixNano()
	c.stats.Received, c.stats.Dropped = counts.Received, counts.Dropped
	// Where the ring was still full at the end, what nobody read is lost as well.
	if taken := uint64(c.stats.Packets); c.behind && !c.limit && counts.Received > taken {
		counts.Dropped = max(counts.Dropped, counts.Received-taken)
		c.stats.Dropped = counts.Dropped
	}
	for id, i := range c.stats.Interfaces {
		s := pcapgo.NgInterfaceStatistics{
			LastUpdate: time.Unix(0, c.stats.Ended), EndTime: time.Unix(0, c.stats.Ended), StartTime: time.Unix(0, c.stats.Started),
			PacketsReceived: uint64(i.Packets), PacketsDropped: pcapgo.NgNoValue64,
		}
		if len(c.stats.Interfaces) == 1 {
			s.PacketsReceived = counts.Received
		}
		if len(c.stats.Interfaces) == 1 || counts.Dropped == 0 {
			s.PacketsDropped = counts.Dropped
		}
		err = errors.Join(err, c.file.WriteInterfaceStats(id, s))
	}
	return errors.Join(err, c.flush())
}
