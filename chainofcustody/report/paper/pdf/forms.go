package pdf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
)

// formBlock sets what is filled in by hand.
func (p *press) formBlock(b paper.Block) {
	switch b := b.(type) {
	case paper.Sign:
		p.sign(b)
	case paper.Fill:
		p.fill(b)
	case paper.Tick:
		p.tick(b)
	case paper.Boxes:
		p.boxes(b)
	default:
		panic(fmt.Sprintf("paper block %T is unknown to the PDF writer", b))
	}
}

// sign sets lines to sign on, two in a row. They never stand on a page
// without a part of what is signed.
func (p *press) sign(b paper.Sign) {
	const gutter = 30
	width, high := (p.width-gutter)/2, 38.0
	if p.doc.Tight {
		high = 27
		if p.pageH > 800 {
			high = 34
		}
	}
	p.keepLast()
	for i := 0; i < len(b.Fields); i += 2 {
		var labels [][]line
		most := 1
		for _, f := range b.Fields[i:min(i+2, len(b.Fields))] {
			lines := p.lines(labelLook, paper.T(f), width)
			labels, most = append(labels, lines), max(most, len(lines))
		}
		p.add(piece{h: high + float64(most)*labelLook.lead, keep: i+2 < len(b.Fields), draw: func(y float64) {
			for k, lines := range labels {
				x := p.left + float64(k)*(width+gutter)
				p.rule(x, y+high-1, width, .6, paper.PaintInk)
				p.stack(labelLook, lines, x, y+high)
			}
		}})
	}
}

// fill sets a row of framed fields.
func (p *press) fill(b paper.Fill) {
	label := look{family: sans, size: 6.6, lead: 10, colour: soft}
	value := look{family: serif, size: 9.6, lead: 12, colour: ink}
	row, space, more := 15.2, 0.0, 0
	if p.pageH < 800 {
		row = 12.2 // Letter is lower than A4
	}
	if !p.doc.Tight {
		label.size, row, more = 7, 16, 1
		if _, ok := p.before.(paper.Fill); !ok {
			space = 7
		}
	}
	h := 0.0
	values := make([][]line, len(b.Fields))
	for i, f := range b.Fields {
		w := p.width*float64(f.Width)/100 - 10
		if f.Value != "" {
			values[i] = p.lines(value, paper.T(f.Value), w)
			if most := max(f.Lines, 1) + more; len(values[i]) > most { // a form keeps its size; the rest stands in the report
				cut := &values[i][most-1]
				cut.words = append(slices.Clone(cut.words[:max(len(cut.words)-1, 0)]), word{text: "…", look: value, width: 8})
				values[i] = values[i][:most]
			}
		}
		h = max(h, label.lead+float64(max(f.Lines, 1))*row, label.lead+float64(len(values[i]))*value.lead)
	}
	h += 3
	p.add(piece{space: space, h: h, draw: func(y float64) {
		x := p.left
		for i, f := range b.Fields {
			w := p.width * float64(f.Width) / 100
			p.outline(x, y, w, h, .6, paintColour(paper.PaintSoft), false)
			p.line(label, x+4, y+8.2, paper.T(f.Label))
			p.stack(value, values[i], x+5, y+label.lead)
			x += w
		}
	}})
}

func (p *press) tick(b paper.Tick) {
	l := look{family: sans, size: 8, lead: 13, colour: ink}
	space := 2.0
	if !p.doc.Tight {
		space = 6
	}
	p.add(piece{space: space, h: l.lead + 1, draw: func(y float64) {
		base := baseline(l, y)
		x := p.left
		if b.Label != "" {
			one := p.lines(labelLook, paper.T(b.Label), 10_000)[0]
			p.set(one, x, base)
			x += one.width + 10
		}
		for _, o := range b.Options {
			p.outline(x, base-6.4, 7, 7, .6, ink, false)
			if slices.Contains(b.Ticked, o) {
				p.out.SetLineWidth(1)
				p.out.Line(x+1, base-5.4, x+6, base-.4)
				p.out.Line(x+6, base-5.4, x+1, base-.4)
			}
			one := p.lines(l, paper.T(o), 10_000)[0]
			p.set(one, x+10.5, base)
			x += one.width + 22
		}
	}})
}

// boxes sets one box for each character, in groups.
func (p *press) boxes(b paper.Boxes) {
	const side, gap = 19, 11
	chars := []rune(strings.ReplaceAll(paper.Clean(b.Value), "-", ""))
	l := look{family: mono, bold: true, size: 12, colour: ink}
	p.add(piece{space: 4, h: side + 14, draw: func(y float64) {
		p.line(labelLook, p.left, y+7, paper.T(b.Label))
		y += 11
		x := p.left
		for i := range b.Groups * b.Each {
			if i > 0 && i%b.Each == 0 {
				p.rule(x+3, y+side/2, gap-6, .8, paper.PaintInk)
				x += gap
			}
			p.outline(x, y, side, side, .8, ink, false)
			if i < len(chars) {
				one := p.lines(l, paper.T(string(chars[i])), 100)[0]
				p.set(one, x+(side-one.width)/2, y+side-5.5)
			}
			x += side
		}
	}})
}
