package chainofcustody

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/evidence"
)

// ErrEvent says that an event cannot be written or read as a record.
var ErrEvent = errors.New("not a custody event")

// MaxEventSize bounds an event file, line end included.
const MaxEventSize = 64 << 10

// Encode returns the event's file: one line of JSON in the one spelling of
// docs/format/custody.md, line end included. Errors are ErrEvent.
func (e Event) Encode() ([]byte, error) {
	if err := e.validate(); err != nil {
		return nil, err
	}
	o := object{buf: make([]byte, 0, 1024)}
	o.open()
	o.integer("v", EventVersion)
	o.required("case", e.Case)
	o.required("exhibit", e.Exhibit)
	o.required("event", string(e.Kind))
	prev := make([]string, len(e.Prev))
	for i, d := range e.Prev {
		prev[i] = d.String()
	}
	o.list("prev", prev)
	o.digest("seal", e.Seal)
	o.digest("outer_sha256", e.OuterSHA256)
	o.positive("size", e.Size)
	o.person("actor", &e.Actor)
	o.person("to", e.To)
	o.time(e.Time)
	o.text("place", e.Place)
	o.text("purpose", e.Purpose)
	o.text("authority", e.Authority)
	e.encodeDetails(&o)
	o.close()
	line := append(o.buf, '\n')
	if len(line) > MaxEventSize {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", ErrEvent, len(line), MaxEventSize)
	}
	return line, nil
}

func (e Event) encodeDetails(o *object) {
	if m := e.Medium; m != nil {
		o.key("medium")
		o.open()
		o.text("type", m.Type)
		o.text("make", m.Make)
		o.text("model", m.Model)
		o.text("serial", m.Serial)
		o.text("seal_bag", m.SealBag)
		o.close()
	}
	if t := e.Tool; t != nil {
		o.key("tool")
		o.open()
		o.required("name", t.Name)
		o.text("ver", t.Ver)
		o.digest("sha256", t.SHA256)
		o.close()
	}
	if c := e.Check; c != nil {
		o.key("check")
		o.open()
		o.text("before", c.Before)
		o.text("after", c.After)
		o.required("result", c.Result)
		o.close()
	}
	if len(e.Refs) > 0 {
		o.list("refs", e.Refs)
	}
	o.text("note", e.Note)
	if len(e.Attach) > 0 {
		o.key("attach")
		o.buf = append(o.buf, '[')
		for i, a := range e.Attach {
			if i > 0 {
				o.buf = append(o.buf, ',')
			}
			o.open()
			o.required("name", a.Name)
			o.digest("sha256", a.SHA256)
			o.close()
		}
		o.buf = append(o.buf, ']')
	}
}

// validate holds the rules that both writer and reader keep.
func (e Event) validate() error {
	switch {
	case !validCaseID(e.Case):
		return fmt.Errorf("%w: case id %q", ErrEvent, e.Case)
	case !IsExhibit(e.Exhibit):
		return fmt.Errorf("%w: exhibit number %q", ErrEvent, e.Exhibit)
	case !slices.Contains(EventKinds(), e.Kind):
		return fmt.Errorf("%w: event %q is not in the vocabulary", ErrEvent, e.Kind)
	case e.Size < 0:
		return fmt.Errorf("%w: size %d", ErrEvent, e.Size)
	case e.Actor.ID == "" || e.Actor.Key == "":
		return fmt.Errorf("%w: actor has no id or no key", ErrEvent)
	case e.To != nil && e.To.ID == "":
		return fmt.Errorf("%w: receiver has no id", ErrEvent)
	case e.Tool != nil && e.Tool.Name == "", e.Check != nil && e.Check.Result == "":
		return fmt.Errorf("%w: tool without name or check without result", ErrEvent)
	case e.Medium != nil && *e.Medium == Medium{}:
		return fmt.Errorf("%w: medium is empty", ErrEvent)
	}
	for i, d := range e.Prev {
		if d.IsZero() || i > 0 && e.Prev[i-1].String() >= d.String() {
			return fmt.Errorf("%w: parents are not in ascending order", ErrEvent)
		}
	}
	for _, a := range e.Attach {
		if a.Name == "" || a.SHA256.IsZero() {
			return fmt.Errorf("%w: attachment without name or hash", ErrEvent)
		}
	}
	if slices.Contains(e.Refs, "") {
		return fmt.Errorf("%w: empty reference", ErrEvent)
	}
	if err := e.Time.validate(); err != nil {
		return err
	}
	return e.validateText()
}

func (t EventTime) validate() error {
	year := t.UTC.UTC().Year()
	switch {
	case t.UTC.IsZero() || year < 1970 || year > 9999:
		return fmt.Errorf("%w: time %v", ErrEvent, t.UTC)
	case t.TZ != "" && !validZone(t.TZ):
		return fmt.Errorf("%w: zone %q is not like +02:00", ErrEvent, t.TZ)
	case !slices.Contains([]string{"system", "ntp", "gps", "tsa", "manual"}, t.Source):
		return fmt.Errorf("%w: time source %q", ErrEvent, t.Source)
	case t.UncertaintyMS != nil && *t.UncertaintyMS < 0, t.Mono < 0:
		return fmt.Errorf("%w: negative uncertainty or monotonic time", ErrEvent)
	}
	return nil
}

func validZone(s string) bool {
	if len(s) != 6 || s[0] != '+' && s[0] != '-' || s == "-00:00" {
		return false
	}
	_, err := time.Parse("15:04", s[1:])
	return err == nil
}

func (e Event) validateText() error {
	texts := []string{e.Place, e.Purpose, e.Authority, e.Note, e.Time.BootID}
	people := []*Person{&e.Actor, e.To}
	for _, p := range people {
		if p != nil {
			texts = append(texts, p.ID, p.Name, p.Org, p.Role, p.Key)
		}
	}
	if m := e.Medium; m != nil {
		texts = append(texts, m.Type, m.Make, m.Model, m.Serial, m.SealBag)
	}
	if t := e.Tool; t != nil {
		texts = append(texts, t.Name, t.Ver)
	}
	if c := e.Check; c != nil {
		texts = append(texts, c.Before, c.After, c.Result)
	}
	for _, a := range e.Attach {
		texts = append(texts, a.Name)
	}
	for _, s := range append(texts, e.Refs...) {
		if err := checkText(s); err != nil {
			return fmt.Errorf("%w: %w", ErrEvent, err)
		}
	}
	return nil
}

func checkText(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("text %q is not UTF-8", s)
	}
	return nil
}

// object writes JSON with keys in the order of the calls. Empty text and
// zero values are left out, so that one event has one spelling.
type object struct {
	buf   []byte
	comma bool
}

func (o *object) open()  { o.buf, o.comma = append(o.buf, '{'), false }
func (o *object) close() { o.buf, o.comma = append(o.buf, '}'), true }

func (o *object) key(name string) {
	if o.comma {
		o.buf = append(o.buf, ',')
	}
	o.comma = true
	o.buf = append(append(append(o.buf, '"'), name...), '"', ':')
}

func (o *object) required(name, s string) {
	o.key(name)
	o.buf = appendJSONString(o.buf, s)
}

func (o *object) text(name, s string) {
	if s != "" {
		o.required(name, s)
	}
}

func (o *object) digest(name string, d evidence.Digest) {
	if !d.IsZero() {
		o.required(name, d.String())
	}
}

func (o *object) integer(name string, n int64) {
	o.key(name)
	o.buf = strconv.AppendInt(o.buf, n, 10)
}

func (o *object) positive(name string, n int64) {
	if n > 0 {
		o.integer(name, n)
	}
}

func (o *object) list(name string, values []string) {
	o.key(name)
	o.buf = append(o.buf, '[')
	for i, s := range values {
		if i > 0 {
			o.buf = append(o.buf, ',')
		}
		o.buf = appendJSONString(o.buf, s)
	}
	o.buf = append(o.buf, ']')
}

func (o *object) person(name string, p *Person) {
	if p == nil {
		return
	}
	o.key(name)
	o.open()
	o.required("id", p.ID)
	o.text("name", p.Name)
	o.text("org", p.Org)
	o.text("role", p.Role)
	o.text("key", p.Key)
	o.close()
}

func (o *object) time(t EventTime) {
	o.key("time")
	o.open()
	o.required("utc", t.UTC.UTC().Format(eventTimeLayout))
	o.text("tz", t.TZ)
	o.required("source", t.Source)
	if t.OffsetMS != nil {
		o.integer("offset_ms", *t.OffsetMS)
	}
	if t.UncertaintyMS != nil {
		o.integer("uncertainty_ms", *t.UncertaintyMS)
	}
	o.positive("mono", t.Mono)
	o.text("boot_id", t.BootID)
	o.close()
}

// appendJSONString escapes what JSON demands and every character that could
// act on the terminal of somebody who reads the log with cat: C0 and C1
// controls, DEL, line separators and bidirectional controls.
func appendJSONString(buf []byte, s string) []byte {
	buf = append(buf, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			buf = append(buf, '\\', byte(r))
		case r == '\n':
			buf = append(buf, '\\', 'n')
		case r == '\t':
			buf = append(buf, '\\', 't')
		case escapedRune(r):
			buf = append(buf, `\u`...)
			hex := strconv.FormatInt(int64(r), 16)
			buf = append(append(buf, strings.Repeat("0", 4-len(hex))...), hex...)
		default:
			buf = utf8.AppendRune(buf, r)
		}
	}
	return append(buf, '"')
}

func escapedRune(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x061c || r == 0x200e || r == 0x200f ||
		r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff
}
