package report

import "github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"

// india drafts the certificate of section 63(4), in its two parts.
func (c *certificate) india() {
	d := c.d
	c.title = "Certificate for an electronic record (India)"
	c.rule = "Bharatiya Sakshya Adhiniyam, 2023 (Act 47 of 2023), section 63(4) with the Schedule, Part A (by the party) and Part B (by the expert); in force since 1 July 2024 (source: Gazette of India; look for later amendments and for the wording of the Schedule, which prevails)."
	c.head("Part A: to be filled in by the party")
	c.add(paper.Para{Kind: paper.Small, Text: paper.T("For the person in charge of the computer or communication device, or of the activities it serves. The programs know nothing of lawful control and regular use: these stay blank.")},
		paper.Fill{Fields: []paper.Field{{Label: "Name", Width: 40}, {Label: "Son, daughter or spouse of", Width: 30}, {Label: "Residing or employed at", Width: 30}}},
		paper.Tick{Label: "Source of the record", Options: []string{"computer", "server", "storage medium", "mobile", "flash drive", "DVR", "cloud", "other"}},
		paper.Fill{Fields: []paper.Field{{Label: "Make and model", Width: 40}, {Label: "Colour", Width: 20}, {Label: "Serial number", Width: 40}}},
		paper.Fill{Fields: []paper.Field{{Label: "IMEI, UIN, UID, MAC or cloud id", Width: 50}, {Label: "Name of the machine and machine id, as the exhibit states them", Value: or(d.Exhibit.Host, "not recorded") + comma(d.Exhibit.MachineID), Width: 50, Lines: 2}}})
	c.say("Lawful control: during the period concerned the device was under the control of ", blankHere{}, " and was used regularly for ", blankHere{})
	c.say("Information of this kind was fed into it in the ordinary course of those activities: ", blankHere{})
	c.say("The device worked properly throughout, or, where it did not, that did not touch the record or its accuracy: ", blankHere{})
	c.say("The record reproduces, or is derived from, what was so fed in: ", blankHere{})
	from := "read it from the device"
	if d.Exhibit.Received != "" {
		from = "took it out of " + d.Exhibit.Received + ", which others made,"
	}
	c.say("How the record was produced: on "+moment(d.Exhibit.Started)+" by "+d.clockWords()+" the program ", c.tool(), " "+from+" and stored it in the file "+or(d.Bundle.File, "(none)")+".")
	c.hashBox()
	c.add(paper.Sign{Fields: []string{"Name and signature of the party (blank: not signed)", "Date, time (IST) and place"}})
	c.add(paper.Break{})
	c.head("Part B: to be filled in by the expert")
	c.person("For the expert who examined the record:")
	c.say("The expert obtained the record from the party named in part A, as the exhibit described here:")
	c.facts()
	c.samePass()
	c.compared()
	c.say(c.custodyWords())
	c.hashBox()
	c.opinion("Opinion of the expert")
	c.annexes("The hash report: annex A of the custody report, and the SHA-256 values of the items relied on.")
	c.add(paper.Sign{Fields: []string{"Name, designation and signature of the expert (blank: not signed)", "Date, time (IST) and place"}})
}

// hashBox is the hash value and the algorithm it was made with.
func (c *certificate) hashBox() {
	c.add(
		paper.Tick{Label: "Hash algorithm", Options: []string{"SHA1", "SHA256", "MD5", "other"}, Ticked: c.ticked()},
		paper.Fill{Fields: []paper.Field{{Label: "Hash value of the sealed file (the hash report is enclosed)", Value: c.d.Bundle.SHA256, Width: 100}}})
}

func (c *certificate) ticked() []string {
	if c.d.Bundle.SHA256 == "" {
		return nil
	}
	return []string{"SHA256"}
}

// iso drafts a declaration in the words of the standard, for courts without a
// form of their own.
func (c *certificate) iso() {
	d := c.d
	c.title = "Declaration on the handling of digital evidence"
	c.rule = "ISO/IEC 27037:2012 (identification, collection, acquisition and preservation of digital evidence; source: ISO, first edition of October 2012; look for later editions). It is a standard, not a law: the form of the declaration is that of the forum."
	c.head("Who declares")
	c.person("The person who collected (first responder or specialist) signs this draft. I state from my own knowledge:")
	c.add(paper.Fill{Fields: []paper.Field{{Label: "Authority and scope", Value: or(d.Exhibit.Authority, d.Case.Authority), Width: 50, Lines: 2}, {Label: "Purpose", Value: d.Case.Purpose, Width: 50, Lines: 2}}})
	c.head("Identification")
	c.say("Unique identifier, source and time of the exhibit:")
	c.facts()
	c.add(paper.Fill{Fields: []paper.Field{{Label: "Device or medium: make and model", Width: 40}, {Label: "Serial number", Width: 30}, {Label: "State when found (running, locked, off)", Width: 30}}})
	c.say("Reason for collecting from it, and for the order chosen: ", blankHere{})
	c.head("Collection and acquisition")
	if d.Exhibit.Received != "" {
		c.say("It was received, and taken out of "+d.Exhibit.Received+" with the program ", c.tool(), ". How that was acquired: ", blankHere{})
	} else {
		c.say("The acquisition was made with the program ", c.tool(), ". It looked at the following, in this order: ", c.steps())
	}
	c.samePass()
	c.say("Unavoidable changes to the source, as the program itself recorded them: ", c.effects(), " Their justification: ", blankHere{})
	c.say("What could not be obtained: " + d.missedWords() + " Each such look is a signed record of the exhibit.")
	c.head("Preservation")
	c.compared()
	c.say(c.custodyWords())
	c.say("Where it is kept, and who has access: ", blankHere{})
	c.head("Auditability, repeatability, reproducibility, justifiability")
	c.say("Another examiner can repeat every check of the custody report with stock programs; the commands are in its annex C. The reading of a running machine itself cannot be repeated.")
	c.opinion("Methods tested and validated, and limits known to the declarant")
	c.annexes()
	c.add(paper.Sign{Fields: []string{"Signature (blank: not signed)", "Place and date", "Name in print", "Counsel who reviewed this draft, date"}})
}

// missedWords sums up what was looked for and not obtained.
func (d *Data) missedWords() string {
	s := ""
	for _, n := range d.Items.Counts {
		if n.Taken || n.Items == 0 {
			continue
		}
		if s != "" {
			s += "; "
		}
		s += n.Label + ": " + count(n.Items)
	}
	if s == "" {
		return "nothing is recorded as missed."
	}
	return s + "."
}
