package parsers

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func TestEveryParserHasItsOwnNameAndSamples(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range All() {
		if seen[p.Name] {
			t.Errorf("two parsers are named %s", p.Name)
		}
		seen[p.Name] = true
		if _, err := os.Stat(filepath.Join("testdata", p.Name)); err != nil {
			t.Errorf("parser %s has no samples: %v", p.Name, err)
		}
	}
}

func TestEverySampleGoesToItsOwnParser(t *testing.T) {
	all := All()
	for _, p := range all {
		for _, s := range parsertest.Load(t, filepath.Join("testdata", p.Name)) {
			head := s.Data[:min(len(s.Data), analyze.HeadSize)]
			i := slices.IndexFunc(all, func(q analyze.Parser) bool { return q.Match(s.Item(), head) })
			if i < 0 || all[i].Name != p.Name {
				taker := "nobody"
				if i >= 0 {
					taker = all[i].Name
				}
				t.Errorf("%s/%s is taken by %s", p.Name, s.Name, taker)
			}
		}
	}
}

func TestAllHandsOutACopy(t *testing.T) {
	first := All()
	first[0].Name = "changed"
	if All()[0].Name == "changed" {
		t.Error("the shelf was changed through the list it gave")
	}
}

// The list of parsers in the documentation is made of what they declare.
func TestDocumentationListsEveryParser(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(`# Parsers

This page is generated from what the parsers declare; change it with
` + "`go test ./analyze/parsers -run Documentation -update`" + `.

A parser reads one kind of item and gives events. An item goes to the first
parser, in the order of this page, that recognises its content; compressed
items (gzip, xz, zstd, bzip2, lz4) are decoded before. Every event names the
bytes it was read from: item, offset and length in the decoded content.
Damage is reported as a problem with its place, and reading goes on behind it.
The version is raised whenever the output changes for some input.

| parser | version | family | reads | data types |
|---|---|---|---|---|
`)
	for _, p := range All() {
		types := make([]string, len(p.Types))
		for i, name := range p.Types {
			types[i] = "`" + name + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s | %s |\n", p.Name, p.Version, p.Family, p.Doc, strings.Join(types, ", "))
	}
	comments := comments(t)
	for _, p := range All() {
		text := comments[p.Name]
		if text == "" {
			t.Errorf("the declaration of parser %s has no comment", p.Name)
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s", p.Name, text)
	}
	testenv.Golden(t, filepath.Join(testenv.Root(t), "docs", "parsers.md"), b.Bytes())
}

// comments returns the comment above every registered parser by the parser's
// name, as Markdown.
func comments(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.VAR || len(decl.Specs) != 1 {
				continue
			}
			spec := decl.Specs[0].(*ast.ValueSpec)
			if registered := registeredName(spec); registered != "" {
				// The comment begins with the variable's name: say "It" instead.
				text := strings.TrimPrefix(decl.Doc.Text(), spec.Names[0].Name+" ")
				var printer comment.Parser
				found[registered] = "It " + string((&comment.Printer{}).Markdown(printer.Parse(text)))
			}
		}
	}
	return found
}

// registeredName returns the Name in register(analyze.Parser{Name: "…"}).
func registeredName(spec *ast.ValueSpec) string {
	if len(spec.Values) != 1 {
		return ""
	}
	call, ok := spec.Values[0].(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return ""
	}
	if fn, ok := call.Fun.(*ast.Ident); !ok || !strings.HasPrefix(fn.Name, "register") {
		return ""
	}
	lit, ok := call.Args[0].(*ast.CompositeLit)
	if !ok {
		return ""
	}
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok || kv.Key.(*ast.Ident).Name != "Name" {
			continue
		}
		if v, ok := kv.Value.(*ast.BasicLit); ok {
			return strings.Trim(v.Value, `"`)
		}
	}
	return ""
}
