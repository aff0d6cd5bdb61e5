package parsers

import (
	"context"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/authmsg"
	"github.com/exhibit-dfir/exhibit/analyze/format/sqlite"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// dnfHistory reads the history of DNF 4 (libdnf), /var/lib/dnf/history.sqlite.
// One event per transaction, a span with its command line and the account that
// asked for it (the login's, where there was one), and one per package of it,
// at the transaction's begin. A package's event points at its row of
// trans_item; attr spans are the rows of rpm, which names it, and of trans,
// which dates it. rec_no is the row's number, attr transaction that of the
// transaction. Transactions that were deleted and are still whole are flagged
// carved.
//
// Format: libdnf, libdnf/transaction/sql/create_tables.sql and Types.hpp;
// times in seconds since 1970.
var dnfHistory = register(analyze.Parser{
	Name:    "dnf_history",
	Doc:     "history.sqlite of DNF 4: transactions and their packages",
	Version: 2,
	Family:  "package",
	Types:   []string{"linux:dnf_history:transaction", "linux:dnf_history:package"},
	Match: func(_ *evidence.Item, head []byte) bool {
		return beginsLikeSQLite(head, "trans_item", "dt_begin", "releasever", "cmdline")
	},
	Parse: parseDnfHistory,
})

var (
	dnfTransColumns = []string{"id", "dt_begin", "dt_end", "releasever", "user_id", "cmdline", "state"}
	dnfRPMColumns   = []string{"item_id", "name", "epoch", "version", "release", "arch"}
	dnfItemColumns  = []string{"trans_id", "item_id", "action", "reason", "state"}
)

// dnfActions are the values of trans_item.action, from 1.
var dnfActions = [...]struct{ name, action string }{
	{"install", "package-installed"},
	{"downgrade", "package-upgraded"},
	{"downgraded", "package-replaced"},
	{"obsolete", "package-installed"},
	{"obsoleted", "package-removed"},
	{"upgrade", "package-upgraded"},
	{"upgraded", "package-replaced"},
	{"remove", "package-removed"},
	{"reinstall", "package-installed"},
	{"reinstalled", "package-replaced"},
	{"reason change", "package-state-changed"},
}

var dnfReasons = [...]string{"", "dependency", "user", "clean", "weak dependency", "group"}

// packageText bounds a part of a package's name, which every row that names the
// package repeats.
func packageText(r sqliteRow, column int) string {
	b := r.text(column)
	return string(b[:min(len(b), packagePart)])
}

const packagePart = 256

// dnfMax bounds the transactions and the package versions that are remembered.
const dnfMax = 1 << 20

// dnfTrans is what a package's event takes from its transaction.
type dnfTrans struct {
	begin, user int64
	at          sqlite.Span
}

type dnfPackage struct {
	name, version, arch string
	at                  sqlite.Span
}

func parseDnfHistory(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	return parseSQLite(src, out, dnfTables()...)
}

// dnfTables are the tables in the order in which they are needed.
func dnfTables() []sqliteTable {
	d := dnfEvents{trans: map[int64]dnfTrans{}, packages: map[int64]dnfPackage{}}
	return []sqliteTable{
		{name: "trans", columns: dnfTransColumns, certain: dnfCertain, event: d.transaction},
		{name: "rpm", columns: dnfRPMColumns, event: d.rpm},
		{name: "trans_item", columns: dnfItemColumns, event: d.item},
	}
}

func dnfCertain(r sqliteRow) bool {
	begin, end := r.number(1), r.number(2)
	return plausible(begin) && (end == timeline.None || end >= begin) && r.ID > 0
}

type dnfEvents struct {
	trans    map[int64]dnfTrans
	packages map[int64]dnfPackage
}

func (d *dnfEvents) transaction(ev *timeline.Event, out *timeline.Appender, host *analyze.Host, r sqliteRow) []sqlite.Span {
	ev.DataType, ev.SourceShort, ev.SourceLong = "linux:dnf_history:transaction", "PKG", "dnf history"
	ev.TSDesc, ev.Category = "Package State", packageCategory
	setEpoch(ev, r.number(1), 1)
	switch end := r.number(2); {
	case ev.TSState != timeline.TimeOK || end == timeline.None || end <= 0 || end > 9_000_000_000:
	case end*1e9 < ev.TS:
		out.Problem(evidence.Inconsistent, ev.RecOff, ev.RecLen, "the transaction ends before it begins")
	default:
		ev.TSEnd = end * 1e9
	}
	// 4294967295 is a process without a login, as of a timer.
	if uid := r.number(4); uid >= 0 && uid != 1<<32-1 {
		ev.UID, ev.User = uid, userName(host, uid)
	}
	ev.Cmdline = out.Text(cutText(r.text(5)))
	ev.Action = "packages-changed"
	switch r.number(6) {
	case 1:
		ev.Outcome = authmsg.Success
	case 2:
		ev.Outcome = authmsg.Failure
	}
	if ev.Message = "package transaction"; ev.Cmdline != "" {
		ev.Message = out.Join("package transaction: ", ev.Cmdline)
	}
	out.AttrInt("transaction", r.ID)
	textAttr(out, "releasever", r.text(3))
	if !r.Carved && len(d.trans) < dnfMax {
		d.trans[r.ID] = dnfTrans{begin: r.number(1), user: ev.UID, at: r.Spans[0]}
	}
	return nil
}

// rpm remembers a package version; the row itself is no event.
func (d *dnfEvents) rpm(_ *timeline.Event, out *timeline.Appender, _ *analyze.Host, r sqliteRow) []sqlite.Span {
	out.Drop()
	if r.Carved || len(d.packages) >= dnfMax {
		return nil
	}
	version := packageText(r, 3) + "-" + packageText(r, 4)
	if epoch := r.number(2); epoch > 0 {
		version = out.Int(epoch) + ":" + version
	}
	d.packages[r.number(0)] = dnfPackage{packageText(r, 1), version, packageText(r, 5), r.Spans[0]}
	return nil
}

func (d *dnfEvents) item(ev *timeline.Event, out *timeline.Appender, host *analyze.Host, r sqliteRow) []sqlite.Span {
	pkg, named := d.packages[r.number(1)]
	trans, dated := d.trans[r.number(0)]
	if !named && !dated {
		// A group of packages, or the rest of a damaged database.
		out.Drop()
		return nil
	}
	ev.DataType, ev.SourceShort, ev.SourceLong = "linux:dnf_history:package", "PKG", "dnf history"
	ev.TSDesc, ev.Category = "Package State", packageCategory
	var spans []sqlite.Span
	ev.Message = "package group"
	if named {
		ev.Unit = out.Str(pkg.name)
		ev.Message = out.Join(pkg.name, "-", pkg.version, ".", pkg.arch)
		out.AttrStr("version", pkg.version)
		out.AttrStr("arch", pkg.arch)
		spans = append(spans, pkg.at)
	}
	if dated {
		setEpoch(ev, trans.begin, 1)
		ev.UID, ev.User = trans.user, userName(host, trans.user)
		spans = append(spans, trans.at)
	}
	if n := r.number(2); n >= 1 && n <= int64(len(dnfActions)) {
		ev.Action = dnfActions[n-1].action
		ev.Message = out.Join(dnfActions[n-1].name, " ", ev.Message)
		out.AttrStr("dnf_action", dnfActions[n-1].name)
	}
	if n := r.number(3); n >= 1 && n < int64(len(dnfReasons)) {
		out.AttrStr("reason", dnfReasons[n])
	}
	switch r.number(4) {
	case 1:
		ev.Outcome = authmsg.Success
	case 2:
		ev.Outcome = authmsg.Failure
	}
	out.AttrInt("transaction", r.number(0))
	return spans
}
