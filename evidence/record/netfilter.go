package record

// Names of the record sets about what the kernel does with packets.
const (
	Traffic   = "live/tc.jsonl"        // TrafficControl lines
	Conntrack = "live/conntrack.jsonl" // Flow lines
	NFTables  = "live/nftables.jsonl"  // NFTable lines
	IPTables  = "live/iptables.jsonl"  // IPTable lines
)

// TrafficControl is one object of tc(8): a queueing discipline, a class or a
// filter, which may be an eBPF program.
type TrafficControl struct {
	Netns    string   `json:"netns"`
	Object   string   `json:"object"` // qdisc, class, filter
	Iface    string   `json:"iface,omitempty"`
	Block    int64    `json:"block,omitempty"` // a filter that several interfaces share
	Kind     string   `json:"kind"`            // clsact, htb, bpf, u32 …
	Handle   string   `json:"handle,omitempty"`
	Parent   string   `json:"parent,omitempty"`
	Priority int64    `json:"priority,omitempty"`
	Protocol int64    `json:"protocol,omitempty"` // ETH_P_*
	Chain    int64    `json:"chain,omitempty"`
	Actions  []string `json:"actions,omitempty"`
	Prog     int64    `json:"prog_id,omitempty"` // BPFProgram.ID
	Name     Bytes    `json:"name,omitempty"`
	Tag      string   `json:"tag,omitempty"`
	Direct   bool     `json:"direct_action,omitempty"`
	Filter   string   `json:"filter,omitempty"`  // classic BPF, as tcpdump -ddd spells it
	Options  string   `json:"options,omitempty"` // netlink attributes, hexadecimal
}

// Flow is one connection that netfilter tracks.
type Flow struct {
	Taken   int64     `json:"taken"`
	Netns   string    `json:"netns"`
	Family  string    `json:"family"` // inet, inet6
	Proto   string    `json:"proto"`
	State   string    `json:"state,omitempty"`
	Orig    Direction `json:"orig"`
	Reply   Direction `json:"reply"`
	Status  []string  `json:"status"`
	Timeout int64     `json:"timeout"` // seconds
	Mark    int64     `json:"mark,omitempty"`
	Zone    int64     `json:"zone,omitempty"`
	Helper  string    `json:"helper,omitempty"`
	ID      int64     `json:"id"`
	Start   int64     `json:"start,omitempty"` // ns, where the kernel notes it
}

// Direction is one direction of a Flow.
type Direction struct {
	SrcIP   string `json:"src_ip"`
	DstIP   string `json:"dst_ip"`
	SrcPort int64  `json:"src_port,omitempty"`
	DstPort int64  `json:"dst_port,omitempty"`
	ICMPID  int64  `json:"icmp_id,omitempty"`
	Type    int64  `json:"icmp_type,omitempty"`
	Code    int64  `json:"icmp_code,omitempty"`
	Packets uint64 `json:"packets,omitempty"`
	Bytes   uint64 `json:"bytes,omitempty"`
}

// NFTable is one object of nftables. Text is a rule in words, expression by
// expression, the verdict of an element, or the state of an object.
type NFTable struct {
	Netns  string `json:"netns"`
	Object string `json:"object"` // table, chain, rule, object, flowtable, set, element
	Family string `json:"family"` // ip, ip6, inet, arp, bridge, netdev
	Table  Bytes  `json:"table"`
	Chain  Bytes  `json:"chain,omitempty"`
	Name   Bytes  `json:"name,omitempty"` // of all but a rule; of an element, that of its set
	Handle uint64 `json:"handle,omitempty"`

	Type     string `json:"type,omitempty"` // of a base chain: filter, nat, route; of an object: counter, quota …
	Hook     string `json:"hook,omitempty"`
	Priority int64  `json:"priority,omitempty"`
	Policy   string `json:"policy,omitempty"`
	Dev      Bytes  `json:"dev,omitempty"`

	Exprs   []NFExpr `json:"exprs,omitempty"` // of a rule
	Text    Bytes    `json:"text,omitempty"`
	Comment Bytes    `json:"comment,omitempty"`

	Flags   int64  `json:"flags,omitempty"`
	KeyType int64  `json:"key_type,omitempty"` // of a set, as nft(8) numbers them
	ValType int64  `json:"data_type,omitempty"`
	KeyLen  int64  `json:"key_len,omitempty"`
	Key     string `json:"key,omitempty"` // of an element, hexadecimal
	KeyEnd  string `json:"key_end,omitempty"`
	Data    string `json:"data,omitempty"`
	Timeout uint64 `json:"timeout_ms,omitempty"`
	Expires uint64 `json:"expires_ms,omitempty"`
	Use     int64  `json:"use,omitempty"`

	// Raw is all that the kernel says of it, hexadecimal: struct nfgenmsg and
	// netlink attributes; of an element its attributes (NFTA_SET_ELEM_*).
	Raw string `json:"raw"`
}

// NFExpr is one expression of an nftables rule. Text is "" where it only loads
// what the text of another tells.
type NFExpr struct {
	Name string `json:"name"`
	Text Bytes  `json:"text"`
}

// IPTable is one table of legacy iptables. Text is what iptables-save(8)
// would say, as far as it is decoded; Content names the item with the entries
// as the kernel has them (struct ipt_entry).
type IPTable struct {
	Netns   string `json:"netns"`
	Family  string `json:"family"` // ip, ip6
	Table   string `json:"table"`
	Entries int64  `json:"entries"`
	Content string `json:"content"`
	Text    Bytes  `json:"text"`
}
