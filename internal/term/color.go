package term

import "os"

// Palette colours words. Colour only repeats what a word already says.
type Palette struct{ on bool }

// NewPalette decides by the conventions of no-color.org and CLICOLOR_FORCE,
// and by whether f is a terminal.
func NewPalette(f *os.File) Palette {
	if os.Getenv("NO_COLOR") != "" {
		return Palette{}
	}
	if v := os.Getenv("CLICOLOR_FORCE"); v != "" && v != "0" {
		return Palette{true}
	}
	return Palette{IsTerminal(f)}
}

func (p Palette) paint(code, s string) string {
	if !p.on {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Good marks what holds.
func (p Palette) Good(s string) string { return p.paint("32", s) }

// Warn marks what holds with reservations.
func (p Palette) Warn(s string) string { return p.paint("33", s) }

// Bad marks what does not hold.
func (p Palette) Bad(s string) string { return p.paint("31;1", s) }

// Dim marks what is secondary.
func (p Palette) Dim(s string) string { return p.paint("2", s) }

// Bold marks headings.
func (p Palette) Bold(s string) string { return p.paint("1", s) }
