package report

import "github.com/exhibit-dfir/exhibit/chainofcustody/report/paper"

// Scene is the paper form for the scene: one page, to be filled in by hand.
// What d holds is filled in; its zero value gives the blank form.
func Scene(d Data) paper.Document {
	d = sanitized(d)
	x := &d.Exhibit
	day := ""
	if !x.Started.IsZero() {
		day = moment(x.Started)
	}
	machine := x.Host
	if x.MachineID != "" {
		machine += ", machine id " + x.MachineID
	}
	fill := func(fields ...paper.Field) paper.Fill { return paper.Fill{Fields: fields} }
	f := func(label, value string, width, lines int) paper.Field {
		return paper.Field{Label: label, Value: value, Width: width, Lines: lines}
	}
	b := []paper.Block{
		paper.Section{Left: "Form for the scene · one per exhibit · write in ink, strike and sign corrections"},
		paper.Title{Label: "Exhibit", Text: "Collection at the scene", Lines: []string{"The seal code below, in ink, is the strongest control there is: it costs twenty seconds."}, QR: d.Bundle.SealCode, Name: "Seal code"},
		paper.Heading{Level: 1, Number: "1", Text: "What, where, by what right"},
		fill(f("Case", d.Case.ID, 25, 1), f("Exhibit number", x.Number, 20, 1), f("Matter", d.Case.Title, 55, 1)),
		fill(f("Authority (warrant, consent, mandate: reference)", or(x.Authority, d.Case.Authority), 55, 1), f("Place (address, room, rack)", "", 45, 1)),
		fill(f("Present (names, role)", "", 100, 1)),
		paper.Heading{Level: 1, Number: "2", Text: "The machine"},
		fill(f("Name, machine id", machine, 55, 2), f("Make, model", "", 25, 2), f("Serial number", "", 20, 2)),
		paper.Tick{Label: "Found", Options: []string{"running", "logged in", "locked", "asleep", "off"}},
		paper.Tick{Label: "Network", Options: []string{"wired", "wireless", "none", "taken off by us"}},
		paper.Tick{Label: "Photographs", Options: []string{"screen", "front", "back and cables", "serial plate", "none"}},
		fill(f("Anything unusual; who used it before; what was touched before collecting", "", 100, 2)),
		paper.Heading{Level: 1, Number: "3", Text: "Clocks"},
		fill(f("Reference clock (which)", "", 25, 1), f("Reference: date and time", "", 25, 1), f("Machine: date and time", "", 25, 1), f("Difference", "", 25, 1)),
		paper.Heading{Level: 1, Number: "4", Text: "The collection"},
		fill(f("Begun (by the machine's clock)", day, 34, 1), f("Ended", "", 33, 1), f("Program and version", toolName(d.Method.Tool), 33, 1)),
		paper.Tick{Label: "Ended", Options: []string{"complete", "partial, see remarks", "interrupted"}, Ticked: ended(&d)},
		fill(f("Written to: medium, make, model", "", 40, 1), f("Medium's serial number", "", 30, 1), f("Seal bag number", "", 30, 1)),
		paper.Boxes{Label: "SEAL CODE, copied by hand from the screen (letters I, L, O and U do not occur)", Groups: 4, Each: 5, Value: ""},
		fill(f("Remarks", "", 100, 2)),
		paper.Heading{Level: 1, Number: "5", Text: "Signatures"},
		paper.Sign{Fields: []string{"Collected by: name, signature, time", "Witness, who compared the seal code: name, signature, time", "Owner or custodian of the machine, if present: name, signature", "Handed over to: name, signature, time"}},
	}
	return paper.Document{
		Title: "Form for the scene", Subject: "Collection of digital evidence: paper form", Author: d.Case.Org, Created: d.Generated, Tight: true, Blocks: b,
	}
}

func toolName(t Tool) string {
	if t.Name == "" {
		return ""
	}
	return t.Name + " " + t.Version
}

func ended(d *Data) []string {
	switch {
	case d.Bundle.SealID == "":
		return nil
	case d.Exhibit.Complete:
		return []string{"complete"}
	}
	return []string{"partial, see remarks"}
}
