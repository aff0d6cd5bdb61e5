package report

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"rsc.io/qr"
)

// qrCode draws text as an inline SVG of black squares, or nothing when the
// text does not fit a QR code.
func qrCode(text string) template.HTML {
	if text == "" {
		return ""
	}
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return ""
	}
	const quiet = 2
	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			run := 0
			for code.Black(x+run, y) {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, run, run)
				x += run
			}
		}
	}
	side := code.Size + 2*quiet
	return template.HTML(fmt.Sprintf( // numbers only: nothing of the text enters the markup
		`<svg class="qr" viewBox="0 0 %d %d" role="img" aria-label="Seal code as QR"><rect width="%d" height="%d" fill="#fff"/><path fill="#000" d="%s"/></svg>`,
		side, side, side, side, path.String()))
}

// Measures of the figure of hands, in SVG units.
const (
	figureWidth = 720
	figureLeft  = 176
	figureRow   = 34
	figureTop   = 22
)

// handsFigure draws the hands as bars on one line of time.
func handsFigure(hands []hand) template.HTML {
	if len(hands) == 0 {
		return ""
	}
	first, last := hands[0].From, hands[0].To
	for _, h := range hands {
		if h.From.Before(first) {
			first = h.From
		}
		if h.To.After(last) {
			last = h.To
		}
	}
	span := last.Sub(first)
	const width = figureWidth - figureLeft - 28
	x := func(t time.Time) float64 {
		if span <= 0 {
			return figureLeft
		}
		return figureLeft + width*(float64(t.Sub(first))/float64(span))
	}
	height := figureTop + figureRow*len(hands) + 26
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="hands" viewBox="0 0 %d %d" role="img" aria-label="Who held the exhibit, as bars over time">`, figureWidth, height)
	fmt.Fprintf(&b, `<line class="axis" x1="%d" x2="%d" y1="%d" y2="%d"/>`, figureLeft, figureWidth-20, height-24, height-24)
	for i, h := range hands {
		drawHand(&b, h, figureTop+i*figureRow, x)
	}
	label := func(at float64, anchor, text string) {
		fmt.Fprintf(&b, `<text class="when" x="%.1f" y="%d" text-anchor="%s">%s</text>`, at, height-8, anchor, template.HTMLEscapeString(text))
	}
	label(figureLeft, "start", moment(first))
	if span > 0 {
		label(figureWidth-20, "end", moment(last))
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

func drawHand(b *strings.Builder, h hand, y int, x func(time.Time) float64) {
	class := "bar"
	switch {
	case h.Gap:
		class = "bar gap"
	case h.ID == "":
		class = "bar transit"
	}
	from := x(h.From)
	fmt.Fprintf(b, `<text class="who" x="%d" y="%d" text-anchor="end">%s</text>`, figureLeft-12, y+11, template.HTMLEscapeString(shorten(h.Who, 26)))
	fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="14" rx="2"/>`, class, from, y, max(x(h.To)-from, 5))
	for _, t := range h.Acts {
		fmt.Fprintf(b, `<circle class="act" cx="%.1f" cy="%d" r="2.6"/>`, x(t)+2.5, y+7)
	}
	if h.Open {
		end := max(x(h.To), from+5)
		fmt.Fprintf(b, `<path class="open" d="M%.1f %dl8 7l-8 7"/>`, end+3, y)
	}
}

func shorten(s string, limit int) string {
	r := []rune(s)
	if len(r) <= limit {
		return s
	}
	return string(r[:limit-1]) + "…"
}
