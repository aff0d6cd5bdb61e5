package interop

import (
	"strconv"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// CASE writes custody logs as JSON-LD in the ontologies CASE 1.4 and UCO 1.4
// (caseontology.org): every event is an InvestigativeAction whose result is its
// signed file, with what its signature is worth in a DigitalSignatureInfoFacet.
func CASE(l Log) ([]byte, error) {
	c := caseDoc{log: l, known: l.digests(), seen: map[string]object{}, from: origins{}}
	matter := object{
		"@type": "investigation:Investigation", "core:name": l.Case.ID,
		"core:object": []any{},
	}
	put(matter, "core:description", l.Case.Title)
	put(matter, "exhibit:case_org", l.Case.Org)
	put(matter, "exhibit:case_authority", l.Case.Authority)
	put(matter, "exhibit:case_purpose", l.Case.Purpose)
	c.add(nodeID("investigation", l.Case.ID), nil, matter)
	for i := range l.Exhibits {
		append1(matter, "core:object", c.exhibit(&l.Exhibits[i]))
	}
	l.events(func(x *Exhibit, e *chainofcustody.EventCheck) { c.event(x, e) })
	graph := make([]any, len(c.order))
	for i, id := range c.order {
		node := c.seen[id]
		for _, d := range c.from[id] {
			append1(node, "exhibit:stated_in", d)
		}
		graph[i] = node
	}
	const uco = "https://ontology.unifiedcyberontology.org/uco/"
	return marshal(object{"@graph": graph, "@context": object{
		"action": uco + "action/", "core": uco + "core/", "identity": uco + "identity/", "location": uco + "location/",
		"observable": uco + "observable/", "tool": uco + "tool/", "types": uco + "types/",
		"investigation": "https://ontology.caseontology.org/case/investigation/",
		"exhibit":       Vocabulary, "xsd": "http://www.w3.org/2001/XMLSchema#",
	}})
}

type caseDoc struct {
	log   Log
	known map[evidence.Digest]bool // events of the log
	order []string
	seen  map[string]object
	from  origins
}

func ref(id string) object { return object{"@id": "urn:uuid:" + id} }

func literal(typ, s string) object { return object{"@type": "xsd:" + typ, "@value": s} }

// add puts a node into the graph once and returns a reference to it.
func (c *caseDoc) add(id string, e *chainofcustody.EventCheck, node object) object {
	if c.seen[id] == nil {
		node["@id"] = "urn:uuid:" + id
		c.seen[id] = node
		c.order = append(c.order, id)
	}
	if e != nil {
		c.from.add(id, e)
	}
	return ref(id)
}

// part names something that belongs to a node: UCO wants no blank nodes.
func part(owner, what string) string { return "urn:uuid:" + nodeID("part", owner, what) }

// file is an observable file with its SHA-256.
func (c *caseDoc) file(id string, e *chainofcustody.EventCheck, name string, size int64, d evidence.Digest, facets ...object) object {
	about := object{"@id": part(id, "file"), "@type": "observable:FileFacet"}
	put(about, "observable:fileName", name)
	content := object{"@id": part(id, "content"), "@type": "observable:ContentDataFacet"}
	if size > 0 {
		about["observable:sizeInBytes"] = literal("integer", strconv.FormatInt(size, 10))
	}
	if !d.IsZero() {
		content["observable:hash"] = object{
			"@id": part(id, "hash"), "@type": "types:Hash", "types:hashMethod": "SHA256", "types:hashValue": literal("hexBinary", d.String()),
		}
	}
	all := []any{about, content}
	for _, f := range facets {
		all = append(all, f)
	}
	node := object{"@type": "observable:File", "core:hasFacet": all}
	if e != nil {
		put(node, "core:description", warning(e))
	}
	return c.add(id, e, node)
}

// exhibit is the provenance record of an exhibit, with the verdict on its log.
func (c *caseDoc) exhibit(x *Exhibit) object {
	r := x.Report
	node := object{
		"@type": "investigation:ProvenanceRecord", "investigation:exhibitNumber": r.Exhibit, "exhibit:log_verdict": string(r.Verdict), "core:description": r.Verdict.Sentence(),
	}
	for _, s := range findings(r) {
		put(node, "exhibit:finding", s)
	}
	for _, h := range r.Heads {
		put(node, "exhibit:head", h.String())
	}
	record := c.add(c.log.exhibitID(r.Exhibit), nil, node)
	if b := x.Bundle; b != nil {
		id := nodeID("at hand", c.log.Case.ID, r.Exhibit, b.OuterSHA256.String())
		file := c.file(id, nil, b.Name, b.Size, b.OuterSHA256)
		putDigest(c.seen[id], "exhibit:seal", b.Seal)
		append1(node, "core:object", file)
	}
	return record
}

func (c *caseDoc) event(x *Exhibit, e *chainofcustody.EventCheck) {
	at := literal("dateTime", utc(e.Time.UTC))
	node := object{
		"@type": "investigation:InvestigativeAction", "core:name": string(e.Kind), "core:description": sentence(e),
		"action:startTime": at, "action:endTime": at,
	}
	for _, v := range FormatCASE.private(e) {
		if v.typ == "string" {
			append1(node, "exhibit:"+term(v.field), v.text)
		} else {
			append1(node, "exhibit:"+term(v.field), literal(v.typ, v.text))
		}
	}
	id := eventID(e.Digest)
	action := c.add(id, e, node)
	for _, d := range e.Prev {
		if c.known[d] {
			append1(node, "investigation:wasInformedBy", ref(eventID(d)))
		}
	}
	append1(node, "action:performer", c.person(e, e.Actor, true))
	if e.To != nil {
		append1(node, "action:participant", c.person(e, *e.To, false))
	}
	if e.Place != "" {
		place := c.add(nodeID("place", e.Place, scope(e)), e, object{"@type": "location:Location", "core:name": e.Place})
		append1(node, "action:location", place)
	}
	if t := e.Tool; t != nil {
		program := object{"@type": "tool:Tool", "core:name": t.Name}
		put(program, "tool:version", t.Ver)
		putDigest(program, "exhibit:sha256", t.SHA256)
		append1(node, "action:instrument", c.add(nodeID("tool", t.Name, t.Ver, t.SHA256.String(), scope(e)), e, program))
	}
	result := c.record(e)
	append1(node, "action:result", result)
	for _, o := range c.objects(x, e) {
		append1(node, "action:object", o)
	}
	provenance := c.seen[c.log.exhibitID(x.Report.Exhibit)]
	append1(provenance, "core:object", action)
	append1(provenance, "core:object", result)
}

// record is the event's file with its signature's worth.
func (c *caseDoc) record(e *chainofcustody.EventCheck) object {
	id := recordID(e.Digest)
	words := "SSHSIG by " + e.Signer + ", verdict on the event: " + string(e.Verdict)
	switch {
	case !e.Signed:
		words = "no signature of the key that the event names"
	case e.Signer == "":
		words = "SSHSIG by " + e.Actor.Key + ", which is not known"
	}
	return c.file(id, e, e.File, 0, e.Digest, object{
		"@id": part(id, "signature"), "@type": "observable:DigitalSignatureInfoFacet",
		"observable:signatureVerified":    e.Signed && e.Signer != "",
		"observable:signatureDescription": words,
	})
}

func (c *caseDoc) person(e *chainofcustody.EventCheck, p chainofcustody.Person, signer bool) object {
	id := personID(e, p, signer)
	node := object{
		"@type": "identity:Person",
		"core:externalReference": object{
			"@id": part(id, "principal"), "@type": "core:ExternalReference", "core:definingContext": "principal in allowed_signers", "core:externalIdentifier": p.ID,
		},
	}
	put(node, "core:name", p.Name)
	put(node, "core:description", warning(e))
	put(node, "exhibit:org", p.Org)
	put(node, "exhibit:role", p.Role)
	put(node, "exhibit:key", p.Key)
	return c.add(id, e, node)
}

// objects are the things an event speaks of: that it made them is not claimed.
func (c *caseDoc) objects(x *Exhibit, e *chainofcustody.EventCheck) []object {
	var list []object
	number := x.Report.Exhibit
	if !e.OuterSHA256.IsZero() {
		list = append(list, c.file(fileID(e, number, e.OuterSHA256, "bundle/"+strconv.FormatInt(e.Size, 10)), e, "", e.Size, e.OuterSHA256))
	}
	if !e.Seal.IsZero() {
		list = append(list, c.file(fileID(e, number, e.Seal, "seal"), e, "seal.txt", 0, e.Seal))
	}
	for _, a := range e.Attach {
		list = append(list, c.file(fileID(e, number, a.SHA256, "attachment/"+a.Name), e, a.Name, 0, a.SHA256))
	}
	if m := e.Medium; m != nil {
		id := nodeID("medium", m.Type, m.Make, m.Model, m.Serial, m.SealBag, scope(e))
		facet := object{"@id": part(id, "device"), "@type": "observable:DeviceFacet"}
		put(facet, "observable:deviceType", m.Type)
		put(facet, "observable:model", m.Model)
		put(facet, "observable:serialNumber", m.Serial)
		list = append(list, c.add(id, e, object{"@type": "observable:Device", "core:hasFacet": facet}))
	}
	return list
}
