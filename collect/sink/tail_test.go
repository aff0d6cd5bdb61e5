package sink

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/evidence"
)

func wholeSplit(head, tail string) Split {
	return Split{
		V: 1, Head: "sftp://x/y", HeadBytes: int64(len(head)), HeadSHA256: evidence.Sum([]byte(head)).String(), Tail: "t",
		TailBytes: int64(len(tail)), TailSHA256: evidence.Sum([]byte(tail)).String(),
		Bytes: int64(len(head) + len(tail)), SHA256: evidence.Sum([]byte(head + tail)).String(), Complete: true, Why: "broken",
	}
}

func TestJoinChecksBothHalves(t *testing.T) {
	s := wholeSplit("head", "tail")
	for _, c := range []struct {
		head, tail string
		want       error
	}{
		{"head", "tail", nil},
		{"headmore", "tail", nil},
		{"hea", "tail", ErrShortHead},
		{"haed", "tail", ErrNotJoined},
		{"head", "tial", ErrNotJoined},
		{"head", "tail+", ErrNotJoined},
		{"head", "tai", ErrNotJoined},
		{"", "", ErrShortHead},
	} {
		var out bytes.Buffer
		_, err := Join(&s, strings.NewReader(c.head), strings.NewReader(c.tail), &out)
		if !errors.Is(err, c.want) || err == nil && out.String() != "headtail" {
			t.Errorf("%q and %q: %q, %v; want %v", c.head, c.tail, out.String(), err, c.want)
		}
	}
}

func TestStatementsThatCannotBeAreRefused(t *testing.T) {
	good := wholeSplit("head", "tail")
	for name, change := range map[string]func(*Split){
		"version":  func(s *Split) { s.V = 2 },
		"negative": func(s *Split) { s.HeadBytes, s.Bytes, s.TailBytes = -1, 3, 4 },
		"lengths":  func(s *Split) { s.Bytes++ },
		"digest":   func(s *Split) { s.HeadSHA256 = "00" },
		"of all":   func(s *Split) { s.SHA256 = "" },
	} {
		s := good
		change(&s)
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseSplit(text); err == nil {
			t.Errorf("%s: accepted %s", name, text)
		}
	}
	text, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseSplit(text); err != nil {
		t.Error(err)
	}
	if _, err := parseSplit(append(text, "{}"...)); err == nil {
		t.Error("two objects are accepted")
	}
}

func FuzzSplit(f *testing.F) {
	text, err := json.Marshal(wholeSplit("head", "tail"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseSplit(text)
		if err != nil {
			return
		}
		var out bytes.Buffer
		n, err := Join(s, strings.NewReader("head"), strings.NewReader("tail"), &out)
		if err == nil && s.Complete && evidence.Sum(out.Bytes()).String() != s.SHA256 {
			t.Errorf("%d bytes joined against the statement %s", n, text)
		}
	})
}
