package pcapfilter

// compare is true where the comparison holds and the packet has the protocols
// whose bytes are compared.
func (p *parser) compare(left *expr, how string, right *expr) (*condition, error) {
	var code uint16
	switch how {
	case "=", "==", "!=", "<>":
		code = equal
	case ">", "<=":
		code = greater
	case ">=", "<":
		code = atLeast
	}
	negative := how == "!=" || how == "<>" || how == "<=" || how == "<"
	if left.leaf == 'k' && right.leaf != 'k' && code == equal {
		left, right = right, left
	}
	g := &generator{}
	var c *condition
	if right.leaf == 'k' {
		loads := g.toA(left, 0)
		c = test(loads, code, right.k)
	} else {
		loads := g.toA(left, 0)
		loads = append(loads, Instruction{Code: store, K: 0})
		loads = append(loads, g.toA(right, 1)...)
		loads = append(loads, Instruction{Code: tax}, Instruction{Code: load | mem, K: 0})
		c = test(loads, code|useX, 0)
	}
	if g.deep {
		return nil, p.fail("the arithmetic before it nests too deeply: use fewer parentheses")
	}
	if negative {
		c = not(c)
	}
	checks := append(append([]*condition{}, right.all()...), left.all()...)
	return all(append(checks, c)...), nil
}

// all returns the checks of every load in the expression, those of an index
// behind those of the load's own protocol.
func (e *expr) all() []*condition {
	if e == nil {
		return nil
	}
	list := append(e.right.all(), e.left.all()...)
	if e.checks != nil {
		list = append([]*condition{e.checks}, list...)
	}
	return list
}

// generator turns numbers into instructions.
type generator struct{ deep bool }

// toA returns what brings the number into A; it may use memory cells from the
// given one on, and X.
func (g *generator) toA(e *expr, cell uint32) []Instruction {
	if cell >= cells {
		g.deep = true
		return nil
	}
	switch e.leaf {
	case 'k':
		return []Instruction{{Code: load | immediate, K: e.k}}
	case 'l':
		return []Instruction{{Code: load | word | length}}
	case '[':
		return g.access(e, cell)
	}
	if e.right.leaf == 'k' {
		return append(g.toA(e.left, cell), Instruction{Code: alu | e.op, K: e.right.k})
	}
	code := append(g.toA(e.left, cell), Instruction{Code: store, K: cell})
	code = append(code, g.toA(e.right, cell+1)...)
	return append(code, Instruction{Code: tax}, Instruction{Code: load | mem, K: cell}, Instruction{Code: alu | e.op | useX})
}

// access loads bytes of a protocol at an index.
func (g *generator) access(e *expr, cell uint32) []Instruction {
	p := parser{layout: e.where}
	base, behindHeader := e.where.network, false
	switch e.proto {
	case "ether":
		base = 0
	case "ip", "ip6", "arp", "rarp":
	case "icmp6":
		base += 40
	default:
		behindHeader = true
	}
	code := load | sizes[e.size]
	if e.left.leaf == 'k' {
		if behindHeader {
			return append(p.headerToX(), Instruction{Code: code | indirect, K: base + e.left.k})
		}
		return []Instruction{{Code: code | absolute, K: base + e.left.k}}
	}
	steps := g.toA(e.left, cell)
	if behindHeader {
		steps = append(append(steps, p.headerToX()...), Instruction{Code: alu | add | useX})
	}
	return append(steps, Instruction{Code: tax}, Instruction{Code: code | indirect, K: base})
}
