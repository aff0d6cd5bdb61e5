// Package timeline holds the event record, the batches in which parsers hand
// events over, and the query language and engine interface through which they
// are read again.
//
// Events are pushed: a parser asks its Appender for an Event, fills it, asks
// for the next. They are pulled: an Engine answers queries with iterators.
// Strings of an Event live in the arena of its Batch, so a Sink that keeps an
// event must copy it (Event.Clone).
package timeline

import (
	"encoding/hex"
	"math"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// None is the value of every integer column that is not known, times included.
const None int64 = math.MinInt64

// ID is an event or content identity: the first 16 bytes of a SHA-256.
type ID [16]byte

// String returns 32 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// TimeState says whether TS can be relied on to be a time.
type TimeState uint8

// States of Event.TS. Only TimeOK events have TS other than None.
const (
	TimeOK       TimeState = iota // TS is set
	TimeNone                      // the record carries no time
	TimeBefore                    // before 1677-09-21, not representable
	TimeAfter                     // after 2262-04-11, not representable
	TimeSentinel                  // the format's "never" or "infinite"
)

// Values of Event.TSKind.
const (
	Observed  = "observed"  // somebody saw it happen then
	Recorded  = "recorded"  // it was written down then
	State     = "state"     // something was so at that time; when it began is not known
	Collected = "collected" // the collector looked then
	Derived   = "derived"   // computed from other records
)

// Values of Event.TSPrec: the precision of the source, not of the column.
const (
	Nanosecond  = "ns"
	HundredNano = "100ns"
	Microsecond = "us"
	Millisecond = "ms"
	Second      = "s"
	TwoSeconds  = "2s"
	Minute      = "min"
	Day         = "day"
)

// Values of Event.TZSrc.
const (
	ZoneInRecord   = "in-record"   // the record states its offset
	ZoneFormat     = "format"      // the format is UTC by definition
	ZoneHostConfig = "host-config" // the host's own zone setting
	ZoneUser       = "user"        // given on the command line
	ZoneAssumed    = "assumed"     // nothing known, UTC assumed
)

// Values of Event.YearSrc. Empty where the record states its year.
const (
	YearInRecord  = "in-record"
	YearGzip      = "gz-header"
	YearRotation  = "rotation"
	YearFileTimes = "file-times"
	YearMonotonic = "monotonic"
	YearUser      = "user"
	YearNone      = "none"
)

// Flags mark how an event came out of its source.
type Flags uint32

// The bits of Flags.
const (
	Carved       Flags = 1 << iota // found outside the structure that should list it
	Unlinked                       // whole, but no index of the file points at it
	CorruptRec                     // part of the record was damaged
	TruncatedRec                   // the record ends early
	InferredTime                   // part of the time was inferred (year, zone, order)
	Joined                         // made of several records
	EscapedText                    // bytes that are no UTF-8 were written as \xNN
)

var flagNames = []string{"carved", "unlinked", "corrupt", "truncated", "inferred-time", "joined", "escaped-text"}

// String returns the names of the set bits joined by commas.
func (f Flags) String() string {
	var names []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// ParseFlags is the inverse of Flags.String; unknown names are ignored.
func ParseFlags(s string) Flags {
	var f Flags
	for name := range strings.SplitSeq(s, ",") {
		for i, known := range flagNames {
			if name == known {
				f |= 1 << i
			}
		}
	}
	return f
}

// Source is where events came from: one item of one bundle, with the decoders
// that were applied to it. It is shared by all events of a job.
type Source struct {
	ID        string          // 32 hex digits: identity within the timeline, from the fields below
	Bundle    evidence.Digest // seal id of the bundle; zero outside a bundle
	Member    string          // name inside the bundle
	Index     int64           // leaf index in the bundle; -1 unknown
	Chain     string          // decoders applied first: "", "gzip", "xz", "zstd", "bzip2", "lz4"
	Path      string          // original path, raw bytes
	SHA256    evidence.Digest // of the stored item, before Chain
	Size      int64
	Inode     uint64
	Modified  time.Time
	Accessed  time.Time
	Changed   time.Time
	Born      time.Time
	Collector string
	Host      string
	HostID    string // machine-id, else ""
}

// Attr is a named value under the name its source uses. Type is one of 's'
// text, 'i' decimal integer, 'f' decimal fraction, 't' RFC 3339 time, 'b'
// base64 bytes.
type Attr struct {
	Key   string
	Value string
	Type  byte
}

// Event is one row of the timeline. The struct is the column set: Columns
// lists every field with its column name. Integer columns hold None when
// unknown, text columns "".
type Event struct {
	// Identity.
	ID        ID    // set by the Appender: source, parser, ordinal
	ContentID ID    // set when stored: host and meaning without provenance
	Seq       int64 // order within the source, from 0; set by the Appender

	// Time. All int64 nanoseconds since 1970-01-01T00:00:00Z.
	TS      int64
	TSEnd   int64 // end of a span, else None
	TSLo    int64 // earliest possible, where TS is uncertain, else None
	TSHi    int64 // latest possible, where TS is uncertain, else None
	TSState TimeState
	TSDesc  string // what happened at TS, plaso's vocabulary where it is right
	TSKind  string
	TSPrec  string
	TSRaw   string // the time as found, where it is text or had to be interpreted
	TZOff   int64  // minutes east of UTC that were applied, else None
	TZSrc   string
	YearSrc string
	Skew    int64 // ns, correction suggested for the host's clock; never applied to TS

	// What.
	Message     string
	DataType    string // plaso's name where one exists
	Action      string // ECS event.action
	Outcome     string // ECS event.outcome: success, failure, unknown
	Category    string // ECS event.category
	SourceShort string // LOG, FILE, PCAP, ...
	SourceLong  string
	Parser      string // set by the Appender
	ParserVer   int64  // set by the Appender

	// Where from.
	Source *Source // set by the Appender
	RecOff int64   // first byte of the record in the decoded item
	RecLen int64   // bytes from the first to the last of the record
	Line   int64   // 1-based line number of text
	RecNo  int64   // number the format itself gives: serial, sequence number, index
	Flags  Flags

	// Who and what was involved.
	Host, HostID, BootID     string
	User                     string
	UID                      int64
	SID                      string
	Session                  string
	PID, PPID                int64
	ProcGUID                 string
	Exe, Cmdline             string
	ParentExe, ParentCmdline string
	CWD                      string
	File, File2              string
	SHA256                   string // 64 hex digits
	SrcIP                    string
	SrcPort                  int64
	DstIP                    string
	DstPort                  int64
	Domain, URL              string
	Unit                     string
	ContainerID              string
	RegKey                   string
	EventCode                string
	Channel                  string

	Attrs []Attr // everything else, in source order
}

// blank is an Event with every integer column None.
var blank = Event{
	TS: None, TSEnd: None, TSLo: None, TSHi: None, TSState: TimeNone, TZOff: None, Skew: None,
	ParserVer: None, RecOff: None, RecLen: None, Line: None, RecNo: None,
	UID: None, PID: None, PPID: None, SrcPort: None, DstPort: None,
}

// SetTime sets TS from t, which must carry its zone.
func (e *Event) SetTime(t time.Time) {
	switch year := t.Year(); {
	case t.IsZero():
		e.TS, e.TSState = None, TimeNone
	case year < 1678:
		e.TS, e.TSState = None, TimeBefore
	case year > 2261:
		e.TS, e.TSState = None, TimeAfter
	default:
		e.TS, e.TSState = t.UnixNano(), TimeOK
	}
}

// SetNanos sets TS to ns nanoseconds since the Unix epoch.
func (e *Event) SetNanos(ns int64) { e.TS, e.TSState = ns, TimeOK }

// SetSpan sets TS and TSEnd.
func (e *Event) SetSpan(start, end int64) {
	e.SetNanos(start)
	e.TSEnd = end
}

// Time returns TS as a UTC time; ok is false for an undated event.
func (e *Event) Time() (t time.Time, ok bool) {
	if e.TSState != TimeOK {
		return time.Time{}, false
	}
	return time.Unix(0, e.TS).UTC(), true
}

// Attr returns the first attribute named key.
func (e *Event) Attr(key string) (string, bool) {
	for i := range e.Attrs {
		if e.Attrs[i].Key == key {
			return e.Attrs[i].Value, true
		}
	}
	return "", false
}

// Ref returns where the event's bytes are.
func (e *Event) Ref() evidence.Ref {
	r := evidence.Ref{Offset: e.RecOff, Length: e.RecLen}
	if e.RecOff == None {
		r.Offset = -1
	}
	if e.RecLen == None {
		r.Length = -1
	}
	if e.Source != nil {
		r.Bundle, r.Member, r.Chain = e.Source.Bundle, e.Source.Member, e.Source.Chain
	}
	return r
}

// Clone returns a copy that shares nothing with the event's batch. Source is
// immutable and stays shared.
func (e *Event) Clone() *Event {
	c := *e
	for i := range Columns {
		if col := &Columns[i]; col.Str != nil {
			p := col.Str(&c)
			*p = strings.Clone(*p)
		}
	}
	c.Attrs = make([]Attr, len(e.Attrs))
	for i, a := range e.Attrs {
		c.Attrs[i] = Attr{strings.Clone(a.Key), strings.Clone(a.Value), a.Type}
	}
	return &c
}
