package timeline

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// WriteJSONL writes events as JSON, one object per line, and returns how many.
// It loses nothing (ReadJSONL gives the events back): every set column under
// its name, integers as numbers, "time" beside ts for people, attributes as an
// object in source order with their types in "attr_types", and the source
// with every row. Keys come in the order of the schema.
func WriteJSONL(w io.Writer, events iter.Seq2[*Event, error]) (int64, error) {
	out := bufio.NewWriterSize(w, 64<<10)
	var line []byte
	var n int64
	for e, err := range events {
		if err != nil {
			return n, errors.Join(err, out.Flush())
		}
		line = append(appendEventJSON(line[:0], e), '\n')
		if _, err := out.Write(line); err != nil {
			return n, fmt.Errorf("write events: %w", err)
		}
		n++
	}
	if err := out.Flush(); err != nil {
		return n, fmt.Errorf("write events: %w", err)
	}
	return n, nil
}

// jsonObject writes an object key by key.
type jsonObject struct {
	b    []byte
	some bool
}

func (o *jsonObject) key(name string) {
	if o.some {
		o.b = append(o.b, ',')
	}
	o.some = true
	o.b = append(appendQuoted(o.b, name), ':')
}

func (o *jsonObject) text(name, value string) {
	if value != "" {
		o.key(name)
		o.b = appendQuoted(o.b, Printable(value))
	}
}

func (o *jsonObject) int(name string, value int64) {
	if value != None {
		o.key(name)
		o.b = strconv.AppendInt(o.b, value, 10)
	}
}

func (o *jsonObject) time(name string, t time.Time) {
	if !t.IsZero() {
		o.text(name, t.UTC().Format(time.RFC3339Nano))
	}
}

func appendEventJSON(b []byte, e *Event) []byte {
	o := jsonObject{b: append(b, '{')}
	o.text("event_id", e.ID.String())
	if e.ContentID != (ID{}) {
		o.text("content_id", e.ContentID.String())
	}
	if t, ok := e.Time(); ok {
		o.time("time", t)
	}
	o.text("ts_state", e.TSState.String())
	for i := range Columns {
		if c := &Columns[i]; c.Int != nil {
			o.int(c.Name, *c.Int(e))
		} else {
			o.text(c.Name, *c.Str(e))
		}
	}
	o.text("flags", e.Flags.String())
	if len(e.Attrs) > 0 {
		o.key("attrs")
		o.b = AppendAttrs(o.b, e.Attrs)
		o.text("attr_types", string(AttrTypes(nil, e.Attrs)))
	}
	if e.Source != nil {
		o.key("source")
		o.b = appendSourceJSON(o.b, e.Source)
	}
	return append(o.b, '}')
}

func appendSourceJSON(b []byte, s *Source) []byte {
	o := jsonObject{b: append(b, '{')}
	o.text("id", s.ID)
	if !s.Bundle.IsZero() {
		o.text("bundle", s.Bundle.String())
	}
	o.text("member", s.Member)
	o.int("index", s.Index)
	o.text("chain", s.Chain)
	o.text("path", s.Path)
	if !validText(s.Path) {
		o.text("path_raw", base64.StdEncoding.EncodeToString([]byte(s.Path)))
	}
	if !s.SHA256.IsZero() {
		o.text("sha256", s.SHA256.String())
	}
	o.int("size", s.Size)
	o.key("inode")
	o.b = strconv.AppendUint(o.b, s.Inode, 10)
	o.time("mtime", s.Modified)
	o.time("atime", s.Accessed)
	o.time("ctime", s.Changed)
	o.time("btime", s.Born)
	o.text("collector", s.Collector)
	o.text("host", s.Host)
	o.text("host_id", s.HostID)
	return append(o.b, '}')
}

// maxJSONLine bounds a line that ReadJSONL reads.
const maxJSONLine = 64 << 20

// ReadJSONL yields the events that WriteJSONL wrote. Equal sources are shared.
// Unknown keys are ignored.
func ReadJSONL(r io.Reader) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		in := bufio.NewScanner(r)
		in.Buffer(make([]byte, 0, 64<<10), maxJSONLine)
		sources := make(map[string]*Source)
		for n := 1; in.Scan(); n++ {
			if len(bytes.TrimSpace(in.Bytes())) == 0 {
				continue
			}
			e, err := parseEventJSON(in.Bytes(), sources)
			if err != nil {
				yield(nil, fmt.Errorf("event in line %d: %w", n, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if err := in.Err(); err != nil {
			yield(nil, fmt.Errorf("read events: %w", err))
		}
	}
}

func parseEventJSON(line []byte, sources map[string]*Source) (*Event, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return nil, err
	}
	e := blank
	e.Seq = None
	for i := range Columns {
		c := &Columns[i]
		raw, ok := fields[c.Name]
		if !ok {
			continue
		}
		var err error
		if c.Int != nil {
			err = json.Unmarshal(raw, c.Int(&e))
		} else {
			err = json.Unmarshal(raw, c.Str(&e))
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	text := func(name string) (s string, err error) {
		if raw, ok := fields[name]; ok {
			if err = json.Unmarshal(raw, &s); err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
		}
		return s, err
	}
	id, err1 := text("event_id")
	content, err2 := text("content_id")
	state, err3 := text("ts_state")
	flags, err4 := text("flags")
	types, err5 := text("attr_types")
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	var ok bool
	if e.ID, ok = ParseID(id); !ok {
		return nil, fmt.Errorf("event_id: %q are not 32 hexadecimal digits", id)
	}
	e.ContentID, _ = ParseID(content)
	e.TSState, _ = ParseTimeState(state)
	e.Flags = ParseFlags(flags)
	var err error
	if raw, ok := fields["attrs"]; ok {
		if e.Attrs, err = ParseAttrs(nil, string(raw), types); err != nil {
			return nil, err
		}
	}
	if raw, ok := fields["source"]; ok {
		if e.Source, err = sourceFromJSON(raw, sources); err != nil {
			return nil, fmt.Errorf("source: %w", err)
		}
	}
	return &e, nil
}

func sourceFromJSON(raw json.RawMessage, known map[string]*Source) (*Source, error) {
	if s := known[string(raw)]; s != nil {
		return s, nil
	}
	var l struct {
		ID, Bundle, Member, Chain, Path, SHA256, Collector, Host string
		PathRaw                                                  []byte    `json:"path_raw"`
		HostID                                                   string    `json:"host_id"`
		Index                                                    int64     `json:"index"`
		Size                                                     int64     `json:"size"`
		Inode                                                    uint64    `json:"inode"`
		Modified                                                 time.Time `json:"mtime"`
		Accessed                                                 time.Time `json:"atime"`
		Changed                                                  time.Time `json:"ctime"`
		Born                                                     time.Time `json:"btime"`
	}
	if err := json.Unmarshal(raw, &l); err != nil {
		return nil, err
	}
	s := &Source{
		ID: l.ID, Member: l.Member, Index: l.Index, Chain: l.Chain, Path: l.Path, Size: l.Size, Inode: l.Inode,
		Modified: l.Modified, Accessed: l.Accessed, Changed: l.Changed, Born: l.Born,
		Collector: l.Collector, Host: l.Host, HostID: l.HostID,
	}
	if l.PathRaw != nil {
		s.Path = string(l.PathRaw)
	}
	var err error
	if l.Bundle != "" {
		if s.Bundle, err = evidence.ParseDigest(l.Bundle); err != nil {
			return nil, err
		}
	}
	if l.SHA256 != "" {
		if s.SHA256, err = evidence.ParseDigest(l.SHA256); err != nil {
			return nil, err
		}
	}
	if len(known) < 1<<16 {
		known[string(raw)] = s
	}
	return s, nil
}
