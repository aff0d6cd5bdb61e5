package parsers

import (
	"bytes"
	"context"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// bodyFile reads body files of mactime, version 3, as fls, mac-robber, UAC and
// others write them: one file a line,
//
//	MD5|NAME|INODE|MODE|UID|GID|SIZE|ATIME|MTIME|CTIME|CRTIME
//
// with times in seconds since 1970, fractions allowed, 0 where there is none.
// Every distinct time of a line is one event; where times are equal, ts_desc
// joins their meanings and attr macb has mactime's letters. A line without any
// time gives one undated event. "#" begins a comment.
//
// The name is what stands between the first and the last nine "|"; \| \\ and
// \xHH in it are read as sleuthkit writes them, and attr name_raw keeps a name
// that this changed. " -> " ends the name of a link. What sleuthkit puts behind
// a name goes to attr deleted and attribute; the times of a $FILE_NAME have
// that behind their ts_desc.
//
// Format: sleuthkit, "Body file".
var bodyFile = register(analyze.Parser{
	Name:    "bodyfile",
	Doc:     "body files of mactime: file times that sleuthkit, UAC and others listed",
	Version: 1,
	Family:  "fs",
	Types:   []string{"fs:bodyfile:entry"},
	Match:   matchBodyfile,
	Parse:   parseBodyfile,
})

func matchBodyfile(_ *evidence.Item, head []byte) bool {
	lines := textline.Of(head)
	total, good := 0, 0
	var f bodyFields
	for total < headLines && lines.Next() {
		if len(lines.Line) == 0 || lines.Line[0] == '#' {
			continue
		}
		total++
		if f.read(lines.Line) {
			good++
		}
	}
	return good > 0 && 2*good >= total
}

func parseBodyfile(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	b := bodyEvents{out: out}
	damage := newTextRecords(out)
	bad := badLines{out: out, code: evidence.Corrupt, what: "no record of a body file"}
	lines := textline.NewReader(src)
	for lines.Next() {
		damage.damage(lines)
		if len(lines.Line) == 0 || lines.Line[0] == '#' {
			continue
		}
		if !b.read(lines.Line) {
			bad.add(lines)
			continue
		}
		b.line = lines.Number
		b.events(lines.Offset, lines.Length)
		if out.Err() != nil {
			return nil
		}
	}
	bad.end()
	return lines.Err()
}

// bodyFields are the columns of one line: parts of it.
type bodyFields struct {
	md5, inode, mode, uid, gid, size []byte
	column                           []byte   // that of the name
	times                            [4]int64 // m a c b, ns since 1970
	precision                        [4]string
	known                            [4]bool
}

// read takes a line apart; false when it has not the eleven columns, or a time
// is no number.
func (f *bodyFields) read(line []byte) bool {
	var ok bool
	if f.md5, line, ok = bytes.Cut(line, []byte("|")); !ok {
		return false
	}
	var columns [9][]byte
	for i := len(columns) - 1; i >= 0; i-- {
		at := bytes.LastIndexByte(line, '|')
		if at < 0 {
			return false
		}
		columns[i], line = line[at+1:], line[:at]
	}
	if len(line) == 0 {
		return false
	}
	f.column = line
	f.inode, f.mode, f.uid, f.gid, f.size = columns[0], columns[1], columns[2], columns[3], columns[4]
	for i, column := range [4]int{6, 5, 7, 8} { // atime stands before mtime
		if !f.time(i, columns[column]) {
			return false
		}
	}
	return true
}

// time reads seconds since 1970. Nothing, 0 and what find(1) and stat(1) write
// for a birth that is not known say that there is none.
func (f *bodyFields) time(i int, b []byte) bool {
	f.known[i] = false
	switch string(b) {
	case "", "0", "-", "?", "-1":
		return true
	}
	whole, fraction, dotted := bytes.Cut(b, []byte("."))
	sec, ok := parseInt(whole)
	if !ok || dotted && len(fraction) == 0 || sec > 1<<33 || sec < -1<<33 {
		return false
	}
	ns := int64(0)
	for k, c := range fraction {
		if c < '0' || c > '9' {
			return false
		}
		if k < 9 {
			ns = ns*10 + int64(c-'0')
		}
	}
	for k := len(fraction); k < 9; k++ {
		ns *= 10
	}
	if whole[0] == '-' {
		ns = -ns
	}
	if sec == 0 && ns == 0 {
		return true
	}
	f.times[i], f.known[i], f.precision[i] = sec*1e9+ns, true, precisionOf(len(fraction))
	return true
}

// bodyEvents makes events of lines.
type bodyEvents struct {
	bodyFields
	out  *timeline.Appender
	line int64
	name bodyName
}

// bodyName is what a name column says.
type bodyName struct {
	path, target      []byte
	changed           bool // escapes were undone
	deleted, fileName bool // fileName: the times are those of a $FILE_NAME
}

func (b *bodyEvents) events(off, length int64) {
	b.name.read(b.column, b.mode)
	dated := 0
	for i := range 4 {
		if !b.known[i] || dated&(1<<i) != 0 {
			continue
		}
		set := 0
		for j := i; j < 4; j++ {
			if b.known[j] && b.times[j] == b.times[i] {
				set |= 1 << j
			}
		}
		dated |= set
		ev := b.event(off, length, set)
		ev.SetNanos(b.times[i])
		ev.TSPrec, ev.TZSrc = b.precision[i], timeline.ZoneFormat
	}
	if dated == 0 {
		b.event(off, length, 0)
	}
}

// read takes the name column apart.
func (n *bodyName) read(column, mode []byte) {
	*n = bodyName{path: n.path[:0], target: n.target[:0]}
	for _, suffix := range []struct {
		text              string
		deleted, fileName bool
	}{{" (deleted)", true, false}, {" (deleted-realloc)", true, false}, {" ($FILE_NAME)", false, true}} {
		if cut, ok := bytes.CutSuffix(column, []byte(suffix.text)); ok && len(cut) > 0 {
			column, n.deleted, n.fileName = cut, n.deleted || suffix.deleted, n.fileName || suffix.fileName
		}
	}
	if len(mode) > 0 && mode[0] == 'l' {
		if path, target, ok := bytes.Cut(column, []byte(" -> ")); ok {
			column = path
			n.target = n.plain(n.target, target)
		}
	}
	n.path = n.plain(n.path, column)
}

// plain undoes sleuthkit's escapes.
func (n *bodyName) plain(dst, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' && i+1 < len(text) {
			switch next := text[i+1]; {
			case next == '\\' || next == '|':
				c, n.changed = next, true
				i++
			case next == 'x' && i+3 < len(text) && hexDigit(text[i+2]) >= 0 && hexDigit(text[i+3]) >= 0:
				c, n.changed = byte(hexDigit(text[i+2])<<4|hexDigit(text[i+3])), true
				i += 3
			}
		}
		dst = append(dst, c)
	}
	return dst
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// event appends the event of a set of equal times.
func (b *bodyEvents) event(off, length int64, set int) *timeline.Event {
	out, n := b.out, &b.name
	ev := out.Event(off, length)
	ev.DataType, ev.SourceShort, ev.SourceLong = "fs:bodyfile:entry", "FILE", "body file"
	ev.TSDesc, ev.TSKind, ev.Category = fsMeanings[set], timeline.Recorded, "file"
	if n.fileName {
		ev.TSDesc = nameMeanings[set]
	}
	ev.Line = b.line
	ev.File, ev.File2 = out.Text(n.path), out.Text(n.target)
	mode := out.Intern(b.mode)
	deleted := ""
	if n.deleted {
		deleted = " (deleted)"
	}
	if len(n.target) == 0 {
		ev.Message = out.Join(fsLetters[set], " ", mode, " ", ev.File, deleted)
	} else {
		ev.Message = out.Join(fsLetters[set], " ", mode, " ", ev.File, " -> ", ev.File2, deleted)
	}
	out.AttrRaw("macb", fsLetters[set], 's')
	for _, a := range [...]struct {
		key   string
		value []byte
	}{{"mode", b.mode}, {"size", b.size}, {"inode", b.inode}, {"uid", b.uid}, {"gid", b.gid}} {
		if len(a.value) == 0 {
			continue
		}
		kind := byte('s')
		if _, ok := parseInt(a.value); ok {
			kind = 'i'
		}
		out.AttrRaw(a.key, out.Intern(a.value), kind)
	}
	if len(b.md5) == 64 {
		if digest := digestOf(b.md5); digest != nil {
			ev.SHA256 = out.Text(digest)
		}
	}
	if len(b.md5) > 1 {
		out.Attr("md5", b.md5)
	}
	if n.deleted {
		out.AttrRaw("deleted", "true", 's')
	}
	if n.fileName {
		out.AttrRaw("attribute", "$FILE_NAME", 's')
	}
	if n.changed {
		out.Attr("name_raw", b.column)
	}
	return ev
}
