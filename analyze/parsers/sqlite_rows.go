package parsers

import (
	"bytes"
	"errors"
	"net/netip"
	"strconv"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/format/sqlite"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/timeline"
)

// sqliteTable says how the rows of one table of a SQLite database become
// events: rec_off/len is the row's cell, attr spans where it goes on in other
// pages. A row that was deleted, but whose cell is still whole, is flagged
// carved.
type sqliteTable struct {
	name    string
	columns []string // the table has all of them; rows give their values in this order

	// certain is asked of rows that were deleted: is this one, beyond doubt?
	// nil where rows mean something beside others only: none are looked for.
	certain func(sqliteRow) bool
	// event fills an event and returns the rows of other tables that it rests on.
	event func(*timeline.Event, *timeline.Appender, *analyze.Host, sqliteRow) []sqlite.Span
}

// sqliteRow is a row with the place of each column.
type sqliteRow struct {
	*sqlite.Row
	at []int
}

func (r sqliteRow) value(i int) *sqlite.Value {
	if k := r.at[i]; k < len(r.Values) {
		return &r.Values[k]
	}
	return &sqlite.Value{}
}

func (r sqliteRow) text(i int) []byte { return r.value(i).Bytes }

// number is timeline.None where there is none.
func (r sqliteRow) number(i int) int64 {
	if v := r.value(i); v.Kind == sqlite.Integer {
		return v.Int
	}
	return timeline.None
}

// beginsLikeSQLite reports whether head is that of a database whose schema,
// as far as it is in head, has all the words.
func beginsLikeSQLite(head []byte, words ...string) bool {
	if !bytes.HasPrefix(head, []byte(sqlite.Magic)) {
		return false
	}
	for _, w := range words {
		if !bytes.Contains(head, []byte(w)) {
			return false
		}
	}
	return true
}

// parseSQLite makes events of the rows of the tables, one table after the
// other.
func parseSQLite(src *analyze.Source, out *timeline.Appender, tables ...sqliteTable) error {
	at, size, err := src.RandomAccess()
	if at == nil {
		return err
	}
	if err != nil {
		out.Problem(evidence.Corrupt, -1, -1, "content ends in a decoding error: "+err.Error())
	}
	db, err := sqlite.Open(at, size, nil)
	if errors.Is(err, sqlite.ErrFormat) {
		out.Problem(evidence.Corrupt, 0, -1, err.Error())
		return nil
	} else if err != nil {
		return err
	}
	r := sqliteReader{db: db, host: src.Host, out: out}
	r.tables(tables)
	return nil
}

// sqliteReader makes events of the rows that lie in one of the two files of a
// database: in the database itself or, with its write-ahead log laid over it,
// in the log.
type sqliteReader struct {
	db   *sqlite.DB
	host *analyze.Host
	out  *timeline.Appender
	log  bool // the item is the log
}

func (r *sqliteReader) tables(tables []sqliteTable) {
	for i := range tables {
		if !r.rows(&tables[i]) {
			break
		}
	}
	r.damage()
}

// damage reports what is damaged in the item; the other file has a reader of
// its own.
func (r *sqliteReader) damage() {
	for _, d := range r.db.Damage() {
		if d.Offset < 0 || d.WAL == r.log {
			r.out.Problem(evidence.Code(d.Loss), d.Offset, d.Length, d.Detail)
		}
	}
}

// rows makes events of one table and reports whether more are wanted.
func (r *sqliteReader) rows(t *sqliteTable) bool {
	out := r.out
	table := r.db.Table(t.name)
	if table == nil {
		out.Problem(evidence.Missing, -1, -1, "the database has no table "+t.name)
		return true
	}
	at := make([]int, len(t.columns))
	for i, name := range t.columns {
		if at[i] = table.Column(name); at[i] < 0 {
			out.Problem(evidence.Missing, -1, -1, "table "+t.name+" has no column "+name)
			return true
		}
	}
	all := r.db.Rows(table)
	if t.certain != nil {
		all = r.db.AllRows(table, func(row *sqlite.Row) bool { return t.certain(sqliteRow{row, at}) })
	}
	for row := range all {
		if r.log && row.Spans[0].WAL && !table.Fits(row.Values) {
			// A log that was left over from another database.
			out.Problem(evidence.Inconsistent, row.Spans[0].Offset, row.Spans[0].Length, "a row that is none of table "+t.name)
			continue
		}
		ev := out.Event(row.Spans[0].Offset, row.Spans[0].Length)
		ev.RecNo, ev.TSKind = row.ID, timeline.Recorded
		if row.Carved {
			ev.Flags |= timeline.Carved
		}
		more := t.event(ev, out, r.host, sqliteRow{row, at})
		if row.Spans[0].WAL != r.log {
			out.Drop() // the other file's
		} else {
			r.spans(append(more, row.Spans[1:]...))
		}
		if r.damage(); out.Err() != nil {
			return false
		}
	}
	return true
}

// spans says where else what an event states lies: in attr spans in the item,
// in attr spans_beside in the other file of the database.
func (r *sqliteReader) spans(spans []sqlite.Span) {
	var here, beside []byte
	for _, s := range spans {
		b := &here
		if s.WAL != r.log {
			b = &beside
		}
		if len(*b) > 0 {
			*b = append(*b, ',')
		}
		*b = strconv.AppendInt(*b, s.Offset, 10)
		*b = append(*b, '+')
		*b = strconv.AppendInt(*b, s.Length, 10)
	}
	if len(here) > 0 {
		r.out.Attr("spans", here)
	}
	if len(beside) > 0 {
		r.out.Attr("spans_beside", beside)
	}
}

// setEpoch dates an event by a count of units since 1970, UTC, that many of
// which are a second. 0 stands for never.
func setEpoch(ev *timeline.Event, n, perSecond int64) {
	const most = 9_000_000_000 // s, in 2255
	switch sec := n / perSecond; {
	case n == timeline.None:
	case n == 0:
		ev.TSState = timeline.TimeSentinel
	case n < 0:
		ev.TSState = timeline.TimeBefore
	case sec > most:
		ev.TSState = timeline.TimeAfter
	default:
		ev.SetNanos(n * (1e9 / perSecond))
		ev.TZSrc, ev.TSPrec = timeline.ZoneFormat, timeline.Second
		if perSecond > 1 {
			ev.TSPrec = timeline.Microsecond
		}
	}
}

// remoteAddress returns host where it spells an address of another host.
func remoteAddress(host string) string {
	if a, err := netip.ParseAddr(host); err == nil && !a.IsUnspecified() {
		return host
	}
	return ""
}

// textAttr adds a text that repeats, where there is one.
func textAttr(out *timeline.Appender, key string, value []byte) {
	if len(value) > 0 {
		out.AttrRaw(key, out.Intern(cutText(value)), 's')
	}
}
