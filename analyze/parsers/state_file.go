package parsers

import (
	"bytes"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// stateFile makes events of what a configuration file says. Nothing in it has
// a time: the events are of kind state, at the file's last write, when it was
// certainly so; since when is not known. Without that time they are undated.
type stateFile struct {
	out      *timeline.Appender
	dataType string
	source   string
	category string
	modified time.Time
	owner    string // account in whose home the file is
}

func newStateFile(src *analyze.Source, out *timeline.Appender, dataType, source, category string) *stateFile {
	f := &stateFile{out: out, dataType: dataType, source: source, category: category, owner: homeOwner(src.Item.Path)}
	if st := src.Item.Stat; st != nil {
		f.modified = st.Modified
	}
	return f
}

// event opens the event of one statement.
func (f *stateFile) event(offset, length, line int64, action string) *timeline.Event {
	ev := f.out.Event(offset, length)
	ev.Line = line
	ev.DataType, ev.SourceShort, ev.SourceLong = f.dataType, "STATE", f.source
	ev.TSDesc, ev.TSKind = "Content Modification Time", timeline.State
	if !f.modified.IsZero() {
		ev.SetTime(f.modified)
		ev.TSPrec, ev.TZSrc = timeline.Nanosecond, timeline.ZoneFormat
	}
	ev.Action, ev.Category = action, f.category
	return ev
}

// stateLine is a statement: a line, or several of which all but the last end
// in a backslash.
type stateLine struct {
	text           []byte // without the backslashes, blanks around it cut off
	offset, length int64
	number         int64
}

// stateMax bounds a statement.
const stateMax = 64 << 10

// eachStatement calls f for every statement that is neither blank nor a
// comment. Continued says that a backslash joins lines; it never does at the
// end of a comment, where it would hide the next line.
func eachStatement(src *analyze.Source, out *timeline.Appender, continued bool, comment func([]byte) bool, f func(stateLine)) error {
	records := newTextRecords(out)
	lines := textline.NewReader(src)
	var s stateLine
	open := false
	for lines.Next() {
		records.damage(lines)
		line := lines.Line
		if lines.Length == 0 {
			continue
		}
		if !open {
			s = stateLine{text: s.text[:0], offset: lines.Offset, number: lines.Number}
		}
		s.length = lines.Offset + lines.Length - s.offset
		if !open && comment(trimBlanks(line)) {
			continue
		}
		open = continued && len(line) > 0 && line[len(line)-1] == '\\' && len(s.text) < stateMax
		if open {
			line = line[:len(line)-1]
		}
		s.text = append(s.text, line...)
		if open {
			continue
		}
		if s.given(f); out.Err() != nil {
			return nil
		}
	}
	if open {
		s.given(f)
	}
	return lines.Err()
}

func (s *stateLine) given(f func(stateLine)) {
	if text := trimBlanks(s.text); len(text) > 0 {
		f(stateLine{text, s.offset, s.length, s.number})
	}
}

func trimBlanks(b []byte) []byte { return bytes.Trim(b, " \t") }

// hashComment reports whether a line is a comment in most of these files.
func hashComment(line []byte) bool { return len(line) > 0 && line[0] == '#' }

// badState reports a statement that the format does not know.
func badState(out *timeline.Appender, s stateLine, what string) {
	out.Problem(evidence.Corrupt, s.offset, s.length, "line with "+what)
}

// cutWord splits off the first word.
func cutWord(b []byte) (word, rest []byte) {
	n := 0
	for n < len(b) && b[n] != ' ' && b[n] != '\t' {
		n++
	}
	word, rest = b[:n], b[n:]
	for len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') {
		rest = rest[1:]
	}
	return word, rest
}

// below returns what follows the first of the folders in a path, wherever the
// root was mounted; ok is false where the path is in none of them.
func below(path string, folders ...string) (rest string, ok bool) {
	path = "/" + strings.TrimPrefix(path, "/")
	for _, f := range folders {
		if i := strings.LastIndex(path, f); i >= 0 && i+len(f) < len(path) {
			return path[i+len(f):], true
		}
	}
	return "", false
}
