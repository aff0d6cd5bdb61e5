package netlink

import (
	"slices"
	"strconv"
)

// NFObject is one object of nftables (nft(8)): of the fields, those that its
// kind has are set.
type NFObject struct {
	Object string // table, chain, rule, object, flowtable, set, element
	Family string
	Table  string
	Chain  string
	Name   string
	Handle uint64

	Type     string // of a base chain, or of a stateful object
	Hook     string
	Priority int32
	Policy   string
	Dev      []string

	Exprs   []NFExpr
	Comment []byte

	Flags, KeyType, DataType, KeyLen, Use uint32
	Key, KeyEnd, Data                     []byte // of an element
	Timeout, Expires                      uint64 // of an element, ms
	Text                                  string // the verdict of an element, the state of an object

	// Raw is struct nfgenmsg and the attributes as the kernel sent them; of an
	// element, which comes with others, its own attributes.
	Raw []byte

	family byte
}

// NFExpr is one expression of a rule. Text is "" for one that only loads a
// register, which the expression that uses it tells.
type NFExpr struct{ Name, Text string }

// nfFamilies are NFPROTO_* of linux/netfilter.h.
var nfFamilies = map[byte]string{1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}

// nfHooks are the hooks of the families of IP; netdev has its own.
var (
	nfHooks  = []string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}
	arpHooks = []string{"input", "output", "forward"}
	devHooks = []string{"ingress", "egress"}
)

// nfObjects are NFT_OBJECT_*.
var nfObjects = []string{
	"", "counter", "quota", "ct helper", "limit", "connlimit", "tunnel", "ct timeout", "secmark", "ct expectation", "synproxy",
}

// Types of the TLVs that nft(8) leaves with an object (libnftnl/udata.h).
const (
	userRule = 0 // a comment, of all but a set
	userSet  = 7
)

// nfObject begins an object from struct nfgenmsg.
func nfObject(b []byte, object string) (*NFObject, []byte, bool) {
	if len(b) < nfGenSize {
		return nil, nil, false
	}
	o := &NFObject{Object: object, family: b[0], Family: nfFamilies[b[0]], Raw: slices.Clone(b)}
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
			o.Comment = userComment(value, userRule)
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
			o.Comment = userComment(value, userRule)
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
			o.Comment = userComment(value, userRule)
		}
	})
	m := newMachine(o.Family)
	attrs(list, func(_ uint16, value []byte) {
		name, data := nfExpr(value)
		o.Exprs = append(o.Exprs, NFExpr{name, m.run(name, data)})
	})
	return *o, true
}

// nfExpr reads NFTA_EXPR_*.
func nfExpr(b []byte) (name string, data []byte) {
	attrs(b, func(kind uint16, value []byte) {
		switch kind {
		case 1:
			name = text(value)
		case 2:
			data = value
		}
	})
	return name, data
}

// parseNFStateful reads NFTA_OBJ_*. The state of one has the attributes of the
// expression of its name.
func parseNFStateful(b []byte) (NFObject, bool) {
	o, rest, ok := nfObject(b, "object")
	if !ok {
		return NFObject{}, false
	}
	var data []byte
	attrs(rest, func(kind uint16, value []byte) {
		switch kind {
		case 1:
			o.Table = text(value)
		case 2:
			o.Name = text(value)
		case 3:
			o.Type = nthName(nfObjects, int(be32(value)))
		case 4:
			data = value
		case 5:
			o.Use = be32(value)
		case 6:
			o.Handle = be64(value)
		case 8:
			o.Comment = userComment(value, userRule)
		}
	})
	switch o.Type {
	case "counter", "quota", "limit", "connlimit":
		o.Text = newMachine(o.Family).run(o.Type, data)
	}
	return *o, true
}

// parseNFFlowtable reads NFTA_FLOWTABLE_* and NFTA_FLOWTABLE_HOOK_*.
func parseNFFlowtable(b []byte) (NFObject, bool) {
	o, rest, ok := nfObject(b, "flowtable")
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
			attrs(value, func(kind uint16, value []byte) {
				switch kind {
				case 1:
					o.Hook = nthName(devHooks, int(be32(value)))
				case 2:
					o.Priority = int32(be32(value))
				case 3:
					attrs(value, func(_ uint16, value []byte) { o.Dev = append(o.Dev, text(value)) })
				}
			})
		case 4:
			o.Use = be32(value)
		case 5:
			o.Handle = be64(value)
		case 7:
			o.Flags = be32(value)
		}
	})
	return *o, true
}

// userComment reads the comment that nft(8) leaves with an object: type 1,
// length 1, value.
func userComment(b []byte, kind byte) []byte {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		value := b[2 : 2+int(b[1])]
		if b[0] == kind {
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
		case 6:
			o.DataType = be32(value)
		case 13:
			o.Comment = userComment(value, userSet)
		case 16:
			o.Handle = be64(value)
		}
	})
	return *o, true
}

// parseNFElements reads NFTA_SET_ELEM_LIST_*: many elements of one set.
func parseNFElements(b []byte, yield func(NFObject)) bool {
	o, rest, ok := nfObject(b, "element")
	if !ok {
		return false
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
				e.Raw = slices.Clone(value)
				attrs(value, func(kind uint16, value []byte) {
					switch kind {
					case 1:
						e.Key, _ = nfData(value)
					case 2:
						e.Data, e.Text = nfData(value)
					case 3:
						e.Flags = be32(value)
					case 4:
						e.Timeout = be64(value)
					case 5:
						e.Expires = be64(value)
					case 6:
						e.Comment = userComment(value, userRule)
					case 10:
						e.KeyEnd, _ = nfData(value)
					}
				})
				yield(e)
			})
		}
	})
	return true
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
