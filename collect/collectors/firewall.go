package collectors

import (
	"strings"

	"github.com/exhibit-dfir/exhibit/collect"
)

// linuxTraffic writes live/tc.jsonl: a filter of kind bpf sees, changes and
// drops packets before any firewall does.
var linuxTraffic = register(collect.Collector{
	Name: "linux_tc",
	Doc:  "Traffic control of every network namespace: queueing disciplines, classes and filters with their eBPF programs",
	Tier: collect.TierNetwork,
	Live: true,
	Run:  collectTraffic,
})

// linuxConntrack writes live/conntrack.jsonl. A connection stays in the
// kernel's table for a while after its sockets are gone, and one that is only
// forwarded has none on this host.
var linuxConntrack = register(collect.Collector{
	Name: "linux_conntrack",
	Doc:  "Connections that netfilter tracks, with address translation, in every network namespace",
	Tier: collect.TierNetwork,
	Live: true,
	Run:  collectConntrack,
})

// linuxNFTables writes live/nftables.jsonl.
var linuxNFTables = register(collect.Collector{
	Name: "linux_nftables",
	Doc:  "The nftables rule set of every network namespace: tables, chains, rules in words, sets and their elements",
	Tier: collect.TierNetwork,
	Live: true,
	Run:  collectNFTables,
})

// linuxIPTables writes live/iptables.jsonl, and the entries of each table as
// the kernel has them. Asked for are the tables in use only: by asking for one
// that is not, it would be made.
var linuxIPTables = register(collect.Collector{
	Name: "linux_iptables",
	Doc:  "The tables of legacy iptables and ip6tables in every network namespace, as they are and in words",
	Tier: collect.TierNetwork,
	Live: true,
	Run:  collectIPTables,
})

// missingModule returns the first of the kernel's modules that would have to
// be loaded for an answer, "" when none would: it is loaded, or built in, or
// the kernel can load none. Loading one would change the host, and what needs
// a module that is not there has nothing to tell.
func missingModule(h *collect.Host, modules ...string) string {
	if _, err := h.Stat("/proc/modules"); err != nil {
		return "" // a kernel without CONFIG_MODULES
	}
	text, err := h.ReadFile("/proc/modules", 4<<20)
	loaded := map[string]bool{}
	if err == nil {
		for _, m := range parseModules(text) {
			loaded[m.Name] = true
		}
	}
	release, _ := h.ReadFile("/proc/sys/kernel/osrelease", 256)
	// Absent on a host whose kernel came without its files: then it counts
	// as not built in, and is not asked for.
	text, _ = h.ReadFile("/lib/modules/"+strings.TrimSpace(string(release))+"/modules.builtin", 4<<20)
	return missingOf(loaded, text, modules)
}

// missingOf reads modules.builtin (modules.builtin(5)):
//
//	kernel/net/netfilter/nf_conntrack_netlink.ko
func missingOf(loaded map[string]bool, builtin []byte, modules []string) string {
	known := map[string]bool{}
	for line := range strings.Lines(string(builtin)) {
		name := line[strings.LastIndexByte(line, '/')+1:]
		name, _, _ = strings.Cut(strings.TrimSpace(name), ".ko")
		known[strings.ReplaceAll(name, "-", "_")] = true
	}
	for _, m := range modules {
		if !loaded[m] && !known[m] {
			return m
		}
	}
	return ""
}
