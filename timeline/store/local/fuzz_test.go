package local

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/exhibit-dfir/exhibit/timeline"
)

func FuzzManifest(f *testing.F) {
	lines := &chain{}
	first, last := int64(-5), int64(7)
	for _, e := range []entry{
		{Type: entryHeader, Format: FormatVersion},
		{Type: entrySegment, Name: "seg/text/a-0.parquet", SHA256: lines.prev.String(), Bytes: 9, Rows: 3, Undated: 1, MinTS: &first, MaxTS: &last, Family: "text"},
		{Type: entrySources, Name: "tab/a.sources.jsonl", SHA256: lines.prev.String(), Rows: 1},
		{Type: entryJob, Key: "k", Segments: []string{"seg/text/a-0.parquet"}},
	} {
		if err := lines.add(e); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(lines.out.Bytes())
	f.Add([]byte(`{"prev":"00","type":"header"}` + "\n"))
	f.Add([]byte(`{"prev":"0000000000000000000000000000000000000000000000000000000000000000","type":"header","format":"exhibit.timeline.v1"}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(bytes.NewReader(b), nil)
		if err != nil {
			return
		}
		if m.bytes != int64(len(b)) {
			t.Fatalf("took %d of %d bytes", m.bytes, len(b))
		}
		for i := range m.segments {
			s := &m.segments[i]
			if !filepath.IsLocal(filepath.FromSlash(s.Name)) || !filepath.IsLocal(filepath.FromSlash(s.tok())) {
				t.Fatalf("name %q leads outside", s.Name)
			}
			if first, last, ok := s.times(); ok && first > last {
				t.Fatalf("times %d to %d", first, last)
			}
		}
	})
}

func FuzzTokens(f *testing.F) {
	r := newRows()
	e := timeline.Event{Message: "Accepted password for ROOT", TSState: timeline.TimeNone, TS: timeline.None}
	r.add(&e, timeline.ID{})
	var good bytes.Buffer
	if err := writeTokens(&good, r, r.sorted()); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes(), "password")
	f.Add(good.Bytes()[:20], "x")
	f.Fuzz(func(t *testing.T, b []byte, word string) {
		tok, err := openTokens(bytes.NewReader(b), int64(len(b)), 1)
		if err != nil {
			return
		}
		if _, err := tok.may(0, hashWord(word)); err != nil {
			t.Fatalf("filter was accepted, then: %v", err)
		}
	})
}

// Every word of a text must be found in its filter, however it is spelled:
// a word filter that forgets loses evidence.
func FuzzWordsAreNeverForgotten(f *testing.F) {
	f.Add("Accepted password for ROOT from 10.0.0.1", "x=\"K\u212aſ\\u0041\"")
	f.Add("straße STRASSE naïve\x00日本語", "\n\r\\\"")
	f.Fuzz(func(t *testing.T, message, value string) {
		e := timeline.Event{Message: message, TSState: timeline.TimeNone, TS: timeline.None, Attrs: []timeline.Attr{{Key: "k", Value: value, Type: 's'}}}
		e.Normalize()
		r := newRows()
		r.add(&e, timeline.ID{})
		var out bytes.Buffer
		if err := writeTokens(&out, r, r.sorted()); err != nil {
			t.Fatal(err)
		}
		tok, err := openTokens(bytes.NewReader(out.Bytes()), int64(out.Len()), 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{e.Message, e.Attrs[0].Value} {
			for _, h := range wholeWords(timeline.Fold(text), true) {
				if ok, err := tok.may(0, h); err != nil || !ok {
					t.Fatalf("a word of %q is not in the filter (%v)", text, err)
				}
			}
		}
	})
}

func FuzzRecord(f *testing.F) {
	e := timeline.Event{ID: timeline.ID{1}, TS: 5, Message: "m", PID: 7, Attrs: []timeline.Attr{{Key: "k", Value: "v", Type: 's'}}}
	f.Add(appendRecord(nil, &e, timeline.ID{2}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := recordReader{b: slices.Clone(b)}
		var e timeline.Event
		for in.more() {
			if in.next(&e) != nil {
				return
			}
			if again := appendRecord(nil, &e, e.ContentID); len(again) == 0 {
				t.Fatal("nothing")
			}
		}
	})
}

func FuzzPendingLog(f *testing.F) {
	dir := f.TempDir()
	p, err := openPending(dir)
	if err != nil {
		f.Fatal(err)
	}
	if err := p.append(&pendingJob{Key: "k", Records: 3, Small: 1}, []byte("abc\nproblem\n")); err != nil {
		f.Fatal(err)
	}
	p.file.Close()
	good, err := os.ReadFile(filepath.Join(dir, pendingName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(append(slices.Clone(good), good[:30]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, pendingName), b, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := openPending(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer p.file.Close()
		if p.end > int64(len(b)) {
			t.Fatalf("kept %d of %d bytes", p.end, len(b))
		}
		for _, job := range p.jobs {
			records, err1 := p.records(job)
			problems, err2 := p.problems(job)
			if err1 != nil || err2 != nil || int64(len(records)+len(problems)) != job.body {
				t.Fatal(err1, err2)
			}
		}
	})
}

func TestNeedlesAreFoundInAnyCase(t *testing.T) {
	for _, c := range []struct {
		needle, hay string
		want        int
	}{
		{"abc", "xxABCxx", 2},
		{"abc", "ab", -1},
		{"a", "bA", 1},
		{"zz", "zZZ", 0},
		{"port 22", "PORT 2 port 22", 7},
		{"q", "", -1},
		{"xy", "yxyx", 1},
		{"0-9", "a0-9", 1},
	} {
		h := newNeedle(c.needle).in([]byte(c.hay))
		if got := h.next(0); got != c.want {
			t.Errorf("%q in %q at %d, want %d", c.needle, c.hay, got, c.want)
		}
	}
	if newNeedle("") != nil || newNeedle("ä") != nil {
		t.Error("a needle of nothing or of other than ASCII")
	}
}

func TestBitsetCountsWhatItHolds(t *testing.T) {
	b := newBitset(200)
	b.fill(200)
	for i := 0; i < 200; i += 3 {
		b.clear(i)
	}
	for from := 0; from <= 200; from += 7 {
		for to := from; to <= 200; to += 5 {
			want := 0
			for i := from; i < to; i++ {
				if b.has(i) {
					want++
				}
			}
			if got := b.countIn(from, to); got != want {
				t.Fatalf("%d marked in [%d, %d), want %d", got, from, to, want)
			}
		}
	}
	if b.count() != b.countIn(0, 200) {
		t.Error("count and countIn disagree")
	}
}
