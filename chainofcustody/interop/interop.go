// Package interop writes verified custody logs in the standards of others:
// CASE/UCO (JSON-LD), W3C PROV (PROV-JSON), in-toto Statement v1, PREMIS 3
// (XML) and the tag files of a BagIt 1.0 bag.
//
// Every writer is a function of a Log alone: equal logs give equal bytes.
// Whatever is written traces back to the event that states it, by the SHA-256
// of the event's file, and says what its signature is worth; what nobody known
// has signed is marked as unproven in the words that people read, too, and its
// people are never merged with those who did sign. docs/exports.md lists for
// each format which field goes where and what is lost.
package interop

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
	"github.com/exhibit-dfir/exhibit/evidence"
)

// Log is what is exported: exhibits of one case, their logs verified.
type Log struct {
	// Case is what case.json says. Only its id stands in signed events.
	Case     chainofcustody.CaseInfo
	Exhibits []Exhibit
}

// Exhibit is one custody log with its verification.
type Exhibit struct {
	Report chainofcustody.Report
	Bundle *Bundle // as found at the time of the export; nil: not at hand
}

// Bundle is the file that was at hand.
type Bundle struct {
	Name string // file name, without folder
	chainofcustody.BundleFacts
}

// Vocabulary is the namespace of the terms that the standards have no place
// for: its fragments are the fields' names in docs/exports.md.
const Vocabulary = "https://github.com/exhibit-dfir/exhibit/blob/main/docs/exports.md#"

// timeLayout is that of the custody format: nine digits always.
const timeLayout = "2006-01-02T15:04:05.000000000Z"

// value is one field of an event, as text.
type value struct {
	field string // name as in the custody format, nested ones with a dot
	text  string
	typ   string // XML Schema type: "string", "integer", "boolean", "dateTime"
}

// fields are the names of everything an event and its verification hold, in
// the order of values.
var fields = []string{
	"case", "exhibit", "event", "prev", "seal", "outer_sha256", "size",
	"actor.id", "actor.name", "actor.org", "actor.role", "actor.key",
	"to.id", "to.name", "to.org", "to.role", "to.key",
	"time.utc", "time.tz", "time.source", "time.offset_ms", "time.uncertainty_ms", "time.mono", "time.boot_id",
	"place", "purpose", "authority",
	"medium.type", "medium.make", "medium.model", "medium.serial", "medium.seal_bag",
	"tool.name", "tool.ver", "tool.sha256", "check.before", "check.after", "check.result",
	"refs", "note", "attach.name", "attach.sha256",
	"digest", "number", "file", "verdict", "signed", "signer", "witness", "proven", "proven_by", "problems",
}

// checked are the fields that are no part of the signed file, but known of it.
var checked = fields[slices.Index(fields, "digest"):]

// values lists the fields that an event has; those of lists come once per
// element.
func values(e *chainofcustody.EventCheck) []value {
	var l lister
	l.text("case", e.Case)
	l.text("exhibit", e.Exhibit)
	l.text("event", string(e.Kind))
	for _, d := range e.Prev {
		l.digest("prev", d)
	}
	l.digest("seal", e.Seal)
	l.digest("outer_sha256", e.OuterSHA256)
	l.positive("size", e.Size)
	l.person("actor", &e.Actor)
	l.person("to", e.To)
	l.time(e.Time)
	l.text("place", e.Place)
	l.text("purpose", e.Purpose)
	l.text("authority", e.Authority)
	if m := e.Medium; m != nil {
		l.text("medium.type", m.Type)
		l.text("medium.make", m.Make)
		l.text("medium.model", m.Model)
		l.text("medium.serial", m.Serial)
		l.text("medium.seal_bag", m.SealBag)
	}
	if t := e.Tool; t != nil {
		l.text("tool.name", t.Name)
		l.text("tool.ver", t.Ver)
		l.digest("tool.sha256", t.SHA256)
	}
	if c := e.Check; c != nil {
		l.text("check.before", c.Before)
		l.text("check.after", c.After)
		l.text("check.result", c.Result)
	}
	l.texts("refs", e.Refs)
	l.text("note", e.Note)
	for _, a := range e.Attach {
		l.text("attach.name", a.Name)
		l.digest("attach.sha256", a.SHA256)
	}
	l.verification(e)
	return l.list
}

type lister struct{ list []value }

func (l *lister) add(field, text, typ string) { l.list = append(l.list, value{field, text, typ}) }

func (l *lister) text(field, s string) {
	if s != "" {
		l.add(field, s, "string")
	}
}

func (l *lister) texts(field string, list []string) {
	for _, s := range list {
		l.text(field, s)
	}
}

func (l *lister) digest(field string, d evidence.Digest) {
	if !d.IsZero() {
		l.add(field, d.String(), "string")
	}
}

func (l *lister) integer(field string, n int64) {
	l.add(field, strconv.FormatInt(n, 10), "integer")
}

func (l *lister) positive(field string, n int64) {
	if n > 0 {
		l.integer(field, n)
	}
}

func (l *lister) person(field string, p *chainofcustody.Person) {
	if p == nil {
		return
	}
	l.text(field+".id", p.ID)
	l.text(field+".name", p.Name)
	l.text(field+".org", p.Org)
	l.text(field+".role", p.Role)
	l.text(field+".key", p.Key)
}

func (l *lister) time(t chainofcustody.EventTime) {
	l.add("time.utc", utc(t.UTC), "dateTime")
	l.text("time.tz", t.TZ)
	l.text("time.source", t.Source)
	if t.OffsetMS != nil {
		l.integer("time.offset_ms", *t.OffsetMS)
	}
	if t.UncertaintyMS != nil {
		l.integer("time.uncertainty_ms", *t.UncertaintyMS)
	}
	l.positive("time.mono", t.Mono)
	l.text("time.boot_id", t.BootID)
}

// verification is what is known of an event beside what it says.
func (l *lister) verification(e *chainofcustody.EventCheck) {
	l.digest("digest", e.Digest)
	l.positive("number", int64(e.Number))
	l.text("file", e.File)
	l.text("verdict", string(e.Verdict))
	l.add("signed", strconv.FormatBool(e.Signed), "boolean")
	l.text("signer", e.Signer)
	l.texts("witness", e.Witness)
	if !e.Proven.IsZero() {
		l.add("proven", utc(e.Proven), "dateTime")
	}
	l.text("proven_by", e.ProvenBy)
	l.texts("problems", e.Problems)
}

func utc(t time.Time) string { return t.UTC().Format(timeLayout) }

// proven reports whether a known person signed an event as it stands there,
// and nothing about it lowers the verdict.
func proven(e *chainofcustody.EventCheck) bool {
	return e.Signed && e.Signer != "" && e.Verdict == chainofcustody.VerdictVerified
}

// sentence is the event in words for people. What is not proven says so in its
// first word, for readers who know the standard and nothing of our terms.
func sentence(e *chainofcustody.EventCheck) string {
	return warning(e) + e.Sentence()
}

func warning(e *chainofcustody.EventCheck) string {
	switch {
	case proven(e):
		return ""
	case !e.Signed:
		return "UNPROVEN, not signed by whom it names: "
	case e.Signer == "":
		return "UNPROVEN, signed by a key that is not known: "
	}
	return "IN DOUBT, " + string(e.Verdict) + ": "
}

// private are the values that a format has no standard term for.
func (f Format) private(e *chainofcustody.EventCheck) []value {
	var left []value
	for _, v := range values(e) {
		if f.Terms[v.field] == "" {
			left = append(left, v)
		}
	}
	return left
}

// term is the name of a private term: a fragment of Vocabulary.
func term(field string) string { return strings.ReplaceAll(field, ".", "_") }

// events calls do for every event of every exhibit.
func (l Log) events(do func(x *Exhibit, e *chainofcustody.EventCheck)) {
	for i := range l.Exhibits {
		x := &l.Exhibits[i]
		for j := range x.Report.Events {
			do(x, &x.Report.Events[j])
		}
	}
}

// digests are the readable events of the log.
func (l Log) digests() map[evidence.Digest]bool {
	known := map[evidence.Digest]bool{}
	l.events(func(_ *Exhibit, e *chainofcustody.EventCheck) { known[e.Digest] = true })
	return known
}
