package parsertest

import (
	"bufio"
	"context"
	"io"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// lineParser is a small correct parser with which the suite tests itself.
func lineParser() analyze.Parser {
	return analyze.Parser{
		Name: "lines", Doc: "one event a line", Version: 1, Family: "text", Types: []string{"test:line"},
		Match: func(_ *evidence.Item, head []byte) bool { return len(head) > 0 },
		Parse: func(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
			r, at := bufio.NewReader(src), int64(0)
			for {
				line, err := r.ReadBytes('\n')
				if len(line) > 0 {
					ev := out.Event(at, int64(len(line)))
					ev.DataType, ev.SourceShort, ev.TSDesc, ev.TSKind = "test:line", "LOG", "Event Logged", timeline.Recorded
					ev.Message = "line " + out.Text(line)
					at += int64(len(line))
				}
				if err == io.EOF {
					return nil
				} else if err != nil {
					return err
				}
			}
		},
	}
}

func TestACorrectParserPasses(t *testing.T) { Run(t, lineParser(), "testdata") }

func TestEventsOutsideTheItemAreSeen(t *testing.T) {
	p := lineParser()
	s := Sample{Name: "x", Data: []byte("one\ntwo\n")}
	res := Parse(t, p, s)
	if len(res.Events) != 2 || inside(res, 8) != nil {
		t.Fatalf("got %d events, %v", len(res.Events), inside(res, 8))
	}
	if inside(res, 7) == nil {
		t.Error("an event that ends after the item was accepted")
	}
	res.Events[0].RecLen = 0
	if inside(res, 8) == nil {
		t.Error("an event of no bytes was accepted")
	}
}

func TestIncompleteEventsAreSeen(t *testing.T) {
	p := lineParser()
	res := Parse(t, p, Sample{Name: "x", Data: []byte("one\n")})
	if err := whole(p, res.Events[0]); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*timeline.Event){
		"undeclared type":   func(ev *timeline.Event) { ev.DataType = "test:other" },
		"no message":        func(ev *timeline.Event) { ev.Message = "" },
		"time without ok":   func(ev *timeline.Event) { ev.TS = 1 },
		"no precision":      func(ev *timeline.Event) { ev.SetNanos(1) },
		"no UTF-8":          func(ev *timeline.Event) { ev.User = "\xff" },
		"unnamed attribute": func(ev *timeline.Event) { ev.Attrs = []timeline.Attr{{Value: "x", Type: 's'}} },
	} {
		ev := res.Events[0].Clone()
		spoil(ev)
		if whole(p, ev) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
