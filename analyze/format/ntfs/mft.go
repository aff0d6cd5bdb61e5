package ntfs

import (
	"cmp"
	"errors"
	"io"
	"math"
	"slices"
)

// folder is what paths need to know of a folder.
type folder struct {
	number uint64
	parent uint64 // reference
	name   uint32 // offset in MFT.names
	length uint16
	seq    uint16
	inUse  bool
	agreed bool // its place in the file is that of its number
	named  bool // else the name may stand in an extension record
}

// extension is an extension record and its base record.
type extension struct {
	base  uint64 // reference
	off   int64
	inUse bool
}

func (e extension) number() uint64 { return e.base & (1<<48 - 1) }

// base is a base record that has extension records.
type base struct {
	off   int64
	seq   uint16
	inUse bool
}

// Bounds of what is held of a $MFT: 40 bytes and the name for a folder, 24 for
// an extension record.
const (
	maxFolders    = 4 << 20
	maxExtensions = 4 << 20
	maxDepth      = 256
	maxPath       = 8 << 10 // bytes of a path; the beginning of longer ones is a reference
)

// MFT reads a master file table twice: the first time for its folders and
// extension records, the second time for its files.
type MFT struct {
	seg     *segments
	folders []folder // by number
	names   []byte
	exts    []extension     // by number of the base record, then offset
	bases   map[uint64]base // base records with a list of attributes
	full    bool
	file    File
	second  segments // reads extension records
	gone    map[uint64]bool
	cache   [1024]cachedPath
	chain   []*folder
	found   [4]FileName // of a folder
	text    []byte      // what found points into
}

type cachedPath struct {
	parent uint64
	valid  bool
	path   []byte
	note   PathNote
}

// NewMFT reads a $MFT of size bytes for the first time. The holes need not be
// sorted nor complete.
func NewMFT(r io.ReaderAt, size int64, holes []Hole) (*MFT, error) {
	seg, err := newSegments(r, size, holes)
	if err != nil {
		return nil, err
	}
	m := &MFT{seg: seg, bases: map[uint64]base{}, gone: map[uint64]bool{}}
	for {
		g, err := seg.next()
		seg.damage = seg.damage[:0] // told when it is read again
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		m.learn(g)
	}
	slices.SortFunc(m.exts, func(a, b extension) int {
		return cmp.Or(cmp.Compare(a.number(), b.number()), cmp.Compare(a.off, b.off))
	})
	m.sortFolders()
	m.second = segments{r: r, record: seg.record, size: size, buf: make([]byte, seg.record)}
	if err := m.nameFolders(); err != nil {
		return nil, err
	}
	seg.rewind()
	return m, nil
}

// learn takes what the second reading needs from a record. A record that is
// not whole lends its name to no path.
func (m *MFT) learn(g *segment) {
	if g.torn != "" {
		return
	}
	if g.head.base.Low != 0 {
		if len(m.exts) < maxExtensions {
			m.exts = append(m.exts, extension{g.head.base.Low, g.off, g.head.inUse})
		} else {
			m.full = true
		}
		return
	}
	names, listed := m.found[:0], false
	m.text = m.text[:0]
	attributesOf(g, func(a attribute) {
		switch {
		case a.kind == typeList:
			listed = true
		case a.kind == typeName && g.head.directory && len(names) < 4:
			if n, ok := readName(a.value, g.off, &m.text); ok {
				names = append(names, n)
			}
		}
	})
	number, agreed := m.seg.number(g)
	if listed && len(m.bases) < maxExtensions {
		if _, taken := m.bases[number]; !taken || agreed {
			m.bases[number] = base{g.off, g.head.sequence, g.head.inUse}
		}
	}
	switch {
	case !g.head.directory:
	case len(m.folders) == maxFolders:
		m.full = true
	default:
		f := folder{number: number, seq: g.head.sequence, inUse: g.head.inUse, agreed: agreed}
		m.setName(&f, bestName(names))
		m.folders = append(m.folders, f)
	}
}

func (m *MFT) setName(f *folder, name *FileName) {
	if name == nil || len(m.names)+len(name.Name) > math.MaxInt32 {
		return
	}
	f.parent, f.name, f.length, f.named = name.Parent.Low, uint32(len(m.names)), uint16(len(name.Name)), true
	m.names = append(m.names, name.Name...)
}

// sortFolders puts the folders in the order of their numbers. Where several
// records say that they are the same, their place decides, or the first has it.
func (m *MFT) sortFolders() {
	slices.SortStableFunc(m.folders, func(a, b folder) int {
		switch {
		case a.number != b.number:
			return cmp.Compare(a.number, b.number)
		case a.agreed == b.agreed:
			return 0
		case a.agreed:
			return -1
		}
		return 1
	})
	m.folders = slices.CompactFunc(m.folders, func(a, b folder) bool { return a.number == b.number })
}

// find returns the folder of that number, nil where there is none.
func (m *MFT) find(number uint64) *folder {
	i, ok := slices.BinarySearchFunc(m.folders, number, func(f folder, n uint64) int { return cmp.Compare(f.number, n) })
	if !ok {
		return nil
	}
	return &m.folders[i]
}

// nameFolders finds the names that stand in extension records.
func (m *MFT) nameFolders() error {
	for _, e := range m.exts {
		f := m.find(e.number())
		if f == nil || f.named || !m.carriesOn(e.base, e.inUse) {
			continue
		}
		g, err := m.at(e.off)
		if err != nil {
			return err
		}
		names := m.found[:0]
		m.text = m.text[:0]
		attributesOf(g, func(a attribute) {
			if a.kind == typeName && len(names) < 4 {
				if n, ok := readName(a.value, g.off, &m.text); ok {
					names = append(names, n)
				}
			}
		})
		m.setName(f, bestName(names))
	}
	return nil
}

// carriesOn reports whether an extension record with that base reference
// belongs to a base record that is there. What was given free keeps its
// reference, but carries on with nothing that is in use.
func (m *MFT) carriesOn(reference uint64, inUse bool) bool {
	r := Reference{Low: reference}
	b, ok := m.bases[r.Record()]
	return ok && b.inUse == inUse && sameUse(b.seq, b.inUse, r.Sequence())
}

// sameUse reports whether a record with sequence number seq is the one that a
// reference means. NTFS counts up when it gives a record free.
func sameUse(seq uint16, inUse bool, reference uint16) bool {
	return seq == reference || !inUse && seq == reference+1
}

// at reads one record.
func (m *MFT) at(off int64) (*segment, error) {
	n, err := m.second.r.ReadAt(m.second.buf, off)
	if int64(n) < m.second.record {
		return nil, cmp.Or(err, io.ErrUnexpectedEOF)
	}
	m.second.pos, m.second.window = off, m.second.buf
	return m.second.take(m.second.buf), nil
}

// RecordSize is the size of a file record in bytes.
func (m *MFT) RecordSize() int64 { return m.seg.record }

// Full reports that there are more folders or extension records than are held:
// some paths then hang off a reference, and some records stand alone.
func (m *MFT) Full() bool { return m.full }

// Damage returns what was found damaged since the last call.
func (m *MFT) Damage() []Damage {
	d := m.seg.damage
	m.seg.damage = nil
	return d
}

// Next returns the next file, io.EOF after the last. Records that were never
// used are passed over.
func (m *MFT) Next() (*File, error) {
	for {
		g, err := m.seg.next()
		if err != nil {
			return nil, err
		}
		if g.torn == "" && g.head.base.Low != 0 && m.carriesOn(g.head.base.Low, g.head.inUse) && !m.full {
			continue // read with its base record
		}
		if err := m.gather(g); err != nil {
			return nil, err
		}
		if f := &m.file; !f.empty || len(f.Damage) > 0 {
			return f, nil
		}
	}
}

// gather makes a file of a record and those that carry on with it.
func (m *MFT) gather(g *segment) error {
	f := &m.file
	number, _ := m.seg.number(g)
	*f = File{
		Offset: g.off, Length: m.seg.record, Number: number, Sequence: g.head.sequence, InUse: g.head.inUse,
		Directory: g.head.directory, Links: g.head.links, LSN: g.head.lsn, Base: g.head.base, empty: true,
		Names: f.Names[:0], Streams: f.Streams[:0], Damage: f.Damage[:0], text: f.text[:0],
	}
	f.Position, f.Stated = uint64(g.off/m.seg.record), number
	if g.head.stated {
		f.Stated = g.head.number
	}
	f.add(g)
	if b, ok := m.bases[number]; ok && b.off == f.Offset && !m.full {
		from, _ := slices.BinarySearchFunc(m.exts, number, func(e extension, n uint64) int { return cmp.Compare(e.number(), n) })
		for _, e := range m.exts[from:] {
			if e.number() != number {
				break
			}
			if !m.carriesOn(e.base, e.inUse) {
				continue
			}
			more, err := m.at(e.off)
			if err != nil {
				return err
			}
			f.add(more)
		}
	}
	f.mergeShort()
	return nil
}
