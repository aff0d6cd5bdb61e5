// Package linepattern takes lines of text logs apart by patterns that are
// data: what a line of a service looks like is one string.
//
//	[{time}] [{module}:{level}] [pid {pid:int}{?:tid {tid:int}}] {message}
//
// Text stands for itself. {name} is a field:
//
//	{name}         what is there up to the text behind it; at the end, the rest
//	{name:last}    the same, up to the last place of that text
//	{name:word}    the same, not empty and without blanks; in front of another
//	               field, up to the next blank
//	{name:int}     decimal digits, with a sign or not
//	{name:dashed}  letters and digits in three groups or more, with hyphens between
//	{name:zone}    the abbreviation of a zone: letters, or a sign and digits
//	{name:addr}    an address: digits, letters, colons, dots, with zone or brackets
//	{name:addrport} the same, with the port behind its last colon
//	{name:quoted}  what is between double quotes, in which a backslash or a
//	               second quote keeps a quote
//	{name:=a|b|c}  one of these words
//	{time}         a time, in the forms of package logtime
//	{time:FORM}    a time in a form of times.go
//	{ }            one or more blanks
//	{_}            anything, as {name}, and kept nowhere
//	{?…}           what may be left out: begins with text, { } or words to choose from
//
// Nothing is tried twice: a field ends where the text behind it first (or
// last) stands, and what is optional is there or is not. The time is that of
// the pieces of the pattern times the length of the line, whatever the line.
package linepattern

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
)

type kind uint8

const (
	text kind = iota
	upTo
	upToLast
	word
	integer
	zoneName
	dashed
	address
	addressPort
	choice
	quoted
	blanks
	stamp
	optional
)

var kinds = map[string]kind{
	"": upTo, "last": upToLast, "word": word, "int": integer, "zone": zoneName, "dashed": dashed, "addr": address, "addrport": addressPort, "quoted": quoted,
}

// piece is one part of a pattern.
type piece struct {
	kind  kind
	text  string
	field int // place in Fields.Values; none: kept nowhere
	time  timeForm
	group []piece
	words []string // of a choice

	ends []string // texts of which the first that occurs ends a field
	rest bool     // where none occurs, the field takes the rest
	own  [2]int   // fields of a group: from, to
}

const none = -1

// Pattern is a pattern made ready. It is immutable.
type Pattern struct {
	pieces []piece
	names  []string
	ports  []bool // of each field: an address with its port
	dated  bool
}

// Names returns the names of the fields in their order, without time.
func (p *Pattern) Names() []string { return p.names }

// WithPort reports whether field i is an address with its port behind the last
// colon.
func (p *Pattern) WithPort(i int) bool { return p.ports[i] }

// Dated reports whether the pattern has a time.
func (p *Pattern) Dated() bool { return p.dated }

// Fields is what a pattern found in a line. All bytes are parts of the line.
type Fields struct {
	Values [][]byte // in the order of Names; nil: not there
	Time   []byte   // the time as written
	Stamp  logtime.Stamp
}

// MustCompile reads a pattern. Patterns are constants of the program: a wrong
// one panics, and does so in every test.
func MustCompile(pattern string) *Pattern {
	c := compiler{rest: pattern, p: &Pattern{}}
	c.p.pieces = c.sequence(false)
	if err := c.follow(c.p.pieces, nil, true); err != nil || c.err != nil {
		panic(fmt.Sprintf("line pattern %q: %v %v", pattern, c.err, err))
	}
	return c.p
}

type compiler struct {
	rest string
	p    *Pattern
	err  error
}

func (c *compiler) sequence(inside bool) []piece {
	var ps []piece
	for c.err == nil && c.rest != "" {
		i := strings.IndexAny(c.rest, "{}")
		if i < 0 {
			i = len(c.rest)
		}
		if i > 0 {
			ps = append(ps, piece{kind: text, text: c.rest[:i], field: none})
			c.rest = c.rest[i:]
			continue
		}
		if c.rest[0] == '}' {
			if !inside {
				c.err = fmt.Errorf("a } without its {")
			}
			return ps
		}
		if body, ok := strings.CutPrefix(c.rest, "{?"); ok {
			c.rest = body
			from := len(c.p.names)
			group := c.sequence(true)
			if !strings.HasPrefix(c.rest, "}") || len(group) == 0 || group[0].begins() == nil {
				c.err = fmt.Errorf("an option has no end or does not begin with text")
				return ps
			}
			c.rest = c.rest[1:]
			ps = append(ps, piece{kind: optional, group: group, field: none, own: [2]int{from, len(c.p.names)}})
			continue
		}
		body, after, ok := strings.Cut(c.rest[1:], "}")
		if !ok {
			c.err = fmt.Errorf("a field has no end")
			return ps
		}
		c.rest = after
		ps = append(ps, c.one(body))
	}
	return ps
}

func (c *compiler) one(body string) piece {
	if body == " " {
		return piece{kind: blanks, field: none}
	}
	name, form, _ := strings.Cut(body, ":")
	if name == "time" {
		c.p.dated = true
		f, ok := timeForms[form]
		if !ok {
			c.err = fmt.Errorf("no form of times %q", form)
		}
		return piece{kind: stamp, field: none, time: f}
	}
	k, ok := kinds[form]
	var words []string
	if list, one := strings.CutPrefix(form, "="); one {
		k, ok, words = choice, true, strings.Split(list, "|")
	}
	if !ok || name == "" {
		c.err = fmt.Errorf("no kind of field %q", body)
	}
	pc := piece{kind: k, field: none, words: words}
	if name != "_" {
		for _, have := range c.p.names {
			if have == name {
				c.err = fmt.Errorf("two fields %q", name)
			}
		}
		pc.field = len(c.p.names)
		c.p.names = append(c.p.names, name)
		c.p.ports = append(c.p.ports, k == addressPort)
	}
	return pc
}

// begins returns the texts with which a piece begins; nil where that is open.
func (pc *piece) begins() []string {
	switch pc.kind {
	case text:
		return []string{pc.text}
	case blanks:
		return []string{" ", "\t"}
	case choice:
		return pc.words
	}
	return nil
}

// follow finds for every field the texts that may stand behind it.
func (c *compiler) follow(ps []piece, behind []string, rest bool) error {
	for i := len(ps) - 1; i >= 0; i-- {
		pc := &ps[i]
		switch pc.kind {
		case text, blanks, choice:
			behind, rest = pc.begins(), false
		case optional:
			if err := c.follow(pc.group, behind, rest); err != nil {
				return err
			}
			behind = append(slices.Clone(pc.group[0].begins()), behind...)
		default:
			pc.ends, pc.rest = behind, rest
			if len(behind) == 0 && !rest && pc.kind == word {
				pc.ends, pc.rest = []string{" ", "\t"}, true
			} else if len(behind) == 0 && !rest && pc.kind < word {
				return fmt.Errorf("two fields without text between them")
			}
			behind, rest = nil, false
		}
	}
	return nil
}

// Match takes a line apart and reports whether all of it fits.
func (p *Pattern) Match(line []byte, f *Fields) bool {
	if len(p.pieces) > 0 && p.pieces[0].kind == text && !hasPrefix(line, p.pieces[0].text) {
		return false // most lines of most patterns end here
	}
	if cap(f.Values) < len(p.names) {
		f.Values = make([][]byte, len(p.names))
	}
	f.Values = f.Values[:len(p.names)]
	clear(f.Values)
	f.Time = nil
	at, ok := match(p.pieces, line, 0, f)
	return ok && at == len(line)
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

func match(ps []piece, b []byte, at int, f *Fields) (int, bool) {
	for i := range ps {
		pc := &ps[i]
		end := at
		switch pc.kind {
		case text:
			if !hasPrefix(b[at:], pc.text) {
				return 0, false
			}
			at += len(pc.text)
			continue
		case blanks:
			if at = skipBlanks(b, at); at == end {
				return 0, false
			}
			continue
		case optional:
			if to, ok := match(pc.group, b, at, f); ok {
				at = to
			} else {
				clear(f.Values[pc.own[0]:pc.own[1]])
			}
			continue
		case stamp:
			n := pc.time(b[at:], &f.Stamp)
			if n == 0 {
				return 0, false
			}
			f.Time = b[at : at+n]
			at += n
			continue
		case quoted:
			if end = quotedEnd(b, at); end < 0 {
				return 0, false
			}
			if pc.field != none {
				f.Values[pc.field] = b[at+1 : end-1]
			}
			at = end
			continue
		case integer:
			end = integerEnd(b, at)
		case zoneName:
			end = zoneEnd(b, at)
		case dashed:
			end = dashedEnd(b, at)
		case address, addressPort:
			end = addressEnd(b, at)
		case choice:
			end = pc.wordEnd(b, at)
		default:
			end = pc.end(b, at)
		}
		if end < 0 || end == at && pc.kind >= word {
			return 0, false
		}
		if pc.kind == word && bytes.ContainsAny(b[at:end], " \t") {
			return 0, false
		}
		if pc.field != none {
			f.Values[pc.field] = b[at:end:end]
		}
		at = end
	}
	return at, true
}

// end finds where a field ends, -1 where what must follow does not.
func (pc *piece) end(b []byte, at int) int {
	best := -1
	for _, s := range pc.ends {
		var i int
		window := b[at:]
		if best >= 0 && pc.kind != upToLast {
			window = b[at:min(best+len(s), len(b))]
		}
		switch {
		case pc.kind == upToLast:
			i = bytes.LastIndex(window, []byte(s))
		case len(s) == 1:
			i = bytes.IndexByte(window, s[0])
		default:
			i = bytes.Index(window, []byte(s))
		}
		if i >= 0 && (best < 0 || at+i < best) {
			best = at + i
		}
	}
	if best < 0 && pc.rest {
		return len(b)
	}
	return best
}

// wordEnd finds the longest of the words.
func (pc *piece) wordEnd(b []byte, at int) int {
	longest := -1
	for _, w := range pc.words {
		if len(w) > longest && hasPrefix(b[at:], w) {
			longest = len(w)
		}
	}
	if longest < 0 {
		return -1
	}
	return at + longest
}

func skipBlanks(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\t') {
		at++
	}
	return at
}

func integerEnd(b []byte, at int) int {
	i := at
	if i < len(b) && (b[i] == '-' || b[i] == '+') {
		i++
	}
	from := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == from {
		return -1
	}
	return i
}

// zoneEnd passes over CEST, +0530 or -03.
func zoneEnd(b []byte, at int) int {
	i := at
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		return integerEnd(b, at)
	}
	for i < len(b) && i-at < 6 && (b[i] >= 'A' && b[i] <= 'Z' || b[i] >= 'a' && b[i] <= 'z') {
		i++
	}
	return i
}

func dashedEnd(b []byte, at int) int {
	i, hyphens := at, 0
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			continue
		case c == '-' && i > at && b[i-1] != '-':
			hyphens++
			continue
		}
		break
	}
	if hyphens < 2 || b[i-1] == '-' {
		return -1
	}
	return i
}

// addressEnd passes over what addresses are made of; whether it is one, the
// caller finds out.
func addressEnd(b []byte, at int) int {
	i, open := at, false
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '.', c == ':', c == '%', c == '-', c == '_':
		case c == '[' && i == at:
			open = true
		case c == ']' && open:
			open = false
		default:
			return i
		}
	}
	return i
}

// quotedEnd returns the place behind the closing quote.
func quotedEnd(b []byte, at int) int {
	if at >= len(b) || b[at] != '"' {
		return -1
	}
	for i := at + 1; i < len(b); i++ {
		switch {
		case b[i] == '\\':
			i++
		case b[i] == '"' && i+1 < len(b) && b[i+1] == '"' && i > at+1:
			i++
		case b[i] == '"':
			return i + 1
		}
	}
	return -1
}
