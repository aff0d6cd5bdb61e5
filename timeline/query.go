package timeline

import "errors"

// ErrNoEvent says that no event has the asked identity.
var ErrNoEvent = errors.New("no such event")

// ErrNoField says that a list of values was asked without naming a field.
var ErrNoField = errors.New("a field must be named")

// Query selects events. The zero Query selects all.
type Query struct {
	Where Expr // nil: everything
	Limit int  // of Events, 0: none; counts and lists take in everything
}

// Expr is a node of a query's condition: And, Or, Not or Match.
type Expr interface{ expr() }

// And holds when all of its parts hold; the empty And always holds.
type And []Expr

// Or holds when one of its parts holds; the empty Or never holds.
type Or []Expr

// Not holds when X does not.
type Not struct{ X Expr }

// Op is how a Match compares.
type Op uint8

// Text comparisons, regular expressions included, fold ASCII and Unicode
// simple case; OpRange on text does not. A field that is unset (None, "")
// matches nothing but a negation. A backslash in a wildcard pattern takes the
// next character literally. Integers and times are compared as numbers by
// OpEqual and OpRange, and as their decimal or RFC 3339 text by the others.
const (
	OpEqual    Op = iota // whole value equals Value
	OpContains           // value contains Value
	OpWildcard           // whole value matches Value, where * is any run and ? any one character
	OpRegex              // RE2 expression Value matches somewhere
	OpRange              // Lo <= value <= Hi, or exclusive; numbers and times numerically, text bytewise
	OpCIDR               // address lies in prefix Value
	OpExists             // value is set
	OpWord               // value contains Value, and not inside a longer word (see IsWordByte)
)

// Match compares one field. Field is a name that FieldOf knows, an attribute
// name ("attr." before it where a column has the same name), or "" for free
// text: message, then every other text column and attribute. A field with
// several values (an attribute given twice) matches when one of them does.
type Match struct {
	Field        string
	Op           Op
	Value        string
	Lo, Hi       string // OpRange; "" is open
	LoExc, HiExc bool   // OpRange: bound excluded
}

func (And) expr()   {}
func (Or) expr()    {}
func (Not) expr()   {}
func (Match) expr() {}
