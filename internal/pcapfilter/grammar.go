package pcapfilter

import "strings"

// qualifiers say what an address, port or number is of. They are inherited:
// "port 80 or 443".
type qualifiers struct {
	proto string // "": any
	dir   string // "src", "dst", "and": both; "or", "": either
	kind  string // "host", "net", "port", "portrange", "proto"
}

// parse returns the condition of an expression on one layout, and whether the
// expression tests VLAN tags.
func parse(expression string, l layout) (*condition, bool, error) {
	p := &parser{text: expression, layout: l}
	if p.space(); p.at == len(p.text) {
		return matchAll, false, nil
	}
	c, err := p.expression()
	if err != nil {
		return nil, false, err
	}
	if p.space(); p.at < len(p.text) {
		return nil, false, p.fail("want and, or, or the end")
	}
	return c, p.vlans > 0, nil
}

// expression is terms joined by and and or, which bind alike, from left to
// right.
func (p *parser) expression() (*condition, error) {
	c, q, err := p.term(nil)
	for err == nil {
		how := p.connective()
		if how == 0 {
			return c, nil
		}
		var next *condition
		if next, q, err = p.term(q); err == nil {
			c = connect(how, c, next)
		}
	}
	return nil, err
}

func connect(how byte, a, b *condition) *condition {
	if how == '&' {
		return all(a, b)
	}
	return either(a, b)
}

// connective takes an and or an or: '&', '|', or 0 for neither.
func (p *parser) connective() byte {
	switch {
	case p.symbol("&&") != "", p.keyword("and") != "":
		return '&'
	case p.symbol("||") != "", p.keyword("or") != "":
		return '|'
	}
	return 0
}

func (p *parser) negation() bool {
	p.space()
	if strings.HasPrefix(p.text[p.at:], "!=") {
		return false
	}
	return p.symbol("!") != "" || p.keyword("not") != ""
}

// term reads a term, or a value that inherits q. It returns what the next
// value may inherit: nil for nothing.
func (p *parser) term(q *qualifiers) (*condition, *qualifiers, error) {
	negative := false
	for p.negation() {
		negative = !negative
	}
	c, next, err := p.plainTerm(q)
	if err == nil && negative {
		c = not(c)
	}
	return c, next, err
}

func (p *parser) plainTerm(q *qualifiers) (*condition, *qualifiers, error) {
	if c, err := p.relation(); c != nil || err != nil {
		return c, nil, err
	}
	start := p.at
	if p.symbol("(") != "" {
		if q != nil && p.isValue() {
			p.at = start
			c, err := p.values(*q)
			return c, q, err
		}
		if err := p.deeper(); err != nil {
			return nil, nil, err
		}
		c, err := p.expression()
		if err != nil {
			return nil, nil, err
		}
		p.depth--
		if p.symbol(")") == "" {
			return nil, nil, p.fail("want a closing parenthesis")
		}
		return c, nil, nil
	}
	if p.isValue() {
		if q == nil {
			return nil, nil, p.fail("say what it is: host, net, port or proto, before it")
		}
		c, err := p.value(*q)
		return c, q, err
	}
	if c, err := p.special(); c != nil || err != nil {
		return c, nil, err
	}
	return p.primitive()
}

// isValue reports whether a value comes next that stands for itself: no
// keyword, no operator.
func (p *parser) isValue() bool {
	w := p.word()
	return w != "" && !keywords[w]
}

// primitive reads qualifiers and their value, or a protocol alone.
func (p *parser) primitive() (*condition, *qualifiers, error) {
	p.space()
	start := p.at
	if w := p.word(); refused[w] != "" {
		return nil, nil, p.fail("%s; tcpdump -ddd makes a program of it elsewhere: --capture-filter-ddd", refused[w])
	}
	q := qualifiers{proto: p.keyword(protocolNames...)}
	if q.proto == "link" {
		q.proto = "ether"
	}
	dir, err := p.direction()
	if err != nil {
		return nil, nil, err
	}
	q.dir = dir
	q.kind = p.keyword("host", "net", "port", "portrange", "proto")
	switch {
	case q.kind == "proto" && q.dir != "":
		return nil, nil, p.failAt(start, "a protocol has no direction")
	case q == qualifiers{}:
		return nil, nil, p.fail("want a test such as host, port, tcp or not")
	case q.dir == "" && q.kind == "" && (q.proto == "ether" || q.proto == "ip" || q.proto == "ip6"):
		if kind := p.keyword("broadcast", "multicast"); kind != "" {
			c, err := p.group(q.proto, kind, start)
			return c, nil, err
		}
	}
	if q.dir == "" && q.kind == "" {
		if q.proto == "ether" {
			return nil, nil, p.fail("want host, src, dst, proto, broadcast or multicast behind ether")
		}
		return p.protocol(q.proto), nil, nil
	}
	if q.kind == "" {
		q.kind = "host"
	}
	if err := p.agree(q, start); err != nil {
		return nil, nil, err
	}
	c, err := p.values(q)
	return c, &q, err
}

// direction takes src, dst, src or dst, src and dst.
func (p *parser) direction() (string, error) {
	first := p.keyword("src", "dst")
	if first == "" {
		return "", nil
	}
	mark := p.at
	how := p.connective()
	if second := p.keyword("src", "dst"); how != 0 && second != "" {
		if second == first {
			return "", p.failAt(mark, "src and dst, or one of them alone")
		}
		if how == '&' {
			return "and", nil
		}
		return "or", nil
	}
	p.at = mark
	return first, nil
}

// agree refuses qualifiers that say nothing together.
func (p *parser) agree(q qualifiers, start int) error {
	ok := true
	switch q.kind {
	case "host":
		ok = q.proto == "" || q.proto == "ether" || q.proto == "ip" || q.proto == "ip6" || q.proto == "arp" || q.proto == "rarp"
	case "net":
		ok = q.proto == "" || q.proto == "ip" || q.proto == "ip6" || q.proto == "arp" || q.proto == "rarp"
	case "port", "portrange":
		ok = q.proto == "" || q.proto == "tcp" || q.proto == "udp" || q.proto == "sctp"
	case "proto":
		ok = q.proto == "" || q.proto == "ether" || q.proto == "ip" || q.proto == "ip6"
	}
	if !ok {
		return p.failAt(start, "%s has no %s: join two tests with and", q.proto, q.kind)
	}
	return nil
}

// values reads a value, or several in parentheses that share qualifiers.
func (p *parser) values(q qualifiers) (*condition, error) {
	negative := false
	for p.negation() {
		negative = !negative
	}
	c, err := p.positiveValues(q)
	if err == nil && negative {
		c = not(c)
	}
	return c, err
}

func (p *parser) positiveValues(q qualifiers) (*condition, error) {
	if p.symbol("(") == "" {
		return p.value(q)
	}
	if err := p.deeper(); err != nil {
		return nil, err
	}
	c, err := p.values(q)
	for err == nil {
		how := p.connective()
		if how == 0 {
			break
		}
		var next *condition
		if next, err = p.values(q); err == nil {
			c = connect(how, c, next)
		}
	}
	if err != nil {
		return nil, err
	}
	p.depth--
	if p.symbol(")") == "" {
		return nil, p.fail("want a closing parenthesis behind the values")
	}
	return c, nil
}

// special reads the tests that are neither addresses nor protocols; nil where
// there is none.
func (p *parser) special() (*condition, error) {
	p.space()
	start := p.at
	switch w := p.keyword("less", "greater", "broadcast", "multicast", "inbound", "outbound", "ifindex", "vlan"); w {
	case "less", "greater":
		n, err := p.wantNumber("a length", 1<<32-1)
		if err != nil {
			return nil, err
		}
		size := []Instruction{{Code: load | word | length}}
		if w == "less" {
			return not(test(size, greater, n)), nil
		}
		return test(size, atLeast, n), nil
	case "broadcast", "multicast":
		return p.group("ether", w, start)
	case "inbound":
		return not(isEqual(loadWord(adPacketType), packetOutgoing)), nil
	case "outbound":
		return isEqual(loadWord(adPacketType), packetOutgoing), nil
	case "ifindex":
		n, err := p.wantNumber("an interface index", 1<<31-1)
		return isEqual(loadWord(adInterface), n), err
	case "vlan":
		var id *uint32
		if n, ok := number(p.cut("")); ok {
			if n > 4095 {
				return nil, p.fail("a VLAN is at most 4095")
			}
			p.at += len(p.cut(""))
			id = &n
		}
		return p.vlan(id), nil
	}
	return nil, nil
}
