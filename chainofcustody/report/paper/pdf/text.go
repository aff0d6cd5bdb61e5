package pdf

import (
	"strings"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
)

type colour [3]int

func toneColour(t paper.Tone) colour   { r, g, b := t.RGB(); return colour{r, g, b} }
func paintColour(t paper.Paint) colour { r, g, b := t.RGB(); return colour{r, g, b} }

var (
	ink  = paintColour(paper.PaintInk)
	soft = paintColour(paper.PaintSoft)
)

// look is how words are set.
type look struct {
	family string
	bold   bool
	size   float64
	lead   float64 // from line to line
	colour colour
}

// word is the smallest thing that is not divided, if it fits a line.
type word struct {
	text  string
	look  look
	width float64
	space float64 // before it, when it does not begin a line
	brk   bool    // ends the line before it
	blank bool    // a place to write
	last  bool    // of its text
	glued bool    // stands against the word before it: no line ends between
}

// line is what stands on one line.
type line struct {
	words  []word
	width  float64
	indent float64
	mark   string // stands in the indent
}

// blankWidth is the length of a place to write in running text, blankLeast
// what is worth beginning at the end of a line.
const (
	blankWidth = 150
	blankLeast = 70
)

// styled is the look of one span within a text.
func styled(base look, s paper.Span) look {
	l := base
	switch s.Style {
	case paper.Bold:
		l.bold = true
	case paper.Mono:
		l.family, l.size, l.colour = mono, base.size*.8, colour{0x33, 0x3b, 0x41}
	case paper.Soft:
		l.size, l.colour = base.size*.9, soft
	case paper.Badge:
		l.family, l.bold, l.size = sans, true, base.size*.84
	}
	if s.Tone != paper.Plain {
		l.colour = toneColour(s.Tone)
		l.bold = l.bold || s.Style != paper.Mono && s.Tone == paper.Bad
	}
	return l
}

func (p *press) fontOf(l look) *font { return p.fonts[fontKey{l.family, l.bold}] }

// words cuts a text at its spaces. Words that no line can hold are cut where
// the line ends.
func (p *press) words(base look, text paper.Text, width float64) []word {
	var out []word
	space, brk := 0.0, false
	for _, span := range text {
		l := styled(base, span)
		f := p.fontOf(l)
		switch span.Style {
		case paper.Line:
			brk = true
			continue
		case paper.Blank:
			out = append(out, word{look: l, width: min(blankWidth, width), space: space, brk: brk, blank: true})
			space, brk = 0, false
			continue
		}
		for i, part := range strings.Split(f.shown(span.Text), " ") {
			if i > 0 {
				space = f.width(" ") * l.size
			}
			if part == "" {
				continue
			}
			for k, piece := range f.pieces(part, width/l.size) {
				glued := i == 0 && k == 0 && len(out) > 0 && space == 0 && !brk
				out = append(out, word{text: piece, look: l, width: f.width(piece) * l.size, space: space, brk: brk, glued: glued})
				space, brk = 0, false
			}
		}
	}
	return out
}

// pieces cuts a word that is wider than a line, behind a mark of punctuation
// where one is near the end; others stay whole.
func (f *font) pieces(s string, width float64) []string {
	var out []string
	for f.width(s) > width {
		n := f.fits(s, width)
		if at := strings.LastIndexAny(s[:n], "/._-") + 1; at > n*3/5 {
			n = at
		}
		out = append(out, s[:n])
		s = s[n:]
	}
	return append(out, s)
}

// fits is the length of the start of a string that fits a width, one
// character at least.
func (f *font) fits(s string, width float64) int {
	used := 0.0
	for i, r := range s {
		if used += max(f.advance(r), 0); used > width && i > 0 {
			return i
		}
	}
	return len(s)
}

// lines breaks a text into lines of the given width.
func (p *press) lines(base look, text paper.Text, width float64) []line {
	var out []line
	var cur line
	all := p.words(base, text, width)
	if n := len(all); n > 0 {
		all[n-1].last = true
	}
	for _, w := range all {
		space := w.space
		if len(cur.words) == 0 {
			space = 0
		}
		need := w.width
		if w.blank {
			need = min(need, blankLeast)
		}
		if w.brk || cur.width+space+need > width+.01 && len(cur.words) > 0 {
			next := cur.carry(w, width-need)
			out = append(out, cur)
			cur = next
			if len(cur.words) == 0 {
				space = 0
			}
		}
		w.space = space
		if rest := width - cur.width - space; w.blank && rest > 0 && (w.last || rest < w.width) {
			w.width = rest // a place to write at the end takes what is left of the line
		}
		cur.width += space + w.width
		cur.words = append(cur.words, w)
	}
	if len(cur.words) > 0 || len(out) == 0 {
		out = append(out, cur)
	}
	return out
}

// carry takes from the end of a line what a glued word must stand against: a
// full stop goes down together with the word before it, where both fit into
// a line that has room for no more than room beside the word.
func (l *line) carry(w word, room float64) line {
	from, wide := len(l.words), 0.0
	for glued := w.glued; glued && from > 0; from-- {
		glued = l.words[from-1].glued
		wide += l.words[from-1].width
	}
	if from == 0 || wide > room {
		return line{}
	}
	var next line
	for _, moved := range l.words[from:] {
		l.width -= moved.space + moved.width
		moved.space = 0
		next.width += moved.width
		next.words = append(next.words, moved)
	}
	l.words = l.words[:from]
	return next
}

// set draws a line with its baseline at y.
func (p *press) set(l line, x, y float64) {
	if l.mark != "" && len(l.words) > 0 {
		p.write(l.words[0].look, x, y, l.mark)
	}
	x += l.indent
	for i := 0; i < len(l.words); {
		w := l.words[i]
		x += w.space
		if w.blank {
			p.rule(x, y+2, w.width, .5, paper.PaintInk)
			x, i = x+w.width, i+1
			continue
		}
		// Words set alike are written as one, spaces with them, so that a
		// reader who copies or searches finds sentences.
		text, width := w.text, w.width
		for i++; i < len(l.words) && l.words[i].look == w.look && !l.words[i].blank; i++ {
			if l.words[i].space > 0 {
				text += " "
			}
			text += l.words[i].text
			width += l.words[i].space + l.words[i].width
		}
		if i < len(l.words) && l.words[i].space > 0 {
			text += " "
		}
		p.write(w.look, x, y, text)
		x += width
	}
}

// write puts text that shown has made on the page.
func (p *press) write(l look, x, y float64, text string) {
	if text == "" || !utf8.ValidString(text) {
		return
	}
	p.out.SetFont(l.family, styleOf(l.bold), l.size)
	p.out.SetTextColor(l.colour[0], l.colour[1], l.colour[2])
	p.out.Text(x, y, text)
}

// line writes one line that starts at x.
func (p *press) line(l look, x, y float64, text paper.Text) {
	p.set(p.lines(l, text, 10_000)[0], x, y)
}

// lineEnd writes one line that ends at x.
func (p *press) lineEnd(l look, x, y float64, text paper.Text) {
	one := p.lines(l, text, 10_000)[0]
	p.set(one, x-one.width, y)
}

// fit is a text on one line of the given width, cut where it is longer. A
// width of 0 is as good as any.
func (p *press) fit(l look, text string, width float64) line {
	f := p.fontOf(l)
	text = f.shown(text)
	if limit := width / l.size; width > 0 && f.width(text) > limit {
		text = strings.TrimRight(text[:f.fits(text, limit-f.width("…"))], " ") + "…"
	}
	return line{words: []word{{text: text, look: l, width: f.width(text) * l.size}}, width: f.width(text) * l.size}
}

func (p *press) rule(x, y, w, thick float64, paint paper.Paint) {
	r, g, b := paint.RGB()
	p.out.SetFillColor(r, g, b)
	p.out.Rect(x, y-thick/2, w, thick, "F")
}

func (p *press) box(x, y, w, h float64, paint paper.Paint) {
	r, g, b := paint.RGB()
	p.out.SetFillColor(r, g, b)
	p.out.Rect(x, y, w, h, "F")
}

func (p *press) outline(x, y, w, h, thick float64, c colour, dash bool) {
	p.out.SetDrawColor(c[0], c[1], c[2])
	p.out.SetLineWidth(thick)
	if dash {
		p.out.SetDashPattern([]float64{4, 3}, 0)
	}
	p.out.Rect(x, y, w, h, "D")
	p.out.SetDashPattern(nil, 0)
}
