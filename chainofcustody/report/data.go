// Package report writes counsel's papers: the custody report, drafts of
// certificates, the privilege log and the form for the scene. They are for
// people who were not there and have no tool of ours: they say what is proven
// and what is not, show who held the exhibit and when, and print the commands
// that check everything with stock programs.
//
// Every paper is a paper.Document, which package html or package pdf below
// paper writes. Everything in it comes from a Data that the caller fills from
// verified sources; the same Data gives the same bytes. The package is apart
// from chainofcustody so that the collector does not carry fonts and layout.
package report

import (
	"time"

	"github.com/exhibit-dfir/exhibit/chainofcustody"
)

// Data is everything a report says. Text may be hostile: every string passes
// one function before it reaches the page. Zero values are left out or named
// as not recorded.
type Data struct {
	Generated time.Time // when the report is made
	Tool      Tool      // what makes it
	Inputs    []Input   // the files it was made from

	Case    Case
	Exhibit Exhibit
	Bundle  Bundle
	Clock   Clock
	Method  Method
	Items   Items

	Verdict chainofcustody.Verdict // of everything together
	Layers  []Layer                // the questions behind it

	Events []Event // the custody log, parents before children
	Heads  []string

	Timeline *Timeline // nil: no timeline was built
	Why      *Why      // nil: no question was asked

	digest string // of the data as it was given
}

// Tool is a program.
type Tool struct{ Name, Version, SHA256 string }

// Input is a file the report was made from.
type Input struct {
	Name   string
	SHA256 string
	Size   int64
}

// Case is the matter.
type Case struct{ ID, Title, Org, Authority, Purpose string }

// Exhibit is the evidence and the machine it came from.
type Exhibit struct {
	Number      string // for example "EX-001"
	Description string
	Host        string // name of the machine
	MachineID   string
	OS          string
	Kernel      string
	Arch        string
	Examiner    string // who collected
	Authority   string
	Started     time.Time
	Finished    time.Time
	Complete    bool   // everything asked for was looked at
	EndReason   string // "completed", "cancelled", …
	Received    string `json:",omitempty"` // what it was taken out of, where it was received and not collected; else ""
}

// Bundle is the sealed container.
type Bundle struct {
	File         string // file name, without folder
	Path         string // where it lies in the case folder, "/" between names; "" means File
	Size         int64
	SHA256       string // of the file
	SealID       string // SHA-256 of seal.txt; "" when it was not sealed
	SealCode     string // 20 characters in groups
	Sealed       time.Time
	Root         string // Merkle root, as in seal.txt
	Records      int64  // leaves
	Grade        string // "A", "B" or "C": how the run's key is bound to a person
	CollectorKey string // the run's public key, authorized_keys form
	Fingerprint  string // of that key
	BoundBy      string // grade A: principal whose key signed the run's key
	CertifiedBy  string // grades A and B: principal whose key certified the run's key
	Encrypted    bool   // the file is an age envelope
	Sample       Sample // one file to check by hand; zero: chosen by the reader
}

// Sample is one item whose hash the recipe recomputes.
type Sample struct{ Member, SHA256 string }

// Clock is what is known of the collected machine's clock.
type Clock struct {
	Wall   time.Time
	Zone   string
	Source string // "system", "ntp", "gps", "manual"
	Synced string // "yes", "no" or "" for not known
	Offset string // measured against a reference, for example "+1.2 s"; "" not measured
}

// Method says how evidence was taken.
type Method struct {
	Tool       Tool // that collected; Data.Tool is what verified and reports
	Profile    string
	Command    string      // command line
	Collectors []Collector // in the order they ran
	Effects    []string    // what the collection changed on the source
}

// Collector is one part of the collection and what became of it.
type Collector struct {
	Name    string
	Doc     string
	Outcome string
	Items   int64
}

// Items counts what was collected and lists what was not.
type Items struct {
	Counts        []Count
	Content       int64 // bytes of content
	Unread        int64 // bytes lost while reading
	Failures      []Failure
	FailuresTotal int64 // may exceed len(Failures)
}

// Count is a line of the table of items.
type Count struct {
	Label string // for example "files"
	Items int64
	Bytes int64 // -1: does not apply
	Taken bool  // content was taken; false: looked at, nothing or not all obtained
}

// Failure is something that was looked for and not obtained.
type Failure struct{ Kind, Path, Reason string }

// Layer is one question of the verification and its answer.
type Layer struct {
	Subject  string // "bundle" or "custody"
	Name     string
	Verdict  chainofcustody.Verdict
	Note     bool // holds, with a remark or a limit that the sentence states
	Sentence string
	Details  []string
}

// Event is one custody event.
type Event struct {
	Number   int
	Kind     string
	Time     time.Time
	Zone     string
	Source   string // clock
	ActorID  string
	Actor    string // name
	Org      string
	Role     string
	Key      string // fingerprint
	To       string // id of the other side
	ToName   string
	Sentence string
	File     string
	SHA256   string
	Prev     []string  // SHA-256 of the events before it
	Signer   string    // principal found for the key; "" not known
	Witness  []string  // known people who counter-signed the same bytes
	Seal     string    // seal id of the bundle it speaks of; "" none
	Proven   time.Time // it existed by then, by an outside time stamp; zero: not proven
	ProvenBy string    // the authorities who say so
	Problems []string
}

// Timeline sums up the events found in the evidence.
type Timeline struct {
	Events   int64
	Undated  int64
	First    time.Time
	Last     time.Time
	Sources  []Count // events by parser
	Problems int64
	SHA256   string // of the timeline's manifest
}

// Why sums up a root cause analysis.
type Why struct {
	Question   string
	Entry      string   // the entry point ranked first
	Sentences  []string // the narrative, with citations
	Others     []string // entry points ranked lower
	Assumption []string
}

// AddCustody takes the layers, events and heads of a verified custody log
// into the report.
func (d *Data) AddCustody(r chainofcustody.Report) {
	for _, l := range r.Layers {
		d.Layers = append(d.Layers, Layer{"custody", l.Name, l.Verdict, l.Note, l.Sentence, l.Details})
	}
	for _, e := range r.Events {
		event := Event{
			Number: e.Number, Kind: string(e.Kind), Time: e.Time.UTC, Zone: e.Time.TZ, Source: e.Time.Source,
			ActorID: e.Actor.ID, Actor: e.Actor.Name, Org: e.Actor.Org, Role: e.Actor.Role, Key: e.Actor.Key,
			Sentence: e.Sentence(), File: e.File, SHA256: e.Digest.String(), Signer: e.Signer, Witness: e.Witness, Proven: e.Proven, ProvenBy: e.ProvenBy, Problems: e.Problems,
		}
		if !e.Seal.IsZero() {
			event.Seal = e.Seal.String()
		}
		for _, d := range e.Prev {
			event.Prev = append(event.Prev, d.String())
		}
		if e.To != nil {
			event.To, event.ToName = e.To.ID, e.To.Name
		}
		d.Events = append(d.Events, event)
	}
	for _, h := range r.Heads {
		d.Heads = append(d.Heads, h.String())
	}
}
