package collectors

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/netlink"
	"golang.org/x/sys/unix"
)

func collectNetwork(ctx context.Context, h *collect.Host, out collect.Taker) error {
	modules := moduleNames(h)
	protocols, _ := h.ReadFile("/proc/net/protocols", 64<<10)
	n := &network{
		ctx: ctx, h: h, out: out, vsock: bytes.Contains(protocols, []byte("AF_VSOCK")),
		sets: newSets(record.Namespaces, record.Interfaces, record.Routes, record.RouteRules, record.Neighbours, record.NetnsFiles),
	}
	list, err := namespaces(ctx, h)
	n.lost(err, record.Namespaces)
	entered := map[*netns]bool{}
	err = enterAll(ctx, h, out, record.Namespaces, list, func(ns *netns) error {
		entered[ns] = true
		n.look(ns)
		return ctx.Err()
	})
	if err != nil {
		return errors.Join(err, n.sets.write(context.WithoutCancel(ctx), out, "netlink"))
	}
	for _, ns := range list {
		n.sets.put(record.Namespaces, record.Netns{
			Netns: ns.name, Inode: ns.inode, Own: ns.own, Processes: ns.processes, PIDs: append([]int64{}, ns.pids...),
			TIDs: ns.tids, FDs: ns.fds, Pins: bytesOf(ns.pins), Entered: entered[ns],
		})
	}
	if err := n.writeSockets(); err != nil {
		return err
	}
	if err := n.sets.write(ctx, out, "netlink"); err != nil {
		return err
	}
	tellLoaded(h, out, modules)
	return takeFiles(ctx, out, "network files", networkFiles)
}

// tellLoaded records which modules the kernel has loaded since before: a
// trace of ours.
func tellLoaded(h *collect.Host, out collect.Taker, before map[string]bool) {
	var loaded []string
	for name := range moduleNames(h) {
		if !before[name] {
			loaded = append(loaded, name)
		}
	}
	if len(loaded) > 0 {
		slices.Sort(loaded)
		out.Problem(problemAt(evidence.Changed, "/proc/modules",
			"modules loaded while the kernel was asked: "+strings.Join(loaded, " ")))
	}
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
	ctx     context.Context
	h       *collect.Host
	out     collect.Taker
	vsock   bool
	sets    *sets
	sockets collect.Spool

	netns string            // that of the look
	other bool              // it is not the collector's own
	names map[uint32]string // its interfaces by index
}

func (n *network) lost(err error, path string) {
	if err != nil {
		if n.netns != "" {
			err = fmt.Errorf("in %s: %w", n.netns, err)
		}
		n.out.Problem(problemOf(err, path))
	}
}

// look asks for everything of the network namespace of the calling thread.
// Sockets go first, because they go faster than the rest; their interfaces
// are told by what is then still there.
func (n *network) look(ns *netns) {
	n.netns, n.other, n.names = ns.name, !ns.own, map[uint32]string{}
	links, err := netlink.Links()
	n.lost(err, record.Interfaces)
	for _, l := range links {
		n.names[l.Index] = l.Name
	}
	n.listSockets()
	n.links(links)
	n.routes()
	n.rules()
	n.neighbours()
	if !ns.own {
		n.files()
	}
}

func (n *network) links(links []netlink.Link) {
	addrs, err := netlink.Addresses()
	n.lost(err, record.Interfaces)
	of := map[uint32][]string{}
	for _, a := range addrs {
		of[a.Index] = append(of[a.Index], a.Prefix.String())
	}
	for _, l := range links {
		r := record.Interface{
			Netns: n.netns, Index: int64(l.Index), Name: l.Name, MAC: l.MAC, MTU: int64(l.MTU),
			Flags: netlink.FlagNames(l.Flags), Promisc: l.Promiscuity > 0, Kind: l.Kind,
			Addresses: append([]string{}, of[l.Index]...),
		}
		for _, x := range l.XDP {
			r.XDP = append(r.XDP, record.XDP{Mode: x.Mode, Prog: int64(x.Prog)})
		}
		n.sets.put(record.Interfaces, r)
	}
}

// listSockets holds them packed until their owners are known, because a host
// may have a million.
func (n *network) listSockets() {
	taken := time.Now().UnixNano()
	n.lost(netlink.Sockets(n.vsock, func(s netlink.Socket) {
		r := n.socket(s)
		r.Taken = taken
		if line, err := json.Marshal(r); err == nil { // it always has a JSON form
			_, _ = n.sockets.Write(append(line, '\n'))
		}
	}), record.Sockets)
}

// writeSockets looks for the owners and writes.
func (n *network) writeSockets() error {
	if lost := n.sockets.Lost(); lost > 0 {
		n.lost(fmt.Errorf("%d sockets found no room in memory", lost), record.Sockets)
	}
	owners, err := socketOwners(n.ctx, n.h)
	n.lost(err, record.Sockets)
	out := collect.NewRecords(n.ctx, n.out, evidence.Item{Path: record.Sockets, Source: "netlink"})
	err = func() error {
		text, _ := n.sockets.Take()
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
			if err := out.Write(r); err != nil {
				return err
			}
		}
	}()
	return errors.Join(err, out.Close())
}

func (n *network) socket(s netlink.Socket) record.Socket {
	r := record.Socket{
		Netns: n.netns, Foreign: n.other, Family: s.Family, Proto: s.Proto, State: s.State, Inode: uint64(s.Inode),
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
	switch s.Family {
	case "netlink":
		r.SrcPort = int64(s.Port)
	case "packet":
		r.Filter = netlink.FilterText(s.Filter)
	case "vsock":
		r.SrcCID, r.SrcPort, r.DstCID, r.DstPort = int64(s.SrcCID), int64(s.SrcPort), int64(s.DstCID), int64(s.DstPort)
	}
	return r
}

func (n *network) iface(index uint32) string {
	if name, ok := n.names[index]; ok || index == 0 {
		return name
	}
	return strconv.FormatUint(uint64(index), 10)
}

func (n *network) routes() {
	n.lost(netlink.Routes(func(r netlink.Route) {
		n.sets.put(record.Routes, record.Route{
			Netns: n.netns, Family: r.Family, Table: int64(r.Table), Dst: prefixText(r.Dst, "default"), Gateway: textOf(r.Gateway),
			Iface: n.iface(r.Iface), Source: textOf(r.Source), Priority: int64(r.Priority), Protocol: int64(r.Protocol),
		})
	}), record.Routes)
}

func (n *network) rules() {
	n.lost(netlink.Rules(func(r netlink.Rule) {
		n.sets.put(record.RouteRules, record.RouteRule{
			Netns: n.netns, Family: r.Family, Priority: int64(r.Priority), Src: prefixText(r.Src, "all"), Dst: prefixText(r.Dst, ""),
			In: r.In, Out: r.Out, Action: r.Action, Table: int64(r.Table), Goto: int64(r.Goto), Mark: int64(r.Mark),
			Mask: int64(r.Mask), UIDs: r.UIDs, Protocol: int64(r.Protocol), Invert: r.Invert,
		})
	}), record.RouteRules)
}

func prefixText(p netip.Prefix, none string) string {
	if !p.IsValid() {
		return none
	}
	return p.String()
}

func textOf(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func (n *network) neighbours() {
	n.lost(netlink.Neighbours(func(e netlink.Neighbour) {
		n.sets.put(record.Neighbours, record.Neighbour{
			Netns: n.netns, IP: e.IP.String(), MAC: e.MAC, Iface: n.iface(e.Iface), State: e.State,
		})
	}), record.Neighbours)
}

// maxNetnsFile bounds one file of a foreign namespace. What it cuts is in the
// record sets all the same.
const maxNetnsFile = 1 << 20

// files keeps /proc/net and /proc/sys/net as the calling thread sees them:
// /proc/net itself is that of the process, which is in its own namespace.
func (n *network) files() {
	for _, path := range networkFiles {
		at := path
		if name, ok := strings.CutPrefix(path, "/proc/net/"); ok {
			at = "/proc/thread-self/net/" + name
		} else if !strings.HasPrefix(path, "/proc/sys/net/") {
			continue
		}
		data, size, err := readAt(unix.AT_FDCWD, at, nil, maxNetnsFile)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EISDIR) {
			continue
		}
		r := record.NetnsFile{Netns: n.netns, Path: path, Data: data[:size]}
		if errors.Is(err, collect.ErrTooBig) {
			r.Cut, err = true, nil
		}
		if err != nil {
			r.Error = err.Error()
		}
		n.sets.put(record.NetnsFiles, r)
	}
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
