package threats

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// TestEveryAdversaryOfTheModelIsPlayed reads the table of the document and the
// sources beside this file: each row names a test that exists, and each test
// is named by a row.
func TestEveryAdversaryOfTheModelIsPlayed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs", "threat-model.md"))
	must(t, err)
	_, table, _ := strings.Cut(string(text), "## Adversaries")
	table, _, ok := strings.Cut(table, "\n## ")
	if !ok {
		t.Fatal("the document has no table of adversaries")
	}
	name := regexp.MustCompile("`(Test[A-Za-z]+)`")
	var named []string
	rows := 0
	for row := range strings.Lines(table) {
		if !strings.HasPrefix(row, "|") || strings.HasPrefix(row, "|---") || strings.HasPrefix(row, "| who") {
			continue
		}
		rows++
		found := name.FindAllStringSubmatch(row, -1)
		if len(found) == 0 {
			t.Errorf("no test is named by this row: %s", row)
		}
		for _, f := range found {
			named = append(named, f[1])
		}
	}
	played := testsOf(t, "*_test.go")
	var elsewhere []string
	for _, folder := range []string{"bundle", "chainofcustody", "cmd/exhibit", "collect/sink", "collect/sink/receiver", "test/kit"} {
		elsewhere = append(elsewhere, testsOf(t, filepath.Join(testenv.Root(t), folder, "*_test.go"))...)
	}
	for _, n := range named {
		if !slices.Contains(played, n) && !slices.Contains(elsewhere, n) {
			t.Errorf("the document names %s, which does not exist", n)
		}
	}
	for _, n := range played {
		if !slices.Contains(named, n) {
			t.Errorf("%s is named by no row of the document", n)
		}
	}
	if rows < 15 {
		t.Errorf("the table has %d rows", rows)
	}
}

// testsOf lists the tests of some files, but for the one that asks.
func testsOf(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	must(t, err)
	var names []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		must(t, err)
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") && f.Name.Name != "TestMain" && f.Name.Name != t.Name() {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}
