package parsers

import (
	"context"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/authmsg"
	"github.com/exhibit-dfir/exhibit/analyze/format/evtx"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// windowsEvtx reads Windows event logs (.evtx). One event per record:
//
//	ts           System/TimeCreated; attr written is the time in the record's
//	             header where it is another
//	rec_off/len  the record
//	rec_no       System/EventRecordID; attr record_id is the record's own
//	             number where it is another (exported logs)
//	host         System/Computer
//	flags        carved: found in the slack of a chunk, it may be a copy of a
//	             record or older than the log; unlinked: its chunk does not
//	             list it; corrupt: some of its values could not be read
//
// Every value of the record is an attribute under its own name, values of
// System too. For events that are known by provider and number (the table is
// in evtx_meanings.go) action, outcome and category say what they mean, and
// their accounts, processes, addresses, files and so on go to their columns
// too. Attr template=other says that the names of the values come from a
// template of the same id elsewhere in the file: the record's own was written
// over.
var windowsEvtx = register(analyze.Parser{
	Name:    "windows_evtx",
	Doc:     "Windows event logs, with what lies in the slack of their chunks",
	Version: 1,
	Family:  "evtx",
	Types:   []string{"windows:evtx:record"},
	Match:   func(_ *evidence.Item, head []byte) bool { return evtx.IsEvtx(head) },
	Parse:   parseEvtx,
})

func parseEvtx(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	at, size, err := src.RandomAccess()
	if at == nil {
		return err
	}
	if err != nil {
		out.Problem(evidence.Corrupt, -1, -1, "content ends in a decoding error: "+err.Error())
	}
	r, err := evtx.NewReader(at, size)
	if err != nil {
		return err
	}
	e := evtxEvents{out: out}
	for {
		rec, err := r.Next()
		for _, d := range r.Damage() {
			out.Problem(evidence.Code(d.Loss), d.Offset, d.Length, d.Detail)
		}
		if errors.Is(err, io.EOF) || out.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
		e.event(rec)
	}
}

// evtxEvents makes events of records.
type evtxEvents struct {
	out     *timeline.Appender
	message []byte
	key     []byte
	said    authmsg.Fields
}

// evtxSystem are the attributes of System that have no column of their own.
var evtxSystem = [...]struct {
	field evtx.Field
	attr  string
}{
	{evtx.Provider, "Provider"},
	{evtx.ProviderGUID, "Provider.Guid"},
	{evtx.EventSourceName, "Provider.EventSourceName"},
	{evtx.Qualifiers, "EventID.Qualifiers"},
	{evtx.Version, "Version"},
	{evtx.Level, "Level"},
	{evtx.Task, "Task"},
	{evtx.Opcode, "Opcode"},
	{evtx.Keywords, "Keywords"},
	{evtx.ActivityID, "Correlation.ActivityID"},
	{evtx.RelatedActivityID, "Correlation.RelatedActivityID"},
	{evtx.ProcessID, "Execution.ProcessID"},
	{evtx.ThreadID, "Execution.ThreadID"},
	{evtx.UserID, "Security.UserID"},
}

func (e *evtxEvents) event(rec *evtx.Record) {
	out := e.out
	ev := out.Event(rec.Offset, rec.Length)
	ev.DataType, ev.SourceShort, ev.SourceLong = "windows:evtx:record", "EVT", "WinEVTX"
	ev.TSDesc, ev.TSKind = "Event Logged", timeline.Recorded
	e.time(ev, rec)
	ev.RecNo = int64(min(rec.ID, math.MaxInt64))
	if n, ok := parseInt(rec.System[evtx.EventRecordID]); ok && n != ev.RecNo {
		out.AttrInt("record_id", ev.RecNo)
		ev.RecNo = n
	}
	if rec.Carved {
		ev.Flags |= timeline.Carved
	}
	if rec.Unlinked {
		ev.Flags |= timeline.Unlinked
	}
	if rec.Escaped {
		ev.Flags |= timeline.EscapedText
	}
	if rec.Damage != "" {
		ev.Flags |= timeline.CorruptRec
		out.AttrStr("damage", rec.Damage)
		if !rec.Carved {
			out.Problem(evidence.Corrupt, rec.Offset, rec.Length, rec.Damage)
		}
	}
	if rec.Foreign {
		out.AttrStr("template", "other")
	}
	if computer := rec.System[evtx.Computer]; len(computer) > 0 {
		ev.Host = out.Intern(computer)
	}
	ev.EventCode = out.Intern(rec.System[evtx.EventID])
	ev.Channel = out.Intern(rec.System[evtx.Channel])
	ev.SID = out.Intern(rec.System[evtx.UserID])
	for _, s := range evtxSystem {
		if v := rec.System[s.field]; len(v) > 0 {
			out.AttrRaw(s.attr, out.Intern(v), 's')
		}
	}
	for i := range rec.Data {
		d := &rec.Data[i]
		if len(d.Value) > valueMax {
			out.AttrStr("cut", d.Key+" "+strconv.Itoa(len(d.Value)))
		}
		e.key = append(e.key[:0], d.Key...)
		out.AttrRaw(out.Intern(e.key), out.Text(cutText(d.Value)), 's')
	}
	meaning := evtxMeaning(rec)
	if meaning != nil {
		ev.Action, ev.Outcome, ev.Category = meaning.action, meaning.outcome, meaning.category
		for _, c := range meaning.columns {
			e.column(ev, rec, c)
		}
	}
	ev.Message = e.text(ev, rec, meaning)
	e.sshd(ev, rec)
}

// sshd reads the messages of OpenSSH for Windows, which are those of sshd.
func (e *evtxEvents) sshd(ev *timeline.Event, rec *evtx.Record) {
	if string(rec.System[evtx.Provider]) != "OpenSSH" {
		return
	}
	process, _ := rec.Get("process")
	payload, _ := rec.Get("payload")
	if authmsg.Parse(process, payload, &e.said) {
		applyMessage(ev, e.out, &e.said)
	}
}

// time sets the event's clock columns.
func (e *evtxEvents) time(ev *timeline.Event, rec *evtx.Record) {
	filetime := rec.Created
	if filetime == 0 {
		filetime = rec.Written
	} else if rec.Written != filetime {
		if ns, ok := evtx.Nanos(rec.Written); ok {
			e.out.AttrRaw("written", e.out.Str(time.Unix(0, ns).UTC().Format(time.RFC3339Nano)), 't')
		}
	}
	setFiletime(ev, filetime)
}

// setFiletime sets the time of an event from a FILETIME, 100 ns since 1601 UTC.
func setFiletime(ev *timeline.Event, filetime uint64) {
	switch ns, ok := evtx.Nanos(filetime); {
	case ok:
		ev.SetNanos(ns)
		ev.TSPrec, ev.TZSrc = timeline.HundredNano, timeline.ZoneFormat
	case filetime == 0 || filetime >= math.MaxInt64:
		ev.TSState = timeline.TimeSentinel
	case filetime < 116444736000000000:
		ev.TSState = timeline.TimeBefore
	default:
		ev.TSState = timeline.TimeAfter
	}
}

// messageMax bounds the values that a message repeats: they are attributes.
const messageMax = 1 << 10

// text says what the event means, where that is known, and gives its values.
func (e *evtxEvents) text(ev *timeline.Event, rec *evtx.Record, m *evtxMeant) string {
	b := e.message[:0]
	if m != nil {
		b = append(b, m.title...)
	} else if text, ok := rec.Get("RenderingInfo.Message"); ok && len(text) > 0 {
		b = append(b, cutText(text)...)
	} else {
		b = append(append(append(b, rec.System[evtx.Provider]...), ' '), ev.EventCode...)
	}
	room := len(b) + messageMax
	for i := range rec.Data {
		d := &rec.Data[i]
		if len(d.Value) == 0 || string(d.Value) == "-" || strings.HasPrefix(d.Key, "RenderingInfo.") {
			continue
		}
		if len(b)+len(d.Key)+len(d.Value)+4 > room {
			b = append(b, " …"...)
			break
		}
		b = append(append(b, ' '), d.Key...)
		b = append(append(b, '='), d.Value...)
	}
	e.message = b
	if len(b) == 0 || len(b) == 1 {
		return "record without readable values"
	}
	return e.out.Text(b)
}

// column puts one value where it belongs. "-" and empty are Windows' ways to
// say nothing.
func (e *evtxEvents) column(ev *timeline.Event, rec *evtx.Record, c evtxColumn) {
	if v, ok := rec.Get(c.key); ok && len(v) > 0 && string(v) != "-" {
		setColumn(ev, e.out, c.column, v)
	}
}
