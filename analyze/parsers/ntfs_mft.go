package parsers

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/ntfs"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// windowsMFT reads the master file table of NTFS, $MFT as a file. It has eight
// times or more of each file: four in $STANDARD_INFORMATION, which programs can
// set, and four with each name in $FILE_NAME, which are set when the name is
// given. Every distinct time of an attribute is one event; where times of one
// attribute are equal, ts_desc joins their meanings, and attr macb has them in
// mactime's letters. ts_desc of a name's times ends in " ($FILE_NAME)".
//
//	rec_no       number of the file record
//	rec_off/len  the file record that holds the attribute
//	file         the path, put together from the folders' records. Where a
//	             folder's record is gone, or another folder's by now, the path
//	             begins with its reference, <45-3>/name, and attr path is
//	             orphan; deleted where it leads over a deleted folder
//	flags        corrupt: a fix-up of the record does not hold, or not all of
//	             its attributes could be read
//
// Attributes: attribute, macb, file_reference as record-sequence, deleted,
// size of the content, resident where it lies in the record, ads and ads_size
// for each alternate data stream, file_attributes, links where not 1,
// security_id, usn (of the last record in the change journal), object_id,
// reparse_tag; of names parent_reference, namespace, short_name. A file record
// that is in use without any time gives one undated event, and so does an
// extension record whose base record is not there (base_reference). In a whole
// $MFT the place of a record is its number, and header_record what its header
// says where that is another one; in a part of one the header decides, and
// position is the place.
var windowsMFT = register(analyze.Parser{
	Name:    "windows_mft",
	Doc:     "master file table of NTFS ($MFT): times of all files, deleted ones too",
	Version: 1,
	Family:  "fs",
	Types:   []string{"fs:stat:ntfs"},
	Match: func(it *evidence.Item, head []byte) bool {
		if ntfs.IsMFT(head) {
			return true
		}
		name := strings.ToLower(it.Path[strings.LastIndexAny(it.Path, `/\`)+1:])
		return strings.Contains(name, "mft") && ntfs.HasFileRecord(head)
	},
	Parse: parseMFT,
})

func parseMFT(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	at, size, err := src.RandomAccess()
	if at == nil {
		return err
	}
	if err != nil {
		out.Problem(evidence.Corrupt, -1, -1, "content ends in a decoding error: "+err.Error())
	}
	table, err := ntfs.NewMFT(at, size, ntfsHoles(src))
	if err != nil {
		return err
	}
	if table.Full() {
		out.Problem(evidence.TooBig, -1, -1, "more folders or extension records than are held in memory: some paths begin with a reference")
	}
	m := mftEvents{out: out, table: table}
	for {
		f, err := table.Next()
		for _, d := range table.Damage() {
			out.Problem(evidence.Code(d.Loss), d.Offset, d.Length, d.Detail)
		}
		if errors.Is(err, io.EOF) || out.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
		m.file(f)
	}
}

// mftEvents makes events of files.
type mftEvents struct {
	out   *timeline.Appender
	table *ntfs.MFT
	buf   []byte
	path  []byte // of the file
	own   []byte // of one of its names
}

func (m *mftEvents) file(f *ntfs.File) {
	for _, d := range f.Damage {
		m.out.Problem(evidence.Corrupt, f.Offset, f.Length, fmt.Sprintf("file record %d: %s", f.Number, d))
	}
	note := ntfs.PathOrphan
	if name := f.Name(); name != nil {
		m.path, note = m.table.AppendPath(m.path[:0], name.Parent, name.Name)
	} else {
		m.path = append(ntfs.Reference{Low: f.Number | uint64(f.Sequence)<<48}.Append(append(m.path[:0], '<')), '>')
	}
	if f.Standard {
		m.times(f, f.Offset, &f.Times, "$STANDARD_INFORMATION", m.path, note, func() { m.about(f) })
	}
	for i := range f.Names {
		n := &f.Names[i]
		m.own, note = m.table.AppendPath(m.own[:0], n.Parent, n.Name)
		m.times(f, n.Offset, &n.Times, "$FILE_NAME", m.own, note, func() { m.name(n) })
		if !f.Standard && i == 0 {
			m.about(f)
		}
	}
	if !f.Standard && len(f.Names) == 0 && (f.InUse || len(f.Streams) > 0) {
		m.event(f, f.Offset, 0, "", m.path, note)
		m.about(f)
	}
}

// times appends one event for each distinct time of an attribute; more adds
// what else the attribute says.
func (m *mftEvents) times(f *ntfs.File, off int64, t *ntfs.Times, attribute string, path []byte, note ntfs.PathNote, more func()) {
	times := [4]uint64{t.Modified, t.Accessed, t.Changed, t.Created}
	done := 0
	for i := range times {
		if done&(1<<i) != 0 {
			continue
		}
		set := 0
		for j := i; j < 4; j++ {
			if times[j] == times[i] {
				set |= 1 << j
			}
		}
		done |= set
		ev := m.event(f, off, set, attribute, path, note)
		setFiletime(ev, times[i])
		more()
	}
}

// nameMeanings are fsMeanings of the times of a name.
var nameMeanings = func() (meanings [16]string) {
	for set, text := range fsMeanings {
		meanings[set] = text + " ($FILE_NAME)"
	}
	return meanings
}()

// event appends the event of a set of equal times.
func (m *mftEvents) event(f *ntfs.File, off int64, set int, attribute string, path []byte, note ntfs.PathNote) *timeline.Event {
	out := m.out
	ev := out.Event(off, f.Length)
	ev.DataType, ev.SourceShort, ev.SourceLong = "fs:stat:ntfs", "FILE", "NTFS $MFT"
	ev.TSDesc, ev.TSKind, ev.Category = fsMeanings[set], timeline.Recorded, "file"
	if attribute == "$FILE_NAME" {
		ev.TSDesc = nameMeanings[set]
	}
	ev.RecNo = int64(f.Number)
	if len(f.Damage) > 0 {
		ev.Flags |= timeline.CorruptRec
	}
	if f.Escaped {
		ev.Flags |= timeline.EscapedText
	}
	ev.File = out.Text(path)
	deleted := ""
	if !f.InUse {
		deleted = " (deleted)"
	}
	if attribute != "" {
		ev.Message = out.Join(fsLetters[set], " ", attribute, " ", ev.File, deleted)
	} else {
		ev.Message = out.Join("file record without times ", ev.File, deleted)
	}
	out.AttrRaw("macb", fsLetters[set], 's')
	if attribute != "" {
		out.AttrRaw("attribute", attribute, 's')
	}
	m.reference("file_reference", ntfs.Reference{Low: f.Number | uint64(f.Sequence)<<48})
	if !f.InUse {
		out.AttrRaw("deleted", "true", 's')
	}
	switch note {
	case ntfs.PathDeleted:
		out.AttrRaw("path", "deleted", 's')
	case ntfs.PathOrphan:
		out.AttrRaw("path", "orphan", 's')
	}
	if f.Position != f.Number {
		out.AttrInt("position", int64(f.Position))
	}
	if f.Stated != f.Number {
		out.AttrInt("header_record", int64(f.Stated))
	}
	if f.Base.Low != 0 {
		m.reference("base_reference", f.Base)
	}
	return ev
}

func (m *mftEvents) reference(key string, r ntfs.Reference) {
	m.buf = r.Append(m.buf[:0])
	m.out.Attr(key, m.buf)
}

// about adds what a file's records say of it besides its times and names.
func (m *mftEvents) about(f *ntfs.File) {
	out := m.out
	for i := range f.Streams {
		s := &f.Streams[i]
		if len(s.Name) == 0 {
			out.AttrInt("size", s.Size)
			if s.Resident {
				out.AttrRaw("resident", "true", 's')
			}
			continue
		}
		out.Attr("ads", s.Name)
		out.AttrInt("ads_size", s.Size)
	}
	if f.Attributes != 0 {
		m.buf = ntfs.AppendAttributes(m.buf[:0], f.Attributes)
		out.AttrRaw("file_attributes", out.Intern(m.buf), 's')
	}
	if f.Links != 1 {
		out.AttrInt("links", int64(f.Links))
	}
	if f.SecurityID != 0 {
		out.AttrInt("security_id", int64(f.SecurityID))
	}
	if f.USN != 0 {
		out.AttrInt("usn", f.USN)
	}
	if len(f.ObjectID) == 16 {
		out.Attr("object_id", appendGUID(m.buf[:0], f.ObjectID))
	}
	if f.ReparseTag != 0 {
		out.Attr("reparse_tag", fmt.Appendf(m.buf[:0], "0x%08x", f.ReparseTag))
	}
}

// appendGUID writes a GUID, whose first three parts are little endian
// ([MS-DTYP] 2.3.4.2).
func appendGUID(dst, b []byte) []byte {
	le := binary.LittleEndian
	return fmt.Appendf(dst, "%08x-%04x-%04x-%x-%x", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), b[8:10], b[10:16])
}

// namespaces are the kinds of names.
var namespaces = [...]string{"posix", "win32", "dos", "win32+dos"}

// name adds what a $FILE_NAME says besides times and name.
func (m *mftEvents) name(n *ntfs.FileName) {
	m.reference("parent_reference", n.Parent)
	if int(n.Namespace) < len(namespaces) {
		m.out.AttrRaw("namespace", namespaces[n.Namespace], 's')
	}
	if n.Short != nil {
		m.out.Attr("short_name", n.Short)
	}
}
