package chainofcustody

import (
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// EventKind says what was done to an exhibit. The values are the "event"
// field of the record and part of its file name (docs/format/custody.md).
type EventKind string

// The vocabulary of format version 1.
const (
	EventOrdered     EventKind = "ordered"     // a collection was ordered
	EventArrived     EventKind = "arrived"     // a person came to the scene
	EventCollected   EventKind = "collected"   // evidence was read from its source
	EventSealed      EventKind = "sealed"      // the bundle was closed and signed
	EventInterrupted EventKind = "interrupted" // collection ended before its plan
	EventRecovered   EventKind = "recovered"   // a readable prefix was cut from a damaged bundle
	EventCopied      EventKind = "copied"      // a working copy was made
	EventTransferred EventKind = "transferred" // given to somebody else
	EventReceived    EventKind = "received"    // taken over from somebody else
	EventRefused     EventKind = "refused"     // not taken over
	EventStored      EventKind = "stored"      // put into storage
	EventVerified    EventKind = "verified"    // checked against its seal
	EventOpened      EventKind = "opened"      // decrypted, listed or extracted
	EventAnalysed    EventKind = "analysed"    // read by an analysis
	EventDerived     EventKind = "derived"     // another exhibit was made from it
	EventExported    EventKind = "exported"    // results or parts were written out
	EventDisclosed   EventKind = "disclosed"   // parts were given out with proof
	EventReturned    EventKind = "returned"    // given back to its owner
	EventKeyChanged  EventKind = "key-changed" // a person signs with another key from here on
	EventRevoked     EventKind = "revoked"     // a key is not to be trusted from here on
	EventCorrected   EventKind = "corrected"   // an earlier event said something wrong
	EventException   EventKind = "exception"   // something did not go as it should
	EventNoted       EventKind = "noted"       // a remark
	EventWitnessed   EventKind = "witnessed"   // an outsider saw the head of the log
	EventTimestamped EventKind = "timestamped" // a time authority saw the head of the log
	EventClosed      EventKind = "closed"      // the log ends here
	EventDestroyed   EventKind = "destroyed"   // the exhibit was destroyed
)

// EventKinds is the vocabulary in the order of the specification.
func EventKinds() []EventKind {
	return []EventKind{
		EventOrdered, EventArrived, EventCollected, EventSealed, EventInterrupted, EventRecovered,
		EventCopied, EventTransferred, EventReceived, EventRefused, EventStored, EventVerified,
		EventOpened, EventAnalysed, EventDerived, EventExported, EventDisclosed, EventReturned,
		EventKeyChanged, EventRevoked, EventCorrected, EventException, EventNoted, EventWitnessed,
		EventTimestamped, EventClosed, EventDestroyed,
	}
}

// EventVersion is the "v" of every record.
const EventVersion = 1

// Event is one act on an exhibit: one signed, immutable file. Case.Append
// fills Case, Exhibit, Prev, Actor and, where it is zero, Time; the caller
// fills Kind and what applies of the rest. All text is UTF-8.
type Event struct {
	Case        string
	Exhibit     string
	Kind        EventKind
	Prev        []evidence.Digest // SHA-256 of the files of all parents, ascending
	Seal        evidence.Digest   // seal id: SHA-256 of the bundle's seal.txt; zero before sealing
	OuterSHA256 evidence.Digest   // SHA-256 of the bundle file as it lies there
	Size        int64             // bytes of the bundle file
	Actor       Person            // who acts and signs
	To          *Person           // who takes over, for hand-overs
	Time        EventTime
	Place       string
	Purpose     string
	Authority   string // warrant, consent, policy: reference, not text
	Medium      *Medium
	Tool        *ToolInfo
	Check       *Check
	Refs        []string // what was used or made: SHA-256 values or leaf indexes "leaf:12"
	Note        string
	Attach      []Attachment

	// Where the event lies; not part of the record.
	Digest evidence.Digest // SHA-256 of the event's file
	Number int             // 1 + the highest number among the parents
	File   string          // file name inside custody/<exhibit>/
}

// Person is somebody in an event.
type Person struct {
	ID   string // principal in allowed_signers
	Name string
	Org  string
	Role string
	Key  string // fingerprint "SHA256:…"
}

// EventTime is when an event happened, by which clock, and how far that clock
// can be trusted.
type EventTime struct {
	UTC           time.Time // nanoseconds kept
	TZ            string    // local zone as "+02:00"
	Source        string    // "system", "ntp", "gps", "tsa" or "manual"
	OffsetMS      *int64    // clock minus reference, milliseconds; nil: not measured
	UncertaintyMS *int64    // milliseconds; nil: not known
	Mono          int64     // nanoseconds since boot (CLOCK_BOOTTIME); 0: not read
	BootID        string    // Linux boot id; "" where there is none
}

// Medium is the physical thing the exhibit lies on.
type Medium struct{ Type, Make, Model, Serial, SealBag string }

// ToolInfo names the program that acted.
type ToolInfo struct {
	Name   string
	Ver    string
	SHA256 evidence.Digest // of the executable file; zero when not known
}

// Check is what was compared: seal or hash before, after, and the verdict.
type Check struct{ Before, After, Result string }

// Attachment names a file that belongs to the event.
type Attachment struct {
	Name   string
	SHA256 evidence.Digest
}

// eventTimeLayout has nine digits always: one spelling per moment.
const eventTimeLayout = "2006-01-02T15:04:05.000000000Z"
