package chainofcustody

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// record is the wire form of an event.
type record struct {
	V           int64      `json:"v"`
	Case        string     `json:"case"`
	Exhibit     string     `json:"exhibit"`
	Event       EventKind  `json:"event"`
	Prev        []string   `json:"prev"`
	Seal        string     `json:"seal"`
	OuterSHA256 string     `json:"outer_sha256"`
	Size        int64      `json:"size"`
	Actor       personRec  `json:"actor"`
	To          *personRec `json:"to"`
	Time        struct {
		UTC           string `json:"utc"`
		TZ            string `json:"tz"`
		Source        string `json:"source"`
		OffsetMS      *int64 `json:"offset_ms"`
		UncertaintyMS *int64 `json:"uncertainty_ms"`
		Mono          int64  `json:"mono"`
		BootID        string `json:"boot_id"`
	} `json:"time"`
	Place     string `json:"place"`
	Purpose   string `json:"purpose"`
	Authority string `json:"authority"`
	Medium    *struct {
		Type    string `json:"type"`
		Make    string `json:"make"`
		Model   string `json:"model"`
		Serial  string `json:"serial"`
		SealBag string `json:"seal_bag"`
	} `json:"medium"`
	Tool *struct {
		Name   string `json:"name"`
		Ver    string `json:"ver"`
		SHA256 string `json:"sha256"`
	} `json:"tool"`
	Check *struct {
		Before string `json:"before"`
		After  string `json:"after"`
		Result string `json:"result"`
	} `json:"check"`
	Refs   []string `json:"refs"`
	Note   string   `json:"note"`
	Attach []struct {
		Name   string `json:"name"`
		SHA256 string `json:"sha256"`
	} `json:"attach"`
}

type personRec struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Org  string `json:"org"`
	Role string `json:"role"`
	Key  string `json:"key"`
}

// ParseEvent reads an event file. Only the one spelling that Encode writes is
// accepted: unknown or repeated fields, other orders, white space, other
// escapes and sizes above MaxEventSize are ErrEvent; a higher version is
// ErrNewerSchema. Digest is filled; Number and File are not.
func ParseEvent(data []byte) (Event, error) {
	if len(data) > MaxEventSize {
		return Event{}, fmt.Errorf("%w: %d bytes, more than %d", ErrEvent, len(data), MaxEventSize)
	}
	var version struct {
		V int64 `json:"v"`
	}
	if err := json.Unmarshal(data, &version); err == nil && version.V > EventVersion {
		return Event{}, fmt.Errorf("custody event of version %d: %w", version.V, ErrNewerSchema)
	}
	var r record
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	e, err := r.event()
	if err != nil {
		return Event{}, err
	}
	canonical, err := e.Encode()
	if err != nil {
		return Event{}, err
	}
	if !bytes.Equal(canonical, data) {
		return Event{}, fmt.Errorf("%w: byte %d departs from the one spelling", ErrEvent, firstDifference(canonical, data))
	}
	e.Digest = evidence.Sum(data)
	return e, nil
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func (r *record) event() (Event, error) {
	e := Event{
		Case: r.Case, Exhibit: r.Exhibit, Kind: r.Event, Size: r.Size,
		Actor: Person(r.Actor), Place: r.Place, Purpose: r.Purpose, Authority: r.Authority,
		Refs: r.Refs, Note: r.Note,
	}
	var digests digestReader
	for _, s := range r.Prev {
		e.Prev = append(e.Prev, digests.read(s))
	}
	e.Seal, e.OuterSHA256 = digests.read(r.Seal), digests.read(r.OuterSHA256)
	if r.To != nil {
		e.To = new(Person(*r.To))
	}
	if m := r.Medium; m != nil {
		e.Medium = &Medium{m.Type, m.Make, m.Model, m.Serial, m.SealBag}
	}
	if t := r.Tool; t != nil {
		e.Tool = &ToolInfo{t.Name, t.Ver, digests.read(t.SHA256)}
	}
	if c := r.Check; c != nil {
		e.Check = &Check{c.Before, c.After, c.Result}
	}
	for _, a := range r.Attach {
		e.Attach = append(e.Attach, Attachment{a.Name, digests.read(a.SHA256)})
	}
	if digests.err != nil {
		return e, fmt.Errorf("%w: %w", ErrEvent, digests.err)
	}
	utc, err := time.Parse(eventTimeLayout, r.Time.UTC)
	if err != nil {
		return e, fmt.Errorf("%w: time %q", ErrEvent, r.Time.UTC)
	}
	e.Time = EventTime{
		UTC: utc, TZ: r.Time.TZ, Source: r.Time.Source, OffsetMS: r.Time.OffsetMS,
		UncertaintyMS: r.Time.UncertaintyMS, Mono: r.Time.Mono, BootID: r.Time.BootID,
	}
	return e, nil
}

// digestReader keeps the first error of many digests; "" is none.
type digestReader struct{ err error }

func (r *digestReader) read(s string) evidence.Digest {
	if s == "" {
		return evidence.Digest{}
	}
	d, err := evidence.ParseDigest(s)
	if err != nil && r.err == nil {
		r.err = err
	}
	return d
}
