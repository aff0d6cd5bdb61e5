package html

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
)

// svg writes a drawing. Colours are classes of the style sheet: the policy
// allows no inline style.
func svg(d paper.Drawing, name, alt string) string {
	if len(d.Shapes) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="%s" viewBox="0 0 %s %s" role="img" aria-label="%s">`, name, num(d.Width), num(d.Height), esc(alt))
	black := strings.Builder{} // the modules of a QR code become one path
	for _, s := range d.Shapes {
		if s.Kind == paper.ShapeBox && s.Paint == paper.PaintBlack {
			fmt.Fprintf(&black, "M%s %sh%sv%sh-%sz", num(s.X), num(s.Y), num(s.W), num(s.H), num(s.W))
			continue
		}
		shape(&b, s)
	}
	if black.Len() > 0 {
		fmt.Fprintf(&b, `<path class="f-black" d="%s"/>`, black.String())
	}
	b.WriteString("</svg>")
	return b.String()
}

func shape(b *strings.Builder, s paper.Shape) {
	switch s.Kind {
	case paper.ShapeBox:
		fmt.Fprintf(b, `<rect class="f-%s" x="%s" y="%s" width="%s" height="%s"/>`, s.Paint, num(s.X), num(s.Y), num(s.W), num(s.H))
	case paper.ShapeLine:
		fmt.Fprintf(b, `<path class="l-%s" d="M%s %sL%s %s"/>`, s.Paint, num(s.X), num(s.Y), num(s.X2), num(s.Y2))
	case paper.ShapeCurve:
		mid := (s.Y + s.Y2) / 2
		fmt.Fprintf(b, `<path class="l-%s" d="M%s %sC%s %s %s %s %s %s"/>`, s.Paint, num(s.X), num(s.Y), num(s.X), num(mid), num(s.X2), num(mid), num(s.X2), num(s.Y2))
	case paper.ShapeDot:
		fmt.Fprintf(b, `<circle class="f-%s" cx="%s" cy="%s" r="%s"/>`, s.Paint, num(s.X), num(s.Y), num(s.Radius))
	case paper.ShapeArrow:
		fmt.Fprintf(b, `<path class="f-%s" d="M%s %sl-3 -5h6z"/>`, s.Paint, num(s.X), num(s.Y))
	case paper.ShapeText:
		bold := ""
		if s.Bold {
			bold = ` font-weight="bold"`
		}
		fmt.Fprintf(b, `<text class="f-%s" x="%s" y="%s" font-size="%s" text-anchor="%s"%s>%s</text>`, s.Paint, num(s.X), num(s.Y), num(s.Size), s.Anchor, bold, esc(s.Text))
	}
}

func num(v float64) string { return strconv.FormatFloat(float64(int64(v*100+0.5))/100, 'f', -1, 64) }
