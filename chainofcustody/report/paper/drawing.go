package paper

// Drawing is a picture made of simple shapes, in points from its top left
// corner. Both writers draw the same shapes.
type Drawing struct {
	Width, Height float64
	Shapes        []Shape
}

// Shape is a piece of a drawing. Which fields count depends on its kind.
type Shape struct {
	Kind   ShapeKind
	X, Y   float64
	X2, Y2 float64 // other end of a line or curve
	W, H   float64 // of a box
	Radius float64 // of a dot
	Paint  Paint
	Text   string
	Size   float64 // of text, in points
	Anchor Anchor
	Bold   bool
	Room   float64 // width a text may take; what is longer is cut
}

// ShapeKind is what a shape is.
type ShapeKind string

// The kinds of shapes.
const (
	ShapeBox   ShapeKind = "box"
	ShapeLine  ShapeKind = "line"
	ShapeCurve ShapeKind = "curve" // leaves and arrives upright
	ShapeDot   ShapeKind = "dot"
	ShapeText  ShapeKind = "text"
	ShapeArrow ShapeKind = "arrow" // a head pointing down, its tip at X, Y
)

// Paint is a role; the writers give it its colour.
type Paint string

// The paints.
const (
	PaintInk    Paint = "ink"
	PaintSoft   Paint = "soft"
	PaintRule   Paint = "rule"   // hair lines
	PaintWash   Paint = "wash"   // light background
	PaintHand   Paint = "hand"   // who holds it
	PaintLink   Paint = "link"   // a proven way from one to the next
	PaintGap    Paint = "gap"    // what is not proven, dashed
	PaintGapBox Paint = "gapbox" // background of a gap
	PaintBad    Paint = "bad"
	PaintBlack  Paint = "black"
	PaintWhite  Paint = "white"
)

// Anchor is the side of a text that stands at its X.
type Anchor string

// The anchors.
const (
	Start  Anchor = "start"
	Middle Anchor = "middle"
	End    Anchor = "end"
)

// RGB is the colour of a paint, the same on screen and paper.
func (p Paint) RGB() (r, g, b int) {
	switch p {
	case PaintSoft:
		return 0x5b, 0x64, 0x6b
	case PaintRule:
		return 0xd5, 0xd9, 0xdc
	case PaintWash:
		return 0xf6, 0xf6, 0xf3
	case PaintHand:
		return 0x8f, 0xa7, 0xb8
	case PaintLink:
		return 0x24, 0x50, 0x6f
	case PaintGap, PaintBad:
		return 0xa3, 0x26, 0x1d
	case PaintGapBox:
		return 0xf9, 0xe4, 0xe2
	case PaintBlack:
		return 0, 0, 0
	case PaintWhite:
		return 0xff, 0xff, 0xff
	}
	return 0x1d, 0x22, 0x26
}

// RGB is the colour of a tone.
func (t Tone) RGB() (r, g, b int) {
	switch t {
	case Good:
		return 0x1f, 0x6b, 0x45
	case Fair:
		return 0x8a, 0x5a, 0
	case Bad:
		return 0xa3, 0x26, 0x1d
	}
	return PaintInk.RGB()
}
