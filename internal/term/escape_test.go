package term

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEscapeMakesHostileTextVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain text":              "plain text",
		"Grüße, 世界":               "Grüße, 世界",
		"\x1b[31mred\x1b[0m":      `\u{1b}[31mred\u{1b}[0m`,
		"a\nb\tc\r":               `a\nb\tc\r`,
		"bad \xff\xfe bytes":      `bad \xff\xfe bytes`,
		"txt.\u202eexe":           `txt.\u{202e}exe`,
		"zero\u200bwidth":         `zero\u{200b}width`,
		"\u2066isolate\u2069":     `\u{2066}isolate\u{2069}`,
		"bell\a null\x00 del\x7f": `bell\u{7} null\u{0} del\u{7f}`,
		"c1 \u009b31m":            `c1 \u{9b}31m`,
		"tag\U000e0041":           `tag\u{e0041}`,
		"line\u2028sep":           `line\u{2028}sep`,
	} {
		if got := Escape(in); got != want {
			t.Errorf("Escape(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestTextKeepsLinesAndEscapesTheRest(t *testing.T) {
	in, want := "a\tb\r\nc\x1b[2J ä世\xff\u202e\nend\xe4\xb8", "a\tb\\r\nc\\u{1b}[2J ä世\\xff\\u{202e}\nend\\xe4\\xb8"
	for size := 1; size <= len(in); size++ { // every place where a Write can end
		var out strings.Builder
		w := NewText(&out)
		for at := 0; at < len(in); at += size {
			part := in[at:min(at+size, len(in))]
			if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
				t.Fatalf("Write gave %d, %v", n, err)
			}
		}
		if err := w.Close(); err != nil || out.String() != want {
			t.Fatalf("in parts of %d: %q, %v; want %q", size, out.String(), err, want)
		}
	}
}

func FuzzEscapeIsInert(f *testing.F) {
	for _, s := range []string{"", "a", "\x1b]0;x\a", "\xff", "\u202e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := Escape(s)
		if !utf8.ValidString(out) {
			t.Fatalf("Escape(%q) is no UTF-8", s)
		}
		for _, r := range out {
			if unsafeRune(r) {
				t.Fatalf("Escape(%q) keeps %U", s, r)
			}
		}
	})
}

func TestClipCountsCharacters(t *testing.T) {
	for _, c := range []struct {
		in    string
		width int
		want  string
	}{{"short", 10, "short"}, {"äöüßabc", 4, "äöü…"}, {"exact", 5, "exact"}, {"any", 0, "any"}} {
		if got := Clip(c.in, c.width); got != c.want {
			t.Errorf("Clip(%q, %d) = %q, want %q", c.in, c.width, got, c.want)
		}
	}
}
