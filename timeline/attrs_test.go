package timeline_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/exhibit-dfir/exhibit/timeline"
)

func FuzzAttrs(f *testing.F) {
	f.Add("key", "value", "n", "12", byte('i'))
	f.Add("a\"b", "\\\x00\n", "", "-0.5", byte('f'))
	f.Add("x", "{\"y\":1}", "x", "1e5", byte('i'))
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string, typ byte) {
		e := timeline.Event{TSState: timeline.TimeNone, TS: timeline.None, Attrs: []timeline.Attr{{Key: k1, Value: v1, Type: 's'}, {Key: k2, Value: v2, Type: typ}}}
		e.Normalize()
		text := timeline.AppendAttrs(nil, e.Attrs)
		if !json.Valid(text) {
			t.Fatalf("no JSON: %q", text)
		}
		got, err := timeline.ParseAttrs(nil, string(text), string(timeline.AttrTypes(nil, e.Attrs)))
		if err != nil || !reflect.DeepEqual(got, e.Attrs) {
			t.Fatalf("%q gives %q (%v), want %q", text, got, err, e.Attrs)
		}
	})
}

func FuzzParseAttrs(f *testing.F) {
	f.Add(`{"a":"b","n":12}`, "si")
	f.Add(`{"a":`, "")
	f.Add(`{"a":"\u00`, "s")
	f.Fuzz(func(t *testing.T, text, types string) {
		attrs, err := timeline.ParseAttrs(nil, text, types)
		if err == nil && len(attrs) > len(text) {
			t.Fatalf("%d attributes of %d bytes", len(attrs), len(text))
		}
	})
}
