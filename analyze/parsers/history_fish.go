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

// fishHistory reads the history of fish, which looks like YAML and is not:
//
//   - cmd: COMMAND
//     when: SECONDS
//     paths:
//   - FILE
//
// In COMMAND a line end is written \n and a backslash \\. paths are the
// arguments that were files when the command was given.
var fishHistory = register(analyze.Parser{
	Name:    "fish_history",
	Doc:     "history of fish, with times and the files named",
	Version: 1,
	Family:  "history",
	Types:   []string{"fish:history:entry"},
	Match:   matchFishHistory,
	Parse:   parseFishHistory,
})

var (
	fishCommand = []byte("- cmd: ")
	fishWhen    = []byte("  when: ")
	fishPath    = []byte("    - ")
)

func matchFishHistory(it *evidence.Item, head []byte) bool {
	if strings.HasSuffix(it.Path, "/fish_history") && bytes.Contains(head, fishCommand) {
		return true
	}
	_, rest, _ := bytes.Cut(head, []byte("\n"))
	return bytes.HasPrefix(head, fishCommand) && bytes.HasPrefix(rest, fishWhen)
}

func fishTime(line []byte) (int64, bool) {
	number, ok := bytes.CutPrefix(line, fishWhen)
	if !ok {
		return 0, false
	}
	sec, ok := parseInt(number)
	return sec, ok && plausible(sec)
}

func parseFishHistory(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	at, size, err := openHistory(src, out)
	if err != nil {
		return err
	}
	h := newHistoryEvents(src, out, "fish:history:entry", "shell history")
	h.next = newDatedAhead(io.NewSectionReader(at, 0, size), fishTime)
	p := fishEntries{h: h, out: out, bad: badLines{out: out, code: evidence.Corrupt, what: "no part of a command"}}
	damage := newTextRecords(out)
	lines := textline.NewReader(io.NewSectionReader(at, 0, size))
	for lines.Next() {
		damage.damage(lines)
		p.line(lines)
		if out.Err() != nil {
			return nil
		}
	}
	p.end()
	p.bad.end()
	return lines.Err()
}

// fishPaths bounds the files of one command.
const fishPaths = 100

// fishEntries puts the lines of an entry together.
type fishEntries struct {
	h   *historyEvents
	out *timeline.Appender
	bad badLines

	open           bool
	text           []byte
	sec            int64
	offset, length int64
	lineNo         int64
	paths          [][]byte
	morePaths      bool
}

func (p *fishEntries) line(l *textline.Reader) {
	if command, ok := bytes.CutPrefix(l.Line, fishCommand); ok {
		p.end()
		p.open, p.sec, p.paths, p.morePaths = true, timeline.None, p.paths[:0], false
		p.text = unescapeFish(p.text[:0], command)
		p.offset, p.length, p.lineNo = l.Offset, l.Length, l.Number
		return
	}
	if len(l.Line) == 0 {
		return
	}
	if !p.open {
		p.bad.add(l)
		return
	}
	if sec, ok := fishTime(l.Line); ok {
		p.sec = sec
	} else if path, ok := bytes.CutPrefix(l.Line, fishPath); ok {
		if len(p.paths) < fishPaths {
			p.paths = append(p.paths, bytes.Clone(cutText(path)))
		} else {
			p.morePaths = true
		}
	} else if string(l.Line) != "  paths:" {
		p.bad.add(l)
		return
	}
	p.length = l.Offset + l.Length - p.offset
}

// end writes the entry that was collected.
func (p *fishEntries) end() {
	if !p.open {
		return
	}
	p.open = false
	p.h.command(p.offset, p.length, p.lineNo, p.sec, p.text)
	for _, path := range p.paths {
		p.out.Attr("path", path)
	}
	if p.morePaths {
		p.out.AttrStr("cut", "path")
	}
}

// unescapeFish undoes \n and \\.
func unescapeFish(dst, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) && (b[i+1] == 'n' || b[i+1] == '\\') {
			i++
			if b[i] == 'n' {
				dst = append(dst, '\n')
				continue
			}
		}
		dst = append(dst, b[i])
	}
	return dst
}
