package local

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// The page on the format is what readers in other languages go by.
func TestFormatPageListsTheColumnsInOrder(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs/format/timeline.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(b), "| column | type | meaning |\n|---|---|---|\n")
	var listed []string
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			break
		}
		listed = append(listed, strings.Trim(cells[1], " `"))
	}
	for i, field := range parquetSchema.Fields() {
		if i >= len(listed) || listed[i] != field.Name() {
			t.Fatalf("row %d of the page is not %s (%d rows)", i+1, field.Name(), len(listed))
		}
	}
	if len(listed) != len(parquetSchema.Fields()) {
		t.Errorf("%d rows for %d columns", len(listed), len(parquetSchema.Fields()))
	}
	for _, promise := range []string{FormatVersion, strings.TrimSuffix(tokMagic, "\n"), "250,000", "16,384", "32,768", "10,000"} {
		if !strings.Contains(string(b), promise) {
			t.Errorf("the page does not say %q", promise)
		}
	}
}

// The few lines of Python on the page check a timeline, and see a change.
func TestPythonOfThePageVerifiesATimeline(t *testing.T) {
	python := testenv.Tool(t, "python3")
	b, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs/format/timeline.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, code, ok := strings.Cut(string(b), "The chain without our tools:\n\n")
	code, _, _ = strings.Cut(code, "\n\n")
	if !ok {
		t.Fatal("the page has no script")
	}
	code = strings.ReplaceAll("\n"+code, "\n    ", "\n")
	dir := t.TempDir()
	store, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	source := &timeline.Source{SHA256: evidence.Sum(nil)}
	job := timeline.Job{Key: source.SHA256.String(), Family: "text", Parser: "p@1", Source: source}
	w, err := store.Begin(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	out := timeline.NewAppender(t.Context(), w, source, "p", 1)
	out.Event(0, 1).SetNanos(5)
	if err := errors.Join(out.Flush(), w.Commit(t.Context()), store.Close()); err != nil {
		t.Fatal(err)
	}
	run := func() ([]byte, error) {
		cmd := exec.Command(python, "-c", code)
		cmd.Dir = dir
		return cmd.CombinedOutput()
	}
	if text, err := run(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	m, err := readManifest(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, m.segments[0].Name), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := run(); err == nil || !strings.Contains(string(text), "AssertionError") {
		t.Errorf("a changed segment passes: %v, %s", err, text)
	}
}
