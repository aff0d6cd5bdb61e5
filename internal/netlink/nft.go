package netlink

import (
	"slices"
	"strconv"
)

// NFObject is one object of nftables (nft(8)): of the fields, those that its
// kind has are set.
type NFObject struct {
	Object string // table, chain, rule, set, element
	Family string
	Table  string
	Chain  string
	Name   string
	Handle uint64

	Type     string // of a base chain
	Hook     string
	Priority int32
	Policy   string
	Dev      []string

	Exprs   []NFExpr
	Comment []byte

	Flags, KeyType, KeyLen, Use uint32
	Key, KeyEnd, Data           []byte // of an element
	Verdict                     string // of an element of a verdict map

	family byte
}

// NFExpr is one expression of a rule.
type NFExpr struct {
	Name string
	Text string
	Data []byte // NFTA_EXPR_DATA as it is
}

// nfFamilies are NFPROTO_* of linux/netfilter.h.
var nfFamilies = map[byte]string{1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}

// nfHooks are the hooks of the families of IP; netdev has its own.
var (
	nfHooks  = []string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}
	arpHooks = []string{"input", "output", "forward"}
	devHooks = []string{"ingress", "egress"}
)

const maxExprs = 1024 // of a rule; the kernel allows 128

// nfObject begins an object from struct nfgenmsg.
func nfObject(b []byte, object string) (*NFObject, []byte, bool) {
	if len(b) < nfGenSize {
		return nil, nil, false
	}
	o := &NFObject{Object: object, family: b[0], Family: nfFamilies[b[0]]}
	if o.Family == "" {
		o.Family = strconv.Itoa(int(b[0]))
	}
	return o, b[nfGenSize:], true
}

// parseNFTable reads NFTA_TABLE_* (linux/netfilter/nf_tables.h).
func parseNFTable(b []byte) (NFObject, bool) {
	o, rest, ok := nfObject(b, "table")
	if !ok {
		return NFObject{}, false
	}
	attrs(rest, func(kind uint16, value []byte) {
		switch kind {
		case 1:
			o.Table = text(value)
			o.Name = o.Table
		case 2:
			o.Flags = be32(value)
		case 3:
			o.Use = be32(value)
		case 4:
			o.Handle = be64(value)
		case 6:
			o.Comment = userComment(value)
		}
	})
	return *o, true
}

// parseNFChain reads NFTA_CHAIN_*.
func parseNFChain(b []byte) (NFObject, bool) {
	o, rest, ok := nfObject(b, "chain")
	if !ok {
		return NFObject{}, false
	}
	attrs(rest, func(kind uint16, value []byte) {
		switch kind {
		case 1:
			o.Table = text(value)
		case 2:
			o.Handle = be64(value)
		case 3:
			o.Name = text(value)
		case 4:
			o.hook(value)
		case 5:
			o.Policy = nthName([]string{"drop", "accept"}, int(be32(value)))
		case 6:
			o.Use = be32(value)
		case 7:
			o.Type = text(value)
		case 10:
			o.Flags = be32(value)
		case 12:
			o.Comment = userComment(value)
		}
	})
	return *o, true
}

// hook reads NFTA_HOOK_*.
func (o *NFObject) hook(b []byte) {
	names := nfHooks
	switch o.Family {
	case "arp":
		names = arpHooks
	case "netdev":
		names = devHooks
	}
	attrs(b, func(kind uint16, value []byte) {
		switch kind {
		case 1:
			o.Hook = nthName(names, int(be32(value)))
		case 2:
			o.Priority = int32(be32(value))
		case 3:
			o.Dev = append(o.Dev, text(value))
		case 4: // NFTA_HOOK_DEVS, which repeats the only one
			o.Dev = nil
			attrs(value, func(_ uint16, value []byte) { o.Dev = append(o.Dev, text(value)) })
		}
	})
}

// parseNFRule reads NFTA_RULE_* and decodes the expressions.
func parseNFRule(b []byte) (NFObject, bool) {
	o, rest, ok := nfObject(b, "rule")
	if !ok {
		return NFObject{}, false
	}
	var list []byte
	attrs(rest, func(kind uint16, value []byte) {
		switch kind {
		case 1:
			o.Table = text(value)
		case 2:
			o.Chain = text(value)
		case 3:
			o.Handle = be64(value)
		case 4:
			list = value
		case 7:
			o.Comment = userComment(value)
		}
	})
	m := machine{family: o.Family, regs: map[uint32]operand{}}
	attrs(list, func(_ uint16, value []byte) {
		if len(o.Exprs) >= maxExprs {
			return
		}
		var e NFExpr
		attrs(value, func(kind uint16, value []byte) {
			switch kind {
			case 1:
				e.Name = text(value)
			case 2:
				e.Data = slices.Clone(value)
			}
		})
		e.Text = m.run(e.Name, e.Data)
		o.Exprs = append(o.Exprs, e)
	})
	return *o, true
}

// userComment reads the comment that nft(8) leaves with an object: type 1,
// length 1, value, of which type 0 is the comment.
func userComment(b []byte) []byte {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		value := b[2 : 2+int(b[1])]
		if b[0] == 0 {
			return []byte(text(value))
		}
		b = b[2+len(value):]
	}
	return nil
}

// parseNFSet reads NFTA_SET_*.
func parseNFSet(b []byte) (NFObject, bool) {
	o, rest, ok := nfObject(b, "set")
	if !ok {
		return NFObject{}, false
	}
	attrs(rest, func(kind uint16, value []byte) {
		switch kind {
		case 1:
			o.Table = text(value)
		case 2:
			o.Name = text(value)
		case 3:
			o.Flags = be32(value)
		case 4:
			o.KeyType = be32(value)
		case 5:
			o.KeyLen = be32(value)
		case 16:
			o.Handle = be64(value)
		}
	})
	return *o, true
}

// parseNFElements reads NFTA_SET_ELEM_LIST_*: many elements of one set.
func parseNFElements(b []byte, yield func(NFObject)) {
	o, rest, ok := nfObject(b, "element")
	if !ok {
		return
	}
	attrs(rest, func(kind uint16, value []byte) {
		switch kind {
		case 1:
			o.Table = text(value)
		case 2:
			o.Name = text(value)
		case 3:
			attrs(value, func(_ uint16, value []byte) {
				e := *o
				attrs(value, func(kind uint16, value []byte) {
					switch kind {
					case 1:
						e.Key, _ = nfData(value)
					case 2:
						e.Data, e.Verdict = nfData(value)
					case 3:
						e.Flags = be32(value)
					case 6:
						e.Comment = userComment(value)
					case 10:
						e.KeyEnd, _ = nfData(value)
					}
				})
				yield(e)
			})
		}
	})
}

// nfData reads NFTA_DATA_*: a value or a verdict in words.
func nfData(b []byte) (value []byte, verdict string) {
	attrs(b, func(kind uint16, v []byte) {
		switch kind {
		case 1:
			value = slices.Clone(v)
		case 2:
			verdict = nfVerdict(v)
		}
	})
	return value, verdict
}

// nfVerdict reads NFTA_VERDICT_*.
func nfVerdict(b []byte) string {
	code, chain := int32(0), ""
	attrs(b, func(kind uint16, value []byte) {
		switch kind {
		case 1:
			code = int32(be32(value))
		case 2:
			chain = text(value)
		}
	})
	name, known := map[int32]string{
		0: "drop", 1: "accept", 2: "stolen", 3: "queue", 4: "repeat",
		-1: "continue", -2: "break", -3: "jump", -4: "goto", -5: "return",
	}[code]
	if !known {
		name = "verdict " + strconv.Itoa(int(code))
	}
	if chain != "" {
		name += " " + chain
	}
	return name
}
