package interop

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// The tables of docs/exports.md are those that the writers go by.
func TestDocumentationHoldsTheTables(t *testing.T) {
	path := filepath.Join(testenv.Root(t), "docs", "exports.md")
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	marker := []byte("<!-- tables -->\n")
	head, _, ok := bytes.Cut(have, marker)
	if !ok {
		t.Fatal("docs/exports.md has no place for the tables")
	}
	doc := bytes.NewBuffer(append(bytes.Clone(head), marker...))
	for _, f := range Formats() {
		fmt.Fprintf(doc, "\n### %s: %s\n\n| field | written as |\n|---|---|\n", f.Name, f.Standard)
		for _, field := range fields {
			to := f.Terms[field]
			if to == "" {
				to = "private term `" + term(field) + "`"
			}
			fmt.Fprintf(doc, "| `%s` | %s |\n", field, to)
		}
		fmt.Fprint(doc, "\nLost:\n\n")
		for _, s := range f.Lost {
			fmt.Fprintf(doc, "- %s\n", s)
		}
	}
	testenv.Golden(t, path, doc.Bytes())
}
