package collectors

import "github.com/exhibit-dfir/exhibit/collect"

// linuxNetwork writes live/sockets.jsonl, interfaces.jsonl, routes.jsonl,
// rules.jsonl and neighbours.jsonl of every network namespace that a process,
// a thread, a descriptor or a mount keeps alive (live/netns.jsonl), and keeps the files of
// /proc/net they can be checked against: those of the own namespace as files,
// the others in live/netns-files.jsonl. To answer sock_diag the kernel may load
// its own diagnostics modules (tcp_diag and others); when it does, that is
// recorded as a problem, because it is a trace of ours.
var linuxNetwork = register(collect.Collector{
	Name: "linux_network",
	Doc:  "Sockets with their processes, interfaces, addresses, routes of all tables and neighbours, rules and XDP programs of every network namespace",
	Tier: collect.TierNetwork,
	Live: true,
	Run:  collectNetwork,
})

// networkFiles are kept as they are.
var networkFiles = []string{
	"/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6", "/proc/net/udplite", "/proc/net/udplite6",
	"/proc/net/raw", "/proc/net/raw6", "/proc/net/icmp", "/proc/net/icmp6", "/proc/net/unix", "/proc/net/packet",
	"/proc/net/netlink", "/proc/net/ptype", "/proc/net/arp", "/proc/net/dev", "/proc/net/dev_mcast",
	"/proc/net/igmp", "/proc/net/igmp6", "/proc/net/mcfilter", "/proc/net/mcfilter6", "/proc/net/if_inet6",
	"/proc/net/route", "/proc/net/ipv6_route", "/proc/net/fib_trie", "/proc/net/protocols",
	"/proc/net/snmp", "/proc/net/snmp6", "/proc/net/netstat", "/proc/net/sockstat", "/proc/net/sockstat6",
	"/proc/net/wireless", "/proc/net/connector", "/proc/net/nf_conntrack", "/proc/net/ip_tables_names",
	"/proc/net/ip6_tables_names", "/proc/net/ip_tables_targets", "/proc/net/ip_tables_matches",
	"/proc/net/bonding", "/proc/net/vlan/config", "/proc/sys/net/ipv4/ip_forward",
	"/proc/sys/net/ipv6/conf/all/forwarding", "/proc/sys/net/netfilter/nf_conntrack_count",
	"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf", "/run/systemd/resolve/stub-resolv.conf",
	"/etc/hosts", "/etc/nsswitch.conf",
}
