package interop

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// PREMIS writes custody logs in the XML of PREMIS 3.0 (Library of Congress,
// premis-v3-0.xsd): an intellectual entity for every exhibit, a file for every
// bundle, seal and attachment, an event for every custody event, and agents.
// Fields that PREMIS has no unit for stand in eventDetailExtension.
func PREMIS(l Log) ([]byte, error) {
	p := premisDoc{log: l, from: origins{}, objects: map[string]premisUnit{}, agents: map[string]premisUnit{}}
	for i := range l.Exhibits {
		p.exhibit(&l.Exhibits[i])
	}
	var events xmlWriter
	events.depth = 1
	l.events(func(x *Exhibit, e *chainofcustody.EventCheck) { p.event(&events, x, e) })

	var w xmlWriter
	w.buf.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
	w.openWith("premis", `xmlns="http://www.loc.gov/premis/v3" xmlns:exhibit="`+Vocabulary+`" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" `+
		`xsi:schemaLocation="http://www.loc.gov/premis/v3 http://www.loc.gov/standards/premis/v3/premis-v3-0.xsd" version="3.0"`)
	for _, id := range slices.Sorted(maps.Keys(p.objects)) {
		u := p.objects[id]
		w.openWith("object", `xsi:type="`+u.kind+`"`)
		u.write(&w)
		p.links(&w, id)
		w.close("object")
	}
	w.buf.Write(events.buf.Bytes())
	for _, id := range slices.Sorted(maps.Keys(p.agents)) {
		w.open("agent")
		p.agents[id].write(&w)
		p.links(&w, id)
		w.close("agent")
	}
	w.close("premis")
	return w.buf.Bytes(), nil
}

// premisUnit is an object or an agent; write writes what precedes its links.
type premisUnit struct {
	kind  string
	write func(*xmlWriter)
}

type premisDoc struct {
	log             Log
	objects, agents map[string]premisUnit
	from            origins
}

// links name the events that state what is written about a unit.
func (p *premisDoc) links(w *xmlWriter, id string) {
	for _, d := range p.from[id] {
		w.open("linkingEventIdentifier")
		w.text("linkingEventIdentifierType", "SHA-256")
		w.text("linkingEventIdentifierValue", d)
		w.close("linkingEventIdentifier")
	}
}

func identifier(w *xmlWriter, unit, typ, s string) {
	w.open(unit + "Identifier")
	w.text(unit+"IdentifierType", typ)
	w.text(unit+"IdentifierValue", s)
	w.close(unit + "Identifier")
}

func property(w *xmlWriter, name, s string) {
	if s != "" {
		w.open("significantProperties")
		w.text("significantPropertiesType", name)
		w.text("significantPropertiesValue", s)
		w.close("significantProperties")
	}
}

func (p *premisDoc) exhibit(x *Exhibit) {
	r, cs := x.Report, p.log.Case
	p.objects[p.log.exhibitID(r.Exhibit)] = premisUnit{"intellectualEntity", func(w *xmlWriter) {
		identifier(w, "object", "UUID", p.log.exhibitID(r.Exhibit))
		identifier(w, "object", "case", cs.ID)
		identifier(w, "object", "exhibit", r.Exhibit)
		property(w, "verdict on the custody log", string(r.Verdict))
		for _, s := range findings(r) {
			property(w, "finding", s)
		}
		for _, h := range r.Heads {
			property(w, "last event", h.String())
		}
		property(w, "case title, from case.json, not signed", cs.Title)
		property(w, "organisation, from case.json, not signed", cs.Org)
		property(w, "authority, from case.json, not signed", cs.Authority)
		property(w, "purpose, from case.json, not signed", cs.Purpose)
	}}
	if b := x.Bundle; b != nil {
		id := nodeID("at hand", cs.ID, r.Exhibit, b.OuterSHA256.String())
		p.file(id, "evidence bundle, at hand when this was written", b.Name, b.Size, b.OuterSHA256)
	}
}

// file is an object of the category file.
func (p *premisDoc) file(id, format, name string, size int64, d evidence.Digest) {
	if _, have := p.objects[id]; have {
		return
	}
	p.objects[id] = premisUnit{"file", func(w *xmlWriter) {
		identifier(w, "object", "UUID", id)
		w.open("objectCharacteristics")
		if !d.IsZero() {
			w.open("fixity")
			w.text("messageDigestAlgorithm", "SHA-256")
			w.text("messageDigest", d.String())
			w.close("fixity")
		}
		if size > 0 {
			w.text("size", strconv.FormatInt(size, 10))
		}
		w.open("format")
		w.open("formatDesignation")
		w.text("formatName", format)
		w.close("formatDesignation")
		w.close("format")
		w.close("objectCharacteristics")
		if name != "" {
			w.text("originalName", name)
		}
	}}
}

func (p *premisDoc) event(w *xmlWriter, x *Exhibit, e *chainofcustody.EventCheck) {
	w.open("event")
	identifier(w, "event", "SHA-256", e.Digest.String())
	w.text("eventType", string(e.Kind))
	w.text("eventDateTime", utc(e.Time.UTC))
	w.open("eventDetailInformation")
	w.text("eventDetail", sentence(e))
	w.open("eventDetailExtension")
	for _, v := range FormatPREMIS.private(e) {
		w.text("exhibit:"+term(v.field), v.text)
	}
	w.close("eventDetailExtension")
	w.close("eventDetailInformation")
	w.open("eventOutcomeInformation")
	w.text("eventOutcome", string(e.Verdict))
	for _, s := range e.Problems {
		w.open("eventOutcomeDetail")
		w.text("eventOutcomeDetailNote", s)
		w.close("eventOutcomeDetail")
	}
	w.close("eventOutcomeInformation")
	p.eventAgents(w, e)
	p.eventObjects(w, x, e)
	w.close("event")
}

func (p *premisDoc) eventAgents(w *xmlWriter, e *chainofcustody.EventCheck) {
	link := func(id, role string) {
		p.from.add(id, e)
		w.open("linkingAgentIdentifier")
		w.text("linkingAgentIdentifierType", "UUID")
		w.text("linkingAgentIdentifierValue", id)
		w.text("linkingAgentRole", role)
		w.close("linkingAgentIdentifier")
	}
	person := func(who chainofcustody.Person, signer bool) string {
		id := personID(e, who, signer)
		doubt := warning(e)
		p.agents[id] = premisUnit{"", func(w *xmlWriter) {
			identifier(w, "agent", "UUID", id)
			identifier(w, "agent", "principal in allowed_signers", who.ID)
			if who.Key != "" {
				identifier(w, "agent", "SSH key fingerprint", who.Key)
			}
			w.optional("agentName", who.Name)
			w.text("agentType", "person")
			w.optional("agentNote", doubt)
			w.label("agentNote", "organisation: ", who.Org)
			w.label("agentNote", "role: ", who.Role)
		}}
		return id
	}
	role := "actor, signed"
	if !proven(e) {
		role = "actor as named, unproven"
	}
	link(person(e.Actor, true), role)
	if e.To != nil {
		link(person(*e.To, false), "other side, as the actor names it")
	}
	if t := e.Tool; t != nil {
		id := nodeID("tool", t.Name, t.Ver, t.SHA256.String(), scope(e))
		p.agents[id] = premisUnit{"", func(w *xmlWriter) {
			identifier(w, "agent", "UUID", id)
			if !t.SHA256.IsZero() {
				identifier(w, "agent", "SHA-256", t.SHA256.String())
			}
			w.text("agentName", t.Name)
			w.text("agentType", "software")
			w.optional("agentVersion", t.Ver)
			w.optional("agentNote", warning(e))
		}}
		link(id, "tool")
	}
}

func (p *premisDoc) eventObjects(w *xmlWriter, x *Exhibit, e *chainofcustody.EventCheck) {
	link := func(id, role string) {
		p.from.add(id, e)
		w.open("linkingObjectIdentifier")
		w.text("linkingObjectIdentifierType", "UUID")
		w.text("linkingObjectIdentifierValue", id)
		w.text("linkingObjectRole", role)
		w.close("linkingObjectIdentifier")
	}
	number := x.Report.Exhibit
	link(p.log.exhibitID(number), "exhibit")
	file := func(role, format, name, key string, size int64, d evidence.Digest) {
		id := fileID(e, number, d, key)
		p.file(id, warning(e)+format, name, size, d)
		link(id, role)
	}
	if !e.OuterSHA256.IsZero() {
		file("bundle", "evidence bundle", "", "bundle/"+strconv.FormatInt(e.Size, 10), e.Size, e.OuterSHA256)
	}
	if !e.Seal.IsZero() {
		file("seal", "seal of an evidence bundle", "seal.txt", "seal", 0, e.Seal)
	}
	for _, a := range e.Attach {
		file("attachment", "not stated", a.Name, "attachment/"+a.Name, 0, a.SHA256)
	}
}

// xmlWriter writes elements, one a line.
type xmlWriter struct {
	buf   bytes.Buffer
	depth int
}

func (w *xmlWriter) indent() { w.buf.WriteString(strings.Repeat(" ", w.depth)) }

func (w *xmlWriter) open(name string) { w.openWith(name, "") }

func (w *xmlWriter) openWith(name, attributes string) {
	w.indent()
	w.buf.WriteString("<" + name)
	if attributes != "" {
		w.buf.WriteString(" " + attributes)
	}
	w.buf.WriteString(">\n")
	w.depth++
}

func (w *xmlWriter) close(name string) {
	w.depth--
	w.indent()
	w.buf.WriteString("</" + name + ">\n")
}

func (w *xmlWriter) text(name, s string) {
	w.indent()
	w.buf.WriteString("<" + name + ">" + xmlText(s) + "</" + name + ">\n")
}

func (w *xmlWriter) optional(name, s string) { w.label(name, "", s) }

func (w *xmlWriter) label(name, before, s string) {
	if s != "" {
		w.text(name, before+s)
	}
}

// xmlText is text between tags. What XML 1.0 can spell is spelt by references
// where it could act on a terminal or would be changed by a parser; the rest is
// escaped by visible.
func xmlText(s string) string {
	var b strings.Builder
	for _, r := range visible(s, xmlLacks) {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r < 0x20 || active(r):
			fmt.Fprintf(&b, "&#x%X;", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// xmlLacks are the characters that XML 1.0 (section 2.2) has no spelling for,
// surrogates aside, which UTF-8 has none for.
func xmlLacks(r rune) bool {
	return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
}

// visible writes characters that a format lacks as \uXXXX. In a text that holds
// one, or holds \u already, backslashes are doubled: only such a text has \u in
// it afterwards, so that the way back is known.
func visible(s string, lacks func(rune) bool) string {
	if !strings.ContainsFunc(s, lacks) && !strings.Contains(s, `\u`) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case lacks(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
