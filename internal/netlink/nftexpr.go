package netlink

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// machine follows what the expressions of a rule put into which register, so
// that a comparison can be told with what is compared: nf_tables has no
// other notion of a match (linux/netfilter/nf_tables.h).
type machine struct {
	family string
	proto  string // of the transport header, once it was compared
	regs   map[uint32]operand
}

// operand is what a register holds.
type operand struct {
	name  string // "ip saddr"
	form  form
	mask  []byte
	value []byte // of a constant
}

// form is how a value is spelt.
type form int

const (
	formHex form = iota
	formAddress
	formPort     // 2 bytes in network order
	formProtocol // 1 byte
	formName     // text up to a zero byte
	formHost     // a number in the host's order
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
		"oifgroup": formHost, "cgroup": formHost, "mark": formHost,
	}
	ctKeys = []string{
		"state", "direction", "status", "mark", "secmark", "expiration", "helper", "l3proto", "saddr", "daddr", "protocol",
		"proto-src", "proto-dst", "label", "packets", "bytes", "avgpkt", "zone", "event", "ip saddr", "ip daddr", "ip6 saddr",
		"ip6 daddr", "id",
	}
	ctForms = map[string]form{
		"state": formState, "mark": formHost, "helper": formName, "protocol": formProtocol, "proto-src": formPort,
		"proto-dst": formPort, "ip saddr": formAddress, "ip daddr": formAddress, "ip6 saddr": formAddress, "ip6 daddr": formAddress,
	}
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

// run returns an expression in words; "" for one that only loads a register
// that another will tell.
func (m *machine) run(name string, data []byte) string {
	f := fields(data)
	switch name {
	case "meta":
		return m.load("meta ", metaKeys, metaForms, f, f[3])
	case "ct":
		return m.load("ct ", ctKeys, ctForms, f, f[4])
	case "payload":
		return m.payload(f)
	case "bitwise":
		o := m.regs[be32(f[1])]
		mask, _ := nfData(f[4])
		xor, _ := nfData(f[5])
		if be32(f[6]) != 0 || len(bytes.Trim(xor, "\x00")) > 0 {
			o = operand{name: "(" + o.name + " transformed)"}
		} else {
			o.mask = mask
		}
		m.regs[be32(f[2])] = o
		return ""
	case "cmp":
		value, _ := nfData(f[3])
		o := m.regs[be32(f[1])]
		if o.form == formProtocol && be32(f[2]) == 0 && o.name == "meta l4proto" {
			m.proto = protoName(first(value))
		}
		return o.is(comparison(be32(f[2])), value)
	case "range":
		from, _ := nfData(f[3])
		to, _ := nfData(f[4])
		o := m.regs[be32(f[1])]
		return o.name + " " + comparison(be32(f[2])&1) + o.spell(from) + "-" + o.spell(to)
	case "lookup":
		return m.lookup(f)
	case "immediate":
		value, verdict := nfData(f[2])
		if verdict != "" {
			return verdict
		}
		m.regs[be32(f[1])] = operand{value: value}
		return ""
	}
	return m.statement(name, f)
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
		from := m.regs[be32(source)]
		if from.value == nil {
			return o.name + " set " + from.name
		}
		return o.name + " set " + o.spell(from.value)
	}
	m.regs[be32(f[1])] = o
	return ""
}

// payload reads NFTA_PAYLOAD_*.
func (m *machine) payload(f map[uint16][]byte) string {
	base, at, size := be32(f[2]), be32(f[3]), be32(f[4])
	o := operand{name: fmt.Sprintf("@%s,%d,%d", nthName([]string{"ll", "nh", "th", "ih"}, int(base)), uint64(at)*8, uint64(size)*8)}
	whole := size // an address is compared in part where its prefix ends with a byte
	switch {
	case base == 1 && (at == 12 || at == 16) && size > 0 && size < 4:
		whole = 4
	case base == 1 && (at == 8 || at == 24) && size > 4 && size < 16:
		whole = 16
	}
	type field struct{ base, at, size uint32 }
	proto := m.proto
	if proto == "" {
		proto = "th"
	}
	for where, known := range map[field]operand{
		{1, 12, 4}: {name: "ip saddr", form: formAddress}, {1, 16, 4}: {name: "ip daddr", form: formAddress},
		{1, 9, 1}:  {name: "ip protocol", form: formProtocol},
		{1, 8, 16}: {name: "ip6 saddr", form: formAddress}, {1, 24, 16}: {name: "ip6 daddr", form: formAddress},
		{1, 6, 1}: {name: "ip6 nexthdr", form: formProtocol},
		{2, 0, 2}: {name: proto + " sport", form: formPort}, {2, 2, 2}: {name: proto + " dport", form: formPort},
		{0, 6, 6}: {name: "ether saddr"}, {0, 0, 6}: {name: "ether daddr"},
	} {
		if where == (field{base, at, whole}) && m.family != "arp" {
			o = known
		}
	}
	if f[5] != nil { // NFTA_PAYLOAD_SREG: it is written
		return o.name + " set " + o.spell(m.regs[be32(f[5])].value)
	}
	m.regs[be32(f[1])] = o
	return ""
}

func (m *machine) lookup(f map[uint16][]byte) string {
	s := m.regs[be32(f[2])].name + " "
	if be32(f[5])&1 != 0 {
		s += "!= "
	}
	s += "@" + text(f[1])
	if f[3] != nil {
		if be32(f[3]) == 0 {
			return s + " vmap"
		}
		m.regs[be32(f[3])] = operand{name: "(" + s + ")"}
	}
	return s
}

// statement tells what does something.
func (m *machine) statement(name string, f map[uint16][]byte) string {
	switch name {
	case "counter":
		return fmt.Sprintf("counter packets %d bytes %d", be64(f[2]), be64(f[1]))
	case "log":
		s := "log"
		if p := text(f[2]); p != "" {
			s += " prefix " + strconv.Quote(p)
		}
		if f[1] != nil {
			s += fmt.Sprintf(" group %d", be16(f[1]))
		}
		return s
	case "limit":
		unit, known := limitUnits[be64(f[2])]
		if !known {
			unit = fmt.Sprintf("%d seconds", be64(f[2]))
		}
		s := "limit rate "
		if be32(f[5])&1 != 0 {
			s += "over "
		}
		s += strconv.FormatUint(be64(f[1]), 10)
		if be32(f[4]) == 1 {
			s += " bytes"
		}
		return fmt.Sprintf("%s/%s burst %d", s, unit, be32(f[3]))
	case "nat":
		return nthName([]string{"snat", "dnat"}, int(be32(f[1]))) + m.to(f[3], f[4], f[5], f[6])
	case "masq":
		return "masquerade" + m.to(nil, nil, f[2], f[3])
	case "redir":
		return "redirect" + m.to(nil, nil, f[1], f[2])
	case "tproxy":
		return "tproxy" + m.to(f[2], nil, f[3], nil)
	case "dup", "fwd":
		return name + m.to(f[1], nil, nil, nil)
	case "reject":
		return fmt.Sprintf("reject type %d code %d", be32(f[1]), first(f[2]))
	case "queue":
		return fmt.Sprintf("queue num %d", be16(f[1]))
	case "match", "target": // of iptables, through nft_compat
		return "xt " + name + " " + text(f[1])
	case "objref":
		return "objref " + text(f[2])
	case "dynset":
		return "add @" + text(f[1]) + " { " + m.regs[be32(f[4])].name + " }"
	}
	if d := f[1]; len(f) > 0 && d != nil && len(d) == 4 { // what loads a register has its number first, by custom
		m.regs[be32(d)] = operand{name: name}
	}
	return name
}

// to tells where a translation leads: constants, or what else the registers
// hold.
func (m *machine) to(addr, addrMax, port, portMax []byte) string {
	one := func(reg []byte, f form) string {
		o := m.regs[be32(reg)]
		if o.value == nil {
			return o.name
		}
		o.form = f
		return o.spell(o.value)
	}
	span := func(from, to []byte, f form) string {
		if from == nil {
			return ""
		}
		s := one(from, f)
		if to != nil {
			if t := one(to, f); t != s {
				s += "-" + t
			}
		}
		return s
	}
	s, p := span(addr, addrMax, formAddress), span(port, portMax, formPort)
	switch {
	case s == "" && p == "":
		return ""
	case p == "":
		return " to " + s
	}
	return " to " + s + ":" + p
}

// is tells a comparison. A mask whose bits are at its front is a prefix, one
// of which any bit counts is told as such.
func (o operand) is(op string, value []byte) string {
	if o.mask == nil {
		return o.name + " " + op + o.spell(value)
	}
	if bits, ok := prefixBits(o.mask); ok && o.form == formAddress {
		return fmt.Sprintf("%s %s%s/%d", o.name, op, o.spell(value), bits)
	}
	if op == "!= " && len(bytes.Trim(value, "\x00")) == 0 {
		return o.name + " " + o.spell(o.mask)
	}
	return fmt.Sprintf("%s & %s %s%s", o.name, o.spell(o.mask), op, o.spell(value))
}

func prefixBits(mask []byte) (bits int, ok bool) {
	ended := false
	for _, c := range mask {
		for i := 7; i >= 0; i-- {
			set := c&(1<<i) != 0
			if set && ended {
				return 0, false
			}
			if set {
				bits++
			}
			ended = !set
		}
	}
	return bits, true
}

// spell writes a value.
func (o operand) spell(b []byte) string {
	switch {
	case o.form == formAddress && (len(b) == 4 || len(b) == 16):
		a, _ := netip.AddrFromSlice(b)
		return a.String()
	case o.form == formAddress && len(b) > 0 && len(b) < 4: // a prefix of whole bytes is compared shorter
		a := netip.AddrFrom4([4]byte(append(bytes.Clone(b), 0, 0, 0)[:4]))
		return fmt.Sprintf("%s/%d", a, 8*len(b))
	case o.form == formAddress && len(b) > 4 && len(b) < 16:
		a := netip.AddrFrom16([16]byte(append(bytes.Clone(b), make([]byte, 16)...)[:16]))
		return fmt.Sprintf("%s/%d", a, 8*len(b))
	case o.form == formPort && len(b) == 2:
		return strconv.Itoa(int(be16(b)))
	case o.form == formProtocol && len(b) == 1:
		return protoName(b[0])
	case o.form == formFamily && len(b) == 1 && b[0] == 2:
		return "ipv4"
	case o.form == formFamily && len(b) == 1 && b[0] == 10:
		return "ipv6"
	case o.form == formName:
		if bytes.IndexByte(b, 0) < 0 && len(b) < 16 {
			return strconv.Quote(string(b) + "*")
		}
		return strconv.Quote(text(b))
	case o.form == formHost && len(b) == 4:
		return strconv.FormatUint(uint64(binary.NativeEndian.Uint32(b)), 10)
	case o.form == formState && len(b) == 4:
		var names []string
		for i := range 32 {
			if u32(b)&(1<<i) != 0 {
				names = append(names, nthName(ctStates, i))
			}
		}
		if len(names) > 0 {
			return strings.Join(names, ",")
		}
	}
	return "0x" + hex.EncodeToString(b)
}
