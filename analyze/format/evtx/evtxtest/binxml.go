package evtxtest

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

func (c *chunk) raw(b ...byte) { c.b = append(c.b, b...) }
func (c *chunk) u16(n uint16)  { c.b = binary.LittleEndian.AppendUint16(c.b, n) }
func (c *chunk) u32(n uint32)  { c.b = binary.LittleEndian.AppendUint32(c.b, n) }
func (c *chunk) u64(n uint64)  { c.b = binary.LittleEndian.AppendUint64(c.b, n) }

// name writes a reference to a name, and the name where it is new.
func (c *chunk) name(s string) {
	if at, ok := c.names[s]; ok {
		c.u32(at)
		return
	}
	at := uint32(len(c.b) + 4)
	c.names[s] = at
	c.u32(at)
	var hash uint32
	units := utf16.Encode([]rune(s))
	for _, u := range units {
		hash = hash*65599 + uint32(u)
	}
	c.u32(0)
	c.u16(uint16(hash))
	c.u16(uint16(len(units)))
	c.raw(utf16le(s)...)
	c.u16(0)
}

func (c *chunk) text(s string) {
	c.raw(0x05, 0x01)
	c.u16(uint16(len(utf16.Encode([]rune(s)))))
	c.raw(utf16le(s)...)
}

// sub is a substitution that may be left out.
func (c *chunk) sub(index int) {
	c.raw(0x0e)
	c.u16(uint16(index))
	c.raw(0x01)
}

type attribute struct {
	name  string
	value func()
}

// element writes an element with its content, nothing when that is nil.
func (c *chunk) element(name string, attributes []attribute, content func()) {
	token := byte(0x01)
	if len(attributes) > 0 {
		token |= 0x40
	}
	c.raw(token)
	c.u16(0xffff)
	sizeAt := len(c.b)
	c.u32(0)
	c.name(name)
	if len(attributes) > 0 {
		listAt := len(c.b)
		c.u32(0)
		for i, a := range attributes {
			token := byte(0x06)
			if i < len(attributes)-1 {
				token |= 0x40
			}
			c.raw(token)
			c.name(a.name)
			a.value()
		}
		binary.LittleEndian.PutUint32(c.b[listAt:], uint32(len(c.b)-listAt-4))
	}
	if content == nil {
		c.raw(0x03)
	} else {
		c.raw(0x02)
		content()
		c.raw(0x04)
	}
	binary.LittleEndian.PutUint32(c.b[sizeAt:], uint32(len(c.b)-sizeAt-4))
}

// template writes an instance of the template kind, whose definition body
// writes, and its values.
func (c *chunk) template(kind string, values []Value, body func()) {
	guid := md5.Sum([]byte(kind))
	c.raw(0x0c, 0x01)
	c.raw(guid[:4]...)
	if at, ok := c.templates[kind]; ok {
		c.u32(at)
	} else {
		at := uint32(len(c.b) + 4)
		c.templates[kind] = at
		c.u32(at)
		c.u32(0)
		c.raw(guid[:]...)
		sizeAt := len(c.b)
		c.u32(0)
		c.raw(0x0f, 1, 1, 0)
		body()
		c.raw(0)
		binary.LittleEndian.PutUint32(c.b[sizeAt:], uint32(len(c.b)-sizeAt-4))
	}
	c.u32(uint32(len(values)))
	for _, v := range values {
		c.u16(uint16(len(v.Data)))
		c.raw(v.Type, 0)
	}
	for _, v := range values {
		c.raw(v.Data...)
	}
}

const xmlns = "http://schemas.microsoft.com/win/2004/08/events/event"

// part writes either literal text or a substitution.
type part func(index int, literal string) func()

// event writes Event. System's values are the substitutions 0 to 11.
func (c *chunk) event(e *Event, p part, data func()) {
	c.element("Event", []attribute{{"xmlns", func() { c.text(xmlns) }}}, func() {
		c.element("System", nil, func() {
			c.element("Provider", []attribute{{"Name", func() { c.text(e.Provider) }}}, nil)
			c.element("EventID", nil, p(0, fmt.Sprint(e.Code)))
			c.element("Version", nil, p(1, "0"))
			c.element("Level", nil, p(2, fmt.Sprint(e.Level)))
			c.element("Keywords", nil, p(3, fmt.Sprintf("0x%x", e.Keywords)))
			c.element("TimeCreated", []attribute{{"SystemTime", p(4, filetimeText(e.Time))}}, nil)
			c.element("EventRecordID", nil, p(5, fmt.Sprint(e.Record)))
			c.element("Execution", []attribute{{"ProcessID", p(6, fmt.Sprint(e.PID))}, {"ThreadID", p(7, fmt.Sprint(e.TID))}}, nil)
			c.element("Channel", nil, func() { c.text(e.Channel) })
			c.element("Computer", nil, p(8, e.Computer))
			if !e.Literal {
				c.element("Security", []attribute{{"UserID", p(9, "")}}, nil)
			}
		})
		data()
	})
}

func (c *chunk) instance(e *Event) {
	user := e.User
	values := []Value{
		Uint16(e.Code), Uint8(0), Uint8(e.Level), Hex64(e.Keywords), Filetime(e.Time), Uint64(e.Record),
		Uint32(e.PID), Uint32(e.TID), String(e.Computer), user,
		{Type: 0x21},
	}
	inner := func() {
		if len(e.Data) > 0 {
			c.data(e)
		}
	}
	// The binary XML in the last value has offsets of its own place in the
	// chunk, which is known when everything before it is written: so write
	// the instance, then that value, then its size.
	c.template("event "+e.Provider+e.Channel, values, func() {
		c.event(e, func(i int, _ string) func() { return func() { c.sub(i) } }, func() { c.sub(10) })
	})
	before := 0
	for _, v := range values {
		before += len(v.Data)
	}
	last := len(c.b) - before - 4
	from := len(c.b)
	inner()
	binary.LittleEndian.PutUint16(c.b[last:], uint16(len(c.b)-from))
}

// data writes EventData or UserData as an instance of a template of its own.
func (c *chunk) data(e *Event) {
	c.raw(0x0f, 1, 1, 0)
	var values []Value
	kind := []string{"data", e.UserData}
	for _, d := range e.Data {
		values = append(values, d.Value)
		kind = append(kind, d.Name)
	}
	c.template(strings.Join(kind, "\x00"), values, func() {
		c.pairs(e, func(i int, _ string) func() { return func() { c.sub(i) } })
	})
	c.raw(0)
}

func (c *chunk) pairs(e *Event, p part) {
	if e.UserData != "" {
		c.element("UserData", nil, func() {
			c.element(e.UserData, []attribute{{"xmlns", func() { c.text("urn:test") }}}, func() {
				for i, d := range e.Data {
					c.element(d.Name, nil, p(i, textOf(d.Value)))
				}
			})
		})
		return
	}
	c.element("EventData", nil, func() {
		for i, d := range e.Data {
			var name []attribute
			if d.Name != "" {
				name = []attribute{{"Name", func() { c.text(d.Name) }}}
			}
			c.element("Data", name, p(i, textOf(d.Value)))
		}
	})
}

// literal writes an event without templates. Its values must be strings.
func (c *chunk) literal(e *Event) {
	p := func(_ int, s string) func() { return func() { c.text(s) } }
	c.event(e, p, func() {
		if len(e.Data) > 0 {
			c.pairs(e, p)
		}
	})
}

func textOf(v Value) string {
	units := make([]uint16, len(v.Data)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(v.Data[2*i:])
	}
	return string(utf16.Decode(units))
}

func filetimeText(n uint64) string {
	return fmt.Sprintf("%s.%07dZ", baseTime(n), n%1e7)
}
