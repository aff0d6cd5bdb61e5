package export

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// timesketchNames are plaso's names of our columns, which Timesketch's
// analyzers look for. Columns not listed keep their names.
var timesketchNames = map[string]string{
	"ts_desc": "timestamp_desc", "host": "hostname", "user": "username", "sid": "user_sid", "file": "filename",
	"sha256": "sha256_hash", "src_ip": "source_ip", "src_port": "source_port", "dst_ip": "destination_ip",
	"dst_port": "destination_port", "reg_key": "key_path", "event_code": "event_identifier", "rec_off": "offset",
	"rec_len": "record_length", "rec_no": "record_number", "line": "line_number", "exe": "executable",
	"cmdline": "command_line", "seq": "sequence",
}

// timesketchOwn are keys that are written first or that Timesketch keeps for
// itself.
var timesketchOwn = map[string]bool{
	"message": true, "datetime": true, "timestamp": true, "timestamp_desc": true, "data_type": true, "tag": true,
	"ts": true, "_id": true, "_type": true, "_index": true, "_source": true, "__ts_timeline_id": true,
}

// Timesketch writes events as JSON lines for Timesketch's importer: message,
// datetime (RFC 3339, UTC, 6 or 9 digits of the fraction), timestamp (µs since
// the Unix epoch), timestamp_desc and data_type in every row, the other columns
// under plaso's names, attributes under their own (with dots as "_", and
// "attr_" before a name that is taken), and exhibit_event_id,
// exhibit_content_id, exhibit_bundle, exhibit_member, exhibit_chain and
// display_name for the way back to the evidence. Events without a time are
// left out and counted.
func Timesketch(w io.Writer, events Events) (Result, error) {
	return lines(w, events, "", func(b []byte, e *timeline.Event) []byte {
		return append(AppendTimesketch(b, e), '\n')
	})
}

// AppendTimesketch writes one dated event as Timesketch does, without a line's
// end.
func AppendTimesketch(b []byte, e *timeline.Event) []byte {
	o := newObject(b)
	o.text("message", firstSet(e.Message, e.TSDesc, e.DataType, "(no message)"))
	o.text("datetime", timesketchTime(e))
	o.int("timestamp", time.Unix(0, e.TS).UnixMicro())
	o.text("timestamp_desc", firstSet(e.TSDesc, "Event Time"))
	o.text("data_type", firstSet(e.DataType, "exhibit:event"))
	taken := make(map[string]bool, len(timeline.Columns))
	for i := range timeline.Columns {
		c := &timeline.Columns[i]
		name := timesketchName(c.Name)
		taken[name] = true
		switch {
		case timesketchOwn[name]:
		case c.Int != nil:
			o.int(name, *c.Int(e))
		default:
			o.text(name, *c.Str(e))
		}
	}
	o.text("flags", e.Flags.String())
	o.text("exhibit_event_id", e.ID.String())
	o.text("exhibit_content_id", e.ContentID.String())
	if s := e.Source; s != nil {
		o.text("display_name", s.Path)
		o.text("exhibit_member", s.Member)
		o.text("exhibit_chain", s.Chain)
		if !s.Bundle.IsZero() {
			o.text("exhibit_bundle", s.Bundle.String())
		}
	}
	o.attributes("", e, "attr_", func(name string) bool {
		return timesketchOwn[name] || name == "flags" || name == "display_name" || strings.HasPrefix(name, "exhibit_")
	}, taken)
	return o.end()
}

// timesketchName is plaso's name of a column, else its own.
func timesketchName(column string) string {
	return firstSet(timesketchNames[column], column)
}

func timesketchTime(e *timeline.Event) string {
	layout := "2006-01-02T15:04:05.000000-07:00"
	if e.TS%1000 != 0 {
		layout = "2006-01-02T15:04:05.000000000-07:00"
	}
	return time.Unix(0, e.TS).UTC().Format(layout)
}

// TimesketchCSV writes the columns of CSV for Timesketch's importer: message,
// datetime, timestamp and timestamp_desc first, the others under plaso's
// names. Text is made harmless as in CSV.
func TimesketchCSV(w io.Writer, events Events) (Result, error) {
	head := []byte("message,datetime,timestamp,timestamp_desc")
	var fields []timeline.Field
	for _, column := range Columns {
		if column == "ts" || column == "ts_desc" || column == "message" {
			continue
		}
		name := timesketchName(column)
		if column == "event_id" {
			name = "exhibit_event_id"
		}
		head = append(append(head, ','), name...)
		fields = append(fields, timeline.FieldOf(column))
	}
	var values []string
	return lines(w, events, string(head)+"\r\n", func(b []byte, e *timeline.Event) []byte {
		b = appendCSV(b, 0, firstSet(e.Message, e.TSDesc, e.DataType, "(no message)"), true)
		b = appendCSV(b, 1, timesketchTime(e), false)
		b = appendCSV(b, 2, strconv.FormatInt(time.Unix(0, e.TS).UnixMicro(), 10), false)
		b = appendCSV(b, 3, firstSet(e.TSDesc, "Event Time"), true)
		for i, f := range fields {
			values = f.Values(values[:0], e)
			b = appendCSV(b, 4+i, strings.Join(values, "; "), f.Kind != timeline.FieldInt)
		}
		return append(b, "\r\n"...)
	})
}
