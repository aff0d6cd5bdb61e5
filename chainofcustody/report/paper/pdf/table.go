package pdf

import "github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"

var (
	cellLook = look{family: serif, size: 9.3, lead: 12, colour: ink}
	thLook   = look{family: sans, bold: true, size: 7.3, lead: 10, colour: soft}
	noteLook = look{family: serif, size: 8.5, lead: 12, colour: toneColour(paper.Bad)}
)

const (
	cellGap  = 10 // between columns
	cellPad  = 3.5
	wholeRow = 14 // lines up to which a row is not divided between pages
)

// table sets a table whose header comes again on each page.
func (p *press) table(t paper.Table) {
	xs, widths := p.columns(t)
	head := p.tableHead(t, xs, widths)
	head.space, head.keep = 8, true
	p.add(head)
	again := head
	for _, row := range t.Rows {
		p.row(t, row, xs, widths, &again)
	}
	if len(t.Rows) == 0 {
		p.row(paper.Table{Columns: []paper.Column{{Width: 100}}}, []paper.Cell{{Text: paper.T(t.Empty)}}, []float64{p.left}, []float64{p.width}, &again)
	}
	p.add(piece{h: 6, draw: func(float64) {}})
}

func (p *press) columns(t paper.Table) (xs, widths []float64) {
	x := p.left
	for i, c := range t.Columns {
		w := p.width * float64(c.Width) / 100
		xs = append(xs, x)
		x += w
		if i < len(t.Columns)-1 {
			w -= cellGap
		}
		widths = append(widths, w)
	}
	return xs, widths
}

func (p *press) tableHead(t paper.Table, xs, widths []float64) piece {
	var cells [][]line
	most := 1
	for i, c := range t.Columns {
		lines := p.lines(thLook, paper.T(c.Title), widths[i])
		cells, most = append(cells, lines), max(most, len(lines))
	}
	h := float64(most)*thLook.lead + 5
	return piece{h: h, draw: func(y float64) {
		for i, lines := range cells {
			top := y + float64(most-len(lines))*thLook.lead
			for _, one := range lines {
				p.setCell(one, t.Columns[i], xs[i], widths[i], baseline(thLook, top))
				top += thLook.lead
			}
		}
		p.rule(p.left, y+h-.5, p.width, .6, paper.PaintInk)
	}}
}

func (p *press) setCell(l line, c paper.Column, x, w, y float64) {
	if c.Right {
		x += w - l.width
	}
	p.set(l, x, y)
}

// row sets one row, as one piece or, where it is long, line by line.
func (p *press) row(t paper.Table, row []paper.Cell, xs, widths []float64, again *piece) {
	base := cellLook
	cells := make([][]line, len(row))
	most := 1
	for i, cell := range row {
		cells[i] = p.lines(base, cell.Text, widths[i])
		l := noteLook
		if cell.Calm {
			l.colour = soft
		}
		for _, n := range cell.Notes {
			for k, one := range p.lines(l, paper.T(n), widths[i]-9) {
				if one.indent = 9; k == 0 {
					one.mark = "–"
				}
				cells[i] = append(cells[i], one)
			}
		}
		most = max(most, len(cells[i]))
	}
	drawLine := func(k int, y float64) {
		for i := range cells {
			if k < len(cells[i]) {
				p.setCell(cells[i][k], t.Columns[i], xs[i], widths[i], baseline(base, y))
			}
		}
	}
	h := float64(most)*base.lead + 2*cellPad
	if most <= wholeRow {
		p.add(piece{h: h, again: again, draw: func(y float64) {
			for k := range most {
				drawLine(k, y+cellPad+float64(k)*base.lead)
			}
			p.rule(p.left, y+h, p.width, .4, paper.PaintRule)
		}})
		return
	}
	for k := range most {
		last := k == most-1
		a := piece{h: base.lead, again: again, keep: k < 2 || k == most-2, draw: func(y float64) {
			if k == 0 {
				y += cellPad
			}
			drawLine(k, y)
			if last {
				p.rule(p.left, y+base.lead+cellPad, p.width, .4, paper.PaintRule)
			}
		}}
		if k == 0 || last {
			a.h += cellPad
		}
		p.add(a)
	}
}

// card sets keys and values below each other.
func (p *press) card(c paper.Card) {
	key := look{family: sans, size: 8.2, lead: 14, colour: soft}
	keyWidth := 118.0
	for _, r := range c.Rows {
		lines := p.lines(bodyLook, r.Value, p.width-keyWidth)
		keys := p.lines(key, paper.T(r.Key), keyWidth-10)
		most := max(len(lines), len(keys))
		for k := range most {
			a := piece{h: bodyLook.lead, keep: k < most-1 && (most <= wholeRow || k == 0), draw: func(y float64) {
				if k < len(keys) {
					p.set(keys[k], p.left, baseline(bodyLook, y))
				}
				if k < len(lines) {
					p.set(lines[k], p.left+keyWidth, baseline(bodyLook, y))
				}
			}}
			if k == 0 {
				a.space = 3.5
			}
			p.add(a)
		}
	}
}
