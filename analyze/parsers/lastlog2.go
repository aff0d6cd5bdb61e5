package parsers

import (
	"context"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/sqlite"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// linuxLastlog2 reads the database of lastlog2, which takes the place of
// lastlog: one event per account, at its last login. Attributes: tty, host,
// service (of PAM). An earlier login of an account whose row is still whole is
// flagged carved.
//
// Format: util-linux, liblastlog2: table Lastlog2, times in seconds since 1970.
var linuxLastlog2 = register(analyze.Parser{
	Name:    "linux_lastlog2",
	Doc:     "lastlog2.db: last login of every account",
	Version: 1,
	Family:  "utmp",
	Types:   []string{"linux:lastlog:entry"},
	Match: func(_ *evidence.Item, head []byte) bool {
		return beginsLikeSQLite(head, "Lastlog2", "RemoteHost")
	},
	Parse: func(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
		return parseSQLite(src, out, lastlog2Table)
	},
})

// Columns of table Lastlog2.
const (
	lastlog2Name = iota
	lastlog2Time
	lastlog2TTY
	lastlog2Host
	lastlog2Service
)

var lastlog2Table = sqliteTable{
	name:    "Lastlog2",
	columns: []string{"Name", "Time", "TTY", "RemoteHost", "Service"},
	certain: func(r sqliteRow) bool {
		return len(r.text(lastlog2Name)) > 0 && plausible(r.number(lastlog2Time)) && r.ID > 0
	},
	event: lastlog2Event,
}

func lastlog2Event(ev *timeline.Event, out *timeline.Appender, host *analyze.Host, r sqliteRow) []sqlite.Span {
	ev.DataType, ev.SourceShort, ev.SourceLong = "linux:lastlog:entry", "UTMP", "last login"
	ev.TSDesc = "Last Login"
	setEpoch(ev, r.number(lastlog2Time), 1)
	ev.User = out.Intern(cutText(r.text(lastlog2Name)))
	tty, from := out.Intern(cutText(r.text(lastlog2TTY))), out.Intern(cutText(r.text(lastlog2Host)))
	ev.SrcIP = remoteAddress(from)
	if ev.TSState == timeline.TimeSentinel {
		ev.Message = out.Join(ev.User, " never logged in")
	} else {
		ev.Action, ev.Outcome, ev.Category = "user-login", "success", "authentication"
		ev.Message = out.Join("last login of ", ev.User, " on ", tty)
		if from != "" {
			ev.Message = out.Join(ev.Message, " from ", from)
		}
	}
	textAttr(out, "tty", r.text(lastlog2TTY))
	textAttr(out, "host", r.text(lastlog2Host))
	textAttr(out, "service", r.text(lastlog2Service))
	return nil
}
