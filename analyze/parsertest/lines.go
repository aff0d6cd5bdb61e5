package parsertest

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// Lines returns a result as JSON lines, one per event and then one per
// problem: set columns in the order of the schema, flags, attributes. What the
// driver of a parser adds to every event is left out.
func Lines(res Result) []byte {
	var b bytes.Buffer
	for _, ev := range res.Events {
		line := object{&b, false}
		b.WriteByte('{')
		for i := range timeline.Columns {
			line.column(&timeline.Columns[i], ev)
		}
		if ev.TSState > timeline.TimeNone {
			line.put("ts_state", strconv.Itoa(int(ev.TSState)))
		}
		if ev.Flags != 0 {
			line.text("flags", ev.Flags.String())
		}
		for _, a := range ev.Attrs {
			line.text("@"+a.Key, a.Value)
		}
		b.WriteString("}\n")
	}
	for _, p := range res.Problems {
		line := object{&b, false}
		b.WriteByte('{')
		line.text("problem", string(p.Code))
		line.put("offset", strconv.FormatInt(p.Ref.Offset, 10))
		line.put("length", strconv.FormatInt(p.Ref.Length, 10))
		line.text("detail", p.Detail)
		b.WriteString("}\n")
	}
	if res.Err != nil {
		line := object{&b, false}
		b.WriteByte('{')
		line.text("error", res.Err.Error())
		b.WriteString("}\n")
	}
	return b.Bytes()
}

// object writes the members of one JSON object.
type object struct {
	b    *bytes.Buffer
	more bool
}

func (o *object) put(key, raw string) {
	if o.more {
		o.b.WriteByte(',')
	}
	o.more = true
	o.b.Write(quoted(key))
	o.b.WriteByte(':')
	o.b.WriteString(raw)
}

func (o *object) text(key, value string) { o.put(key, string(quoted(value))) }

// quoted returns s as a JSON string without HTML escapes: people read
// golden files.
func quoted(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // a string always encodes
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// ofDriver are columns that every event of a run has alike.
var ofDriver = map[string]bool{"seq": true, "parser": true, "parser_ver": true}

func (o *object) column(c *timeline.Column, ev *timeline.Event) {
	switch {
	case ofDriver[c.Name]:
	case c.Str != nil:
		if v := *c.Str(ev); v != "" {
			o.text(c.Name, v)
		}
	case c.Int != nil:
		if v := *c.Int(ev); v == timeline.None {
			return
		} else if c.Time {
			o.text(c.Name, time.Unix(0, v).UTC().Format(time.RFC3339Nano))
		} else {
			o.put(c.Name, strconv.FormatInt(v, 10))
		}
	}
}
