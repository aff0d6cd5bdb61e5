package parsers

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/jsonl"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// fsRecords reads what the collector recorded of files: the lines of the
// file system walk (record.File) and the manifest of the bundle itself, two
// lines an item (docs/format/bundle.md), of which those read through the file
// system, and files of the host that were received in an archive, count. Of the
// latter a time of a whole second has a precision of one: that is all that most
// archives state. Every distinct time of a file is one event; where times are
// equal, ts_desc joins their meanings and attr macb shows them in mactime's
// letters (modified, accessed, changed, born). rec_off/len is the line that
// states the times. A file without any time gives one undated event.
//
// The file system states times of the file's inode, so user is not set:
// owner, uid and gid are attributes.
var fsRecords = register(analyze.Parser{
	Name:    "fs_records",
	Doc:     "file times from the file system walk and the bundle's manifest",
	Version: 1,
	Family:  "fs",
	Types:   []string{"fs:stat"},
	Match: func(it *evidence.Item, head []byte) bool {
		// A manifest begins with spaces where its first record was erased.
		return len(head) > 0 && (head[0] == '{' || head[0] == ' ' && it.Kind == evidence.KindManifest) &&
			(it.Kind == evidence.KindManifest || isRecordSet(it, record.Files))
	},
	Parse: parseFSRecords,
})

// isRecordSet reports whether the item is the collector's record set of that
// name. A file of the host cannot be one, whatever it is called.
func isRecordSet(it *evidence.Item, name string) bool {
	return it.Kind == evidence.KindStream && it.Path == name
}

// fsLineMax bounds a line. A manifest line has at most 1 MiB.
const fsLineMax = 1 << 20

func parseFSRecords(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	f := fsEvents{out: out, owners: src.Host.Users, modes: map[uint32]string{}}
	read := f.walkLine
	manifest := src.Item.Kind == evidence.KindManifest
	if manifest {
		read = f.manifestLine
	}
	return eachLine(src, out, fsLineMax, func(line []byte, off int64) error {
		if manifest && len(bytes.TrimSpace(line)) == 0 {
			return nil // erased on a legal order, as the bundle's verdict says
		}
		f.scan.Reset(line)
		return read(off, int64(len(line)))
	})
}

// fsEvents makes events of file records.
type fsEvents struct {
	out     *timeline.Appender
	scan    jsonl.Scanner
	owners  map[uint32]string
	file    fsFile
	content fsContent // last content line of a manifest
	modes   map[uint32]string
}

// fsFile is what one line states. Byte fields are parts of the line.
type fsFile struct {
	path, link, owner, dev, sha256 []byte
	note, member, source, kind     []byte
	mode                           uint64
	uid, gid, inode, nlink, attr   uint64
	size                           int64
	times                          [4]int64 // m a c b, ns since 1970
	known                          [4]bool
	changed                        bool
	outside                        bool // a time is not between 1678 and 2261
	unknown                        evidence.StatFields
}

// fsContent is what the content line of a leaf states.
type fsContent struct {
	index  int64
	sha256 [64]byte
	hashed bool
}

// walkLine reads a record.File.
func (f *fsEvents) walkLine(off, length int64) error {
	s, file := &f.scan, &f.file
	*file = fsFile{}
	if !s.Object() {
		return s.Err()
	}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "path":
			file.path = recordBytes(s)
		case "link":
			file.link = recordBytes(s)
		case "sha256":
			file.sha256 = s.Text()
		case "hash_note":
			file.note = s.Text()
		case "atime":
			file.setTime(1, s.Int())
		case "mtime":
			file.setTime(0, s.Int())
		case "ctime":
			file.setTime(2, s.Int())
		case "btime":
			file.setTime(3, s.Int())
		case "inode":
			file.inode = s.Uint()
		default:
			f.statKey(key)
		}
	}
	if err := s.End(); err != nil {
		return err
	}
	if len(file.path) == 0 {
		return errNoPath
	}
	f.events(off, length)
	return nil
}

// statKey reads the keys that a walk line and a manifest's stat share.
func (f *fsEvents) statKey(key []byte) {
	s, file := &f.scan, &f.file
	switch string(key) {
	case "mode":
		file.mode = s.Uint()
	case "uid":
		file.uid = s.Uint()
	case "gid":
		file.gid = s.Uint()
	case "owner":
		file.owner = s.Text()
	case "size":
		file.size = s.Int()
	case "dev":
		file.dev = s.Text()
	case "nlink":
		file.nlink = s.Uint()
	case "attr":
		file.attr = s.Uint()
	default:
		s.Skip()
	}
}

func (file *fsFile) setTime(i int, ns int64) { file.times[i], file.known[i] = ns, ns != 0 }

// recordBytes reads a record.Bytes: text, or {"b64": …}.
func recordBytes(s *jsonl.Scanner) []byte {
	if s.Is('"') {
		return s.Text()
	}
	var out []byte
	if s.Object() {
		for key, ok := s.Key(); ok; key, ok = s.Key() {
			if string(key) == "b64" {
				out = s.Base64()
			} else {
				s.Skip()
			}
		}
	}
	return out
}

// manifestLine reads a line of a manifest batch. A content line names the
// kind and the digest, the metadata line behind it the path and the times.
func (f *fsEvents) manifestLine(off, length int64) error {
	s, file := &f.scan, &f.file
	*file = fsFile{}
	if !s.Object() {
		return s.Err()
	}
	index, stated := f.manifestKeys()
	if err := s.End(); err != nil {
		return err
	}
	if file.kind != nil {
		f.content = fsContent{index: index}
		f.content.hashed = copy(f.content.sha256[:], file.sha256) == 64
		return nil
	}
	if !stated || !ofHost(file.source) {
		return nil
	}
	if f.content.index == index && f.content.hashed {
		file.sha256 = f.content.sha256[:]
	}
	f.events(off, length)
	return nil
}

// ofHost reports whether what was read through an accessor is a file of the
// host, with the times it had there.
func ofHost(source []byte) bool {
	switch string(source) {
	case "file", "root", evidence.SourceImport:
		return true
	}
	return false
}

// manifestKeys reads the members of a manifest line's object.
func (f *fsEvents) manifestKeys() (index int64, stated bool) {
	s, file := &f.scan, &f.file
	index = -1
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "i":
			index = s.Int()
		case "k":
			file.kind = s.Text()
		case "sha256":
			file.sha256 = s.Text()
		case "member":
			file.member = s.Text()
		case "src":
			file.source = s.Text()
		case "path":
			file.path = s.Text()
		case "path_b64":
			file.path = s.Base64()
		case "link":
			file.link = s.Text()
		case "link_b64":
			file.link = s.Base64()
		case "changed":
			file.changed = s.Bool()
		case "stat":
			stated = true
			f.stat()
		default:
			s.Skip()
		}
	}
	return index, stated
}

// stat reads the stat object of a metadata line.
func (f *fsEvents) stat() {
	s, file := &f.scan, &f.file
	if !s.Object() {
		return
	}
	file.unknown = statNumbers
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		file.unknown &^= statField(key)
		switch string(key) {
		case "atime":
			file.setText(1, s.Text())
		case "mtime":
			file.setText(0, s.Text())
		case "ctime":
			file.setText(2, s.Text())
		case "btime":
			file.setText(3, s.Text())
		case "ino":
			file.inode = s.Uint()
		default:
			f.statKey(key)
		}
	}
}

// statNumbers are the numbers that a manifest leaves out where nobody stated
// them: an archive that was received knows less of a file than its host did.
const statNumbers = evidence.StatMode | evidence.StatIDs | evidence.StatInode | evidence.StatNlink | evidence.StatSize

func statField(key []byte) evidence.StatFields {
	switch string(key) {
	case "mode":
		return evidence.StatMode
	case "uid", "gid":
		return evidence.StatIDs
	case "ino":
		return evidence.StatInode
	case "nlink":
		return evidence.StatNlink
	case "size":
		return evidence.StatSize
	}
	return 0
}

// setText takes a time in RFC 3339 UTC. The manifest writes years that RFC
// 3339 cannot express as "@seconds.fraction"; an int64 cannot hold them.
func (file *fsFile) setText(i int, text []byte) {
	if ns, ok := parseUTC(text); ok {
		file.times[i], file.known[i] = ns, true
	} else if t, err := time.Parse(time.RFC3339Nano, string(text)); err == nil && t.Year() > 1677 && t.Year() < 2262 {
		file.times[i], file.known[i] = t.UnixNano(), true
	} else {
		file.outside = true
	}
}

// fsMeanings and fsLetters name every set of equal times by its bits: 1
// modified, 2 accessed, 4 changed, 8 born.
var fsMeanings, fsLetters = fsNames()

func fsNames() (meanings, letters [16]string) {
	names := [...]string{"Content Modification Time", "Last Access Time", "Metadata Modification Time", "Creation Time"}
	for set := range 16 {
		var parts []string
		text := []byte("....")
		for i, name := range names {
			if set&(1<<i) != 0 {
				parts = append(parts, name)
				text[i] = "macb"[i]
			}
		}
		meanings[set], letters[set] = strings.Join(parts, "; "), string(text)
	}
	meanings[0] = "Not Dated"
	return meanings, letters
}

// events appends one event per distinct time.
func (f *fsEvents) events(off, length int64) {
	file := &f.file
	dated := 0
	for i := range 4 {
		if !file.known[i] || dated&(1<<i) != 0 {
			continue
		}
		set := 0
		for j := i; j < 4; j++ {
			if file.known[j] && file.times[j] == file.times[i] {
				set |= 1 << j
			}
		}
		dated |= set
		ev := f.event(off, length, set)
		ev.SetNanos(file.times[i])
		ev.TSPrec, ev.TZSrc = timeline.Nanosecond, timeline.ZoneFormat
		if string(file.source) == evidence.SourceImport && file.times[i]%1e9 == 0 {
			ev.TSPrec = timeline.Second
		}
	}
	if dated == 0 {
		f.event(off, length, 0)
	}
	if file.outside {
		f.out.Problem(evidence.Undated, off, length, "a time of the file is not between the years 1678 and 2261")
	}
}

// event appends the event of a set of equal times.
func (f *fsEvents) event(off, length int64, set int) *timeline.Event {
	out, file := f.out, &f.file
	ev := out.Event(off, length)
	ev.DataType, ev.SourceShort, ev.SourceLong = "fs:stat", "FILE", "file system"
	ev.TSDesc, ev.TSKind, ev.Category = fsMeanings[set], timeline.Recorded, "file"
	ev.File = out.Text(file.path)
	if len(file.sha256) == 64 {
		ev.SHA256 = out.Text(file.sha256)
	}
	mode := "?"
	if file.knows(evidence.StatMode) {
		mode = f.mode(uint32(file.mode))
	}
	ev.Message = out.Join(fsLetters[set], " ", mode, " ", ev.File)
	if len(file.link) > 0 {
		ev.File2 = out.Text(file.link)
		ev.Message = out.Join(ev.Message, " -> ", ev.File2)
	}
	out.AttrRaw("macb", fsLetters[set], 's')
	if file.knows(evidence.StatMode) {
		out.AttrRaw("mode", mode, 's')
	}
	if file.knows(evidence.StatSize) {
		out.AttrInt("size", file.size)
	}
	if file.knows(evidence.StatInode) {
		out.AttrInt("inode", int64(file.inode&(1<<63-1)))
	}
	f.attrs()
	return ev
}

func (file *fsFile) knows(f evidence.StatFields) bool { return file.unknown&f == 0 }

func (f *fsEvents) attrs() {
	out, file := f.out, &f.file
	ids := file.knows(evidence.StatIDs)
	if ids {
		out.AttrInt("uid", int64(uint32(file.uid)))
		out.AttrInt("gid", int64(uint32(file.gid)))
	}
	if owner := file.owner; len(owner) > 0 {
		out.AttrRaw("owner", out.Intern(owner), 's')
	} else if name := f.owners[uint32(file.uid)]; ids && name != "" {
		out.AttrRaw("owner", name, 's')
	}
	if len(file.dev) > 0 {
		out.AttrRaw("dev", out.Intern(file.dev), 's')
	}
	if file.nlink != 1 && file.knows(evidence.StatNlink) {
		out.AttrInt("nlink", int64(uint32(file.nlink)))
	}
	if len(file.link) > 0 {
		out.Attr("link", file.link)
	}
	if file.attr != 0 {
		out.AttrInt("attributes", int64(file.attr&(1<<63-1)))
	}
	if len(file.member) > 0 {
		out.Attr("member", file.member)
	}
	if len(file.note) > 0 {
		out.AttrRaw("hash_note", out.Intern(file.note), 's')
	}
	if file.changed {
		out.AttrRaw("changed_while_read", "true", 's')
	}
}

// mode names a mode; few of them occur.
func (f *fsEvents) mode(mode uint32) string {
	name, ok := f.modes[mode]
	if !ok {
		name = string(appendMode(nil, mode))
		if len(f.modes) < 4096 {
			f.modes[mode] = name
		}
	}
	return name
}
