package parsers

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/authmsg"
	"github.com/exhibit-dfir/exhibit/analyze/format/journal"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// linuxJournal reads the files of systemd-journald. One event per entry:
//
//	ts           when journald received the entry (realtime of the ENTRY object)
//	rec_off/len  the ENTRY object; attr spans is "offset+length" of the DATA
//	             object that holds MESSAGE, compressed or not
//	rec_no       sequence number
//	flags        unlinked: no entry array names it (journalctl does not show
//	             it); corrupt: some of its fields could not be read
//
// _HOSTNAME, _MACHINE_ID, _BOOT_ID, _PID, _UID, _EXE, _CMDLINE,
// _SYSTEMD_UNIT, _AUDIT_SESSION, _TRANSPORT and MESSAGE_ID go to their
// columns; _SOURCE_REALTIME_TIMESTAMP to attr source_realtime, the monotonic
// clock (µs) to attr monotonic; every other field to an attribute of its own
// name, repeated fields repeatedly. Messages are read as those of linux_syslog
// are. The sender chooses
// SYSLOG_IDENTIFIER: where the kernel's _COMM names another program, attr
// identifier_not_confirmed says so, unless the unit confirms it.
var linuxJournal = register(analyze.Parser{
	Name:    "linux_journal",
	Doc:     "journal files of systemd-journald, unlinked entries included",
	Version: 3,
	Family:  "journal",
	Types:   []string{"systemd:journal"},
	Match:   func(_ *evidence.Item, head []byte) bool { return journal.IsJournal(head) },
	Parse:   parseJournal,
})

// valueMax bounds the bytes of one field that go into an event. The rest
// stays in the item; attr cut names the field and its size.
const valueMax = 16 << 10

func parseJournal(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	at, size, err := src.RandomAccess()
	if at == nil {
		return err
	}
	if err != nil {
		out.Problem(evidence.Corrupt, -1, -1, "content ends in a decoding error: "+err.Error())
	}
	r, err := journal.NewReader(at, size)
	if err != nil {
		return err
	}
	j := journalEvents{out: out, host: src.Host, users: map[string]string{}, values: newLineValues(out)}
	for {
		e, err := r.Next()
		j.damage(r.Damage())
		if errors.Is(err, io.EOF) || out.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
		j.event(e)
	}
}

// journalEvents makes events of entries.
type journalEvents struct {
	out   *timeline.Appender
	host  *analyze.Host
	users map[string]string // by _UID as text

	// Of the entry at hand.
	message, program, comm, unit []byte
	said                         authmsg.Fields
	values                       lineValues
	boot                         [32]byte
	scratch                      []byte
}

func (j *journalEvents) damage(places []journal.Damage) {
	for _, d := range places {
		j.out.Problem(evidence.Code(d.Loss), d.Offset, d.Length, d.Detail)
	}
}

func (j *journalEvents) event(e *journal.Entry) {
	ev := j.out.Event(e.Offset, e.Length)
	ev.DataType, ev.SourceShort, ev.SourceLong = "systemd:journal", "JOURNAL", "systemd journal"
	ev.TSDesc, ev.TSKind = "Event Logged", timeline.Recorded
	ev.RecNo = int64(min(e.Seqnum, math.MaxInt64))
	j.time(ev, e)
	if e.Unlinked {
		ev.Flags |= timeline.Unlinked
	}
	if e.Damaged {
		ev.Flags |= timeline.CorruptRec
	}
	if e.Lost > 0 {
		ev.Flags |= timeline.CorruptRec
		j.out.AttrInt("lost_fields", int64(e.Lost))
	}
	hex.Encode(j.boot[:], e.BootID[:])
	ev.BootID = j.out.Intern(j.boot[:])
	j.message, j.program, j.comm, j.unit = nil, nil, nil, nil
	for i := range e.Fields {
		j.field(ev, e, &e.Fields[i])
	}
	j.interpret(ev)
	if ev.Message == "" {
		ev.Message = "entry without a message"
	}
}

// time sets the event's clock columns: µs become ns.
func (j *journalEvents) time(ev *timeline.Event, e *journal.Entry) {
	switch {
	case e.Realtime == 0:
		ev.TSState = timeline.TimeNone
	case e.Realtime > math.MaxInt64/1000:
		ev.TSState = timeline.TimeAfter
	default:
		ev.SetNanos(int64(e.Realtime) * 1000)
		ev.TSPrec, ev.TZSrc = timeline.Microsecond, timeline.ZoneFormat
	}
	if e.Monotonic <= math.MaxInt64 {
		j.out.AttrInt("monotonic", int64(e.Monotonic))
	}
}

// field puts one field where it belongs.
func (j *journalEvents) field(ev *timeline.Event, e *journal.Entry, f *journal.Field) {
	out := j.out
	if column := journalColumn(ev, f.Name); column != nil {
		*column = out.Intern(cutText(f.Value))
		return
	}
	if j.taken(ev, e, f) {
		return
	}
	switch string(f.Name) {
	case "SYSLOG_IDENTIFIER":
		j.program = f.Value
	case "_COMM":
		j.comm = f.Value
	case "UNIT", "USER_UNIT":
		j.unit = f.Value
	}
	out.AttrRaw(out.Intern(f.Name), out.Text(cutText(f.Value)), 's')
	if f.Size > valueMax {
		j.cut(f)
	}
}

// journalColumn returns the column that a field fills as it is, nil for none.
func journalColumn(ev *timeline.Event, name []byte) *string {
	switch string(name) {
	case "_HOSTNAME":
		return &ev.Host
	case "_MACHINE_ID":
		return &ev.HostID
	case "_EXE":
		return &ev.Exe
	case "_SYSTEMD_UNIT":
		return &ev.Unit
	case "_AUDIT_SESSION":
		return &ev.Session
	case "_TRANSPORT":
		return &ev.Channel
	case "MESSAGE_ID":
		return &ev.EventCode
	case "CONTAINER_ID_FULL":
		return &ev.ContainerID
	}
	return nil
}

// taken handles the fields that need more than a copy. False: the field
// becomes an attribute.
func (j *journalEvents) taken(ev *timeline.Event, e *journal.Entry, f *journal.Field) bool {
	switch string(f.Name) {
	case "MESSAGE":
		if j.message != nil {
			return false
		}
		j.message = f.Value
		ev.Message = j.out.Text(cutText(f.Value))
		j.spans(f)
		if f.Size > valueMax {
			j.cut(f)
		}
		return true
	case "_BOOT_ID":
		return bytes.Equal(f.Value, j.boot[:])
	case "_PID":
		return setInt(&ev.PID, f.Value)
	case "_UID":
		if ev.UID != timeline.None || !setInt(&ev.UID, f.Value) {
			return false
		}
		ev.User = j.user(f.Value, ev.UID)
		return true
	case "_CMDLINE":
		if ev.Cmdline != "" || len(f.Value) > valueMax {
			return false
		}
		ev.Cmdline = j.out.Text(f.Value)
		return true
	case "_AUDIT_LOGINUID":
		j.out.Attr("auid", cutText(f.Value))
		return true
	case "_SOURCE_REALTIME_TIMESTAMP":
		return j.sourceTime(e, f.Value)
	}
	return false
}

// user names an account. Few accounts write many entries.
func (j *journalEvents) user(text []byte, uid int64) string {
	if name, ok := j.users[string(text)]; ok {
		return name
	}
	name := userName(j.host, uid)
	if len(j.users) < 4096 {
		j.users[string(text)] = name
	}
	return name
}

// spans says where the bytes of MESSAGE are.
func (j *journalEvents) spans(f *journal.Field) {
	b := strconv.AppendInt(j.scratch[:0], f.Offset, 10)
	b = append(b, '+')
	j.scratch = strconv.AppendInt(b, f.Length, 10)
	j.out.Attr("spans", j.scratch)
}

func (j *journalEvents) cut(f *journal.Field) {
	j.out.AttrStr("cut", fmt.Sprintf("%q of %d bytes", f.Name, f.Size))
}

// sourceTime adds the time at which the message was made, where it differs
// from the time at which journald received it.
func (j *journalEvents) sourceTime(e *journal.Entry, value []byte) bool {
	us, ok := parseInt(value)
	if !ok || us <= 0 || us > math.MaxInt64/1000 {
		return false
	}
	if uint64(us) != e.Realtime {
		j.scratch = time.UnixMicro(us).UTC().AppendFormat(j.scratch[:0], time.RFC3339Nano)
		j.out.AttrRaw("source_realtime", j.out.Text(j.scratch), 't')
	}
	return true
}

// interpret reads the message by the grammar of the program that wrote it.
func (j *journalEvents) interpret(ev *timeline.Event) {
	program := j.program
	if program == nil {
		program = j.comm
	}
	if program == nil && ev.Channel == "kernel" {
		program = []byte("kernel")
	}
	service := ev.Unit
	if j.unit != nil && len(j.unit) <= valueMax {
		// What the service manager writes about a unit is about that unit.
		ev.Unit = j.out.Intern(j.unit)
	}
	if len(j.message) == 0 || len(program) == 0 {
		return
	}
	if authmsg.Parse(program, cutText(j.message), &j.said) {
		applyMessage(ev, j.out, &j.said)
	} else if m := serviceOf(program); m == nil || !m.read(ev, &j.values, j.host, cutText(j.message)) {
		return
	}
	// A short-lived child (cron's shell) may have another name by the time
	// journald looks; its service is then the witness.
	if j.comm != nil && !sameProgram(program, j.comm) && !sameProgram(program, []byte(strings.TrimSuffix(service, ".service"))) {
		j.out.Attr("identifier_not_confirmed", j.comm)
	}
}

// sameProgram reports whether the identifier a sender chose fits the kernel's
// name of the process, which has at most 15 bytes.
func sameProgram(identifier, comm []byte) bool {
	if i := bytes.LastIndexByte(identifier, '/'); i >= 0 {
		identifier = identifier[i+1:]
	}
	identifier = bytes.Trim(identifier, "()")
	comm = bytes.Trim(comm, "()")
	n := min(len(identifier), len(comm))
	return n > 0 && bytes.EqualFold(identifier[:n], comm[:n])
}

// cutText returns at most valueMax bytes, without splitting a character.
func cutText(b []byte) []byte {
	if len(b) <= valueMax {
		return b
	}
	n := valueMax
	for i := 0; i < utf8.UTFMax && !utf8.RuneStart(b[n]); i++ {
		n--
	}
	return b[:n]
}
