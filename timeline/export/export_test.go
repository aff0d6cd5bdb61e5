package export_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/internal/term"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/export"
	"github.com/exhibit-dfir/exhibit/timeline/store/memory"
	"github.com/exhibit-dfir/exhibit/timeline/storetest"
)

func sample(t *testing.T) *memory.Engine {
	t.Helper()
	events, problems, sources := storetest.Collect(t, storetest.Jobs(9, 6, 300))
	sources[0].Source.Modified = time.Date(2026, 11, 23, 9, 0, 0, 5, time.UTC)
	m := memory.New(events, sources...)
	m.AddProblems(problems...)
	return m
}

func all(e timeline.Engine) export.Events {
	return e.Events(context.Background(), timeline.Query{}, nil)
}

func events(list ...*timeline.Event) export.Events {
	return func(yield func(*timeline.Event, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func TestFormatsStopAtTheFirstError(t *testing.T) {
	bad := errors.New("segment is damaged")
	broken := func(yield func(*timeline.Event, error) bool) { yield(nil, bad) }
	for _, f := range export.Formats {
		if _, err := f.Write(io.Discard, broken); !errors.Is(err, bad) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

func TestFormatsSayWhenTheDiskIsFull(t *testing.T) {
	m := sample(t)
	for _, f := range export.Formats {
		if _, err := f.Write(full{}, all(m)); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

var errFull = errors.New("no space left on device")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

// What a format counts is what there is: nothing disappears without a word.
func TestFormatsCountEveryEvent(t *testing.T) {
	m := sample(t)
	want := int64(len(storetest.Slice(t, all(m))))
	for _, f := range export.Formats {
		res, err := f.Write(io.Discard, all(m))
		if err != nil || res.Rows+res.Undated+res.Others != want {
			t.Errorf("%s: %+v of %d events, %v", f.Name, res, want, err)
		}
	}
}

func TestSameEventsGiveTheSameBytes(t *testing.T) {
	m := sample(t)
	for _, f := range export.Formats {
		var a, b bytes.Buffer
		_, err1 := f.Write(&a, all(m))
		_, err2 := f.Write(&b, all(m))
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("%s: two exports differ (%v)", f.Name, err)
		}
	}
}

// leaves collects every text and number of a JSON value and refuses a key that
// is there twice.
func leaves(t *testing.T, line []byte) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var walk func()
	walk = func() {
		tok, err := d.Token()
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		switch v := tok.(type) {
		case json.Delim:
			keys := map[string]bool{}
			for d.More() {
				if v == '{' {
					key, err := d.Token()
					if err != nil || keys[key.(string)] {
						t.Fatalf("key %v twice or %v: %s", key, err, line)
					}
					keys[key.(string)] = true
				}
				walk()
			}
			if _, err := d.Token(); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
		case string:
			found[v] = true
		case json.Number:
			found[v.String()] = true
		}
	}
	walk()
	return found
}

// Formats that claim to lose nothing but undated events and types hold every
// value of every column and attribute.
func TestNothingIsLostBeyondWhatIsSaid(t *testing.T) {
	m := sample(t)
	want := storetest.Slice(t, all(m))
	for i, e := range want {
		if i%7 == 0 { // names that others use, and one name twice
			e.Attrs = append(e.Attrs, timeline.Attr{Key: "exhibit_bundle", Value: "own", Type: 's'}, timeline.Attr{Key: "a.b", Value: "one", Type: 's'},
				timeline.Attr{Key: "a_b", Value: "two", Type: 's'}, timeline.Attr{Key: "message", Value: "three", Type: 's'}, timeline.Attr{Key: "", Value: "four", Type: 's'}, timeline.Attr{Key: "a", Value: "five", Type: 's'})
		}
	}
	for _, c := range []struct {
		format string
		decode func([]byte) [][]byte // lines to JSON values
		lost   []string
	}{
		{"timesketch", jsonLines, nil},
		{"ecs", jsonLines, nil},
		{"ocsf", jsonLines, nil},
		{"l2tcsv", l2tLines(t), []string{"parser_ver", "seq"}},
	} {
		var buf bytes.Buffer
		if _, err := format(t, c.format).Write(&buf, events(want...)); err != nil {
			t.Fatal(err)
		}
		rows := c.decode(buf.Bytes())
		at := 0
		for _, e := range want {
			if e.TSState != timeline.TimeOK {
				continue
			}
			found := leaves(t, rows[at])
			at++
			for i := range timeline.Columns {
				col := &timeline.Columns[i]
				value := ""
				switch {
				case slices.Contains(c.lost, col.Name), col.Time && col.Name != "ts_lo" && col.Name != "ts_hi":
					continue
				case col.Int != nil && *col.Int(e) != timeline.None:
					value = strconv.FormatInt(*col.Int(e), 10)
				case col.Str != nil:
					value = timeline.Printable(*col.Str(e))
				}
				if value != "" && !found[value] && !found[term.Escape(value)] && !found[term.Escape(export.NeutralizeFormula(value))] {
					t.Fatalf("%s: column %s, %q, is not in %s", c.format, col.Name, value, rows[at-1])
				}
			}
			for _, a := range e.Attrs {
				if value := timeline.Printable(a.Value); value != "" && !found[value] && !found[term.Escape(value)] {
					t.Fatalf("%s: attribute %s, %q, is not in %s", c.format, a.Key, value, rows[at-1])
				}
			}
		}
		if at != len(rows) {
			t.Fatalf("%s: %d rows of %d events", c.format, len(rows), at)
		}
	}
}

func format(t *testing.T, name string) export.Format {
	t.Helper()
	for _, f := range export.Formats {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no format %s", name)
	return export.Format{}
}

func jsonLines(b []byte) [][]byte {
	var rows [][]byte
	for line := range bytes.Lines(b) {
		rows = append(rows, bytes.TrimSuffix(line, []byte("\n")))
	}
	return rows
}

// l2tLines makes of each row one list: its columns, and what extra holds.
func l2tLines(t *testing.T) func([]byte) [][]byte {
	return func(b []byte) [][]byte {
		rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
		if err != nil || len(rows[0]) != 17 || rows[0][16] != "extra" {
			t.Fatalf("%v, head %q", err, rows[0])
		}
		var out [][]byte
		for _, row := range rows[1:] {
			columns, _ := json.Marshal(row[:16])
			out = append(out, fmt.Appendf(nil, "[%s,%s]", columns, row[16]))
		}
		return out
	}
}

func TestCSVIsReadBackByTheStandardReader(t *testing.T) {
	m := sample(t)
	columns := []string{"message", "ts", "pid", "attr.user", "flags", "source_path"}
	var buf bytes.Buffer
	if _, err := export.CSV(&buf, all(m), columns); err != nil {
		t.Fatal(err)
	}
	if strings.Count(buf.String(), "\r\n") < 100 {
		t.Fatal("lines do not end in CRLF")
	}
	rows, err := csv.NewReader(&buf).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := storetest.Slice(t, all(m))
	if len(rows) != len(want)+1 || strings.Join(rows[0], " ") != strings.Join(columns, " ") {
		t.Fatalf("%d rows, head %v", len(rows), rows[0])
	}
	for i, e := range want {
		if got := rows[i+1][0]; got != term.Escape(export.NeutralizeFormula(e.Message)) {
			t.Fatalf("row %d: message %q, want %q", i, got, e.Message)
		}
	}
}

func TestNoCSVFieldIsAFormula(t *testing.T) {
	var events []*timeline.Event
	for _, start := range []string{"=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"} {
		events = append(events, &timeline.Event{Message: start + `cmd|'/c calc'!A0`, TZOff: -60, Attrs: []timeline.Attr{{Key: "x", Value: start + "1", Type: 'i'}}})
	}
	var buf bytes.Buffer
	if _, err := export.CSV(&buf, all(memory.New(events)), []string{"message", "x", "=evil", "tz_off_min"}); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&buf).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if rows[0][2] != "'=evil" {
		t.Errorf("head %q", rows[0])
	}
	for _, row := range rows[1:] {
		if row[0][0] != '\'' || row[1][0] != '\'' {
			t.Errorf("row %q could be a formula", row)
		}
		if row[3] != "-60" {
			t.Errorf("number %q, want -60", row[3])
		}
	}
}

func TestTimesketchRowsHaveWhatItsImporterWants(t *testing.T) {
	m := sample(t)
	var buf bytes.Buffer
	res, err := export.Timesketch(&buf, all(m))
	if err != nil {
		t.Fatal(err)
	}
	undated := int64(0)
	for _, e := range storetest.Slice(t, all(m)) {
		if e.TSState != timeline.TimeOK {
			undated++
		}
	}
	if res.Undated != undated || undated == 0 || res.Rows+undated != int64(len(storetest.Slice(t, all(m)))) {
		t.Fatalf("%+v, want %d undated", res, undated)
	}
	rows := int64(0)
	for line := range bytes.Lines(buf.Bytes()) {
		rows++
		checkTimesketch(t, line)
	}
	if rows != res.Rows {
		t.Fatalf("%d lines, %d reported", rows, res.Rows)
	}
}

func checkTimesketch(t *testing.T, line []byte) {
	t.Helper()
	keys := make(map[string]bool)
	d := json.NewDecoder(bytes.NewReader(line))
	d.Token()
	for d.More() {
		key, err := d.Token()
		if err != nil || keys[key.(string)] {
			t.Fatalf("key %v twice or %v: %s", key, err, line)
		}
		keys[key.(string)] = true
		d.Token()
	}
	var row struct {
		Message, Datetime string
		Timestamp         int64
		TimestampDesc     string `json:"timestamp_desc"`
		DataType          string `json:"data_type"`
		ID                string `json:"exhibit_event_id"`
		Offset            *int64
	}
	if err := json.Unmarshal(line, &row); err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339Nano, row.Datetime)
	if err != nil || at.UnixMicro() != row.Timestamp {
		t.Fatalf("datetime %s and timestamp %d disagree (%v)", row.Datetime, row.Timestamp, err)
	}
	if row.Message == "" || row.TimestampDesc == "" || row.DataType == "" || len(row.ID) != 32 || row.Offset == nil {
		t.Fatalf("incomplete row %s", line)
	}
}
