package bars

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

// Each bar without a figure names a test that exists, and each test of this
// package is named: make bench-collect runs those that the table names.
func TestTheTableNamesEveryTest(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs", "benchmarks.md"))
	check(t, err)
	_, table, _ := strings.Cut(string(text), "| bar without a figure |")
	table, _, ok := strings.Cut(table, "\n\n")
	if !ok {
		t.Fatal("docs/benchmarks.md has no table of bars")
	}
	row := regexp.MustCompile("^\\| [^|]+ \\| `\\./([a-z0-9/-]+) (Test[A-Za-z0-9]+)` \\|$")
	var here []string
	rows := 0
	for _, line := range strings.Split(table, "\n")[2:] {
		m := row.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("no test is named by this row: %s", line)
			continue
		}
		rows++
		if !slices.Contains(testsIn(t, filepath.Join(testenv.Root(t), m[1])), m[2]) {
			t.Errorf("there is no %s in %s", m[2], m[1])
		}
		if m[1] == "test/bars" {
			here = append(here, m[2])
		}
	}
	for _, name := range testsIn(t, ".") {
		if name != t.Name() && !slices.Contains(here, name) {
			t.Errorf("%s is named by no row", name)
		}
	}
	if rows < 10 {
		t.Errorf("the table has %d rows", rows)
	}
}

// testsIn lists the tests of a folder, for every system.
func testsIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	check(t, err)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		check(t, err)
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") && f.Name.Name != "TestMain" {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}
