// Package collecttest holds what every collector must do, as a test suite,
// and a way to run collectors into a real bundle.
package collecttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/bundle"
	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// Collected is a finished run: its result, its items and their content.
type Collected struct {
	Result *collect.Result
	Items  []evidence.Item
	Reader *bundle.Reader
}

// Collect runs collectors into a bundle in a temporary folder and opens it.
func Collect(ctx context.Context, t testing.TB, opt collect.Options) *Collected {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "run.exhibit.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	opt.Out, opt.OwnFiles = out, append(slices.Clone(opt.OwnFiles), out)
	res, err := collect.Run(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	c := Open(t, out, res.Written)
	c.Result = res
	return c
}

// Open opens a bundle of so many bytes. Its Result is nil.
func Open(t testing.TB, from io.ReaderAt, size int64) *Collected {
	t.Helper()
	r, err := bundle.Open(from, size)
	if err != nil {
		t.Fatal(err)
	}
	c := &Collected{Reader: r}
	for it, err := range r.Items() {
		if err != nil {
			t.Fatal(err)
		}
		c.Items = append(c.Items, it)
	}
	return c
}

// Find returns the item of a path; its Kind is "" when there is none.
func (c *Collected) Find(path string) evidence.Item {
	for _, it := range c.Items {
		if it.Path == path {
			return it
		}
	}
	return evidence.Item{}
}

// Content returns the bytes of the item of a path; the test fails when there
// is none with content.
func (c *Collected) Content(t testing.TB, path string) []byte {
	t.Helper()
	it := c.Find(path)
	if it.Member == "" {
		t.Fatalf("no content of %q: %+v", path, it)
	}
	f, err := c.Reader.Open(it.Member)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(f); err != nil {
		t.Fatal(err)
	}
	if sum := evidence.Sum(b.Bytes()); sum != it.SHA256 {
		t.Fatalf("content of %q has digest %s, its record says %s", path, sum, it.SHA256)
	}
	return b.Bytes()
}

// Lines decodes a record set.
func Lines[T any](t testing.TB, c *Collected, path string) []T {
	t.Helper()
	var text []byte
	for _, it := range c.Items { // of a slow run the engine's own sets are in pieces
		if set, ok := collect.SetOf(it); ok && set == path && it.Path != path {
			text = append(text, c.Content(t, it.Path)...)
		}
	}
	var list []T
	for line := range bytes.Lines(append(text, c.Content(t, path)...)) {
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("line %q of %s: %v", line, path, err)
		}
		list = append(list, v)
	}
	return list
}

// Run checks what every collector must do: say what it is, leave a record of
// everything it looked for on a host where there is nothing, stay out of a
// host that is not running when it needs a running one, end when told to,
// start no other program, and change nothing.
func Run(t *testing.T, c collect.Collector) {
	t.Run("is described", func(t *testing.T) { described(t, c) })
	t.Run("records what it looked for on an empty host", func(t *testing.T) { emptyHost(t, c) })
	t.Run("ends when cancelled", func(t *testing.T) { cancelled(t, c) })
	if system := c.System(); c.Live && c.Tier < collect.TierAlongside && (system == "" || system == runtime.GOOS) {
		t.Run("collects the running host without children", func(t *testing.T) { running(t, c) })
	}
}

func described(t *testing.T, c collect.Collector) {
	if c.Name == "" || strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		t.Errorf("name %q is not lower case with underscores", c.Name)
	}
	if c.Doc == "" || strings.Contains(c.Doc, "\n") || strings.HasSuffix(c.Doc, ".") {
		t.Errorf("doc %q is not one line without a period", c.Doc)
	}
	if c.Run == nil {
		t.Fatal("it cannot run")
	}
}

func emptyHost(t *testing.T, c collect.Collector) {
	root := t.TempDir()
	marks := marked(t, root, c.System())
	got := Collect(t.Context(), t, collect.Options{Root: root, Collectors: []collect.Collector{c}})
	res := got.Result.Collectors[0]
	want := []collect.Outcome{collect.Collected, collect.Empty}
	if c.Live {
		want = []collect.Outcome{collect.Skipped}
	}
	if !slices.Contains(want, res.Outcome) {
		t.Errorf("outcome %s (%s), want one of %v", res.Outcome, res.Detail, want)
	}
	var said int
	for _, l := range Lines[collect.LedgerLine](t, got, collect.LedgerSet) {
		if l.Collector == c.Name && l.What != "collector" {
			said++
		}
	}
	if said == 0 {
		t.Error("the ledger does not say what was looked for")
	}
	entries, err := os.ReadDir(root)
	if err != nil || len(entries) != marks {
		t.Errorf("it left something on the host: %v %v", entries, err)
	}
}

// marked makes of an empty folder one that looks like a system, and returns how
// many names are in it then.
func marked(t *testing.T, root, system string) int {
	mark := map[string]string{
		"windows": "Windows/System32", "darwin": "System/Library/CoreServices", "freebsd": "bin/freebsd-version",
	}[system]
	if mark == "" {
		return 0
	}
	if err := os.MkdirAll(filepath.Join(root, filepath.FromSlash(mark)), 0o755); err != nil {
		t.Fatal(err)
	}
	return 1
}

func cancelled(t *testing.T, c collect.Collector) {
	root := t.TempDir()
	h, err := collect.OpenHost(root, false)
	if errors.Is(err, collect.ErrUnsupported) {
		t.Skip("skipped: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if c.Live {
		h.Close()
		if h, err = collect.OpenHost("/", true); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, h, discard{}) }()
	select {
	case <-done: // with an error or without: the engine knows that it was cancelled
	case <-time.After(20 * time.Second):
		t.Error("still running 20 s after it was cancelled")
	}
}

func running(t *testing.T, c collect.Collector) {
	before := children(t)
	got := Collect(t.Context(), t, collect.Options{Collectors: []collect.Collector{c}})
	if res := got.Result.Collectors[0]; res.Outcome != collect.Collected {
		t.Errorf("outcome %s: %s", res.Outcome, res.Detail)
	}
	if after := children(t); after != before {
		t.Errorf("CPU time of ended children went from %d to %d: a program was started", before, after)
	}
}
