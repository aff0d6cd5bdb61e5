// Package sysmon reads the events that Sysmon for Linux writes to syslog: one
// XML document in one line, in the schema of Windows events.
//
//	<Event><System><Provider Name="Linux-Sysmon" …/><EventID>1</EventID>…</System>
//	<EventData><Data Name="Image">/bin/ls</Data>…</EventData></Event>
//
// Source: SysmonForLinux, sysmonCommon and eventsCommon: values have &, <, >,
// and both quotes written as entities. A line that syslog cut short is read up
// to its last whole value.
package sysmon

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// dataMax bounds the values of one event. The largest has some thirty.
const dataMax = 128

// Value is a named value. Name is part of the message; Text is, where it has
// no entities.
type Value struct{ Name, Text []byte }

// Event is one event. Its bytes are good until Read is called again.
type Event struct {
	ID       []byte // number of the event's kind
	RecordID []byte
	Time     []byte // when Sysmon saw it: RFC 3339, UTC
	Computer []byte
	UserID   []byte // account Sysmon runs as
	Data     []Value
	Whole    bool // the document is complete

	text []byte // values without their entities
}

// Read reads a message and reports whether it is such an event.
func (e *Event) Read(msg []byte) bool {
	*e = Event{Data: e.Data[:0], text: e.text[:0]}
	if !bytes.HasPrefix(msg, []byte("<Event>")) && !bytes.HasPrefix(msg, []byte("<Event ")) {
		return false
	}
	system, data, _ := bytes.Cut(msg, []byte("</System>"))
	if !bytes.Contains(system, []byte(`Name="Linux-Sysmon"`)) {
		return false
	}
	e.ID = element(system, "EventID")
	if len(e.ID) == 0 {
		return false
	}
	e.RecordID, e.Computer = element(system, "EventRecordID"), e.unescape(element(system, "Computer"))
	e.Time, e.UserID = attribute(system, `<TimeCreated SystemTime="`), attribute(system, `<Security UserId="`)
	e.values(data)
	e.Whole = bytes.HasSuffix(bytes.TrimSpace(msg), []byte("</Event>"))
	return true
}

// element returns what stands between the tags of the first such element.
func element(b []byte, name string) []byte {
	_, rest, ok := bytes.Cut(b, []byte("<"+name+">"))
	if !ok {
		return nil
	}
	text, _, ok := bytes.Cut(rest, []byte("</"+name+">"))
	if !ok {
		return nil
	}
	return text
}

// attribute returns what stands behind the text up to the next quote.
func attribute(b []byte, before string) []byte {
	_, rest, ok := bytes.Cut(b, []byte(before))
	if !ok {
		return nil
	}
	text, _, ok := bytes.Cut(rest, []byte{'"'})
	if !ok {
		return nil
	}
	return text
}

func (e *Event) values(b []byte) {
	for len(e.Data) < dataMax {
		_, rest, ok := bytes.Cut(b, []byte(`<Data Name="`))
		if !ok {
			return
		}
		name, rest, ok := bytes.Cut(rest, []byte(`">`))
		if !ok || bytes.ContainsAny(name, `<>"`) {
			return
		}
		text, after, ok := bytes.Cut(rest, []byte("</Data>"))
		if !ok {
			return
		}
		e.Data = append(e.Data, Value{name, e.unescape(text)})
		b = after
	}
}

// Get returns the value of a name, nil where there is none.
func (e *Event) Get(name string) []byte {
	for i := range e.Data {
		if string(e.Data[i].Name) == name {
			return e.Data[i].Text
		}
	}
	return nil
}

// unescape undoes entities, once: what they stand for is not looked at again.
func (e *Event) unescape(b []byte) []byte {
	if bytes.IndexByte(b, '&') < 0 {
		return b
	}
	from := len(e.text)
	for len(b) > 0 {
		i := bytes.IndexByte(b, '&')
		if i < 0 {
			i = len(b)
		}
		e.text, b = append(e.text, b[:i]...), b[i:]
		if len(b) == 0 {
			break
		}
		n := 1
		if end := bytes.IndexByte(b[:min(len(b), 12)], ';'); end > 0 {
			if r, ok := entity(b[1:end]); ok {
				e.text = utf8.AppendRune(e.text, r)
				n = end + 1
			}
		}
		if n == 1 {
			e.text = append(e.text, '&')
		}
		b = b[n:]
	}
	return e.text[from:len(e.text):len(e.text)]
}

// entity returns the character that one of XML's own entities or a number
// stands for.
func entity(name []byte) (rune, bool) {
	switch string(name) {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	if len(name) < 2 || name[0] != '#' {
		return 0, false
	}
	digits, base := string(name[1:]), 10
	if digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, base, 21)
	if err != nil || !utf8.ValidRune(rune(n)) {
		return 0, false
	}
	return rune(n), true
}
