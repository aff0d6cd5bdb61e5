package parsers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/csv"
	"github.com/exhibit-dfir/exhibit/analyze/format/logtime"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// A jsonMap reads tables, too: the names in the first row of a CSV file are the
// paths of the fields below.

// tableRowMax bounds one row, tableColumns their fields.
const (
	tableRowMax  = 4 << 20
	tableColumns = 1000
)

// matchesTable decides by the first row, which has to have all keys.
func (m *jsonMap) matchesTable(_ *evidence.Item, head []byte) bool {
	first := tableHead(head)
	if first == nil {
		return false
	}
	r := csv.NewReader(bytes.NewReader(first), ',', len(first)+1)
	if err := r.Next(); err != nil || len(r.Fields) < 2 || len(r.Fields) > tableColumns {
		return false
	}
	for _, key := range m.keys {
		if !slices.ContainsFunc(r.Fields, func(f []byte) bool { return string(f) == key }) {
			return false
		}
	}
	return !slices.ContainsFunc(r.Fields, func(f []byte) bool { return slices.Contains(m.not, string(f)) })
}

// tableHead returns the first line where it may be that of a table: every item
// is asked by every map.
func tableHead(head []byte) []byte {
	line := head[:min(len(head), 8<<10)]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	if bytes.IndexByte(line, ',') < 0 || bytes.IndexByte(line, 0) >= 0 || beginsLikeJSON(line) {
		return nil
	}
	return line
}

// matchesEither takes records and tables.
func (m *jsonMap) matchesEither(it *evidence.Item, head []byte) bool {
	return m.matches(it, head) || !beginsLikeJSON(head) && m.matchesTable(it, head)
}

func (m *jsonMap) parseTable(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	return m.parseRows(src, src.Host, out)
}

func (m *jsonMap) parseEither(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	return parseWith(m, m, src, out)
}

func (m *jsonMap) parseRows(content io.Reader, host *analyze.Host, out *timeline.Appender) error {
	e := jsonEvents{jsonMap: m, out: out, host: host, at: map[string]int{}}
	r := csv.NewReader(content, ',', tableRowMax)
	var names [][]byte
	after := false // a row whose quotes do not end: what follows may be part of it
	for {
		err := r.Next()
		switch {
		case errors.Is(err, io.EOF) || err == nil && out.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, csv.ErrBroken):
			return err
		}
		if names == nil {
			for _, f := range r.Fields[:min(len(r.Fields), tableColumns)] {
				names = append(names, bytes.Clone(f[:min(len(f), jsonPath)]))
			}
			continue
		}
		if sameRow(names, r.Fields) {
			continue // tables that were put one behind the other
		}
		if after && len(r.Fields) != len(names) {
			out.Problem(evidence.Corrupt, r.Offset, r.Length, "what may be part of the row before")
			continue
		}
		after = err != nil
		e.row(names, r.Fields)
		whole := err == nil && len(r.Fields) == len(names)
		e.make(r.Offset, r.Length, func(ev *timeline.Event) {
			if ev.Line = r.Line; !whole {
				ev.Flags |= timeline.CorruptRec
			}
		})
		if !whole {
			detail := "the row has " + strconv.Itoa(len(r.Fields)) + " fields, the table " + strconv.Itoa(len(names)) + " columns"
			if err != nil {
				detail = err.Error()
			}
			out.Problem(evidence.Corrupt, r.Offset, r.Length, detail)
		}
	}
}

func sameRow(names, row [][]byte) bool { return slices.EqualFunc(names, row, bytes.Equal) }

// row takes the fields of one row. Those without a column are numbered.
func (e *jsonEvents) row(names, fields [][]byte) {
	e.values, e.more = e.values[:0], len(fields) > jsonValues
	clear(e.at)
	for i, f := range fields[:min(len(fields), jsonValues)] {
		name := []byte(nil)
		if i < len(names) {
			name = names[i]
		}
		if len(name) == 0 {
			name = strconv.AppendInt([]byte("column "), int64(i+1), 10)
		}
		if len(f) == 0 {
			continue
		}
		if _, ok := e.at[string(name)]; !ok {
			e.at[string(name)] = len(e.values)
		}
		e.values = append(e.values, jsonValue{name, f, 's'})
	}
}

// zoned reads the date of an l2tcsv row, MM/DD/YYYY, with the clock time and
// the zone's name that stand in columns of their own.
func (e *jsonEvents) zoned(ev *timeline.Event, date []byte) (ns int64, prec string, ok bool) {
	clock, name := e.get("time"), string(e.get("timezone"))
	if len(date) != 10 || date[2] != '/' || date[5] != '/' || len(clock) < 8 {
		return 0, "", false
	}
	text := slices.Concat(date[6:], []byte("-"), date[:2], []byte("-"), date[3:5], []byte("T"), clock)
	var s logtime.Stamp
	if n := logtime.Parse(text, &s); n != len(text) || s.Zoned {
		return 0, "", false
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return 0, "", false
	}
	wall, ok := s.Wall(s.Year)
	if !ok || wall > 1<<33 || wall < -1<<33 {
		return 0, "", false
	}
	at := logtime.NewClock(zone).Instant(wall)
	if at.Gap {
		return 0, "", false
	}
	if at.Last != at.Unix { // the hour was repeated
		ev.TSLo, ev.TSHi = at.Unix*1e9, at.Last*1e9
	}
	ev.TZSrc, ev.TZOff = timeline.ZoneInRecord, at.Offset/60
	return at.Unix*1e9 + int64(s.Nanos), precisionOf(s.Digits), true
}

// parseWith reads records with one map, tables with another.
func parseWith(records, table *jsonMap, src *analyze.Source, out *timeline.Appender) error {
	content := bufio.NewReader(src)
	if head, _ := content.Peek(64); beginsLikeJSON(head) {
		return records.parseRecords(content, src.Host, out)
	}
	return table.parseRows(content, src.Host, out)
}
