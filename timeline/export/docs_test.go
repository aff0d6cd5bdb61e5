package export_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline/export"
)

func TestDocumentation(t *testing.T) {
	var b strings.Builder
	b.WriteString("| format | what it is | what it has no place for |\n|---|---|---|\n")
	for _, f := range export.Formats {
		loss := f.Loss
		if loss == "" {
			loss = "nothing is lost"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, f.Doc, loss)
	}
	path := filepath.Join(testenv.Root(t), "docs/timeline-exports.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(page), "<!-- formats -->\n")
	_, after, ok2 := strings.Cut(rest, "<!-- end -->\n")
	if !ok1 || !ok2 {
		t.Fatal("docs/timeline-exports.md has no place for the table")
	}
	want := before + "<!-- formats -->\n" + b.String() + "<!-- end -->\n" + after
	if testenv.Updating() {
		err = os.WriteFile(path, []byte(want), 0o644)
	} else if want != string(page) {
		t.Errorf("docs/timeline-exports.md is old: go test ./timeline/export -run Documentation -update")
	}
	if err != nil {
		t.Fatal(err)
	}
}
