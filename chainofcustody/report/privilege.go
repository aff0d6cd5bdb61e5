package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
)

// Withheld is an item that is kept back, with what may be told of it.
type Withheld struct {
	Leaf        int64  // record number in the bundle
	LeafHash    string // of the record, proven to belong to the seal
	Kind        string
	Path        string // "" where the name itself is withheld
	Size        int64  // -1: does not apply
	Modified    time.Time
	Basis       string // the privilege or rule
	Author      string
	Date        string
	Description string // by counsel
}

// MaxWithheld is the most items one privilege log takes; counsel splits a
// longer one.
const MaxWithheld = 2000

// PrivilegeLog lists items that are withheld: that they exist, what may be
// told of them and on what basis they are kept back, without their content.
// The content's own hash is not printed: who has a guess could try it.
func PrivilegeLog(d Data, items []Withheld) (paper.Document, error) {
	if len(items) > MaxWithheld {
		return paper.Document{}, fmt.Errorf("%d items are more than the %d of one log", len(items), MaxWithheld)
	}
	d = settled(sanitized(d))
	t := paper.Table{
		Columns: []paper.Column{{Title: "No.", Width: 5, Right: true}, {Title: "Item", Width: 43}, {Title: "Author, date", Width: 17}, {Title: "Description and basis", Width: 35}},
		Empty:   "No item is withheld.",
	}
	example := int64(0)
	for i, it := range items {
		name := paper.In(paper.Soft, "name withheld")
		if it.Path != "" {
			name = paper.In(paper.Mono, visible(it.Path))
		}
		facts := visible(it.Kind)
		if it.Size >= 0 {
			facts += ", " + plural(it.Size, "byte")
		}
		if !it.Modified.IsZero() {
			facts += ", changed " + moment(it.Modified)
		}
		who := paper.T(or(visible(it.Author), "not stated"))
		if it.Date != "" {
			who = paper.Join(who, paper.NewLine, paper.T(visible(it.Date)))
		}
		why := paper.In(paper.Bold, or(visible(it.Basis), "not stated"))
		if it.Description != "" {
			why = paper.Join(paper.T(visible(it.Description)), paper.NewLine, why)
		}
		t.Rows = append(t.Rows, []paper.Cell{
			{Text: paper.T(fmt.Sprint(i + 1))},
			{Text: paper.Join(paper.T(fmt.Sprintf("Record %d", it.Leaf)), paper.NewLine, name, paper.NewLine, paper.In(paper.Soft, facts), paper.NewLine, paper.In(paper.Mono, it.LeafHash))},
			{Text: who},
			{Text: why},
		})
		if i == 0 {
			example = it.Leaf
		}
	}
	b := []paper.Block{
		paper.Section{Left: strings.TrimSuffix(d.running(), "Custody report") + "Privilege log", Right: d.Bundle.SealCode},
		paper.Title{Label: "Privilege log", Text: "Exhibit " + d.Exhibit.Number, Lines: d.under(), QR: d.Bundle.SealCode, Name: "Seal code"},
		paper.Notice{Tone: paper.Bad, Title: draftBanner, Text: paper.T("Basis, author, date and description are as counsel gave them; the programs cannot judge them. Read the column of names before this log leaves the house: a name can give away what it names.")},
		paper.Heading{Level: 1, Number: "1", Text: plural(int64(len(items)), "item") + " withheld"},
		paper.Para{Text: paper.T("Each line shows that an item exists in the sealed exhibit and is kept back. The 64 digits are the hash of its record. They are salted: nobody can learn the content from them or try a guess against them, and nobody can later put another item in its place.")},
		t,
		paper.Heading{Level: 1, Number: "2", Text: "What is proven of them"},
		paper.Para{Text: paper.T(provenWords(&d))},
		paper.Card{Rows: []paper.Row{
			{Key: "Seal id", Value: paper.In(paper.Mono, or(d.Bundle.SealID, "none"))},
			{Key: "Root in the seal", Value: paper.In(paper.Mono, or(d.Bundle.Root, "none"))},
			{Key: "Verdict", Value: paper.Join(paper.Text{{Text: string(d.Verdict), Style: paper.Badge, Tone: tone(d.Verdict)}}, paper.T("  "+d.Verdict.Sentence()))},
		}},
		paper.Heading{Level: 1, Number: "3", Text: "How to check it"},
		paper.Steps{Items: []paper.Step{
			{
				Title:    "For whoever holds the bundle: the record stands where the log says",
				Text:     "After unpacking it (annex C of the custody report). Line n + 1 of leaves.txt is the hash of record n; verify.py recomputes the root from these lines.",
				Commands: fmt.Sprintf("sed -n '%dp' check/exhibit/leaves.txt", example+1),
				Expect:   firstLeaf(items),
			},
			{
				Title:    "For whoever does not: ask for the proof",
				Text:     "The holder can show for each record the list of neighbouring hashes that leads from it to the root in the seal, without showing any other record. docs/format/bundle.md says how it is computed.",
				Commands: "sha256sum seal.txt",
				Expect:   or(d.Bundle.SealID, "none"),
			},
		}},
		paper.Sign{Fields: []string{"Counsel who asserts the privilege (blank: not signed)", "Date and place"}},
	}
	return paper.Document{
		Title: "Privilege log – exhibit " + d.Exhibit.Number + " – case " + d.Case.ID, Subject: "Items withheld", Author: d.Case.Org,
		Created: d.Generated, Draft: draftBanner, OwnHash: true, Blocks: b,
	}, nil
}

func provenWords(d *Data) string {
	switch tone(d.Verdict) {
	case paper.Good, paper.Fair:
		return "For every item listed the record was found in the exhibit, and its hash leads to the root that was sealed. The exhibit as a whole was checked with the verdict below."
	}
	return "For every item listed the record was found in the exhibit, and its hash leads to the root in the seal. The exhibit as a whole did not pass its check, see the verdict below."
}

func firstLeaf(items []Withheld) string {
	if len(items) == 0 {
		return "(no item)"
	}
	return items[0].LeafHash
}
