// Package export writes events in the formats of other tools. What a format
// has no place for is said in its list of losses, which the tests hold it to.
//
// Text of evidence reaches every format escaped as that format demands, and
// what a spreadsheet would run as a formula does not stay one.
package export

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// Events are what is exported, in the order of the timeline.
type Events = iter.Seq2[*timeline.Event, error]

// Result counts what became of the events.
type Result struct {
	Rows    int64 `json:"events"`           // written
	Undated int64 `json:"undated_left_out"` // left out: the format needs a time
	Others  int64 `json:"others_left_out"`  // left out: the format is for other kinds of events
	Cut     int64 `json:"texts_cut"`        // texts that were shortened to what the format allows
}

// Format is one format of other tools.
type Format struct {
	Name  string
	Doc   string
	Loss  string // what is not in it, in words; "" nothing
	Text  Medium
	Write func(io.Writer, Events) (Result, error)
}

// Medium says what the bytes of a format are.
type Medium int

// Kinds of output.
const (
	JSONLines Medium = iota
	Table            // text for people and spreadsheets, escaped by the writer
	Binary
)

// Formats lists all formats, our own lossless one first.
var Formats = []Format{
	{"jsonl", "our own: JSON lines, every column, attribute and source", "", JSONLines, jsonl},
	{"parquet", "one Parquet file with the columns of the timeline's own segments", "", Binary, Parquet},
	{"csv", "CSV of the columns that analysts look at first", "other columns and attributes; control characters are escaped", Table, csvDefault},
	{"xlsx", "workbook of Excel, the same columns, a sheet for each million rows", "other columns and attributes; nanoseconds beyond text; texts over 32,767 characters are cut", Binary, XLSX},
	{"timesketch", "JSON lines for Timesketch", "undated events; types of attributes", JSONLines, Timesketch},
	{"timesketch-csv", "CSV for Timesketch", "undated events; columns beyond those of csv; control characters are escaped", Table, TimesketchCSV},
	{"l2tcsv", "log2timeline's CSV of 17 columns", "undated events; fractions of seconds but for the column extra; control characters are escaped", Table, L2TCSV},
	{"bodyfile", "file times for mactime (body file of The Sleuth Kit 3)", "everything but file times; fractions of seconds, time quality, SHA-256, host", Table, Bodyfile},
	{"ecs", "JSON lines in the Elastic Common Schema", "undated events; types of attributes", JSONLines, ECS},
	{"ocsf", "JSON lines in the Open Cybersecurity Schema Framework", "undated events; types of attributes", JSONLines, OCSF},
}

func jsonl(w io.Writer, events Events) (Result, error) {
	n, err := timeline.WriteJSONL(w, events)
	return Result{Rows: n}, err
}

func csvDefault(w io.Writer, events Events) (Result, error) {
	n, err := CSV(w, events, nil)
	return Result{Rows: n}, err
}

// lines writes what row makes of each dated event. row returns the line with
// its end.
func lines(w io.Writer, events Events, head string, row func([]byte, *timeline.Event) []byte) (Result, error) {
	var res Result
	out := bufio.NewWriterSize(w, 64<<10)
	out.WriteString(head) //nolint:errcheck // the error stays with out
	var line []byte
	for e, err := range events {
		if err != nil {
			return res, errors.Join(err, out.Flush())
		}
		if e.TSState != timeline.TimeOK {
			res.Undated++
			continue
		}
		line = row(line[:0], e)
		if _, err := out.Write(line); err != nil {
			return res, fmt.Errorf("write events: %w", err)
		}
		res.Rows++
	}
	if err := out.Flush(); err != nil {
		return res, fmt.Errorf("write events: %w", err)
	}
	return res, nil
}
