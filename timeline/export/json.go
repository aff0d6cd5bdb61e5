package export

import (
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// object writes a JSON object. Names with dots make objects within it as long
// as names of one object come together.
type object struct {
	b    []byte
	path []string // objects that are open
	some bool     // the innermost one has a key

	inert bool // what could act on a terminal is escaped within texts and names
}

func newObject(b []byte) object { return object{b: append(b, '{')} }

// key writes the name of a member, and the beginnings and ends of objects
// that it needs.
func (o *object) key(dotted string) {
	parts := dotted
	depth := 0
	for {
		part, rest, more := strings.Cut(parts, ".")
		if !more {
			break
		}
		if depth == len(o.path) || o.path[depth] != part {
			o.closeTo(depth)
			o.name(part)
			o.b = append(o.b, '{')
			o.path = append(o.path, part)
			o.some = false
		}
		parts = rest
		depth++
	}
	o.closeTo(depth)
	o.name(parts)
}

func (o *object) name(s string) {
	if o.some {
		o.b = append(o.b, ',')
	}
	o.some = true
	o.b = append(o.quoted(s), ':')
}

func (o *object) quoted(s string) []byte {
	if o.inert {
		s = term.Escape(s)
	}
	return quoted(o.b, timeline.Printable(s))
}

func (o *object) closeTo(depth int) {
	for len(o.path) > depth {
		o.b = append(o.b, '}')
		o.path = o.path[:len(o.path)-1]
		o.some = true
	}
}

// end closes what is open, the object itself too.
func (o *object) end() []byte {
	o.closeTo(0)
	return append(o.b, '}')
}

// text writes a text that is not empty.
func (o *object) text(name, value string) {
	if value != "" {
		o.key(name)
		o.b = o.quoted(value)
	}
}

// int writes a number that is known.
func (o *object) int(name string, value int64) {
	if value != timeline.None {
		o.key(name)
		o.b = strconv.AppendInt(o.b, value, 10)
	}
}

func quoted(b []byte, s string) []byte {
	b = append(b, '"')
	b = timeline.AppendEscaped(b, s)
	return append(b, '"')
}

// attributes writes those of an event as members of an object. Dots in names
// become "_"; of several with one name the first keeps it and the others are
// numbered; taken are names that have another meaning there and get prefix in
// front.
func (o *object) attributes(under string, e *timeline.Event, prefix string, reserved func(string) bool, taken map[string]bool) {
	for i := range e.Attrs {
		a := &e.Attrs[i]
		name := strings.ReplaceAll(a.Key, ".", "_")
		if name == "" || taken[name] || reserved(name) {
			name = prefix + name
		}
		for n, plain := 2, name; taken[name]; n++ {
			name = plain + "_" + strconv.Itoa(n)
		}
		taken[name] = true
		o.text(under+name, a.Value)
	}
}

func firstSet(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}
