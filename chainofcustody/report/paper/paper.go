// Package paper is the one model of the documents made for people: reports,
// certificates, forms. A Document is a list of blocks; the packages below it
// write the same blocks as HTML and as PDF. Blocks hold words and numbers
// that were checked elsewhere; nothing here reads evidence.
//
// Text may be hostile: both writers pass every string through Clean.
package paper

import (
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/internal/term"
)

// Document is one paper.
type Document struct {
	Title   string // names the file in a viewer's window
	Subject string
	Author  string
	Created time.Time
	Draft   string // warning on every page; "" for what is no draft
	// OwnHash makes the HTML form carry the SHA-256 of its own bytes.
	OwnHash bool
	// Tight sets smaller type and gaps: forms that must fit one page.
	Tight  bool
	Blocks []Block
}

// Block is one piece of a document.
type Block interface{ block() }

// Section starts a new page whose header, and that of the pages after it,
// names what they belong to.
type Section struct {
	Left  string // for example case and exhibit number
	Right string // for example the seal code
}

// Title is the head of a paper or of a section.
type Title struct {
	Label string // small, above: what kind of paper it is
	Text  string
	Lines []string // below
	QR    string   // drawn at the right, with the same text below; "" for none
	Name  string   // what the QR code is
}

// Heading opens a part. Level 1 has a number or letter, level 2 has none.
type Heading struct {
	Level  int
	Number string
	Text   string
	NewTop bool // begins a page in print
}

// Verdict is the outcome, in colour and in words.
type Verdict struct {
	Tone     Tone
	Word     string
	Sentence string
	Meaning  string
	Remark   string
}

// Para is a paragraph.
type Para struct {
	Text Text
	Kind Kind
}

// Kind is how a paragraph is set.
type Kind string

// The kinds of paragraphs.
const (
	Body    Kind = ""
	Small   Kind = "small"
	Caption Kind = "caption" // above a table or list; stays with it
)

// List is a list of points.
type List struct {
	Items   []Item
	Ordered bool
}

// Item is a point of a list.
type Item struct {
	Text Text
	Tone Tone
}

// Card is a list of keys and values.
type Card struct{ Rows []Row }

// Row is one line of a card.
type Row struct {
	Key   string
	Value Text
}

// Table has a header that is repeated on each page.
type Table struct {
	Columns []Column
	Rows    [][]Cell
	Empty   string // stands where there is no row
}

// Column is a column of a table.
type Column struct {
	Title string
	Width int // percent of the whole; the columns' sum is 100
	Right bool
}

// Cell is one field of a table: text and, below it, findings.
type Cell struct {
	Text  Text
	Notes []string
	Calm  bool // the notes are remarks, not faults
}

// Pair is two lists side by side.
type Pair struct{ Left, Right Side }

// Side is one list of a pair.
type Side struct {
	Title string
	Tone  Tone
	Items []string
}

// Steps are things to do, one after the other.
type Steps struct{ Items []Step }

// Step is one thing to do at a command line.
type Step struct{ Title, Text, Commands, Expect string }

// Figure is a drawing.
type Figure struct {
	Drawing
	Alt string // what it shows, in words
}

// Notice is a framed paragraph.
type Notice struct {
	Tone  Tone
	Title string
	Text  Text
}

// Sign is a row of lines to sign on.
type Sign struct{ Fields []string }

// Fill is a row of fields to be filled in by hand, or filled already.
type Fill struct{ Fields []Field }

// Field is one field of a form.
type Field struct {
	Label string
	Value string
	Width int // percent of the row
	Lines int // height in lines of writing; 0 is 1
}

// Tick is a row of boxes to tick.
type Tick struct {
	Label   string
	Options []string
	Ticked  []string
}

// Boxes is a row of groups of boxes for one character each.
type Boxes struct {
	Label  string
	Groups int
	Each   int
	Value  string // written into the boxes, "-" left out
}

// Break starts a new page.
type Break struct{}

func (Section) block() {}
func (Title) block()   {}
func (Heading) block() {}
func (Verdict) block() {}
func (Para) block()    {}
func (List) block()    {}
func (Card) block()    {}
func (Table) block()   {}
func (Pair) block()    {}
func (Steps) block()   {}
func (Figure) block()  {}
func (Notice) block()  {}
func (Sign) block()    {}
func (Fill) block()    {}
func (Tick) block()    {}
func (Boxes) block()   {}
func (Break) block()   {}

// Tone is what a colour means; the word stands beside it always.
type Tone string

// The tones.
const (
	Plain Tone = ""
	Good  Tone = "good"
	Fair  Tone = "fair"
	Bad   Tone = "bad"
)

// Text is a run of differently set words.
type Text []Span

// Span is words set alike.
type Span struct {
	Text  string
	Style Style
	Tone  Tone
}

// Style is how a span is set.
type Style string

// The styles of spans.
const (
	Normal Style = ""
	Bold   Style = "bold"
	Mono   Style = "mono"  // hashes, paths
	Soft   Style = "soft"  // secondary
	Badge  Style = "badge" // an answer in one word
	Line   Style = "line"  // a new line; Text is ignored
	Blank  Style = "blank" // a place to write; Text is ignored
)

// T is plain text.
func T(s string) Text { return Text{{Text: s}} }

// In is text in one style.
func In(style Style, s string) Text { return Text{{Text: s, Style: style}} }

// Join strings texts together.
func Join(parts ...Text) Text {
	var all Text
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// NewLine ends a line; Gap is a place to write into.
var (
	NewLine = Text{{Style: Line}}
	Gap     = Text{{Style: Blank}}
)

// String is the text without its styles.
func (t Text) String() string {
	var b strings.Builder
	for _, s := range t {
		switch s.Style {
		case Line:
			b.WriteByte('\n')
		case Blank:
			b.WriteString("____")
		default:
			b.WriteString(s.Text)
		}
	}
	return b.String()
}

// Clean makes a string harmless: controls, direction marks and bytes that are
// no UTF-8 become visible escapes. What is clean already stays as it is.
func Clean(s string) string { return term.Escape(s) }

// PlainLetters keeps of s what can stand anywhere, also inside a style sheet.
func PlainLetters(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("-_. ,:·–", r) {
			return r
		}
		return -1
	}, s)
	if r := []rune(s); len(r) > limit {
		return string(r[:limit])
	}
	return s
}
