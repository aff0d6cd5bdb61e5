package export

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// Columns are those of CSV when none are chosen.
var Columns = []string{
	"ts", "ts_desc", "host", "user", "data_type", "message", "action", "outcome", "exe", "pid", "file",
	"src_ip", "dst_ip", "source_path", "rec_off", "line", "parser", "event_id",
}

// CSV writes events as CSV (RFC 4180: CRLF, quotes doubled) with a head
// line and returns how many events. columns are names of fields or attributes;
// nil chooses Columns. Times are RFC 3339 in UTC, several values of a field
// are joined by "; ". Text that a spreadsheet would take as a formula gets an
// apostrophe before it: text beginning with = + - @, a tab, a carriage return
// or a line feed, and the full-width forms of those signs. Numbers of integer
// columns stay bare. What could act on a terminal, line feeds among it, is
// written as an escape: CSV is for people, JSON loses nothing.
func CSV(w io.Writer, events iter.Seq2[*timeline.Event, error], columns []string) (int64, error) {
	if columns == nil {
		columns = Columns
	}
	fields := make([]timeline.Field, len(columns))
	var line []byte
	for i, name := range columns {
		if name == "" {
			return 0, timeline.ErrNoField
		}
		fields[i] = timeline.FieldOf(name)
		line = appendCSV(line, i, name, true)
	}
	out := bufio.NewWriterSize(w, 64<<10)
	out.Write(append(line, "\r\n"...)) // the error stays with out
	var values []string
	var n int64
	for e, err := range events {
		if err != nil {
			return n, errors.Join(err, out.Flush())
		}
		line = line[:0]
		for i, f := range fields {
			values = f.Values(values[:0], e)
			number := f.Kind == timeline.FieldInt || f.Kind == timeline.FieldTime
			line = appendCSV(line, i, strings.Join(values, "; "), !number)
		}
		if _, err := out.Write(append(line, "\r\n"...)); err != nil {
			return n, fmt.Errorf("write events: %w", err)
		}
		n++
	}
	if err := out.Flush(); err != nil {
		return n, fmt.Errorf("write events: %w", err)
	}
	return n, nil
}

// NeutralizeFormula puts an apostrophe before text that a spreadsheet would
// take as a formula.
func NeutralizeFormula(s string) string {
	for _, start := range []string{"=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"} {
		if strings.HasPrefix(s, start) {
			return "'" + s
		}
	}
	return s
}

func appendCSV(line []byte, i int, value string, text bool) []byte {
	if i > 0 {
		line = append(line, ',')
	}
	if text {
		value = term.Escape(NeutralizeFormula(value))
	}
	if !strings.ContainsAny(value, "\",\r\n") && strings.TrimSpace(value) == value {
		return append(line, value...)
	}
	line = append(line, '"')
	line = append(line, strings.ReplaceAll(value, `"`, `""`)...)
	return append(line, '"')
}
