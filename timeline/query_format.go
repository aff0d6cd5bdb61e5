package timeline

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// Format writes a condition in the query language. Parse gives back a
// condition of the same meaning, and Format of that the same text.
func Format(x Expr) string {
	var b strings.Builder
	format(&b, x, false)
	return b.String()
}

func format(b *strings.Builder, x Expr, inside bool) {
	switch x := x.(type) {
	case nil:
		b.WriteByte('*')
	case And:
		formatList(b, x, " AND ", "*", inside)
	case Or:
		formatList(b, x, " OR ", "NOT *", inside)
	case Not:
		b.WriteString("NOT ")
		format(b, x.X, true)
	case Match:
		formatMatch(b, x)
	}
}

func formatList(b *strings.Builder, list []Expr, joint, none string, inside bool) {
	switch len(list) {
	case 0:
		b.WriteString(none)
		return
	case 1:
		format(b, list[0], inside)
		return
	}
	if inside {
		b.WriteByte('(')
	}
	for i, x := range list {
		if i > 0 {
			b.WriteString(joint)
		}
		format(b, x, true)
	}
	if inside {
		b.WriteByte(')')
	}
}

func formatMatch(b *strings.Builder, m Match) {
	if m.Op == OpExists || m.Op == OpContains && m.Value == "" {
		b.WriteString("has:")
		if m.Field == "" {
			b.WriteByte('*')
		} else {
			b.WriteString(fieldText(m.Field))
		}
		return
	}
	if m.Field != "" {
		b.WriteString(fieldText(m.Field) + ":")
	} else if m.Op == OpRange {
		b.WriteString("any:")
	}
	switch m.Op {
	case OpRange:
		open, closing := "[", "]"
		if m.LoExc && m.Lo != "" {
			open = "{"
		}
		if m.HiExc && m.Hi != "" {
			closing = "}"
		}
		fmt.Fprintf(b, "%s%s TO %s%s", open, boundText(m.Lo), boundText(m.Hi), closing)
	case OpRegex:
		if m.Value == "" || strings.ContainsRune(m.Value, '/') {
			b.WriteString("regex(" + quoteText(m.Value) + ")")
		} else {
			b.WriteString("/" + m.Value + "/")
		}
	default:
		b.WriteString(valueText(m))
	}
}

// valueText writes the value of a comparison in the shortest way that is read
// back as it.
func valueText(m Match) string {
	words := wordFields[m.Field]
	switch {
	case m.Op == OpWord && words, m.Op == OpEqual && !words:
		return quoteText(m.Value)
	case m.Op == OpContains && plainWord(m.Value):
		return "*" + m.Value + "*"
	case m.Op == OpCIDR && addressFields[m.Field]:
		if _, err := netip.ParsePrefix(m.Value); err == nil {
			return m.Value
		}
	}
	for name, op := range functions {
		if op == m.Op {
			return name + "(" + quoteText(m.Value) + ")"
		}
	}
	return quoteText(m.Value)
}

func plainWord(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return s != ""
}

func quoteText(s string) string {
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(s) + `"`
}

func boundText(s string) string {
	switch {
	case s == "":
		return "*"
	case s != "TO" && strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:_-+") == "":
		return s
	}
	return quoteText(s)
}

// fieldText writes the name of a field. Names that would be taken for
// something else get the prefix of attributes.
func fieldText(name string) string {
	_, column := fieldTable()[name]
	if !column && !strings.HasPrefix(name, attrPrefix) &&
		(isAlias(name) || len(name) < 2 || name == "NOT" || name == "AND" || name == "OR" || '0' <= name[0] && name[0] <= '9') {
		name = attrPrefix + name
	}
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; !isAlnum(c) && c < utf8.RuneSelf && c != '_' && c != '.' && c != '@' {
			b.WriteByte('\\')
		}
		b.WriteByte(name[i])
	}
	return b.String()
}
