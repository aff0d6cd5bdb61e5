package pcapfilter

import "strings"

// expr is a number made of a packet.
type expr struct {
	op     uint16 // alu operation of left and right; leaf: none of these
	left   *expr
	right  *expr
	leaf   byte       // 0: operation, 'k': constant, 'l': length, '[': load
	k      uint32     // constant
	proto  string     // load: of this protocol
	size   uint32     // load: bytes
	checks *condition // what has to hold for the load; nil: nothing
	where  layout     // load: as it was where it was written
}

// accessible are the protocols with data to load.
var accessible = []string{"ether", "link", "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "igrp", "pim", "vrrp", "carp"}

// relation reads a comparison of numbers. It returns nil, with the parser
// where it was, where there is none.
func (p *parser) relation() (*condition, error) {
	start, depth := p.at, p.depth
	if !p.beginsNumber() {
		p.at = start
		return nil, nil
	}
	p.at = start
	left, err := p.number(0)
	if err != nil {
		if p.openParenthesis(start) {
			p.at, p.depth = start, depth
			return nil, nil // tests in parentheses, perhaps: their error is clearer
		}
		return nil, err
	}
	compare := p.symbol("==", "=", "!=", "<>", ">=", "<=", ">", "<")
	if compare == "" {
		if p.openParenthesis(start) || left.leaf == 'k' {
			p.at, p.depth = start, depth
			return nil, nil
		}
		return nil, p.fail("want a comparison such as != 0")
	}
	right, err := p.number(0)
	if err != nil {
		return nil, err
	}
	return p.compare(left, compare, right)
}

func (p *parser) openParenthesis(at int) bool {
	return strings.HasPrefix(strings.TrimLeft(p.text[at:], " \t\r\n"), "(")
}

// beginsNumber looks whether a number made of a packet may come next.
func (p *parser) beginsNumber() bool {
	for p.symbol("(") != "" {
	}
	if p.symbol("-") != "" {
		return true
	}
	w := p.cut("-")
	if _, ok := number(p.cut("")); ok && p.word() == p.cut("") {
		return true
	}
	if w == "len" {
		return true
	}
	for _, name := range accessible {
		if p.word() == name {
			p.at += len(name)
			p.space()
			return strings.HasPrefix(p.text[p.at:], "[")
		}
	}
	return false
}

// levels are the operators by how strongly they bind. tcpdump's grammar leaves
// ^ and % without a rank: beside others they want parentheses here.
var levels = [][]string{{"|"}, {"&"}, {"<<", ">>"}, {"+", "-"}, {"*", "/"}}

var operations = map[string]uint16{
	"|": or, "&": and, "<<": lsh, ">>": rsh, "+": add, "-": sub, "*": mul, "/": div, "^": xor, "%": mod,
}

// number reads an expression of operators that bind at least as level.
func (p *parser) number(level int) (*expr, error) {
	if level == len(levels) {
		return p.operand()
	}
	joined := p.joined
	left, err := p.number(level + 1)
	for err == nil {
		op := p.operator(levels[level])
		if op == "" && level == 0 {
			if op = p.symbol("^", "%"); op != "" && p.joined != joined {
				return nil, p.failAt(p.at-1, "put parentheses around what %s is to join", op)
			}
		}
		if op == "" {
			return left, nil
		}
		mark := p.at
		var right *expr
		if op == "^" || op == "%" {
			if right, err = p.operand(); err == nil && p.anyOperator() {
				return nil, p.fail("put parentheses around what %s is to join", op)
			}
		} else {
			right, err = p.number(level + 1)
		}
		if err != nil {
			return nil, err
		}
		p.joined++
		if left, err = p.combine(op, left, right, mark); err != nil {
			return nil, err
		}
	}
	return nil, err
}

// operator takes one of the operators, unless it is the start of another sign.
func (p *parser) operator(list []string) string {
	p.space()
	rest := p.text[p.at:]
	if strings.HasPrefix(rest, "||") || strings.HasPrefix(rest, "&&") {
		return ""
	}
	return p.symbol(list...)
}

func (p *parser) anyOperator() bool {
	at := p.at
	defer func() { p.at = at }()
	for _, list := range levels {
		if p.operator(list) != "" {
			return true
		}
	}
	return p.symbol("^", "%") != ""
}

func (p *parser) combine(op string, left, right *expr, at int) (*expr, error) {
	code := operations[op]
	if right.leaf == 'k' {
		if (code == div || code == mod) && right.k == 0 {
			return nil, p.failAt(at, "division by zero")
		}
		if (code == lsh || code == rsh) && right.k > 31 {
			return nil, p.failAt(at, "numbers have 32 bits: shift by at most 31")
		}
		if left.leaf == 'k' {
			return &expr{leaf: 'k', k: calculate(code, left.k, right.k)}, nil
		}
	}
	return &expr{op: code, left: left, right: right}, nil
}

func calculate(op uint16, a, b uint32) uint32 {
	switch op {
	case add:
		return a + b
	case sub:
		return a - b
	case mul:
		return a * b
	case div:
		return a / b
	case mod:
		return a % b
	case and:
		return a & b
	case or:
		return a | b
	case xor:
		return a ^ b
	case lsh:
		return a << b
	}
	return a >> b
}

// operand reads a number, len, a load, or an expression in parentheses.
func (p *parser) operand() (*expr, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	joined := p.joined
	defer func() { p.depth, p.joined = p.depth-1, joined }()
	switch {
	case p.symbol("(") != "":
		e, err := p.number(0)
		if err != nil {
			return nil, err
		}
		if p.symbol(")") == "" {
			return nil, p.fail("want a closing parenthesis")
		}
		return e, nil
	case p.symbol("-") != "":
		e, err := p.operand()
		if err != nil {
			return nil, err
		}
		return p.combine("-", &expr{leaf: 'k'}, e, p.at)
	}
	if n, ok := number(p.cut("")); ok {
		p.at += len(p.cut(""))
		return &expr{leaf: 'k', k: n}, nil
	}
	w := p.cut("-")
	if n, ok := constants[w]; ok {
		p.at += len(w)
		return &expr{leaf: 'k', k: n}, nil
	}
	if p.cut("") == "len" {
		p.at += len("len")
		return &expr{leaf: 'l'}, nil
	}
	for _, name := range accessible {
		if p.cut("") == name {
			p.at += len(name)
			return p.access(name)
		}
	}
	return nil, p.fail("want a number, len, or bytes of a protocol such as tcp[13]")
}

// access reads the brackets behind a protocol.
func (p *parser) access(proto string) (*expr, error) {
	if p.symbol("[") == "" {
		return nil, p.fail("want [ behind the protocol of a comparison")
	}
	index, err := p.number(0)
	if err != nil {
		return nil, err
	}
	if index.leaf == 'k' && index.k >= whole {
		return nil, p.fail("no packet has so many bytes: an offset is below %d", whole)
	}
	e := &expr{leaf: '[', left: index, size: 1, where: p.layout, proto: proto}
	if p.symbol(":") != "" {
		n, ok := number(p.cut(""))
		if _, has := sizes[n]; !ok || !has {
			return nil, p.fail("one loads 1, 2 or 4 bytes")
		}
		p.at += len(p.cut(""))
		e.size = n
	}
	if p.symbol("]") == "" {
		return nil, p.fail("want a closing bracket")
	}
	switch proto {
	case "ether", "link":
		e.proto, e.checks = "ether", matchAll
		if p.layout.link != ethernetLink {
			e.checks = matchNone
		}
	case "ip", "ip6", "arp", "rarp":
		e.checks = p.protocol(proto)
	case "icmp6":
		e.checks = all(p.linkProtocol(typeIP6), isEqual(p.inNetwork(6, 1), protocolNumbers[proto]))
	default:
		e.checks = all(p.linkProtocol(typeIP), p.protocol(proto), p.firstFragment())
	}
	return e, nil
}
