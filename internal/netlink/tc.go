package netlink

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
)

// Traffic is one object of traffic control (tc(8)): a queueing discipline, a
// class of one, or a filter, which may be an eBPF program.
type Traffic struct {
	Object   string // qdisc, class, filter
	Iface    uint32
	Block    uint32 // a filter shared by several interfaces; 0: none
	Kind     string // clsact, htb, bpf, u32 …
	Handle   uint32
	Parent   uint32
	Priority uint16   // of a filter
	Protocol uint16   // ETH_P_* of a filter
	Chain    uint32   // of a filter
	Actions  []string // kinds of the actions of a filter
	Options  []byte   // TCA_OPTIONS as they are

	Prog   uint32 // bpf: its id, 0 for a classic program
	Name   string // bpf
	Tag    string // bpf, hexadecimal
	Direct bool   // bpf: what it returns is the verdict
	Filter []byte // bpf: a classic program, struct sock_filter each

	blocks []uint32 // of a qdisc, whose filters are asked for by these numbers
}

const (
	tcMsgSize = 20 // struct tcmsg, rtnetlink.h

	tcRoot    = 0xffffffff
	tcIngress = 0xfffffff1
	clsactIn  = 0xfffffff2 // TC_H_MIN_INGRESS of it
	clsactOut = 0xfffffff3
	tcBlock   = 0xffffffff // TCM_IFINDEX_MAGIC_BLOCK
	tcActBPF  = 1          // TCA_BPF_FLAG_ACT_DIRECT
)

// HandleText spells a handle as tc(8) does.
func HandleText(h uint32) string {
	switch {
	case h == 0:
		return ""
	case h == tcRoot:
		return "root"
	case h&0xffff == 0:
		return fmt.Sprintf("%x:", h>>16)
	}
	return fmt.Sprintf("%x:%x", h>>16, h&0xffff)
}

// trafficRequest is struct tcmsg.
func trafficRequest(iface, parent uint32) []byte {
	b := make([]byte, tcMsgSize)
	binary.NativeEndian.PutUint32(b[4:], iface)
	binary.NativeEndian.PutUint32(b[12:], parent)
	return b
}

// parseTraffic reads struct tcmsg and TCA_*.
func parseTraffic(b []byte, object string) (Traffic, bool) {
	if len(b) < tcMsgSize {
		return Traffic{}, false
	}
	t := Traffic{Object: object, Iface: u32(b[4:]), Handle: u32(b[8:]), Parent: u32(b[12:])}
	if object == "filter" {
		info := u32(b[16:])
		t.Priority = uint16(info >> 16)
		t.Protocol = uint16(info)<<8 | uint16(info)>>8 // in network order
		if t.Iface == tcBlock {
			t.Iface, t.Block, t.Parent = 0, t.Parent, 0
		}
	}
	attrs(b[tcMsgSize:], func(kind uint16, value []byte) {
		switch kind {
		case 1: // TCA_KIND
			t.Kind = text(value)
		case 2: // TCA_OPTIONS
			t.Options = slices.Clone(value)
		case 11: // TCA_CHAIN
			t.Chain = u32(value)
		case 13, 14: // TCA_INGRESS_BLOCK, TCA_EGRESS_BLOCK
			t.blocks = append(t.blocks, u32(value))
		}
	})
	if object == "filter" {
		t.options()
	}
	return t, true
}

// actionsAt is which of a classifier's options is its list of actions.
var actionsAt = map[string]uint16{"bpf": 1, "u32": 7, "flower": 3, "matchall": 2, "basic": 3, "fw": 4, "route": 6, "cgroup": 1, "flow": 9}

// options reads TCA_BPF_* and the kinds of the actions.
func (t *Traffic) options() {
	attrs(t.Options, func(kind uint16, value []byte) {
		if at, ok := actionsAt[t.Kind]; ok && kind == at {
			t.actions(value)
			return
		}
		if t.Kind != "bpf" {
			return
		}
		switch kind {
		case 5: // TCA_BPF_OPS
			t.Filter = slices.Clone(value)
		case 7: // TCA_BPF_NAME
			t.Name = text(value)
		case 8: // TCA_BPF_FLAGS
			t.Direct = u32(value)&tcActBPF != 0
		case 10: // TCA_BPF_TAG
			t.Tag = hex.EncodeToString(value)
		case 11: // TCA_BPF_ID
			t.Prog = u32(value)
		}
	})
}

// actions reads a list of actions, each with TCA_ACT_KIND.
func (t *Traffic) actions(b []byte) {
	attrs(b, func(_ uint16, action []byte) {
		attrs(action, func(kind uint16, value []byte) {
			if kind == 1 && len(t.Actions) < 64 {
				t.Actions = append(t.Actions, text(value))
			}
		})
	})
}
