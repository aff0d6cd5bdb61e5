package report

import (
	"fmt"
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
)

// collected is section 4: what was obtained and what was not.
func (d *Data) collected() []paper.Block {
	taken := paper.Table{
		Columns: []paper.Column{{Title: "Obtained", Width: 60}, {Title: "Items", Width: 16, Right: true}, {Title: "Bytes", Width: 24, Right: true}},
		Empty:   "nothing",
	}
	missed := paper.Table{
		Columns: []paper.Column{{Title: "Looked for and not obtained, or not in full", Width: 84}, {Title: "Items", Width: 16, Right: true}},
		Empty:   "nothing",
	}
	for _, n := range d.Items.Counts {
		if !n.Taken {
			missed.Rows = append(missed.Rows, []paper.Cell{{Text: paper.T(n.Label)}, {Text: paper.T(count(n.Items))}})
			continue
		}
		bytes := "–"
		if n.Bytes >= 0 {
			bytes = count(n.Bytes)
		}
		taken.Rows = append(taken.Rows, []paper.Cell{{Text: paper.T(n.Label)}, {Text: paper.T(count(n.Items))}, {Text: paper.T(bytes)}})
	}
	if d.Items.Unread > 0 {
		missed.Rows = append(missed.Rows, []paper.Cell{
			{Text: paper.T("bytes that could not be read inside files that were taken (stored as zeros and marked)")}, {Text: paper.T(count(d.Items.Unread))},
		})
	}
	b := []paper.Block{paper.Heading{Level: 1, Number: "4", Text: "What was collected, and what was not"}, taken, missed}
	if d.Items.FailuresTotal > 0 {
		b = append(b, paper.Para{Kind: paper.Small, Text: paper.T("What was refused, could not be read or was left out is listed in annex E. Each such look is a signed record of the exhibit, as much as a file is.")})
	}
	if t := d.Timeline; t != nil {
		b = append(b, paper.Heading{Level: 2, Text: "Timeline"}, paper.Para{Text: paper.T(t.words())})
		if s := t.sources(); s != "" {
			b = append(b, paper.Para{Kind: paper.Small, Text: paper.T("Events by source: " + s + ".")})
		}
	}
	return append(b, d.Why.blocks()...)
}

func (t *Timeline) words() string {
	s := plural(t.Events, "event") + " were read from the evidence of this case, from " + moment(t.First) + " to " + moment(t.Last)
	if t.Undated > 0 {
		s += "; " + count(t.Undated) + " carry no usable time and are kept as undated"
	}
	if t.Problems > 0 {
		s += "; " + plural(t.Problems, "passage") + " could not be read"
	}
	return s + ". Each event names the file and the bytes it was read from."
}

func (t *Timeline) sources() string {
	var parts []string
	for _, s := range t.Sources[:min(len(t.Sources), maxLines)] {
		parts = append(parts, s.Label+" "+count(s.Items))
	}
	return strings.Join(parts, "; ")
}

func (w *Why) blocks() []paper.Block {
	if w == nil {
		return nil
	}
	b := []paper.Block{
		paper.Heading{Level: 2, Text: "Analysis: " + w.Question},
		paper.Para{Kind: paper.Small, Text: paper.T("What follows is inference by rule from the events, not a record. It is open to other explanations.")},
	}
	if w.Entry != "" {
		b = append(b, paper.Para{Text: paper.Join(paper.In(paper.Bold, "Entry point ranked first: "), paper.T(w.Entry))})
	}
	told := points(w.Sentences)
	told.Ordered = true
	b = append(b, told)
	for _, part := range []struct {
		title string
		lines []string
	}{{"Ranked lower", w.Others}, {"Assumed", w.Assumption}} {
		if len(part.lines) > 0 {
			b = append(b, paper.Para{Kind: paper.Caption, Text: paper.T(part.title)}, points(part.lines))
		}
	}
	return b
}

// program names a program with its hash.
func program(t Tool) paper.Text {
	if t.Name == "" {
		return paper.T("not recorded")
	}
	return paper.Join(paper.T(strings.TrimSpace(t.Name+" "+t.Version)), hash("SHA-256 ", t.SHA256))
}

// method is section 5: how it was collected, and what that did to the source.
func (d *Data) method() []paper.Block {
	m := &d.Method
	card := paper.Card{}
	if m.Profile != "" {
		card.Rows = append(card.Rows, paper.Row{Key: "Profile", Value: paper.T(m.Profile)})
	}
	if m.Command != "" {
		card.Rows = append(card.Rows, paper.Row{Key: "Command", Value: paper.In(paper.Mono, m.Command)})
	}
	title, by := "How it was collected", "Collected by program"
	if d.Exhibit.Received != "" {
		title, by = "How it was taken in", "Taken in by program"
	}
	card.Rows = append(card.Rows,
		paper.Row{Key: by, Value: program(m.Tool)},
		paper.Row{Key: "Checked by program", Value: program(d.Tool)})
	b := []paper.Block{
		paper.Heading{Level: 1, Number: "5", Text: title},
		paper.Para{Text: paper.T("Each file is read once. Its SHA-256 is computed in the same pass in which it is stored; on a running machine a second reading would find another state, and none is claimed.")},
		card,
	}
	if len(m.Collectors) > 0 {
		t := paper.Table{Columns: []paper.Column{{Title: "Step", Width: 21}, {Title: "What it reads", Width: 45}, {Title: "Outcome", Width: 23}, {Title: "Items", Width: 11, Right: true}}}
		for _, k := range m.Collectors[:min(len(m.Collectors), maxLines)] {
			t.Rows = append(t.Rows, []paper.Cell{{Text: paper.T(k.Name)}, {Text: paper.T(k.Doc)}, {Text: paper.T(k.Outcome)}, {Text: paper.T(count(k.Items))}})
		}
		b = append(b, paper.Para{Kind: paper.Caption, Text: paper.T("Steps, in the order they ran")}, t)
	}
	b = append(b, paper.Heading{Level: 2, Text: "Effects on the machine"})
	if d.Exhibit.Received != "" {
		return append(b, paper.Para{Text: paper.T("It was received: what collecting it did to the machine is not known.")})
	}
	if len(m.Effects) == 0 {
		return append(b, paper.Para{Text: paper.T("None were recorded. Running any program changes a running machine (memory, process lists, caches); those changes are not itemised.")})
	}
	return append(b, points(m.Effects))
}

// times is section 6: how far clocks can be trusted.
func (d *Data) times() []paper.Block {
	k := &d.Clock
	first := paper.T("Times inside the exhibit come from the collected machine's clock")
	add := func(style paper.Style, s string) { first = append(first, paper.Span{Text: s, Style: style}) }
	if !k.Wall.IsZero() {
		add(paper.Normal, ", which read "+moment(k.Wall)+" when collection began")
	}
	if k.Zone != "" {
		add(paper.Normal, " (local zone "+k.Zone+")")
	}
	switch k.Synced {
	case "yes":
		add(paper.Normal, ". The machine's kernel stated that its clock was synchronised.")
	case "no":
		add(paper.Normal, ". The machine's kernel stated that its clock was ")
		add(paper.Bold, "not")
		add(paper.Normal, " synchronised.")
	default:
		add(paper.Normal, ". Whether it was synchronised is not known.")
	}
	switch {
	case k.Offset != "":
		add(paper.Normal, " Measured against a reference it was off by "+k.Offset+".")
	case d.Exhibit.Received != "":
		add(paper.Normal, " Whether it was measured against a reference clock is not known.")
	default:
		add(paper.Normal, " It was not measured against a reference clock.")
	}
	second := "The order of custody events rests on the links between them, not on clocks. "
	if outside := d.outsideTime(); outside != "" {
		second += outside + " Exact times rest on the computers' own clocks."
	} else {
		second += "The time of sealing and of each event rests on the computers' own clocks; there is no independent proof of them."
	}
	return []paper.Block{
		paper.Heading{Level: 1, Number: "6", Text: "How far the times can be trusted"},
		paper.Para{Text: first},
		paper.Para{Text: paper.T(second)},
	}
}

// hashes is annex A.
func (d *Data) hashes() []paper.Block {
	t := paper.Table{Columns: []paper.Column{{Title: "What", Width: 36}, {Title: "SHA-256", Width: 64}}}
	row := func(what, digits string, bold bool) {
		style, value := paper.Normal, paper.Text{{Text: digits, Style: paper.Mono}}
		if bold {
			style = paper.Bold
		}
		t.Rows = append(t.Rows, []paper.Cell{{Text: paper.In(style, what)}, {Text: value}})
	}
	row("Bundle file", or(d.Bundle.SHA256, "not computed"), false)
	if d.Bundle.SealID != "" {
		row("Seal id (exhibit/seal.txt)", d.Bundle.SealID, false)
	}
	if d.Bundle.Root != "" {
		row("Merkle root in the seal", d.Bundle.Root, false)
	}
	for _, h := range d.Heads[:min(len(d.Heads), maxKeys)] {
		row("Last entry of the custody log", h, true)
	}
	if d.Timeline != nil && d.Timeline.SHA256 != "" {
		row("Timeline manifest", d.Timeline.SHA256, false)
	}
	b := []paper.Block{
		paper.Heading{Level: 1, Number: "A", Text: "Annex: hashes", NewTop: true},
		t,
		paper.Para{Kind: paper.Small, Text: paper.T("Keep a copy of the last entry's hash apart from the case folder: with it, anybody can tell that nothing was cut from the end of the log.")},
	}
	if len(d.Inputs) > 0 {
		in := paper.Table{Columns: []paper.Column{{Title: "File this report was made from", Width: 36}, {Title: "SHA-256", Width: 64}}}
		for _, f := range d.Inputs[:min(len(d.Inputs), maxInputs)] {
			in.Rows = append(in.Rows, []paper.Cell{
				{Text: paper.Join(paper.T(f.Name), paper.NewLine, paper.In(paper.Soft, plural(f.Size, "byte")))}, {Text: paper.In(paper.Mono, f.SHA256)},
			})
		}
		b = append(b, in)
	}
	return append(b, paper.Para{Kind: paper.Small, Text: paper.Join(
		paper.T("This report states what its inputs say; it adds nothing to them. SHA-256 of the data in it (two reports with the same value say the same): "), paper.In(paper.Mono, d.digest))})
}

// keys is annex B.
func (d *Data) keys() []paper.Block {
	t := paper.Table{
		Columns: []paper.Column{{Title: "Who", Width: 42}, {Title: "Fingerprint", Width: 58}}, Empty: "No key was used.",
	}
	row := func(who, key string) {
		t.Rows = append(t.Rows, []paper.Cell{{Text: paper.T(who)}, {Text: paper.In(paper.Mono, or(key, "not recorded"))}})
	}
	if d.Bundle.Fingerprint != "" {
		grade := ""
		if d.Bundle.Grade != "" {
			grade = " (grade " + d.Bundle.Grade + ")"
		}
		row("Collector, key of this run"+grade, d.Bundle.Fingerprint)
	}
	keys := keysOf(d.Events)
	for _, k := range keys[:min(len(keys), maxKeys)] {
		row(k.who, k.key)
	}
	return []paper.Block{
		paper.Heading{Level: 1, Number: "B", Text: "Annex: keys"},
		t,
		paper.Para{Kind: paper.Small, Text: paper.T("A fingerprint links a signature to a key, not to a human being. Compare it with the fingerprint that person put on paper.")},
	}
}

// keyLine is a person and a key they signed with.
type keyLine struct{ who, key string }

func keysOf(events []Event) []keyLine {
	var keys []keyLine
	seen := map[keyLine]bool{}
	for i := range events {
		k := keyLine{nameOf(&events[i]) + " <" + events[i].ActorID + ">", events[i].Key}
		if events[i].Signer == "" {
			k.who += ", signature not proven"
		}
		if !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	return keys
}

// check is annex C.
func (d *Data) check() []paper.Block {
	b := []paper.Block{
		paper.Heading{Level: 1, Number: "C", Text: "How to check this yourself", NewTop: true},
		paper.Para{Text: paper.T("None of our programs is needed: sha256sum, ssh-keygen (OpenSSH 8.9 or later), openssl 3, zstd and tar come with every Linux system and can be had for others. Run the commands in the case folder, one after the other. On paper, a command too long for the page goes on in the line below it.")},
	}
	var s paper.Steps
	for _, r := range d.recipe() {
		s.Items = append(s.Items, paper.Step(r))
	}
	if len(s.Items) == 0 {
		return append(b, paper.Para{Text: paper.T("There is no file and no event to check.")})
	}
	return append(b, s)
}

// log is annex D: the custody log, entry by entry.
func (d *Data) log() []paper.Block {
	t := paper.Table{
		Columns: []paper.Column{{Title: "No.", Width: 6, Right: true}, {Title: "When", Width: 17}, {Title: "What happened, and SHA-256 of the entry", Width: 62}, {Title: "Signed by", Width: 15}},
		Empty:   "The custody log holds no readable entry.",
	}
	for i := range d.Events[:min(len(d.Events), maxEvents)] {
		e := &d.Events[i]
		when := paper.T(moment(e.Time))
		if day, clock, ok := strings.Cut(moment(e.Time), ", "); ok {
			when = paper.Join(paper.T(day), paper.NewLine, paper.T(clock))
		}
		if e.Zone != "" {
			when = paper.Join(when, paper.NewLine, paper.In(paper.Soft, "local zone "+e.Zone))
		}
		if !e.Proven.IsZero() {
			when = paper.Join(when, paper.NewLine, paper.In(paper.Soft, "existed by "+moment(e.Proven)+", "+e.ProvenBy))
		}
		signer := paper.T(e.Signer)
		if e.Signer == "" {
			signer = paper.Text{{Text: "not proven", Style: paper.Badge, Tone: paper.Bad}}
		}
		t.Rows = append(t.Rows, []paper.Cell{
			{Text: paper.T(fmt.Sprint(e.Number))},
			{Text: when},
			{Text: paper.Join(paper.T(e.Sentence), hash("", e.SHA256)), Notes: clip(e.Problems, maxProblems)},
			{Text: signer},
		})
	}
	b := []paper.Block{paper.Heading{Level: 1, Number: "D", Text: "Annex: the custody log", NewTop: true}, t}
	if left := len(d.Events) - maxEvents; left > 0 {
		b = append(b, paper.Para{Kind: paper.Small, Text: paper.T(plural(int64(left), "later entry") + " left out here. The folder custody/" + d.Exhibit.Number + " of the case holds every entry as a file of its own.")})
	}
	return b
}

// failures is annex E: what was looked for and not obtained.
func (d *Data) failures() []paper.Block {
	b := []paper.Block{paper.Heading{Level: 1, Number: "E", Text: "Annex: items not obtained"}}
	if d.Items.FailuresTotal == 0 {
		return append(b, paper.Para{Text: paper.T("No look was refused, failed or left out.")})
	}
	t := paper.Table{Columns: []paper.Column{{Title: "Outcome", Width: 13}, {Title: "Where", Width: 55}, {Title: "Reason", Width: 32}}}
	for _, f := range d.Items.Failures[:min(len(d.Items.Failures), maxFailures)] {
		t.Rows = append(t.Rows, []paper.Cell{{Text: paper.T(f.Kind)}, {Text: paper.In(paper.Mono, f.Path)}, {Text: paper.T(f.Reason)}})
	}
	b = append(b, t)
	shown, total := int64(len(t.Rows)), d.Items.FailuresTotal
	note := "All " + count(total) + " are shown."
	if shown < total {
		note = "Showing " + count(shown) + " of " + count(total) + "; the other " + count(total-shown) + " are in the bundle's manifest, one line each. After step 2 of annex C this lists all of them: "
		return append(b, paper.Para{Kind: paper.Small, Text: paper.Join(paper.T(note), paper.In(paper.Mono, FailuresCommand))})
	}
	return append(b, paper.Para{Kind: paper.Small, Text: paper.T(note)})
}

// FailuresCommand lists the records of what was not obtained, in an unpacked
// bundle.
const FailuresCommand = `grep -hE '"k":"(denied|error|skipped)"' check/exhibit/manifest/*`
