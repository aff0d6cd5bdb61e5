package parsers

import (
	"context"
	"strconv"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/authmsg"
	"github.com/exhibit-dfir/exhibit/analyze/format/sqlite"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// yumHistory reads the history of yum, /var/lib/yum/history/history-DATE.sqlite.
// One event per transaction, a span with its command line and the account that
// logged in and asked for it, and one per package of it, at the transaction's
// begin. Attr spans are the rows of other tables that an event rests on: end
// and command line, or name and begin. rec_no is the row's number, attr
// transaction that of the transaction.
//
// Format: yum, yum/history.py; times in seconds since 1970.
var yumHistory = register(analyze.Parser{
	Name:    "yum_history",
	Doc:     "history databases of yum: transactions and their packages",
	Version: 2,
	Family:  "package",
	Types:   []string{"linux:yum_history:transaction", "linux:yum_history:package"},
	Match: func(_ *evidence.Item, head []byte) bool {
		return beginsLikeSQLite(head, "trans_beg", "trans_end", "trans_data_pkgs", "pkgtups")
	},
	Parse: func(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
		y := yumEvents{ends: map[int64]yumEnd{}, commands: map[int64]yumText{}, begins: map[int64]dnfTrans{}, packages: map[int64]dnfPackage{}}
		return parseSQLite(
			src, out,
			sqliteTable{name: "trans_end", columns: []string{"tid", "timestamp", "return_code"}, event: y.end},
			sqliteTable{name: "trans_cmdline", columns: []string{"tid", "cmdline"}, event: y.command},
			sqliteTable{name: "trans_beg", columns: []string{"tid", "timestamp", "loginuid"}, event: y.begin},
			sqliteTable{name: "pkgtups", columns: []string{"pkgtupid", "name", "arch", "epoch", "version", "release"}, event: y.name},
			sqliteTable{name: "trans_data_pkgs", columns: []string{"tid", "pkgtupid", "done", "state"}, event: y.change},
		)
	},
})

// yumStates are the values of trans_data_pkgs.state: Update is what came,
// Updated what it took the place of.
var yumStates = map[string]string{
	"Install": "package-installed", "True-Install": "package-installed", "Dep-Install": "package-installed",
	"Reinstall": "package-installed", "Obsoleting": "package-installed",
	"Update": "package-upgraded", "Downgrade": "package-upgraded",
	"Updated": "package-replaced", "Downgraded": "package-replaced",
	"Erase": "package-removed", "Obsoleted": "package-removed",
}

type yumEnd struct {
	sec, code int64
	at        sqlite.Span
}

type yumText struct {
	text string
	at   sqlite.Span
}

// yumEvents remembers what the rows of one table say for those of another; at
// most dnfMax of each.
type yumEvents struct {
	ends     map[int64]yumEnd
	commands map[int64]yumText
	begins   map[int64]dnfTrans
	packages map[int64]dnfPackage
}

func (y *yumEvents) end(_ *timeline.Event, out *timeline.Appender, _ *analyze.Host, r sqliteRow) []sqlite.Span {
	out.Drop()
	if len(y.ends) < dnfMax {
		y.ends[r.number(0)] = yumEnd{r.number(1), r.number(2), r.Spans[0]}
	}
	return nil
}

func (y *yumEvents) command(_ *timeline.Event, out *timeline.Appender, _ *analyze.Host, r sqliteRow) []sqlite.Span {
	out.Drop()
	if len(y.commands) < dnfMax {
		y.commands[r.number(0)] = yumText{string(cutText(r.text(1))), r.Spans[0]}
	}
	return nil
}

func (y *yumEvents) begin(ev *timeline.Event, out *timeline.Appender, host *analyze.Host, r sqliteRow) []sqlite.Span {
	id := r.number(0)
	ev.DataType, ev.SourceShort, ev.SourceLong = "linux:yum_history:transaction", "PKG", "yum history"
	ev.TSDesc, ev.Category, ev.Action = "Package State", packageCategory, "packages-changed"
	setEpoch(ev, r.number(1), 1)
	// 4294967295 and -1 are a process without a login.
	if uid := r.number(2); uid >= 0 && uid != 1<<32-1 {
		ev.UID, ev.User = uid, userName(host, uid)
	}
	ev.Message = "package transaction"
	var spans []sqlite.Span
	if c, ok := y.commands[id]; ok {
		ev.Cmdline = out.Str(c.text)
		ev.Message = out.Join("package transaction: ", ev.Cmdline)
		spans = append(spans, c.at)
	}
	if e, ok := y.ends[id]; ok {
		switch {
		case ev.TSState != timeline.TimeOK || e.sec <= 0 || e.sec > 9_000_000_000:
		case e.sec*1e9 < ev.TS:
			out.Problem(evidence.Inconsistent, ev.RecOff, ev.RecLen, "the transaction ends before it begins")
		default:
			ev.TSEnd = e.sec * 1e9
		}
		if ev.Outcome = authmsg.Success; e.code != 0 {
			ev.Outcome = authmsg.Failure
		}
		out.AttrInt("return_code", e.code)
		spans = append(spans, e.at)
	}
	out.AttrInt("transaction", id)
	if len(y.begins) < dnfMax {
		y.begins[id] = dnfTrans{r.number(1), ev.UID, r.Spans[0]}
	}
	return spans
}

func (y *yumEvents) name(_ *timeline.Event, out *timeline.Appender, _ *analyze.Host, r sqliteRow) []sqlite.Span {
	out.Drop()
	version := packageText(r, 4) + "-" + packageText(r, 5)
	epoch := packageText(r, 3)
	if n := r.number(3); n != timeline.None {
		epoch = strconv.FormatInt(n, 10)
	}
	if epoch != "" && epoch != "0" {
		version = epoch + ":" + version
	}
	if len(y.packages) < dnfMax {
		y.packages[r.number(0)] = dnfPackage{packageText(r, 1), version, packageText(r, 2), r.Spans[0]}
	}
	return nil
}

func (y *yumEvents) change(ev *timeline.Event, out *timeline.Appender, host *analyze.Host, r sqliteRow) []sqlite.Span {
	pkg, named := y.packages[r.number(1)]
	begin, dated := y.begins[r.number(0)]
	ev.DataType, ev.SourceShort, ev.SourceLong = "linux:yum_history:package", "PKG", "yum history"
	ev.TSDesc, ev.Category = "Package State", packageCategory
	state := out.Intern(cutText(r.text(3)))
	ev.Action = yumStates[state]
	ev.Message = out.Join(state, " of a package that has no name here")
	var spans []sqlite.Span
	if named {
		ev.Unit = out.Str(pkg.name)
		ev.Message = out.Join(state, " ", pkg.name, "-", pkg.version, ".", pkg.arch)
		out.AttrStr("version", pkg.version)
		out.AttrStr("arch", pkg.arch)
		spans = append(spans, pkg.at)
	}
	if dated {
		setEpoch(ev, begin.begin, 1)
		ev.UID, ev.User = begin.user, userName(host, begin.user)
		spans = append(spans, begin.at)
	}
	textAttr(out, "state", r.text(3))
	textAttr(out, "done", r.text(2))
	switch string(r.text(2)) {
	case "TRUE":
		ev.Outcome = authmsg.Success
	case "FALSE":
		ev.Outcome = authmsg.Failure
	}
	if tid := r.number(0); tid != timeline.None {
		out.AttrInt("transaction", tid)
	}
	return spans
}
