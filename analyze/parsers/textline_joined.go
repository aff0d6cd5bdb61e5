package parsers

import (
	"strconv"

	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// Bounds of the lines without a time that are joined to the one before them.
const (
	joinText  = 16 << 10 // text that goes into the message
	joinBytes = 1 << 20  // bytes of the record; beyond them the rest is a record of its own
)

// textRecords reports what is wrong with the lines of a text log, and joins
// lines without a time to the record they belong to.
type textRecords struct {
	out     *timeline.Appender
	ev      *timeline.Event // open record that further lines may join
	message []byte          // its text, when lines were joined
	joined  int64
	undated bool     // the open record is a line without a time
	lost    badLines // run of such lines
}

func newTextRecords(out *timeline.Appender) textRecords {
	return textRecords{out: out, lost: badLines{out: out, code: evidence.Undated, what: "no time"}}
}

// damage reports NUL bytes in front of a line and lines that are too long.
func (t *textRecords) damage(l *textline.Reader) {
	if l.NULs > 0 {
		t.out.Problem(evidence.Corrupt, l.Offset-l.NULs, l.NULs, strconv.FormatInt(l.NULs, 10)+" NUL bytes between lines")
	}
	if l.Truncated {
		t.out.Problem(evidence.TooBig, l.Offset, l.Length, "line of "+strconv.FormatInt(l.Length, 10)+" bytes; its first MiB was read")
	}
}

// begin closes the open record and opens one at the line.
func (t *textRecords) begin(l *textline.Reader) *timeline.Event {
	t.end()
	ev := t.out.Event(l.Offset, l.Length)
	ev.Line = l.Number
	ev.SourceShort, ev.SourceLong = "LOG", "text log"
	ev.TSDesc, ev.TSKind = "Event Logged", timeline.Recorded
	if l.Truncated {
		ev.Flags |= timeline.TruncatedRec
	}
	t.ev, t.undated = ev, false
	return ev
}

// join adds a line without a time to the open record, or opens a record
// without a time and reports false.
func (t *textRecords) join(l *textline.Reader) (joined bool) {
	if t.ev == nil || l.Offset+l.Length-t.ev.RecOff > joinBytes || l.NULs > 0 || t.undated {
		ev := t.begin(l)
		t.undated = true
		ev.Message = t.out.Text(l.Line[:min(len(l.Line), joinText)])
		t.lost.add(l)
		return false
	}
	if t.joined == 0 {
		t.message = append(t.message[:0], t.ev.Message...)
	}
	t.joined++
	if len(t.message) < joinText {
		t.message = append(t.message, '\n')
		t.message = append(t.message, l.Line[:min(len(l.Line), joinText)]...)
	}
	t.ev.RecLen = l.Offset + l.Length - t.ev.RecOff
	return true
}

// end completes the open record.
func (t *textRecords) end() {
	if t.ev != nil && t.joined > 0 {
		t.ev.Message = t.out.Text(t.message)
		t.out.AttrInt("joined_lines", t.joined)
	}
	t.ev, t.joined = nil, 0
}

// finish completes what is open at the end of the log.
func (t *textRecords) finish() {
	t.end()
	t.lost.end()
}

// badLines reports runs of lines that a format does not know, one problem per
// run.
type badLines struct {
	out           *timeline.Appender
	code          evidence.Code
	what          string
	from, to      int64
	count, lastNo int64
}

func (b *badLines) add(l *textline.Reader) {
	if b.count > 0 && b.lastNo+1 != l.Number {
		b.end()
	}
	if b.count == 0 {
		b.from = l.Offset
	}
	b.count++
	b.to, b.lastNo = l.Offset+l.Length, l.Number
}

func (b *badLines) end() {
	if b.count == 0 {
		return
	}
	detail := "line with " + b.what
	if b.count > 1 {
		detail = strconv.FormatInt(b.count, 10) + " lines with " + b.what
	}
	b.out.Problem(b.code, b.from, b.to-b.from, detail)
	b.count = 0
}
