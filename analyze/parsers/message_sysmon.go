package parsers

import "github.com/exhibit-dfir/exhibit/timeline"

const sysmonMessage = "syslog:sysmon"

// sysmonMessages are the events of Sysmon for Linux. Their numbers mean what
// they do on Windows. The message becomes the meaning and the values, the time
// at which Sysmon saw the event the attribute time_created: whoever may write
// to syslog can put any there, so the time of the line stays the event's.
var sysmonMessages = &serviceMessages{dataType: sysmonMessage, programs: []string{"sysmon"}, special: readSysmon}

const sysmonProvider = "microsoft-windows-sysmon" // of evtxMeanings

func readSysmon(w *lineValues, ev *timeline.Event, message []byte) bool {
	e := &w.event
	if !e.Read(message) {
		return false
	}
	out := w.out
	ev.EventCode = out.Intern(e.ID)
	if !e.Whole {
		ev.Flags |= timeline.TruncatedRec
	}
	for _, a := range [...]struct {
		key   string
		value []byte
	}{{"time_created", e.Time}, {"event_record_id", e.RecordID}, {"computer", e.Computer}, {"sysmon_uid", e.UserID}} {
		if len(a.value) > 0 {
			out.Attr(a.key, cutText(a.value))
		}
	}
	text := append(w.scratch[:0], "Sysmon event "...)
	text = append(text, e.ID...)
	meaning := evtxKnown[evtxKey{sysmonProvider, string(e.ID)}]
	if meaning != nil {
		text = append(text[:0], meaning.title...)
		setMeaning(ev, "", meaning.action, meaning.category, meaning.outcome)
		for _, c := range meaning.columns {
			t := lineTargetOf(c.column)
			w.set(ev, &t, e.Get(c.key))
		}
	}
	for _, v := range e.Data {
		if len(v.Text) == 0 || string(v.Text) == "-" {
			continue
		}
		out.AttrRaw(out.Intern(v.Name), out.Text(cutText(v.Text)), 's')
		if len(text)+len(v.Name)+len(v.Text) < messageMax {
			text = append(append(append(append(text, ' '), v.Name...), '='), v.Text...)
		}
	}
	w.scratch = text
	ev.Message = out.Text(text)
	return true
}
