package parsers

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/ntfs"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// windowsUsnjrnl reads the change journal of NTFS, $Extend\$UsnJrnl:$J, or a
// part of one. One event per record, versions 2, 3 and 4:
//
//	rec_no    the record's USN: its offset in the stream of the volume
//	file      the name in its folder; a record names the folder by reference
//	          only, so that it stands as <record-sequence>/name: the path of
//	          that record of $MFT, or what it was then. The root is /
//	action    file-created, file-deleted, file-renamed, file-modified
//	          or file-attributes-changed. A record with CLOSE sums up all that
//	          was done since the file was opened
//
// Attributes: reason, file_reference and parent_reference as record-sequence,
// file_attributes, source_info and security_id where not 0, version where it
// is not 2. Records of version 4 have no name and no time of their own: they
// are undated, and extents is what was written, offset+length.
var windowsUsnjrnl = register(analyze.Parser{
	Name:    "windows_usnjrnl",
	Doc:     "change journal of NTFS ($UsnJrnl:$J)",
	Version: 1,
	Family:  "fs",
	Types:   []string{"fs:ntfs:usn_change"},
	Match:   matchUsnjrnl,
	Parse:   parseUsnjrnl,
})

func matchUsnjrnl(it *evidence.Item, head []byte) bool {
	if ntfs.IsUSN(head) {
		return true
	}
	// The beginning of the stream is a hole, or damaged.
	name := strings.ToLower(it.Path[strings.LastIndexAny(it.Path, `/\`)+1:])
	if !strings.HasSuffix(name, "$j") && !strings.Contains(name, "usnjrnl") {
		return false
	}
	return len(head) >= 4096 && allZero(head) || ntfs.HasUSN(head)
}

func parseUsnjrnl(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	at, size, err := src.RandomAccess()
	if at == nil {
		return err
	}
	if err != nil {
		out.Problem(evidence.Corrupt, -1, -1, "content ends in a decoding error: "+err.Error())
	}
	r := ntfs.NewUSNReader(at, size, ntfsHoles(src))
	u := usnEvents{out: out}
	for {
		change, err := r.Next()
		for _, d := range r.Damage() {
			out.Problem(evidence.Code(d.Loss), d.Offset, d.Length, d.Detail)
		}
		if errors.Is(err, io.EOF) || out.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
		u.event(change)
	}
}

// ntfsHoles are the holes of an item that is read as it is stored.
func ntfsHoles(src *analyze.Source) (holes []ntfs.Hole) {
	if src.Chain == "" {
		for _, h := range src.Item.Holes {
			holes = append(holes, ntfs.Hole(h))
		}
	}
	return holes
}

// usnEvents makes events of change records.
type usnEvents struct {
	out *timeline.Appender
	buf []byte
}

// usnActions are what reasons mean, the weightiest first.
var usnActions = []struct {
	reason uint32
	action string
}{
	{ntfs.FileDelete, "file-deleted"},
	{ntfs.FileCreate, "file-created"},
	{ntfs.RenameOldName | ntfs.RenameNewName, "file-renamed"},
	{ntfs.DataOverwrite | ntfs.DataExtend | ntfs.DataTruncate | ntfs.NamedData, "file-modified"},
	{ntfs.BasicInfo | ntfs.Security | ntfs.ExtendedAttributes, "file-attributes-changed"},
}

func (u *usnEvents) event(c *ntfs.Change) {
	out := u.out
	ev := out.Event(c.Offset, c.Length)
	ev.DataType, ev.SourceShort, ev.SourceLong = "fs:ntfs:usn_change", "FILE", "NTFS change journal"
	ev.TSDesc, ev.TSKind, ev.Category = "Update Time", timeline.Recorded, "file"
	if c.Major != 4 {
		setFiletime(ev, c.Time)
	}
	ev.RecNo = c.USN
	for _, a := range usnActions {
		if c.Reason&a.reason != 0 {
			ev.Action = a.action
			break
		}
	}
	if c.Escaped {
		ev.Flags |= timeline.EscapedText
	}
	u.buf = ntfs.AppendReasons(u.buf[:0], c.Reason)
	reason := out.Intern(u.buf)
	file := u.reference(c.File)
	ev.Message = out.Join(reason, " file ", file)
	if c.Major != 4 {
		ev.File = u.path(c.Parent, c.Name)
		ev.Message = out.Join(reason, " ", ev.File)
	}
	out.AttrRaw("reason", reason, 's')
	out.AttrRaw("file_reference", file, 's')
	out.AttrRaw("parent_reference", u.reference(c.Parent), 's')
	if c.Attributes != 0 {
		u.buf = ntfs.AppendAttributes(u.buf[:0], c.Attributes)
		out.AttrRaw("file_attributes", out.Intern(u.buf), 's')
	}
	if c.Source != 0 {
		u.buf = ntfs.AppendSources(u.buf[:0], c.Source)
		out.AttrRaw("source_info", out.Intern(u.buf), 's')
	}
	if c.SecurityID != 0 {
		out.AttrInt("security_id", int64(c.SecurityID))
	}
	if c.Major != 2 {
		out.AttrInt("version", int64(c.Major))
	}
	u.extents(c)
	if c.Damage != "" {
		ev.Flags |= timeline.CorruptRec
		out.Problem(evidence.Corrupt, c.Offset, c.Length, c.Damage)
	}
}

// reference writes a file reference.
func (u *usnEvents) reference(r ntfs.Reference) string {
	u.buf = r.Append(u.buf[:0])
	return u.out.Text(u.buf)
}

// path writes the name of a file in its folder.
func (u *usnEvents) path(parent ntfs.Reference, name []byte) string {
	u.buf = ntfs.AppendLocated(u.buf[:0], parent, name)
	return u.out.Text(u.buf)
}

// extents writes the ranges that a record of version 4 tells.
func (u *usnEvents) extents(c *ntfs.Change) {
	if c.Major != 4 {
		return
	}
	b := u.buf[:0]
	for i, e := range c.Extents {
		if i > 0 {
			b = append(b, ',')
		}
		b = e.Append(b)
	}
	u.buf = b
	u.out.Attr("extents", b)
	if c.ExtentsLeft > 0 {
		u.out.AttrInt("extents_left", int64(c.ExtentsLeft))
	}
}
