package collectors

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/netlink"
)

// leftOut records that a record set was not made because a module would have
// had to be loaded for it.
func leftOut(ctx context.Context, out collect.Taker, path, module string) error {
	return out.Note(ctx, evidence.Item{
		Kind: evidence.KindSkipped, Path: path, Source: "netlink",
		Detail: "the kernel would have to load " + module + " to answer, so it was not asked",
	})
}

// lostIn makes a problem of an error in a namespace. That the kernel does not
// have what was asked for is none, and the same in all of them.
func (s *sets) lostIn(out collect.Taker, ns *netns, path string, err error) {
	switch {
	case errors.Is(err, netlink.ErrNotThere):
		s.absent[path] = err
	case err != nil:
		out.Problem(problemOf(fmt.Errorf("in %s: %w", ns.name, err), path))
	}
}

// interfaceNames returns the interfaces of the calling thread's namespace.
func interfaceNames(s *sets, out collect.Taker, ns *netns, path string) *network {
	links, err := netlink.Links()
	s.lostIn(out, ns, path, err)
	n := &network{names: map[uint32]string{}}
	for _, l := range links {
		n.names[l.Index] = l.Name
	}
	return n
}

func collectTraffic(ctx context.Context, h *collect.Host, out collect.Taker) error {
	s := newSets(record.Traffic)
	err := eachNetns(ctx, h, out, record.Traffic, func(ns *netns) error {
		names := interfaceNames(s, out, ns, record.Traffic)
		s.lostIn(out, ns, record.Traffic, netlink.TrafficControl(func(t netlink.Traffic) {
			s.put(record.Traffic, record.TrafficControl{
				Netns: ns.name, Object: t.Object, Iface: names.iface(t.Iface), Block: int64(t.Block), Kind: t.Kind,
				Handle: netlink.HandleText(t.Handle), Parent: netlink.HandleText(t.Parent), Priority: int64(t.Priority),
				Protocol: int64(t.Protocol), Chain: int64(t.Chain), Actions: t.Actions, Prog: int64(t.Prog),
				Name: record.Bytes(t.Name), Tag: t.Tag, Direct: t.Direct, Filter: netlink.FilterText(t.Filter),
				Options: hex.EncodeToString(t.Options),
			})
		}))
		return nil
	})
	return errors.Join(err, s.write(context.WithoutCancel(ctx), out, "netlink"))
}

func collectConntrack(ctx context.Context, h *collect.Host, out collect.Taker) error {
	if m := missingModule(h, "nf_conntrack", "nfnetlink", "nf_conntrack_netlink"); m != "" {
		return leftOut(ctx, out, record.Conntrack, m)
	}
	before := moduleNames(h)
	s := newSets(record.Conntrack)
	err := eachNetns(ctx, h, out, record.Conntrack, func(ns *netns) error {
		taken := time.Now().UnixNano()
		s.lostIn(out, ns, record.Conntrack, netlink.Flows(func(f netlink.Flow) {
			s.put(record.Conntrack, flowRecord(f, ns.name, taken))
		}))
		return nil
	})
	tellLoaded(h, out, before)
	return errors.Join(err, s.write(context.WithoutCancel(ctx), out, "netlink"))
}

func flowRecord(f netlink.Flow, ns string, taken int64) record.Flow {
	return record.Flow{
		Taken: taken, Netns: ns, Family: f.Family, Proto: f.Proto, State: f.State, Orig: direction(f.Orig),
		Reply: direction(f.Reply), Status: append([]string{}, f.Status...), Timeout: int64(f.Timeout), Mark: int64(f.Mark),
		Zone: int64(f.Zone), Helper: f.Helper, ID: int64(f.ID), Start: int64(f.Start),
	}
}

func direction(t netlink.Tuple) record.Direction {
	return record.Direction{
		SrcIP: textOf(t.Src), DstIP: textOf(t.Dst), SrcPort: int64(t.SPort), DstPort: int64(t.DPort),
		ICMPID: int64(t.ID), Type: int64(t.Type), Code: int64(t.Code), Packets: t.Packets, Bytes: t.Bytes,
	}
}

func collectNFTables(ctx context.Context, h *collect.Host, out collect.Taker) error {
	if m := missingModule(h, "nfnetlink", "nf_tables"); m != "" {
		return leftOut(ctx, out, record.NFTables, m)
	}
	before := moduleNames(h)
	s := newSets(record.NFTables)
	err := eachNetns(ctx, h, out, record.NFTables, func(ns *netns) error {
		s.lostIn(out, ns, record.NFTables, netlink.NFTables(func(o netlink.NFObject) {
			s.put(record.NFTables, nfRecord(o, ns.name))
		}))
		return nil
	})
	tellLoaded(h, out, before)
	return errors.Join(err, s.write(context.WithoutCancel(ctx), out, "netlink"))
}

func nfRecord(o netlink.NFObject, ns string) record.NFTable {
	r := record.NFTable{
		Netns: ns, Object: o.Object, Family: o.Family, Table: record.Bytes(o.Table), Chain: record.Bytes(o.Chain),
		Name: record.Bytes(o.Name), Handle: o.Handle, Type: o.Type, Hook: o.Hook, Priority: int64(o.Priority), Policy: o.Policy,
		Dev: record.Bytes(strings.Join(o.Dev, " ")), Comment: o.Comment, Flags: int64(o.Flags), KeyType: int64(o.KeyType),
		ValType: int64(o.DataType), KeyLen: int64(o.KeyLen), Key: hex.EncodeToString(o.Key), KeyEnd: hex.EncodeToString(o.KeyEnd),
		Data: hex.EncodeToString(o.Data), Use: int64(o.Use), Text: record.Bytes(o.Text),
		Timeout: o.Timeout, Expires: o.Expires, Raw: hex.EncodeToString(o.Raw),
	}
	var words []string
	for _, e := range o.Exprs {
		r.Exprs = append(r.Exprs, record.NFExpr{Name: e.Name, Text: record.Bytes(e.Text)})
		if e.Text != "" {
			words = append(words, e.Text)
		}
	}
	if len(words) > 0 {
		r.Text = record.Bytes(strings.Join(words, " "))
	}
	return r
}
