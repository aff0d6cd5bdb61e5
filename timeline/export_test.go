package timeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/memory"
	"github.com/exhibit-dfir/exhibit/timeline/storetest"
)

func sample(t *testing.T) *memory.Engine {
	t.Helper()
	events, problems, sources := storetest.Collect(t, storetest.Jobs(9, 6, 300))
	sources[0].Source.Modified = time.Date(2026, 11, 23, 9, 0, 0, 5, time.UTC)
	m := memory.New(events, sources...)
	m.AddProblems(problems...)
	return m
}

func all(e timeline.Engine) iter.Seq2[*timeline.Event, error] {
	return e.Events(context.Background(), timeline.Query{}, nil)
}

func TestJSONLGivesBackEveryEventWhole(t *testing.T) {
	m := sample(t)
	want := storetest.Slice(t, all(m))
	var buf bytes.Buffer
	n, err := timeline.WriteJSONL(&buf, all(m))
	if err != nil || n != int64(len(want)) {
		t.Fatalf("%d rows, %v; want %d", n, err, len(want))
	}
	for line := range bytes.Lines(buf.Bytes()) {
		if !json.Valid(line) {
			t.Fatalf("no JSON: %s", line)
		}
	}
	got := storetest.Slice(t, timeline.ReadJSONL(&buf))
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d", len(got), len(want))
	}
	for i := range got {
		if d := storetest.Diff(got[i], want[i]); d != "" {
			t.Fatalf("event %d: %s", i, d)
		}
	}
}

func TestReadJSONLNamesTheBadLine(t *testing.T) {
	for _, bad := range []string{"{", `{"event_id":"x"}`, `{"event_id":"00000000000000000000000000000000","pid":"a"}`, `[]`} {
		var last error
		for _, err := range timeline.ReadJSONL(strings.NewReader("\n" + bad + "\n")) {
			last = err
		}
		if last == nil || !strings.Contains(last.Error(), "line 2") {
			t.Errorf("%s: error %v, want one that names line 2", bad, last)
		}
	}
}

func TestJSONLStopsAtTheFirstError(t *testing.T) {
	bad := errors.New("segment is damaged")
	events := func(yield func(*timeline.Event, error) bool) { yield(nil, bad) }
	if _, err := timeline.WriteJSONL(&bytes.Buffer{}, events); !errors.Is(err, bad) {
		t.Errorf("JSONL: %v", err)
	}
}

func TestSummaryCountsWhatIsThere(t *testing.T) {
	m := sample(t)
	s, err := timeline.Summarize(context.Background(), m, timeline.Query{})
	if err != nil {
		t.Fatal(err)
	}
	events := storetest.Slice(t, all(m))
	var dated []int64
	types := int64(0)
	for _, e := range events {
		if e.TS != timeline.None {
			dated = append(dated, e.TS)
		}
		if e.DataType == s.DataTypes[0].Value {
			types++
		}
	}
	if s.Events != int64(len(events)) || s.Undated != int64(len(events)-len(dated)) ||
		s.First != dated[0] || s.Last != dated[len(dated)-1] || s.DataTypes[0].Count != types || s.Sources != 6 {
		t.Errorf("summary %+v", s)
	}
	problems := len(storetest.Slice(t, m.Problems(context.Background())))
	if s.Problems != int64(problems) || problems == 0 {
		t.Errorf("%d problems, want %d", s.Problems, problems)
	}
}

func TestContentIDLeavesOutWhereARecordWasFound(t *testing.T) {
	a := &timeline.Event{Message: "m", Host: "h", TS: 5, RecOff: 10, Line: 2, Seq: 1, Parser: "p"}
	b := &timeline.Event{Message: "m", Host: "h", TS: 5, RecOff: 99, Line: 7, Seq: 3, Parser: "q", TSRaw: "raw", Source: &timeline.Source{Path: "/b"}}
	if timeline.ContentID(a) != timeline.ContentID(b) {
		t.Error("copies of one record differ")
	}
	for name, change := range map[string]func(*timeline.Event){
		"time": func(e *timeline.Event) { e.TS++ }, "host": func(e *timeline.Event) { e.Host = "x" },
		"attribute":  func(e *timeline.Event) { e.Attrs = []timeline.Attr{{Key: "k", Value: "v", Type: 's'}} },
		"moved text": func(e *timeline.Event) { e.User, e.Message = e.Message, "" },
	} {
		c := a.Clone()
		change(c)
		if timeline.ContentID(a) == timeline.ContentID(c) {
			t.Errorf("a different %s gives the same identity", name)
		}
	}
}
