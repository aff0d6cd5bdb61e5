package interop

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// filler gives every leaf of a struct a value of its own.
type filler struct {
	t      *testing.T
	n      int
	leaves []string // the values as text
}

func (f *filler) fill(v reflect.Value, path string) {
	f.n++
	switch v.Interface().(type) {
	case time.Time:
		at := time.Date(2001, 1, 1, 0, 0, f.n, 987654321, time.UTC)
		v.Set(reflect.ValueOf(at))
		f.leaves = append(f.leaves, at.Format("2006-01-02T15:04:05.000000000Z"))
		return
	case evidence.Digest:
		d := evidence.Sum([]byte(path))
		v.Set(reflect.ValueOf(d))
		f.leaves = append(f.leaves, d.String())
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		f.fill(v.Index(0), path)
	case reflect.String:
		v.SetString(fmt.Sprintf("zq%dqz", f.n))
		f.leaves = append(f.leaves, v.String())
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(70_000_000 + f.n))
		f.leaves = append(f.leaves, fmt.Sprint(v.Int()))
	case reflect.Bool:
		v.SetBool(true)
		f.leaves = append(f.leaves, "true")
	default:
		f.t.Fatalf("%s is a %s, which the test cannot fill", path, v.Kind())
	}
}

// full is an event with every field set, and the text of each.
func full(t *testing.T, kind chainofcustody.EventKind) (chainofcustody.EventCheck, []string) {
	t.Helper()
	var e chainofcustody.EventCheck
	f := filler{t: t}
	f.fill(reflect.ValueOf(&e).Elem(), "event")
	// What is bound to a vocabulary.
	for _, fix := range []struct {
		field *string
		to    string
	}{
		{(*string)(&e.Kind), string(kind)},
		{&e.Exhibit, "EX-4711"},
		{&e.Time.TZ, "+05:45"},
		{&e.Time.Source, "gps"},
		{(*string)(&e.Verdict), string(chainofcustody.VerdictVerified)},
	} {
		f.leaves[slices.Index(f.leaves, *fix.field)] = fix.to
		*fix.field = fix.to
	}
	return e, f.leaves
}

// A field that is added to an event or to its verification must be given a
// place here, or the test fails.
func TestValuesHoldEveryFieldOfAnEvent(t *testing.T) {
	e, leaves := full(t, chainofcustody.EventSealed)
	var texts, order []string
	for _, v := range values(&e) {
		texts = append(texts, v.text)
		order = append(order, v.field)
	}
	if !slices.Equal(order, fields) {
		t.Errorf("values are\n%v, fields are\n%v", order, fields)
	}
	if len(fields) != len(leaves) {
		t.Errorf("an event has %d fields, %d are known here", len(leaves), len(fields))
	}
	slices.Sort(texts)
	slices.Sort(leaves)
	if !slices.Equal(texts, leaves) {
		t.Errorf("values are\n%v, the event's fields are\n%v", texts, leaves)
	}
}

func TestEveryFieldOfEveryKindIsWritten(t *testing.T) {
	for _, kind := range chainofcustody.EventKinds() {
		e, _ := full(t, kind)
		e.Case = "2026-031"
		l := Log{Case: chainofcustody.CaseInfo{ID: e.Case}, Exhibits: []Exhibit{{Report: chainofcustody.Report{
			Exhibit: e.Exhibit, Verdict: chainofcustody.VerdictVerified, Events: []chainofcustody.EventCheck{e}, Heads: []evidence.Digest{e.Digest},
		}}}}
		for _, w := range writers {
			data, err := w.write(l)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range values(&e) {
				if !strings.Contains(string(data), v.text) {
					t.Errorf("%s: field %s of an event %s is not in it", w.format.Name, v.field, kind)
				}
				if w.format.Terms[v.field] == "" && !strings.Contains(string(data), "exhibit:"+term(v.field)) {
					t.Errorf("%s: field %s has neither a standard term nor a private one", w.format.Name, v.field)
				}
			}
		}
	}
}

func TestTermsNameKnownFields(t *testing.T) {
	for _, f := range Formats() {
		for field := range f.Terms {
			if !slices.Contains(fields, field) {
				t.Errorf("%s has a term for %s, which is no field", f.Name, field)
			}
		}
		if len(f.Lost) == 0 {
			t.Errorf("%s does not say what is lost", f.Name)
		}
	}
}
