package parsers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func TestLinuxWtmpdb(t *testing.T) { parsertest.Run(t, linuxWtmpdb, "testdata/linux_wtmpdb") }

func TestLinuxLastlog2(t *testing.T) { parsertest.Run(t, linuxLastlog2, "testdata/linux_lastlog2") }

func FuzzLinuxWtmpdb(f *testing.F) { parsertest.Fuzz(f, linuxWtmpdb, "testdata/linux_wtmpdb") }

func FuzzLinuxLastlog2(f *testing.F) { parsertest.Fuzz(f, linuxLastlog2, "testdata/linux_lastlog2") }

func TestDnfHistory(t *testing.T) { parsertest.Run(t, dnfHistory, "testdata/dnf_history") }

func FuzzDnfHistory(f *testing.F) { parsertest.Fuzz(f, dnfHistory, "testdata/dnf_history") }

// dnfSchema is what of the tables of libdnf is read.
var dnfSchema = []string{
	pagesOf512,
	"CREATE TABLE trans(id INTEGER PRIMARY KEY AUTOINCREMENT, dt_begin INTEGER NOT NULL, dt_end INTEGER, rpmdb_version_begin TEXT, rpmdb_version_end TEXT, releasever TEXT NOT NULL, user_id INTEGER NOT NULL, cmdline TEXT, state INTEGER NOT NULL, comment TEXT DEFAULT '');",
	"CREATE TABLE item(id INTEGER PRIMARY KEY, item_type INTEGER NOT NULL);",
	"CREATE TABLE trans_item(id INTEGER PRIMARY KEY AUTOINCREMENT, trans_id INTEGER REFERENCES trans(id), item_id INTEGER REFERENCES item(id), repo_id INTEGER, action INTEGER NOT NULL, reason INTEGER NOT NULL, state INTEGER NOT NULL);",
	"CREATE TABLE rpm(item_id INTEGER UNIQUE NOT NULL, name TEXT NOT NULL, epoch INTEGER NOT NULL, version TEXT NOT NULL, release TEXT NOT NULL, arch TEXT NOT NULL, CONSTRAINT rpm_unique_nevra UNIQUE (name, epoch, version, release, arch));",
	"INSERT INTO trans VALUES(1,1763900000,1763900042,'500:a','503:b','9',1000,'install nginx',1,''),(2,1763910000,1763910001,'503:b','503:b','9',0,'remove auditd',2,''),(3,1763920000,NULL,'503:b',NULL,'9',4294967295,NULL,0,'');",
	"INSERT INTO item VALUES(1,1),(2,1),(3,1),(4,2),(5,1);",
	"INSERT INTO rpm VALUES(1,'nginx',1,'1.20.1','14.el9','x86_64'),(2,'nginx-filesystem',1,'1.20.1','14.el9','noarch'),(3,'audit',0,'3.0.7','104.el9','x86_64'),(5,'audit',0,'3.0.8','1.el9','x86_64');",
	"INSERT INTO trans_item VALUES(1,1,1,1,1,2,1),(2,1,2,1,1,1,1),(3,2,3,1,8,2,2),(4,3,5,1,6,2,0),(5,3,3,1,7,2,0),(6,1,4,1,1,2,1);",
}

func TestYumHistory(t *testing.T) { parsertest.Run(t, yumHistory, "testdata/yum_history") }

func FuzzYumHistory(f *testing.F) { parsertest.Fuzz(f, yumHistory, "testdata/yum_history") }

// yumSchema is what of the tables of yum is read.
var yumSchema = []string{
	pagesOf512,
	"CREATE TABLE trans_beg(tid INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, rpmdb_version TEXT NOT NULL, loginuid INTEGER);",
	"CREATE TABLE trans_end(tid INTEGER PRIMARY KEY REFERENCES trans_beg, timestamp INTEGER NOT NULL, rpmdb_version TEXT NOT NULL, return_code INTEGER NOT NULL);",
	"CREATE TABLE trans_cmdline(tid INTEGER NOT NULL REFERENCES trans_beg, cmdline TEXT NOT NULL);",
	"CREATE TABLE pkgtups(pkgtupid INTEGER PRIMARY KEY, name TEXT NOT NULL, arch TEXT NOT NULL, epoch TEXT NOT NULL, version TEXT NOT NULL, release TEXT NOT NULL, checksum TEXT);",
	"CREATE TABLE trans_data_pkgs(tid INTEGER NOT NULL REFERENCES trans_beg, pkgtupid INTEGER NOT NULL REFERENCES pkgtups, done BOOL NOT NULL DEFAULT FALSE, state TEXT NOT NULL);",
	"INSERT INTO trans_beg VALUES(1,1563900000,'500:a',1000),(2,1563910000,'501:a',4294967295),(3,1563920000,'500:b',0);",
	"INSERT INTO trans_end VALUES(1,1563900042,'501:a',0),(2,1563910001,'500:b',1);",
	"INSERT INTO trans_cmdline VALUES(1,'install nmap'),(2,'-y update');",
	"INSERT INTO pkgtups VALUES(1,'nmap','x86_64','2','6.40','19.el7',NULL),(2,'bash','x86_64','0','4.2.46','33.el7',NULL),(3,'bash','x86_64','0','4.2.46','34.el7',NULL);",
	"INSERT INTO trans_data_pkgs VALUES(1,1,'TRUE','True-Install'),(2,3,'FALSE','Update'),(2,2,'FALSE','Updated'),(3,9,'TRUE','Erase');",
}

func TestSQLiteWAL(t *testing.T) { parsertest.Run(t, sqliteWAL, "testdata/sqlite_wal") }

func FuzzSQLiteWAL(f *testing.F) { parsertest.Fuzz(f, sqliteWAL, "testdata/sqlite_wal") }

// makeLogged writes a database and its write-ahead log as they lie on a disk
// while the database is in use.
func makeLogged(t *testing.T, parser, name, facts, logFacts string, script ...string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "t.db")
	sqlite3(t, path, append(script, ".system cp "+path+" "+dir+"/taken && cp "+path+"-wal "+dir+"/taken-wal")...)
	for _, f := range []struct{ tail, parser, facts string }{{"", parser, facts}, {"-wal", "sqlite_wal", logFacts}} {
		data, err := os.ReadFile(filepath.Join(dir, "taken"+f.tail))
		if err != nil {
			t.Fatal(err)
		}
		writeSample(t, f.parser, name+f.tail, f.facts, data)
		if f.tail != "" {
			data[24] ^= 1 // of the header's checksum
			writeSample(t, f.parser, "damaged."+name+f.tail, strings.Replace(f.facts, "/logged/", "/damaged/", 1), data)
		}
	}
}

const (
	wtmpSchema     = "CREATE TABLE wtmp(ID INTEGER PRIMARY KEY, Type INTEGER, User TEXT NOT NULL, Login INTEGER, Logout INTEGER, TTY TEXT, RemoteHost TEXT, Service TEXT) STRICT;"
	lastlog2Schema = "CREATE TABLE Lastlog2(Name TEXT PRIMARY KEY, Time INTEGER, TTY TEXT, RemoteHost TEXT, Service TEXT);"
	pagesOf512     = "PRAGMA page_size=512; PRAGMA auto_vacuum=NONE; PRAGMA secure_delete=OFF;"
)

// sqlite3 has SQLite's own shell do something.
func sqlite3(t testing.TB, db string, script ...string) string {
	t.Helper()
	cmd := exec.Command(testenv.Tool(t, "sqlite3"), "-batch", "-bail", db)
	cmd.Stdin = strings.NewReader(strings.Join(script, "\n"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("sqlite3 %s: %v: %.400s", filepath.Base(db), err, out)
	}
	return string(out)
}

// makeDatabase writes a database into the folder of a parser's samples; change
// may damage it.
func makeDatabase(t *testing.T, parser, name, facts string, change func([]byte) []byte, script ...string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "t.db")
	sqlite3(t, path, script...)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		data = change(data)
	}
	writeSample(t, parser, name, facts, data)
}

func writeSample(t *testing.T, parser, name, facts string, data []byte) {
	t.Helper()
	path := filepath.Join("testdata", parser, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".item", []byte(facts+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDatabaseSamplesAreMade(t *testing.T) {
	if !*makeSamples {
		t.Skip("skipped: runs with -samples only")
	}
	wtmp := []string{
		pagesOf512, wtmpSchema,
		"INSERT INTO wtmp VALUES(1,1,'reboot',1763900000123456,1763990000000001,'~','6.12.48+deb13-amd64',NULL);",
		"INSERT INTO wtmp VALUES(2,3,'alice',1763900100000000,1763903700500000,'pts/0','203.0.113.7','sshd');",
		"INSERT INTO wtmp VALUES(3,3,'root',1763900200000001,NULL,'tty1','','login');",
		"INSERT INTO wtmp VALUES(4,3,'bob'||x'ff',1763900300000000,0,'pts/1','jump.example.org','sshd');",
		"INSERT INTO wtmp VALUES(5,2,'runlevel',1763900400000000,NULL,'~','6.12.48+deb13-amd64',NULL);",
		"INSERT INTO wtmp VALUES(6,3,'carol',1763900500000000,1763900600000000,'pts/2','" + strings.Repeat("long.", 120) + "example','sshd');",
		"WITH RECURSIVE c(x) AS (SELECT 7 UNION ALL SELECT x+1 FROM c WHERE x<40) INSERT INTO wtmp SELECT x,3,'alice',1763901000000000+x*60000000,1763901000000000+x*60000000+5000000,'pts/'||(x%4),'198.51.100.'||x,'sshd' FROM c;",
		"INSERT INTO wtmp VALUES(41,3,'mallory',1763910000000000,1763910060000000,'pts/9','192.0.2.66','sshd');", "DELETE FROM wtmp WHERE ID=41;",
	}
	facts := `{"path":"/var/lib/wtmpdb/wtmp.db"}`
	makeDatabase(t, "linux_wtmpdb", "wtmp.db", facts, nil, wtmp...)
	makeDatabase(t, "linux_wtmpdb", "damaged.wtmp.db", facts, func(b []byte) []byte {
		clear(b[3*512 : 3*512+200]) // header and pointers of one leaf
		return b
	}, wtmp...)
	lastlog2 := []string{
		pagesOf512, lastlog2Schema,
		"INSERT INTO Lastlog2 VALUES('root',1763900000,'tty1',NULL,'login'),('alice',1763900100,'pts/0','203.0.113.7','sshd'),('svc',0,NULL,NULL,NULL),('bob',1763900200,'pts/1','jump.example.org','sshd');",
		"UPDATE Lastlog2 SET Time=1763999999, RemoteHost='198.51.100.23' WHERE Name='bob';",
	}
	facts = `{"path":"/var/lib/lastlog/lastlog2.db"}`
	makeDatabase(t, "linux_lastlog2", "lastlog2.db", facts, nil, lastlog2...)
	makeDatabase(t, "linux_lastlog2", "damaged.lastlog2.db", facts, func(b []byte) []byte {
		copy(b[512+8:], "\xff\xff") // the first pointer of the table's leaf
		return b
	}, lastlog2...)
	facts = `{"path":"/var/lib/yum/history/history-2019-07-23.sqlite","users":{"1000":"alice","0":"root"}}`
	makeDatabase(t, "yum_history", "history.sqlite", facts, nil, yumSchema...)
	makeDatabase(t, "yum_history", "damaged.sqlite", facts, func(b []byte) []byte { return b[:len(b)-512] }, yumSchema...)
	logged := []string{"PRAGMA journal_mode=WAL;", "PRAGMA wal_autocheckpoint=0;"}
	makeLogged(t, "linux_wtmpdb", "logged.db", `{"path":"/var/log/logged/wtmp.db"}`, `{"path":"/var/log/logged/wtmp.db-wal","beside":"../linux_wtmpdb/logged.db"}`,
		slices.Concat([]string{pagesOf512}, logged, []string{
			wtmpSchema, "INSERT INTO wtmp VALUES(1,3,'alice',1763900100000000,NULL,'pts/0','203.0.113.7','sshd');", "PRAGMA wal_checkpoint(RESTART);",
			"INSERT INTO wtmp VALUES(2,3,'mallory',1763900200000000,NULL,'pts/1','198.51.100.23','sshd');", "DELETE FROM wtmp WHERE ID=2;",
			"UPDATE wtmp SET Logout=1763903700500000 WHERE ID=1;", "INSERT INTO wtmp VALUES(3,3,'bob',1763900300000000,NULL,'pts/2','" + strings.Repeat("long.", 100) + "example','sshd');",
		})...)
	makeLogged(t, "dnf_history", "logged.sqlite", `{"path":"/var/log/logged/history.sqlite"}`, `{"path":"/var/log/logged/history.sqlite-wal","beside":"../dnf_history/logged.sqlite","users":{"1000":"alice"}}`,
		slices.Concat(dnfSchema[:1], logged, dnfSchema[1:], []string{
			"PRAGMA wal_checkpoint(RESTART);", "INSERT INTO trans VALUES(4,1763930000,1763930042,'a','b','9',1000,'install nmap',1,'');",
			"INSERT INTO item VALUES(6,1);", "INSERT INTO rpm VALUES(6,'nmap',3,'7.92','1.el9','x86_64');", "INSERT INTO trans_item VALUES(7,4,6,1,1,2,1),(8,1,6,1,1,2,1);",
		})...)
	facts = `{"path":"/var/lib/dnf/history.sqlite","users":{"1000":"alice","0":"root"}}`
	makeDatabase(t, "dnf_history", "history.sqlite", facts, nil, dnfSchema...)
	makeDatabase(t, "dnf_history", "damaged.sqlite", facts, func(b []byte) []byte {
		b[979] = 0xff // how long the header of a record is
		return b
	}, dnfSchema...)
}

func TestDeletedSessionsAreCarved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wtmp.db")
	sqlite3(t, path, pagesOf512, wtmpSchema,
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<100) INSERT INTO wtmp SELECT x,3,'u'||x,1763901000000000+x,NULL,'pts/0','192.0.2.1','sshd' FROM c;",
		"DELETE FROM wtmp;")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	res := parsertest.Parse(t, linuxWtmpdb, parsertest.Sample{Name: "wtmp.db", Data: data})
	for _, ev := range res.Events {
		if want := fmt.Sprint("u", ev.RecNo); ev.User != want || ev.TS != (1763901000000000+ev.RecNo)*1000 || ev.Flags&timeline.Carved == 0 {
			t.Errorf("row %d: %q at %d, flags %v", ev.RecNo, ev.User, ev.TS, ev.Flags)
		}
	}
	if len(res.Events) < 80 || len(res.Problems) > 0 {
		t.Errorf("%d of 100 rows were found; problems %v", len(res.Events), res.Problems)
	}
}

// Every session that wtmpdb's own program shows of the corpus' database, and
// every account of lastlog2's, is one event.
func TestLoginDatabasesOfTheCorpus(t *testing.T) {
	s := corpusText(t, "linux-bin/wtmpdb/generated/wtmp.db")
	res := parsertest.Parse(t, linuxWtmpdb, s)
	var got, want []string
	for _, ev := range slices.Backward(res.Events) { // wtmpdb begins with the newest
		at, _ := ev.Time()
		tty, _ := ev.Attr("tty")
		host, _ := ev.Attr("host")
		got = append(got, fmt.Sprint(ev.User, " ", tty, " ", host, " ", at.Format("Mon Jan _2 15:04:05 2006"), " ", ev.TSEnd != timeline.None))
	}
	for _, row := range corpusRows(t, "linux-bin.wtmpdb.wtmpdb.jsonl.gz") {
		for _, e := range row["result"].(map[string]any)["entries"].([]any) {
			e := e.(map[string]any)
			want = append(want, fmt.Sprint(e["user"], " ", e["tty"], " ", e["hostname"], " ", e["login"], " ", !strings.HasPrefix(e["logout"].(string), "still")))
		}
	}
	if !slices.Equal(got, want) || len(res.Problems) > 0 {
		t.Errorf("got  %q\nwant %q\nproblems %v", got, want, res.Problems)
	}
	got = nil
	res = parsertest.Parse(t, linuxLastlog2, corpusText(t, "linux-bin/lastlog2/generated/lastlog2.db"))
	for _, ev := range res.Events {
		tty, _ := ev.Attr("tty")
		host, _ := ev.Attr("host")
		got = append(got, fmt.Sprint(ev.User, " ", tty, " ", host, " ", ev.TS/1e9))
	}
	want = []string{"root pts/0 203.0.113.9 1700000001", "daemon tty1  1600000001", "www-data pts/5 host.example.org 1710000001"}
	if !slices.Equal(got, want) || len(res.Problems) > 0 {
		t.Errorf("got %q, want %q, problems %v", got, want, res.Problems)
	}
}

func BenchmarkLinuxWtmpdb(b *testing.B) {
	path := filepath.Join(b.TempDir(), "wtmp.db")
	sqlite3(b, path, wtmpSchema,
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<50000) INSERT INTO wtmp SELECT x,3,'user'||x%20,1763901000000000+x*1000000,1763901000500000+x*1000000,'pts/'||(x%9),'198.51.100.'||x%250,'sshd' FROM c;")
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	parsertest.Bench(b, linuxWtmpdb, parsertest.Sample{Name: "wtmp.db", Data: data})
}

func TestALogWithoutItsDatabaseIsAProblem(t *testing.T) {
	for _, s := range parsertest.Load(t, "testdata/sqlite_wal") {
		if strings.HasPrefix(s.Name, "damaged") {
			continue
		}
		other, err := os.ReadFile("testdata/linux_lastlog2/lastlog2.db")
		if err != nil {
			t.Fatal(err)
		}
		for what, beside := range map[string][]byte{"no database": nil, "another page size": append([]byte(nil), "SQLite format 3\x00\x10\x00"...), "other tables": other[:512]} {
			if what == "other tables" && s.Name == "logged.db-wal" {
				continue // the log has the schema, too
			}
			s.Beside = beside
			if res := parsertest.Parse(t, sqliteWAL, s); len(res.Problems) == 0 {
				t.Errorf("%s with %s: %d events and no problem", s.Name, what, len(res.Events))
			}
		}
	}
}
