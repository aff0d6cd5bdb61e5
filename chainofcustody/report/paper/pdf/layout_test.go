package pdf

import (
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
)

func newTestPress(t testing.TB) *press {
	t.Helper()
	p, err := newPress(paper.Document{Created: time.Unix(0, 0)}, A4)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// unbroken is the text of lines without its spaces.
func unbroken(lines []line) string {
	var b strings.Builder
	for _, l := range lines {
		for _, w := range l.words {
			b.WriteString(w.text)
		}
	}
	return b.String()
}

func checkLines(t *testing.T, p *press, text paper.Text, width float64) {
	t.Helper()
	lines := p.lines(bodyLook, text, width)
	want := ""
	for _, s := range text {
		want += p.fontOf(styled(bodyLook, s)).shown(s.Text)
	}
	if got := unbroken(lines); got != strings.ReplaceAll(want, " ", "") {
		t.Errorf("text is lost: %q became %q", want, got)
	}
	for _, l := range lines {
		sum := 0.0
		for _, w := range l.words {
			sum += w.space + w.width
		}
		if sum > width+.1 && len(l.words) > 1 || sum > l.width+.1 || sum < l.width-.1 {
			t.Errorf("a line of %.2f, said to be %.2f, in a width of %.2f", sum, l.width, width)
		}
	}
}

func TestLinesHoldAllTextWithinTheirWidth(t *testing.T) {
	p := newTestPress(t)
	long := strings.Repeat("0123456789abcdef", 40)
	for _, width := range []float64{30, 77, 200, 480} {
		checkLines(t, p, paper.Join(paper.T("A hash: "), paper.In(paper.Mono, long), paper.T(", and more.")), width)
		checkLines(t, p, paper.T("one two  three   four"), width)
		checkLines(t, p, paper.Join(paper.In(paper.Bold, "bold"), paper.T("plain"), paper.In(paper.Badge, "BADGE"), paper.T(".")), width)
	}
}

func FuzzLines(f *testing.F) {
	f.Add("a b c", "d", 100.0)
	f.Add(strings.Repeat("W", 300), "\x1b\u202e李", 40.0)
	p := newTestPress(f)
	f.Fuzz(func(t *testing.T, a, b string, width float64) {
		if len(a)+len(b) > 5000 || !(width > 25 && width < 600) {
			t.Skip()
		}
		checkLines(t, p, paper.Join(paper.T(a), paper.In(paper.Mono, b)), width)
	})
}

func TestFullStopStaysWithTheWordBefore(t *testing.T) {
	p := newTestPress(t)
	for width := 60.0; width < 200; width++ {
		for _, l := range p.lines(bodyLook, paper.Join(paper.T("some words before "), paper.In(paper.Mono, "abcdef"), paper.T(".")), width) {
			if len(l.words) > 0 && l.words[0].text == "." {
				t.Fatalf("at width %.0f a line begins with the full stop", width)
			}
		}
	}
}

func TestPlaceToWriteTakesTheRestOfTheLine(t *testing.T) {
	p := newTestPress(t)
	lines := p.lines(bodyLook, paper.Join(paper.T("Signed by "), paper.Gap), 400)
	if len(lines) != 1 || lines[0].width < 399 {
		t.Errorf("%d lines, the first %.0f wide", len(lines), lines[0].width)
	}
	lines = p.lines(bodyLook, paper.Join(paper.T(strings.Repeat("x", 60)), paper.T(" "), paper.Gap), 340)
	if last := lines[len(lines)-1]; last.width < blankLeast {
		t.Errorf("a place to write is %.0f wide", last.width)
	}
}

func TestPiecesStayTogether(t *testing.T) {
	p := newTestPress(t)
	p.top, p.bottom = 0, 100
	var pages []string
	page := ""
	mark := func(name string) func(float64) {
		return func(y float64) {
			if y == 0 && page != "" {
				pages, page = append(pages, page), ""
			}
			page += name
		}
	}
	head := piece{h: 10, draw: mark("H")}
	p.flow = []piece{
		{h: 80, draw: mark("a")},
		{h: 15, keep: true, draw: mark("b")}, // would fit, but its next does not
		{h: 30, draw: mark("c")},
		{h: 50, draw: mark("d"), again: &head},
		{h: 50, draw: mark("e"), again: &head},
		{fresh: true},
		{h: 10, space: 40, draw: mark("f")},
	}
	p.paginate()
	pages = append(pages, page)
	if got := strings.Join(pages, " "); got != "a bcd He f" {
		t.Errorf("pages are %q", got)
	}
}

func TestCodeIsCutAtSpaces(t *testing.T) {
	f := newTestPress(t).fontOf(codeLook)
	text := "ssh-keygen -Y verify -f allowed_signers -I alice@lab " + strings.Repeat("x", 90)
	pieces := f.codePieces(text, 30*f.width("x"))
	if strings.Join(pieces, "") != text {
		t.Errorf("text is lost: %q", pieces)
	}
	if pieces[0] != "ssh-keygen -Y verify -f " {
		t.Errorf("the first line is %q", pieces[0])
	}
	for _, s := range pieces {
		if f.width(s) > 30.01*f.width("x") {
			t.Errorf("%q is too wide", s)
		}
	}
}

func TestEveryCharacterIsShownOrNamed(t *testing.T) {
	f := newTestPress(t).fontOf(bodyLook)
	for in, want := range map[string]string{
		"plain": "plain", "Ž–€": "Ž–€", "李": `\u{674e}`, "a\u0301": `a\u{301}`, "\U0001f600": `\u{1f600}`, "\x00\xff": `\u{0}\xff`, "א": `\u{5d0}`,
	} {
		if got := f.shown(in); got != want {
			t.Errorf("shown(%q) = %q, want %q", in, got, want)
		}
	}
}
