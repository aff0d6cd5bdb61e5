package interop

import (
	"strconv"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// PROV writes custody logs as PROV-JSON (W3C Member Submission of 24 April
// 2013) in the data model of PROV-DM: every event is an activity and its signed
// file an entity that the activity generated, people and programs are agents,
// exhibits and files are entities.
func PROV(l Log) ([]byte, error) {
	p := provDoc{log: l, known: l.digests(), from: origins{}, doc: object{"prefix": object{
		"exhibit": Vocabulary, "id": "urn:uuid:", "xsd": "http://www.w3.org/2001/XMLSchema#",
	}}}
	for i := range l.Exhibits {
		p.exhibit(&l.Exhibits[i])
	}
	l.events(func(x *Exhibit, e *chainofcustody.EventCheck) { p.event(x, e) })
	for _, kind := range []string{"entity", "agent"} {
		for id, node := range p.section(kind) {
			for _, d := range p.from[id] {
				append1(node.(object), "exhibit:stated_in", d)
			}
		}
	}
	return marshal(p.doc)
}

type provDoc struct {
	log   Log
	known map[evidence.Digest]bool // events of the log
	doc   object
	from  origins
	rels  int
}

func (p *provDoc) section(name string) object {
	if p.doc[name] == nil {
		p.doc[name] = object{}
	}
	return p.doc[name].(object)
}

// node adds a node once and returns its name.
func (p *provDoc) node(kind, id string, e *chainofcustody.EventCheck, attrs object) string {
	name := "id:" + id
	if nodes := p.section(kind); nodes[name] == nil {
		nodes[name] = attrs
	}
	if e != nil {
		p.from.add(name, e)
	}
	return name
}

func (p *provDoc) relate(kind string, attrs object) {
	p.rels++
	p.section(kind)["_:r"+strconv.Itoa(p.rels)] = attrs
}

func qname(s string) object { return object{"$": s, "type": "prov:QUALIFIED_NAME"} }

func typed(v value) any {
	if v.typ == "string" {
		return v.text
	}
	return object{"$": v.text, "type": "xsd:" + v.typ}
}

// exhibit is the evidence as such, with the verdict on its log.
func (p *provDoc) exhibit(x *Exhibit) {
	r := x.Report
	attrs := object{
		"prov:type": qname("exhibit:exhibit"), "prov:label": r.Exhibit + " of case " + p.log.Case.ID,
		"exhibit:case": p.log.Case.ID, "exhibit:exhibit": r.Exhibit, "exhibit:log_verdict": string(r.Verdict),
	}
	put(attrs, "exhibit:case_title", p.log.Case.Title)
	put(attrs, "exhibit:case_org", p.log.Case.Org)
	put(attrs, "exhibit:case_authority", p.log.Case.Authority)
	put(attrs, "exhibit:case_purpose", p.log.Case.Purpose)
	for _, s := range findings(r) {
		put(attrs, "exhibit:finding", s)
	}
	for _, h := range r.Heads {
		put(attrs, "exhibit:head", h.String())
	}
	p.node("entity", p.log.exhibitID(r.Exhibit), nil, attrs)
	if b := x.Bundle; b != nil {
		attrs := object{"prov:type": qname("exhibit:bundle_at_hand"), "prov:label": b.Name}
		attrs["exhibit:size"] = object{"$": strconv.FormatInt(b.Size, 10), "type": "xsd:integer"}
		putDigest(attrs, "exhibit:sha256", b.OuterSHA256)
		putDigest(attrs, "exhibit:seal", b.Seal)
		file := p.node("entity", nodeID("at hand", p.log.Case.ID, r.Exhibit, b.OuterSHA256.String()), nil, attrs)
		p.relate("specializationOf", object{"prov:specificEntity": file, "prov:generalEntity": "id:" + p.log.exhibitID(r.Exhibit)})
	}
}

func putDigest(o object, key string, d evidence.Digest) {
	if !d.IsZero() {
		o[key] = d.String()
	}
}

func (p *provDoc) event(x *Exhibit, e *chainofcustody.EventCheck) {
	at := utc(e.Time.UTC)
	attrs := object{
		"prov:startTime": at, "prov:endTime": at, "prov:label": sentence(e), "prov:type": qname("exhibit:" + string(e.Kind)),
	}
	put(attrs, "prov:location", e.Place)
	for _, v := range FormatPROV.private(e) {
		append1(attrs, "exhibit:"+term(v.field), typed(v))
	}
	activity := p.node("activity", eventID(e.Digest), nil, attrs)
	record := p.node("entity", recordID(e.Digest), e, object{
		"prov:type": qname("exhibit:event_file"), "prov:label": warning(e) + e.File, "exhibit:sha256": e.Digest.String(),
		"exhibit:verdict": string(e.Verdict),
	})
	p.relate("wasGeneratedBy", object{"prov:entity": record, "prov:activity": activity, "prov:time": at})
	for _, d := range e.Prev {
		if p.known[d] {
			p.relate("wasInformedBy", object{"prov:informed": activity, "prov:informant": "id:" + eventID(d)})
		}
	}
	p.agents(e, activity, record)
	p.used(x, e, activity)
}

func (p *provDoc) agents(e *chainofcustody.EventCheck, activity, record string) {
	person := func(who *chainofcustody.Person, signer bool) string {
		label := who.Name
		if label == "" {
			label = who.ID
		}
		a := object{"prov:type": qname("prov:Person"), "prov:label": warning(e) + label, "exhibit:principal": who.ID}
		put(a, "exhibit:name", who.Name)
		put(a, "exhibit:org", who.Org)
		put(a, "exhibit:role", who.Role)
		put(a, "exhibit:key", who.Key)
		return p.node("agent", personID(e, *who, signer), e, a)
	}
	associate := func(agent, role string) {
		p.relate("wasAssociatedWith", object{"prov:activity": activity, "prov:agent": agent, "prov:role": role, "exhibit:signed": e.Signed, "exhibit:verdict": string(e.Verdict)})
	}
	actor := person(&e.Actor, true)
	associate(actor, "actor")
	if proven(e) { // only then is the file theirs
		p.relate("wasAttributedTo", object{"prov:entity": record, "prov:agent": actor})
	}
	if e.To != nil {
		associate(person(e.To, false), "other side")
	}
	if t := e.Tool; t != nil {
		a := object{"prov:type": qname("prov:SoftwareAgent"), "prov:label": warning(e) + t.Name, "exhibit:name": t.Name}
		put(a, "exhibit:version", t.Ver)
		putDigest(a, "exhibit:sha256", t.SHA256)
		associate(p.node("agent", nodeID("tool", t.Name, t.Ver, t.SHA256.String(), scope(e)), e, a), "tool")
	}
}

// used are the things an event speaks of. That it made them is not claimed: the
// event's kind says what it did.
func (p *provDoc) used(x *Exhibit, e *chainofcustody.EventCheck, activity string) {
	use := func(entity, role string) {
		p.relate("used", object{"prov:activity": activity, "prov:entity": entity, "prov:role": role})
	}
	exhibit := "id:" + p.log.exhibitID(x.Report.Exhibit)
	use(exhibit, "exhibit")
	file := func(kind, name string, d evidence.Digest) string {
		a := object{"prov:type": qname("exhibit:" + kind), "prov:label": warning(e) + name, "exhibit:name": name, "exhibit:sha256": d.String()}
		return p.node("entity", fileID(e, x.Report.Exhibit, d, kind+"/"+name), e, a)
	}
	if !e.OuterSHA256.IsZero() {
		b := file("bundle", "bundle of "+e.Exhibit, e.OuterSHA256)
		use(b, "bundle")
		p.relate("specializationOf", object{"prov:specificEntity": b, "prov:generalEntity": exhibit})
	}
	if !e.Seal.IsZero() {
		use(file("seal", "seal.txt", e.Seal), "seal")
	}
	for _, a := range e.Attach {
		use(file("attachment", a.Name, a.SHA256), "attachment")
	}
}
