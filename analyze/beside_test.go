package analyze_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// pair reads a log that lies beside its database.
var pair = analyze.Parser{
	Name: "test_pair", Doc: "two files", Version: 1, Family: "text",
	Match:  func(it *evidence.Item, _ []byte) bool { return strings.HasSuffix(it.Path, "-log") },
	Beside: func(path string) string { return strings.TrimSuffix(path, "-log") },
	Parse: func(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
		ev := out.Event(0, 1)
		if src.Beside == nil {
			ev.Message = "alone"
			return nil
		}
		b, err := io.ReadAll(io.NewSectionReader(src.Beside, 0, src.Beside.Size))
		ev.Message = out.Text(fmt.Appendf(nil, "%s has %s", src.Beside.Item.Path, b))
		return err
	},
}

func runPair(t *testing.T, s *shelf, f *folder) *analyze.Result {
	t.Helper()
	res, err := analyze.Run(t.Context(), f, s, analyze.Options{Parsers: []analyze.Parser{pair}})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestTheFileBesideAnItemIsOpened(t *testing.T) {
	for want, f := range map[string]*folder{
		"/a/db has one": new(folder).add("/b/db", "other").add("/a/db-log", "x").add("/a/db", "one"),
		"alone":         new(folder).add("/b/db", "other").add("/a/db-log", "x"),
	} {
		s := newShelf()
		runPair(t, s, f)
		if got := s.messages(); len(got) != 1 || !strings.HasSuffix(got[0], " "+want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAnItemIsReadAgainWhenTheFileBesideItIsAnother(t *testing.T) {
	s := newShelf()
	runPair(t, s, new(folder).add("/a/db-log", "x").add("/a/db", "one"))
	if res := runPair(t, s, new(folder).add("/a/db-log", "x").add("/a/db", "one")); res.Reused != 1 {
		t.Errorf("the same was read again: %+v", res)
	}
	if res := runPair(t, s, new(folder).add("/a/db-log", "x").add("/a/db", "two")); res.Reused != 0 || res.Events != 1 {
		t.Errorf("another was not read: %+v", res)
	}
}

func TestAFileBesideThatCannotBeOpenedIsAProblem(t *testing.T) {
	s := newShelf()
	f := new(folder).add("/a/db-log", "x").add("/a/db", "one")
	f.broken = map[string]error{"files/a/db": errors.New("broken")}
	runPair(t, s, f)
	if len(s.messages()) != 0 || len(s.problems) == 0 || !strings.Contains(s.problems[0].Detail, "beside it: broken") {
		t.Errorf("%q %+v", s.messages(), s.problems)
	}
}

// counted counts how often the items are gone through.
type counted struct {
	*folder
	times *atomic.Int64
}

func (c counted) Items() iter.Seq2[evidence.Item, error] {
	c.times.Add(1)
	return c.folder.Items()
}

// Evidence that holds many logs is not gone through once for each.
func TestManyFilesAreFoundBesideTheirs(t *testing.T) {
	f := new(folder)
	for i := range 200 {
		f.add(fmt.Sprintf("/%d/db-log", i), "x").add(fmt.Sprintf("/%d/db", i), "one")
	}
	s, c := newShelf(), counted{f, new(atomic.Int64)}
	if _, err := analyze.Run(t.Context(), c, s, analyze.Options{Parsers: []analyze.Parser{pair}}); err != nil {
		t.Fatal(err)
	}
	if got := s.messages(); len(got) != 200 || c.times.Load() > 10 {
		t.Errorf("%d events, the items were gone through %d times", len(got), c.times.Load())
	}
}
