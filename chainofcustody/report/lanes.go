package report

import (
	"fmt"
	"slices"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
)

// Measures of the figure of hands, in points.
const (
	figureWidth = 482.0
	laneLeft    = 92.0 // times stand left of it
	laneRoom    = 212.0
	laneMost    = 62.0
	rowHeight   = 18.0
	figureHead  = 34.0
	maxRows     = 34 // what stands on one page
	maxLanes    = 8
)

// laneRow is a line of the figure: an act, or a gap between two.
type laneRow struct {
	event int // -1: a gap
	gap   *passage
	y     float64
}

// figure draws the hands as lanes, one for each person, from top to bottom
// in the order of the log. left is the number of rows that did not fit.
func (c *custody) figure() (fig paper.Figure, left int) {
	rows := c.rows()
	left = max(len(rows)-maxRows, 0)
	rows = rows[:len(rows)-left]
	if len(rows) == 0 {
		return paper.Figure{}, left
	}
	d := drawer{c: c, ys: map[int]float64{}}
	y := figureHead + rowHeight/2
	for i := range rows {
		rows[i].y = y
		if rows[i].event >= 0 {
			d.ys[rows[i].event] = y
		}
		y += rowHeight
	}
	d.bottom = y - rowHeight/2 + 6
	d.columns()
	d.background(rows)
	for i := range c.passages {
		d.passage(&c.passages[i], rows)
	}
	for i := range c.hands {
		d.hand(&c.hands[i], left > 0)
	}
	d.words(rows)
	return paper.Figure{
		Drawing: paper.Drawing{Width: figureWidth, Height: d.bottom + 4, Shapes: d.shapes},
		Alt:     "Who held the exhibit, one lane for each person, time from top to bottom",
	}, left
}

// rows picks the acts at which something changes, and the gaps.
func (c *custody) rows() []laneRow {
	turning := map[int]bool{}
	for i := range c.hands {
		turning[c.hands[i].first()], turning[c.hands[i].last()] = true, true
	}
	gaps := map[int][]*passage{} // by their place in the log
	for k := range c.passages {
		p := &c.passages[k]
		turning[p.Left], turning[p.Came] = true, true
		if p.Kind == passGap {
			gaps[p.place()] = append(gaps[p.place()], p)
		}
	}
	var rows []laneRow
	for i := range c.events {
		for _, p := range gaps[2*i] {
			rows = append(rows, laneRow{event: -1, gap: p})
		}
		if turning[i] {
			rows = append(rows, laneRow{event: i})
		}
		for _, p := range gaps[2*i+1] {
			rows = append(rows, laneRow{event: -1, gap: p})
		}
	}
	return rows
}

// drawer gathers the shapes of the figure.
type drawer struct {
	c      *custody
	ys     map[int]float64 // of the events that have a row
	bottom float64
	lane   float64 // width of one
	lanes  int
	textX  float64
	shapes []paper.Shape
}

func (d *drawer) add(s ...paper.Shape) { d.shapes = append(d.shapes, s...) }

func (d *drawer) x(lane int) float64 {
	return laneLeft + (float64(min(lane, maxLanes-1))+.5)*d.lane
}

func (d *drawer) text(x, y float64, paint paper.Paint, bold bool, anchor paper.Anchor, size float64, s string) {
	room := figureWidth - x
	switch {
	case anchor == paper.Middle:
		room = d.lane - 1
	case x < laneLeft:
		room = laneLeft - x
	}
	d.add(paper.Shape{Kind: paper.ShapeText, X: x, Y: y, Paint: paint, Bold: bold, Anchor: anchor, Size: size, Text: s, Room: room})
}

// columns measures the lanes and heads each with its name.
func (d *drawer) columns() {
	names := map[int]string{}
	for i := range d.c.hands {
		h := &d.c.hands[i]
		lane := min(h.Lane, maxLanes-1)
		switch old, ok := names[lane]; {
		case !ok:
			names[lane] = h.Who
			for other := range lane {
				if names[other] == h.Who {
					names[lane] = h.Who + " (branch)"
				}
			}
		case lane == maxLanes-1 && old != h.Who:
			names[lane] = "others"
		}
		d.lanes = max(d.lanes, lane+1)
	}
	d.lane = min(laneMost, laneRoom/float64(max(d.lanes, 1)))
	d.textX = laneLeft + d.lane*float64(d.lanes) + 12
	for lane := range d.lanes {
		if lane%2 == 0 {
			d.add(paper.Shape{Kind: paper.ShapeBox, X: laneLeft + float64(lane)*d.lane, W: d.lane, H: d.bottom, Paint: paper.PaintWash})
		}
		lines := wrap(names[lane], int(d.lane/3.7), 3)
		for i, line := range lines {
			d.text(d.x(lane), 8+7.6*float64(i)+3.8*float64(3-len(lines)), paper.PaintInk, true, paper.Middle, 6.4, line)
		}
	}
	d.text(0, 16, paper.PaintSoft, false, paper.Start, 6.6, "Time (UTC)")
	d.text(d.textX, 16, paper.PaintSoft, false, paper.Start, 6.6, "Entry of the custody log")
	d.add(paper.Shape{Kind: paper.ShapeLine, Y: figureHead - 6, X2: figureWidth, Y2: figureHead - 6, Paint: paper.PaintInk})
}

func (d *drawer) background(rows []laneRow) {
	for _, r := range rows {
		if r.gap != nil {
			d.add(paper.Shape{Kind: paper.ShapeBox, Y: r.y - rowHeight/2 + 1, W: figureWidth, H: rowHeight - 2, Paint: paper.PaintGapBox})
		}
	}
}

// passage draws the way between two hands, or into the open.
func (d *drawer) passage(p *passage, rows []laneRow) {
	from, hasFrom := d.ys[p.Left]
	to, hasTo := d.ys[p.Came]
	paint := paper.PaintLink
	if p.Kind == passGap {
		paint = paper.PaintGap
	}
	own := slices.IndexFunc(rows, func(r laneRow) bool { return r.gap == p })
	switch {
	case p.From >= 0 && p.To >= 0 && hasFrom && hasTo:
		x1, x2 := d.x(d.c.hands[p.From].Lane), d.x(d.c.hands[p.To].Lane)
		d.add(paper.Shape{Kind: paper.ShapeCurve, X: x1, Y: from, X2: x2, Y2: to - 6, Paint: paint})
		d.add(paper.Shape{Kind: paper.ShapeArrow, X: x2, Y: to - 3.5, Paint: paint})
	case p.From >= 0 && p.To < 0 && hasFrom && own >= 0:
		x := d.x(d.c.hands[p.From].Lane)
		d.add(paper.Shape{Kind: paper.ShapeLine, X: x, Y: from, X2: x, Y2: rows[own].y + 3, Paint: paint})
	case p.From < 0 && p.To >= 0 && hasTo && own >= 0:
		x := d.x(d.c.hands[p.To].Lane)
		d.add(paper.Shape{Kind: paper.ShapeLine, X: x, Y: rows[own].y - 3, X2: x, Y2: to, Paint: paint})
	}
}

// hand draws the bar of a hand with a dot for each act that has a row.
func (d *drawer) hand(h *hand, cut bool) {
	from, ok := d.ys[h.first()]
	if !ok {
		return
	}
	to, whole := d.ys[h.last()]
	if !whole {
		to = d.bottom - 4
	}
	x := d.x(h.Lane)
	d.add(paper.Shape{Kind: paper.ShapeBox, X: x - 4.5, Y: from - 5, W: 9, H: to - from + 10, Paint: paper.PaintHand})
	for _, i := range h.Acts {
		y, ok := d.ys[i]
		if !ok {
			continue
		}
		paint := paper.PaintLink
		if d.c.events[i].Signer == "" {
			paint = paper.PaintBad
		}
		d.add(paper.Shape{Kind: paper.ShapeDot, X: x, Y: y, Radius: 2.5, Paint: paint})
	}
	if h.Open && whole && !cut && to+10 <= d.bottom+4 {
		d.add(paper.Shape{Kind: paper.ShapeArrow, X: x, Y: to + 10, Paint: paper.PaintHand})
	}
}

func (d *drawer) words(rows []laneRow) {
	room := int((figureWidth - d.textX) / 3.75)
	for _, r := range rows {
		y := r.y + 2.6
		if r.gap != nil {
			d.text(0, y, paper.PaintBad, true, paper.Start, 7.4, d.gapTime(r.gap))
			d.text(d.textX, y, paper.PaintBad, true, paper.Start, 7.4, shorten(d.gapWords(r.gap), room-3))
			continue
		}
		e := &d.c.events[r.event]
		when := "not recorded"
		if !e.Time.IsZero() {
			when = e.Time.UTC().Format("2 Jan 2006, 15:04")
		}
		d.text(0, y, paper.PaintSoft, false, paper.Start, 7.4, when)
		what := fmt.Sprintf("%d  %s: %s", e.Number, nameOf(e), e.Kind)
		if to := e.ToName; isGiven(e) && (to != "" || e.To != "") {
			if to == "" {
				to = e.To
			}
			what += " to " + to
		}
		if more := d.more(r.event); more > 0 {
			if with := what + fmt.Sprintf(" (after %s)", plural(int64(more), "more act")); len([]rune(with)) <= room {
				what = with
			}
		}
		paint := paper.PaintInk
		if e.Signer == "" {
			paint, what = paper.PaintBad, what+" – signature not proven"
		}
		d.text(d.textX, y, paint, false, paper.Start, 7.4, shorten(what, room))
	}
}

// more counts the acts of a hand before this one that have no row.
func (d *drawer) more(event int) int {
	for i := range d.c.hands {
		acts := d.c.hands[i].Acts
		at := slices.Index(acts, event)
		if at < 0 {
			continue
		}
		n := 0
		for at--; at >= 0; at-- {
			if _, ok := d.ys[acts[at]]; ok {
				break
			}
			n++
		}
		return n
	}
	return 0
}

func (d *drawer) gapTime(p *passage) string {
	if p.Left < 0 || p.Came < 0 {
		return "GAP"
	}
	a, b := d.c.events[p.Left].Time, d.c.events[p.Came].Time
	if a.IsZero() || b.IsZero() {
		return "GAP"
	}
	return "GAP  " + span(b.Sub(a))
}

func (d *drawer) gapWords(p *passage) string {
	switch {
	case p.Left < 0:
		return "earlier entries are missing"
	case p.Came < 0:
		return "hand-over asserted by one side only"
	case isGiven(&d.c.events[p.Left]) && d.c.events[p.Came].Kind == "received":
		return "hand-over not proven by both signatures"
	}
	return "no hand-over signed by both sides"
}

// wrap breaks a name into at most most lines of about width characters.
func wrap(s string, width, most int) []string {
	var lines []string
	rest := []rune(s)
	for len(rest) > 0 && len(lines) < most {
		if len(rest) <= width {
			return append(lines, string(rest))
		}
		cut := width
		for i := width; i > width/4; i-- {
			if rest[i] == ' ' {
				cut = i
				break
			}
		}
		if len(lines) == most-1 {
			return append(lines, shorten(string(rest), width))
		}
		lines = append(lines, string(rest[:cut]))
		for rest = rest[cut:]; len(rest) > 0 && rest[0] == ' '; {
			rest = rest[1:]
		}
	}
	return lines
}

func shorten(s string, limit int) string {
	r := []rune(s)
	if len(r) <= limit || limit < 1 {
		return s
	}
	return string(r[:limit-1]) + "…"
}

// moment is a time as it stands in a letter, always UTC.
func moment(t time.Time) string {
	if t.IsZero() {
		return "not recorded"
	}
	return t.UTC().Format("2 January 2006, 15:04:05") + " UTC"
}
