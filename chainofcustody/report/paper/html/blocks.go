package html

import (
	"fmt"
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
)

func (p *page) block(b paper.Block) {
	switch b := b.(type) {
	case paper.Section:
		if len(p.sections) > 0 {
			p.f("</div>\n")
		}
		p.f("<div class=\"s%d part\">\n", len(p.sections))
		if len(p.sections) == 0 && p.draft != "" {
			p.f("<p class=\"draftbar\">%s</p>\n", esc(p.draft))
		}
		p.sections = append(p.sections, b)
	case paper.Title:
		p.title(b)
	case paper.Heading:
		p.headingBlock(b)
	case paper.Verdict:
		p.verdict(b)
	case paper.Para:
		p.f("<p%s>%s</p>\n", class(string(b.Kind)), p.text(b.Text))
	case paper.List:
		p.list(b)
	case paper.Card:
		p.f("<dl class=\"card\">\n")
		for _, r := range b.Rows {
			p.f("<dt>%s</dt><dd>%s</dd>\n", esc(r.Key), p.text(r.Value))
		}
		p.f("</dl>\n")
	case paper.Table:
		p.table(b)
	case paper.Pair:
		p.f("<div class=\"two\">\n")
		for _, side := range []paper.Side{b.Left, b.Right} {
			p.f("<div><h3%s>%s</h3><ul>", class(string(side.Tone)), esc(side.Title))
			for _, item := range side.Items {
				p.f("<li>%s</li>", esc(item))
			}
			p.f("</ul></div>\n")
		}
		p.f("</div>\n")
	case paper.Steps:
		p.steps(b)
	case paper.Figure:
		p.f("<figure>%s</figure>\n", svg(b.Drawing, "figure", b.Alt))
	case paper.Notice:
		p.f("<section class=\"notice %s\"><p class=\"label\">%s</p><p>%s</p></section>\n", b.Tone, esc(b.Title), p.text(b.Text))
	default:
		p.formBlock(b)
	}
}

// formBlock writes what is filled in by hand.
func (p *page) formBlock(b paper.Block) {
	switch b := b.(type) {
	case paper.Sign:
		p.f("<div class=\"sign\">")
		for _, f := range b.Fields {
			p.f("<div>%s</div>", esc(f))
		}
		p.f("</div>\n")
	case paper.Fill:
		p.f("<div class=\"fill\">")
		for _, f := range b.Fields {
			p.f("<div class=\"%s\"><span class=\"label\">%s</span><span class=\"field l%d\">%s</span></div>", p.wide(f.Width), esc(f.Label), max(1, min(f.Lines, 9)), esc(f.Value))
		}
		p.f("</div>\n")
	case paper.Tick:
		p.f("<p class=\"tick\"><span class=\"label\">%s</span>", esc(b.Label))
		for _, o := range b.Options {
			mark := "☐"
			for _, t := range b.Ticked {
				if t == o {
					mark = "☒"
				}
			}
			p.f(" <span>%s&nbsp;%s</span>", mark, esc(o))
		}
		p.f("</p>\n")
	case paper.Boxes:
		p.f("<div class=\"boxes\"><span class=\"label\">%s</span><div>", esc(b.Label))
		chars := []rune(strings.ReplaceAll(b.Value, "-", ""))
		for i := range b.Groups * b.Each {
			if i > 0 && i%b.Each == 0 {
				p.f("<i>–</i>")
			}
			char := ""
			if i < len(chars) {
				char = string(chars[i])
			}
			p.f("<b>%s</b>", esc(char))
		}
		p.f("</div></div>\n")
	case paper.Break:
		p.f("<div class=\"break\"></div>\n")
	default:
		panic(fmt.Sprintf("paper block %T is unknown to the HTML writer", b))
	}
}

func class(name string) string {
	if name == "" {
		return ""
	}
	return ` class="` + name + `"`
}

func (p *page) title(t paper.Title) {
	p.f("<header><div class=\"title\">\n<p class=\"label\">%s</p>\n<h1>%s</h1>\n", esc(t.Label), esc(t.Text))
	for i, line := range t.Lines {
		name := "meta"
		if i == 0 {
			name = "matter"
		}
		p.f("<p class=\"%s\">%s</p>\n", name, esc(line))
	}
	p.f("</div>")
	if t.QR != "" {
		p.f("\n<div class=\"seal\">%s<p class=\"code\">%s</p><p class=\"label\">%s</p></div>", svg(paper.QR(t.QR), "qr", t.Name+" as a QR code"), esc(t.QR), esc(t.Name))
	}
	p.f("</header>\n")
}

func (p *page) headingBlock(h paper.Heading) {
	level := h.Level + 1
	number := ""
	if h.Number != "" {
		number = "<span class=\"n\">" + esc(h.Number) + "</span>"
	}
	name := ""
	if h.NewTop {
		name = ` class="newtop"`
	}
	p.f("<h%d%s>%s%s</h%d>\n", level, name, number, esc(h.Text), level)
}

func (p *page) verdict(v paper.Verdict) {
	p.f("<section class=\"verdict %s\">\n<p class=\"badge\">%s</p>\n<p class=\"sentence\">%s</p>\n<p class=\"meaning\">%s</p>\n", v.Tone, esc(v.Word), esc(v.Sentence), esc(v.Meaning))
	if v.Remark != "" {
		p.f("<p class=\"remark\">%s</p>\n", esc(v.Remark))
	}
	p.f("</section>\n")
}

func (p *page) text(t paper.Text) string {
	var b strings.Builder
	for _, s := range t {
		switch s.Style {
		case paper.Line:
			b.WriteString("<br>")
			continue
		case paper.Blank:
			b.WriteString(`<span class="blank"></span>`)
			continue
		}
		name := strings.TrimSpace(map[paper.Style]string{paper.Bold: "strong", paper.Mono: "hash", paper.Soft: "soft", paper.Badge: "badge"}[s.Style] + " " + string(s.Tone))
		if name == "" {
			b.WriteString(esc(s.Text))
			continue
		}
		fmt.Fprintf(&b, `<span class="%s">%s</span>`, name, esc(s.Text))
	}
	return b.String()
}

func (p *page) list(l paper.List) {
	tag := "ul"
	if l.Ordered {
		tag = "ol"
	}
	p.f("<%s class=\"plain\">\n", tag)
	for _, item := range l.Items {
		p.f("<li%s>%s</li>\n", class(string(item.Tone)), p.text(item.Text))
	}
	p.f("</%s>\n", tag)
}

func (p *page) table(t paper.Table) {
	p.f("<table>\n<colgroup>")
	for _, c := range t.Columns {
		p.f("<col class=\"%s\">", p.wide(c.Width))
	}
	p.f("</colgroup>\n<thead><tr>")
	for _, c := range t.Columns {
		p.f("<th%s>%s</th>", right(c), esc(c.Title))
	}
	p.f("</tr></thead>\n<tbody>\n")
	for _, row := range t.Rows {
		p.f("<tr>")
		for i, cell := range row {
			p.f("<td%s>%s", right(t.Columns[i]), p.text(cell.Text))
			if len(cell.Notes) > 0 {
				calm := ""
				if cell.Calm {
					calm = " calm"
				}
				p.f("<ul class=\"findings%s\">", calm)
				for _, n := range cell.Notes {
					p.f("<li>%s</li>", esc(n))
				}
				p.f("</ul>")
			}
			p.f("</td>")
		}
		p.f("</tr>\n")
	}
	if len(t.Rows) == 0 {
		p.f("<tr><td colspan=\"%d\">%s</td></tr>\n", len(t.Columns), esc(t.Empty))
	}
	p.f("</tbody>\n</table>\n")
}

func right(c paper.Column) string {
	if c.Right {
		return ` class="num"`
	}
	return ""
}

func (p *page) steps(s paper.Steps) {
	p.f("<ol class=\"steps\">\n")
	for _, step := range s.Items {
		p.f("<li><p class=\"t\">%s</p>", esc(step.Title))
		if step.Text != "" {
			p.f("<p class=\"small\">%s</p>", esc(step.Text))
		}
		p.f("<pre>%s</pre>", esc2(step.Commands))
		if step.Expect != "" {
			p.f("<p class=\"expect\">Expect: <span class=\"hash\">%s</span></p>", esc(step.Expect))
		}
		p.f("</li>\n")
	}
	p.f("</ol>\n")
}
