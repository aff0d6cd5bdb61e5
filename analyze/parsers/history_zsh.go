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

// zshHistory reads the history of zsh. With EXTENDED_HISTORY a line is
// ": START:ELAPSED;COMMAND", where the times are seconds; ELAPSED makes the
// event a span. A command's line end is escaped with a backslash, and bytes
// that zsh uses itself are "metafied": 0x83 and the byte with bit 5 flipped.
var zshHistory = register(analyze.Parser{
	Name:    "zsh_history",
	Doc:     "zsh history, extended and plain",
	Version: 1,
	Family:  "history",
	Types:   []string{"shell:zsh:history"},
	Match:   matchZshHistory,
	Parse:   parseZshHistory,
})

func matchZshHistory(it *evidence.Item, head []byte) bool {
	if len(head) == 0 || bytes.IndexByte(head[:min(len(head), 512)], 0) >= 0 {
		return false
	}
	name := it.Path[strings.LastIndexByte(it.Path, '/')+1:]
	if name == ".zsh_history" || name == ".zhistory" || name == ".histfile" {
		return true
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	_, _, _, ok := zshExtended(line)
	return ok
}

// zshExtended reads the prefix of an extended line.
func zshExtended(line []byte) (sec, elapsed int64, command []byte, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte(": "))
	if !ok {
		return 0, 0, nil, false
	}
	stamp, command, ok := bytes.Cut(rest, []byte(";"))
	if !ok || len(stamp) > 32 {
		return 0, 0, nil, false
	}
	start, span, ok := bytes.Cut(bytes.TrimSpace(stamp), []byte(":"))
	if !ok {
		return 0, 0, nil, false
	}
	sec, ok1 := parseInt(start)
	elapsed, ok2 := parseInt(span)
	return sec, elapsed, command, ok1 && ok2 && plausible(sec)
}

func zshTime(line []byte) (int64, bool) {
	sec, _, _, ok := zshExtended(line)
	return sec, ok
}

func parseZshHistory(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	at, size, err := openHistory(src, out)
	if err != nil {
		return err
	}
	p := zshCommands{h: newHistoryEvents(src, out, "shell:zsh:history", "zsh history"), out: out}
	p.h.next = newDatedAhead(io.NewSectionReader(at, 0, size), zshTime)
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
	return lines.Err()
}

// zshCommands puts the lines of a history together.
type zshCommands struct {
	h   *historyEvents
	out *timeline.Appender

	open           bool
	text           []byte
	sec, elapsed   int64
	offset, end    int64
	lineNo, joined int64
}

func (p *zshCommands) line(l *textline.Reader) {
	if p.open {
		p.text = append(p.text, '\n')
		p.joined++
		p.take(l, l.Line)
		return
	}
	if len(l.Line) == 0 {
		return
	}
	sec, elapsed, command, ok := zshExtended(l.Line)
	if !ok {
		sec, elapsed, command = timeline.None, 0, l.Line
	}
	p.open, p.text, p.joined = true, p.text[:0], 0
	p.sec, p.elapsed, p.offset, p.lineNo = sec, elapsed, l.Offset, l.Number
	p.take(l, command)
}

// take adds a line of a command; an odd number of backslashes at its end says
// that the command goes on.
func (p *zshCommands) take(l *textline.Reader, line []byte) {
	slashes := len(line) - len(bytes.TrimRight(line, `\`))
	more := slashes%2 == 1
	if more {
		line = line[:len(line)-1]
	}
	p.text = append(p.text, line...)
	p.end = l.Offset + l.Length
	if !more || p.joined >= commandLines || len(p.text) > commandText {
		p.finish()
	}
}

func (p *zshCommands) finish() {
	if !p.open {
		return
	}
	p.open = false
	p.text = unmetafy(p.text)
	ev := p.h.command(p.offset, p.end-p.offset, p.lineNo, p.sec, p.text)
	if ev.Message == "" {
		ev.Message = "empty command"
	}
	if p.sec != timeline.None && p.elapsed > 0 && p.elapsed < 1<<31 {
		ev.TSEnd = ev.TS + p.elapsed*1e9
	}
	if p.joined > 0 {
		p.out.AttrInt("joined_lines", p.joined)
	}
}

// unmetafy undoes zsh's encoding in place (zsh Src/utils.c).
func unmetafy(b []byte) []byte {
	const meta = 0x83
	i := bytes.IndexByte(b, meta)
	if i < 0 {
		return b
	}
	out := b[:i]
	for ; i < len(b); i++ {
		if b[i] == meta && i+1 < len(b) {
			i++
			out = append(out, b[i]^32)
			continue
		}
		out = append(out, b[i])
	}
	return out
}
