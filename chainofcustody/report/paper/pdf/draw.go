package pdf

import "github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"

// figure sets a drawing as wide as the text, smaller where it would be too
// high for a page.
func (p *press) figure(b paper.Figure) {
	if b.Width <= 0 || b.Height <= 0 {
		return
	}
	scale := min(p.width/b.Width, (p.bottom-p.top-60)/b.Height)
	p.add(piece{space: 8, h: b.Height*scale + 6, draw: func(y float64) { p.drawing(b.Drawing, p.left, y, scale) }})
}

// drawing draws the shapes with their corner at x, y.
func (p *press) drawing(d paper.Drawing, x, y, scale float64) {
	for _, s := range d.Shapes {
		p.shape(s, x, y, scale)
	}
}

func (p *press) shape(s paper.Shape, x, y, k float64) {
	r, g, b := s.Paint.RGB()
	ax, ay, bx, by := x+s.X*k, y+s.Y*k, x+s.X2*k, y+s.Y2*k
	p.out.SetFillColor(r, g, b)
	p.out.SetDrawColor(r, g, b)
	p.out.SetLineWidth(1.2 * k)
	if s.Paint == paper.PaintRule {
		p.out.SetLineWidth(.6 * k)
	}
	if s.Paint == paper.PaintGap {
		p.out.SetDashPattern([]float64{3 * k, 2 * k}, 0)
		defer p.out.SetDashPattern(nil, 0)
	}
	switch s.Kind {
	case paper.ShapeBox:
		p.out.Rect(ax, ay, s.W*k, s.H*k, "F")
	case paper.ShapeLine:
		p.out.Line(ax, ay, bx, by)
	case paper.ShapeCurve:
		mid := (ay + by) / 2
		p.out.CurveBezierCubic(ax, ay, ax, mid, bx, mid, bx, by, "D")
	case paper.ShapeDot:
		p.out.Circle(ax, ay, s.Radius*k, "F")
	case paper.ShapeArrow:
		p.out.MoveTo(ax, ay)
		p.out.LineTo(ax-3*k, ay-5*k)
		p.out.LineTo(ax+3*k, ay-5*k)
		p.out.ClosePath()
		p.out.DrawPath("F")
	case paper.ShapeText:
		l := look{family: sans, bold: s.Bold, size: s.Size * k, colour: paintColour(s.Paint)}
		one := p.fit(l, s.Text, s.Room*k)
		switch s.Anchor {
		case paper.Middle:
			ax -= one.width / 2
		case paper.End:
			ax -= one.width
		case paper.Start:
		}
		p.set(one, ax, ay)
	}
}
