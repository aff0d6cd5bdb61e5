package sqlite_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/format/sqlite"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// run has SQLite's own shell do something.
func run(t testing.TB, db string, script ...string) string {
	t.Helper()
	cmd := exec.Command(testenv.Tool(t, "sqlite3"), "-batch", "-bail", db)
	cmd.Stdin = strings.NewReader(strings.Join(script, "\n"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("sqlite3 %s: %v: %.400s", filepath.Base(db), err, out)
	}
	return string(out)
}

// open reads a database of the shell, with its write-ahead log where there is
// one.
func open(t testing.TB, path string) *sqlite.DB {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var wal *sqlite.WAL
	if log, err := os.ReadFile(path + "-wal"); err == nil && len(log) > 0 {
		if wal, err = sqlite.OpenWAL(bytes.NewReader(log), int64(len(log))); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sqlite.Open(bytes.NewReader(data), int64(len(data)), wal)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// quoted writes a value as SQLite's quote() does; of a fraction, its bits.
func quoted(v *sqlite.Value) string {
	switch v.Kind {
	case sqlite.Integer:
		return strconv.FormatInt(v.Int, 10)
	case sqlite.Real:
		return fmt.Sprintf("real %x", math.Float64bits(v.Float))
	case sqlite.Text:
		text, _, _ := bytes.Cut(v.Bytes, []byte{0})                                    // where quote() ends, too
		return "'" + strings.ReplaceAll(string([]rune(string(text))), "'", "''") + "'" // no UTF-8: U+FFFD, as in JSON
	case sqlite.Blob:
		return fmt.Sprintf("X'%X'", v.Bytes)
	}
	return "NULL"
}

// wanted are the rows that SQLite shows, one text for each value.
func wanted(t testing.TB, path string, table *sqlite.Table) [][]string {
	t.Helper()
	query := "SELECT rowid"
	for _, c := range table.Columns {
		name := `"` + strings.ReplaceAll(c.Name, `"`, `""`) + `"`
		query += fmt.Sprintf(", CASE typeof(%[1]s) WHEN 'real' THEN 'real ' || printf('%%!.20e', %[1]s) ELSE quote(%[1]s) END", name)
	}
	query += ` FROM "` + strings.ReplaceAll(table.Name, `"`, `""`) + `" NOT INDEXED ORDER BY rowid;`
	var rows [][]string
	text := run(t, path, ".mode json", query)
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if line == "" {
			continue
		}
		dec := json.NewDecoder(strings.NewReader(strings.TrimRight(strings.TrimPrefix(line, "["), ",]")))
		dec.UseNumber()
		var row []string
		for {
			tok, err := dec.Token()
			if err != nil {
				break
			}
			if _, delim := tok.(json.Delim); !delim {
				row = append(row, fmt.Sprint(tok))
			}
		}
		var values []string
		for i := 1; i < len(row); i += 2 { // names are between them
			v := row[i]
			if text, ok := strings.CutPrefix(v, "real "); ok {
				f, err := strconv.ParseFloat(text, 64)
				if err != nil {
					t.Fatal(err)
				}
				v = fmt.Sprintf("real %x", math.Float64bits(f))
			}
			values = append(values, v)
		}
		rows = append(rows, values)
	}
	return rows
}

// compare holds every table to what SQLite shows of it and returns how many
// rows there are.
func compare(t *testing.T, path string) int {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy.db") // looking at a log makes SQLite change it
	for _, tail := range []string{"", "-wal"} {
		if data, err := os.ReadFile(path + tail); err == nil {
			if err := os.WriteFile(copied+tail, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	log, _ := os.ReadFile(path + "-wal")
	db := open(t, path)
	total := 0
	for i := range db.Tables() {
		table := &db.Tables()[i]
		want := wanted(t, copied, table)
		n := 0
		for row := range db.Rows(table) {
			got := []string{strconv.FormatInt(row.ID, 10)}
			for k := range row.Values {
				got = append(got, quoted(&row.Values[k]))
			}
			if n >= len(want) {
				t.Fatalf("%s: more rows than the %d of SQLite", table.Name, len(want))
			}
			// A column that was added later is not in older records.
			if w := want[n][:min(len(got), len(want[n]))]; !slices.Equal(got, w) {
				t.Fatalf("%s row %d: %.300q, SQLite has %.300q", table.Name, row.ID, got, w)
			}
			whole(t, row, data, log)
			n++
		}
		if n != len(want) {
			t.Errorf("%s: %d rows, SQLite has %d", table.Name, n, len(want))
		}
		total += n
	}
	if d := db.Damage(); len(d) > 0 {
		t.Errorf("damage in a sound database: %+v", d)
	}
	return total
}

// whole checks that the bytes at the row's places are those of its texts.
func whole(t *testing.T, row *sqlite.Row, data, log []byte) {
	t.Helper()
	var bytesOf []byte
	for i, s := range row.Spans {
		from := data
		if s.WAL {
			from = log
		}
		part := from[s.Offset : s.Offset+s.Length]
		if i == 0 && len(row.Spans) > 1 {
			part = part[:len(part)-4] // number of the first overflow page
		}
		bytesOf = append(bytesOf, part...)
	}
	for _, v := range row.Values {
		if v.Kind == sqlite.Blob && !bytes.Contains(bytesOf, v.Bytes) {
			t.Errorf("row %d: its places do not hold its blob of %d bytes", row.ID, len(v.Bytes))
		}
	}
}

// Every page size and encoding, every kind of value, rows of several pages,
// columns that were added, computed or named oddly.
var everything = []string{
	`CREATE TABLE v(id INTEGER PRIMARY KEY, i INT, r REAL, t TEXT, b BLOB, n);`,
	`INSERT INTO v VALUES(-5,0,0.5,'',x'',NULL),(1,1,-1.0,'a''b',x'00ff',1),(2,-1,1e300,'äöü€😀',zeroblob(40),x'01');`,
	`INSERT INTO v VALUES(127,127,1.0,'a',NULL,'t'),(128,128,1,'b',NULL,2.5),(-128,-128,0,'c',NULL,0),(32768,32768,0,'d',1,1),
		(8388608,8388608,0,'',0,0),(2147483648,2147483648,0,'',0,0),(140737488355328,140737488355328,0,'',0,0),(9223372036854775807,-9223372036854775808,0,'',0,0);`,
	`CREATE TABLE many(k INTEGER PRIMARY KEY AUTOINCREMENT, "odd ""name" VARCHAR(20) DEFAULT ('a,b(') NOT NULL, [x y] DECIMAL(10,2), CHECK (k > 0), UNIQUE (k)) -- end
		;`,
	`WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<1500) INSERT INTO many SELECT x, 'row '||x||substr('....................',1,x%20), x/4.0 FROM c;`,
	`DELETE FROM many WHERE k%7=0;`,
	`CREATE TABLE big(a TEXT, b BLOB, c /* none */, PRIMARY KEY(a DESC));`,
	`INSERT INTO big SELECT k, zeroblob(0)||printf('%.*c', k*7, 'x'), k FROM many WHERE k<400;`,
	`INSERT INTO big VALUES('huge', randomblob(300000), 1),('huger', randomblob(65536), 2);`,
	`ALTER TABLE big ADD COLUMN later TEXT DEFAULT 'x';`,
	`INSERT INTO big VALUES('new', x'01', 0, 'y');`,
	`CREATE TABLE g(a INTEGER, twice INT AS (a*2), stored INT GENERATED ALWAYS AS (a*3) STORED, z TEXT, CONSTRAINT p PRIMARY KEY (a));`,
	`INSERT INTO g(a,z) VALUES(4,'z'),(5,'zz');`,
	`CREATE TABLE without(a TEXT PRIMARY KEY) WITHOUT ROWID;`,
	`CREATE VIRTUAL TABLE f USING fts5(body);`,
	`CREATE INDEX ix ON many(k,[x y]);`,
	`CREATE TABLE copied AS SELECT k, [x y] FROM many WHERE k<5;`,
	`CREATE TABLE empty(a);`,
}

func TestRowsEqualSQLites(t *testing.T) {
	for _, form := range []struct{ page, encoding string }{
		{"512", "UTF-8"}, {"1024", "UTF-16le"}, {"4096", "UTF-8"}, {"65536", "UTF-16be"},
	} {
		t.Run(form.page, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "t.db")
			run(t, path, append([]string{"PRAGMA page_size=" + form.page + ";", "PRAGMA encoding='" + form.encoding + "';", "BEGIN;"}, append(slices.Clone(everything), "COMMIT;")...)...)
			if n := compare(t, path); n < 1600 {
				t.Errorf("%d rows", n)
			}
		})
	}
}

func TestTheWriteAheadLogIsLaidOver(t *testing.T) {
	dir := t.TempDir()
	path, taken := filepath.Join(dir, "t.db"), filepath.Join(dir, "taken.db")
	take := func(name string) string {
		return fmt.Sprintf(".system cp %s %s/%s && cp %s-wal %s/%s-wal", path, dir, name, path, dir, name)
	}
	run(t, path, append([]string{
		"PRAGMA journal_mode=WAL;", "PRAGMA wal_autocheckpoint=0;", "CREATE TABLE first(a);", "INSERT INTO first VALUES('only in the log');", take("taken.db"),
		"PRAGMA wal_checkpoint(RESTART);",
	}, append(slices.Clone(everything),
		"PRAGMA wal_checkpoint(RESTART);", "UPDATE many SET [x y]=1 WHERE k=10;", "DELETE FROM big WHERE a='huge';", take("later.db"),
		"PRAGMA cache_size=1;", "PRAGMA cache_spill=1;", "BEGIN;", "UPDATE many SET [x y]=2;", take("open.db"), "ROLLBACK;",
	)...)...)
	compare(t, taken)
	compare(t, filepath.Join(dir, "later.db"))
	compare(t, filepath.Join(dir, "open.db"))
	log, err := os.ReadFile(filepath.Join(dir, "open.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := sqlite.OpenWAL(bytes.NewReader(log), int64(len(log)))
	if err != nil || w.Pending == 0 {
		t.Errorf("the open transaction was not noticed: %d bytes, %v", w.Pending, err)
	}
	later := open(t, filepath.Join(dir, "later.db"))
	inLog := 0
	for row := range later.Rows(later.Table("many")) {
		if row.Spans[0].WAL {
			inLog++
		}
	}
	if inLog == 0 || inLog > 200 {
		t.Errorf("%d rows lie in the log", inLog)
	}
}

func TestDeletedRowsAreFoundWhereTheyAreWhole(t *testing.T) {
	for _, c := range []struct {
		secure, clear string
		least, most   int
	}{
		{"OFF", "SELECT 1;", 3, 101}, // of rows deleted one by one, few cells stay whole
		{"OFF", "DELETE FROM s;", 90, 200},
		{"ON", "DELETE FROM s;", 0, 0},
	} {
		path := filepath.Join(t.TempDir(), "t.db")
		run(t, path, "PRAGMA page_size=1024;", "PRAGMA auto_vacuum=NONE;", "PRAGMA secure_delete="+c.secure+";",
			"CREATE TABLE s(ID INTEGER PRIMARY KEY, u TEXT NOT NULL, at INTEGER, host TEXT) STRICT;",
			"CREATE TABLE other(a INTEGER PRIMARY KEY, b INTEGER);",
			"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<200) INSERT INTO s SELECT x, 'user'||x, 1700000000+x, 'host'||x FROM c;",
			"INSERT INTO other SELECT ID, at FROM s;",
			"DELETE FROM s WHERE ID=200;", "DELETE FROM s WHERE ID BETWEEN 50 AND 150;", "UPDATE s SET host='elsewhere' WHERE ID=199;", c.clear)
		db := open(t, path)
		live, carved := map[string]bool{}, 0
		for row := range db.AllRows(db.Table("s"), func(r *sqlite.Row) bool { return r.Values[2].Int > 1_700_000_000 }) {
			text := fmt.Sprint(row.ID, string(row.Values[1].Bytes), row.Values[2].Int, string(row.Values[3].Bytes))
			if live[text] {
				t.Errorf("row %s is there twice", text)
			}
			live[text] = true
			if row.Carved {
				carved++
				host := fmt.Sprintf("host%d", row.ID)
				if row.ID == 199 && bytes.Equal(row.Values[3].Bytes, []byte("elsewhere")) {
					host = "elsewhere"
				}
				if text != fmt.Sprint(row.ID, fmt.Sprintf("user%d", row.ID), 1700000000+row.ID, host) {
					t.Errorf("invented row %s", text)
				}
			}
		}
		if d := db.Damage(); len(d) > 0 {
			t.Errorf("damage: %+v", d)
		}
		if carved < c.least || carved > c.most {
			t.Errorf("secure_delete %s, %s: %d rows were carved", c.secure, c.clear, carved)
		}
	}
}

// Rows that only an earlier transaction of the log has are found there; those
// of a transaction that was taken back are not.
func TestEarlierRowsAreFoundInTheLog(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "t.db")
	run(t, path, "PRAGMA page_size=512;", "PRAGMA auto_vacuum=NONE;", "PRAGMA secure_delete=ON;", "PRAGMA journal_mode=WAL;", "PRAGMA wal_autocheckpoint=0;",
		"CREATE TABLE s(ID INTEGER PRIMARY KEY, u TEXT NOT NULL);", "CREATE TABLE other(a INTEGER PRIMARY KEY, b INTEGER);",
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<100) INSERT INTO s SELECT x, 'user'||x FROM c;", "INSERT INTO other SELECT ID, ID FROM s;",
		"DELETE FROM s WHERE ID>40;", "DELETE FROM other;",
		"PRAGMA cache_size=1;", "PRAGMA cache_spill=1;", "BEGIN;", "UPDATE s SET u='never';", "WITH RECURSIVE c(x) AS (SELECT 200 UNION ALL SELECT x+1 FROM c WHERE x<400) INSERT INTO s SELECT x, 'never' FROM c;",
		".system cp "+path+" "+dir+"/taken.db && cp "+path+"-wal "+dir+"/taken.db-wal", "ROLLBACK;")
	db := open(t, filepath.Join(dir, "taken.db"))
	rows := map[string]int{}
	for _, table := range []string{"s", "other"} {
		for row := range db.AllRows(db.Table(table), func(*sqlite.Row) bool { return true }) {
			rows[table]++
			if row.Carved {
				rows[table+" carved"]++
			}
			if table == "s" && string(row.Values[1].Bytes) != fmt.Sprint("user", row.ID) {
				t.Errorf("row %d is %q", row.ID, row.Values[1].Bytes)
			}
		}
	}
	if d := db.Damage(); len(d) > 0 {
		t.Errorf("damage: %+v", d)
	}
	if rows["s"] != 100 || rows["s carved"] != 60 || rows["other"] != 100 || rows["other carved"] != 100 {
		t.Errorf("%v", rows)
	}
}

func TestRowsOfTheCorpusEqualSQLites(t *testing.T) {
	root := testenv.Corpus(t)
	files, rows := 0, 0
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		head := make([]byte, len(sqlite.Magic))
		_, err = f.Read(head)
		f.Close()
		rel, _ := filepath.Rel(root, path)
		if err != nil || string(head) != sqlite.Magic || strings.Contains(rel, "damaged") || strings.Contains(rel, "_bad") {
			return nil
		}
		t.Run(rel, func(t *testing.T) { rows += compare(t, path) })
		files++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d databases, %d rows", files, rows)
	if files < 20 {
		t.Errorf("%d databases", files)
	}
}

// FuzzDatabase changes databases and logs: reading ends, and every place it
// gives lies inside.
func FuzzDatabase(f *testing.F) {
	for _, name := range []string{"small.db", "logged.db"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		log, err := os.ReadFile(filepath.Join("testdata", name+"-wal"))
		if err != nil && !os.IsNotExist(err) {
			f.Fatal(err)
		}
		f.Add(data, log)
	}
	f.Fuzz(func(t *testing.T, data, log []byte) {
		wal, err := sqlite.OpenWAL(bytes.NewReader(log), int64(len(log)))
		if err != nil {
			wal = nil
		}
		db, err := sqlite.Open(bytes.NewReader(data), int64(len(data)), wal)
		if err != nil {
			return
		}
		inside := func(what string, s sqlite.Span) {
			size := int64(len(data))
			if s.WAL {
				size = int64(len(log))
			}
			if s.Offset < 0 || s.Length <= 0 || s.Offset+s.Length > size {
				t.Errorf("%s at %d+%d of %d bytes", what, s.Offset, s.Length, size)
			}
		}
		rows := 0
		for i := range db.Tables() {
			for row := range db.AllRows(&db.Tables()[i], func(*sqlite.Row) bool { return true }) {
				if rows++; rows > len(data)+len(log) {
					t.Fatal("more rows than bytes")
				}
				for _, s := range row.Spans {
					inside("row", s)
				}
			}
			for _, d := range db.Damage() {
				if d.Offset >= 0 && d.Length >= 0 {
					inside(d.Detail, d.Span)
				}
			}
		}
	})
}

// The seeds of fuzzing, made by SQLite.
func TestSeedsAreMade(t *testing.T) {
	if !testenv.Updating() {
		t.Skip("skipped: runs with -update only")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "t.db")
	run(t, path, "PRAGMA page_size=512;", "PRAGMA secure_delete=OFF;", "PRAGMA journal_mode=WAL;", "PRAGMA wal_autocheckpoint=0;",
		"CREATE TABLE a(id INTEGER PRIMARY KEY, t TEXT NOT NULL, n INTEGER, r REAL);", "CREATE TABLE b(x);",
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<60) INSERT INTO a SELECT x, 'text '||x, x*1000, x/2.0 FROM c;",
		"INSERT INTO b VALUES(printf('%.*c', 1500, 'x'));", "DELETE FROM a WHERE id=60;", "PRAGMA wal_checkpoint(RESTART);",
		".system cp "+path+" "+dir+"/small.db", "INSERT INTO b VALUES('logged');", "UPDATE a SET t='other' WHERE id=7;",
		".system cp "+path+" "+dir+"/logged.db && cp "+path+"-wal "+dir+"/logged.db-wal")
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"small.db", "logged.db", "logged.db-wal"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("testdata", name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkRows(b *testing.B) {
	path := filepath.Join(b.TempDir(), "t.db")
	run(b, path, "CREATE TABLE w(ID INTEGER PRIMARY KEY, Type INTEGER, User TEXT NOT NULL, Login INTEGER, Logout INTEGER, TTY TEXT, RemoteHost TEXT, Service TEXT);",
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<100000) INSERT INTO w SELECT x, 3, 'user'||x%20, 1700000000000000+x, 1700000001000000+x, 'pts/'||x%9, '203.0.113.7', 'sshd' FROM c;")
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	rows := 0
	meter := testenv.StartCPU()
	for b.Loop() {
		db, err := sqlite.Open(bytes.NewReader(data), int64(len(data)), nil)
		if err != nil {
			b.Fatal(err)
		}
		for range db.Rows(db.Table("w")) {
			rows++
		}
	}
	meter.Report(b, float64(rows), "rows")
}
