package rootcause

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// Measures of the drawing in pixels.
const (
	svgRow    = 46  // height of a row
	svgBox    = 36  // height of a box
	svgWide   = 560 // width of a box
	svgIndent = 30
	svgLeft   = 150 // column of times
	svgLine   = 19  // height of a line of the head
	svgLane   = 16  // distance of the lines that are not of the tree
)

var svgFill = map[Role][2]string{ // fill, line
	RoleAlert: {"#fde2e1", "#c62828"}, RoleEntry: {"#fff0d1", "#b26a00"}, RolePath: {"#e8f0fb", "#3367a8"}, RoleScope: {"#ffffff", "#9aa5b1"},
}

var svgTag = map[Kind][2]string{ // short name, colour
	KindProcess: {"PROC", "#3367a8"}, KindSession: {"LOGIN", "#b26a00"}, KindFile: {"FILE", "#2e7d32"}, KindUnit: {"UNIT", "#6a3fa0"},
	KindJob: {"CRON", "#6a3fa0"}, KindFlow: {"NET", "#00838f"}, KindRequest: {"WEB", "#00838f"}, KindPackage: {"PKG", "#795548"},
	KindEvent: {"LOG", "#546e7a"}, KindAttempts: {"FAILS", "#c62828"}, KindAddress: {"ADDR", "#37474f"},
}

type svg struct {
	errWriter
	g    *Graph
	rows []row
	at   []int // node → row
	top  int   // where the rows begin
}

// WriteSVG draws the graph as an indented tree: time on the left, causes above
// their effects, inferred edges dashed, edges that are not of the tree as arcs
// on the right. The image holds no script, link or external resource; all text
// of the evidence is escaped.
func (g *Graph) WriteSVG(out io.Writer) error {
	rows, rest := g.layout()
	d := &svg{errWriter: newErrWriter(out), g: g, rows: rows, at: make([]int, len(g.Nodes))}
	depth := 0
	for i, r := range rows {
		d.at[r.node] = i
		depth = max(depth, r.depth)
	}
	right := svgLeft + depth*svgIndent + svgWide
	width := right + 40 + (len(rest)+1)*svgLane
	head := d.headLines(width)
	d.top = 52 + len(head)*svgLine
	height := d.top + len(rows)*svgRow + 70
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="causes of the alert">`+"\n", width, height, width, height)
	d.printf("<style>text{font-family:system-ui,'DejaVu Sans',Arial,sans-serif;font-size:13px;fill:#1f2933}.m{font-family:ui-monospace,'DejaVu Sans Mono',monospace;font-size:11px;fill:#52606d}.t{font-family:ui-monospace,'DejaVu Sans Mono',monospace;font-size:11px;fill:#7b8794}.k{font-size:9px;font-weight:700;fill:#fff}.h{font-size:16px;font-weight:700}.b{font-weight:600}</style>\n")
	d.printf(`<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	d.head(head, width)
	for i := range rows {
		d.branch(i)
	}
	for i, e := range rest {
		d.arc(e, right+14+i*svgLane)
	}
	for i := range rows {
		d.box(i)
	}
	d.legend(d.top + len(rows)*svgRow + 26)
	d.printf("</svg>\n")
	return d.Flush()
}

// text writes escaped text; characters that XML cannot hold are replaced.
func (d *svg) text(x, y int, class, s string) {
	d.printf(`<text x="%d" y="%d" class="%s">`, x, y, class)
	_ = xml.EscapeText(d.Writer, []byte(strings.ToValidUTF8(plainText(s), "�"))) // errors surface at Flush
	d.printf("</text>\n")
}

// headLine is a line above the tree with its style.
type headLine struct{ class, text string }

// headLines breaks what was asked and the first entry into lines that fit.
func (d *svg) headLines(width int) []headLine {
	var out []headLine
	add := func(class, text string, perLine, most int) {
		for i, l := range wrap(plainText(text), perLine) {
			if i < most {
				out = append(out, headLine{class, l})
			}
		}
	}
	add("h", "Why: "+d.g.Alert.Text, (width-40)/10, 3)
	add("b", d.g.Conclusion, (width-40)/8, 3)
	if len(d.g.Entries) == 0 {
		return out
	}
	e := d.g.Entries[0]
	add("b", fmt.Sprintf("Entry: %s (score %.2f, confidence %s)", e.Title, e.Score, e.Confidence), (width-40)/8, 2)
	add("", e.Reason, (width-40)*10/72, 5)
	return out
}

// wrap breaks text at spaces into lines of at most n characters.
func wrap(s string, n int) []string {
	var lines []string
	line := ""
	for w := range strings.FieldsSeq(s) {
		w = shorten(w, n)
		if line != "" && len([]rune(line))+1+len([]rune(w)) > n {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += w
	}
	return append(lines, line)
}

func (d *svg) head(lines []headLine, width int) {
	for i, l := range lines {
		d.text(20, 30+i*svgLine, l.class, l.text)
	}
	y := d.top - 18
	d.printf(`<line x1="20" y1="%d" x2="%d" y2="%d" stroke="#cbd2d9"/>`+"\n", y, width-20, y)
}

func (d *svg) x(i int) int { return svgLeft + d.rows[i].depth*svgIndent }
func (d *svg) y(i int) int { return d.top + i*svgRow }

// branch draws the line from a row's main cause.
func (d *svg) branch(i int) {
	r := d.rows[i]
	if r.edge < 0 {
		return
	}
	e := &d.g.Edges[r.edge]
	x, top := d.x(r.parent)+14, d.y(r.parent)+svgBox
	y := d.y(i) + svgBox/2
	d.printf(`<path d="M%d %d V%d H%d" fill="none" %s><title>`, x, top, y, d.x(i)-5, stroke(e))
	_ = xml.EscapeText(d.Writer, []byte(string(e.Class)+" "+e.Rule+": "+strings.ToValidUTF8(plainText(e.Why), "�")))
	d.printf("</title></path>\n")
	d.printf(`<path d="M%d %d l-6 -4 v8 z" fill="%s"/>`+"\n", d.x(i)-1, y, lineColour(e))
}

func lineColour(e *Edge) string {
	if e.Score > 0 {
		return "#c62828"
	}
	return "#7b8794"
}

// stroke is the look of a line: what leads to the alert is red and thicker the
// more it carries, what is inferred is dashed.
func stroke(e *Edge) string {
	s := fmt.Sprintf(`stroke="%s" stroke-width="%.1f"`, lineColour(e), 1.2+2*e.Score)
	if e.Class == Inferred {
		s += ` stroke-dasharray="5 4"`
	}
	return s
}

// arc draws an edge that is not of the tree, in its own lane on the right.
func (d *svg) arc(e, lane int) {
	ed := &d.g.Edges[e]
	a, b := d.at[ed.From], d.at[ed.To]
	y1, y2 := d.y(a)+svgBox/2, d.y(b)+svgBox/2+6
	d.printf(`<path d="M%d %d H%d V%d H%d" fill="none" stroke-linejoin="round" %s opacity="0.75"><title>`, d.x(a)+svgWide, y1, lane, y2, d.x(b)+svgWide+6, stroke(ed))
	_ = xml.EscapeText(d.Writer, []byte(string(ed.Class)+" "+ed.Rule+": "+strings.ToValidUTF8(plainText(ed.Why), "�")))
	d.printf("</title></path>\n")
	d.printf(`<path d="M%d %d l6 -4 v8 z" fill="%s" opacity="0.75"/>`+"\n", d.x(b)+svgWide+1, y2, lineColour(ed))
}

// box draws a row: time, kind, label, detail and the class of its main edge.
func (d *svg) box(i int) {
	n := &d.g.Nodes[d.rows[i].node]
	x, y := d.x(i), d.y(i)
	if !n.Time.IsZero() {
		d.text(16, y+15, "t", n.Time.Format("2006-01-02"))
		d.text(16, y+29, "t", n.Time.Format("15:04:05.000"))
	}
	look := svgFill[n.Role]
	dash := ""
	if n.Role == RoleScope {
		dash = ` stroke-width="1"`
	}
	d.printf(`<rect x="%d" y="%d" width="%d" height="%d" rx="5" fill="%s" stroke="%s"%s/>`+"\n", x, y, svgWide, svgBox, look[0], look[1], dash)
	tag := svgTag[n.Kind]
	d.printf(`<rect x="%d" y="%d" width="40" height="15" rx="3" fill="%s"/>`+"\n", x+7, y+4, tag[1])
	d.printf(`<text x="%d" y="%d" class="k" text-anchor="middle">%s</text>`+"\n", x+27, y+15, tag[0])
	mark := 0
	if e := d.rows[i].edge; e >= 0 {
		mark = 150
		d.printf(`<text x="%d" y="%d" class="t" text-anchor="end">%s %s</text>`+"\n", x+svgWide-8, y+15, d.g.Edges[e].Class, d.g.Edges[e].Rule)
	}
	d.text(x+54, y+16, "b", shorten(n.Label, (svgWide-62-mark)/8))
	if n.Detail != "" {
		d.text(x+9, y+30, "m", shorten(n.Detail, (svgWide-18)*10/67))
	}
}

func (d *svg) legend(y int) {
	x := 20
	for _, r := range []struct {
		role Role
		text string
	}{{RoleEntry, "way in"}, {RolePath, "on the way to the alert"}, {RoleAlert, "asked about"}, {RoleScope, "also came of the same entry"}} {
		look := svgFill[r.role]
		d.printf(`<rect x="%d" y="%d" width="22" height="12" rx="2" fill="%s" stroke="%s"/>`+"\n", x, y-10, look[0], look[1])
		d.text(x+28, y, "m", r.text)
		x += 28 + 7*len(r.text) + 24
	}
	d.text(20, y+22, "m", "A stated by one record · B exact join of records · C inferred from time or names (dashed) · red: leads to the alert · times UTC")
}
