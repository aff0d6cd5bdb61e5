package journal

import (
	"bytes"
	"encoding/binary"
)

// maxName bounds the part of a payload in which the end of the field's name is
// looked for; journald takes names of up to 64 bytes.
const maxName = 1024

// readEntry decodes an ENTRY object with its fields. nil: the file ends in it.
func (r *Reader) readEntry(o object) *Entry {
	b := r.pages.bytes(o.off, o.size)
	if int64(len(b)) < o.size {
		return nil
	}
	e := &r.entry
	*e = Entry{
		Offset: o.off, Length: o.size, Fields: e.Fields[:0], Damaged: o.rescued,
		Seqnum:    binary.LittleEndian.Uint64(b[16:]),
		Realtime:  binary.LittleEndian.Uint64(b[24:]),
		Monotonic: binary.LittleEndian.Uint64(b[32:]),
		Unlinked:  r.links.whole && !r.links.linked(o.off),
	}
	copy(e.BootID[:], b[40:])
	width := r.itemSize()
	for at := int64(64); at+width <= o.size; at += width {
		item := r.item(b[at:])
		if item == 0 {
			continue
		}
		if f, ok := r.field(item); ok {
			e.Fields = append(e.Fields, f)
		} else {
			e.Lost++
		}
	}
	r.last = o.off + o.size
	r.found++
	return e
}

// field reads the DATA object at off.
func (r *Reader) field(off int64) (Field, bool) {
	if f := r.fields.get(off); f != nil {
		return *f, true
	}
	f, ok := r.readField(off)
	if ok {
		r.fields.put(off, &f)
	}
	return f, ok
}

func (r *Reader) readField(off int64) (Field, bool) {
	o, state := r.object(off)
	if state != objectOK || o.kind != typeData || off%8 != 0 {
		if !r.tell(off) {
			return Field{}, false
		}
		loss := Corrupt
		if off >= r.size && r.head.cut(r.size) > 0 {
			loss = Truncated
		}
		r.hurt(loss, r.entry.Offset, r.entry.Length, "the entry names data at %d, where none is", off)
		return Field{}, false
	}
	payload, size, ok := r.payload(o)
	if !ok {
		return Field{}, false
	}
	eq := bytes.IndexByte(payload[:min(len(payload), maxName)], '=')
	if eq <= 0 {
		if r.tell(off) {
			r.hurt(Corrupt, off, o.size, "data without a field name")
		}
		return Field{}, false
	}
	return Field{payload[:eq:eq], payload[eq+1:], off, o.size, size - int64(eq) - 1}, true
}

// tell reports whether damage of the DATA object at off is news. Many entries
// share one object.
func (r *Reader) tell(off int64) bool {
	if r.told[off] {
		return false
	}
	if len(r.told) >= maxDamage {
		r.extra++
		return false
	}
	r.told[off] = true
	return true
}

// payload returns the decoded payload of a DATA object, at most MaxValue
// bytes of it, and its whole size.
func (r *Reader) payload(o object) (payload []byte, size int64, ok bool) {
	at := o.off + r.payloadAt()
	n := o.size - r.payloadAt()
	if o.flags == 0 {
		most := int64(MaxValue)
		if n > pageSize {
			// Many entries can name one large object: what is copied is bounded.
			if r.unpack.budget -= n; r.unpack.budget < 0 {
				most = maxName
			}
		}
		return r.pages.bytes(at, min(n, most)), n, true
	}
	if b, size, ok := r.unpack.kept(o.off); ok {
		return b, size, true
	}
	if n > 2*MaxValue {
		if r.tell(o.off) {
			r.hurt(TooBig, o.off, o.size, "compressed data of %d bytes", n)
		}
		return nil, 0, false
	}
	b, size, err := r.unpack.decode(o.flags, r.pages.bytes(at, n))
	if err != nil {
		if r.tell(o.off) {
			r.hurt(Corrupt, o.off, o.size, "%v", err)
		}
		return nil, 0, false
	}
	r.unpack.keep(o.off, b, size)
	return b, size, true
}

// verify compares a DATA object's payload with its hash. What cannot be
// decoded, or was cut at MaxValue, is not verified.
func (r *Reader) verify(o object) bool {
	payload, size, ok := r.payload(o)
	if !ok || size > int64(len(payload)) {
		return false
	}
	b := r.pages.bytes(o.off+16, 8)
	if len(b) < 8 {
		return false
	}
	var sum uint64
	if r.head.KeyedHash() {
		sum = sipHash(payload, &r.head.FileID)
	} else {
		sum = jenkins(payload)
	}
	if sum == binary.LittleEndian.Uint64(b) {
		return true
	}
	if r.tell(o.off) {
		r.hurt(Corrupt, o.off, o.size, "data does not match its hash: changed after it was written")
	}
	return false
}
