package journal

// Most fields of an entry are DATA objects that it shares with others: the
// host, the boot, the unit. shared keeps small ones, decoded, from the second
// time an entry names them.
const (
	sharedBits = 11
	sharedMax  = 512 // bytes of name and value
)

type shared [1 << sharedBits]struct {
	off   int64 // of the object seen last; 0, where no object can be, is none
	field Field // empty until it is seen again
}

// slot spreads offsets, which are multiples of 8 and often evenly apart.
func slot(off int64) int {
	return int(uint64(off) * 0x9e3779b97f4a7c15 >> (64 - sharedBits))
}

// get returns the field of the object at off, nil when it is not kept.
func (s *shared) get(off int64) *Field {
	if e := &s[slot(off)]; e.off == off && e.field.Name != nil {
		return &e.field
	}
	return nil
}

// put keeps a copy of the field, if it is the second in a row of its slot. A
// copy is never written again: entries point into it.
func (s *shared) put(off int64, f *Field) {
	e := &s[slot(off)]
	if e.off != off {
		e.off, e.field = off, Field{}
		return
	}
	n := len(f.Name)
	if n+len(f.Value) > sharedMax {
		return
	}
	b := append(append(make([]byte, 0, n+len(f.Value)), f.Name...), f.Value...)
	e.field = *f
	e.field.Name, e.field.Value = b[:n:n], b[n:]
}
