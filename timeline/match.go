package timeline

import (
	"fmt"
	"strconv"
)

// Matcher is a condition made ready to be asked about events one by one. It
// is the plain reading of the query language: no index, no shortcut. It is
// safe for use by many goroutines.
type Matcher struct{ hold func(*Event) bool }

// NewMatcher prepares where; nil holds for everything. The error says which
// value cannot be compared: a bad expression, number, time or prefix.
func NewMatcher(where Expr) (*Matcher, error) {
	if where == nil {
		return &Matcher{func(*Event) bool { return true }}, nil
	}
	hold, err := matcher(where)
	if err != nil {
		return nil, err
	}
	return &Matcher{hold}, nil
}

// Match reports whether the condition holds for e.
func (m *Matcher) Match(e *Event) bool { return m.hold(e) }

func matcher(x Expr) (func(*Event) bool, error) {
	switch x := x.(type) {
	case And:
		parts, err := matchers(x)
		return func(e *Event) bool {
			for _, part := range parts {
				if !part(e) {
					return false
				}
			}
			return true
		}, err
	case Or:
		parts, err := matchers(x)
		return func(e *Event) bool {
			for _, part := range parts {
				if part(e) {
					return true
				}
			}
			return false
		}, err
	case Not:
		part, err := matcher(x.X)
		return func(e *Event) bool { return !part(e) }, err
	case Match:
		test, err := NewTest(x)
		if err != nil {
			return nil, err
		}
		return test.Event, nil
	}
	return nil, fmt.Errorf("condition has a part of unknown type %T", x)
}

func matchers(list []Expr) ([]func(*Event) bool, error) {
	parts := make([]func(*Event) bool, len(list))
	for i, x := range list {
		part, err := matcher(x)
		if err != nil {
			return nil, err
		}
		parts[i] = part
	}
	return parts, nil
}

// Event reports whether one of the field's values in e passes the test.
func (t *Test) Event(e *Event) bool {
	switch t.Field.Kind {
	case FieldInt, FieldTime:
		n := *t.Field.Column.Int(e)
		return n != None && t.Int(n)
	case FieldText:
		s := *t.Field.Column.Str(e)
		return s != "" && t.Text(s)
	case FieldAttr:
		for i := range e.Attrs {
			if e.Attrs[i].Key == t.Field.Name && e.Attrs[i].Value != "" && t.Text(e.Attrs[i].Value) {
				return true
			}
		}
		return false
	}
	var room [96]string
	for _, s := range t.Field.Values(room[:0], e) {
		if t.Text(s) {
			return true
		}
	}
	return false
}

// Int tests a value of an integer or time column.
func (t *Test) Int(n int64) bool {
	switch {
	case t.numeric:
		return t.lo <= n && n <= t.hi
	case t.Match.Op == OpExists:
		return true
	case t.Field.Kind == FieldTime:
		return t.Text(FormatTime(n))
	}
	return t.Text(strconv.FormatInt(n, 10))
}
