package netlink

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

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
		s := "limit rate " + over(f[5])
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
	case "dup":
		return name + m.to(f[1], nil, nil, nil) + m.device(f[2])
	case "fwd":
		return name + m.to(f[2], nil, nil, nil) + m.device(f[1])
	case "reject":
		return fmt.Sprintf("reject type %d code %d", be32(f[1]), first(f[2]))
	case "queue":
		return fmt.Sprintf("queue num %d", be16(f[1]))
	case "match", "target": // of iptables, through nft_compat
		return "xt " + name + " " + text(f[1])
	case "objref":
		if f[4] != nil { // which one, a map says
			return "objref " + m.key(f[3]) + " map @" + text(f[4])
		}
		return nthName(nfObjects, int(be32(f[1]))) + " name " + strconv.Quote(text(f[2]))
	case "dynset":
		return m.dynset(f)
	case "quota":
		return fmt.Sprintf("quota %s%d bytes used %d bytes", over(f[2]), be64(f[1]), be64(f[4]))
	case "connlimit":
		return fmt.Sprintf("ct count %s%d", over(f[2]), be32(f[1]))
	case "flow_offload":
		return "flow add @" + text(f[1])
	}
	return name
}

// over spells the flag by which a limit is that of what is left.
func over(flags []byte) string {
	if be32(flags)&1 != 0 {
		return "over "
	}
	return ""
}

// dynset reads NFTA_DYNSET_*: an element that the packet adds, with the
// expressions it gets.
func (m *machine) dynset(f map[uint16][]byte) string {
	s := nthName([]string{"add", "update", "delete"}, int(be32(f[3]))) + " @" + text(f[1]) + " { " + m.key(f[4])
	if t := be64(f[6]); t != 0 {
		s += fmt.Sprintf(" timeout %dms", t)
	}
	with := func(b []byte) {
		if name, data := nfExpr(b); name != "" {
			s += " " + m.statement(name, fields(data))
		}
	}
	if f[7] != nil {
		with(f[7])
	} else { // one is told both ways
		attrs(f[10], func(_ uint16, value []byte) { with(value) })
	}
	if f[5] != nil {
		s += " : " + m.reg(f[5]).name
	}
	return s + " }"
}

// device tells an interface by its number.
func (m *machine) device(reg []byte) string {
	if reg == nil {
		return ""
	}
	return " device " + m.text(reg, formHost)
}

// to tells where a translation leads: constants, or what else the registers
// hold.
func (m *machine) to(addr, addrMax, port, portMax []byte) string {
	span := func(from, to []byte, f form) string {
		if from == nil {
			return ""
		}
		s := m.text(from, f)
		if to != nil {
			if t := m.text(to, f); t != s {
				s += "-" + t
			}
		}
		return s
	}
	s, p := span(addr, addrMax, formAddress), span(port, portMax, formNumber)
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
	return fmt.Sprintf("%s & %s %s%s", o.name, o.spell(o.mask), cmp.Or(op, "== "), o.spell(value))
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
	case o.form == formNumber && len(b) > 0 && len(b) <= 8:
		return strconv.FormatUint(binary.BigEndian.Uint64(append(make([]byte, 8-len(b)), b...)), 10)
	case o.form == formEther && len(b) == 2 && etherTypes[be16(b)] != "":
		return etherTypes[be16(b)]
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
