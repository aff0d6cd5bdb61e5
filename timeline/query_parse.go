package timeline

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// SyntaxError says where a query cannot be understood.
type SyntaxError struct {
	Query  string
	Offset int // in bytes
	Reason string
}

// Error names the character, counted from 1.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("query: %s, at character %d", e.Reason, utf8.RuneCountInString(e.Query[:e.Offset])+1)
}

// Pointer returns the query and, on a second line, a caret below the
// character that Error names. The query's own line breaks become blanks.
func (e *SyntaxError) Pointer() string {
	flat := strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, e.Query)
	return flat + "\n" + strings.Repeat(" ", utf8.RuneCountInString(e.Query[:e.Offset])) + "^"
}

// Hint says that a name in a query is taken as an attribute though it looks
// like a field.
type Hint struct {
	Offset int // of the name, in bytes
	Field  string
	Near   []string // fields that look like it, nearest first
}

// Bounds of a query.
const (
	maxQuery = 64 << 10
	maxDepth = 100
	maxTerms = 5000
)

// Parse reads a query (docs/query.md). Names that are no field mean
// attributes, so a misspelt field is no error; Hints finds those. The error is
// a *SyntaxError.
func Parse(s string) (Query, error) {
	_, x, err := parse(s)
	return Query{Where: x}, err
}

// Hints returns the names in a query that are no field but look like one.
func Hints(s string) []Hint {
	p, _, err := parse(s)
	if err != nil {
		return nil
	}
	var out []Hint
	for _, use := range p.uses {
		if _, known := fieldTable()[use.Field]; known || isAlias(use.Field) || strings.HasPrefix(use.Field, attrPrefix) {
			continue
		}
		if use.Near = NearFields(use.Field); len(use.Near) > 0 {
			out = append(out, use)
		}
	}
	return out
}

func parse(s string) (*parser, Expr, error) {
	p := &parser{s: s}
	if len(s) > maxQuery {
		return p, nil, p.fail(maxQuery, "longer than %d bytes", maxQuery)
	}
	if !utf8.ValidString(s) {
		return p, nil, p.fail(len(s)-len(strings.ToValidUTF8(s, "")), "text is no UTF-8")
	}
	p.space()
	if p.at == len(s) {
		return p, nil, nil
	}
	x, err := p.or("", 0)
	if err == nil && p.at < len(s) {
		err = p.fail(p.at, "%q has no parenthesis before it to close", s[p.at:p.at+1])
	}
	if err != nil {
		return p, nil, err
	}
	return p, x, nil
}

// parser reads a query from left to right. group is the field that values
// without one of their own belong to: "" outside field:( ... ).
type parser struct {
	s     string
	at    int
	terms int
	uses  []Hint
}

func (p *parser) fail(at int, format string, args ...any) error {
	at = min(at, len(p.s))
	for at > 0 && at < len(p.s) && !utf8.RuneStart(p.s[at]) {
		at--
	}
	return &SyntaxError{Query: p.s, Offset: at, Reason: fmt.Sprintf(format, args...)}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (p *parser) space() {
	for p.at < len(p.s) && isSpace(p.s[p.at]) {
		p.at++
	}
}

// keyword takes one of the words where it stands alone.
func (p *parser) keyword(words ...string) bool {
	rest := p.s[p.at:]
	for _, w := range words {
		if !strings.HasPrefix(rest, w) {
			continue
		}
		symbol := !IsWordByte(w[0])
		if after := rest[len(w):]; symbol || after == "" || isSpace(after[0]) || after[0] == '(' || after[0] == ')' {
			p.at += len(w)
			p.space()
			return true
		}
	}
	return false
}

func (p *parser) or(group string, depth int) (Expr, error) {
	if depth > maxDepth {
		return nil, p.fail(p.at, "nested deeper than %d", maxDepth)
	}
	first, err := p.and(group, depth)
	if err != nil {
		return nil, err
	}
	list := Or{first}
	for p.keyword("OR", "||") {
		x, err := p.and(group, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	if len(list) == 1 {
		return first, nil
	}
	return list, nil
}

func (p *parser) and(group string, depth int) (Expr, error) {
	first, err := p.not(group, depth)
	if err != nil {
		return nil, err
	}
	list := And{first}
	for {
		p.space()
		explicit := p.keyword("AND", "&&")
		if !explicit && (p.at == len(p.s) || p.s[p.at] == ')' || p.peekOr()) {
			break
		}
		x, err := p.not(group, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	if len(list) == 1 {
		return first, nil
	}
	return list, nil
}

func (p *parser) peekOr() bool {
	at := p.at
	ok := p.keyword("OR", "||")
	p.at = at
	return ok
}

func (p *parser) not(group string, depth int) (Expr, error) {
	if depth > maxDepth {
		return nil, p.fail(p.at, "nested deeper than %d", maxDepth)
	}
	p.space()
	if p.keyword("NOT") || p.sign() {
		x, err := p.not(group, depth+1)
		if err != nil {
			return nil, err
		}
		return Not{x}, nil
	}
	return p.atom(group, depth)
}

// sign takes a "-" or "!" that stands directly before what it negates.
func (p *parser) sign() bool {
	rest := p.s[p.at:]
	if len(rest) < 2 || rest[0] != '-' && rest[0] != '!' || isSpace(rest[1]) || rest[1] == ')' {
		return false
	}
	p.at++
	return true
}

func (p *parser) atom(group string, depth int) (Expr, error) {
	if p.at == len(p.s) {
		return nil, p.fail(p.at, "something to look for is missing")
	}
	switch {
	case p.s[p.at] == ')':
		return nil, p.fail(p.at, "something to look for is missing")
	case p.s[p.at] == '(':
		return p.parens(group, depth)
	case p.keyword("AND", "OR", "&&", "||"):
		return nil, p.fail(p.at, "something to look for is missing before or after AND, OR")
	}
	if p.terms++; p.terms > maxTerms {
		return nil, p.fail(p.at, "more than %d terms", maxTerms)
	}
	start := p.at
	if name, ok := p.field(); ok {
		p.uses = append(p.uses, Hint{Offset: start, Field: name})
		return p.fieldValue(name, depth)
	}
	return p.value(group)
}

func (p *parser) parens(group string, depth int) (Expr, error) {
	open := p.at
	p.at++
	x, err := p.or(group, depth+1)
	if err != nil {
		return nil, err
	}
	if p.at == len(p.s) {
		return nil, p.fail(open, "parenthesis is not closed")
	}
	p.at++
	p.space()
	return x, nil
}

// field takes a name and the colon after it. What looks like the start of a
// URL, a Windows path or a time of day is text.
func (p *parser) field() (string, bool) {
	var name strings.Builder
	i := p.at
	for i < len(p.s) {
		c := p.s[i]
		switch {
		case c == ':':
			return p.nameEnd(name.String(), i)
		case c == '\\' && i+1 < len(p.s) && !isAlnum(p.s[i+1]):
			_, n := utf8.DecodeRuneInString(p.s[i+1:])
			name.WriteString(p.s[i+1 : i+1+n])
			i += 1 + n
			continue
		case c == '\\' || isAlnum(c) || c >= utf8.RuneSelf || c == '_' || c == '.' || c == '@' || c == '-' && i > p.at:
			name.WriteByte(c)
		default:
			return "", false
		}
		i++
	}
	return "", false
}

func (p *parser) nameEnd(name string, colon int) (string, bool) {
	rest := p.s[colon+1:]
	if colon == p.at || '0' <= p.s[p.at] && p.s[p.at] <= '9' ||
		strings.HasPrefix(rest, "//") || len(name) == 1 && strings.HasPrefix(rest, `\`) {
		return "", false
	}
	p.at = colon + 1
	return name, true
}

func isAlnum(c byte) bool { return c < utf8.RuneSelf && IsWordByte(c) }

// fieldValue reads what stands after "name:".
func (p *parser) fieldValue(name string, depth int) (Expr, error) {
	if p.at == len(p.s) || isSpace(p.s[p.at]) || p.s[p.at] == ')' {
		return nil, p.fail(p.at, "a value is missing after %q", name+":")
	}
	for _, w := range existsWords {
		if name == w {
			return p.exists()
		}
	}
	if p.s[p.at] == '(' {
		return p.parens(name, depth)
	}
	return p.explicit(name)
}

// exists reads the name after "has:".
func (p *parser) exists() (Expr, error) {
	start := p.at
	if p.s[p.at] == '*' {
		p.at++
		p.space()
		return Match{Op: OpExists}, nil
	}
	w, err := p.word()
	if err != nil {
		return nil, err
	}
	p.uses = append(p.uses, Hint{Offset: start, Field: w.text})
	var list Or
	for _, t := range targets(w.text, "") {
		list = append(list, Match{Field: t, Op: OpExists})
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return list, nil
}
