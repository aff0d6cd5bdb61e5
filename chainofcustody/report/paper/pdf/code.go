package pdf

import (
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
)

// wholeCode is the number of lines up to which a piece of code is not divided
// between pages.
const wholeCode = 24

// code sets commands line by line, spaces kept. A line that is too long goes
// on below, further in and behind a mark.
func (p *press) code(text string, x, width, pad float64) {
	f := p.fontOf(codeLook)
	limit := (width - 2*pad) / codeLook.size
	type row struct {
		text string
		more bool
	}
	var rows []row
	for text := range strings.SplitSeq(text, "\n") {
		text = f.shown(text)
		for i, part := range f.codePieces(text, limit-3) {
			rows = append(rows, row{part, i > 0})
		}
	}
	for i, r := range rows {
		first, last := i == 0, i == len(rows)-1
		h, space := codeLook.lead, 0.0
		if first {
			h, space = h+5, 4
		}
		if last {
			h += 5
		}
		p.add(piece{space: space, h: h, keep: !last && (len(rows) <= wholeCode || first || i == len(rows)-2), draw: func(y float64) {
			p.box(x, y, width, h+.2, paper.PaintWash)
			if first {
				y += 5
			}
			at := x + pad
			if r.more {
				p.write(look{family: mono, size: 6.5, colour: soft}, at+2, baseline(codeLook, y), "→")
				at += 14
			}
			p.write(codeLook, at, baseline(codeLook, y), r.text)
		}})
	}
}

// codePieces cuts a line at its last space that fits, or anywhere.
func (f *font) codePieces(s string, width float64) []string {
	var out []string
	for f.width(s) > width {
		whole := s[:f.fits(s, width)]
		cut := strings.LastIndexByte(whole, ' ') + 1
		if strings.TrimSpace(whole[:cut]) == "" || cut < len(whole)/2 {
			cut = len(whole)
		}
		out = append(out, s[:cut])
		s = s[cut:]
	}
	return append(out, s)
}
