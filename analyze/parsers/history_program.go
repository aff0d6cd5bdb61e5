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

// programHistory reads what was typed into the prompts of Python, psql, mysql,
// mariadb, sqlite3, redis-cli, PHP and gdb: one line each, oldest first,
// without times. The file's name says which program. Files of libedit begin
// with "_HiStOrY_V2_" and write blanks and other characters as \ooo; psql
// writes 0x01 for a line end inside a statement. Attr program; the action is
// statement-entered, since none of it is a command of the shell.
var programHistory = register(analyze.Parser{
	Name:    "program_history",
	Doc:     "histories of Python, psql, mysql, sqlite3, redis-cli, PHP and gdb",
	Version: 1,
	Family:  "history",
	Types:   []string{"program:history:entry"},
	Match: func(it *evidence.Item, head []byte) bool {
		if len(head) == 0 || bytes.IndexByte(head[:min(len(head), 16)], 0) >= 0 {
			return false
		}
		return historyProgram(it.Path) != "" || bytes.HasPrefix(head, libeditMagic)
	},
	Parse: parseProgramHistory,
})

var libeditMagic = []byte("_HiStOrY_V2_")

// historyProgram says whose history a file is by its name: statements have no
// grammar in common.
func historyProgram(path string) string {
	switch path[strings.LastIndexByte(path, '/')+1:] {
	case ".python_history", "python_history":
		return "python"
	case ".psql_history", "psql_history":
		return "psql"
	case ".mysql_history", "mysql_history":
		return "mysql"
	case ".mariadb_history":
		return "mariadb"
	case ".sqlite_history":
		return "sqlite3"
	case ".rediscli_history":
		return "redis-cli"
	case ".php_history":
		return "php"
	case ".gdb_history":
		return "gdb"
	}
	return ""
}

func parseProgramHistory(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	at, size, err := openHistory(src, out)
	if err != nil {
		return err
	}
	h := newHistoryEvents(src, out, "program:history:entry", "program history")
	program := historyProgram(src.Item.Path)
	damage := newTextRecords(out)
	lines := textline.NewReader(io.NewSectionReader(at, 0, size))
	libedit := false
	var text []byte
	for lines.Next() {
		damage.damage(lines)
		if lines.Number == 1 && bytes.Equal(lines.Line, libeditMagic) {
			libedit = true
			continue
		}
		if len(lines.Line) == 0 {
			continue
		}
		text = append(text[:0], lines.Line...)
		if libedit {
			text = unescapeOctal(text)
		}
		if program == "psql" {
			text = bytes.ReplaceAll(text, []byte{1}, []byte("\n"))
		}
		ev := h.command(lines.Offset, lines.Length, lines.Number, timeline.None, text)
		ev.Action = "statement-entered"
		if ev.Message == "" {
			ev.Message = "empty statement"
		}
		if program != "" {
			out.AttrStr("program", program)
		}
		if out.Err() != nil {
			return nil
		}
	}
	return lines.Err()
}

// unescapeOctal undoes what strvis(3) with VIS_WHITE does, in place: \ooo and
// \\.
func unescapeOctal(b []byte) []byte {
	dst := b[:0]
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+3 < len(b) && octal(b[i+1]) && octal(b[i+2]) && octal(b[i+3]) {
			dst = append(dst, (b[i+1]-'0')<<6|(b[i+2]-'0')<<3|(b[i+3]-'0'))
			i += 3
			continue
		}
		if b[i] == '\\' && i+1 < len(b) && b[i+1] == '\\' {
			i++
		}
		dst = append(dst, b[i])
	}
	return dst
}

func octal(c byte) bool { return c >= '0' && c <= '7' }
