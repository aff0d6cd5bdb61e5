package evtx

import "encoding/binary"

// decode writes the values of the record at pos, size bytes long, into rec.
func (c *chunk) decode(rec *Record, pos, size int) {
	c.fragment(rec, pos+recordHead, pos+size-4, context{})
	rec.finish()
	if rec.Created == 0 {
		rec.Created = parseTime(rec.System[TimeCreated])
	}
}

// fragment writes the values of binary XML from pos to end that stands in ctx.
func (c *chunk) fragment(rec *Record, pos, end int, ctx context) {
	if rec.depth++; rec.depth > maxNested {
		rec.hurt("binary XML nested too deep")
		return
	}
	defer func() { rec.depth-- }()
	for pos < end {
		switch token := c.buf[pos]; token &^ tokenMore {
		case tokenEnd:
			return
		case tokenFragment: // version 1.1 and flags
			pos += 4
		case tokenTemplate:
			next, ok := c.instance(rec, pos, end, ctx)
			if !ok {
				return
			}
			pos = next
		case tokenOpen:
			// Not from a template: forwarded and exported events.
			t, used := c.compiler.template(), c.compiler.used
			next, err := c.compile(t, pos, end, ctx)
			if err != nil {
				rec.hurt(err.Error())
			} else {
				c.run(rec, t, len(rec.values))
			}
			if c.compiler.used == used { // nothing that stays was compiled meanwhile
				c.compiler.used--
			}
			if err != nil {
				return
			}
			pos = next
		default:
			rec.hurt("unknown token in binary XML")
			return
		}
	}
}

// instance writes a template instance:
// 0x0c, u8, id u32, definition u32, [definition], number of values u32,
// (size u16, type u8, 0) of each, the values.
func (c *chunk) instance(rec *Record, pos, end int, ctx context) (next int, ok bool) {
	if pos+10 > end {
		rec.hurt("a template instance ends too early")
		return pos, false
	}
	le := binary.LittleEndian
	id, definition := le.Uint32(c.buf[pos+2:]), le.Uint32(c.buf[pos+6:])
	pos += 10
	t := c.definition(definition, id, ctx)
	if t.err != nil {
		if kept, ok := c.compiler.kept[templateKey{id, ctx}]; ok {
			t, rec.Foreign = kept, true
		}
	}
	if t.err != nil {
		rec.hurt(t.err.Error())
	}
	if int64(definition) == int64(pos) {
		if pos+definitionHead > end {
			rec.hurt("a template definition ends too early")
			return pos, false
		}
		size := int64(le.Uint32(c.buf[pos+20:]))
		if int64(pos)+definitionHead+size > int64(end) {
			rec.hurt("a template definition ends too early")
			return pos, false
		}
		pos += definitionHead + int(size)
	}
	if pos+4 > end {
		rec.hurt("the values of a template end too early")
		return pos, false
	}
	count := int64(le.Uint32(c.buf[pos:]))
	pos += 4
	if count*4 > int64(end-pos) {
		rec.hurt("more values than fit into the record")
		return pos, false
	}
	base := len(rec.values)
	data := pos + 4*int(count)
	for range count {
		v := value{kind: c.buf[pos+2], from: data, to: data + int(le.Uint16(c.buf[pos:]))}
		if v.to > end {
			rec.hurt("a value ends beyond its record")
			v.kind, v.to = typeNull, v.from
			data = end
		} else {
			data = v.to
		}
		rec.values = append(rec.values, v)
		pos += 4
	}
	if t.err == nil {
		c.run(rec, t, base)
	}
	rec.values = rec.values[:base]
	return data, t.err == nil
}

// definitionHead is next u32, GUID, size u32.
const definitionHead = 24

// definition returns the compiled template at offset. Its GUID must begin with
// the id that the instance names: in slack the place may have been written
// over since.
func (c *chunk) definition(offset, id uint32, ctx context) *template {
	key := templateKey{offset, ctx}
	if t, ok := c.templates[key]; ok {
		if t.err == nil && binary.LittleEndian.Uint32(c.buf[offset+4:]) != id {
			return &overwritten
		}
		return t
	}
	if int64(offset)+definitionHead > chunkSize {
		return &outside
	}
	if binary.LittleEndian.Uint32(c.buf[offset+4:]) != id {
		return &overwritten
	}
	size := int64(binary.LittleEndian.Uint32(c.buf[offset+20:]))
	if int64(offset)+definitionHead+size > chunkSize {
		return &outside
	}
	t := c.compiler.template()
	pos, end := int(offset)+definitionHead, int(offset)+definitionHead+int(size)
	if pos+4 <= end && c.buf[pos] == tokenFragment {
		pos += 4
	}
	if _, t.err = c.compile(t, pos, end, ctx); t.err == nil {
		c.compiler.keep(id, ctx, t)
	}
	c.templates[key] = t
	return t
}

// run writes the values of t with those of the instance, which begin at base.
func (c *chunk) run(rec *Record, t *template, base int) {
	values := rec.values[base:]
	for i := range t.leaves {
		l := &t.leaves[i]
		if c.output -= 16; c.output < 0 {
			rec.hurt("more text than one chunk can have")
			return
		}
		key := l.key
		if l.name.to > l.name.from {
			key = c.dynamicName(rec, t, l, values)
		}
		parts := t.parts[l.parts.from:l.parts.to]
		if len(parts) == 1 && parts[0].sub >= 0 {
			c.single(rec, l, parts[0], key, values)
			continue
		}
		from := len(rec.buf)
		for _, q := range parts {
			if q.sub < 0 {
				rec.buf = append(rec.buf, t.text[q.from:q.to]...)
			} else if v, ok := c.value(rec, values, q); ok && v.kind == typeBinXML {
				c.fragment(rec, v.from, v.to, l.inside)
			} else if ok {
				c.append(rec, v)
			}
		}
		c.output -= len(rec.buf) - from
		rec.put(l, key, from)
	}
}

// dynamicName returns a name that is itself a value.
func (c *chunk) dynamicName(rec *Record, t *template, l *leaf, values []value) string {
	from := len(rec.buf)
	for _, q := range t.parts[l.name.from:l.name.to] {
		if q.sub < 0 {
			rec.buf = append(rec.buf, t.text[q.from:q.to]...)
		} else if v, ok := c.value(rec, values, q); ok && v.kind != typeBinXML {
			c.append(rec, v)
		}
	}
	name := rec.buf[from:]
	rec.buf = rec.buf[:from]
	if len(name) == 0 {
		return l.key
	}
	if len(c.compiler.names) > maxNames {
		return string(name)
	}
	return c.compiler.intern(name)
}

// value returns the value of a substitution; false when the instance has none
// of that number.
func (c *chunk) value(rec *Record, values []value, q part) (value, bool) {
	if int(q.sub) >= len(values) {
		rec.hurt("a template names a value that the record does not have")
		return value{}, false
	}
	return values[q.sub], true
}

// single writes a leaf that is one value: the ordinary case. An array repeats
// the leaf; an optional value that is null leaves it out.
func (c *chunk) single(rec *Record, l *leaf, q part, key string, values []value) {
	v, ok := c.value(rec, values, q)
	if !ok {
		return
	}
	switch {
	case v.kind == typeNull && q.optional:
		return
	case v.kind == typeBinXML:
		c.fragment(rec, v.from, v.to, l.inside)
		return
	case v.kind&typeArray != 0:
		for item := range c.items(rec, v) {
			from := len(rec.buf)
			c.append(rec, item)
			if c.output -= 16 + len(rec.buf) - from; c.output < 0 {
				rec.hurt("more text than one chunk can have")
				return
			}
			rec.put(l, key, from)
		}
		return
	case l.field == TimeCreated && v.kind == typeFiletime && v.to-v.from == 8:
		rec.Created = binary.LittleEndian.Uint64(c.buf[v.from:])
	}
	from := len(rec.buf)
	c.append(rec, v)
	c.output -= len(rec.buf) - from
	rec.put(l, key, from)
}
