package pdf

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"codeberg.org/go-fonts/liberation/liberationmonobold"
	"codeberg.org/go-fonts/liberation/liberationmonoregular"
	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	"codeberg.org/go-fonts/liberation/liberationserifbold"
	"codeberg.org/go-fonts/liberation/liberationserifregular"
	xfont "golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
)

// The families of type.
const (
	serif = "serif"
	sans  = "sans"
	mono  = "mono"
)

// fontKey is one face.
type fontKey struct {
	family string
	bold   bool
}

// font knows which characters a face has and how wide they are.
type font struct {
	face   *sfnt.Font
	buffer sfnt.Buffer
	widths map[rune]float64 // at size 1; below 0 for a character it lacks
}

// faces are the Liberation fonts (SIL Open Font License 1.1), which may be
// embedded and passed on. Six faces are all that a paper uses.
var faces = []struct {
	key fontKey
	ttf []byte
}{
	{fontKey{serif, false}, liberationserifregular.TTF},
	{fontKey{serif, true}, liberationserifbold.TTF},
	{fontKey{sans, false}, liberationsansregular.TTF},
	{fontKey{sans, true}, liberationsansbold.TTF},
	{fontKey{mono, false}, liberationmonoregular.TTF},
	{fontKey{mono, true}, liberationmonobold.TTF},
}

func (p *press) loadFonts() error {
	for _, f := range faces {
		parsed, err := sfnt.Parse(f.ttf)
		if err != nil {
			return fmt.Errorf("font %s: %w", f.key.family, err)
		}
		p.fonts[f.key] = &font{face: parsed, widths: map[rune]float64{}}
		p.out.AddUTF8FontFromBytes(f.key.family, styleOf(f.key.bold), f.ttf)
	}
	return nil
}

func styleOf(bold bool) string {
	if bold {
		return "B"
	}
	return ""
}

// advance is the width of a character at size 1, below 0 where the face
// cannot show it.
func (f *font) advance(r rune) float64 {
	if w, ok := f.widths[r]; ok {
		return w
	}
	w := -1.0
	if i, err := f.face.GlyphIndex(&f.buffer, r); err == nil && i != 0 && showable(r) {
		const em = 1000
		if a, err := f.face.GlyphAdvance(&f.buffer, i, fixed.I(em), xfont.HintingNone); err == nil {
			w = float64(a) / 64 / em
		}
	}
	f.widths[r] = w
	return w
}

// showable leaves out what needs more than one glyph after the other:
// writing from right to left, letters that join, and what lies beyond the
// first plane. Set letter by letter it would be wrong, which is worse than an
// escape.
func showable(r rune) bool {
	return r <= 0xffff && (unicode.In(r, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Common) && !unicode.Is(unicode.M, r))
}

// shown is a string as a face can set it: what it lacks becomes an escape
// that names the character, never a blank or an empty box.
func (f *font) shown(s string) string {
	s = paper.Clean(s)
	whole := true
	for _, r := range s {
		if f.advance(r) < 0 {
			whole = false
			break
		}
	}
	if whole {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if f.advance(r) >= 0 {
			b.WriteRune(r)
		} else {
			b.WriteString(`\u{` + strconv.FormatInt(int64(r), 16) + `}`)
		}
	}
	return b.String()
}

// width of a string that shown has made, at size 1.
func (f *font) width(s string) float64 {
	w := 0.0
	for _, r := range s {
		w += max(f.advance(r), 0)
	}
	return w
}
