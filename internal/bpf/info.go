// Package bpf asks the Linux kernel for its eBPF programs, maps, links and
// types (bpf(2)): all of them, pinned or not, whoever holds them. It only reads.
// The decoders take bytes and build on every system; asking works on Linux.
package bpf

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
)

// Program is struct bpf_prog_info of linux/bpf.h.
type Program struct {
	ID, UID, BTF, Ifindex uint32
	Type                  string
	Name                  []byte
	Tag                   string
	LoadTime              uint64 // ns of CLOCK_BOOTTIME
	GPL                   bool
	XlatedLen, JitedLen   uint32
	Maps                  []uint32
	Xlated                []byte // struct bpf_insn each
	RunTime, RunCount     uint64
	mapCount              uint32
}

// Map is struct bpf_map_info.
type Map struct {
	ID, KeySize, ValueSize, MaxEntries, Flags, BTF uint32
	Type                                           string
	Name                                           []byte
}

// Link is struct bpf_link_info.
type Link struct {
	ID, Prog uint32
	Type     string
	Target   string // where the program runs, in words
	Info     []byte
}

// BTF is struct bpf_btf_info.
type BTF struct {
	ID, Size uint32
	Name     []byte
	Kernel   bool
}

// Sizes of what is asked for. An older kernel fills less, a newer one has more.
const (
	programInfoSize = 232
	mapInfoSize     = 88
	linkInfoSize    = 64
	btfInfoSize     = 32
)

func u32(b []byte, at int) uint32 {
	if len(b) < at+4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b[at:])
}

func u64(b []byte, at int) uint64 {
	if len(b) < at+8 {
		return 0
	}
	return binary.NativeEndian.Uint64(b[at:])
}

func name(b []byte, at, size int) []byte {
	if len(b) < at+size {
		return nil
	}
	text, _, _ := bytes.Cut(b[at:at+size], []byte{0})
	return bytes.Clone(text)
}

// nameOf returns names[n], or the number of what came after this was written.
func nameOf(names []string, n uint32) string {
	if int64(n) < int64(len(names)) {
		return names[n]
	}
	return strconv.FormatUint(uint64(n), 10)
}

// programTypes are enum bpf_prog_type, as bpftool spells them.
var programTypes = []string{
	"unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp", "perf_event", "cgroup_skb",
	"cgroup_sock", "lwt_in", "lwt_out", "lwt_xmit", "sock_ops", "sk_skb", "cgroup_device", "sk_msg", "raw_tracepoint",
	"cgroup_sock_addr", "lwt_seg6local", "lirc_mode2", "sk_reuseport", "flow_dissector", "cgroup_sysctl",
	"raw_tracepoint_writable", "cgroup_sockopt", "tracing", "struct_ops", "ext", "lsm", "sk_lookup", "syscall", "netfilter",
}

// mapTypes are enum bpf_map_type.
var mapTypes = []string{
	"unspec", "hash", "array", "prog_array", "perf_event_array", "percpu_hash", "percpu_array", "stack_trace",
	"cgroup_array", "lru_hash", "lru_percpu_hash", "lpm_trie", "array_of_maps", "hash_of_maps", "devmap", "sockmap",
	"cpumap", "xskmap", "sockhash", "cgroup_storage", "reuseport_sockarray", "percpu_cgroup_storage", "queue", "stack",
	"sk_storage", "devmap_hash", "struct_ops", "ringbuf", "inode_storage", "task_storage", "bloom_filter",
	"user_ringbuf", "cgrp_storage", "arena", "insn_array",
}

// linkTypes are enum bpf_link_type.
var linkTypes = []string{
	"unspec", "raw_tracepoint", "tracing", "cgroup", "iter", "netns", "xdp", "perf_event", "kprobe_multi", "struct_ops",
	"netfilter", "tcx", "uprobe_multi", "netkit", "sockmap",
}

func parseProgram(b []byte) Program {
	p := Program{
		Type: nameOf(programTypes, u32(b, 0)), ID: u32(b, 4), JitedLen: u32(b, 16), XlatedLen: u32(b, 20),
		LoadTime: u64(b, 40), UID: u32(b, 48), mapCount: u32(b, 52), Name: name(b, 64, 16), Ifindex: u32(b, 80),
		GPL: u32(b, 84)&1 != 0, BTF: u32(b, 128), RunTime: u64(b, 192), RunCount: u64(b, 200),
	}
	if len(b) >= 16 {
		p.Tag = hex.EncodeToString(b[8:16])
	}
	return p
}

func parseMap(b []byte) Map {
	return Map{
		Type: nameOf(mapTypes, u32(b, 0)), ID: u32(b, 4), KeySize: u32(b, 8), ValueSize: u32(b, 12),
		MaxEntries: u32(b, 16), Flags: u32(b, 20), Name: name(b, 24, 16), BTF: u32(b, 64),
	}
}

func parseBTF(b []byte) BTF {
	return BTF{Size: u32(b, 8), ID: u32(b, 12), Kernel: u32(b, 28) != 0}
}

// perfTypes are enum bpf_perf_event_type.
var perfTypes = []string{"unspec", "uprobe", "uretprobe", "kprobe", "kretprobe", "tracepoint", "event"}

// parseLink reads what all links have, and where those run that say it in
// numbers. text is the name that the kernel wrote besides, of a tracepoint or
// a probe.
func parseLink(b []byte, text string) Link {
	l := Link{Type: nameOf(linkTypes, u32(b, 0)), ID: u32(b, 4), Prog: u32(b, 8), Info: bytes.Clone(b)}
	switch l.Type {
	case "raw_tracepoint":
		l.Target = text
	case "tracing":
		l.Target = fmt.Sprintf("attach type %d, object %d, type %d", u32(b, 16), u32(b, 20), u32(b, 24))
	case "cgroup":
		l.Target = fmt.Sprintf("cgroup %d, attach type %d", u64(b, 16), u32(b, 24))
	case "netns":
		l.Target = fmt.Sprintf("net:[%d], attach type %d", u32(b, 16), u32(b, 20))
	case "xdp":
		l.Target = fmt.Sprintf("interface %d", u32(b, 16))
	case "tcx", "netkit":
		l.Target = fmt.Sprintf("interface %d, attach type %d", u32(b, 16), u32(b, 20))
	case "netfilter":
		l.Target = fmt.Sprintf("family %d, hook %d, priority %d", u32(b, 16), u32(b, 20), int32(u32(b, 24)))
	case "struct_ops", "sockmap":
		l.Target = fmt.Sprintf("map %d", u32(b, 16))
	case "perf_event":
		l.Target = nameOf(perfTypes, u32(b, 16))
		if text != "" {
			l.Target += " " + text
		}
	}
	return l
}

// textAt is where in struct bpf_link_info a pointer to a buffer for a name
// is, its length after it; 0: this one has none.
func textAt(b []byte) int {
	switch u32(b, 0) {
	case 1: // raw_tracepoint
		return 16
	case 7: // perf_event
		switch u32(b, 16) {
		case 1, 2, 3, 4, 5: // probes and tracepoints
			return 24
		}
	}
	return 0
}
