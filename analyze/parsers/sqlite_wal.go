package parsers

import (
	"context"
	"errors"
	"strings"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/sqlite"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// sqliteWAL reads the write-ahead logs of the databases that other parsers
// read (linux_wtmpdb, linux_lastlog2, dnf_history): what was written last and
// is not yet in the database. The log is laid over the database that lies
// beside it, which says what its pages are, and rows that lie in the log become
// events as those of the database do: a row that is in both is one of each.
// Rows that only an earlier transaction of the log had are flagged carved; of
// transactions that were never committed nothing is shown. Attr spans_beside
// has places in the database.
//
// Format: sqlite.org, "Database File Format", section 4.
var sqliteWAL = register(analyze.Parser{
	Name:    "sqlite_wal",
	Doc:     "write-ahead logs (-wal) of the SQLite databases that are read",
	Version: 1,
	Family:  "utmp",
	Types:   []string{"linux:wtmpdb:session", "linux:lastlog:entry", "linux:dnf_history:transaction", "linux:dnf_history:package"},
	Match: func(it *evidence.Item, head []byte) bool {
		// The log does not say whose it is; these programs' names are fixed.
		return sqlite.IsWAL(head) && (strings.HasSuffix(it.Path, "wtmp.db-wal") || strings.HasSuffix(it.Path, "lastlog2.db-wal") || strings.HasSuffix(it.Path, "history.sqlite-wal"))
	},
	Beside: func(path string) string { return strings.TrimSuffix(path, "-wal") },
	Parse:  parseSQLiteWAL,
})

func parseSQLiteWAL(_ context.Context, src *analyze.Source, out *timeline.Appender) error {
	at, size, err := src.RandomAccess()
	if at == nil {
		return err
	}
	if src.Beside == nil {
		out.Problem(evidence.Missing, -1, -1, "the database of this log is not in the evidence: what its pages are is not known")
		return nil
	}
	wal, err := sqlite.OpenWAL(at, size)
	if errors.Is(err, sqlite.ErrFormat) {
		out.Problem(evidence.Corrupt, 0, -1, err.Error())
		return nil
	} else if err != nil {
		return err
	}
	db, err := sqlite.Open(src.Beside, src.Beside.Size, wal)
	if err != nil {
		out.Problem(evidence.Inconsistent, -1, -1, "with the database beside it: "+err.Error())
		return nil
	}
	r := sqliteReader{db: db, host: src.Host, out: out, log: true}
	known := false
	for _, tables := range [][]sqliteTable{{wtmpTable}, {lastlog2Table}, dnfTables()} {
		if db.Table(tables[0].name) != nil && db.Table(tables[0].name).Column(tables[0].columns[1]) >= 0 {
			r.tables(tables)
			known = true
		}
	}
	if r.damage(); !known {
		out.Problem(evidence.Missing, -1, -1, "the database beside it has none of the tables that are read")
	}
	return nil
}
