package ntfs

// PathNote says how far a path can be relied on.
type PathNote uint8

// Values of PathNote.
const (
	PathWhole   PathNote = iota // from the root, over folders in use
	PathDeleted                 // from the root, over a folder that was deleted
	PathOrphan                  // it hangs off a reference: that folder's record is gone or another folder's now
)

// AppendPath writes the path of a name in a folder: "/a/b/name". Where a folder
// on the way cannot be named the path begins with its reference: "<45-3>/b/name".
// So it does where folders lie in a ring, or where the path has more than 256
// folders or 8 KiB.
func (m *MFT) AppendPath(dst []byte, parent Reference, name []byte) ([]byte, PathNote) {
	c := &m.cache[parent.Record()%uint64(len(m.cache))]
	if !c.valid || c.parent != parent.Low {
		c.parent, c.valid = parent.Low, true
		c.path, c.note = m.appendFolder(c.path[:0], parent)
	}
	return append(append(append(dst, c.path...), '/'), name...), c.note
}

// appendFolder writes the path of a folder, nothing for the root.
func (m *MFT) appendFolder(dst []byte, at Reference) ([]byte, PathNote) {
	m.chain = m.chain[:0]
	note, length := PathWhole, 0
	for at.Record() != root {
		f := m.find(at.Record())
		if f == nil || !f.named || !sameUse(f.seq, f.inUse, at.Sequence()) || len(m.chain) == maxDepth || length+int(f.length) >= maxPath {
			dst, note = append(at.Append(append(dst, '<')), '>'), PathOrphan
			if f == nil {
				m.missing(at.Record())
			}
			break
		}
		if !f.inUse && note == PathWhole {
			note = PathDeleted
		}
		length += int(f.length) + 1
		m.chain = append(m.chain, f)
		at = Reference{Low: f.parent}
	}
	for i := len(m.chain) - 1; i >= 0; i-- {
		f := m.chain[i]
		dst = append(append(dst, '/'), m.names[f.name:f.name+uint32(f.length)]...)
	}
	return dst, note
}

// maxMissing bounds how many missing records are told of.
const maxMissing = 4096

// missing tells of a record that must have been there, for a file lies in the
// folder that it was, and is not: NTFS never writes zeros over one, and $MFT
// never becomes shorter.
func (m *MFT) missing(number uint64) {
	size := m.seg.record
	behind := number >= uint64(m.seg.size/size)
	if behind {
		number = uint64(m.seg.size / size) // told of once
	}
	if m.seg.shifted || m.gone[number] || len(m.gone) == maxMissing {
		return
	}
	m.gone[number] = true
	if behind {
		m.seg.lost(Damage{Truncated, m.seg.size, -1, "the file ends before the record of a folder"})
		return
	}
	at := int64(number) * size
	b := m.second.buf
	if n, _ := m.second.r.ReadAt(b, at); int64(n) == size && firstNonZero(b) == n {
		m.seg.lost(Damage{Corrupt, at, size, "zeros where the record of a folder belongs"})
	}
}
