package netlink

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// machine follows what the expressions of a rule put into which register, so
// that a comparison can be told with what is compared: nf_tables has no
// other notion of a match (linux/netfilter/nf_tables.h).
type machine struct {
	l3    string // ip, ip6, arp: of the network header, once it is known
	proto string // of the transport header, once it was compared
	regs  map[uint32]operand
}

func newMachine(family string) *machine {
	m := &machine{regs: map[uint32]operand{}}
	if family == "ip" || family == "ip6" || family == "arp" {
		m.l3 = family
	}
	return m
}

// slot is where a register begins, in words of 4 bytes: NFT_REG_1 to 4 have
// four of them, which are also NFT_REG32_00 to 15.
func slot(reg uint32) uint32 {
	if reg < 8 {
		return 4 * reg
	}
	return reg - 4
}

func (m *machine) reg(b []byte) operand { return m.regs[slot(be32(b))] }

func (m *machine) put(reg []byte, o operand) {
	o.fresh = true
	m.regs[slot(be32(reg))] = o
}

// take returns what a register holds, to be told.
func (m *machine) take(reg []byte) operand {
	o := m.reg(reg)
	m.told()
	return o
}

// key returns the names of what was put into a register and those behind it
// since something was told last: the parts of a concatenation.
func (m *machine) key(reg []byte) string {
	from := slot(be32(reg))
	names := []string{m.regs[from].name}
	for _, at := range slices.Sorted(maps.Keys(m.regs)) {
		if at > from && m.regs[at].fresh {
			names = append(names, m.regs[at].name)
		}
	}
	m.told()
	return strings.Join(names, " . ")
}

func (m *machine) told() {
	for at, o := range m.regs {
		o.fresh = false
		m.regs[at] = o
	}
}

// operand is what a register holds.
type operand struct {
	name  string // "ip saddr"
	form  form
	mask  []byte
	value []byte // of a constant
	fresh bool   // put there since something was told last
}

// form is how a value is spelt.
type form int

const (
	formHex form = iota
	formAddress
	formNumber   // in network order
	formHost     // in the host's order
	formProtocol // 1 byte
	formEther    // ETH_P_*
	formName     // text up to a zero byte
	formState    // bits of a connection's state
	formFamily   // NFPROTO_*
)

// metaKeys are enum nft_meta_keys, ctKeys enum nft_ct_keys, in nft's words.
var (
	metaKeys = []string{
		"length", "protocol", "priority", "mark", "iif", "oif", "iifname", "oifname", "iiftype", "oiftype", "skuid", "skgid",
		"nftrace", "rtclassid", "secmark", "nfproto", "l4proto", "ibrname", "obrname", "pkttype", "cpu", "iifgroup", "oifgroup",
		"cgroup", "random", "secpath", "iifkind", "oifkind", "ibrpvid", "ibrvproto", "time", "day", "hour", "sdif", "sdifname",
		"broute",
	}
	metaForms = map[string]form{
		"iifname": formName, "oifname": formName, "ibrname": formName, "obrname": formName, "sdifname": formName,
		"iifkind": formName, "oifkind": formName, "l4proto": formProtocol, "nfproto": formFamily, "length": formHost,
		"iif": formHost, "oif": formHost, "skuid": formHost, "skgid": formHost, "cpu": formHost, "iifgroup": formHost,
		"oifgroup": formHost, "cgroup": formHost, "mark": formHost, "protocol": formEther,
	}
	ctKeys = []string{
		"state", "direction", "status", "mark", "secmark", "expiration", "helper", "l3proto", "saddr", "daddr", "protocol",
		"proto-src", "proto-dst", "label", "packets", "bytes", "avgpkt", "zone", "event", "ip saddr", "ip daddr", "ip6 saddr",
		"ip6 daddr", "id",
	}
	ctForms = map[string]form{
		"state": formState, "mark": formHost, "helper": formName, "protocol": formProtocol, "proto-src": formNumber,
		"proto-dst": formNumber, "ip saddr": formAddress, "ip daddr": formAddress, "ip6 saddr": formAddress, "ip6 daddr": formAddress,
	}
	etherTypes = map[uint16]string{0x0800: "ip", 0x0806: "arp", 0x8100: "8021q", 0x86dd: "ip6", 0x88a8: "8021ad"}
	ctStates   = []string{"invalid", "established", "related", "new", "", "", "untracked"}
	cmpOps     = []string{"== ", "!= ", "< ", "<= ", "> ", ">= "}
	limitUnits = map[uint64]string{1: "second", 60: "minute", 3600: "hour", 86400: "day", 604800: "week"}
)

// fields collects the attributes of an expression by number.
func fields(b []byte) map[uint16][]byte {
	f := map[uint16][]byte{}
	attrs(b, func(kind uint16, value []byte) { f[kind] = value })
	return f
}

// loads says which attribute of an expression that only loads is the register.
var loads = map[string]uint16{"fib": 1, "rt": 1, "numgen": 1, "exthdr": 1, "osf": 1, "xfrm": 1, "socket": 2, "hash": 2, "tunnel": 2}

// run returns an expression in words; "" for one that only loads a register
// that another will tell.
func (m *machine) run(name string, data []byte) string {
	f := fields(data)
	switch name {
	case "meta":
		return m.load("meta ", metaKeys, metaForms, f, f[3])
	case "ct":
		prefix := "ct "
		if d := f[3]; d != nil {
			prefix += nthName([]string{"original", "reply"}, int(first(d))) + " "
		}
		return m.load(prefix, ctKeys, ctForms, f, f[4])
	case "payload":
		return m.payload(f)
	case "bitwise":
		m.bitwise(f)
		return ""
	case "byteorder":
		o := m.reg(f[1])
		if o.form == formHost {
			o.form = formNumber
		}
		m.put(f[2], o)
		return ""
	case "cmp":
		value, _ := nfData(f[3])
		o := m.take(f[1])
		if be32(f[2]) == 0 && o.mask == nil {
			m.learn(o, value)
		}
		return o.is(comparison(be32(f[2])), value)
	case "range":
		from, _ := nfData(f[3])
		to, _ := nfData(f[4])
		o := m.take(f[1])
		return o.name + " " + comparison(be32(f[2])&1) + o.spell(from) + "-" + o.spell(to)
	case "lookup":
		return m.lookup(f)
	case "immediate":
		value, verdict := nfData(f[2])
		if verdict != "" {
			return verdict
		}
		m.put(f[1], operand{value: value})
		return ""
	}
	if at, ok := loads[name]; ok {
		if f[at] != nil { // exthdr writes, when it has none
			m.put(f[at], operand{name: name})
			return ""
		}
		return name + " set"
	}
	return m.statement(name, f)
}

// learn notes which headers a packet has after it was compared.
func (m *machine) learn(o operand, value []byte) {
	switch o.name {
	case "meta l4proto", "ip protocol", "ip6 nexthdr":
		m.proto = protoName(first(value))
	case "meta nfproto":
		m.l3 = map[byte]string{2: "ip", 3: "arp", 10: "ip6"}[first(value)]
	case "meta protocol", "ether type":
		m.l3 = map[uint16]string{0x0800: "ip", 0x0806: "arp", 0x86dd: "ip6"}[be16(value)]
	}
}

// bitwise reads NFTA_BITWISE_*: a mask, or what is told as a change.
func (m *machine) bitwise(f map[uint16][]byte) {
	o := m.reg(f[1])
	mask, _ := nfData(f[4])
	xor, _ := nfData(f[5])
	if be32(f[6]) != 0 || o.mask != nil || len(bytes.Trim(xor, "\x00")) > 0 {
		o = operand{name: "(" + o.name + " transformed)"}
	} else {
		o.mask = mask
	}
	m.put(f[2], o)
}

// comparison spells enum nft_cmp_ops with a blank; equality is not spelt.
func comparison(op uint32) string {
	if op == 0 {
		return ""
	}
	return nthName(cmpOps, int(op))
}

// load reads what meta and ct have in common: destination 1, key 2; source
// when it is a statement that sets.
func (m *machine) load(prefix string, names []string, forms map[string]form, f map[uint16][]byte, source []byte) string {
	name := nthName(names, int(be32(f[2])))
	o := operand{name: prefix + name, form: forms[name]}
	if source != nil {
		return o.name + " set " + m.text(source, o.form)
	}
	m.put(f[1], o)
	return ""
}

// text tells what a register holds where it is used as a value: a constant, or
// what was loaded.
func (m *machine) text(reg []byte, f form) string {
	o := m.take(reg)
	if o.value == nil {
		return o.name
	}
	o.form = f
	return o.spell(o.value)
}

// header is a field of a packet: bytes from an offset of one of its headers.
type header struct{ base, at, size uint32 }

// Fields by the protocol whose header they are in. A transport header of which
// the protocol is not known has ports all the same, which begin all that have
// some.
var (
	etherFields = map[header]operand{
		{0, 0, 6}: {name: "ether daddr"}, {0, 6, 6}: {name: "ether saddr"}, {0, 12, 2}: {name: "ether type", form: formEther},
	}
	networkFields = map[string]map[header]operand{
		"ip": {
			{1, 9, 1}:  {name: "ip protocol", form: formProtocol},
			{1, 12, 4}: {name: "ip saddr", form: formAddress}, {1, 16, 4}: {name: "ip daddr", form: formAddress},
		},
		"ip6": {
			{1, 6, 1}:  {name: "ip6 nexthdr", form: formProtocol},
			{1, 8, 16}: {name: "ip6 saddr", form: formAddress}, {1, 24, 16}: {name: "ip6 daddr", form: formAddress},
		},
	}
	portProtocols = map[string]bool{"": true, "tcp": true, "udp": true, "udplite": true, "sctp": true, "dccp": true}
)

// field names bytes of a packet.
func (m *machine) field(at header) operand {
	whole := at // an address is compared in part where its prefix ends with a byte
	switch {
	case m.l3 == "ip" && at.base == 1 && (at.at == 12 || at.at == 16) && at.size > 0 && at.size < 4:
		whole.size = 4
	case m.l3 == "ip6" && at.base == 1 && (at.at == 8 || at.at == 24) && at.size > 4 && at.size < 16:
		whole.size = 16
	}
	if o, ok := etherFields[at]; ok {
		return o
	}
	if o, ok := networkFields[m.l3][whole]; ok {
		return o
	}
	proto := cmp.Or(m.proto, "th")
	switch {
	case portProtocols[m.proto] && at == header{2, 0, 2}:
		return operand{name: proto + " sport", form: formNumber}
	case portProtocols[m.proto] && at == header{2, 2, 2}:
		return operand{name: proto + " dport", form: formNumber}
	case m.proto == "tcp" && at == header{2, 13, 1}:
		return operand{name: "tcp flags"}
	case (m.proto == "icmp" || m.proto == "icmpv6") && at == header{2, 0, 1}:
		return operand{name: proto + " type", form: formNumber}
	}
	return operand{name: fmt.Sprintf("@%s,%d,%d", nthName([]string{"ll", "nh", "th", "ih"}, int(at.base)), uint64(at.at)*8, uint64(at.size)*8)}
}

// payload reads NFTA_PAYLOAD_*.
func (m *machine) payload(f map[uint16][]byte) string {
	o := m.field(header{be32(f[2]), be32(f[3]), be32(f[4])})
	if f[5] != nil { // NFTA_PAYLOAD_SREG: it is written
		return o.name + " set " + m.text(f[5], o.form)
	}
	m.put(f[1], o)
	return ""
}

// lookup reads NFTA_LOOKUP_*: in a set, or in a map whose value is a verdict
// or goes into a register.
func (m *machine) lookup(f map[uint16][]byte) string {
	key, set := m.key(f[2]), "@"+text(f[1])
	switch {
	case f[3] == nil && be32(f[5])&1 != 0:
		return key + " != " + set
	case f[3] == nil:
		return key + " " + set
	case be32(f[3]) == 0:
		return key + " vmap " + set
	}
	m.put(f[3], operand{name: key + " map " + set})
	return ""
}
