package pcapfilter

import (
	"fmt"
	"strconv"
	"strings"
)

// maxDepth bounds how deep parentheses nest.
const maxDepth = 64

// parser reads an expression from left to right. Words and numbers are cut
// where they are asked for: "80-90" is one word behind portrange and a
// difference in arithmetic.
type parser struct {
	text   string
	at     int
	depth  int
	layout layout
	joined int // operators of the arithmetic in the innermost parentheses
	vlans  int // vlan tests so far: each moves the network header for what follows
}

// syntaxError is an error at a place of the expression.
type syntaxError struct {
	at   int // bytes from the start
	text string
	what string
}

func (e *syntaxError) Error() string {
	if e.text == "" {
		return fmt.Sprintf("at its end (character %d): %s", e.at+1, e.what)
	}
	return fmt.Sprintf("at character %d (%q): %s", e.at+1, clip(e.text), e.what)
}

// fail is an error at the place of the next word or operator.
func (p *parser) fail(format string, a ...any) error {
	p.space()
	return p.failAt(p.at, format, a...)
}

func (p *parser) failAt(at int, format string, a ...any) error {
	there := parser{text: p.text, at: at}
	text := there.word()
	if text == "" && at < len(p.text) {
		text = p.text[at : at+1]
	}
	return &syntaxError{at: at, text: text, what: fmt.Sprintf(format, a...)}
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

func letterOrDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// cut returns what of the text, from here on, consists of letters, digits and
// the bytes of more.
func (p *parser) cut(more string) string {
	p.space()
	end := p.at
	for end < len(p.text) && (letterOrDigit(p.text[end]) || strings.IndexByte(more, p.text[end]) >= 0) {
		end++
	}
	return p.text[p.at:end]
}

// word returns the next word: a name, a number or an address, "" where there
// is none. A backslash before a name is part of it.
func (p *parser) word() string {
	p.space()
	if p.at < len(p.text) && p.text[p.at] == '\\' {
		rest := parser{text: p.text, at: p.at + 1}
		if rest.at < len(p.text) && letterOrDigit(p.text[rest.at]) {
			return `\` + rest.cut("_-.")
		}
		return ""
	}
	if p.at < len(p.text) && p.text[p.at] == '-' {
		return ""
	}
	return p.cut("_-.:")
}

// keyword takes the next word where it is one of these, and returns it.
func (p *parser) keyword(words ...string) string {
	got := p.word()
	for _, w := range words {
		if got == w {
			p.at += len(w)
			return w
		}
	}
	return ""
}

// symbol takes the first of these that the text goes on with.
func (p *parser) symbol(symbols ...string) string {
	p.space()
	for _, s := range symbols {
		if strings.HasPrefix(p.text[p.at:], s) {
			p.at += len(s)
			return s
		}
	}
	return ""
}

// number reads a decimal, 0x hexadecimal or 0 octal number below 2^32.
func number(s string) (uint32, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' || strings.Contains(s, "_") {
		return 0, false
	}
	base := 10
	switch {
	case strings.HasPrefix(s, "0x"), strings.HasPrefix(s, "0X"):
		base, s = 16, s[2:]
	case len(s) > 1 && s[0] == '0':
		base, s = 8, s[1:]
	}
	n, err := strconv.ParseUint(s, base, 32)
	return uint32(n), err == nil
}

// wantNumber takes a number up to most.
func (p *parser) wantNumber(what string, most uint32) (uint32, error) {
	n, ok := number(p.cut(""))
	if !ok {
		return 0, p.fail("want %s, a number", what)
	}
	if n > most {
		return 0, p.fail("%s is at most %d", what, most)
	}
	p.at += len(p.cut(""))
	return n, nil
}

func (p *parser) deeper() error {
	if p.depth++; p.depth > maxDepth {
		return p.fail("parentheses nest deeper than %d", maxDepth)
	}
	return nil
}
