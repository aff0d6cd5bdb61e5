package parsertest

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// How often every sample is damaged.
const (
	cuts  = 64
	flips = 256
)

// Run holds the parser to the suite over every sample of dir.
func Run(t *testing.T, p analyze.Parser, dir string) {
	t.Helper()
	declared(t, p)
	for _, s := range Load(t, dir) {
		t.Run(s.Name, func(t *testing.T) {
			whole := guarded(t, p, s, "whole sample")
			t.Run("is recognised", func(t *testing.T) { recognised(t, p, s) })
			t.Run("gives the golden events", func(t *testing.T) {
				testenv.Golden(t, filepath.Join(dir, s.Name+".golden"), Lines(whole))
			})
			t.Run("has complete events inside the item", func(t *testing.T) { complete(t, p, s, whole) })
			t.Run("is read the same again", func(t *testing.T) { same(t, p, s, whole) })
			t.Run("survives cuts", func(t *testing.T) { cut(t, p, s, whole) })
			t.Run("survives flipped bytes", func(t *testing.T) { flip(t, p, s) })
		})
	}
}

// declared checks what the parser says about itself.
func declared(t *testing.T, p analyze.Parser) {
	t.Helper()
	if p.Name == "" || p.Doc == "" || p.Family == "" || p.Version < 1 || len(p.Types) == 0 || p.Match == nil || p.Parse == nil {
		t.Fatalf("parser %q leaves a field of its declaration empty", p.Name)
	}
	if strings.Trim(p.Name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		t.Errorf("parser name %q has other characters than a-z, 0-9 and _", p.Name)
	}
	if strings.Contains(p.Doc, "\n") {
		t.Errorf("parser %s: Doc is more than one line", p.Name)
	}
}

func recognised(t *testing.T, p analyze.Parser, s Sample) {
	head := s.Data[:min(len(s.Data), analyze.HeadSize)]
	if !p.Match(s.Item(), head) {
		t.Error("Match refuses the parser's own sample")
	}
	for n := range min(len(head), 300) {
		p.Match(s.Item(), head[:n]) // a short head must not panic
	}
}

// complete checks that every event says what it is, when and where.
func complete(t *testing.T, p analyze.Parser, s Sample, res Result) {
	if res.Err != nil {
		t.Errorf("Parse returned an error: %v", res.Err)
	}
	if err := inside(res, int64(len(s.Data))); err != nil {
		t.Error(err)
	}
	switch damaged := strings.HasPrefix(s.Name, "damaged"); {
	case damaged && len(res.Problems) == 0:
		t.Error("a damaged sample gave no problem")
	case !damaged && len(res.Problems) > 0:
		t.Errorf("a clean sample gave %d problems, the first: %+v", len(res.Problems), res.Problems[0])
	case !damaged && len(res.Events) == 0:
		t.Error("a clean sample gave no event")
	}
	for _, ev := range res.Events {
		if err := whole(p, ev); err != nil {
			t.Errorf("event %d: %v", ev.Seq, err)
		}
	}
}

// whole says what an event lacks.
func whole(p analyze.Parser, ev *timeline.Event) error {
	if !slices.Contains(p.Types, ev.DataType) {
		return fmt.Errorf("data type %q is not among the declared %q", ev.DataType, p.Types)
	}
	if ev.SourceShort == "" || ev.TSDesc == "" || ev.TSKind == "" || ev.Message == "" {
		return fmt.Errorf("source_short %q, ts_desc %q, ts_kind %q or message %q is empty", ev.SourceShort, ev.TSDesc, ev.TSKind, ev.Message)
	}
	if (ev.TSState == timeline.TimeOK) != (ev.TS != timeline.None) {
		return fmt.Errorf("time state %d contradicts time %d", ev.TSState, ev.TS)
	}
	if ev.TSState == timeline.TimeOK && (ev.TSPrec == "" || ev.TZSrc == "") {
		return fmt.Errorf("a dated event without precision %q or zone source %q", ev.TSPrec, ev.TZSrc)
	}
	for i := range timeline.Columns {
		if c := &timeline.Columns[i]; c.Str != nil && !utf8.ValidString(*c.Str(ev)) {
			return fmt.Errorf("column %s holds %q, which is no UTF-8: use Appender.Text", c.Name, *c.Str(ev))
		}
	}
	for _, a := range ev.Attrs {
		if a.Key == "" || !utf8.ValidString(a.Value) || !utf8.ValidString(a.Key) {
			return fmt.Errorf("attribute %q=%q is unnamed or no UTF-8", a.Key, a.Value)
		}
	}
	return nil
}

// same checks that a second reading, in pieces of other sizes, gives the same
// events, identities included. A parser that lets an event point into its
// read buffer is found here.
func same(t *testing.T, p analyze.Parser, s Sample, first Result) {
	want := append(Lines(first), ids(first)...)
	for name, res := range map[string]Result{
		"again":        Parse(t, p, s),
		"byte by byte": parse(t, p, s, iotest.OneByteReader(bytes.NewReader(s.Data))),
		"by halves":    parse(t, p, s, iotest.HalfReader(iotest.DataErrReader(bytes.NewReader(s.Data)))),
	} {
		if got := append(Lines(res), ids(res)...); !bytes.Equal(want, got) {
			t.Errorf("read %s, the events differ", name)
		}
	}
}

func ids(res Result) []byte {
	var b []byte
	for _, ev := range res.Events {
		b = append(b, ev.ID[:]...)
	}
	return b
}

func cut(t *testing.T, p analyze.Parser, s Sample, whole Result) {
	for i := range cuts {
		n := len(s.Data) * i / cuts
		part := Sample{Name: s.Name, Data: s.Data[:n], Beside: s.Beside, Facts: s.Facts}
		what := fmt.Sprintf("cut after %d bytes", n)
		res := guarded(t, p, part, what)
		if len(res.Events) > len(whole.Events) {
			t.Errorf("%s: %d events, more than the %d of the whole", what, len(res.Events), len(whole.Events))
		}
		if err := inside(res, int64(n)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func flip(t *testing.T, p analyze.Parser, s Sample) {
	if len(s.Data) == 0 {
		return
	}
	seed := uint64(len(s.Data))
	for range flips {
		seed = seed*6364136223846793005 + 1442695040888963407
		at := int((seed >> 33) % uint64(len(s.Data)))
		bits := byte(seed>>25) | 1
		part := Sample{Name: s.Name, Data: bytes.Clone(s.Data), Beside: s.Beside, Facts: s.Facts}
		part.Data[at] ^= bits
		what := fmt.Sprintf("byte %d changed by %#02x", at, bits)
		res := guarded(t, p, part, what)
		if err := inside(res, int64(len(s.Data))); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
