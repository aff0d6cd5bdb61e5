package sqlite

import (
	"math"
	"strings"
)

// Table is a table by its statement in the schema.
type Table struct {
	Name    string
	Root    uint32
	SQL     string
	Columns []Column

	alias int // column that stands for the row's number; -1: none
}

// Column is a column as declared.
type Column struct {
	Name    string
	Type    string // as written, "" where none is
	NotNull bool

	affinity affinity
}

// affinity is what SQLite makes of a declared type, datatype3.html section 3.1.
type affinity uint8

const (
	numeric affinity = iota
	integer
	text
	blob
	real
)

func affinityOf(declared string) affinity {
	declared = strings.ToUpper(declared)
	for _, a := range [...]struct {
		is    affinity
		words []string
	}{{integer, []string{"INT"}}, {text, []string{"CHAR", "CLOB", "TEXT"}}, {blob, []string{"BLOB"}}, {real, []string{"REAL", "FLOA", "DOUB"}}} {
		for _, w := range a.words {
			if strings.Contains(declared, w) {
				return a.is
			}
		}
	}
	if declared == "" {
		return blob
	}
	return numeric
}

// Column returns the index of a column, -1 where there is none.
func (t *Table) Column(name string) int {
	for i := range t.Columns {
		if strings.EqualFold(t.Columns[i].Name, name) {
			return i
		}
	}
	return -1
}

// schema reads sqlite_schema, the table whose root is page 1: type, name,
// tbl_name, rootpage, sql.
func (db *DB) schema() {
	master := Table{Name: "sqlite_schema", Root: 1, alias: -1}
	for row := range db.Rows(&master) {
		if len(row.Values) < 5 || string(row.Values[0].Bytes) != "table" || len(db.tables) >= maxTables {
			continue
		}
		name, root, sql := row.Values[1], row.Values[3], row.Values[4]
		if root.Int < 1 || root.Int > math.MaxUint32 || len(sql.Bytes) > maxSQL {
			continue // a virtual table has no root
		}
		t := Table{Name: string(name.Bytes), Root: uint32(root.Int), SQL: string(sql.Bytes)}
		if t.declare() {
			db.tables = append(db.tables, t)
		}
	}
}

// declare reads the columns from CREATE TABLE. It is false for tables that
// are laid out otherwise (WITHOUT ROWID) and statements that are none.
func (t *Table) declare() bool {
	body, tail, ok := parenthesised(t.SQL)
	if !ok || strings.Contains(strings.ToUpper(strings.Join(strings.Fields(tail), " ")), "WITHOUT ROWID") {
		return false
	}
	t.alias = -1
	for _, def := range split(body) {
		words := tokens(def)
		if len(words) == 0 {
			continue
		}
		if !words[0].quoted && isConstraint(words[0].text) {
			t.primaryKey(words)
			continue
		}
		t.column(words)
		if len(t.Columns) > maxColumns {
			return false
		}
	}
	return len(t.Columns) > 0
}

func isConstraint(word string) bool {
	switch strings.ToUpper(word) {
	case "CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN":
		return true
	}
	return false
}

// column reads NAME [TYPE…] [CONSTRAINT…].
func (t *Table) column(words []token) {
	c := Column{Name: words[0].text}
	var declared []string
	rest := words[1:]
	for len(rest) > 0 && (rest[0].quoted || !beginsConstraint(rest[0].text)) {
		declared = append(declared, rest[0].text)
		rest = rest[1:]
	}
	c.Type = strings.Join(declared, " ")
	c.affinity = affinityOf(c.Type)
	virtual := false
	for i, w := range rest {
		next := func(n int) string {
			if i+n < len(rest) {
				return strings.ToUpper(rest[i+n].text)
			}
			return ""
		}
		switch strings.ToUpper(w.text) {
		case "NOT":
			c.NotNull = c.NotNull || next(1) == "NULL"
		case "PRIMARY":
			// INTEGER PRIMARY KEY DESC is no alias: a bug that SQLite keeps.
			if strings.EqualFold(c.Type, "INTEGER") && next(2) != "DESC" {
				t.alias = len(t.Columns)
			}
		case "AS":
			virtual = true
		case "STORED":
			virtual = false
		}
	}
	if !virtual { // what is computed when it is read is in no record
		t.Columns = append(t.Columns, c)
	}
}

func beginsConstraint(word string) bool {
	switch strings.ToUpper(word) {
	case "CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES", "GENERATED", "AS":
		return true
	}
	return false
}

// primaryKey reads [CONSTRAINT NAME] PRIMARY KEY (COLUMN).
func (t *Table) primaryKey(words []token) {
	for i, w := range words {
		if strings.EqualFold(w.text, "PRIMARY") && i+2 < len(words) {
			in, _, ok := parenthesised(words[i+2].text)
			if !ok {
				return
			}
			names := tokens(in)
			if len(names) == 0 || len(split(in)) != 1 {
				return
			}
			if c := t.Column(names[0].text); c >= 0 && strings.EqualFold(t.Columns[c].Type, "INTEGER") {
				t.alias = c
			}
			return
		}
	}
}

// token is a word, a quoted name or a pair of parentheses with its content.
type token struct {
	text   string
	quoted bool
}

func tokens(s string) []token {
	var out []token
	for i := 0; i < len(s); {
		switch n, quoted := lexeme(s[i:]); {
		case n == 0:
			i++ // blank or punctuation
		case quoted:
			out = append(out, token{unquote(s[i : i+n]), true})
			i += n
		case s[i] == '-' || s[i] == '/': // comment
			i += n
		default:
			out = append(out, token{s[i : i+n], false})
			i += n
		}
	}
	return out
}

// lexeme returns the length of what s begins with: a quoted text, a comment, a
// pair of parentheses, a word; 0 for anything else.
func lexeme(s string) (n int, quoted bool) {
	switch c := s[0]; {
	case c == '\'' || c == '"' || c == '`':
		for i := 1; i < len(s); i++ {
			if s[i] == c {
				if i+1 < len(s) && s[i+1] == c {
					i++ // doubled inside
					continue
				}
				return i + 1, true
			}
		}
		return len(s), true
	case c == '[':
		if i := strings.IndexByte(s, ']'); i >= 0 {
			return i + 1, true
		}
		return len(s), true
	case strings.HasPrefix(s, "--"):
		if i := strings.IndexByte(s, '\n'); i >= 0 {
			return i + 1, false
		}
		return len(s), false
	case strings.HasPrefix(s, "/*"):
		if i := strings.Index(s, "*/"); i >= 0 {
			return i + 2, false
		}
		return len(s), false
	case c == '(':
		depth := 0
		for i := 0; i < len(s); {
			switch s[i] {
			case '(':
				depth++
			case ')':
				if depth--; depth == 0 {
					return i + 1, false
				}
			case '\'', '"', '`', '[', '-', '/':
				if n, _ := lexeme(s[i:]); n > 1 {
					i += n
					continue
				}
			}
			i++
		}
		return len(s), false
	case wordByte(c):
		for n < len(s) && wordByte(s[n]) {
			n++
		}
		return n, false
	}
	return 0, false
}

func wordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

func unquote(s string) string {
	end := s[0]
	if end == '[' {
		return strings.TrimSuffix(s[1:], "]")
	}
	s = s[1:]
	if len(s) > 0 && s[len(s)-1] == end {
		s = s[:len(s)-1]
	}
	return strings.ReplaceAll(s, string([]byte{end, end}), string(end))
}

// parenthesised returns what is in the first parentheses of s and behind them.
func parenthesised(s string) (in, tail string, ok bool) {
	for i := 0; i < len(s); {
		n, _ := lexeme(s[i:])
		if s[i] == '(' {
			if s[i+n-1] != ')' {
				return "", "", false
			}
			return s[i+1 : i+n-1], s[i+n:], true
		}
		i += max(n, 1)
	}
	return "", "", false
}

// split cuts s at its commas, those in quotes and parentheses excepted.
func split(s string) []string {
	var parts []string
	from := 0
	for i := 0; i < len(s); {
		if s[i] == ',' {
			parts = append(parts, s[from:i])
			from = i + 1
		}
		n, _ := lexeme(s[i:])
		i += max(n, 1)
	}
	return append(parts, s[from:])
}
