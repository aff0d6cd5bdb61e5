package journal

import (
	"encoding/binary"
	"slices"
)

// maxLinks bounds the entries whose linkage is checked (4 bytes each).
const maxLinks = 16 << 20

// links is what the chain of entry arrays names: offsets divided by 8, in
// ascending order.
type links struct {
	at    []uint32
	next  int
	whole bool // the chain was read to its end: what is not in it is unlinked
}

// readLinks follows the chain of entry arrays from the header. The chain is
// bounded by the entries that the file has room for.
func (r *Reader) readLinks() {
	l := &r.links
	l.whole = true
	sorted := true
	left := r.size // arrays do not overlap, so they have no more bytes than the file
	seen := map[int64]bool{}
	for off := r.head.EntryArray; off != 0; {
		o, state := r.object(off)
		if left -= o.size; state != objectOK || o.kind != typeEntryArray || seen[off] || left < 0 {
			l.whole = false
			loss := Corrupt
			if off >= r.size {
				loss, off = Truncated, r.size
			}
			r.hurt(loss, off, -1, "the chain of entry arrays breaks at this offset after %d entries", len(l.at))
			break
		}
		seen[off] = true
		if !r.array(o, &sorted) {
			break
		}
		next := r.pages.bytes(off+objectHeader, 8)
		if len(next) < 8 {
			l.whole = false
			break
		}
		off = r.anywhere(binary.LittleEndian.Uint64(next))
	}
	if !sorted {
		slices.Sort(l.at)
		l.at = slices.Compact(l.at)
	}
}

// array takes the items of one entry array; false when the limit is reached.
func (r *Reader) array(o object, sorted *bool) bool {
	l := &r.links
	width := r.offsetSize()
	for off, left := o.off+24, o.size-24; left > 0; {
		b := r.pages.bytes(off, min(left, pageSize))
		b = b[:int64(len(b))/width*width]
		if len(b) == 0 {
			l.whole = false
			return false
		}
		for i := int64(0); i < int64(len(b)); i += width {
			entry := r.item(b[i:])
			if entry == 0 {
				continue // not used yet
			}
			if entry < 0 || entry%8 != 0 || entry>>3 > 1<<32-1 {
				r.hurt(Corrupt, off+i, width, "an entry array names an impossible offset")
				l.whole = false
				continue
			}
			if len(l.at) >= maxLinks {
				l.whole = false
				r.hurt(TooBig, off+i, -1, "over %d linked entries: later entries are not checked for being linked", maxLinks)
				return false
			}
			v := uint32(entry >> 3)
			if n := len(l.at); n > 0 && l.at[n-1] >= v {
				*sorted = false
			}
			l.at = append(l.at, v)
		}
		off += int64(len(b))
		left -= int64(len(b))
	}
	return true
}

// missed returns the next linked entry before pos that was not yielded.
func (l *links) missed(pos int64) (int64, bool) {
	if l.next == len(l.at) {
		return 0, false
	}
	off := int64(l.at[l.next]) << 3
	if off >= pos {
		return 0, false
	}
	l.next++ // taken or not, it is behind
	return off, true
}

// seen takes note that the entry at off is yielded.
func (l *links) seen(off int64) {
	for l.next < len(l.at) && int64(l.at[l.next])<<3 <= off {
		l.next++
	}
}

// linked reports whether the chain names the entry at off.
func (l *links) linked(off int64) bool {
	// The walk goes forward, so the answer is beside the cursor.
	if l.next > 0 && int64(l.at[l.next-1])<<3 == off {
		return true
	}
	_, ok := slices.BinarySearch(l.at, uint32(off>>3))
	return ok
}
