package duckdb

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"

	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/store/local"
	"github.com/exhibit-dfir/exhibit/timeline/storetest"
)

// both opens one timeline in the store and in DuckDB.
func both(t *testing.T, seed uint64, jobs, perJob int) (*local.Engine, *sql.DB) {
	t.Helper()
	dir := t.TempDir()
	b, err := local.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Build(t, b, storetest.Jobs(seed, jobs, perJob), 2)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	engine, err := local.Open(dir, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	var names []string
	filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
		if strings.HasSuffix(path, ".parquet") {
			names = append(names, text(path))
		}
		return nil
	})
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	for _, q := range []string{
		"SET autoinstall_known_extensions = false", "SET autoload_known_extensions = false", "SET threads = 2",
		"CREATE TABLE ev AS SELECT * FROM read_parquet([" + strings.Join(names, ", ") + "])",
		"CREATE TABLE attr AS SELECT event_id, j.key AS key, j.value ->> '$' AS value FROM ev, json_each(ev.attrs) AS j",
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	return engine, db
}

func TestEveryColumnIsReadTheSame(t *testing.T) {
	engine, db := both(t, 51, 12, 300)
	rows, err := db.Query("SELECT * FROM ev ORDER BY ts IS NULL, ts, event_id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for e, err := range engine.Events(context.Background(), timeline.Query{}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if !rows.Next() {
			t.Fatalf("DuckDB has %d rows only: %v", n, rows.Err())
		}
		cells := make([]any, len(names))
		for i := range cells {
			cells[i] = new(any)
		}
		if err := rows.Scan(cells...); err != nil {
			t.Fatal(err)
		}
		for i, name := range names {
			if got, want := fmt.Sprint(plain(*cells[i].(*any))), fmt.Sprint(stored(e, name)); name != "attrs" && got != want {
				t.Fatalf("row %d: %s is %q in DuckDB, %q here", n, name, got, want)
			}
		}
		n++
	}
	if rows.Next() || n < 1000 {
		t.Fatalf("%d rows here, and more in DuckDB", n)
	}
}

// plain shows bytes as hexadecimal text and null as nothing.
func plain(v any) any {
	switch v := v.(type) {
	case nil:
		return ""
	case []byte:
		return hex.EncodeToString(v)
	}
	return v
}

// stored is what a column of a segment should hold for an event.
func stored(e *timeline.Event, name string) any {
	switch name {
	case "attr_types":
		return string(timeline.AttrTypes(nil, e.Attrs))
	case "flags":
		return e.Flags.String()
	}
	f := timeline.FieldOf(name)
	if f.Kind == timeline.FieldTime {
		if n := *f.Column.Int(e); n != timeline.None {
			return n
		}
		return ""
	}
	return strings.Join(f.Values(nil, e), ",")
}

func TestRandomConditionsSelectTheSameEvents(t *testing.T) {
	engine, db := both(t, 52, 16, 400)
	ctx := context.Background()
	r := rand.New(rand.NewPCG(53, 1))
	asked, some := 0, 0
	for range 500 {
		x := storetest.RandomExpr(r, 3)
		cond, ok := where(x)
		if !ok {
			continue
		}
		asked++
		var got []string
		for e, err := range engine.Events(ctx, timeline.Query{Where: x}, nil) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.ID.String())
		}
		want := query(t, db, "SELECT lower(hex(event_id)) FROM ev WHERE "+cond+" ORDER BY ts IS NULL, ts, event_id")
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\n%s\n%d events here, %d in DuckDB; first difference %s", timeline.Format(x), cond, len(got), len(want), first(got, want))
		}
		if len(got) > 0 {
			some++
		}
	}
	if asked < 300 || some < 150 {
		t.Fatalf("%d conditions asked, %d held for something: too few", asked, some)
	}
}

func first(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("at %d: %s, %s", i, a[i], b[i])
		}
	}
	if len(a) > len(b) {
		return "here more: " + a[len(b)]
	}
	return "there more: " + b[len(a)]
}

func query(t *testing.T, db *sql.DB, text string) []string {
	t.Helper()
	rows, err := db.Query(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return out
}

func TestHistogramsAndTopListsAreTheSame(t *testing.T) {
	engine, db := both(t, 54, 16, 400)
	ctx := context.Background()
	r := rand.New(rand.NewPCG(55, 1))
	for range 60 {
		x := storetest.RandomExpr(r, 1)
		cond, ok := where(x)
		if !ok {
			continue
		}
		q := timeline.Query{Where: x}
		bars, err := engine.Hist(ctx, q, 3600e9)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, b := range bars {
			got = append(got, fmt.Sprintf("%d %d", b.Start, b.Count))
		}
		// Times near the ends of int64 have no whole bucket; floor is the store's.
		want := query(t, db, `SELECT start || ' ' || count(*) FROM (
			SELECT greatest(n - (n % w + w) % w, -9223372036854775807) AS start
			FROM (SELECT CAST(ts AS HUGEINT) AS n, 3600000000000 AS w FROM ev WHERE ts IS NOT NULL AND `+cond+`)
		) GROUP BY start ORDER BY start`)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: histogram\n%v\nin DuckDB\n%v", timeline.Format(x), got, want)
		}
		for _, field := range []string{"user", "pid", "data_type", "message"} {
			top, err := engine.Top(ctx, q, field, 15)
			if err != nil {
				t.Fatal(err)
			}
			got = nil
			for _, v := range top {
				got = append(got, fmt.Sprintf("%d %s", v.Count, v.Value))
			}
			want = query(t, db, fmt.Sprintf(`SELECT count(*) || ' ' || v FROM (SELECT CAST("%s" AS VARCHAR) AS v FROM ev WHERE %s) WHERE v IS NOT NULL GROUP BY v ORDER BY count(*) DESC, v LIMIT 15`, field, cond))
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: top %s\n%q\nin DuckDB\n%q", timeline.Format(x), field, got, want)
			}
		}
	}
}
