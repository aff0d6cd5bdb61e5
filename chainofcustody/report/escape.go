package report

import (
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/internal/term"
)

// maxText bounds one string on the page; a path may have a megabyte.
const maxText = 4000

// visible is the one function every string of a Data passes: characters that
// act or mislead (controls, bidirectional marks, bytes that are no UTF-8)
// become visible escapes, and what is too long is cut with a count.
// html/template then escapes markup.
func visible(s string) string {
	rest := 0
	if len(s) > maxText {
		cut := maxText
		for cut > maxText-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s, rest = s[:cut], len(s)-cut
	}
	s = term.Escape(s)
	if rest > 0 {
		s += fmt.Sprintf("… (%d bytes more)", rest)
	}
	return s
}

// sanitized returns a deep copy of d in which every string is visible(s). It
// walks the value by reflection so that a field added later cannot be
// forgotten.
func sanitized(d Data) Data {
	d.Bundle.CollectorKey = strings.TrimSpace(d.Bundle.CollectorKey) // key files end with a line end
	out := reflect.New(reflect.TypeFor[Data]()).Elem()
	out.Set(reflect.ValueOf(d))
	sanitize(out)
	return out.Interface().(Data)
}

func sanitize(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(visible(v.String()))
	case reflect.Pointer:
		if !v.IsNil() {
			fresh := reflect.New(v.Type().Elem())
			fresh.Elem().Set(v.Elem())
			sanitize(fresh.Elem())
			v.Set(fresh)
		}
	case reflect.Slice:
		fresh := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(fresh, v)
		for i := range fresh.Len() {
			sanitize(fresh.Index(i))
		}
		v.Set(fresh)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() { // time.Time has no exported field and no text of evidence
				sanitize(v.Field(i))
			}
		}
	}
}
