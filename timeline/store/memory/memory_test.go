package memory_test

import (
	"context"
	"testing"

	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/memory"
)

func TestUndatedEventsComeLastAndWordsFold(t *testing.T) {
	src := &timeline.Source{ID: "s", Path: "/var/log/auth.log"}
	a := &timeline.Event{Source: src, TS: timeline.None, TSState: timeline.TimeNone, Message: "Accepted password for ROOT", ID: timeline.ID{1}}
	b := &timeline.Event{Source: src, TS: 5, Message: "rooted", ID: timeline.ID{2}}
	m := memory.New([]*timeline.Event{a, b})
	q := timeline.Query{Where: timeline.Or{
		timeline.Match{Op: timeline.OpWord, Value: "root"},
		timeline.Match{Field: "message", Op: timeline.OpEqual, Value: "Rooted"},
	}}
	var got []byte
	for e, err := range m.Events(context.Background(), q, nil) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.ID[0])
	}
	if string(got) != "\x02\x01" {
		t.Fatalf("events %v, want 2 then 1", got)
	}
}
