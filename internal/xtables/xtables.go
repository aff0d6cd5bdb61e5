// Package xtables reads the tables of legacy iptables and ip6tables: asks the
// Linux kernel by getsockopt(2), and tells the entries in the words of
// iptables-save(8) as far as they are decoded. It only reads. The decoders take
// bytes and build on every system; asking works on Linux.
package xtables

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
)

// Family is IPv4 or IPv6; their tables differ in the layout of an entry.
type Family struct {
	Name  string // ip, ip6
	Names string // the file below /proc/net that names the tables in use

	domain, level    int
	ip               int // bytes of an address
	ifaces, proto    int // offsets in struct ipt_entry, ip6t_entry
	flags, next      int
	counters, header int
	gone             byte // IPT_F_GOTO, IP6T_F_GOTO
}

// The families (linux/netfilter_ipv4/ip_tables.h, netfilter_ipv6/ip6_tables.h).
var (
	IPv4 = Family{Name: "ip", Names: "ip_tables_names", domain: 2, level: 0, ip: 4, ifaces: 16, proto: 80, flags: 82, next: 88, counters: 96, header: 112, gone: 2}
	IPv6 = Family{Name: "ip6", Names: "ip6_tables_names", domain: 10, level: 41, ip: 16, ifaces: 64, proto: 128, flags: 131, next: 140, counters: counters6, header: counters6 + 16, gone: 4}
)

// counters6 is where struct ip6t_entry has its counters: 64-bit numbers, which
// the compilers for 386 align to 4 bytes and all others to 8. (In struct
// ipt_entry they are aligned either way.)
var counters6 = map[bool]int{true: 148, false: 152}[runtime.GOARCH == "386"]

// Info is struct ipt_getinfo: where the chains of a table begin and end.
type Info struct {
	Name       string
	ValidHooks uint32
	Hooks      [5]uint32 // offset of the first entry
	Underflow  [5]uint32 // and of the last, which is the policy
	Entries    uint32
	Size       uint32
}

const (
	infoSize    = 84
	headSize    = 40 // struct ipt_get_entries up to its entries
	targetSize  = 32 // struct xt_entry_target and xt_entry_match
	nameSize    = 29
	maxSize     = 64 << 20 // some 300,000 rules: a table is read at once, or not at all
	maxTextSize = 8 << 20
)

// Why a table is told in part only.
var (
	ErrFormat = errors.New("an entry breaks the format: what follows it is not told")
	ErrLong   = fmt.Errorf("more than %d MiB of rules: the rest is not told", maxTextSize>>20)
)

// hookNames are the built-in chains by number of their hook.
var hookNames = [...]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}

func u16(b []byte) uint16 { return binary.NativeEndian.Uint16(b) }
func u32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

func text(b []byte) string {
	t, _, _ := bytes.Cut(b, []byte{0})
	return string(t)
}

func parseInfo(b []byte) (Info, bool) {
	if len(b) < infoSize {
		return Info{}, false
	}
	i := Info{Name: text(b[:32]), ValidHooks: u32(b[32:]), Entries: u32(b[76:]), Size: u32(b[80:])}
	for h := range i.Hooks {
		i.Hooks[h], i.Underflow[h] = u32(b[36+4*h:]), u32(b[56+4*h:])
	}
	return i, true
}

// entry is one struct ipt_entry with what follows it.
type entry struct {
	at     int
	b      []byte // up to the next entry
	target []byte
}

// entries splits a table; ok is false when it breaks its format.
func (f Family) entries(b []byte) (list []entry, ok bool) {
	for at := 0; at < len(b); {
		rest := b[at:]
		if len(rest) < f.header+targetSize {
			return list, false
		}
		target, next := int(u16(rest[f.next:])), int(u16(rest[f.next+2:]))
		if target < f.header || next < target+targetSize || next > len(rest) {
			return list, false
		}
		list = append(list, entry{at, rest[:next], rest[target:next]})
		at += next
	}
	return list, true
}

func (e entry) targetName() string { return text(e.target[2 : 2+nameSize]) }

// chain is a chain of a table: [from, end) of the entries.
type chain struct {
	name    string
	from    int // offset of its first entry
	rules   []entry
	policy  string
	counter [2]uint64
}

// Text tells a table as iptables-save -c does: chains with their policies,
// then the rules with their counters. What is not decoded of a match or target
// is its bytes in hexadecimal after its name. What could be told is returned
// with ErrFormat or ErrLong.
func (f Family) Text(info Info, b []byte) (string, error) {
	list, ok := f.entries(b)
	chains := f.chains(info, list)
	names := map[int]string{}
	for _, c := range chains {
		names[c.from] = c.name
	}
	var out strings.Builder
	fmt.Fprintf(&out, "*%s\n", quote(info.Name))
	for _, c := range chains {
		fmt.Fprintf(&out, ":%s %s [%d:%d]\n", quote(c.name), c.policy, c.counter[0], c.counter[1])
	}
	for _, c := range chains {
		for _, e := range c.rules {
			if out.Len() > maxTextSize {
				return out.String(), ErrLong
			}
			n := f.counts(e)
			fmt.Fprintf(&out, "[%d:%d] -A %s%s%s%s\n", n[0], n[1], quote(c.name), f.header4(e), f.matches(e), f.jump(e, names))
		}
	}
	out.WriteString("COMMIT\n")
	if !ok {
		return out.String(), ErrFormat
	}
	return out.String(), nil
}

func (f Family) counts(e entry) [2]uint64 {
	return [2]uint64{binary.NativeEndian.Uint64(e.b[f.counters:]), binary.NativeEndian.Uint64(e.b[f.counters+8:])}
}

// chains finds the built-in ones by the offsets of Info, the others by the
// entry with target ERROR that begins each, and names it.
func (f Family) chains(info Info, list []entry) []chain {
	var chains []chain
	var open *chain
	for _, e := range list {
		for h, at := range info.Hooks {
			if info.ValidHooks&(1<<h) != 0 && int64(at) == int64(e.at) {
				chains = append(chains, chain{name: hookNames[h], from: e.at, policy: "-"})
				open = &chains[len(chains)-1]
			}
		}
		if e.targetName() == "ERROR" && len(e.target) > targetSize {
			name := text(e.target[targetSize:])
			if name == "ERROR" && len(e.b)+e.at == int(info.Size) { // the end of the table
				continue
			}
			chains = append(chains, chain{name: name, from: e.at + len(e.b), policy: "-"})
			open = &chains[len(chains)-1]
			continue
		}
		if open == nil {
			continue
		}
		open.rules = append(open.rules, e)
	}
	for i := range chains {
		c := &chains[i]
		if len(c.rules) == 0 {
			continue
		}
		last := c.rules[len(c.rules)-1]
		c.rules = c.rules[:len(c.rules)-1] // the policy, or the return of a user's chain
		for h, name := range hookNames {
			if name == c.name && info.ValidHooks&(1<<h) != 0 && int64(info.Hooks[h]) == int64(c.from) {
				c.policy, c.counter = strings.TrimPrefix(f.jump(last, nil), " -j "), f.counts(last)
			}
		}
	}
	return chains
}

// header4 tells addresses, interfaces and the protocol (struct ipt_ip,
// ip6t_ip6).
func (f Family) header4(e entry) string {
	var s strings.Builder
	inv := e.b[f.flags+1]
	not := func(bit byte) string {
		if inv&bit != 0 {
			return " !"
		}
		return ""
	}
	for i, option := range []string{"-s", "-d"} {
		addr, mask := e.b[i*f.ip:(i+1)*f.ip], e.b[(2+i)*f.ip:(3+i)*f.ip]
		if len(bytes.Trim(mask, "\x00")) > 0 {
			fmt.Fprintf(&s, "%s %s %s", not([]byte{0x08, 0x10}[i]), option, prefix(addr, mask))
		}
	}
	for i, option := range []string{"-i", "-o"} {
		name, mask := e.b[f.ifaces+16*i:f.ifaces+16*i+16], e.b[f.ifaces+32+16*i:f.ifaces+48+16*i]
		if mask[0] == 0 {
			continue
		}
		n := text(name)
		if len(n) < 15 && mask[len(n)] == 0 && !strings.HasSuffix(n, "+") {
			n += "+"
		}
		fmt.Fprintf(&s, "%s %s %s", not([]byte{0x01, 0x02}[i]), option, quote(n))
	}
	if p := u16(e.b[f.proto:]); p != 0 {
		fmt.Fprintf(&s, "%s -p %s", not(0x40), protoName(p))
	}
	if f.ip == 4 && e.b[f.flags]&1 != 0 { // IPT_F_FRAG
		fmt.Fprintf(&s, "%s -f", not(0x20))
	}
	return s.String()
}

func protoName(p uint16) string {
	if n, ok := map[uint16]string{1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 51: "ah", 58: "ipv6-icmp", 132: "sctp"}[p]; ok {
		return n
	}
	return strconv.Itoa(int(p))
}

func prefix(addr, mask []byte) string {
	a, _ := netip.AddrFromSlice(addr)
	ones, ended, whole := 0, false, true
	for _, c := range mask {
		n := bits.LeadingZeros8(^c)
		whole = whole && c == ^byte(0xff>>n) && (!ended || n == 0)
		ones, ended = ones+n, ended || n < 8
	}
	if !whole {
		m, _ := netip.AddrFromSlice(mask)
		return a.String() + "/" + m.String()
	}
	return a.String() + "/" + strconv.Itoa(ones)
}

// matches tells the extensions between header and target.
func (f Family) matches(e entry) string {
	var s strings.Builder
	for b := e.b[f.header : len(e.b)-len(e.target)]; len(b) >= targetSize; {
		size := int(u16(b))
		if size < targetSize || size > len(b) {
			break
		}
		name, data := text(b[2:2+nameSize]), b[targetSize:size]
		s.WriteString(" -m " + quote(name) + matchText(name, b[31], data))
		b = b[size:]
	}
	return s.String()
}

// matchText tells the matches whose layout has not changed for long.
func matchText(name string, revision byte, d []byte) string {
	switch {
	case name == "comment" && len(d) >= 256:
		return " --comment " + strconv.Quote(text(d[:256]))
	case name == "tcp" && len(d) >= 12: // struct xt_tcp
		s := ports(" --sport", d[0:], d[11]&1 != 0) + ports(" --dport", d[4:], d[11]&2 != 0)
		if d[9] != 0 {
			s += fmt.Sprintf("%s --tcp-flags %s %s", negate(d[11]&4 != 0), tcpFlags(d[9]), tcpFlags(d[10]))
		}
		if d[8] != 0 {
			s += fmt.Sprintf("%s --tcp-option %d", negate(d[11]&8 != 0), d[8])
		}
		return s
	case name == "udp" && len(d) >= 9: // struct xt_udp
		return ports(" --sport", d[0:], d[8]&1 != 0) + ports(" --dport", d[4:], d[8]&2 != 0)
	case name == "mark" && revision == 1 && len(d) >= 9: // struct xt_mark_mtinfo1
		s := fmt.Sprintf("%s --mark 0x%x", negate(d[8] != 0), u32(d))
		if m := u32(d[4:]); m != 0xffffffff {
			s += fmt.Sprintf("/0x%x", m)
		}
		return s
	}
	return " [" + hex.EncodeToString(d) + "]"
}

func negate(yes bool) string {
	if yes {
		return " !"
	}
	return ""
}

func ports(option string, b []byte, inverted bool) string {
	from, to := u16(b), u16(b[2:])
	if from == 0 && to == 0xffff && !inverted {
		return ""
	}
	s := negate(inverted) + option + " " + strconv.Itoa(int(from))
	if to != from {
		s += ":" + strconv.Itoa(int(to))
	}
	return s
}

func tcpFlags(b byte) string {
	var names []string
	for i, n := range []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG"} {
		if b&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return "NONE"
	}
	return strings.Join(names, ",")
}

// jump tells the target. The standard one holds a verdict, negative, or the
// offset of the chain to go to.
func (f Family) jump(e entry, chains map[int]string) string {
	name, d := e.targetName(), e.target[targetSize:]
	if name != "" {
		if name == "ERROR" {
			return " -j ERROR"
		}
		s := " -j " + quote(name)
		if len(d) > 0 {
			s += " [" + hex.EncodeToString(d) + "]"
		}
		return s
	}
	if len(d) < 4 {
		return ""
	}
	switch v := int32(u32(d)); v {
	case -1:
		return " -j DROP"
	case -2:
		return " -j ACCEPT"
	case -4:
		return " -j QUEUE"
	case -5:
		return " -j RETURN"
	default:
		if int(v) == e.at+len(e.b) { // to the next rule: none was given
			return ""
		}
		option := " -j "
		if e.b[f.flags]&f.gone != 0 {
			option = " -g "
		}
		if n, ok := chains[int(v)]; ok {
			return option + quote(n)
		}
		return option + "offset " + strconv.Itoa(int(v))
	}
}

// quote leaves a plain name as it is: what comes from the kernel may hold
// line ends and more.
func quote(s string) string {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return strconv.Quote(s)
		}
	}
	return s
}
