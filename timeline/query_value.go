package timeline

import (
	"net/netip"
	"regexp"
	"strings"
	"unicode/utf8"
)

// word is a bare word or a quoted text of a query.
type word struct {
	text   string // escapes undone
	glob   string // as a wildcard pattern, literal * ? \ escaped
	stars  bool   // has * or ? outside quotes
	quoted bool
}

// value reads a value without a field of its own.
func (p *parser) value(group string) (Expr, error) {
	if group != "" {
		return p.explicit(group)
	}
	start := p.at
	if op, ok := p.function(); ok {
		return p.call("", op, start)
	}
	if re, ok := p.regex(); ok {
		return p.checked(start, Match{Op: OpRegex, Value: re})
	}
	w, err := p.word()
	if err != nil {
		return nil, err
	}
	return p.matches("", w, start)
}

// explicit reads a value of a named field.
func (p *parser) explicit(name string) (Expr, error) {
	start := p.at
	if op, ok := p.function(); ok {
		return p.call(name, op, start)
	}
	switch c := p.s[p.at]; c {
	case '[', '{':
		return p.span(name)
	case '>', '<':
		return p.comparison(name)
	case '=', '~':
		p.at++
		w, err := p.word()
		if err != nil {
			return nil, err
		}
		op := OpEqual
		if c == '~' {
			op = OpWord
		}
		return p.each(name, w.text, start, func(f string) Match { return Match{Field: f, Op: op, Value: w.text} })
	}
	if re, ok := p.regex(); ok {
		return p.each(name, "", start, func(f string) Match { return Match{Field: f, Op: OpRegex, Value: re} })
	}
	w, err := p.word()
	if err != nil {
		return nil, err
	}
	return p.matches(name, w, start)
}

// functions name comparisons that have no sign of their own.
var functions = map[string]Op{
	"equal": OpEqual, "word": OpWord, "contains": OpContains, "wildcard": OpWildcard, "regex": OpRegex, "cidr": OpCIDR,
}

// function takes `name("`, up to the quote.
func (p *parser) function() (Op, bool) {
	name, _, ok := strings.Cut(p.s[p.at:], `("`)
	op, known := functions[name]
	if !ok || !known {
		return 0, false
	}
	p.at += len(name) + 1
	return op, true
}

func (p *parser) call(name string, op Op, start int) (Expr, error) {
	w, err := p.quotedText()
	if err != nil {
		return nil, err
	}
	if p.at == len(p.s) || p.s[p.at] != ')' {
		return nil, p.fail(p.at, "a closing parenthesis is missing")
	}
	p.at++
	p.space()
	return p.each(name, w, start, func(f string) Match { return Match{Field: f, Op: op, Value: w} })
}

// each makes a match of every field that name stands for. A value that some
// of them cannot be compared with is left to the others: user.id is a number
// on one system and text on another.
func (p *parser) each(name, value string, start int, make func(field string) Match) (Expr, error) {
	var list Or
	var bad error
	for _, f := range targets(name, value) {
		m, err := p.checked(start, make(f))
		if err == nil {
			list = append(list, m)
		} else if bad == nil {
			bad = err
		}
	}
	switch len(list) {
	case 0:
		return nil, bad
	case 1:
		return list[0], nil
	}
	return list, nil
}

// checked refuses values that cannot be compared.
func (p *parser) checked(start int, m Match) (Expr, error) {
	if _, err := NewTest(m); err != nil {
		return nil, p.fail(start, "%v", err)
	}
	return m, nil
}

// regex takes /expression/. It is one only where a blank, a parenthesis or
// the end follows, so that paths can be typed as they are.
func (p *parser) regex() (string, bool) {
	if p.s[p.at] != '/' {
		return "", false
	}
	var out strings.Builder
	for i := p.at + 1; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '\\' && i+1 < len(p.s):
			if p.s[i+1] != '/' {
				out.WriteByte(c)
			}
			i++
			out.WriteByte(p.s[i])
		case c == '/':
			if end := i + 1; end < len(p.s) && !isSpace(p.s[end]) && p.s[end] != ')' || out.Len() == 0 {
				return "", false
			}
			p.at = i + 1
			p.space()
			return out.String(), true
		default:
			out.WriteByte(c)
		}
	}
	return "", false
}

// word takes a bare word or a quoted text and the blanks after it.
func (p *parser) word() (word, error) {
	if p.at < len(p.s) && p.s[p.at] == '"' {
		text, err := p.quotedText()
		p.space()
		return word{text: text, glob: escapeGlob(text), quoted: true}, err
	}
	var w word
	var text, glob strings.Builder
	start := p.at
	for p.at < len(p.s) {
		c := p.s[p.at]
		if isSpace(c) || c == ')' || c == '(' {
			break
		}
		if c == '\\' && p.at+1 < len(p.s) && !isAlnum(p.s[p.at+1]) {
			_, n := utf8.DecodeRuneInString(p.s[p.at+1:])
			literal := p.s[p.at+1 : p.at+1+n]
			text.WriteString(literal)
			glob.WriteString(escapeGlob(literal))
			p.at += 1 + n
			continue
		}
		text.WriteByte(c)
		switch c {
		case '*', '?':
			w.stars = true
			glob.WriteByte(c)
		case '\\':
			glob.WriteString(`\\`)
		default:
			glob.WriteByte(c)
		}
		p.at++
	}
	if p.at == start {
		return w, p.fail(p.at, "a value is missing")
	}
	p.space()
	w.text, w.glob = text.String(), glob.String()
	return w, nil
}

// quotedText takes "...". A backslash takes the next character literally
// unless it is a letter or digit, so Windows paths need no doubling.
func (p *parser) quotedText() (string, error) {
	open := p.at
	var out strings.Builder
	for i := p.at + 1; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '"':
			p.at = i + 1
			return out.String(), nil
		case c == '\\' && i+1 < len(p.s) && !isAlnum(p.s[i+1]):
			i++
			out.WriteByte(p.s[i])
		default:
			out.WriteByte(c)
		}
	}
	return "", p.fail(open, "quotation mark is not closed")
}

func escapeGlob(s string) string {
	if !strings.ContainsAny(s, `*?\`) {
		return s
	}
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `\`, `\\`).Replace(s)
}

// matches decides how a word is compared with the fields of a name.
func (p *parser) matches(name string, w word, start int) (Expr, error) {
	if w.stars && strings.Trim(w.glob, "*") == "" {
		return p.present(name), nil
	}
	if column := programAliases[name]; column != "" {
		return program(column, w), nil
	}
	return p.each(name, w.text, start, func(f string) Match { return fieldMatch(f, w) })
}

// present is what a lone star means: the field is set; any event without one.
func (p *parser) present(name string) Expr {
	if name == "" || aliases[name] != nil && aliases[name][0] == "" {
		return And{}
	}
	var list Or
	for _, f := range targets(name, "") {
		list = append(list, Match{Field: f, Op: OpExists})
	}
	if len(list) == 1 {
		return list[0]
	}
	return list
}

// program matches the name of a program file in any folder.
func program(column string, w word) Expr {
	m := fieldMatch(column, w)
	if m.Op == OpContains {
		return m
	}
	return Or{
		m,
		Match{Field: column, Op: OpWildcard, Value: "*/" + w.glob},
		Match{Field: column, Op: OpWildcard, Value: `*\\` + w.glob},
	}
}

func fieldMatch(f string, w word) Match {
	kind := FieldOf(f).Kind
	if !w.quoted && !w.stars && (addressFields[f] || kind == FieldAttr) {
		if _, err := netip.ParsePrefix(w.text); err == nil {
			return Match{Field: f, Op: OpCIDR, Value: w.text}
		}
	}
	words := wordFields[f]
	if w.stars {
		if inner, ok := innerText(w.glob); ok {
			return Match{Field: f, Op: OpContains, Value: inner}
		}
		if words {
			return Match{Field: f, Op: OpRegex, Value: wordGlob(w.glob)}
		}
		return Match{Field: f, Op: OpWildcard, Value: w.glob}
	}
	if words {
		return Match{Field: f, Op: OpWord, Value: w.text}
	}
	return Match{Field: f, Op: OpEqual, Value: w.text}
}

// innerText returns x of a pattern *x* in which x has no wildcard.
func innerText(glob string) (string, bool) {
	if len(glob) < 3 || glob[0] != '*' || glob[len(glob)-1] != '*' {
		return "", false
	}
	var out strings.Builder
	inner := glob[1 : len(glob)-1]
	for i := 0; i < len(inner); i++ {
		switch inner[i] {
		case '*', '?':
			return "", false
		case '\\':
			if i++; i == len(inner) {
				return "", false // the last star was escaped
			}
		}
		out.WriteByte(inner[i])
	}
	return out.String(), true
}

// wordGlob turns a pattern over words into an expression over running text:
// a star runs to the next blank, and ends without one are ends of words.
func wordGlob(glob string) string {
	const edge = `[^0-9A-Za-z\x{80}-\x{10ffff}]`
	var out strings.Builder
	if isPlain(glob[0]) {
		out.WriteString(`(?:^|` + edge + `)`)
	}
	last := byte('*')
	for i := 0; i < len(glob); i++ {
		last = glob[i]
		switch last {
		case '*':
			out.WriteString(`\S*`)
			continue
		case '?':
			out.WriteString(`\S`)
			continue
		case '\\':
			if i+1 < len(glob) {
				i++
				last = 0 // a sign, not a letter
			}
		}
		_, n := utf8.DecodeRuneInString(glob[i:])
		out.WriteString(regexp.QuoteMeta(glob[i : i+n]))
		i += n - 1
	}
	if isPlain(last) {
		out.WriteString(`(?:$|` + edge + `)`)
	}
	return out.String()
}

func isPlain(c byte) bool { return IsWordByte(c) }

// comparison reads >, >=, < and <=.
func (p *parser) comparison(name string) (Expr, error) {
	start, sign := p.at, p.s[p.at]
	p.at++
	orEqual := p.at < len(p.s) && p.s[p.at] == '='
	if orEqual {
		p.at++
	}
	w, err := p.word()
	if err != nil {
		return nil, err
	}
	if w.text == "" {
		return nil, p.fail(start, "a value is missing")
	}
	return p.each(name, w.text, start, func(f string) Match {
		if sign == '>' {
			return Match{Field: f, Op: OpRange, Lo: w.text, LoExc: !orEqual}
		}
		return Match{Field: f, Op: OpRange, Hi: w.text, HiExc: !orEqual}
	})
}

// span reads [a TO b]; braces leave the bound out, a star leaves it open.
func (p *parser) span(name string) (Expr, error) {
	start := p.at
	m := Match{Op: OpRange, LoExc: p.s[p.at] == '{'}
	p.at++
	var err error
	if m.Lo, err = p.bound(start); err != nil {
		return nil, err
	}
	if !p.keyword("TO") {
		return nil, p.fail(p.at, "TO is missing between the bounds of a range")
	}
	if m.Hi, err = p.bound(start); err != nil {
		return nil, err
	}
	if p.at == len(p.s) || p.s[p.at] != ']' && p.s[p.at] != '}' {
		return nil, p.fail(start, "range is not closed")
	}
	m.HiExc = p.s[p.at] == '}'
	p.at++
	p.space()
	m.LoExc, m.HiExc = m.LoExc && m.Lo != "", m.HiExc && m.Hi != ""
	return p.each(name, "", start, func(f string) Match { m.Field = f; return m })
}

// bound reads one bound of a range, "" for a star.
func (p *parser) bound(open int) (string, error) {
	p.space()
	if p.at < len(p.s) && p.s[p.at] == '"' {
		text, err := p.quotedText()
		p.space()
		if err == nil && text == "" {
			return "", p.fail(p.at, "a bound is empty; * leaves it open")
		}
		return text, err
	}
	start := p.at
	for p.at < len(p.s) && !isSpace(p.s[p.at]) && p.s[p.at] != ']' && p.s[p.at] != '}' {
		p.at++
	}
	text := p.s[start:p.at]
	p.space()
	switch text {
	case "":
		return "", p.fail(open, "range is not closed, or a bound is missing")
	case "*":
		return "", nil
	}
	return text, nil
}
