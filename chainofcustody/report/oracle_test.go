package report

import (
	"bytes"
	"fmt"
	stdhtml "html"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper/html"
	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper/pdf"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// printed is a PDF on disk, read back by programs that are not ours.
type printed struct {
	t     testing.TB
	path  string
	size  pdf.Size
	text  []string // of the pages
	boxes [][]string
}

func printIt(t testing.TB, doc paper.Document, size pdf.Size) *printed {
	t.Helper()
	var b bytes.Buffer
	if err := pdf.Render(&b, doc, size); err != nil {
		t.Fatal(err)
	}
	p := &printed{t: t, path: filepath.Join(t.TempDir(), "paper.pdf"), size: size}
	if err := os.WriteFile(p.path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *printed) tool(name string, args ...string) string {
	p.t.Helper()
	out, err := exec.Command(testenv.Tool(p.t, name), args...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

func (p *printed) pages() []string {
	p.t.Helper()
	if p.text == nil {
		text := strings.TrimSuffix(p.tool("pdftotext", "-layout", p.path, "-"), "\f")
		p.text = strings.Split(text, "\f")
	}
	return p.text
}

// words are all words with the places they stand at.
func (p *printed) words() [][]string {
	p.t.Helper()
	if p.boxes == nil {
		p.boxes = wordBox.FindAllStringSubmatch(p.tool("pdftotext", "-bbox", p.path, "-"), -1)
	}
	return p.boxes
}

// allPapers are the papers of every kind, by name.
func allPapers(t testing.TB) map[string]paper.Document {
	t.Helper()
	docs := map[string]paper.Document{
		"report": report(t, sample(t)), "case": report(t, sample(t), second(t), branchAndMerge(t)),
		"scene-blank": Scene(Data{}), "scene-filled": Scene(sample(t)),
	}
	for name, make := range cases {
		docs["case-"+name] = report(t, make(t))
	}
	for _, form := range Forms() {
		doc, err := Certificate(form, sample(t))
		if err != nil {
			t.Fatal(err)
		}
		docs[string(form)] = doc
	}
	doc, err := PrivilegeLog(sample(t), withheld())
	if err != nil {
		t.Fatal(err)
	}
	docs["privilege"] = doc
	return docs
}

// second is another exhibit of the sample's case.
func second(t testing.TB) Data {
	d := sample(t)
	d.Exhibit.Number, d.Exhibit.Host = "EX-002", "db02"
	d.Bundle.SealCode = "0A1B2-C3D4E-F5G6H-J7K8M"
	return d
}

func TestEveryPDFHoldsBeforeProgramsThatAreNotOurs(t *testing.T) {
	for name, doc := range allPapers(t) {
		for _, size := range []pdf.Size{pdf.A4, pdf.Letter} {
			if size == pdf.Letter && strings.HasPrefix(name, "case-") {
				continue // what differs on Letter is seen on the others
			}
			t.Run(name+"-"+string(size), func(t *testing.T) {
				p := printIt(t, doc, size)
				if out := p.tool("qpdf", "--check", p.path); strings.Contains(out, "WARNING") {
					t.Errorf("qpdf warns:\n%s", out)
				}
				for _, line := range strings.Split(strings.TrimSpace(p.tool("pdffonts", p.path)), "\n")[2:] {
					if f := strings.Fields(line); f[len(f)-5] != "yes" || f[len(f)-3] != "yes" {
						t.Errorf("font not embedded, or its text cannot be copied: %s", line)
					}
				}
				p.insideMargins()
				p.framed(doc)
				p.noOrphanHeadings(doc)
				p.saysAll(doc)
			})
		}
	}
}

var wordBox = regexp.MustCompile(`<word xMin="([\d.-]+)" yMin="([\d.-]+)" xMax="([\d.-]+)" yMax="([\d.-]+)">(.*)</word>`)

// insideMargins checks that no word leaves the part of a page that is
// written on.
func (p *printed) insideMargins() {
	p.t.Helper()
	width, height := 595.28, 841.89
	if p.size == pdf.Letter {
		width, height = 612, 792
	}
	words := p.words()
	if len(words) < 20 {
		p.t.Fatalf("only %d words", len(words))
	}
	for _, w := range words {
		var at [4]float64
		for i := range at {
			at[i], _ = strconv.ParseFloat(w[i+1], 64)
		}
		if at[0] < 44 || at[2] > width-44 || at[1] < 20 || at[3] > height-20 {
			p.t.Errorf("%q stands at %.0f–%.0f, %.0f–%.0f: outside the margins", w[5], at[0], at[2], at[1], at[3])
		}
	}
}

// framed checks the header and foot of every page.
func (p *printed) framed(doc paper.Document) {
	p.t.Helper()
	pages := p.pages()
	for i, text := range pages {
		if want := fmt.Sprintf("page %d of %d", i+1, len(pages)); !strings.Contains(text, want) {
			p.t.Errorf("page %d lacks %q", i+1, want)
		}
		if doc.Draft != "" && !strings.Contains(text, doc.Draft) {
			p.t.Errorf("page %d of a draft does not say so", i+1)
		}
	}
	section := -1
	for _, b := range doc.Blocks {
		s, ok := b.(paper.Section)
		if !ok {
			continue
		}
		section++
		found := 0
		for _, text := range pages {
			head, _, _ := strings.Cut(strings.TrimLeft(text, "\n"), "\n")
			if strings.Contains(head, s.Left) && strings.Contains(head, s.Right) {
				found++
			}
		}
		if found == 0 || section == 0 && len(pages) > 0 && !strings.Contains(pages[0], s.Left) {
			p.t.Errorf("no page is headed %q and %q", s.Left, s.Right)
		}
	}
}

func (p *printed) noOrphanHeadings(doc paper.Document) {
	p.t.Helper()
	headings := map[string]bool{}
	for _, b := range doc.Blocks {
		if h, ok := b.(paper.Heading); ok {
			headings[strings.Join(strings.Fields(h.Number+" "+h.Text), " ")] = true
		}
	}
	for i, text := range p.pages() {
		last := ""
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.Join(strings.Fields(line), " "); line != "" && !strings.Contains(line, "page "+strconv.Itoa(i+1)+" of") {
				last = line
			}
		}
		if headings[last] {
			p.t.Errorf("page %d ends with the heading %q", i+1, last)
		}
	}
}

// saysAll checks that every word of the blocks is on the pages.
func (p *printed) saysAll(doc paper.Document) {
	p.t.Helper()
	have := map[string]bool{}
	for _, w := range p.words() {
		have[stdhtml.UnescapeString(w[5])] = true
	}
	for _, word := range wordsOf(doc) {
		if len(word) > 1 && len(word) < 14 && !have[word] {
			p.t.Errorf("the word %q is on no page", word)
		}
	}
}

// wordsOf collects the words of every block by reflection, figures and what
// is cut to a size left out.
func wordsOf(doc paper.Document) []string {
	var out []string
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			if v.Type() == reflect.TypeFor[string]() {
				out = append(out, strings.Fields(v.String())...)
			}
		case reflect.Interface, reflect.Pointer:
			walk(v.Elem())
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[paper.Table]() && v.FieldByName("Rows").Len() > 0 {
				v.FieldByName("Empty").SetString("")
			}
			for i := range v.NumField() {
				walk(v.Field(i))
			}
		}
	}
	for _, b := range doc.Blocks {
		switch b := b.(type) {
		case paper.Figure, paper.Fill, paper.Boxes:
		default:
			fresh := reflect.New(reflect.TypeOf(b)).Elem()
			fresh.Set(reflect.ValueOf(b))
			walk(fresh)
		}
	}
	return out
}

func TestPDFIsTheSameBytesTwice(t *testing.T) {
	for name, doc := range allPapers(t) {
		var a, b bytes.Buffer
		for _, out := range []*bytes.Buffer{&a, &b} {
			if err := pdf.Render(out, doc, pdf.A4); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("%s: two runs differ", name)
		}
	}
}

func TestFormForTheSceneIsOnePage(t *testing.T) {
	long := sample(t)
	long.Case.Title, long.Exhibit.Authority = strings.Repeat("A very long matter ", 40), strings.Repeat("order ", 200)
	long.Exhibit.Host = strings.Repeat("host", 100)
	for name, d := range map[string]Data{"blank": {}, "filled": sample(t), "long": long} {
		for _, size := range []pdf.Size{pdf.A4, pdf.Letter} {
			if n := len(printIt(t, Scene(d), size).pages()); n != 1 {
				t.Errorf("%s on %s: %d pages", name, size, n)
			}
		}
	}
}

func TestHostileTextIsInertInEveryPDF(t *testing.T) {
	for _, text := range hostileTexts {
		d := sample(t)
		fill(reflect.ValueOf(&d).Elem(), text)
		p := printIt(t, report(t, d), pdf.A4)
		if st, err := os.Stat(p.path); err != nil || st.Size() > 4<<20 {
			t.Errorf("%.40q makes a PDF of %d bytes (%v)", text, st.Size(), err)
		}
		if out := p.tool("qpdf", "--check", p.path); strings.Contains(out, "WARNING") {
			t.Errorf("%.40q: qpdf warns:\n%s", text, out)
		}
		p.insideMargins()
		for _, r := range strings.Join(p.pages(), "") {
			if r != '\n' && (r < 0x20 || r == unicode.ReplacementChar || unicode.Is(unicode.Bidi_Control, r) || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0xfeff) {
				t.Fatalf("%.40q leaves %U in the text", text, r)
			}
		}
		raw, err := os.ReadFile(p.path)
		if err != nil {
			t.Fatal(err)
		}
		for _, act := range []string{"/JavaScript", "/JS", "/Launch", "/URI", "/OpenAction<<", "/Filespec", "/AA"} {
			if bytes.Contains(raw, []byte(act)) {
				t.Errorf("%.40q makes a PDF with %s", text, act)
			}
		}
	}
}

func TestNamesInOtherScriptsNeverVanish(t *testing.T) {
	d := sample(t)
	d.Exhibit.Examiner = "Ирина Žižková Ευα | 李小龙 | محمد | שלום | देव | 😀 | e\u0301"
	text := strings.Join(printIt(t, report(t, d), pdf.A4).pages(), "\n")
	for _, want := range []string{"Ирина Žižková Ευα", `\u{674e}\u{5c0f}\u{9f99}`, `\u{645}\u{62d}`, `\u{5e9}`, `\u{926}\u{947}`, `\u{1f600}`, `\u{301}`} {
		if !strings.Contains(text, want) {
			t.Errorf("the PDF lacks %s", want)
		}
	}
	if page := render(t, d); !strings.Contains(page, "李小龙") || !strings.Contains(page, "محمد") {
		t.Error("the page lacks a name that browsers can show")
	}
}

func TestPageCarriesItsOwnHash(t *testing.T) {
	for name, doc := range allPapers(t) {
		if !doc.OwnHash {
			continue
		}
		dir := t.TempDir()
		var b bytes.Buffer
		if err := html.Render(&b, doc); err != nil {
			t.Fatal(err)
		}
		check := func(data []byte) (stated, found string) {
			if err := os.WriteFile(filepath.Join(dir, "REPORT.html"), data, 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := run(t, dir, html.OwnHashCommands)
			lines := strings.Fields(out)
			if err != nil || len(lines) < 2 {
				t.Fatalf("%s: %v\n%s", name, err, out)
			}
			return lines[0], lines[1]
		}
		if stated, found := check(b.Bytes()); stated != found || len(stated) != 64 || strings.Count(b.String(), stated) != 1 {
			t.Errorf("%s states %s, its bytes have %s", name, stated, found)
		}
		for _, i := range []int{30, b.Len() / 2, b.Len() - 20} {
			changed := bytes.Clone(b.Bytes())
			changed[i] ^= 1
			if stated, found := check(changed); stated == found {
				t.Errorf("%s: byte %d changed, unnoticed", name, i)
			}
		}
	}
}

func TestReportIsBoundedWhateverTheCaseHolds(t *testing.T) {
	d := sample(t)
	d.Items.Failures, d.Items.FailuresTotal = many(100_000), 250_000
	for i := range d.Layers {
		for k := range 100_000 {
			d.Layers[i].Details = append(d.Layers[i].Details, strconv.Itoa(k))
		}
	}
	one := d.Events[0]
	for i := range 20_000 {
		e := one
		e.SHA256, e.Prev = hexOf(strconv.Itoa(i)), []string{hexOf(strconv.Itoa(i - 1))}
		e.ActorID, e.Actor, e.Kind = "p"+strconv.Itoa(i%97), "", "verified"
		d.Events = append(d.Events, e)
		d.Heads = append(d.Heads, e.SHA256)
		d.Inputs = append(d.Inputs, d.Inputs[0])
		d.Method.Effects = append(d.Method.Effects, "x")
		d.Method.Collectors = append(d.Method.Collectors, Collector{Name: "x"})
		d.Timeline.Sources = append(d.Timeline.Sources, Count{Label: "x"})
		d.Why.Sentences = append(d.Why.Sentences, "x")
	}
	doc := report(t, d)
	page, print := papers(t, "bounded", doc)
	if len(page) > 1<<20 || len(print) > 2<<20 {
		t.Errorf("page of %d bytes, PDF of %d bytes", len(page), len(print))
	}
	for _, want := range []string{
		"Showing 300 of 250,000; the other 249,700 are in the bundle", "and 99,980 more",
		"later entries left out here. The folder custody/EX-001", "later rows of the drawing are left out",
	} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if n := len(printIt(t, doc, pdf.A4).pages()); n > 120 {
		t.Errorf("%d pages", n)
	}
}

func TestLongTableRepeatsItsHeader(t *testing.T) {
	pages := printIt(t, report(t, crowd(t)), pdf.A4).pages()
	with := 0
	for _, text := range pages {
		if strings.Contains(text, "What happened, and SHA-256") {
			with++
		}
	}
	if with < 4 {
		t.Errorf("the header of the custody log is on %d pages of %d", with, len(pages))
	}
}
