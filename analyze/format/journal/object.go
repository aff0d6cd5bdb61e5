package journal

import (
	"encoding/binary"
	"math/bits"
)

// Object types.
const (
	typeData       = 1
	typeField      = 2
	typeEntry      = 3
	typeDataHash   = 4
	typeFieldHash  = 5
	typeEntryArray = 6
	typeTag        = 7
)

const objectHeader = 16

// maxFields bounds the fields of an entry; journald takes 1,024.
const maxFields = 4096

// object is the head of an object.
type object struct {
	off, size   int64
	kind, flags byte
	rescued     bool // an entry whose header is damaged
}

type objectState int

const (
	objectOK   objectState = iota
	objectBad              // no object can be like this
	objectZero             // nothing but zeros: unused space
	objectEnd              // the file ends here
)

func align(n int64) int64 { return (n + 7) &^ 7 }

// object reads and checks the object header at off.
func (r *Reader) object(off int64) (object, objectState) {
	b := r.pages.bytes(off, objectHeader)
	if len(b) < objectHeader {
		return object{}, objectEnd
	}
	head, size := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	if head == 0 && size == 0 {
		return object{}, objectZero
	}
	o := object{off: off, kind: b[0], flags: b[1]}
	if !headLike(head) || size < objectHeader || size > uint64(r.size-off) {
		return o, objectBad
	}
	o.size = int64(size)
	if !r.sized(o) {
		return o, objectBad
	}
	return o, objectOK
}

// headLike reports whether the first 8 bytes of an object can be such: a
// known type, at most one compression and that only on data, the rest zero.
func headLike(head uint64) bool {
	kind, flags := head&0xff, head>>8
	if kind < typeData || kind > typeTag {
		return false
	}
	return flags == 0 || kind == typeData && (flags == compXZ || flags == compLZ4 || flags == compZSTD)
}

// sized reports whether the size fits the type.
func (r *Reader) sized(o object) bool {
	switch o.kind {
	case typeData:
		return o.size > r.payloadAt()
	case typeField:
		return o.size > 40
	case typeEntry:
		items := o.size - 64
		return items >= 0 && items%r.itemSize() == 0 && items/r.itemSize() <= maxFields
	case typeDataHash, typeFieldHash:
		return o.size >= 32 && (o.size-16)%16 == 0
	case typeEntryArray:
		return o.size > 24 && (o.size-24)%r.offsetSize() == 0
	default:
		return o.size == 64
	}
}

// payloadAt is where the payload of a DATA object begins.
func (r *Reader) payloadAt() int64 {
	if r.head.Compact() {
		return 72
	}
	return 64
}

// itemSize is the size of an item of an ENTRY object.
func (r *Reader) itemSize() int64 {
	if r.head.Compact() {
		return 4
	}
	return 16
}

// offsetSize is the size of an item of an ENTRY_ARRAY object.
func (r *Reader) offsetSize() int64 {
	if r.head.Compact() {
		return 4
	}
	return 8
}

func (r *Reader) typeAt(off int64) byte {
	if b := r.pages.bytes(off, 1); len(b) == 1 {
		return b[0]
	}
	return 0
}

// plausible reports whether a sound object lies at off whose content fits its
// type and which is followed by another one, by unused space or by the end.
func (r *Reader) plausible(off int64) bool {
	o, state := r.object(off)
	if state != objectOK {
		return false
	}
	if o.kind == typeEntry && !r.entryLike(o) {
		return false
	}
	_, state = r.object(align(o.off + o.size))
	return state != objectBad
}

// entryLike checks the content of an ENTRY object: a number, a time between
// 1970 and 2255, and a first item that points before a possible DATA object.
func (r *Reader) entryLike(o object) bool {
	b := r.pages.bytes(o.off, min(o.size, 72))
	if len(b) < 64 {
		return false
	}
	realtime := binary.LittleEndian.Uint64(b[24:])
	if binary.LittleEndian.Uint64(b[16:]) == 0 || realtime == 0 || bits.Len64(realtime) > 53 {
		return false
	}
	if o.size == 64 {
		return true
	}
	item := r.item(b[64:])
	return item%8 == 0 && item >= r.head.HeaderSize && item < r.size
}

// item reads the offset at the start of an entry's item.
func (r *Reader) item(b []byte) int64 {
	if r.head.Compact() {
		if len(b) < 4 {
			return -1
		}
		return int64(binary.LittleEndian.Uint32(b))
	}
	if len(b) < 8 {
		return -1
	}
	if v := binary.LittleEndian.Uint64(b); v < 1<<62 {
		return int64(v)
	}
	return -1
}

// resync looks for the next plausible object after a bad one. It starts
// inside the object before when that one was not verified: its size may be
// what is wrong. A bad object that the index calls an entry is returned as one
// when its content looks like it.
func (r *Reader) resync() (o object, entry bool) {
	from := r.pos
	at := max(r.sound, r.prev+objectHeader)
	for at = align(min(at, r.pos)); at < r.size-objectHeader; {
		b := r.pages.bytes(at, min(pageSize-at&(pageSize-1), r.size-at))
		if len(b) < 8 {
			break
		}
		n := int64(0)
		for ; n+8 <= int64(len(b)); n += 8 {
			if head := binary.LittleEndian.Uint64(b[n:]); headLike(head) && at+n != from && r.plausible(at+n) {
				r.resume(from, at+n)
				return r.rescue(from, at+n)
			}
		}
		at += n
	}
	r.resume(from, r.size)
	return r.rescue(from, r.size)
}

// rescue makes an entry of the bytes between from and end, whose header is
// damaged, if the index names an entry there. It has the items up to the first
// that cannot be one: data is written before the entry that names it.
func (r *Reader) rescue(from, end int64) (o object, entry bool) {
	if from < r.last || !r.links.linked(from) {
		return object{}, false
	}
	width := r.itemSize()
	b := r.pages.bytes(from, min(end-from, 64+maxFields*width))
	o = object{off: from, size: 64, kind: typeEntry, rescued: true}
	for ; o.size+width <= int64(len(b)); o.size += width {
		if item := r.item(b[o.size:]); item <= 0 || item%8 != 0 || item >= from {
			break
		}
	}
	if o.size == 64 || !r.entryLike(o) {
		return object{}, false
	}
	r.links.seen(from)
	return o, true
}

// resume continues at a later place and reports what lies between.
func (r *Reader) resume(from, at int64) {
	switch {
	case at <= from:
	case from > r.head.TailObject && r.head.TailObject > 0:
		r.hurt(Corrupt, from, at-from, "after the last object the header names: bytes that are no journal object")
	default:
		r.hurt(Corrupt, from, at-from, "no journal object where one should be, %d bytes skipped", at-from)
	}
	r.prev, r.pos, r.sound = at, at, at
}

// skipZeros passes unused space. Before the last object that the header names
// it is a hole that something tore; after it, it is space journald allocated
// ahead, and what still follows was written by nobody or is not linked yet.
func (r *Reader) skipZeros() {
	from := r.pos
	at := from
scan:
	for at < r.size {
		b := r.pages.bytes(at, min(pageSize-at&(pageSize-1), r.size-at))
		if len(b) == 0 {
			break
		}
		for i := 0; i < len(b); i += 8 {
			if i+8 > len(b) || binary.LittleEndian.Uint64(b[i:]) != 0 {
				at += int64(i)
				break scan
			}
		}
		at += int64(len(b))
	}
	at = min(at, r.size)
	if at+objectHeader > r.size {
		at = r.size
	}
	if from < r.head.TailObject && at > from {
		r.hurt(Corrupt, from, at-from, "%d zero bytes where the journal has objects", at-from)
	}
	r.prev, r.pos, r.sound = at, at, at
}
