// Package pdf writes a paper as PDF: fonts embedded, pages numbered, an
// outline to jump by. The same paper gives the same bytes.
//
// A paper is laid out in two steps. Each block becomes pieces, which know
// their height and how to draw themselves; the pieces are then set on pages
// one below the other, so that what belongs together stays together.
package pdf

import (
	"fmt"
	"io"
	"time"

	"codeberg.org/go-pdf/fpdf"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
)

// Size is the size of the paper.
type Size string

// The sizes.
const (
	A4     Size = "A4"
	Letter Size = "Letter"
)

// Render writes the paper. Errors are those of w.
func Render(w io.Writer, d paper.Document, size Size) error {
	p, err := newPress(d, size)
	if err != nil {
		return fmt.Errorf("write PDF: %w", err)
	}
	for _, b := range d.Blocks {
		p.block(b)
		p.before = b
	}
	p.paginate()
	p.frames()
	if err := p.out.Output(w); err != nil {
		return fmt.Errorf("write PDF: %w", err)
	}
	return nil
}

// press is a paper in the making.
type press struct {
	out   *fpdf.Fpdf
	doc   paper.Document
	fonts map[fontKey]*font

	left, top     float64 // of what is written, in points
	width, bottom float64
	pageW, pageH  float64

	flow     []piece
	before   paper.Block     // the block set last
	sections []paper.Section // of each page
	section  paper.Section
}

// lines of a page that belong to no block.
const (
	headerAt = 36 // baseline of the header, from the top
	footerAt = 30 // baseline of the footer, from the bottom
)

func newPress(d paper.Document, size Size) (*press, error) {
	out := fpdf.NewCustom(&fpdf.InitType{UnitStr: "pt", SizeStr: string(size)})
	out.SetAutoPageBreak(false, 0)
	out.SetMargins(0, 0, 0)
	out.SetCellMargin(0)
	out.SetCatalogSort(true) // the order of a map is no part of a paper
	created := d.Created.UTC()
	if created.IsZero() { // fpdf takes no date for the present one
		created = time.Unix(0, 0).UTC()
	}
	out.SetCreationDate(created)
	out.SetModificationDate(created)
	out.SetTitle(paper.Clean(d.Title), true)
	out.SetSubject(paper.Clean(d.Subject), true)
	out.SetAuthor(paper.Clean(d.Author), true)
	out.SetCreator("exhibit", true)
	out.SetProducer("exhibit, with fpdf", true)
	out.SetLang("en")
	out.SetDisplayMode("fullwidth", "OneColumn")
	p := &press{out: out, doc: d, fonts: map[fontKey]*font{}}
	p.pageW, p.pageH = out.GetPageSize()
	margin := 56.7
	p.top, p.bottom = 64, p.pageH-58
	if d.Tight {
		margin, p.top, p.bottom = 45, 52, p.pageH-46
	}
	p.left, p.width = margin, p.pageW-2*margin
	if err := p.loadFonts(); err != nil {
		return nil, err
	}
	return p, out.Error()
}

// frames writes header and footer of every page, when their number is known.
func (p *press) frames() {
	small := look{family: sans, size: 7.6, colour: soft}
	total := p.out.PageCount()
	for n := 1; n <= total; n++ {
		p.out.SetPage(n)
		s := p.sections[n-1]
		p.set(p.fit(small, s.Left, p.width*.7), p.left, headerAt)
		code := look{family: mono, size: 7.6, colour: soft}
		right := p.fit(code, s.Right, p.width*.28)
		p.set(right, p.left+p.width-right.width, headerAt)
		p.rule(p.left, headerAt+6, p.width, .5, paper.PaintRule)
		at := p.pageH - footerAt
		if p.doc.Draft != "" {
			bad := look{family: sans, bold: true, size: 7.6, colour: toneColour(paper.Bad)}
			p.set(p.fit(bad, p.doc.Draft, p.width*.7), p.left, at)
		}
		p.lineEnd(small, p.left+p.width, at, paper.T(fmt.Sprintf("page %d of %d", n, total)))
	}
}

func clip(s string, limit int) string {
	r := []rune(paper.Clean(s))
	if len(r) <= limit {
		return string(r)
	}
	return string(r[:limit-1]) + "…"
}
