package collectors

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"

	"github.com/exhibit-dfir/exhibit/internal/packet"
)

// describe returns the number of an interface in the files, having written its
// description when it is new.
func (c *capture) describe(index int, hardware uint16) int {
	link := packet.LinkOf(hardware)
	key := interfaceKey{index, link}
	if id, known := c.ids[key]; known {
		return id
	}
	id := len(c.stats.Interfaces)
	c.ids[key] = id
	c.stats.Interfaces = append(c.stats.Interfaces, c.lookAt(index, hardware))
	if c.file != nil {
		c.file.Interface(c.stats.Interfaces[id].described)
		c.counts = append(c.counts, fileCount{})
	}
	return id
}

// lookAt asks the kernel about an interface.
func (c *capture) lookAt(index int, hardware uint16) CaptureInterface {
	info := CaptureInterface{
		Index: index, Name: fmt.Sprint("interface ", index), Hardware: hardware, Link: uint16(packet.LinkOf(hardware)),
		Dropped: new(uint64), ring: c.ringOf(index),
	}
	d := &info.described
	facts := []string{fmt.Sprintf("index %d, hardware type %d", index, hardware)}
	if i, err := net.InterfaceByIndex(index); err == nil {
		info.Name, info.MAC, info.MTU = i.Name, i.HardwareAddr.String(), i.MTU
		d.MAC = i.HardwareAddr
		facts = append(facts, fmt.Sprintf("MTU %d", i.MTU), "flags "+i.Flags.String())
		addresses, err := i.Addrs()
		if err != nil {
			facts = append(facts, "addresses unknown: "+err.Error())
		}
		for _, a := range addresses {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				info.Addresses = append(info.Addresses, prefix.String())
				d.Addresses = append(d.Addresses, prefix)
			}
		}
		if speed, err := packet.Speed(i.Name); err == nil { // most virtual interfaces have none
			info.Speed, d.Speed = speed, speed
		}
	}
	d.Link, d.SnapLen = info.Link, uint32(max(c.opt.SnapLen, 0))
	d.Name, d.Description, d.OS = info.Name, strings.Join(facts, ", "), runtime.GOOS
	d.Filter = c.opt.Filter
	if c.opt.Filter == "" && len(c.opt.Program) > 0 {
		d.Comment = fmt.Sprintf("filtered by a program of %d instructions: %s", len(c.opt.Program), captureStatistics)
	}
	return info
}

// ringOf returns the ring that an interface's packets come from.
func (c *capture) ringOf(index int) *captureRing {
	for _, r := range c.rings {
		if r.index == 0 || r.index == index {
			return r
		}
	}
	return nil
}
