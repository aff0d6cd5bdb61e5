package report

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// Limits of a report, which stays readable whatever the case holds. What is
// left out is counted, with where the whole is.
const (
	maxFailures = 300
	maxEvents   = 400
	maxDetails  = 20 // findings of one check
	maxProblems = 10 // of one event
	maxTold     = 60 // sentences about hands
	maxInputs   = 100
	maxLines    = 200 // of other lists
	maxKeys     = 100
)

// New is the report on one exhibit, or on several of one case behind a page
// that sums them up.
func New(exhibits ...Data) (paper.Document, error) {
	if len(exhibits) == 0 {
		exhibits = []Data{{}}
	}
	doc := paper.Document{OwnHash: true, Subject: "Custody of digital evidence", Created: exhibits[0].Generated}
	var all []Data
	for _, d := range exhibits {
		digest, err := fingerprint(d)
		if err != nil {
			return doc, fmt.Errorf("write report: %w", err)
		}
		d = settled(sanitized(d))
		d.digest = digest
		all = append(all, d)
	}
	first := &all[0]
	doc.Author = first.Case.Org
	if len(all) > 1 {
		doc.Title = "Case " + first.Case.ID + " – custody report – " + plural(int64(len(all)), "exhibit")
		doc.Blocks = cover(all)
	} else {
		doc.Title = "Exhibit " + first.Exhibit.Number + " – custody report – case " + first.Case.ID
	}
	for i := range all {
		doc.Blocks = append(doc.Blocks, all[i].blocks()...)
	}
	return doc, nil
}

// fingerprint is the SHA-256 of the data as JSON: two reports with the same
// value say the same.
func fingerprint(d Data) (string, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return "", err
	}
	return evidence.Sum(text).String(), nil
}

// settled makes the verdict never better than what the report lists.
func settled(d Data) Data {
	for _, l := range d.Layers {
		d.Verdict = d.Verdict.Worse(l.Verdict)
	}
	d.Items.FailuresTotal = max(d.Items.FailuresTotal, int64(len(d.Items.Failures)))
	return d
}

// blocks is the report on one exhibit.
func (d *Data) blocks() []paper.Block {
	c := handsOf(d.Events)
	b := []paper.Block{
		paper.Section{Left: d.running(), Right: d.Bundle.SealCode},
		paper.Title{
			Label: "Custody report", Text: "Exhibit " + d.Exhibit.Number, Lines: d.under(),
			QR: d.Bundle.SealCode, Name: "Seal code",
		},
		paper.Verdict{
			Tone: tone(d.Verdict), Word: string(d.Verdict), Sentence: d.headline(),
			Meaning: d.Verdict.Sentence(), Remark: remark(c.gaps),
		},
		paper.Heading{Level: 1, Number: "1", Text: "The exhibit"},
		d.card(),
		paper.Para{Kind: paper.Caption, Text: paper.T("What was checked")},
		d.checks(),
		paper.Heading{Level: 1, Number: "2", Text: "What this proves, and what it does not"},
		paper.Pair{
			Left:  paper.Side{Title: "What this proves", Tone: paper.Good, Items: d.proves()},
			Right: paper.Side{Title: "What this does not prove", Tone: paper.Fair, Items: d.doesNotProve()},
		},
	}
	b = append(b, d.custody(c)...)
	b = append(b, d.collected()...)
	b = append(b, d.method()...)
	b = append(b, d.times()...)
	b = append(b, d.hashes()...)
	b = append(b, d.keys()...)
	b = append(b, d.check()...)
	b = append(b, d.log()...)
	return append(b, d.failures()...)
}

// running names case and exhibit in the header of each page.
func (d *Data) running() string {
	s := "Case " + d.Case.ID
	if d.Exhibit.Number != "" {
		s += " · Exhibit " + d.Exhibit.Number
	}
	return s + " · Custody report"
}

func (d *Data) under() []string {
	matter := "Case " + d.Case.ID
	if d.Case.Title != "" {
		matter += ": " + d.Case.Title
	}
	made := "Report of " + moment(d.Generated)
	if d.Case.Org != "" {
		made = d.Case.Org + " · " + made
	}
	return []string{matter, made}
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// hash is a line of hexadecimal digits below a value.
func hash(before, digits string) paper.Text {
	if digits == "" {
		return nil
	}
	return paper.Join(paper.NewLine, paper.In(paper.Mono, before+digits))
}

func (d *Data) card() paper.Card {
	x := &d.Exhibit
	machine := or(x.Host, "not recorded")
	for _, s := range []string{x.OS, x.Kernel, x.Arch} {
		if s != "" {
			machine += ", " + s
		}
	}
	collected := paper.T(moment(x.Started) + " to " + moment(x.Finished) + ", complete")
	if !x.Complete {
		collected = paper.Join(paper.T(moment(x.Started)+" to "+moment(x.Finished)+", "), paper.In(paper.Bold, "not complete"), paper.T(reason(x.EndReason)))
	}
	sealed := paper.In(paper.Bold, "not sealed")
	if d.Bundle.SealID != "" {
		sealed = paper.T(moment(d.Bundle.Sealed) + ", " + plural(d.Bundle.Records, "record"))
		if g := gradeWords(d.Bundle.Grade); g != "" {
			sealed = paper.Join(sealed, paper.NewLine, paper.In(paper.Soft, g))
		}
	}
	file := d.Bundle.File
	if d.Bundle.Encrypted {
		file += " (encrypted)"
	}
	when := "Collected"
	if x.Received != "" {
		when = "Taken in"
	}
	rows := []paper.Row{
		{Key: "What", Value: paper.T(or(capital(x.Description), "Digital evidence from one computer, in one sealed file"))},
		{Key: "From which machine", Value: paper.Join(paper.T(machine), hash("machine id ", x.MachineID))},
		{Key: when, Value: collected},
		{Key: "By whom", Value: paper.T(or(x.Examiner, "not recorded"))},
		{Key: "Authority", Value: paper.T(or(x.Authority, or(d.Case.Authority, "not recorded")))},
		{Key: "Purpose", Value: paper.T(or(d.Case.Purpose, "not recorded"))},
		{Key: "Sealed", Value: sealed},
		{Key: "File", Value: paper.Join(paper.T(or(file, "none")), paper.NewLine, paper.In(paper.Soft, size(d.Bundle.Size)))},
	}
	return paper.Card{Rows: rows}
}

// gradeWords says how the key of the run is bound to a person.
func gradeWords(grade string) string {
	switch grade {
	case "A":
		return "Grade A: an examiner's own key signed the key of the run while it was made"
	case "B":
		return "Grade B: the key of the run was certified beforehand, for one use"
	case "C":
		return "Grade C: no examiner's key was present; the seal rests on its code on paper or on a signed receipt"
	}
	return ""
}

// checks is the table of what was asked and how it came out.
func (d *Data) checks() paper.Table {
	t := paper.Table{
		Columns: []paper.Column{{Title: "Question", Width: 32}, {Title: "Answer", Width: 52}, {Title: "Result", Width: 16}},
		Empty:   "No check was made.",
	}
	for _, l := range d.Layers {
		t.Rows = append(t.Rows, []paper.Cell{
			{Text: paper.T(question(l))},
			{Text: paper.T(sentence(l.Sentence)), Notes: clip(l.Details, maxDetails), Calm: tone(l.Verdict) == paper.Good},
			{Text: paper.Text{{Text: answer(l), Style: paper.Badge, Tone: layerTone(l)}}},
		})
	}
	return t
}

// clip bounds a list of lines and says how many were left out.
func clip(lines []string, limit int) []string {
	if len(lines) <= limit {
		return lines
	}
	return append(slices.Clone(lines[:limit]), fmt.Sprintf("… and %s more", count(int64(len(lines)-limit))))
}

func points(lines []string) paper.List {
	var l paper.List
	for _, s := range clip(lines, maxLines) {
		l.Items = append(l.Items, paper.Item{Text: paper.T(s)})
	}
	return l
}

// custody is section 3: who held the exhibit.
func (d *Data) custody(c *custody) []paper.Block {
	b := []paper.Block{paper.Heading{Level: 1, Number: "3", Text: "Who held the exhibit"}}
	if len(c.hands) == 0 {
		return append(b, paper.Para{Text: paper.T("No entry of the custody log shows who held the exhibit.")})
	}
	fig, left := c.figure()
	b = append(b, fig)
	note := "Each lane is a person, from the first signed act to the last; dots are acts, lines between lanes are hand-overs. Between acts the log shows who acted last, not who was in the room."
	if left > 0 {
		note += fmt.Sprintf(" %s of the drawing are left out here; annex D and the folder custody/%s hold every entry.", plural(int64(left), "later row"), d.Exhibit.Number)
	}
	b = append(b, paper.Para{Kind: paper.Small, Text: paper.T(note)})
	story := c.story()
	var l paper.List
	for _, t := range story[:min(len(story), maxTold)] {
		item := paper.Item{Text: paper.T(t.text)}
		if t.bad {
			item.Tone = paper.Bad
		}
		l.Items = append(l.Items, item)
	}
	b = append(b, l)
	if more := len(story) - len(l.Items); more > 0 {
		b = append(b, paper.Para{Kind: paper.Small, Text: paper.T(plural(int64(more), "later sentence") + " left out here; annex D shows the entries.")})
	}
	return b
}
