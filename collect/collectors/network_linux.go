package collectors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/netlink"
)

func collectNetwork(ctx context.Context, h *collect.Host, out collect.Taker) error {
	netns, _ := os.Readlink("/proc/self/ns/net") // "" on a kernel without network namespaces
	modules := moduleNames(h)
	n := &network{ctx: ctx, h: h, out: out, netns: netns, names: map[uint32]string{}}
	if err := n.links(); err != nil {
		return err
	}
	if err := n.sockets(); err != nil {
		return err
	}
	if err := n.routes(); err != nil {
		return err
	}
	if err := n.neighbours(); err != nil {
		return err
	}
	var loaded []string
	for name := range moduleNames(h) {
		if !modules[name] {
			loaded = append(loaded, name)
		}
	}
	if len(loaded) > 0 {
		slices.Sort(loaded)
		out.Problem(evidence.Problem{
			Code: evidence.Changed, Path: "/proc/modules", Ref: evidence.Ref{Offset: -1, Length: -1},
			Detail: "modules loaded while the kernel was asked for sockets: " + strings.Join(loaded, " "),
		})
	}
	return takeFiles(ctx, out, "network files", networkFiles)
}

func moduleNames(h *collect.Host) map[string]bool {
	text, _ := h.ReadFile("/proc/modules", 4<<20) // none without CONFIG_MODULES
	names := map[string]bool{}
	for _, m := range parseModules(text) {
		names[m.Name] = true
	}
	return names
}

type network struct {
	ctx   context.Context
	h     *collect.Host
	out   collect.Taker
	netns string
	names map[uint32]string // interfaces by index
}

// write makes a record set of what yield gives.
func (n *network) write(path string, each func(write func(any) error) error) error {
	lines := collect.NewRecords(n.ctx, n.out, evidence.Item{Path: path, Source: "netlink"})
	err := each(lines.Write)
	return errors.Join(err, lines.Close())
}

func (n *network) lost(err error, path string) {
	if err != nil {
		n.out.Problem(problemOf(err, path))
	}
}

func (n *network) links() error {
	links, err := netlink.Links()
	n.lost(err, record.Interfaces)
	addrs, err := netlink.Addresses()
	n.lost(err, record.Interfaces)
	of := map[uint32][]string{}
	for _, a := range addrs {
		of[a.Index] = append(of[a.Index], a.Prefix.String())
	}
	return n.write(record.Interfaces, func(write func(any) error) error {
		for _, l := range links {
			n.names[l.Index] = l.Name
			err := write(record.Interface{
				Netns: n.netns, Index: int64(l.Index), Name: l.Name, MAC: l.MAC, MTU: int64(l.MTU),
				Flags: netlink.FlagNames(l.Flags), Promisc: l.Promiscuity > 0, Kind: l.Kind,
				Addresses: append([]string{}, of[l.Index]...),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// sockets lists first and looks for the owners then: sockets go faster than
// processes. Meanwhile they are held packed, because a host may have a million.
func (n *network) sockets() error {
	var all collect.Spool
	taken := time.Now().UnixNano()
	n.lost(netlink.Sockets(func(s netlink.Socket) {
		r := n.socket(s)
		r.Taken = taken
		if line, err := json.Marshal(r); err == nil { // it always has a JSON form
			_, _ = all.Write(append(line, '\n'))
		}
	}), record.Sockets)
	if lost := all.Lost(); lost > 0 {
		n.lost(fmt.Errorf("%d sockets found no room in memory", lost), record.Sockets)
	}
	owners, err := socketOwners(n.ctx, n.h)
	n.lost(err, record.Sockets)
	return n.write(record.Sockets, func(write func(any) error) error {
		text, _ := all.Take()
		for lines := json.NewDecoder(text); ; {
			var r record.Socket
			if err := lines.Decode(&r); err != nil {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}
			if o, ok := owners.of(r.Inode); ok {
				r.PID, r.Exe = o.pid, o.exe
			}
			if err := write(r); err != nil {
				return err
			}
		}
	})
}

func (n *network) socket(s netlink.Socket) record.Socket {
	r := record.Socket{
		Netns: n.netns, Family: s.Family, Proto: s.Proto, State: s.State, Inode: uint64(s.Inode),
		UID: -1, Iface: n.iface(s.Iface), Path: s.Path, Peer: uint64(s.Peer), From: "sock_diag",
	}
	if s.HasUID {
		r.UID = int64(s.UID)
	}
	if s.Src.Addr().IsValid() {
		r.SrcIP, r.SrcPort = s.Src.Addr().String(), int64(s.Src.Port())
	}
	if s.Dst.Addr().IsValid() {
		r.DstIP, r.DstPort = s.Dst.Addr().String(), int64(s.Dst.Port())
	}
	if s.Family == "netlink" {
		r.SrcPort = int64(s.Port)
	}
	return r
}

func (n *network) iface(index uint32) string {
	if name, ok := n.names[index]; ok || index == 0 {
		return name
	}
	return strconv.FormatUint(uint64(index), 10)
}

func (n *network) routes() error {
	routes, err := netlink.Routes()
	n.lost(err, record.Routes)
	return n.write(record.Routes, func(write func(any) error) error {
		for _, r := range routes {
			dst := "default"
			if r.Dst.IsValid() {
				dst = r.Dst.String()
			}
			err := write(record.Route{
				Netns: n.netns, Family: r.Family, Table: int64(r.Table), Dst: dst, Gateway: textOf(r.Gateway),
				Iface: n.iface(r.Iface), Source: textOf(r.Source), Priority: int64(r.Priority), Protocol: int64(r.Protocol),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func textOf(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func (n *network) neighbours() error {
	list, err := netlink.Neighbours()
	n.lost(err, record.Neighbours)
	return n.write(record.Neighbours, func(write func(any) error) error {
		for _, e := range list {
			err := write(record.Neighbour{
				Netns: n.netns, IP: e.IP.String(), MAC: e.MAC, Iface: n.iface(e.Iface), State: e.State,
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

type owner struct {
	pid int64
	exe record.Bytes
}

// socketTable maps the inode of a socket to its owner: a small number for each
// of what may be a million.
type socketTable struct {
	owners []owner
	inodes map[uint64]uint32
}

func (t *socketTable) of(inode uint64) (owner, bool) {
	if i, ok := t.inodes[inode]; ok && inode != 0 {
		return t.owners[i], true
	}
	return owner{}, false
}

// socketOwners maps the inode of a socket to a process that holds it: of
// several the one that started first, by number.
func socketOwners(ctx context.Context, h *collect.Host) (*socketTable, error) {
	owners := &socketTable{inodes: map[uint64]uint32{}}
	proc, err := openProcesses(h)
	if err != nil {
		return owners, err
	}
	defer proc.close()
	pids, err := proc.list()
	if err != nil {
		return owners, err
	}
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return owners, err
		}
		p, err := proc.process(pid)
		if err != nil {
			continue // ended meanwhile
		}
		p.ownedSockets(owners)
		p.close()
	}
	return owners, nil
}

func (p *process) ownedSockets(t *socketTable) {
	fds, err := listNumbers(p.fd, "fd")
	if err != nil {
		return // ended, or not permitted: the processes collector says so
	}
	mine := -1 // our place in the table, once there is something to say
	for _, fd := range fds {
		target, err := p.link("fd/" + strconv.FormatInt(fd, 10))
		if err != nil {
			continue
		}
		inode, ok := socketInode(target)
		if _, known := t.inodes[inode]; !ok || known {
			continue
		}
		if mine < 0 {
			mine = len(t.owners)
			exe, _ := p.link("exe") // none of a kernel thread
			t.owners = append(t.owners, owner{p.pid, record.Bytes(exe)})
		}
		t.inodes[inode] = uint32(mine)
	}
}
