package interop

import (
	"fmt"
	"slices"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
)

// Format is one target with what becomes of each field in it.
type Format struct {
	Name     string
	Standard string
	// Terms says by which term of the standard a field is written. Fields that
	// are not in it are written as a private term of Vocabulary, which a reader
	// who knows the standard alone does not understand.
	Terms map[string]string
	// Lost is what does not come across, or only in part.
	Lost []string
}

// Formats lists all of them, in the order of their documentation.
func Formats() []Format {
	return []Format{FormatCASE, FormatPROV, FormatInToto, FormatPREMIS, FormatBagIt}
}

// What no format but the bag carries.
var lostProof = []string{
	"The signatures themselves, counter-signatures and time-stamp tokens: the export states what they were worth when it was made. Who wants to check takes the log (`--format portable` or `bagit`).",
	"Events that cannot be read: they are named in the findings only.",
}

const (
	lostOrder = "Order and repetition within a list (`prev`, `refs`, `witness`, `problems`, attachments of equal name and hash): the model has sets."
	lostNanos = "Nanoseconds, in programs that keep a time to the microsecond; the text has all nine digits."
)

// The formats.
var (
	FormatCASE = Format{
		Name: "case", Standard: "CASE 1.4 and UCO 1.4, JSON-LD 1.1",
		Terms: map[string]string{
			"exhibit": "exhibitNumber of a ProvenanceRecord", "event": "name of an InvestigativeAction",
			"seal": "hash of a File seal.txt", "outer_sha256": "hash of a File", "time.utc": "startTime and endTime",
			"actor.id": "externalIdentifier of the performer", "actor.name": "name of the performer",
			"to.id": "externalIdentifier of a participant", "to.name": "name of a participant",
			"place": "name of a Location", "medium.type": "deviceType of a Device", "medium.model": "model of a Device",
			"medium.serial": "serialNumber of a Device", "tool.name": "name of a Tool", "tool.ver": "version of a Tool",
			"attach.name": "fileName of a File", "attach.sha256": "hash of a File",
			"digest": "hash of the event's File", "file": "fileName of the event's File",
		},
		Lost: append([]string{
			lostOrder, lostNanos,
			"Time stamps and witnesses: UCO has no term that says what they prove.",
		}, lostProof...),
	}
	FormatPROV = Format{
		Name: "prov", Standard: "W3C PROV-DM, PROV-JSON",
		Terms: map[string]string{
			"event": "prov:type and prov:label of an activity", "time.utc": "prov:startTime and prov:endTime", "place": "prov:location",
			"actor.id": "agent with prov:role actor", "actor.name": "prov:label of that agent", "actor.org": "attribute of that agent", "actor.role": "attribute of that agent", "actor.key": "attribute of that agent",
			"to.id": "agent with prov:role other side", "to.name": "prov:label of that agent", "to.org": "attribute of that agent", "to.role": "attribute of that agent", "to.key": "attribute of that agent",
			"tool.name": "prov:SoftwareAgent", "tool.ver": "attribute of that agent", "tool.sha256": "attribute of that agent",
			"seal": "entity that was used", "outer_sha256": "entity that was used",
			"attach.name": "entity that was used", "attach.sha256": "attribute of that entity",
			"file": "prov:label of the entity of the event's file",
		},
		Lost: append([]string{
			lostOrder, lostNanos,
			"PROV has no word for proof: a reader who knows PROV alone sees that an event is unproven by its label only, and by the missing wasAttributedTo.",
		}, lostProof...),
	}
	FormatInToto = Format{
		Name: "in-toto", Standard: "in-toto Attestation Framework, Statement v1",
		Terms: predicateTerms(),
		Lost: append([]string{
			"The statement is not signed, nor in a DSSE envelope: DSSE wants a raw signature, and the keys of a case sign SSHSIG alone, in namespaces of ours. Its SHA-256 stands in the signed event `exported` of the custody log.",
			"Integers beyond 2^53 (`size`, `time.mono`), in programs that read JSON numbers as doubles.",
		}, lostProof...),
	}
	FormatPREMIS = Format{
		Name: "premis", Standard: "PREMIS Data Dictionary 3.0, XML schema 3.0",
		Terms: map[string]string{
			"event": "eventType", "time.utc": "eventDateTime", "digest": "eventIdentifierValue",
			"actor.id": "agentIdentifierValue", "actor.name": "agentName", "actor.org": "agentNote", "actor.role": "agentNote", "actor.key": "agentIdentifierValue",
			"to.id": "agentIdentifierValue", "to.name": "agentName", "to.org": "agentNote", "to.role": "agentNote", "to.key": "agentIdentifierValue",
			"tool.name": "agentName", "tool.ver": "agentVersion", "tool.sha256": "agentIdentifierValue",
			"exhibit": "objectIdentifierValue of an intellectual entity", "case": "objectIdentifierValue of an intellectual entity",
			"seal": "messageDigest of a file seal.txt", "outer_sha256": "messageDigest of a file",
			"attach.name": "originalName of a file", "attach.sha256": "messageDigest of a file",
			"verdict": "eventOutcome", "problems": "eventOutcomeDetailNote",
		},
		Lost: append([]string{
			lostNanos,
			"Links between events: PREMIS knows none; `prev` is a private term.",
			"Characters that XML 1.0 has no spelling for (U+0000–U+001F but tab, line feed and return; U+FFFE, U+FFFF) are written `\\uXXXX`; in a text that holds one, or holds `\\u`, each backslash is doubled, so that the text can be restored.",
		}, lostProof...),
	}
	FormatBagIt = Format{
		Name: "bagit", Standard: "BagIt 1.0 (RFC 8493)",
		Terms: bagTerms(),
		Lost: []string{
			"Nothing: the payload holds the log's own files and the bundle, byte for byte. The bag proves that they are whole, not who signed them: `exhibit custody verify`, or the commands of docs/custody.md, do that inside `data/`.",
			"A `%` in a file name is written `%25`, as RFC 8493 demands; bagit-python 1.9.0 does not read that back and misses the file.",
			"The bag is not signed; the SHA-256 of its tagmanifest stands in the signed event `exported` of the custody log.",
		},
	}
)

func predicateTerms() map[string]string {
	terms := map[string]string{}
	for _, f := range fields {
		terms[f] = "`predicate.exhibit.events[].record." + f + "`"
		if slices.Contains(checked, f) {
			terms[f] = "`predicate.exhibit.events[]." + f + "`"
		}
	}
	terms["outer_sha256"] += ", and a subject"
	terms["seal"] += ", and a subject"
	return terms
}

func bagTerms() map[string]string {
	terms := map[string]string{}
	for _, f := range fields {
		switch {
		case f == "digest":
			terms[f] = "checksum in manifest-sha256.txt"
		case f == "number", f == "file":
			terms[f] = "name of the payload file"
		case slices.Contains(checked, f):
			terms[f] = "follows from the files of the payload"
		default:
			terms[f] = "in the payload file, verbatim"
		}
	}
	return terms
}

// findings are the answers of a verification in words, one line each: the
// verdict of every question, its sentence and what was found.
func findings(r chainofcustody.Report) []string {
	var list []string
	for _, l := range r.Layers {
		list = append(list, fmt.Sprintf("%s: %s: %s", l.Name, l.Verdict, l.Sentence))
		for _, d := range l.Details {
			list = append(list, fmt.Sprintf("%s: %s", l.Name, d))
		}
	}
	return list
}
