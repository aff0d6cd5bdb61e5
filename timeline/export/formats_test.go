package export_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/xuri/excelize/v2"

	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/export"
	"github.com/exhibit-dfir/exhibit/timeline/store/memory"
	"github.com/exhibit-dfir/exhibit/timeline/storetest"
)

// blank is an event in which nothing is known but a time.
func blank(ns int64) *timeline.Event {
	e := &timeline.Event{}
	for i := range timeline.Columns {
		if c := &timeline.Columns[i]; c.Int != nil {
			*c.Int(e) = timeline.None
		}
	}
	e.SetNanos(ns)
	return e
}

func fileTime(off, seconds int64, file, macb string) *timeline.Event {
	e := blank(seconds*1e9 + 999)
	e.DataType, e.File, e.RecOff = "fs:stat", file, off
	e.Source = &timeline.Source{ID: "one"}
	for _, a := range [][2]string{{"macb", macb}, {"mode", "-rwsr-xr-x"}, {"size", "4711"}, {"inode", strconv.FormatInt(off+7, 10)}, {"uid", "0"}, {"gid", "5"}} {
		e.Attrs = append(e.Attrs, timeline.Attr{Key: a[0], Value: a[1], Type: 's'})
	}
	return e
}

// The Sleuth Kit's own mactime reads what Bodyfile writes.
func TestMactimeReadsTheBodyfile(t *testing.T) {
	mactime := testenv.Tool(t, "mactime")
	list := []*timeline.Event{
		fileTime(100, -3, "/bin/old", "m..."),
		fileTime(0, 1_700_000_000, "/bin/su", "m.c."),
		fileTime(300, 1_700_000_001, "/tmp/new\nline", "macb"),
		fileTime(0, 1_700_000_100, "/bin/su", ".a.."),
		fileTime(0, 1_700_000_200, "/bin/su", "...b"),
	}
	other := blank(5)
	other.DataType, other.Message = "syslog:line", "no file time"
	var buf bytes.Buffer
	res, err := export.Bodyfile(&buf, events(append(list, other)...))
	if err != nil || res.Rows != 5 || res.Others != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	want := "0|/bin/old|107|-rwsr-xr-x|0|5|4711|0|-3|0|0\n" +
		"0|/bin/su|7|-rwsr-xr-x|0|5|4711|1700000100|1700000000|1700000000|1700000200\n" +
		`0|/tmp/new\nline|307|-rwsr-xr-x|0|5|4711|1700000001|1700000001|1700000001|1700000001` + "\n"
	if buf.String() != want {
		t.Fatalf("body file\n%swant\n%s", buf.String(), want)
	}
	path := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(mactime, "-d", "-y", "-z", "UTC", "-b", path, "2023-01-01").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		`2023-11-14T22:13:20Z,4711,m.c.,-rwsr-xr-x,0,5,7,"/bin/su"`,
		`2023-11-14T22:15:00Z,4711,.a..,-rwsr-xr-x,0,5,7,"/bin/su"`,
		`2023-11-14T22:16:40Z,4711,...b,-rwsr-xr-x,0,5,7,"/bin/su"`,
		`2023-11-14T22:13:21Z,4711,macb,-rwsr-xr-x,0,5,307,"/tmp/new\nline"`,
	} {
		if !strings.Contains(string(out), row) {
			t.Errorf("mactime does not show %s in\n%s", row, out)
		}
	}
}

func TestBodyfileKeepsFilesApart(t *testing.T) {
	name := `/a|b\c`
	var buf bytes.Buffer
	if _, err := export.Bodyfile(&buf, events(fileTime(0, 1, name, "m..."), fileTime(0, 2, "/b", "m..."), fileTime(9, 3, name, ".a.."))); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(buf.String(), "\n"); got != 3 || strings.Count(buf.String(), `|/a\|b\\c|`) != 2 {
		t.Fatalf("%d lines:\n%s", got, buf.String())
	}
}

func TestL2TCSV(t *testing.T) {
	e := blank(1_700_000_000_123_456_789)
	e.Message, e.TSDesc, e.User, e.Host, e.SourceShort, e.SourceLong, e.Parser = "=HYPERLINK(\"x\"), "+strings.Repeat("é", 90), "Last Access Time", "root", "web01", "LOG", "syslog", "linux_syslog"
	e.Source = &timeline.Source{Path: "/var/log/auth.log", Bundle: evidence.Sum([]byte("b")), Member: "root/var/log/auth.log"}
	var buf bytes.Buffer
	if _, err := export.L2TCSV(&buf, events(e)); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&buf).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	want := []string{"11/14/2023", "22:13:20", "UTC", ".A..", "LOG", "syslog", "Last Access Time", "root", "web01", "", "", "2", "/var/log/auth.log", "-", "-", "linux_syslog"}
	for i, w := range want {
		if w != "" && rows[1][i] != w {
			t.Errorf("column %s: %q, want %q", rows[0][i], rows[1][i], w)
		}
	}
	if short := rows[1][9]; !strings.HasPrefix(short, "'=HYPERLINK") || len([]rune(short)) != 81 {
		t.Errorf("short %q", short)
	}
	var extra map[string]any
	if err := json.Unmarshal([]byte(rows[1][16]), &extra); err != nil || extra["fraction"] != "123456789" || extra["member"] != "root/var/log/auth.log" {
		t.Errorf("extra %s, %v", rows[1][16], err)
	}
}

// An attribute may be of a log's own making: what is no MACB must not pass for
// one.
func TestL2TCSVTakesNoOtherAttributeForMACB(t *testing.T) {
	for value, want := range map[string]string{"M.c.": "M.C.", "mac.": "MAC.", "=1+1": ".A..", "\x1b[2J": ".A..", "....x": ".A..", "bcam": ".A..", "é..": ".A.."} {
		e := blank(0)
		e.TSDesc = "Last Access Time"
		e.Attrs = []timeline.Attr{{Key: "macb", Value: value, Type: 's'}}
		var buf bytes.Buffer
		if _, err := export.L2TCSV(&buf, events(e)); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&buf).ReadAll()
		if err != nil || len(rows) != 2 || rows[1][3] != want {
			t.Errorf("%q: %q, %v, want %q", value, rows, err, want)
		}
	}
}

func TestECSPutsThingsWhereTheSchemaHasThem(t *testing.T) {
	e := blank(1_700_000_000_000_000_001)
	e.TSEnd, e.TZOff = e.TS+5, -210
	e.Category, e.Outcome, e.Exe, e.PID, e.PPID, e.File = "process", "failure", `C:\Windows\cmd.exe`, 7, 1, "/bin/su"
	e.SrcIP, e.SrcPort, e.DstIP, e.UID = "evil.example", 70000, "2001:db8::1", 0
	e.Attrs = []timeline.Attr{{Key: "a", Value: "1", Type: 'i'}, {Key: "a.b", Value: "2", Type: 's'}}
	var row struct {
		Timestamp string `json:"@timestamp"`
		Event     struct {
			Category                      []string
			Start, End, Timezone, Outcome string
			Duration                      int64
		}
		Process struct {
			Name   string
			PID    int64
			Parent struct{ PID int64 }
		}
		Source      map[string]any
		Destination map[string]any
		User        map[string]string
		Exhibit     struct{ Attr map[string]string }
	}
	if err := json.Unmarshal(export.AppendECS(nil, e), &row); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(row.Timestamp, row.Event, row.Process, row.Source, row.Destination, row.User, row.Exhibit.Attr)
	want := "2023-11-14T22:13:20.000000001Z{[process] 2023-11-14T22:13:20.000000001Z 2023-11-14T22:13:20.000000006Z -03:30 failure 5} " +
		"{cmd.exe 7 {1}} map[address:evil.example] map[address:2001:db8::1 ip:2001:db8::1] map[id:0] map[a:1 a_b:2]"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// What each class of OCSF 1.3.0 demands beside what all demand.
var ocsfDemands = map[int64][]string{0: nil, 3002: {"user"}, 1007: {"process", "actor"}, 1001: {"file", "actor"}, 4001: {"dst_endpoint"}}

func TestOCSFGivesWhatTheClassDemands(t *testing.T) {
	list := storetest.Slice(t, all(sample(t)))
	classes := map[string]func(*timeline.Event){
		"login":        func(e *timeline.Event) { e.Category, e.Action, e.User = "authentication", "user-login", "root" },
		"login nobody": func(e *timeline.Event) { e.Category = "authentication" },
		"process":      func(e *timeline.Event) { e.Category, e.Action, e.Exe = "process", "executed", "/bin/sh" },
		"process user": func(e *timeline.Event) { e.Category, e.Cmdline, e.UID = "process", "sh -c id", 0 },
		"file":         func(e *timeline.Event) { e.Category, e.File, e.User = "file", "/etc/passwd", "root" },
		"file nobody":  func(e *timeline.Event) { e.Category, e.File = "file", "/etc/passwd" },
		"network":      func(e *timeline.Event) { e.Category, e.DstIP, e.DstPort = "network", "192.0.2.1", 443 },
	}
	want := map[string]float64{"login": 300201, "login nobody": 0, "process": 100701, "process user": 100799, "file": 100199, "file nobody": 0, "network": 400199}
	for name, fill := range classes {
		e := blank(1_700_000_000_999_999_999)
		fill(e)
		row := ocsfRow(t, e)
		if row["type_uid"] != want[name] {
			t.Errorf("%s: type_uid %v, want %v", name, row["type_uid"], want[name])
		}
		list = append(list, e)
	}
	for _, e := range list {
		if e.TSState != timeline.TimeOK {
			continue
		}
		row := ocsfRow(t, e)
		demands := ocsfDemands[int64(row["class_uid"].(float64))]
		for _, key := range append(demands, "category_uid", "class_uid", "activity_id", "type_uid", "severity_id", "time", "metadata") {
			if _, ok := row[key]; !ok {
				t.Fatalf("class %v without %s: %v", row["class_uid"], key, row)
			}
		}
		if row["type_uid"] != row["class_uid"].(float64)*100+row["activity_id"].(float64) {
			t.Fatalf("type_uid %v", row["type_uid"])
		}
		if row["time"].(float64) != float64(time.Unix(0, e.TS).UnixMilli()) {
			t.Fatalf("time %v of %d", row["time"], e.TS)
		}
	}
}

func ocsfRow(t *testing.T, e *timeline.Event) map[string]any {
	t.Helper()
	var buf bytes.Buffer
	if _, err := export.OCSF(&buf, events(e)); err != nil {
		t.Fatal(err)
	}
	row := map[string]any{}
	if err := json.Unmarshal(buf.Bytes(), &row); err != nil {
		t.Fatalf("%v: %s", err, buf.Bytes())
	}
	return row
}

func TestXLSX(t *testing.T) {
	m := sample(t)
	want := storetest.Slice(t, all(m))
	long := blank(5)
	long.Message = strings.Repeat("𝄞", 20_000) // 40,000 UTF-16 units
	formula := blank(6)
	formula.Message, formula.PID = "=cmd|'/c calc'!A0\x1b[2J", 1<<60
	want = append(want, long, formula)
	var buf bytes.Buffer
	res, err := export.XLSX(&buf, events(want...))
	if err != nil || res.Cut != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	book, err := excelize.OpenReader(&buf)
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	rows, err := book.GetRows("Timeline")
	if err != nil || len(rows) != len(want)+1 {
		t.Fatalf("%d rows of %d events, %v", len(rows), len(want), err)
	}
	column := func(name string) int {
		for i, c := range rows[0] {
			if c == name {
				return i
			}
		}
		t.Fatalf("no column %s", name)
		return 0
	}
	n := len(rows)
	if s := rows[n-2][column("message")]; !strings.HasSuffix(s, "𝄞… (cut)") {
		t.Errorf("long text ends in %q", s[len(s)-20:])
	}
	if s := rows[n-1][column("message")]; s != `=cmd|'/c calc'!A0\u{1b}[2J` || rows[n-1][column("pid")] != "1152921504606846976" {
		t.Errorf("row %q", rows[n-1])
	}
	cell, err := excelize.CoordinatesToCellName(column("message")+1, n)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := book.GetCellFormula("Timeline", cell); f != "" || err != nil {
		t.Errorf("formula %q, %v", f, err)
	}
	for i, e := range want[:50] {
		if got := rows[i+1][column("event_id")]; got != e.ID.String() {
			t.Fatalf("row %d: %s, want %s", i, got, e.ID)
		}
	}
}

// A reader that knows nothing of us finds every column with its values.
func TestXLSXLosesNoTextThatLooksLikeAnEscape(t *testing.T) {
	for text, want := range map[string]string{
		"a_x0041_b":         "a_x0041_b",
		"a_x005F_x0041_b":   "a_x005F_x0041_b",
		"a_xD834_b":         `a\u{5f}xD834_b`,
		"a_xdfff_xD800_b":   `a\u{5f}xdfff\u{5f}xD800_b`,
		"_x000D_ and _xyz_": "_x000D_ and _xyz_",
	} {
		e := blank(5)
		e.Message = text
		var buf bytes.Buffer
		if _, err := export.XLSX(&buf, events(e)); err != nil {
			t.Fatal(err)
		}
		book, err := excelize.OpenReader(&buf)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := book.GetRows("Timeline")
		if err != nil || len(rows) != 2 {
			t.Fatal(rows, err)
		}
		if got := rows[1][slices.Index(rows[0], "message")]; got != want {
			t.Errorf("%q is read as %q, want %q", text, got, want)
		}
		if err := book.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestParquetHoldsEveryColumn(t *testing.T) {
	m := sample(t)
	want := storetest.Slice(t, all(m))
	var buf bytes.Buffer
	if _, err := export.Parquet(&buf, events(want...)); err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil || file.NumRows() != int64(len(want)) {
		t.Fatalf("%d rows of %d, %v", file.NumRows(), len(want), err)
	}
	names := file.Schema().Columns()
	reader := parquet.NewReader(file)
	rows := make([]parquet.Row, 64)
	at := 0
	for {
		n, err := reader.ReadRows(rows)
		for _, row := range rows[:n] {
			got := map[string]parquet.Value{}
			for _, v := range row {
				got[names[v.Column()][0]] = v
			}
			checkParquet(t, got, want[at])
			at++
		}
		if err != nil {
			break
		}
	}
	if at != len(want) {
		t.Fatalf("%d rows read of %d", at, len(want))
	}
}

func checkParquet(t *testing.T, got map[string]parquet.Value, e *timeline.Event) {
	t.Helper()
	if string(got["event_id"].ByteArray()) != string(e.ID[:]) || string(got["content_id"].ByteArray()) != string(e.ContentID[:]) {
		t.Fatalf("identity %x %x", got["event_id"].ByteArray(), got["content_id"].ByteArray())
	}
	for i := range timeline.Columns {
		c := &timeline.Columns[i]
		v := got[c.Name]
		switch {
		case c.Int != nil && v.IsNull() != (*c.Int(e) == timeline.None), c.Int != nil && !v.IsNull() && v.Int64() != *c.Int(e):
			t.Fatalf("%s: %v, want %d", c.Name, v, *c.Int(e))
		case c.Name == "sha256" && len(*c.Str(e)) == 64:
			if fmt.Sprintf("%x", v.ByteArray()) != *c.Str(e) {
				t.Fatalf("sha256 %x, want %s", v.ByteArray(), *c.Str(e))
			}
		case c.Str != nil && string(v.ByteArray()) != *c.Str(e):
			t.Fatalf("%s: %q, want %q", c.Name, v.ByteArray(), *c.Str(e))
		}
	}
	if attrs := string(timeline.AppendAttrs(nil, e.Attrs)); len(e.Attrs) > 0 && string(got["attrs"].ByteArray()) != attrs {
		t.Fatalf("attrs %s, want %s", got["attrs"].ByteArray(), attrs)
	}
}

// Row groups beyond the first are as whole as the first.
func TestParquetOfManyRows(t *testing.T) {
	if testing.Short() {
		t.Skip("140,000 rows")
	}
	const n = 140_000
	many := func(yield func(*timeline.Event, error) bool) {
		e := blank(0)
		for i := range int64(n) {
			e.TS, e.PID, e.Message = i, i%5, "row "+strconv.FormatInt(i, 10)
			if !yield(e, nil) {
				return
			}
		}
	}
	var buf bytes.Buffer
	if _, err := export.Parquet(&buf, many); err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil || file.NumRows() != n || len(file.RowGroups()) != 2 {
		t.Fatalf("%d rows in %d groups, %v", file.NumRows(), len(file.RowGroups()), err)
	}
	rows := file.RowGroups()[1].Rows()
	defer rows.Close()
	buffer := make([]parquet.Row, 1)
	if _, err := rows.ReadRows(buffer); err != nil {
		t.Fatal(err)
	}
	ts, _ := file.Schema().Lookup("ts")
	for _, v := range buffer[0] {
		if v.Column() == ts.ColumnIndex && v.Int64() != 131_072 {
			t.Errorf("second group begins with %v", v)
		}
	}
}

func TestTimesketchCSVHasItsColumns(t *testing.T) {
	e := blank(1_700_000_000_000_001_000)
	e.Message = "+1"
	var buf bytes.Buffer
	if _, err := export.TimesketchCSV(&buf, all(memory.New([]*timeline.Event{e}))); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&buf).ReadAll()
	if err != nil || len(rows) != 2 || strings.Join(rows[0][:4], ",") != "message,datetime,timestamp,timestamp_desc" {
		t.Fatalf("%q, %v", rows, err)
	}
	if got := strings.Join(rows[1][:4], ","); got != "'+1,2023-11-14T22:13:20.000001+00:00,1700000000000001,Event Time" {
		t.Errorf("row %s", got)
	}
}
