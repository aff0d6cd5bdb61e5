package evidence

import "time"

// Code classifies a Problem. Codes are part of the output formats.
type Code string

// The codes of lost or damaged evidence.
const (
	Denied       Code = "denied"             // permission refused
	Missing      Code = "missing"            // expected, not there
	Truncated    Code = "truncated"          // ends before it should
	Corrupt      Code = "corrupt"            // breaks its format
	TooBig       Code = "too-big"            // over a stated limit
	Changed      Code = "changed-while-read" // altered under the reader
	Unsupported  Code = "unsupported"        // valid, but of a variant not handled
	Undated      Code = "undated"            // a record without a usable time
	TimedOut     Code = "timed-out"          // a deadline passed
	Dropped      Code = "dropped"            // lost by the source itself, for example by the kernel's capture ring
	Panicked     Code = "panicked"           // our own code failed on this input
	Inconsistent Code = "inconsistent"       // two statements of the source disagree
	Skipped      Code = "skipped"            // left out by policy or limit
	IOError      Code = "io-error"           // the medium failed
)

// Problem is evidence that was lost, damaged or doubtful: data, stored and
// reported beside results, never only logged.
type Problem struct {
	Stage  string    // who noticed: collector or parser name
	Code   Code      // class
	Ref    Ref       // where; Ref.Offset and Ref.Length -1 when unknown
	Path   string    // original path of the item, raw bytes
	Detail string    // one line for people, no trailing period
	At     time.Time // wall clock; zero during analysis, which is deterministic
}
