package paper

import "rsc.io/qr"

// QR draws a text as a QR code of one unit per module, with its quiet zone.
// It is empty where the text does not fit.
func QR(text string) Drawing {
	if text == "" {
		return Drawing{}
	}
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return Drawing{}
	}
	const quiet = 2
	side := float64(code.Size + 2*quiet)
	d := Drawing{Width: side, Height: side, Shapes: []Shape{{Kind: ShapeBox, W: side, H: side, Paint: PaintWhite}}}
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			run := 0
			for code.Black(x+run, y) {
				run++
			}
			if run > 0 {
				d.Shapes = append(d.Shapes, Shape{Kind: ShapeBox, X: float64(x + quiet), Y: float64(y + quiet), W: float64(run), H: 1, Paint: PaintBlack})
				x += run
			}
		}
	}
	return d
}
