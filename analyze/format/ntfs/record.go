package ntfs

import (
	"bytes"
	"fmt"

	"github.com/exhibit-dfir/exhibit/analyze/format/utf16le"
)

// Types of attributes that are read.
const (
	typeStandard  = 0x10
	typeList      = 0x20
	typeName      = 0x30
	typeObjectID  = 0x40
	typeData      = 0x80
	typeReparse   = 0xc0
	typeEnd       = 0xffffffff
	namespaceDOS  = 2
	strideOfFixes = 512
)

// header is the fixed part of a file record.
type header struct {
	sequence, links  uint16
	inUse, directory bool
	lsn              uint64
	base             Reference // of an extension record; else 0
	number           uint64
	stated           bool // the record states its number
	attributes, used int
}

// segment is a file record whose fix-ups were undone.
type segment struct {
	off  int64 // of b in the file
	b    []byte
	head header
	torn string // a fix-up that does not hold
}

// fixUp undoes the fix-ups of a record: the last two bytes of every 512 were
// replaced by the first number of the update sequence array, and stand in the
// array themselves. A sector that does not end in that number was not written
// together with the others. The record is changed in place.
func fixUp(b []byte) (torn string) {
	at, n := int(le.Uint16(b[4:])), int(le.Uint16(b[6:]))
	if at < 0x28 || at%2 != 0 || n != len(b)/strideOfFixes+1 || at+2*n > strideOfFixes-2 {
		return fmt.Sprintf("its update sequence array is damaged (%d numbers at %d)", n, at)
	}
	if undone(b, at, n) {
		return ""
	}
	want := le.Uint16(b[at:])
	for i := 1; i < n; i++ {
		end := b[i*strideOfFixes-2 : i*strideOfFixes]
		if le.Uint16(end) != want {
			if torn == "" {
				torn = fmt.Sprintf("its sector %d was not written together with its first bytes: fix-up %04x, not %04x", i-1, le.Uint16(end), want)
			}
			continue
		}
		copy(end, b[at+2*i:at+2*i+2])
	}
	return torn
}

// undone reports whether every sector ends in what the array keeps of it: the
// program that copied the record undid its fix-ups (ntfscat does).
func undone(b []byte, at, n int) bool {
	for i := 1; i < n; i++ {
		if !bytes.Equal(b[i*strideOfFixes-2:i*strideOfFixes], b[at+2*i:at+2*i+2]) {
			return false
		}
	}
	return true
}

// readHeader reads the fixed part; position is the record's place in the file.
func readHeader(b []byte, position uint64) header {
	h := header{
		lsn: le.Uint64(b[8:]), sequence: le.Uint16(b[0x10:]), links: le.Uint16(b[0x12:]),
		attributes: int(le.Uint16(b[0x14:])), used: int(min(le.Uint32(b[0x18:]), uint32(len(b)))),
		base: Reference{Low: le.Uint64(b[0x20:])}, number: position,
	}
	flags := le.Uint16(b[0x16:])
	h.inUse, h.directory = flags&1 != 0, flags&2 != 0
	if le.Uint16(b[4:]) >= 0x30 { // NTFS 3.1: Windows XP and later
		h.number, h.stated = uint64(le.Uint32(b[0x2c:])), true
	}
	return h
}

// attribute is one attribute of a record. Value is that of a resident one.
type attribute struct {
	kind     uint32
	resident bool
	name     []byte // UTF-16
	value    []byte
	first    uint64 // first cluster that this part of a non-resident one maps
	size     int64  // of the whole value
}

// attributesOf calls yield for the attributes of a record up to the first that
// cannot be one, and says what is wrong with that. They end with a mark; the
// size that the record says it uses should agree with it.
func attributesOf(s *segment, yield func(attribute)) (damage string) {
	b := s.b
	at := s.head.attributes
	if at < 0x28 || at > len(b) {
		return fmt.Sprintf("its attributes begin at %d", at)
	}
	for {
		if len(b)-at < 4 {
			return "its attributes have no end"
		}
		kind := le.Uint32(b[at:])
		if kind == typeEnd {
			if at > s.head.used {
				return fmt.Sprintf("its attributes reach up to %d, it says that it uses %d bytes", at, s.head.used)
			}
			return ""
		}
		if len(b)-at < 24 {
			return "its attributes have no end"
		}
		n := int64(le.Uint32(b[at+4:]))
		if n < 24 || n%8 != 0 || n > int64(len(b)-at) || kind == 0 {
			return fmt.Sprintf("its attribute at %d cannot be read", at)
		}
		a, ok := readAttribute(b[at:at+int(n)], kind)
		if !ok {
			return fmt.Sprintf("its attribute at %d cannot be read", at)
		}
		yield(a)
		at += int(n)
	}
}

func readAttribute(b []byte, kind uint32) (a attribute, ok bool) {
	a = attribute{kind: kind, resident: b[8] == 0}
	units, nameAt := int(b[9]), int(le.Uint16(b[10:]))
	if units > 0 {
		if nameAt+2*units > len(b) {
			return a, false
		}
		a.name = b[nameAt : nameAt+2*units]
	}
	if a.resident {
		size, at := int64(le.Uint32(b[16:])), int64(le.Uint16(b[20:]))
		if at+size > int64(len(b)) {
			return a, false
		}
		a.value, a.size = b[at:at+size], size
		return a, true
	}
	if len(b) < 0x40 {
		return a, false
	}
	a.first, a.size = le.Uint64(b[16:]), int64(le.Uint64(b[0x30:]))
	return a, true
}

// Times are the four FILETIMEs of a file.
type Times struct{ Created, Modified, Changed, Accessed uint64 }

func readTimes(b []byte) Times {
	return Times{le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[24:])}
}

// FileName is a $FILE_NAME attribute: a name in a folder, with times that are
// set when the name is given.
type FileName struct {
	Offset     int64 // of the record that it stands in
	Parent     Reference
	Times      Times
	Size       int64 // as of when the name was given
	Attributes uint32
	Namespace  byte // 0 POSIX, 1 Win32, 2 DOS, 3 Win32 and DOS
	Name       []byte
	Short      []byte // the DOS name with the same folder and times
	Escaped    bool
}

// readName reads a $FILE_NAME attribute; text takes the name.
func readName(v []byte, off int64, text *[]byte) (FileName, bool) {
	if len(v) < 0x42 || 0x42+2*int(v[0x40]) > len(v) {
		return FileName{}, false
	}
	f := FileName{
		Offset: off, Parent: Reference{Low: le.Uint64(v)}, Times: readTimes(v[8:]), Size: int64(le.Uint64(v[0x30:])),
		Attributes: le.Uint32(v[0x38:]), Namespace: v[0x41],
	}
	f.Name, f.Escaped = appendText(text, v[0x42:0x42+2*int(v[0x40])])
	return f, true
}

// appendText writes UTF-16 as UTF-8 behind what is in text and returns it.
func appendText(text *[]byte, b []byte) (_ []byte, lone bool) {
	at := len(*text)
	*text, lone = utf16le.Append(*text, b)
	return (*text)[at:len(*text):len(*text)], lone
}

// Stream is a $DATA attribute. The content of a file has no name.
type Stream struct {
	Name     []byte
	Size     int64
	Resident bool
}

// File is one file: its base record and the extension records that carry on
// with its attributes; or an extension record whose base record is not there.
// It is good until the next call of Next.
type File struct {
	Offset, Length   int64 // of the base record
	Number           uint64
	Position         uint64 // place in the file
	Stated           uint64 // number in the record's header, where it has one
	Sequence         uint16
	InUse, Directory bool
	Links            uint16
	LSN              uint64    // $LogFile sequence number of the last change
	Base             Reference // of an extension without its base record
	Standard         bool      // it has $STANDARD_INFORMATION, and so the next fields
	Times            Times
	Attributes       uint32
	OwnerID          uint32
	SecurityID       uint32
	USN              int64
	Names            []FileName
	Streams          []Stream
	ObjectID         []byte // GUID, 16 bytes
	ReparseTag       uint32
	Escaped          bool     // parts of a name are no Unicode
	Damage           []string // what is wrong with its records
	empty            bool     // it has no attributes at all
	text             []byte   // what Names and Streams point into
}

// Bounds of one file. Windows allows 1024 links.
const (
	maxNames   = 4096
	maxStreams = 4096
)

// add takes the attributes of one of the file's records.
func (f *File) add(s *segment) {
	if s.torn != "" {
		f.hurt(s.torn)
	}
	damage := attributesOf(s, func(a attribute) {
		f.empty = false
		switch a.kind {
		case typeStandard:
			f.standard(a)
		case typeName:
			name, ok := readName(a.value, s.off, &f.text)
			switch {
			case !ok:
				f.hurt("a name cannot be read")
			case len(f.Names) == maxNames:
				f.hurt("it has too many names")
			default:
				f.Names = append(f.Names, name)
				f.Escaped = f.Escaped || name.Escaped
			}
		case typeData:
			f.data(a)
		case typeObjectID:
			if a.resident && len(a.value) >= 16 {
				f.ObjectID = bytes.Clone(a.value[:16])
			}
		case typeReparse:
			if a.resident && len(a.value) >= 4 {
				f.ReparseTag = le.Uint32(a.value)
			}
		}
	})
	if damage != "" {
		f.hurt(damage)
	}
}

func (f *File) hurt(what string) {
	if len(f.Damage) < 16 {
		f.Damage = append(f.Damage, what)
	}
}

// standard reads $STANDARD_INFORMATION: 48 bytes in Windows NT, 72 since
// Windows 2000. A file has one; a second is damage.
func (f *File) standard(a attribute) {
	v := a.value
	if len(v) < 0x24 || f.Standard {
		f.hurt("its $STANDARD_INFORMATION cannot be read")
		return
	}
	f.Standard, f.Times, f.Attributes = true, readTimes(v), le.Uint32(v[0x20:])
	if len(v) >= 0x48 {
		f.OwnerID, f.SecurityID, f.USN = le.Uint32(v[0x30:]), le.Uint32(v[0x34:]), int64(le.Uint64(v[0x40:]))
	}
}

// data reads $DATA. Only the part that begins with the first cluster states the
// size of the whole.
func (f *File) data(a attribute) {
	switch {
	case !a.resident && a.first > 0:
	case len(f.Streams) == maxStreams:
		f.hurt("it has too many streams")
	default:
		s := Stream{Size: a.size, Resident: a.resident}
		var lone bool
		s.Name, lone = appendText(&f.text, a.name)
		f.Escaped = f.Escaped || lone
		f.Streams = append(f.Streams, s)
	}
}

// mergeShort puts DOS names beside the names that they are short for, where
// that is certain: the record has one long name in that folder with these
// times.
func (f *File) mergeShort() {
	kept := f.Names[:0]
	for i := range f.Names {
		n := f.Names[i]
		if n.Namespace == namespaceDOS {
			if long := longOf(f.Names, &n); long != nil {
				long.Short = n.Name
				continue
			}
		}
		kept = append(kept, n)
	}
	f.Names = kept
}

func longOf(names []FileName, short *FileName) *FileName {
	var found *FileName
	for i := range names {
		n := &names[i]
		if n.Namespace == 1 && n.Offset == short.Offset && n.Parent == short.Parent && n.Times == short.Times {
			if found != nil || n.Short != nil {
				return nil
			}
			found = n
		}
	}
	return found
}

// Name returns the name that the file is called by, nil where it has none: the
// first that is more than a DOS name.
func (f *File) Name() *FileName { return bestName(f.Names) }

func bestName(names []FileName) *FileName {
	for i := range names {
		if names[i].Namespace != namespaceDOS {
			return &names[i]
		}
	}
	if len(names) > 0 {
		return &names[0]
	}
	return nil
}
