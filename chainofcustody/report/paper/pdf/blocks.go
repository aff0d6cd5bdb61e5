package pdf

import (
	"fmt"
	"strconv"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
)

// The looks of a paper.
var (
	bodyLook    = look{family: serif, size: 10.4, lead: 14.4, colour: ink}
	smallLook   = look{family: serif, size: 8.8, lead: 11.8, colour: soft}
	captionLook = look{family: sans, bold: true, size: 8, lead: 11, colour: ink}
	labelLook   = look{family: sans, size: 7.2, lead: 10, colour: soft}
	titleLook   = look{family: serif, bold: true, size: 21, lead: 26, colour: ink}
	headLook    = look{family: serif, bold: true, size: 13.2, lead: 18, colour: ink}
	subLook     = look{family: serif, bold: true, size: 10.8, lead: 14.5, colour: ink}
	codeLook    = look{family: mono, size: 7.7, lead: 10.8, colour: ink}
)

func (p *press) block(b paper.Block) {
	switch b := b.(type) {
	case paper.Section:
		p.add(piece{section: &b})
	case paper.Title:
		p.title(b)
	case paper.Heading:
		p.heading(b)
	case paper.Verdict:
		p.verdict(b)
	case paper.Para:
		p.para(b)
	case paper.List:
		p.list(b)
	case paper.Card:
		p.card(b)
	case paper.Table:
		p.table(b)
	case paper.Pair:
		p.pair(b)
	case paper.Steps:
		for i, step := range b.Items {
			p.step(i+1, step)
		}
	case paper.Figure:
		p.figure(b)
	case paper.Notice:
		p.notice(b)
	case paper.Break:
		p.add(piece{fresh: true})
	default:
		p.formBlock(b)
	}
}

func (p *press) body() look {
	if p.doc.Tight {
		return look{family: serif, size: 8.6, lead: 10.9, colour: ink}
	}
	return bodyLook
}

func (p *press) title(t paper.Title) {
	look, gap := titleLook, 6.0
	if p.doc.Tight {
		look.size, look.lead, gap = 15, 18, 2
	}
	side := 0.0
	if t.QR != "" {
		side = 96
		if p.doc.Tight {
			side = 58
		}
	}
	width := p.width - side - 20
	head := p.lines(look, paper.T(clip(t.Text, 160)), width)
	matter := bodyLook
	matter.size, matter.lead = 11.4, 15.5
	if p.doc.Tight {
		matter = p.body()
	}
	meta := smallLook
	var below []line
	var looks []float64
	for i, text := range t.Lines {
		l := meta
		if i == 0 {
			l = matter
		}
		for _, one := range p.lines(l, paper.T(clip(text, 400)), width) {
			below, looks = append(below, one), append(looks, l.lead)
		}
	}
	h := labelLook.lead + float64(len(head))*look.lead + gap
	for _, l := range looks {
		h += l
	}
	name := clip(t.Text, 160)
	p.add(piece{h: max(h, side+22), draw: func(y float64) {
		p.out.SetFont(serif, "", 10)
		p.out.Bookmark(name, 0, y)
		p.line(labelLook, p.left, baseline(labelLook, y), paper.T(t.Label))
		y0 := y
		y = p.stack(look, head, p.left, y+labelLook.lead) + gap
		for i, one := range below {
			p.set(one, p.left, y+looks[i]*.72)
			y += looks[i]
		}
		if t.QR != "" {
			p.seal(t, p.left+p.width-side, y0, side)
		}
	}})
}

// seal draws a QR code with its text below.
func (p *press) seal(t paper.Title, x, y, side float64) {
	d := paper.QR(t.QR)
	if d.Width > 0 {
		p.drawing(d, x, y, side/d.Width)
	}
	code := look{family: mono, bold: true, size: 6.9, lead: 9, colour: ink}
	below := p.fit(code, t.QR, 120)
	x -= max(0, (below.width-side)/2) // the code may be wider, and ends at the margin
	p.set(below, x+(side-below.width)/2, y+side+7)
	small := labelLook
	small.size = 6.6
	one := p.fit(small, t.Name, 120)
	p.set(one, x+(side-one.width)/2, y+side+16)
}

func (p *press) heading(h paper.Heading) {
	if h.Level > 1 {
		lines := p.lines(subLook, paper.T(clip(h.Text, 600)), p.width)
		for i, one := range lines {
			space := 0.0
			if i == 0 {
				space = 13
			}
			p.add(piece{space: space, h: subLook.lead + 1, keep: true, draw: func(y float64) { p.set(one, p.left, baseline(subLook, y)) }})
		}
		return
	}
	l, space := headLook, 24.0
	if p.doc.Tight {
		l.size, l.lead, space = 10, 13, 7
	}
	indent := 0.0
	if h.Number != "" {
		indent = 22
	}
	lines := p.lines(l, paper.T(clip(h.Text, 300)), p.width-indent)
	name := h.Text
	if h.Number != "" {
		name = h.Number + "  " + h.Text
	}
	for i, one := range lines {
		a := piece{h: l.lead, keep: true, draw: func(y float64) { p.set(one, p.left+indent, baseline(l, y)) }}
		if i == 0 {
			a.space, a.fresh, a.h = space, h.NewTop, l.lead+7
			a.draw = func(y float64) {
				p.out.SetFont(serif, "", 10)
				p.out.Bookmark(clip(name, 160), 1, y)
				p.rule(p.left, y+.5, p.width, .7, paper.PaintInk)
				n := l
				n.bold, n.colour = false, soft
				p.line(n, p.left, baseline(l, y+7), paper.T(h.Number))
				p.set(one, p.left+indent, baseline(l, y+7))
			}
		}
		p.add(a)
	}
	p.add(piece{h: 4, keep: true, draw: func(float64) {}})
}

func (p *press) verdict(v paper.Verdict) {
	const pad, bar = 15, 5
	width := p.width - 2*pad - bar
	word := look{family: sans, bold: true, size: 9.4, lead: 14, colour: toneColour(v.Tone)}
	big := look{family: serif, size: 13.6, lead: 18.6, colour: ink}
	quiet, bad := bodyLook, bodyLook
	quiet.colour, bad.colour = soft, toneColour(paper.Bad)
	bad.bold = true
	sentence := p.lines(big, paper.T(v.Sentence), width)
	meaning := p.lines(quiet, paper.T(v.Meaning), width)
	var remark []line
	if v.Remark != "" {
		remark = p.lines(bad, paper.T(v.Remark), width)
	}
	words := p.lines(word, paper.T(clip(v.Word, 80)), width)
	h := 2*pad - 4 + float64(len(words))*word.lead + float64(len(sentence))*big.lead + 6 + float64(len(meaning))*quiet.lead
	if len(remark) > 0 {
		h += 14 + float64(len(remark))*bad.lead
	}
	p.add(piece{space: 18, h: h + 4, draw: func(y float64) {
		p.box(p.left, y, p.width, h, paper.PaintWash)
		p.outline(p.left, y, p.width, h, .5, paintColour(paper.PaintRule), false)
		c := toneColour(v.Tone)
		p.out.SetFillColor(c[0], c[1], c[2])
		p.out.Rect(p.left, y, bar, h, "F")
		x := p.left + bar + pad
		y = p.stack(word, words, x, y+pad-3)
		y = p.stack(big, sentence, x, y+2)
		y = p.stack(quiet, meaning, x, y+4)
		if len(remark) > 0 {
			p.rule(x, y+7, width, .5, paper.PaintRule)
			p.stack(bad, remark, x, y+11)
		}
	}})
}

func (p *press) para(b paper.Para) {
	switch b.Kind {
	case paper.Small:
		p.lineUp(smallLook, p.lines(smallLook, b.Text, p.width), p.left, 6, nil)
	case paper.Caption:
		for i, one := range p.lines(captionLook, b.Text, p.width) {
			space := 0.0
			if i == 0 {
				space = 12
			}
			p.add(piece{space: space, h: captionLook.lead + 1, keep: true, draw: func(y float64) { p.set(one, p.left, baseline(captionLook, y)) }})
		}
	default:
		l, space := p.body(), 6.0
		if p.doc.Tight {
			space = 2.5
		}
		p.lineUp(l, p.lines(l, b.Text, p.width), p.left, space, nil)
	}
}

func (p *press) list(b paper.List) {
	const indent = 16
	for i, item := range b.Items {
		l := p.body()
		if item.Tone != paper.Plain {
			l.colour, l.bold = toneColour(item.Tone), item.Tone == paper.Bad
		}
		mark := "•"
		if b.Ordered {
			mark = strconv.Itoa(i+1) + "."
		}
		p.lineUp(l, p.lines(l, item.Text, p.width-indent), p.left+indent, 4, func(y float64) {
			p.lineEnd(l, p.left+indent-6, y, paper.T(mark))
		})
	}
}

// pair sets two lists side by side, or below each other where a page cannot
// hold them.
func (p *press) pair(b paper.Pair) {
	const gutter, indent = 26, 12
	width := (p.width - gutter) / 2
	l := bodyLook
	l.size, l.lead = 9.7, 13
	column := func(s paper.Side) (all [][]line, h float64) {
		h = subLook.lead + 8
		for _, item := range s.Items {
			lines := p.lines(l, paper.T(item), width-indent)
			all = append(all, lines)
			h += float64(len(lines))*l.lead + 4
		}
		return all, h
	}
	left, lh := column(b.Left)
	right, rh := column(b.Right)
	if h := max(lh, rh); h <= p.bottom-p.top-40 {
		draw := func(s paper.Side, all [][]line, x, y float64) {
			p.line(subLook, x, baseline(subLook, y), paper.T(s.Title))
			c := toneColour(s.Tone)
			p.out.SetFillColor(c[0], c[1], c[2])
			p.out.Rect(x, y+subLook.lead+2, width, 1.6, "F")
			y += subLook.lead + 8
			for _, lines := range all {
				p.line(l, x, baseline(l, y), paper.T("•"))
				y = p.stack(l, lines, x+indent, y) + 4
			}
		}
		p.add(piece{space: 8, h: h, draw: func(y float64) {
			draw(b.Left, left, p.left, y)
			draw(b.Right, right, p.left+width+gutter, y)
		}})
		return
	}
	for _, s := range []paper.Side{b.Left, b.Right} {
		p.heading(paper.Heading{Level: 2, Text: s.Title})
		list := paper.List{}
		for _, item := range s.Items {
			list.Items = append(list.Items, paper.Item{Text: paper.T(item)})
		}
		p.list(list)
	}
}

func (p *press) notice(b paper.Notice) {
	const pad = 10
	head := look{family: sans, bold: true, size: 8.4, lead: 12, colour: toneColour(b.Tone)}
	l := p.body()
	titles := p.lines(head, paper.T(b.Title), p.width-2*pad)
	lines := p.lines(l, b.Text, p.width-2*pad)
	h := 2*pad - 4 + float64(len(titles))*head.lead + float64(len(lines))*l.lead
	p.add(piece{space: 12, h: h + 6, draw: func(y float64) {
		p.outline(p.left, y, p.width, h, 1.1, toneColour(b.Tone), b.Tone == paper.Bad)
		y = p.stack(head, titles, p.left+pad, y+pad-3)
		p.stack(l, lines, p.left+pad, y+1)
	}})
}

// step is a command with its text before and what to expect behind it.
func (p *press) step(n int, s paper.Step) {
	const indent, pad = 18, 7
	x, width := p.left+indent, p.width-indent
	bold := bodyLook
	bold.bold = true
	for i, one := range p.lines(bold, paper.T(s.Title), width) {
		p.add(piece{space: map[bool]float64{true: 11}[i == 0], h: bold.lead, keep: true, draw: func(y float64) {
			if i == 0 {
				p.line(bodyLook, p.left, baseline(bodyLook, y), paper.T(fmt.Sprintf("%d.", n)))
			}
			p.set(one, x, baseline(bold, y))
		}})
	}
	if s.Text != "" {
		p.lineUp(smallLook, p.lines(smallLook, paper.T(s.Text), width), x, 1, nil)
		p.keepLast()
	}
	p.code(s.Commands, x, width, pad)
	if s.Expect == "" {
		return
	}
	p.keepLast()
	p.lineUp(smallLook, p.lines(smallLook, paper.Join(paper.T("Expect: "), paper.In(paper.Mono, s.Expect)), width), x, 3, nil)
}
