package parsers

import (
	"bytes"
	"context"
	"io"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/textline"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// lessHistory reads .lesshst: what was searched for in less, which commands
// it was told to run, and marks in files. Nothing in it has a time.
//
//	.less-history-file:
//	.search
//	"PATTERN
//	.shell
//	"COMMAND
//	.mark
//	m LETTER LINE POSITION FILE
//
// Format: less, cmdbuf.c and mark.c.
var lessHistory = register(analyze.Parser{
	Name:    "less_history",
	Doc:     ".lesshst: searches, shell commands and marks of less",
	Version: 1,
	Family:  "history",
	Types:   []string{"less:history:entry"},
	Match: func(_ *evidence.Item, head []byte) bool {
		return bytes.HasPrefix(head, []byte(".less-history-file:"))
	},
	Parse: parseLessHistory,
})

func parseLessHistory(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	at, size, err := openHistory(src, out)
	if err != nil {
		return err
	}
	h := newHistoryEvents(src, out, "less:history:entry", "less history")
	damage := newTextRecords(out)
	bad := badLines{out: out, code: evidence.Corrupt, what: "no entry of the history"}
	lines := textline.NewReader(io.NewSectionReader(at, 0, size))
	section := ""
	for lines.Next() {
		damage.damage(lines)
		switch line := lines.Line; {
		case len(line) == 0:
		case line[0] == '.':
			section = string(line)
		case line[0] == '"' && len(line) > 1:
			ev := h.command(lines.Offset, lines.Length, lines.Number, timeline.None, line[1:])
			if section != ".shell" {
				ev.Action, ev.Cmdline = "search-entered", ""
			}
			out.AttrStr("section", section)
		case len(markedFile(line)) > 0:
			ev := h.command(lines.Offset, lines.Length, lines.Number, timeline.None, line)
			ev.Action, ev.Cmdline = "mark-set", ""
			ev.File = out.Text(markedFile(line))
			out.AttrStr("section", section)
		default:
			bad.add(lines)
		}
		if out.Err() != nil {
			return nil
		}
	}
	bad.end()
	return lines.Err()
}

// markedFile reads "m LETTER LINE POSITION FILE".
func markedFile(line []byte) []byte {
	f := bytes.SplitN(line, []byte(" "), 5)
	if len(f) < 5 || string(f[0]) != "m" {
		return nil
	}
	return f[4]
}
