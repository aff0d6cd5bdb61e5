package report

import (
	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
)

// cover is the page before the reports on several exhibits of one case: each
// with its verdict, and the gravest of them for the case.
func cover(all []Data) []paper.Block {
	first := &all[0]
	worst := chainofcustody.VerdictVerified
	t := paper.Table{Columns: []paper.Column{
		{Title: "Exhibit", Width: 11},
		{Title: "Machine", Width: 19},
		{Title: "Sealed", Width: 21},
		{Title: "Seal code", Width: 25},
		{Title: "Verdict", Width: 24},
	}}
	gaps, held := 0, 0
	for i := range all {
		d := &all[i]
		worst = worst.Worse(d.Verdict)
		if d.Verdict == chainofcustody.VerdictVerified {
			held++
		}
		cell := paper.Cell{Text: paper.Text{{Text: string(d.Verdict), Style: paper.Badge, Tone: tone(d.Verdict)}}}
		if n := handsOf(d.Events).gaps; n > 0 {
			cell.Notes = []string{plural(int64(n), "gap") + " in custody"}
			gaps += n
		}
		t.Rows = append(t.Rows, []paper.Cell{
			{Text: paper.In(paper.Bold, d.Exhibit.Number)},
			{Text: paper.T(or(d.Exhibit.Host, "not recorded"))},
			{Text: paper.T(moment(d.Bundle.Sealed))},
			{Text: paper.In(paper.Mono, or(d.Bundle.SealCode, "none"))},
			cell,
		})
	}
	said := plural(int64(held), "exhibit") + " of " + count(int64(len(all))) + " " + map[bool]string{true: "is", false: "are"}[held == 1] + " verified without reservation."
	if held == len(all) {
		said = "Nothing in any of the " + count(int64(len(all))) + " exhibits has changed since it was sealed."
	}
	remark := ""
	if gaps > 0 {
		remark = "Custody has " + plural(int64(gaps), "gap") + " in all; section 3 of each report shows where."
	}
	b := []paper.Block{
		paper.Section{Left: "Case " + first.Case.ID + " · Custody report"},
		paper.Title{Label: "Custody report", Text: "Case " + first.Case.ID, Lines: caseLines(first)},
		paper.Verdict{Tone: tone(worst), Word: string(worst), Sentence: said, Meaning: "The word above is the gravest of all exhibits. " + worst.Sentence(), Remark: remark},
		paper.Heading{Level: 1, Text: "The matter"},
		paper.Card{Rows: []paper.Row{
			{Key: "Case", Value: paper.T(first.Case.ID + colon(first.Case.Title))},
			{Key: "Run by", Value: paper.T(or(first.Case.Org, "not recorded"))},
			{Key: "Authority", Value: paper.T(or(first.Case.Authority, "not recorded"))},
			{Key: "Purpose", Value: paper.T(or(first.Case.Purpose, "not recorded"))},
			{Key: "Report", Value: paper.Join(paper.T(moment(first.Generated)+", by "), program(first.Tool))},
		}},
		paper.Heading{Level: 1, Text: "The exhibits"},
		t,
		paper.Para{Kind: paper.Small, Text: paper.T("Each exhibit has a report of its own on the pages that follow: what was checked, what it proves and does not, who held it, what was collected, and how to check it with stock programs.")},
	}
	return b
}

func caseLines(d *Data) []string {
	var lines []string
	if d.Case.Title != "" {
		lines = append(lines, d.Case.Title)
	}
	return append(lines, d.under()[1])
}

func colon(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}
