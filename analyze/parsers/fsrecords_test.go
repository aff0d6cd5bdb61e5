package parsers

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func TestFSRecords(t *testing.T) { parsertest.Run(t, fsRecords, "testdata/fs_records") }

func FuzzFSRecords(f *testing.F) { parsertest.Fuzz(f, fsRecords, "testdata/fs_records") }

// walkSample is what a walk records of a handful of files.
func walkSample() []byte {
	const at = int64(1_763_900_000_000_000_000)
	files := []record.File{
		{Path: record.Bytes("/etc/passwd"), Mode: 0o100644, Owner: "root", Size: 1812, Inode: 77, Dev: "8:1", Nlink: 1, Atime: at + 1, Mtime: at, Ctime: at, Btime: at, SHA256: strings.Repeat("0123456789abcdef", 4)},
		{Path: record.Bytes("/tmp/<\xff\xfe>"), Mode: 0o104755, UID: 1000, GID: 1000, Size: 9, Inode: 78, Dev: "8:1", Nlink: 2, Atime: at + 5, Mtime: at + 6, Ctime: at + 7, Btime: at + 8, Attributes: 0x10},
		{Path: record.Bytes("/bin"), Mode: 0o120777, Size: 7, Inode: 12, Dev: "8:1", Nlink: 1, Atime: at, Mtime: at, Ctime: at, Link: record.Bytes("usr/bin")},
		{Path: record.Bytes("/dev/null"), Mode: 0o020666, Inode: 4, Dev: "0:6", Nlink: 1, HashNote: "no regular file"},
		{Path: record.Bytes("/var/tmp"), Mode: 0o041777, Size: 4096, Inode: 5, Dev: "8:1", Nlink: 3, Atime: at + 3, Mtime: -1_000_000_000, Ctime: at + 3, Btime: at},
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, f := range files {
		if err := enc.Encode(f); err != nil {
			panic(err) // a struct of plain fields always encodes
		}
	}
	return b.Bytes()
}

// manifestSample is a manifest batch in the form of docs/format/bundle.md.
const manifestSample = `{"i":0,"salt":"00112233445566778899aabbccddeeff","k":"header","header":{"format":"exhibit.bundle.v1"}}
{"i":0,"salt":"00112233445566778899aabbccddeeff","detail":"x"}
{"i":1,"salt":"00112233445566778899aabbccddeeff","k":"file","size":5,"sha256":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","stored":5}
{"i":1,"salt":"00112233445566778899aabbccddeeff","member":"root/etc/hostname","off":512,"src":"file","path":"/etc/hostname","collector":"linux_config","stat":{"mode":33188,"uid":0,"gid":0,"owner":"root","group":"root","ino":4711,"dev":"8:1","nlink":1,"size":5,"blocks":8,"atime":"2025-11-23T09:16:10.5Z","mtime":"2025-11-20T00:00:00Z","ctime":"2025-11-20T00:00:00Z","btime":"2025-11-01T12:00:00.000000001Z","xattr":{"user.a":"AQ=="}},"changed":true,"t0":"2025-11-23T09:16:10Z"}
{"i":2,"salt":"00112233445566778899aabbccddeeff","k":"symlink"}
{"i":2,"salt":"00112233445566778899aabbccddeeff","src":"root","path_b64":"L3RtcC//","link_b64":"L3fw","stat":{"mode":41471,"uid":1000,"gid":1000,"ino":12,"dev":"8:1","nlink":1,"size":3,"blocks":0,"atime":"2024-03-01T00:00:00Z","mtime":"1969-12-31T23:59:59.5Z","ctime":"2024-02-29T23:59:59Z"}}
{"i":3,"salt":"00112233445566778899aabbccddeeff","k":"file","size":1,"sha256":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","stored":1}
{"i":3,"salt":"00112233445566778899aabbccddeeff","member":"proc/1/exe","src":"proc","path":"/proc/1/exe","stat":{"mode":33188,"atime":"2025-11-23T09:16:10Z"}}
{"i":4,"salt":"00112233445566778899aabbccddeeff","k":"denied"}
{"i":4,"salt":"00112233445566778899aabbccddeeff","src":"file","path":"/root/secret","detail":"EACCES","stat":{"mode":33152,"uid":0,"gid":0,"ino":13,"dev":"8:1","nlink":1,"size":3,"blocks":8,"atime":"2025-11-23T09:16:10Z","mtime":"2025-11-23T09:16:10Z","ctime":"2025-11-23T09:16:10Z"}}
`

// receivedSample is a manifest batch of evidence that was received: a file of
// the host of which an archive states little, an output of the tool, and the
// archive itself.
const receivedSample = `{"i":1,"salt":"00112233445566778899aabbccddeeff","k":"file","size":9,"sha256":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","stored":9}
{"i":1,"salt":"00112233445566778899aabbccddeeff","member":"files/original/a.zip","off":512,"src":"original","path":"a.zip","stat":{"size":9,"mtime":"2026-11-25T19:00:00Z"}}
{"i":2,"salt":"00112233445566778899aabbccddeeff","k":"file","size":5,"sha256":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","stored":5}
{"i":2,"salt":"00112233445566778899aabbccddeeff","member":"files/import/C%3A/a","off":1536,"src":"import","path":"/C:/a","collector":"import","stat":{"size":5,"mtime":"2021-08-21T20:04:11.32606Z"},"t0":"2026-11-25T19:10:13Z"}
{"i":3,"salt":"00112233445566778899aabbccddeeff","k":"file","size":5,"sha256":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","stored":5}
{"i":3,"salt":"00112233445566778899aabbccddeeff","member":"files/import/etc/b","off":2560,"src":"import","path":"/etc/b","collector":"import","stat":{"mode":33184,"uid":0,"gid":4,"owner":"root","size":5,"mtime":"2026-11-25T19:00:00Z"},"t0":"2026-11-25T19:10:13Z"}
{"i":4,"salt":"00112233445566778899aabbccddeeff","k":"symlink"}
{"i":4,"salt":"00112233445566778899aabbccddeeff","src":"import","path":"/etc/c","link":"b","collector":"import","stat":{},"t0":"2026-11-25T19:10:13Z"}
{"i":5,"salt":"00112233445566778899aabbccddeeff","k":"file","size":5,"sha256":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","stored":5}
{"i":5,"salt":"00112233445566778899aabbccddeeff","member":"files/tool/uac.log","off":3584,"src":"tool","path":"uac.log","collector":"import","stat":{"size":5,"mtime":"2026-11-25T19:00:00Z"}}
`

func TestFileRecordSamplesAreMade(t *testing.T) {
	if !*makeSamples {
		t.Skip("skipped: runs with -samples only")
	}
	walk := `{"path":"filesystem/walk.jsonl","kind":"stream","users":{"1000":"alice"}}`
	for name, s := range map[string]struct {
		data  []byte
		facts string
	}{
		"walk.jsonl":            {walkSample(), walk},
		"damaged-walk.jsonl":    {append(append(walkSample(), "{\"path\":\"/x\",\"mode\":}\n\n"...), walkSample()[:700]...), walk},
		"manifest.jsonl":        {[]byte(manifestSample), `{"path":"exhibit/manifest/000000.jsonl","kind":"manifest"}`},
		"received.jsonl":        {[]byte(receivedSample), `{"path":"exhibit/manifest/000000.jsonl","kind":"manifest"}`},
		"damaged-manifest.json": {bytes.Replace([]byte(manifestSample[:1500]), []byte("2024-03-01T00:00:00Z"), []byte("@-62135596801.000000000"), 1), `{"path":"exhibit/manifest/000000.jsonl","kind":"manifest"}`},
	} {
		path := filepath.Join("testdata", "fs_records", name)
		if err := os.WriteFile(path, s.data, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+".item", []byte(s.facts+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var walkFacts = parsertest.Facts{Path: record.Files, Kind: evidence.KindStream}

func TestFileRecordsOfTheHostItselfAreNotTaken(t *testing.T) {
	it := &evidence.Item{Kind: evidence.KindFile, Path: record.Files}
	if fsRecords.Match(it, walkSample()) {
		t.Error("a host's file with the name of a record set was taken for one")
	}
}

func TestFSRecordsGiveTheRowsOfMactime(t *testing.T) {
	tool := testenv.Tool(t, "mactime")
	var walk, body bytes.Buffer
	enc := json.NewEncoder(&walk)
	seed := uint64(1)
	next := func(n int64) int64 {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int64(seed>>33) % n
	}
	for i := range 2000 {
		at := 1_500_000_000 + next(200_000_000)
		f := record.File{
			Path: record.Bytes(fmt.Sprintf("/srv/%d/file", i)), Mode: 0o100640, Size: next(1e6), Inode: uint64(i + 10),
			Nlink: 1, Mtime: at + next(3), Atime: at + next(3), Ctime: at + next(3), Btime: at + next(3),
		}
		fmt.Fprintf(&body, "0|%s|%d|r/rrw-r-----|0|0|%d|%d|%d|%d|%d\n", f.Path, f.Inode, f.Size, f.Atime, f.Mtime, f.Ctime, f.Btime)
		f.Mtime, f.Atime, f.Ctime, f.Btime = f.Mtime*1e9, f.Atime*1e9, f.Ctime*1e9, f.Btime*1e9
		if err := enc.Encode(f); err != nil {
			t.Fatal(err)
		}
	}
	want := mactimeRows(t, tool, body.Bytes())
	res := parsertest.Parse(t, fsRecords, parsertest.Sample{Name: "walk", Data: walk.Bytes(), Facts: walkFacts})
	if got := rowsLikeMactime(res.Events); len(want) < 4000 || !slices.Equal(got, want) {
		t.Errorf("%d events, mactime has %d rows; first %q and %q", len(got), len(want), got[0], want[0])
	}
	res = parsertest.Parse(t, bodyFile, parsertest.Sample{Name: "body", Data: body.Bytes()})
	if got := rowsLikeMactime(res.Events); !slices.Equal(got, want) {
		t.Errorf("of the body file: %d events, mactime has %d rows; first %q and %q", len(got), len(want), got[0], want[0])
	}
}

// mactimeRows are time, letters and name of the rows that mactime makes of a
// body file, sorted.
func mactimeRows(t *testing.T, tool string, body []byte) (rows []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "-b", path, "-d", "-y", "-z", "UTC").Output()
	if err != nil {
		t.Fatal(err)
	}
	table, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range table[1:] {
		rows = append(rows, row[0]+" "+row[2]+" "+row[7])
	}
	slices.Sort(rows)
	return rows
}

func rowsLikeMactime(events []*timeline.Event) (rows []string) {
	for _, ev := range events {
		when, _ := ev.Time()
		macb, _ := ev.Attr("macb")
		rows = append(rows, when.Format(time.RFC3339)+" "+macb+" "+ev.File)
	}
	slices.Sort(rows)
	return rows
}

func TestTimesOfTheManifestEqualThoseOfTheTimePackage(t *testing.T) {
	for _, text := range []string{
		"1970-01-01T00:00:00Z", "2000-02-29T23:59:59.999999999Z", "2100-03-01T00:00:00.1Z", "2199-12-31T23:59:59.000000001Z",
		"2025-11-23T09:16:10.5Z", "2024-12-31T00:00:00.123456Z",
	} {
		want, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := parseUTC([]byte(text)); !ok || got != want.UnixNano() {
			t.Errorf("%s: %d, want %d", text, got, want.UnixNano())
		}
	}
	for _, text := range []string{"", "2025-02-29T00:00:00Z", "2025-13-01T00:00:00Z", "2025-01-01T24:00:00Z", "2025-01-01T00:00:00.Z", "2025-01-01T00:00:00+01:00", "1969-12-31T23:59:59Z", "2025-01-01T00:00:-1Z"} {
		if ns, ok := parseUTC([]byte(text)); ok {
			t.Errorf("%q was read as %d", text, ns)
		}
	}
}

func BenchmarkFSRecordsWalk(b *testing.B) {
	var walk bytes.Buffer
	enc := json.NewEncoder(&walk)
	for i := range int64(50_000) {
		at := 1_700_000_000_123_456_789 + i*1_000_003
		if err := enc.Encode(record.File{
			Path: record.Bytes(fmt.Sprintf("/usr/share/doc/package-%d/changelog.Debian.gz", i)), Mode: 0o100644, Owner: "root",
			Size: i, Inode: uint64(i), Dev: "8:1", Nlink: 1, Mtime: at, Atime: at + 1e9, Ctime: at + i%2, Btime: at + i%2,
		}); err != nil {
			b.Fatal(err)
		}
	}
	meter := parsertest.Bench(b, fsRecords, parsertest.Sample{Name: "walk", Data: walk.Bytes(), Facts: walkFacts})
	meter.Report(b, float64(50_000*b.N), "lines")
}

func BenchmarkFSRecordsManifest(b *testing.B) {
	data := bytes.Repeat([]byte(manifestSample), 5000)
	meter := parsertest.Bench(b, fsRecords, parsertest.Sample{Name: "manifest", Data: data, Facts: parsertest.Facts{Kind: evidence.KindManifest}})
	meter.Report(b, float64(50_000*b.N), "lines")
}
