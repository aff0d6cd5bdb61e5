package timeline

import (
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Test is a Match made ready to be asked about single values.
type Test struct {
	Match Match
	Field Field

	folded  string // Value folded, for the text comparisons
	re      *regexp.Regexp
	prefix  netip.Prefix
	numeric bool  // integer or time column under OpEqual or OpRange
	lo, hi  int64 // inclusive bounds where numeric
	decimal bool  // text under OpRange with numbers as bounds
	loF     float64
	hiF     float64
}

// maxPattern bounds regular expressions; RE2 keeps their running time linear.
const maxPattern = 4096

// NewTest prepares a Match.
func NewTest(m Match) (*Test, error) {
	t := &Test{Match: m, Field: FieldOf(m.Field), folded: Fold(m.Value)}
	var err error
	switch m.Op {
	case OpEqual, OpRange:
		switch t.Field.Kind {
		case FieldInt, FieldTime:
			err = t.bounds()
		default:
			t.textBounds()
		}
	case OpRegex:
		if len(m.Value) > maxPattern {
			return nil, fmt.Errorf("regular expression is longer than %d bytes", maxPattern)
		}
		// Compiled bare first: "a)(b" must not become good by being wrapped.
		if _, err = regexp.Compile(m.Value); err == nil {
			t.re, err = regexp.Compile("(?i)(?:" + m.Value + ")")
		}
	case OpCIDR:
		t.prefix, err = parsePrefix(m.Value)
	case OpContains, OpWildcard, OpExists, OpWord:
	default:
		err = fmt.Errorf("comparison %d is not known", m.Op)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", fieldLabel(m.Field), err)
	}
	return t, nil
}

func fieldLabel(name string) string {
	if name == "" {
		return "text"
	}
	return "field " + name
}

func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is no network such as 10.0.0.0/8", s)
	}
	return p.Masked(), nil
}

// Text tests one non-empty text value.
func (t *Test) Text(s string) bool {
	switch t.Match.Op {
	case OpEqual:
		return Fold(s) == t.folded
	case OpContains:
		return strings.Contains(Fold(s), t.folded)
	case OpWord:
		return ContainsWord(Fold(s), t.folded)
	case OpWildcard:
		return WildcardMatch(t.folded, Fold(s))
	case OpRegex:
		return t.re.MatchString(s)
	case OpCIDR:
		return t.address(s)
	case OpRange:
		return t.between(s)
	}
	return true // OpExists
}

// address accepts a plain address; an IPv4 address mapped into IPv6 counts as
// IPv4, and a zone is ignored.
func (t *Test) address(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && t.prefix.Contains(a.Unmap().WithZone(""))
}

// Folded returns the text to look for in folded text, for OpEqual,
// OpContains, OpWord and OpWildcard.
func (t *Test) Folded() string { return t.folded }

// Bounds returns the inclusive bounds of an OpEqual or OpRange on an integer
// or time column. Where lo > hi nothing matches.
func (t *Test) Bounds() (lo, hi int64, ok bool) { return t.lo, t.hi, t.numeric }

// bounds turns OpEqual and OpRange on a number into inclusive bounds.
func (t *Test) bounds() error {
	m := t.Match
	if m.Op == OpEqual {
		m.Lo, m.Hi = m.Value, m.Value
		if m.Value == "" {
			return fmt.Errorf("wants a %s", t.numberWord())
		}
	}
	t.numeric = true
	t.lo, t.hi = math.MinInt64+1, math.MaxInt64
	if m.Lo != "" {
		first, last, err := t.number(m.Lo)
		if err != nil {
			return err
		}
		if t.lo = first; m.LoExc {
			if last == math.MaxInt64 {
				t.lo, t.hi = 1, 0
				return nil
			}
			t.lo = last + 1
		}
	}
	if m.Hi != "" {
		first, last, err := t.number(m.Hi)
		if err != nil {
			return err
		}
		if t.hi = last; m.HiExc {
			t.hi = first - 1 // first is never the least integer
		}
	}
	return nil
}

func (t *Test) numberWord() string {
	if t.Field.Kind == FieldTime {
		return "time such as 2026-11-23T09:00"
	}
	return "whole number"
}

// number returns the first and last value that s stands for.
func (t *Test) number(s string) (first, last int64, err error) {
	if t.Field.Kind == FieldTime {
		if first, last, ok := ParseTime(s); ok {
			return first, last, nil
		}
	} else if n, err := strconv.ParseInt(s, 10, 64); err == nil && n != None {
		return n, n, nil
	}
	return 0, 0, fmt.Errorf("%q is no %s", s, t.numberWord())
}

// textBounds decides whether the bounds of a text range are numbers.
func (t *Test) textBounds() {
	m := t.Match
	if m.Op != OpRange || m.Lo == "" && m.Hi == "" {
		return
	}
	t.decimal = true
	t.loF, t.hiF = math.Inf(-1), math.Inf(1)
	for _, b := range []struct {
		s  string
		to *float64
	}{{m.Lo, &t.loF}, {m.Hi, &t.hiF}} {
		if b.s == "" {
			continue
		}
		f, ok := parseDecimal(b.s)
		if !ok {
			t.decimal = false
			return
		}
		*b.to = f
	}
}

// parseDecimal reads an optional sign, digits and a fraction; no exponent, no
// names of infinities.
func parseDecimal(s string) (float64, bool) {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || len(s) > 64 || strings.Trim(digits, "0123456789.") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// between holds text against a range: as numbers where the bounds are
// numbers (text that is none does not match), else bytewise.
func (t *Test) between(s string) bool {
	m := t.Match
	if t.decimal {
		f, ok := parseDecimal(s)
		return ok && (f > t.loF || !m.LoExc && f == t.loF) && (f < t.hiF || !m.HiExc && f == t.hiF)
	}
	if m.Lo != "" && (s < m.Lo || m.LoExc && s == m.Lo) {
		return false
	}
	return m.Hi == "" || s < m.Hi || !m.HiExc && s == m.Hi
}
