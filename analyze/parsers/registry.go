// Package parsers is the shelf of parsers: one file per parser, each a struct
// value registered where it is declared. Nothing is looked up by name; the
// list is passed on by whoever wants it run.
package parsers

import (
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
)

// The two rows of the shelf. An item goes to the first parser that matches
// it, so parsers that know a format by its content come before those that
// take any text.
const (
	specific = iota
	generic
)

type place struct {
	row    int
	parser analyze.Parser
}

var shelf []place

// register puts a parser that recognises its own format on the shelf.
func register(p analyze.Parser) analyze.Parser {
	shelf = append(shelf, place{specific, p})
	return p
}

// registerGeneric puts a parser on the shelf that takes what no specific
// parser wanted.
func registerGeneric(p analyze.Parser) analyze.Parser {
	shelf = append(shelf, place{generic, p})
	return p
}

// All returns every parser in the order in which they are asked: specific
// before generic, then by name. The slice is the caller's.
func All() []analyze.Parser {
	sorted := slices.Clone(shelf)
	slices.SortFunc(sorted, func(a, b place) int {
		if a.row != b.row {
			return a.row - b.row
		}
		return strings.Compare(a.parser.Name, b.parser.Name)
	})
	all := make([]analyze.Parser, len(sorted))
	for i := range sorted {
		all[i] = sorted[i].parser
	}
	return all
}
