package duckdb

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/timeline"
)

// where writes a condition as SQL over the table ev and, for attributes, the
// table attr(event_id, key, value). ok is false for the few comparisons that
// DuckDB has no means for: networks of IPv6, and patterns over times.
func where(x timeline.Expr) (sql string, ok bool) {
	switch x := x.(type) {
	case nil:
		return "true", true
	case timeline.And:
		return join(x, " AND ", "true")
	case timeline.Or:
		return join(x, " OR ", "false")
	case timeline.Not:
		sql, ok = where(x.X)
		return "NOT (" + sql + ")", ok
	case timeline.Match:
		return match(x)
	}
	return "", false
}

func join(list []timeline.Expr, joint, none string) (string, bool) {
	parts := make([]string, len(list))
	for i := range list {
		var ok bool
		if parts[i], ok = where(list[i]); !ok {
			return "", false
		}
	}
	if len(parts) == 0 {
		return none, true
	}
	return "((" + strings.Join(parts, ")"+joint+"(") + "))", true
}

// text writes a literal; DuckDB's parser takes no NUL in one.
func text(s string) string {
	s = "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, "\x00") {
		return "(" + strings.ReplaceAll(s, "\x00", "' || chr(0) || '") + ")"
	}
	return s
}

func column(name string) string { return `"` + name + `"` }

// match writes one comparison. coalesce makes unset values false, not NULL,
// so that NOT works.
func match(m timeline.Match) (string, bool) {
	f := timeline.FieldOf(m.Field)
	cond := func(value string) (string, bool) {
		c, ok := compare(m, value)
		return "coalesce(" + c + ", false)", ok
	}
	switch f.Kind {
	case timeline.FieldInt, timeline.FieldTime:
		return number(m, f)
	case timeline.FieldID:
		return cond("lower(hex(" + column(f.Name) + "))")
	case timeline.FieldAttr:
		c, ok := cond("attr.value")
		return fmt.Sprintf("event_id IN (SELECT event_id FROM attr WHERE key = %s AND value <> '' AND %s)", text(f.Name), c), ok
	case timeline.FieldFlags:
		c, ok := cond("x")
		return fmt.Sprintf("coalesce(len(list_filter(string_split(flags, ','), x -> %s)) > 0, false)", c), ok
	case timeline.FieldAny:
		return anywhere(cond)
	}
	if f.Name == "sha256" {
		return cond("lower(hex(sha256))")
	}
	return cond(column(f.Name))
}

func anywhere(cond func(string) (string, bool)) (string, bool) {
	c, ok := cond("attr.value")
	parts := []string{"event_id IN (SELECT event_id FROM attr WHERE value <> '' AND " + c + ")"}
	for i := range timeline.Columns {
		if col := &timeline.Columns[i]; col.Str != nil {
			value := column(col.Name)
			if col.Name == "sha256" {
				value = "lower(hex(sha256))"
			}
			c, _ := cond(value)
			parts = append(parts, c)
		}
	}
	return "(" + strings.Join(parts, " OR ") + ")", ok
}

func number(m timeline.Match, f timeline.Field) (string, bool) {
	c := column(f.Name)
	switch m.Op {
	case timeline.OpExists:
		return c + " IS NOT NULL", true
	case timeline.OpEqual, timeline.OpRange:
		test, err := timeline.NewTest(m)
		if err != nil {
			return "", false
		}
		lo, hi, _ := test.Bounds()
		return fmt.Sprintf("coalesce(%s BETWEEN %d AND %d, false)", c, lo, hi), true
	}
	if f.Kind == timeline.FieldTime {
		return "", false
	}
	sql, ok := compare(m, "CAST("+c+" AS VARCHAR)")
	return "coalesce(" + sql + ", false)", ok
}

// fold is Unicode simple folding as far as lower() does not do it: the long s.
func fold(value string) string { return "replace(lower(" + value + "), 'ſ', 's')" }

// foldGo is the same for what is looked for, apart from timeline.Fold.
func foldGo(s string) string { return strings.ReplaceAll(strings.ToLower(s), "ſ", "s") }

func compare(m timeline.Match, value string) (string, bool) {
	want := text(foldGo(m.Value))
	switch m.Op {
	case timeline.OpExists:
		return value + " IS NOT NULL", true
	case timeline.OpEqual:
		return fold(value) + " = " + want, true
	case timeline.OpContains:
		return "contains(" + fold(value) + ", " + want + ")", true
	case timeline.OpWord:
		return "regexp_matches(" + fold(value) + ", " + text(wordRegex(foldGo(m.Value))) + ")", true
	case timeline.OpWildcard:
		return "regexp_full_match(" + fold(value) + ", " + text(wildcardRegex(foldGo(m.Value))) + ")", true
	case timeline.OpRegex:
		return "regexp_matches(" + value + ", " + text("(?i-s)"+m.Value) + ")", true
	case timeline.OpCIDR:
		return network(m.Value, value)
	case timeline.OpRange:
		return between(m, value), true
	}
	return "", false
}

const noWord = `[^0-9A-Za-z\x{80}-\x{10ffff}]`

func wordRegex(w string) string {
	if w == "" {
		return ""
	}
	re := "(?s)" + regexp.QuoteMeta(w)
	if timeline.IsWordByte(w[0]) {
		re = "(?s)(^|" + noWord + ")" + regexp.QuoteMeta(w)
	}
	if timeline.IsWordByte(w[len(w)-1]) {
		re += "($|" + noWord + ")"
	}
	return re
}

func wildcardRegex(pattern string) string {
	var b strings.Builder
	b.WriteString("(?s)")
	for i := 0; i < len(pattern); {
		r, n := utf8.DecodeRuneInString(pattern[i:])
		switch {
		case r == '*':
			b.WriteString(".*")
		case r == '?':
			b.WriteString(".")
		case r == '\\' && i+1 < len(pattern):
			i++
			_, n = utf8.DecodeRuneInString(pattern[i:])
			fallthrough
		default:
			b.WriteString(regexp.QuoteMeta(pattern[i : i+n]))
		}
		i += n
	}
	return b.String()
}

// network compares IPv4 addresses, also mapped into IPv6, as numbers.
func network(prefix, value string) (string, bool) {
	p, err := netip.ParsePrefix(prefix)
	if err != nil || !p.Addr().Is4() {
		return "", false
	}
	base := p.Masked().Addr().As4()
	lo := uint64(base[0])<<24 | uint64(base[1])<<16 | uint64(base[2])<<8 | uint64(base[3])
	hi := lo + 1<<(32-p.Bits()) - 1
	v4 := `regexp_replace(regexp_replace(` + value + `, '^(::ffff:[^%]*)%.+$', '\1', 's'), '^::ffff:', '')` // a zone is ignored
	part := func(n int) string { return fmt.Sprintf("TRY_CAST(split_part(%s, '.', %d) AS BIGINT)", v4, n) }
	return fmt.Sprintf(`(regexp_full_match(%s, '((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\.|$)){4}') AND %s * 16777216 + %s * 65536 + %s * 256 + %s BETWEEN %d AND %d)`,
		v4, part(1), part(2), part(3), part(4), lo, hi), true
}

var decimal = regexp.MustCompile(`^-?([0-9]+\.?[0-9]*|\.[0-9]+)$`)

func between(m timeline.Match, value string) string {
	numeric := (m.Lo == "" || decimal.MatchString(m.Lo)) && (m.Hi == "" || decimal.MatchString(m.Hi)) && m.Lo+m.Hi != ""
	v, quote := value, text
	guard := "true"
	if numeric {
		guard = "regexp_full_match(" + value + ", '-?([0-9]+\\.?[0-9]*|\\.[0-9]+)')"
		v, quote = "TRY_CAST("+value+" AS DOUBLE)", func(s string) string { return "CAST('" + s + "' AS DOUBLE)" }
	}
	parts := []string{value + " IS NOT NULL", guard}
	add := func(bound, op string, excluded bool) {
		if bound == "" {
			return
		}
		if !excluded {
			op += "="
		}
		parts = append(parts, v+" "+op+" "+quote(bound))
	}
	add(m.Lo, ">", m.LoExc)
	add(m.Hi, "<", m.HiExc)
	return "(" + strings.Join(parts, " AND ") + ")"
}
