package evtx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/analyze/format/utf16le"
)

// Limits of one piece of binary XML.
const (
	maxDepth  = 64   // elements inside of each other
	maxNested = 16   // binary XML inside of values
	maxLeaves = 8192 // values of one template
)

var (
	errEnd     = errors.New("binary XML ends too early")
	errDeep    = errors.New("elements nested too deep")
	errLeaves  = errors.New("too many values in one event")
	errCompile = errors.New("too much binary XML in one chunk")
	errName    = errors.New("a name is damaged or overwritten")
)

// parse reads tokens of binary XML from pos to end.
type parse struct {
	c        *chunk
	t        *template
	pos, end int
	bare     bool // elements carry no dependency id
	depth    int
}

// compile makes a template of the element that begins at pos, and returns
// where it ends. Binary XML inside of values comes with and without the
// dependency id of elements, and nothing says which: names tell, they carry a
// hash.
func (c *chunk) compile(t *template, pos, end int, ctx context) (next int, err error) {
	for _, bare := range []bool{false, true} {
		if c.work -= end - pos; c.work < 0 {
			return pos, errCompile
		}
		t.clear()
		c.compiler.stack = c.compiler.stack[:0]
		p := parse{c: c, t: t, pos: pos, end: end, bare: bare}
		var again error
		if again = p.element(ctx); again == nil {
			return p.pos, nil
		}
		if err == nil {
			err = again
		}
	}
	t.clear()
	return pos, err
}

func (p *parse) u8() (byte, error) {
	if p.pos+1 > p.end {
		return 0, errEnd
	}
	p.pos++
	return p.c.buf[p.pos-1], nil
}

func (p *parse) u16() (int, error) {
	if p.pos+2 > p.end {
		return 0, errEnd
	}
	p.pos += 2
	return int(binary.LittleEndian.Uint16(p.c.buf[p.pos-2:])), nil
}

func (p *parse) u32() (uint32, error) {
	if p.pos+4 > p.end {
		return 0, errEnd
	}
	p.pos += 4
	return binary.LittleEndian.Uint32(p.c.buf[p.pos-4:]), nil
}

// name reads the offset of a name, and the name, which stands right here when
// it is the first of its kind in the chunk:
// next u32, hash u16, number of characters u16, characters, 0.
func (p *parse) name() (string, error) {
	offset, err := p.u32()
	if err != nil {
		return "", err
	}
	at := int64(offset)
	if at+8 > chunkSize {
		return "", errName
	}
	buf := p.c.buf[at:]
	n := int64(binary.LittleEndian.Uint16(buf[6:]))
	if at+10+2*n > chunkSize {
		return "", errName
	}
	text := buf[8 : 8+2*n]
	var hash uint32
	for i := 0; i+1 < len(text); i += 2 {
		hash = hash*65599 + uint32(binary.LittleEndian.Uint16(text[i:]))
	}
	if uint16(hash) != binary.LittleEndian.Uint16(buf[4:]) {
		return "", errName
	}
	if at == int64(p.pos) {
		if p.pos += int(10 + 2*n); p.pos > p.end {
			return "", errEnd
		}
	}
	k := &p.c.compiler
	var lone bool
	k.scratch, lone = utf16le.Append(k.scratch[:0], text)
	if lone {
		return "", errName
	}
	return k.intern(k.scratch), nil
}

// Tokens of binary XML; 0x40 says that more of the kind follow.
const (
	tokenEnd          = 0x00
	tokenOpen         = 0x01
	tokenCloseOpen    = 0x02
	tokenCloseEmpty   = 0x03
	tokenCloseElement = 0x04
	tokenText         = 0x05
	tokenAttribute    = 0x06
	tokenCDATA        = 0x07
	tokenCharRef      = 0x08
	tokenEntityRef    = 0x09
	tokenPITarget     = 0x0a
	tokenPIData       = 0x0b
	tokenTemplate     = 0x0c
	tokenNormal       = 0x0d
	tokenOptional     = 0x0e
	tokenFragment     = 0x0f
	tokenMore         = 0x40
)

// element reads one element and all that is in it.
func (p *parse) element(outer context) error {
	if p.depth++; p.depth > maxDepth {
		return errDeep
	}
	defer func() { p.depth-- }()
	token, err := p.u8()
	if err != nil {
		return err
	}
	if token&^tokenMore != tokenOpen {
		return fmt.Errorf("token 0x%02x where an element should begin", token)
	}
	if !p.bare {
		p.pos += 2
	}
	p.pos += 4 // size of the element: the tokens say it too
	tag, err := p.name()
	if err != nil {
		return err
	}
	inside := outer.enter(&p.c.compiler, tag)
	self := leaf{key: inside.path, field: -1, inside: inside}
	if inside.place == inSystemOne {
		if f, ok := systemText[tag]; ok {
			self.field = f
		}
	}
	if token&tokenMore != 0 {
		if err := p.attributes(outer, inside, tag, &self); err != nil {
			return err
		}
	}
	token, err = p.u8()
	switch {
	case err != nil:
		return err
	case token == tokenCloseEmpty:
		return p.empty(outer, &self)
	case token != tokenCloseOpen:
		return fmt.Errorf("token 0x%02x where an element's content should begin", token)
	}
	children, mark := false, len(p.c.compiler.stack)
	for {
		if p.pos >= p.end {
			return errEnd
		}
		switch p.c.buf[p.pos] &^ tokenMore {
		case tokenCloseElement:
			p.pos++
			if self.parts = p.collect(mark); self.parts.to > self.parts.from {
				return p.add(self)
			} else if !children {
				return p.empty(outer, &self)
			}
			return nil
		case tokenOpen:
			children = true
			if err := p.element(inside); err != nil {
				return err
			}
		default:
			if err := p.piece(); err != nil {
				return err
			}
		}
	}
}

// empty adds an element without content where even its absence of content is
// a value: the children of EventData and of UserData.
func (p *parse) empty(outer context, self *leaf) error {
	if outer.place == inEventData || outer.place == inUserOne {
		return p.add(*self)
	}
	return nil
}

func (p *parse) push(q part) { p.c.compiler.stack = append(p.c.compiler.stack, q) }

// collect moves the parts above mark into the template.
func (p *parse) collect(mark int) pieces {
	k, from := &p.c.compiler, len(p.t.parts)
	p.t.parts = append(p.t.parts, k.stack[mark:]...)
	k.stack = k.stack[:mark]
	return pieces{int32(from), int32(len(p.t.parts))}
}

func (p *parse) add(l leaf) error {
	if len(p.t.leaves) >= maxLeaves {
		return errLeaves
	}
	p.t.leaves = append(p.t.leaves, l)
	return nil
}

// attributes reads the attributes of the element tag. That of the name "Name"
// names the children of EventData.
func (p *parse) attributes(outer, inside context, tag string, self *leaf) error {
	size, err := p.u32()
	if err != nil {
		return err
	}
	if int64(size) > int64(p.end-p.pos) {
		return errEnd
	}
	for more := true; more; {
		token, err := p.u8()
		if err != nil {
			return err
		}
		if token&^tokenMore != tokenAttribute {
			return fmt.Errorf("token 0x%02x where an attribute should begin", token)
		}
		more = token&tokenMore != 0
		name, err := p.name()
		if err != nil {
			return err
		}
		mark := len(p.c.compiler.stack)
		for p.pos < p.end && isPiece(p.c.buf[p.pos]) {
			if err := p.piece(); err != nil {
				return err
			}
		}
		parts := p.collect(mark)
		switch {
		case name == "xmlns" || len(name) > 6 && name[:6] == "xmlns:":
			continue
		case name == "Name" && outer.place == inEventData:
			if text, ok := p.t.literal(parts); !ok {
				self.name = parts
			} else if len(text) > 0 {
				self.key = p.c.compiler.intern(text)
				self.inside.path = self.key
			}
			continue
		}
		attr := leaf{key: p.c.compiler.join(inside.path, name), field: -1, parts: parts, inside: context{inNamed, name}}
		switch inside.place {
		case inSystemOne:
			if f, ok := systemAttr[p.c.compiler.join(tag, name)]; ok {
				attr.field = f
			}
		case inEvent:
			attr.key = p.c.compiler.join("Event", name)
		case atRoot, inSystem, inEventData, inUserData, inUserOne, inNamed:
		}
		if err := p.add(attr); err != nil {
			return err
		}
	}
	return nil
}

// literal returns the text of parts when nothing in them is a value.
func (t *template) literal(at pieces) (text []byte, ok bool) {
	for _, q := range t.parts[at.from:at.to] {
		if q.sub >= 0 {
			return nil, false
		}
		text = append(text, t.text[q.from:q.to]...)
	}
	return text, true
}

func isPiece(token byte) bool {
	switch token &^ tokenMore {
	case tokenText, tokenCDATA, tokenCharRef, tokenEntityRef:
		return true
	}
	return token == tokenNormal || token == tokenOptional
}

// entities of XML; others stay as they are written.
var entities = map[string]string{"amp": "&", "lt": "<", "gt": ">", "quot": `"`, "apos": "'"}

// piece reads text, a reference or a substitution.
func (p *parse) piece() error {
	token, err := p.u8()
	if err != nil {
		return err
	}
	from := len(p.t.text)
	switch token &^ tokenMore {
	case tokenText:
		kind, err := p.u8()
		if err != nil {
			return err
		}
		if kind != typeString {
			return fmt.Errorf("literal text of type 0x%02x", kind)
		}
		if err := p.text(); err != nil {
			return err
		}
	case tokenCDATA:
		if err := p.text(); err != nil {
			return err
		}
	case tokenCharRef:
		n, err := p.u16()
		if err != nil {
			return err
		}
		p.t.text = utf8.AppendRune(p.t.text, rune(n))
	case tokenEntityRef:
		name, err := p.name()
		if err != nil {
			return err
		}
		if s, ok := entities[name]; ok {
			p.t.text = append(p.t.text, s...)
		} else {
			p.t.text = append(append(append(p.t.text, '&'), name...), ';')
		}
	case tokenPITarget: // instructions to a reader of XML: no part of an event
		_, err := p.name()
		return err
	case tokenPIData:
		err := p.text()
		p.t.text = p.t.text[:from]
		return err
	case tokenNormal, tokenOptional:
		index, err := p.u16()
		if err != nil {
			return err
		}
		if _, err := p.u8(); err != nil { // the type: the value carries its own
			return err
		}
		p.push(part{sub: int32(index), optional: token == tokenOptional})
		return nil
	default:
		return fmt.Errorf("token 0x%02x where text should be", token)
	}
	if len(p.t.text) > from {
		p.push(part{sub: -1, from: int32(from), to: int32(len(p.t.text))})
	}
	return nil
}

// text reads a count of UTF-16 units and that many.
func (p *parse) text() error {
	n, err := p.u16()
	if err != nil {
		return err
	}
	if 2*n > p.end-p.pos {
		return errEnd
	}
	if len(p.t.text) > math.MaxInt32-4*n {
		return errCompile
	}
	p.t.text, _ = utf16le.Append(p.t.text, p.c.buf[p.pos:p.pos+2*n])
	p.pos += 2 * n
	return nil
}
