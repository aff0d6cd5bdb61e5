package timeline

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// TimesketchResult counts what WriteTimesketch wrote and could not write.
type TimesketchResult struct {
	Rows    int64
	Undated int64 // events without a time; Timesketch has no place for them
}

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

// WriteTimesketch writes events as JSON lines for Timesketch's importer:
// message, datetime (RFC 3339, UTC, 6 or 9 digits of the fraction), timestamp
// (µs since the Unix epoch), timestamp_desc and data_type in every row, the
// other columns under plaso's names, attributes under their own (with dots as
// "_", and "attr_" before a name that is taken), and exhibit_event_id,
// exhibit_content_id, exhibit_bundle, exhibit_member, exhibit_chain and
// display_name for the way back to the evidence. Events without a time are
// left out and counted.
func WriteTimesketch(w io.Writer, events iter.Seq2[*Event, error]) (TimesketchResult, error) {
	var res TimesketchResult
	out := bufio.NewWriterSize(w, 64<<10)
	var line []byte
	for e, err := range events {
		if err != nil {
			return res, errors.Join(err, out.Flush())
		}
		at, ok := e.Time()
		if !ok {
			res.Undated++
			continue
		}
		line = append(appendTimesketch(line[:0], e, at), '\n')
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

func appendTimesketch(b []byte, e *Event, at time.Time) []byte {
	o := jsonObject{b: append(b, '{')}
	o.text("message", firstSet(e.Message, e.TSDesc, e.DataType, "(no message)"))
	layout := "2006-01-02T15:04:05.000000-07:00"
	if e.TS%1000 != 0 {
		layout = "2006-01-02T15:04:05.000000000-07:00"
	}
	o.text("datetime", at.Format(layout))
	o.int("timestamp", at.UnixMicro())
	o.text("timestamp_desc", firstSet(e.TSDesc, "Event Time"))
	o.text("data_type", firstSet(e.DataType, "exhibit:event"))
	taken := make(map[string]bool, len(Columns))
	for i := range Columns {
		c := &Columns[i]
		name := c.Name
		if plaso := timesketchNames[name]; plaso != "" {
			name = plaso
		}
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
	timesketchAttrs(&o, e, taken)
	return append(o.b, '}')
}

// timesketchAttrs writes attributes; of several with one name the first
// keeps it and the others are numbered.
func timesketchAttrs(o *jsonObject, e *Event, taken map[string]bool) {
	for i := range e.Attrs {
		a := &e.Attrs[i]
		name := strings.ReplaceAll(a.Key, ".", "_")
		if name == "" || taken[name] || timesketchOwn[name] || name == "flags" || name == "display_name" || strings.HasPrefix(name, "exhibit_") {
			name = "attr_" + name
		}
		for n, plain := 2, name; taken[name]; n++ {
			name = fmt.Sprintf("%s_%d", plain, n)
		}
		taken[name] = true
		o.text(name, a.Value)
	}
}

func firstSet(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}
