package timeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
)

func testSource() *Source {
	return &Source{Path: "/var/log/auth.log", Host: "web01", HostID: "m1", SHA256: evidence.Sum([]byte("x"))}
}

// keep collects clones, as every honest sink does.
type keep struct {
	events   []*Event
	problems []evidence.Problem
	batches  int
	err      error
}

func (k *keep) Append(_ context.Context, b *Batch) error {
	k.batches++
	for i := range b.Events {
		k.events = append(k.events, b.Events[i].Clone())
	}
	k.problems = append(k.problems, b.Problems...)
	return k.err
}

func TestAppenderFillsWhatEveryEventHas(t *testing.T) {
	k := &keep{}
	out := NewAppender(t.Context(), k, testSource(), "test", 3)
	ev := out.Event(10, 5)
	ev.SetNanos(42)
	ev.Message = out.Text([]byte("hello"))
	out.Attr("a", []byte("1"))
	out.AttrInt("b", -2)
	out.Event(15, 6).Message = "second"
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if len(k.events) != 2 {
		t.Fatalf("%d events, want 2", len(k.events))
	}
	a, b := k.events[0], k.events[1]
	if a.Parser != "test" || a.ParserVer != 3 || a.Host != "web01" || a.HostID != "m1" || a.RecOff != 10 || a.RecLen != 5 {
		t.Errorf("event %+v", a)
	}
	if a.PID != None || a.DstPort != None || a.TSEnd != None || b.TSState != TimeNone || b.TS != None {
		t.Error("unset columns are not None")
	}
	if v, ok := a.Attr("b"); !ok || v != "-2" || len(a.Attrs) != 2 || len(b.Attrs) != 0 {
		t.Errorf("attributes %v and %v", a.Attrs, b.Attrs)
	}
	if a.ID == b.ID || a.ID == (ID{}) || a.Seq != 0 || b.Seq != 1 {
		t.Errorf("identities %v %v, order %d %d", a.ID, b.ID, a.Seq, b.Seq)
	}
}

func TestEventIdentityDependsOnSourceAndParserOnly(t *testing.T) {
	id := func(src *Source, parser string, version int) ID {
		k := &keep{}
		out := NewAppender(t.Context(), k, src, parser, version)
		out.Event(7, 1)
		if err := out.Flush(); err != nil {
			t.Fatal(err)
		}
		return k.events[0].ID
	}
	base := id(testSource(), "p", 1)
	again := testSource()
	again.Bundle, again.Member = evidence.Sum([]byte("other bundle")), "files/x"
	if id(again, "p", 1) != base {
		t.Error("the bundle changed the identity")
	}
	moved := testSource()
	moved.Path = "/var/log/auth.log.1"
	host := testSource()
	host.HostID = "m2"
	for name, other := range map[string]ID{
		"version": id(testSource(), "p", 2), "parser": id(testSource(), "q", 1), "path": id(moved, "p", 1), "host": id(host, "p", 1),
	} {
		if other == base {
			t.Errorf("another %s has the same identity", name)
		}
	}
}

func TestEventsSurviveWhatFollowsInTheirBatch(t *testing.T) {
	k := &keep{}
	out := NewAppender(t.Context(), k, testSource(), "test", 1)
	const n = 5000
	for i := range n {
		ev := out.Event(int64(i), 1)
		ev.Message = out.Text([]byte(fmt.Sprintf("message %d %s", i, strings.Repeat("x", i%300))))
		for j := range i % 5 {
			out.AttrInt(fmt.Sprintf("k%d", j), int64(i))
		}
		if i%1000 == 999 {
			ev.Cmdline = out.Text([]byte(strings.Repeat("y", 200<<10)))
		}
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if len(k.events) != n || k.batches < n/1024 {
		t.Fatalf("%d events in %d batches", len(k.events), k.batches)
	}
	for i, ev := range k.events {
		if want := fmt.Sprintf("message %d %s", i, strings.Repeat("x", i%300)); ev.Message != want {
			t.Fatalf("event %d: message %.40q, want %.40q", i, ev.Message, want)
		}
		if len(ev.Attrs) != i%5 {
			t.Fatalf("event %d has %d attributes, want %d", i, len(ev.Attrs), i%5)
		}
		for j, a := range ev.Attrs {
			if a.Key != fmt.Sprintf("k%d", j) || a.Value != fmt.Sprint(i) {
				t.Fatalf("event %d attribute %d is %v", i, j, a)
			}
		}
	}
}

func TestInvalidTextIsEscapedAndMarked(t *testing.T) {
	k := &keep{}
	out := NewAppender(t.Context(), k, testSource(), "test", 1)
	ev := out.Event(0, 1)
	ev.Message = out.Text([]byte("caf\xe9 ok"))
	ev.User = out.Intern([]byte("b\xffb"))
	ev.File = out.Join("/home/", "x\xfe")
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	got := k.events[0]
	if got.Message != `caf\xe9 ok` || got.User != `b\xffb` || got.File != `/home/x\xfe` || got.Flags&EscapedText == 0 {
		t.Errorf("event %q %q %q %v", got.Message, got.User, got.File, got.Flags)
	}
}

func TestDroppedEventLeavesNoTrace(t *testing.T) {
	k := &keep{}
	out := NewAppender(t.Context(), k, testSource(), "test", 1)
	out.Event(0, 1).Message = "first"
	out.Event(1, 1).Message = "dropped"
	out.Attr("x", []byte("y"))
	out.Drop()
	out.Event(2, 1).Message = "third"
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if len(k.events) != 2 || k.events[1].Message != "third" || k.events[1].Seq != 1 || len(k.events[1].Attrs) != 0 {
		t.Errorf("events %+v", k.events)
	}
	if n, _ := out.Counts(); n != 2 {
		t.Errorf("counted %d events, want 2", n)
	}
}

func TestProblemsTravelWithTheirPlace(t *testing.T) {
	k := &keep{}
	out := NewAppender(t.Context(), k, testSource(), "test", 1)
	for i := range 3000 {
		out.Problem(evidence.Corrupt, int64(i), 1, "bad record")
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if len(k.problems) != 3000 || k.problems[2999].Ref.Offset != 2999 || k.problems[0].Stage != "test" || k.batches < 2 {
		t.Errorf("%d problems in %d batches", len(k.problems), k.batches)
	}
}

func TestSinkErrorAndCancellationReachTheParser(t *testing.T) {
	full := errors.New("disk full")
	out := NewAppender(t.Context(), &keep{err: full}, testSource(), "test", 1)
	for range 3000 {
		out.Event(0, 1)
	}
	if !errors.Is(out.Err(), full) || !errors.Is(out.Flush(), full) {
		t.Error("the sink's error is lost")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(full)
	out = NewAppender(ctx, &keep{}, testSource(), "test", 1)
	out.Event(0, 1)
	if !errors.Is(out.Flush(), full) {
		t.Error("the cause of the cancellation is lost")
	}
}

func TestColumnsReachDistinctFields(t *testing.T) {
	var ev Event
	names := map[string]bool{}
	for i := range Columns {
		c := &Columns[i]
		if names[c.Name] {
			t.Errorf("column %s is listed twice", c.Name)
		}
		names[c.Name] = true
		switch {
		case c.Str != nil && c.Int == nil:
			if *c.Str(&ev) != "" {
				t.Errorf("column %s shares its field", c.Name)
			}
			*c.Str(&ev) = c.Name
		case c.Int != nil && c.Str == nil:
			if *c.Int(&ev) != 0 {
				t.Errorf("column %s shares its field", c.Name)
			}
			*c.Int(&ev) = int64(i + 1)
		default:
			t.Errorf("column %s has no field or two", c.Name)
		}
	}
}

func BenchmarkAppender(b *testing.B) {
	out := NewAppender(b.Context(), SinkFunc(func(context.Context, *Batch) error { return nil }), testSource(), "test", 1)
	line := []byte("Accepted password for deploy from 203.0.113.45 port 43515 ssh2")
	user, host := []byte("deploy"), []byte("web01")
	b.ReportAllocs()
	for b.Loop() {
		ev := out.Event(0, 62)
		ev.SetNanos(1)
		ev.Message = out.Text(line)
		ev.User, ev.Host = out.Intern(user), out.Intern(host)
		out.Attr("method", line[9:17])
	}
	if err := out.Flush(); err != nil {
		b.Fatal(err)
	}
}
