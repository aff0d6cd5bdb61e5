package interop

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// restored undoes visible.
func restored(s string) string {
	if !strings.Contains(s, `\u`) {
		return s
	}
	var b strings.Builder
	for s != "" {
		switch {
		case strings.HasPrefix(s, `\\`):
			b.WriteByte('\\')
			s = s[2:]
		case strings.HasPrefix(s, `\u`):
			n, _ := strconv.ParseUint(s[2:6], 16, 16)
			b.WriteRune(rune(n))
			s = s[6:]
		default:
			r, n := utf8.DecodeRuneInString(s)
			b.WriteRune(r)
			s = s[n:]
		}
	}
	return b.String()
}

// inert fails where a character could act on a terminal.
func inert(t *testing.T, data []byte) {
	t.Helper()
	if i := bytes.IndexFunc(data, func(r rune) bool { return r < 0x20 && r != '\n' || active(r) }); i >= 0 {
		t.Fatalf("byte %d of %q could act on a terminal", i, data)
	}
}

func FuzzTextComesBack(f *testing.F) {
	f.Add(hostile)
	f.Add(`C:\users \\u0041 \u`)
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return // no event holds it
		}
		var back string
		text := []byte("<a>" + xmlText(s) + "</a>")
		inert(t, text)
		if err := xml.Unmarshal(text, &back); err != nil || restored(back) != s {
			t.Errorf("XML gives %q for %q (%v)", restored(back), s, err)
		}
		data, err := marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		inert(t, data)
		if err := json.Unmarshal(data, &back); err != nil || back != s {
			t.Errorf("JSON gives %q for %q (%v)", back, s, err)
		}
	})
}

func TestHostileLogsStayInsideTheirText(t *testing.T) {
	l := unsound(t)
	for _, w := range writers {
		data, err := w.write(l)
		if err != nil {
			t.Fatal(err)
		}
		inert(t, data)
	}
	data, err := PREMIS(l)
	if err != nil {
		t.Fatal(err)
	}
	notes, events := 0, 0
	for d := xml.NewDecoder(bytes.NewReader(data)); ; {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		start, ok := tok.(xml.StartElement)
		switch {
		case ok && start.Name.Local == "event":
			events++
		case ok && start.Name.Local == "note":
			var s string
			if err := d.DecodeElement(&s, &start); err != nil {
				t.Fatal(err)
			}
			if restored(s) == hostile {
				notes++
			}
		}
	}
	if notes != 1 || events != 3 {
		t.Errorf("%d hostile notes came back, of %d events; want 1 of 3", notes, events)
	}
}

func TestBagKeepsHostileNamesOnTheirLine(t *testing.T) {
	l := unsound(t)
	l.Case.Title = hostile
	tags, err := BagIt(l, []Payload{{"a\nb%", 3, evidence.Sum([]byte("abc"))}})
	if err != nil {
		t.Fatal(err)
	}
	if want := evidence.Sum([]byte("abc")).String() + "  data/a%0Ab%25\n"; string(tags[2].Data) != want {
		t.Errorf("the manifest is %q, want %q", tags[2].Data, want)
	}
	inert(t, tags[1].Data)
	if strings.Contains(string(tags[1].Data), "\nBag-Group-Identifier") {
		t.Error("a title added a field to bag-info.txt")
	}
	for _, name := range []string{"", "../x", "/x", "a/../../x", "~x", `a\b`, ".."} {
		if _, err := BagIt(l, []Payload{{Path: name}}); !errors.Is(err, ErrBag) {
			t.Errorf("payload %q: %v", name, err)
		}
	}
}

// The UUID of python.org in the namespace of DNS, as Python's documentation of
// its module uuid gives it.
func TestUUID5(t *testing.T) {
	id := uuid5([16]byte{0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}, "python.org")
	want := [16]byte{0x88, 0x63, 0x13, 0xe1, 0x3b, 0x8a, 0x53, 0x72, 0x9b, 0x90, 0x0c, 0x9a, 0xee, 0x19, 0x9e, 0x5d}
	if id != want {
		t.Errorf("got %x, want %x", id, want)
	}
}
