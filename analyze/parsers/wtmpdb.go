package parsers

import (
	"context"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/sqlite"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// linuxWtmpdb reads the database of wtmpdb, which takes the place of wtmp: one
// event per session or boot, a span from login to logout, from boot to
// shutdown. Attr open says that no end was written. rec_no is the row's
// number, event_code its type: 1 boot, 3 login. Attributes: tty, host, service
// (of PAM). Rows that were deleted and are still whole are flagged carved.
//
// Format: wtmpdb, lib/sqlite.c: table wtmp, times in µs since 1970.
var linuxWtmpdb = register(analyze.Parser{
	Name:    "linux_wtmpdb",
	Doc:     "wtmp.db of wtmpdb: sessions and boots as spans",
	Version: 1,
	Family:  "utmp",
	Types:   []string{"linux:wtmpdb:session"},
	Match: func(_ *evidence.Item, head []byte) bool {
		return beginsLikeSQLite(head, "wtmp", "Login", "Logout", "RemoteHost")
	},
	Parse: func(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
		return parseSQLite(src, out, wtmpTable)
	},
})

// Columns of table wtmp, and values of its column Type.
const (
	wtmpID = iota
	wtmpType
	wtmpUser
	wtmpLogin
	wtmpLogout
	wtmpTTY
	wtmpHost
	wtmpService

	wtmpBoot    = 1
	wtmpSession = 3
)

var wtmpTable = sqliteTable{
	name:    "wtmp",
	columns: []string{"ID", "Type", "User", "Login", "Logout", "TTY", "RemoteHost", "Service"},
	certain: func(r sqliteRow) bool {
		t, login, logout := r.number(wtmpType), r.number(wtmpLogin), r.number(wtmpLogout)
		return t >= wtmpBoot && t <= wtmpSession && plausible(login/1e6) && (logout == timeline.None || logout >= login) && r.ID > 0
	},
	event: wtmpEvent,
}

func wtmpEvent(ev *timeline.Event, out *timeline.Appender, _ *analyze.Host, r sqliteRow) []sqlite.Span {
	ev.DataType, ev.SourceShort, ev.SourceLong = "linux:wtmpdb:session", "UTMP", "wtmpdb"
	setEpoch(ev, r.number(wtmpLogin), 1e6)
	end := r.number(wtmpLogout)
	ended := end > 0 && end/1e6 < 9_000_000_000
	switch {
	case !ended || ev.TSState != timeline.TimeOK:
	case end*1000 < ev.TS:
		out.Problem(evidence.Inconsistent, ev.RecOff, ev.RecLen, "the session ends before it begins")
	default:
		ev.TSEnd = end * 1000
	}
	user, tty, host := out.Intern(cutText(r.text(wtmpUser))), out.Intern(cutText(r.text(wtmpTTY))), out.Intern(cutText(r.text(wtmpHost)))
	kind := r.number(wtmpType)
	if kind != timeline.None {
		ev.EventCode = out.Int(kind)
	}
	switch kind {
	case wtmpBoot:
		ev.TSDesc, ev.Action, ev.Category = "System Boot", "boot", "host"
		ev.Message = out.Join("system boot, kernel ", host)
	case wtmpSession:
		ev.TSDesc, ev.User, ev.SrcIP = "Login", user, remoteAddress(host)
		ev.Action, ev.Outcome, ev.Category = "user-login", "success", "authentication"
		ev.Message = out.Join("login of ", user, " on ", tty)
		if host != "" {
			ev.Message = out.Join(ev.Message, " from ", host)
		}
	default:
		ev.TSDesc, ev.User = "Record Written", user
		ev.Message = out.Join("record of type ", ev.EventCode, " ", user, " on ", tty)
	}
	textAttr(out, "tty", r.text(wtmpTTY))
	textAttr(out, "host", r.text(wtmpHost))
	textAttr(out, "service", r.text(wtmpService))
	if !ended {
		out.AttrStr("open", "no end was written")
	}
	return nil
}
