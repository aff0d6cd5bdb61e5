package parsers

import (
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// bashHistory reads the history of bash and of the shells that write one
// command a line. With HISTTIMEFORMAT set, bash writes "#SECONDS" in front of
// each command; a command of several lines then ends at the next such line.
// The record covers that line and the command.
var bashHistory = register(analyze.Parser{
	Name:    "bash_history",
	Doc:     "shell history of one command a line, with or without times",
	Version: 1,
	Family:  "history",
	Types:   []string{"bash:history:entry"},
	Match:   matchBashHistory,
	Parse:   parseBashHistory,
})

// matchBashHistory goes by name: commands have no grammar of their own. A
// file of another name needs times in the form that bash writes.
func matchBashHistory(it *evidence.Item, head []byte) bool {
	if len(head) == 0 || bytes.IndexByte(head[:min(len(head), 512)], 0) >= 0 {
		return false
	}
	switch name := it.Path[strings.LastIndexByte(it.Path, '/')+1:]; {
	case name == ".bash_history", name == ".sh_history", name == ".ash_history", name == ".history", name == ".ksh_history":
		return true
	case !strings.Contains(name, "history"):
		return false
	}
	line, rest, ok := bytes.Cut(head, []byte("\n"))
	_, dated := bashTime(line)
	return ok && dated && len(rest) > 0
}

// bashTime reads "#SECONDS". A comment that a user typed has rarely nine to
// eleven digits and nothing else.
func bashTime(line []byte) (int64, bool) {
	if len(line) < 10 || len(line) > 12 || line[0] != '#' {
		return 0, false
	}
	sec, ok := parseInt(line[1:])
	return sec, ok && plausible(sec)
}

// Bounds of a command of several lines.
const (
	commandLines = 200
	commandText  = 256 << 10
)

func parseBashHistory(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	at, size, err := openHistory(src, out)
	if err != nil {
		return err
	}
	h := newHistoryEvents(src, out, "bash:history:entry", "shell history")
	h.next = newDatedAhead(io.NewSectionReader(at, 0, size), bashTime)
	p := bashCommands{h: h, out: out}
	damage := newTextRecords(out)
	lines := textline.NewReader(io.NewSectionReader(at, 0, size))
	for lines.Next() {
		damage.damage(lines)
		p.line(lines)
		if out.Err() != nil {
			return nil
		}
	}
	p.finish()
	if p.dated {
		p.unused()
	}
	return lines.Err()
}

// bashCommands puts the lines of a history together.
type bashCommands struct {
	h   *historyEvents
	out *timeline.Appender

	dated          bool // a time was read whose command comes next
	sec            int64
	timeAt         int64
	timeLen        int64
	text           []byte // command that may go on
	offset, end    int64
	lineNo, joined int64
	open           bool
}

func (p *bashCommands) line(l *textline.Reader) {
	if sec, ok := bashTime(l.Line); ok {
		p.finish()
		if p.dated {
			p.unused()
		}
		p.dated, p.sec, p.timeAt, p.timeLen = true, sec, l.Offset, l.Length
		return
	}
	if p.open {
		p.text = append(append(p.text, '\n'), l.Line...)
		p.end = l.Offset + l.Length
		p.joined++
		if p.joined >= commandLines || len(p.text) > commandText || !unfinished(p.text) {
			p.finish()
		}
		return
	}
	if len(l.Line) == 0 {
		return
	}
	if !p.dated {
		p.h.command(l.Offset, l.Length, l.Number, timeline.None, l.Line)
		return
	}
	p.text = append(p.text[:0], l.Line...)
	p.offset, p.end, p.lineNo, p.joined = p.timeAt, l.Offset+l.Length, l.Number, 0
	p.open = true
	if !unfinished(p.text) {
		p.finish()
	}
}

// finish writes the command that was collected.
func (p *bashCommands) finish() {
	if !p.open {
		return
	}
	p.open, p.dated = false, false
	p.h.command(p.offset, p.end-p.offset, p.lineNo, p.sec, p.text)
	if p.joined > 0 {
		p.out.AttrInt("joined_lines", p.joined)
	}
}

// unused reports a time that no command follows: what was there is gone.
func (p *bashCommands) unused() {
	p.dated = false
	p.out.Problem(evidence.Missing, p.timeAt, p.timeLen, "time without a command")
}

// unfinished reports whether a shell would ask for another line: inside
// quotes, behind a backslash, or in a here-document.
func unfinished(text []byte) bool {
	var quote byte
	word := true // at the beginning of a word
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote == '\'':
			if c == '\'' {
				quote = 0
			}
		case c == '\\':
			if i+1 == len(text) {
				return true
			}
			i++
		case quote == '"':
			if c == '"' {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '#' && word:
			if n := bytes.IndexByte(text[i:], '\n'); n >= 0 {
				i += n
			} else {
				i = len(text)
			}
		case c == '<' && i+2 < len(text) && text[i+1] == '<' && text[i+2] != '<' && (i == 0 || text[i-1] != '<'):
			return !hereEnds(text[i+2:])
		}
		word = c == ' ' || c == '\n' || c == ';'
	}
	return quote != 0
}

// hereEnds reports whether the here-document whose word begins at b has its
// end.
func hereEnds(b []byte) bool {
	b = bytes.TrimLeft(b, "- ")
	end := bytes.IndexAny(b, " \n;|&>)")
	if end < 0 {
		end = len(b)
	}
	word := bytes.Trim(b[:end], `'"\`)
	if len(word) == 0 {
		return true
	}
	for line := range bytes.SplitSeq(b[end:], []byte("\n")) {
		if bytes.Equal(bytes.TrimLeft(line, "\t"), word) {
			return true
		}
	}
	return false
}
