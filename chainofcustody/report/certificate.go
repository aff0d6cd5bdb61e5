package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"
)

// Form names a draft of a certificate.
type Form string

// The forms.
const (
	FRE90213 Form = "fre-902-13" // United States: records of an electronic process
	FRE90214 Form = "fre-902-14" // United States: data copied from a device
	INBSA63  Form = "in-bsa-63"  // India: electronic records
	ISO27037 Form = "iso-27037"  // elsewhere: a declaration in the standard's words
)

// Forms lists the forms that Certificate knows.
func Forms() []Form { return []Form{FRE90213, FRE90214, INBSA63, ISO27037} }

// draftBanner stands on every page of a draft.
const draftBanner = "DRAFT: counsel must review"

// Relied is an item of the exhibit that a certificate is about.
type Relied struct {
	Leaf     int64  // record number in the bundle
	LeafHash string // of the record, proven to belong to the seal
	Path     string
	Size     int64 // bytes; -1: no content
	SHA256   string
	Remark   string // what to say of it: changed while read, parts not read
}

// MaxRelied is the most items one certificate lists.
const MaxRelied = 500

// Certificate drafts a certificate on one exhibit and those items of it that
// are relied on; none leaves the list to be attached by hand. Facts are filled in from
// what was verified, and only those; qualifications, opinions and signatures
// are left blank, because a person must answer for them.
func Certificate(form Form, d Data, items ...Relied) (paper.Document, error) {
	if !slices.Contains(Forms(), form) {
		return paper.Document{}, fmt.Errorf("no form %q", form)
	}
	if len(items) > MaxRelied {
		return paper.Document{}, fmt.Errorf("%d items are more than the %d of one certificate", len(items), MaxRelied)
	}
	d = settled(sanitized(d))
	c := certificate{d: &d, items: items}
	switch form {
	case FRE90213:
		c.fre13()
	case FRE90214:
		c.fre14()
	case INBSA63:
		c.india()
	case ISO27037:
		c.iso()
	}
	c.schedule()
	return paper.Document{
		Title: "Draft certificate " + string(form) + " – exhibit " + d.Exhibit.Number + " – case " + d.Case.ID, Subject: c.title,
		Author: d.Case.Org, Created: d.Generated, Draft: draftBanner, OwnHash: true, Blocks: append(c.front(), c.blocks...),
	}, nil
}

// certificate is a draft in the making.
type certificate struct {
	d      *Data
	title  string
	rule   string // what the form answers to: citation, date, source
	items  []Relied
	number int
	blocks []paper.Block
}

func (c *certificate) add(b ...paper.Block) { c.blocks = append(c.blocks, b...) }

func (c *certificate) head(text string) {
	c.add(paper.Heading{Level: 1, Text: text})
}

// say adds a numbered paragraph.
func (c *certificate) say(parts ...any) {
	c.number++
	c.add(paper.Para{Text: paper.Join(paper.In(paper.Soft, fmt.Sprintf("%d.  ", c.number)), words(parts...))})
}

// blank is a place to write in words; mono is a value set as digits.
type (
	blankHere struct{}
	mono      string
)

func words(parts ...any) paper.Text {
	var t paper.Text
	for _, p := range parts {
		switch p := p.(type) {
		case blankHere:
			t = append(t, paper.Gap...)
		case mono:
			t = append(t, paper.Span{Text: string(p), Style: paper.Mono})
		case string:
			t = append(t, paper.Span{Text: p})
		}
	}
	return t
}

// front is what every draft begins with: what it is, and what it rests on.
func (c *certificate) front() []paper.Block {
	d := c.d
	b := []paper.Block{
		paper.Section{Left: strings.TrimSuffix(d.running(), " · Custody report") + " · Draft certificate", Right: d.Bundle.SealCode},
		paper.Title{Label: "Draft", Text: c.title, Lines: append([]string{d.under()[0]}, "Exhibit "+d.Exhibit.Number+" · facts as of "+moment(d.Generated)), QR: d.Bundle.SealCode, Name: "Seal code"},
		paper.Notice{Tone: paper.Bad, Title: draftBanner, Text: paper.T("This is not a certificate. The facts in it come from the sealed exhibit, its custody log and a check made on " + moment(d.Generated) +
			". Qualifications, opinions and signatures are left blank on purpose: only the person who signs can answer for them. Whoever signs must know each statement to be true and strike what is not.")},
		paper.Para{Kind: paper.Small, Text: paper.T("Answers to: " + c.rule)},
	}
	if d.Verdict != chainofcustody.VerdictVerified {
		b = append(b, paper.Notice{Tone: tone(d.Verdict), Title: "The check did not come out without reservation: " + string(d.Verdict), Text: paper.T(
			d.headline() + " " + d.Verdict.Sentence() + " Do not sign before the custody report of this exhibit has been read.")})
	}
	if d.Exhibit.Received != "" {
		b = append(b, paper.Notice{Tone: paper.Bad, Title: "This exhibit was received, not collected", Text: paper.T(
			"The program took it out of " + d.Exhibit.Received + ", which others made. Whatever is to be said of the device, of how it was read and of who had it until then, only they can say.")})
	}
	if n := handsOf(d.Events).gaps; n > 0 {
		b = append(b, paper.Notice{Tone: paper.Fair, Title: "Custody has " + plural(int64(n), "gap"), Text: paper.T(
			"For some time no hand-over signed by both sides shows who held the exhibit; section 3 of the custody report says when. Say so, or be ready to explain it.")})
	}
	return b
}

// facts is the card of what was verified about the exhibit.
func (c *certificate) facts() {
	d := c.d
	did := "Collected"
	if d.Exhibit.Received != "" {
		did = "Taken in"
	}
	rows := []paper.Row{
		{Key: "Exhibit", Value: paper.T(d.Exhibit.Number + " of case " + d.Case.ID)},
		{Key: "Machine it names", Value: paper.Join(paper.T(or(d.Exhibit.Host, "not recorded")+comma(d.Exhibit.OS)), hash("machine id ", d.Exhibit.MachineID))},
		{Key: did, Value: paper.T(moment(d.Exhibit.Started) + " to " + moment(d.Exhibit.Finished) + ", by " + d.clockWords() + notComplete(d))},
		{Key: did + " by", Value: paper.T(or(d.Exhibit.Examiner, "not recorded"))},
		{Key: "With the program", Value: program(d.Method.Tool)},
		{Key: "Into the file", Value: paper.Join(paper.T(or(d.Bundle.File, "none")+", "+size(d.Bundle.Size)), hash("SHA-256 ", d.Bundle.SHA256))},
		{Key: "Seal", Value: paper.Join(paper.T(or(d.Bundle.SealCode, "not sealed")+", over "+plural(d.Bundle.Records, "record")), hash("SHA-256 ", d.Bundle.SealID))},
		{Key: "Checked", Value: paper.Join(paper.T(moment(d.Generated)+", result: "), paper.Text{{Text: string(d.Verdict), Style: paper.Badge, Tone: tone(d.Verdict)}})},
		{Key: "Checked with", Value: program(d.Tool)},
	}
	if len(d.Heads) == 1 {
		rows = append(rows, paper.Row{Key: "Custody log ends at", Value: paper.In(paper.Mono, d.Heads[0])})
	}
	c.add(paper.Card{Rows: rows})
}

// clockWords says whose clock the times of the run are of.
func (d *Data) clockWords() string {
	if d.Exhibit.Received != "" {
		return "the clock of the computer on which it was taken in"
	}
	return "that machine's clock"
}

func comma(s string) string {
	if s == "" {
		return ""
	}
	return ", " + s
}

func notComplete(d *Data) string {
	if d.Exhibit.Complete {
		return ""
	}
	return "; the collection was not complete" + reason(d.Exhibit.EndReason)
}

// tool is the collecting program by name, or a place to write it.
func (c *certificate) tool() any {
	t := c.d.Method.Tool
	if t.Name == "" {
		return blankHere{}
	}
	return strings.TrimSpace(t.Name + " " + t.Version)
}

// contentsHold reports whether the check found the stored bytes of every item
// to be those of its record. Where anything else is damaged or altered, the
// records themselves may not be all there, and nothing is said of all.
func (d *Data) contentsHold() bool {
	if tone(d.Verdict) == paper.Bad {
		return false
	}
	for _, l := range d.Layers {
		if l.Subject == "bundle" && l.Name == "contents" {
			return l.Verdict == chainofcustody.VerdictVerified && !l.Note
		}
	}
	return false
}

// samePass says what hashing at collection does and does not mean.
func (c *certificate) samePass() {
	c.say("The program read each item once. The SHA-256 value of what was read and the stored copy were made in the same pass: original read and stored copy are hashed in the same pass. " +
		"No second, separate reading of the source is claimed; on a running machine it would have met another state. Items that changed while they were read, and ranges that could not be read, are marked as such in the record" +
		unread(c.d) + ".")
}

func unread(d *Data) string {
	if d.Items.Unread == 0 {
		return ""
	}
	return " (" + plural(d.Items.Unread, "byte") + " in this exhibit could not be read and are stored as zeros)"
}

// compared says what the check of the stored file showed, and no more.
func (c *certificate) compared() {
	d := c.d
	parts := []any{"On " + moment(d.Generated) + " the file was checked against its seal with the program " + strings.TrimSpace(d.Tool.Name+" "+d.Tool.Version) + ". The result was: " + string(d.Verdict) + ". " + d.Verdict.Sentence()}
	if d.contentsHold() {
		parts = append(parts, " The check computed the SHA-256 value of the stored bytes of every item anew; each equals the value recorded when the item was read. Equal SHA-256 values identify identical data.")
	} else {
		parts = append(parts, " It is not stated here that the stored bytes of every item equal what was read: the check did not show it.")
	}
	c.say(parts...)
}

// person asks for who signs, with the link to the matter left open.
func (c *certificate) person(intro string) {
	c.add(paper.Para{Text: paper.T(intro)},
		paper.Fill{Fields: []paper.Field{{Label: "Full name", Width: 50}, {Label: "Employer and position", Width: 50}}},
		paper.Fill{Fields: []paper.Field{{Label: "Training, experience and qualification for this work (left blank: to be written by the person who signs)", Width: 100, Lines: 3}}},
		paper.Fill{Fields: []paper.Field{{Label: "Own part in collecting, keeping or checking this exhibit", Width: 100, Lines: 2}}})
}

// opinion leaves room for what only a person can say.
func (c *certificate) opinion(label string) {
	c.add(paper.Fill{Fields: []paper.Field{{Label: label + " (left blank on purpose)", Width: 100, Lines: 4}}})
}

// annexes names what should go with the certificate.
func (c *certificate) annexes(more ...string) {
	c.head("To be attached")
	list := []string{
		"The custody report of exhibit " + c.d.Exhibit.Number + " (exhibit report " + c.d.Exhibit.Number + "), with the custody log and the commands that check everything with stock programs.",
	}
	if len(c.items) == 0 {
		list = append(list, "The list of the items relied on, each with its record number and SHA-256 value (exhibit certificate --item N writes it into this draft).")
	}
	c.add(points(append(list, more...)))
}

// where says where the items relied on are listed.
func (c *certificate) where() string {
	if len(c.items) == 0 {
		return "the attached list"
	}
	return "the schedule at the end"
}

// schedule lists the items relied on.
func (c *certificate) schedule() {
	if len(c.items) == 0 {
		return
	}
	t := paper.Table{Columns: []paper.Column{{Title: "Record", Width: 9, Right: true}, {Title: "Item, SHA-256 of its content, hash of its record", Width: 73}, {Title: "Bytes", Width: 18, Right: true}}}
	for _, it := range c.items {
		cell := paper.Cell{Calm: true, Text: paper.Join(paper.In(paper.Mono, visible(it.Path)), hash("content ", or(it.SHA256, "none")), hash("record  ", it.LeafHash))}
		if it.Remark != "" {
			cell.Notes = []string{visible(it.Remark)}
		}
		bytes := "–"
		if it.Size >= 0 {
			bytes = count(it.Size)
		}
		t.Rows = append(t.Rows, []paper.Cell{{Text: paper.T(fmt.Sprint(it.Leaf))}, cell, {Text: paper.T(bytes)}})
	}
	c.add(paper.Heading{Level: 1, Text: "Schedule: the items relied on", NewTop: true}, t, paper.Para{Kind: paper.Small, Text: paper.T(
		"The hash of a record covers content and metadata of the item as they were sealed; it leads to the root in the seal, which was checked for each item listed. Line n + 1 of exhibit/leaves.txt in the bundle is the hash of record n.")})
}
