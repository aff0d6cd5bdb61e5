package html

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// hostile is written into every text of every block.
const hostile = "<script>\x1b\u202e\"'&\xff</style>"

// everyBlock holds each block with the same text wherever it takes one.
func everyBlock(s string) paper.Document {
	text := paper.Join(paper.T(s), paper.In(paper.Bold, s), paper.In(paper.Mono, s), paper.In(paper.Soft, s), paper.In(paper.Badge, s), paper.NewLine, paper.Gap)
	return paper.Document{
		Title: s, Subject: s, Author: s, Draft: s, OwnHash: true, Tight: true,
		Blocks: []paper.Block{
			paper.Section{Left: s, Right: s},
			paper.Title{Label: s, Text: s, Lines: []string{s}, QR: s, Name: s},
			paper.Heading{Level: 1, Number: s, Text: s},
			paper.Heading{Level: 2, Text: s, NewTop: true},
			paper.Verdict{Tone: paper.Bad, Word: s, Sentence: s, Meaning: s, Remark: s},
			paper.Para{Text: text},
			paper.Para{Text: text, Kind: paper.Small},
			paper.Para{Text: text, Kind: paper.Caption},
			paper.List{Items: []paper.Item{{Text: text}}, Ordered: true},
			paper.Card{Rows: []paper.Row{{Key: s, Value: text}}},
			paper.Table{Columns: []paper.Column{{Title: s, Width: 100, Right: true}}, Rows: [][]paper.Cell{{{Text: text, Notes: []string{s}}}}},
			paper.Table{Columns: []paper.Column{{Title: s, Width: 100}}, Empty: s},
			paper.Pair{Left: paper.Side{Title: s, Items: []string{s}}, Right: paper.Side{Title: s}},
			paper.Steps{Items: []paper.Step{{Title: s, Text: s, Commands: s, Expect: s}}},
			paper.Figure{Drawing: paper.Drawing{Width: 1, Height: 1, Shapes: []paper.Shape{{Kind: paper.ShapeText, Text: s}}}, Alt: s},
			paper.Notice{Tone: paper.Fair, Title: s, Text: text},
			paper.Sign{Fields: []string{s}},
			paper.Fill{Fields: []paper.Field{{Label: s, Value: s, Width: 50}}},
			paper.Tick{Label: s, Options: []string{s}, Ticked: []string{s}},
			paper.Boxes{Label: s, Groups: 1, Each: 5, Value: s},
			paper.Break{},
			paper.Section{Left: s},
		},
	}
}

func rendered(t *testing.T, d paper.Document) string {
	t.Helper()
	var b bytes.Buffer
	if err := Render(&b, d); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestEveryBlockKeepsHostileTextInert(t *testing.T) {
	plain, bad := rendered(t, everyBlock("x")), rendered(t, everyBlock(hostile))
	if a, b := strings.Count(plain, "<"), strings.Count(bad, "<"); b > a {
		t.Errorf("hostile text brings %d marks of markup, plain text %d", b, a)
	}
	for _, banned := range []string{"<script", "\x1b", "\u202e", "\xff"} {
		if strings.Contains(bad, banned) {
			t.Errorf("the page holds %q", banned)
		}
	}
	if strings.Count(bad, "</style>") != 1 {
		t.Error("text ends the style sheet")
	}
}

func TestDocumentPrintsTheCommandsThatAreTested(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs/papers.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), OwnHashCommands) {
		t.Error("docs/papers.md prints other commands")
	}
}

func TestUnknownBlockIsNoSilence(t *testing.T) {
	type stranger struct{ paper.Block }
	defer func() {
		if recover() == nil {
			t.Error("a block that the writer does not know was left out silently")
		}
	}()
	rendered(t, paper.Document{Blocks: []paper.Block{stranger{}}})
}
