package timeline

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// FieldKind says how the values of a field are compared.
type FieldKind uint8

// The kinds of field.
const (
	FieldAttr   FieldKind = iota // attribute, text or number as found
	FieldText                    // text column
	FieldInt                     // integer column
	FieldTime                    // integer column that holds ns since the Unix epoch
	FieldID                      // event_id, content_id: 32 hexadecimal digits
	FieldState                   // ts_state: ok, none, before, after, sentinel
	FieldFlags                   // flags: one value per set bit
	FieldSource                  // text of the event's Source
	FieldAny                     // free text
)

// Field is what a name in a query means.
type Field struct {
	Name   string // column, or attribute without its prefix
	Kind   FieldKind
	Column *Column              // FieldText, FieldInt, FieldTime
	Source func(*Source) string // FieldSource
}

// attrPrefix forces an attribute where a column has the same name.
const attrPrefix = "attr."

// sourceFields are the columns that come from an event's Source.
var sourceFields = []struct {
	name, doc string
	get       func(*Source) string
}{
	{"source_id", "source the event came from", func(s *Source) string { return s.ID }},
	{"source_path", "original path of the source, bytes that are no UTF-8 as \\xNN", func(s *Source) string { return Printable(s.Path) }},
	{"member", "name of the source inside its bundle", func(s *Source) string { return s.Member }},
	{"bundle", "SHA-256 of the bundle's seal", func(s *Source) string {
		if s.Bundle.IsZero() {
			return ""
		}
		return s.Bundle.String()
	}},
	{"source_sha256", "SHA-256 of the source", func(s *Source) string {
		if s.SHA256.IsZero() {
			return ""
		}
		return s.SHA256.String()
	}},
	{"chain", "decoders applied to the source", func(s *Source) string { return s.Chain }},
	{"collector", "collector that took the source", func(s *Source) string { return s.Collector }},
}

// identityFields are the columns that are neither in Columns nor of Source.
var identityFields = []struct {
	name, doc string
	kind      FieldKind
}{
	{"event_id", "identity of the event", FieldID},
	{"content_id", "identity of what it says, without where from", FieldID},
	{"ts_state", "ok, none, before, after or sentinel", FieldState},
	{"flags", "carved, unlinked, corrupt, truncated, inferred-time, joined, escaped-text", FieldFlags},
}

var fieldTable = sync.OnceValue(func() map[string]Field {
	m := make(map[string]Field)
	for i := range Columns {
		c := &Columns[i]
		f := Field{Name: c.Name, Kind: FieldText, Column: c}
		switch {
		case c.Time:
			f.Kind = FieldTime
		case c.Int != nil:
			f.Kind = FieldInt
		}
		m[c.Name] = f
	}
	for _, f := range identityFields {
		m[f.name] = Field{Name: f.name, Kind: f.kind}
	}
	for _, f := range sourceFields {
		m[f.name] = Field{Name: f.name, Kind: FieldSource, Source: f.get}
	}
	m[""] = Field{Kind: FieldAny}
	return m
})

// FieldOf says what name means: a column, a field of the source, free text
// for "", and an attribute for everything else.
func FieldOf(name string) Field {
	if f, ok := fieldTable()[name]; ok {
		return f
	}
	return Field{Name: strings.TrimPrefix(name, attrPrefix), Kind: FieldAttr}
}

// FieldNames lists every field that is no attribute, in the order of the
// schema, with its description.
func FieldNames() (names, docs []string) {
	for _, f := range identityFields {
		names, docs = append(names, f.name), append(docs, f.doc)
	}
	for i := range Columns {
		names, docs = append(names, Columns[i].Name), append(docs, Columns[i].Doc)
	}
	for _, f := range sourceFields {
		names, docs = append(names, f.name), append(docs, f.doc)
	}
	return names, docs
}

// Values appends the texts of the field's values in e to dst: decimal
// integers, RFC 3339 times in UTC, names of states and flags. Unset values
// are left out.
func (f Field) Values(dst []string, e *Event) []string {
	add := func(s string) {
		if s != "" {
			dst = append(dst, s)
		}
	}
	switch f.Kind {
	case FieldText:
		add(*f.Column.Str(e))
	case FieldInt:
		if n := *f.Column.Int(e); n != None {
			dst = append(dst, strconv.FormatInt(n, 10))
		}
	case FieldTime:
		if n := *f.Column.Int(e); n != None {
			dst = append(dst, FormatTime(n))
		}
	case FieldID:
		id := e.ID
		if f.Name == "content_id" {
			id = e.ContentID
		}
		if id != (ID{}) {
			dst = append(dst, id.String())
		}
	case FieldState:
		add(e.TSState.String())
	case FieldFlags:
		for name := range strings.SplitSeq(e.Flags.String(), ",") {
			add(name)
		}
	case FieldSource:
		if e.Source != nil {
			add(f.Source(e.Source))
		}
	case FieldAttr:
		for i := range e.Attrs {
			if e.Attrs[i].Key == f.Name {
				add(e.Attrs[i].Value)
			}
		}
	case FieldAny:
		add(e.Message)
		for i := range Columns {
			if c := &Columns[i]; c.Str != nil && c.Name != "message" {
				add(*c.Str(e))
			}
		}
		for i := range e.Attrs {
			add(e.Attrs[i].Value)
		}
	}
	return dst
}

// FormatTime writes ns since the Unix epoch as RFC 3339 in UTC with as many
// digits of the fraction as it needs.
func FormatTime(ns int64) string {
	return time.Unix(0, ns).UTC().Format(time.RFC3339Nano)
}

var stateNames = []string{"ok", "none", "before", "after", "sentinel"}

// String returns ok, none, before, after or sentinel.
func (s TimeState) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return strconv.Itoa(int(s))
}

// ParseTimeState is the inverse of TimeState.String.
func ParseTimeState(s string) (TimeState, bool) {
	i := slices.Index(stateNames, s)
	return TimeState(max(i, 0)), i >= 0
}

// ParseID reads 32 hexadecimal digits.
func ParseID(s string) (ID, bool) {
	var id ID
	if len(s) != 2*len(id) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err == nil
}

// Printable returns raw bytes as text: what is no UTF-8 becomes \xNN.
func Printable(s string) string {
	if validText(s) {
		return s
	}
	return string(escapeInvalid([]byte(s)))
}
