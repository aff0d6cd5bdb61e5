package pdf

import "github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"

// piece is a part of a block that stands on one page.
type piece struct {
	space float64 // above it, not at the top of a page
	h     float64
	keep  bool            // stays on the page of the next piece
	fresh bool            // begins a page
	draw  func(y float64) // y is its upper edge
	// again is drawn above the piece when it begins a page: the header of a
	// table that goes on.
	again *piece
	// section, where set, is what the headers of pages name from here on.
	section *paper.Section
}

func (p *press) add(pieces ...piece) { p.flow = append(p.flow, pieces...) }

// paginate sets the pieces on pages.
func (p *press) paginate() {
	y := p.bottom + 1
	newPage := func() {
		p.out.AddPage()
		p.sections = append(p.sections, p.section)
		y = p.top
	}
	for i := 0; i < len(p.flow); i++ {
		a := p.flow[i]
		if a.section != nil {
			p.section = *a.section
		}
		if a.h == 0 && a.draw == nil && !a.fresh { // only a mark
			if a.section != nil && len(p.sections) > 0 {
				y = p.bottom + 1
			}
			continue
		}
		switch {
		case len(p.sections) == 0, a.fresh && y > p.top:
			newPage()
		case y+a.space+p.together(i) > p.bottom && y > p.top:
			newPage()
			if a.again != nil {
				a.again.draw(y)
				y += a.again.h
			}
		}
		if y > p.top {
			y += a.space
		}
		if a.draw != nil {
			a.draw(y)
		}
		y += a.h
	}
	if len(p.sections) == 0 {
		newPage()
	}
}

// together is the height of a piece and of what has to follow it on the same
// page; of the piece alone when all of it would not fit any page.
func (p *press) together(i int) float64 {
	h := p.flow[i].h
	for p.flow[i].keep && i+1 < len(p.flow) {
		i++
		h += p.flow[i].space + p.flow[i].h
	}
	if h > p.bottom-p.top {
		return p.flow[i].h
	}
	return h
}

// lineUp makes pieces of lines of text, so that no line stands alone at the
// foot or the top of a page. start is called with the first line's baseline.
func (p *press) lineUp(l look, lines []line, x, space float64, start func(y float64)) {
	for i, one := range lines {
		piece := piece{h: l.lead, keep: i == 0 && len(lines) > 1 || i == len(lines)-2, draw: func(y float64) {
			base := y + l.lead - (l.lead-l.size)*.5 - l.size*.18
			if i == 0 && start != nil {
				start(base)
			}
			p.set(one, x, base)
		}}
		if i == 0 {
			piece.space = space
		}
		p.add(piece)
	}
}

// baseline of a line whose upper edge is at y.
func baseline(l look, y float64) float64 { return y + l.lead - (l.lead-l.size)*.5 - l.size*.18 }

// stack draws lines below each other and returns the lower edge.
func (p *press) stack(l look, lines []line, x, y float64) float64 {
	for _, one := range lines {
		p.set(one, x, baseline(l, y))
		y += l.lead
	}
	return y
}

// keepLast makes the piece added last stay with what follows.
func (p *press) keepLast() {
	if n := len(p.flow); n > 0 {
		p.flow[n-1].keep = true
	}
}
