package evtx

import (
	"encoding/binary"
	"math"
	"time"
)

// Field is a value of an event's System element.
type Field int

// The fields of System.
const (
	Provider Field = iota
	ProviderGUID
	EventSourceName
	EventID
	Qualifiers
	Version
	Level
	Task
	Opcode
	Keywords
	TimeCreated
	EventRecordID
	ActivityID
	RelatedActivityID
	ProcessID
	ThreadID
	Channel
	Computer
	UserID

	fields
)

// Datum is one value outside of System, as text: numbers in decimal or, where
// the log says so, hexadecimal; GUIDs in braces; SIDs as S-1-…; times as RFC
// 3339 with their full precision; bytes as hexadecimal digits.
type Datum struct {
	Key   string
	Value []byte
}

// Record is one event. It is good until the next call of Reader.Next.
type Record struct {
	Offset, Length int64  // in the file
	ID             uint64 // of the record; an exported log counts anew, System has the event's own
	Written        uint64 // FILETIME of the record
	Created        uint64 // FILETIME in System/TimeCreated; 0 when there is none
	Carved         bool   // found in slack: may be old, may be a copy
	Unlinked       bool   // after the end that the chunk states, but in sequence
	Foreign        bool   // its template was written over; one of the same id stood in
	Escaped        bool   // some text was no UTF-16 and has \uNNNN in it
	Damage         string // why values are missing or changed; empty when none are

	System [fields][]byte
	Data   []Datum

	buf    []byte // text of all values
	ends   []int  // end of each datum in buf
	begins []int  // begin of each
	sys    [fields][2]int
	values []value // of the template instances being written
	depth  int
}

func (r *Record) begin(offset int64, b []byte) {
	r.Offset, r.Length = offset, int64(len(b))
	r.ID = binary.LittleEndian.Uint64(b[8:])
	r.Written = binary.LittleEndian.Uint64(b[16:])
	r.Created = 0
	r.Carved, r.Unlinked, r.Foreign, r.Escaped, r.Damage = false, false, false, false, ""
	r.System = [fields][]byte{}
	r.sys = [fields][2]int{}
	r.Data, r.buf, r.begins, r.ends, r.values, r.depth = r.Data[:0], r.buf[:0], r.begins[:0], r.ends[:0], r.values[:0], 0
}

// finish turns places in buf, which moved while it grew, into slices.
func (r *Record) finish() {
	for f, at := range r.sys {
		if at[1] > at[0] {
			r.System[f] = r.buf[at[0]:at[1]:at[1]]
		}
	}
	for i := range r.Data {
		r.Data[i].Value = r.buf[r.begins[i]:r.ends[i]:r.ends[i]]
	}
}

// hurt notes the first reason why the record is not whole.
func (r *Record) hurt(why string) {
	if r.Damage == "" {
		r.Damage = why
	}
}

// put ends a value that begins at from.
func (r *Record) put(l *leaf, key string, from int) {
	if l.field >= 0 {
		r.sys[l.field] = [2]int{from, len(r.buf)}
		return
	}
	r.Data = append(r.Data, Datum{Key: key})
	r.begins = append(r.begins, from)
	r.ends = append(r.ends, len(r.buf))
}

// Get returns the first datum of that key.
func (r *Record) Get(key string) ([]byte, bool) {
	for i := range r.Data {
		if r.Data[i].Key == key {
			return r.Data[i].Value, true
		}
	}
	return nil, false
}

// epoch is 1970-01-01 as a FILETIME.
const epoch = 116444736000000000

// Nanos converts a FILETIME to nanoseconds since 1970 UTC; ok is false for
// times outside of 1677 to 2262 and for 0.
func Nanos(filetime uint64) (ns int64, ok bool) {
	if filetime == 0 || filetime > math.MaxInt64 {
		return 0, false
	}
	ticks := int64(filetime) - epoch
	if ticks > math.MaxInt64/100 || ticks < math.MinInt64/100 {
		return 0, false
	}
	return ticks * 100, true
}

// parseTime reads the time of an event that carries it as text (forwarded and
// exported events); 0 when it is none.
func parseTime(b []byte) uint64 {
	t, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil || t.Year() < 1601 || t.Year() > 9999 {
		return 0
	}
	return uint64((t.Unix()+11644473600)*1e7 + int64(t.Nanosecond())/100)
}
