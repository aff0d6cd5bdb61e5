package parsers

import (
	"bytes"
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

	"github.com/exhibit-dfir/exhibit/analyze/format/ntfs/ntfstest"
	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func TestWindowsMFT(t *testing.T) { parsertest.Run(t, windowsMFT, "testdata/windows_mft") }

func FuzzWindowsMFT(f *testing.F) { parsertest.Fuzz(f, windowsMFT, "testdata/windows_mft") }

// benchTable has n files in n/20 folders, five deep.
func benchTable(n int) []byte {
	start := ntfstest.Time(sampleStart)
	b := make([]byte, 0, 1024*n)
	for i := range n {
		at := start + uint64(i)
		r := ntfstest.Record{Number: uint32(i), Sequence: 1, Flags: 1, Links: 1}
		parent := uint64(5)
		if i >= 64 {
			parent = uint64(i/20) | 16
		}
		name := fmt.Sprintf("document number %d.docx", i)
		if i < 16+n/20 {
			r.Flags, name = 3, fmt.Sprintf("folder-%d", i)
		}
		times := ntfstest.Times{at, at + 10, at + 20, at + 30}
		r.Attributes = []ntfstest.Attribute{
			ntfstest.Standard(times, 0x20, uint64(i)), ntfstest.Name(ntfstest.Ref(parent, 1), ntfstest.Same(at), 2, fmt.Sprintf("DOCUME~%d.DOC", i)),
			ntfstest.Name(ntfstest.Ref(parent, 1), ntfstest.Same(at), 1, name), ntfstest.DataOutside(0, int64(i)),
		}
		b = append(b, r.Bytes(1024)...)
	}
	return b
}

func BenchmarkWindowsMFT(b *testing.B) {
	parsertest.Bench(b, windowsMFT, parsertest.Sample{Name: "$MFT", Data: benchTable(40_000)})
}

// makeMFTSamples writes a whole table and a damaged one.
func makeMFTSamples(write func(parser, name string, b []byte)) {
	at := func(s uint64) uint64 { return ntfstest.Time(sampleStart) + s*10_000_000 + 1 }
	ref := ntfstest.Ref
	folder := func(number uint32, sequence, flags uint16, parent uint64, name string) ntfstest.Record {
		t := ntfstest.Same(at(uint64(number)))
		return ntfstest.Record{Number: number, Sequence: sequence, Flags: flags, Links: 1, Attributes: []ntfstest.Attribute{
			ntfstest.Standard(t, 0x10000000, 0), ntfstest.Name(parent, t, 3, name),
		}}
	}
	old := uint64(116444736000000000) + 999_999_999_999_999 // long before its name was given
	records := []ntfstest.Record{
		folder(0, 1, 1, ref(5, 5), "$MFT"),
		folder(5, 5, 3, ref(5, 5), "."),
		folder(6, 1, 3, ref(5, 5), "Users"),
		folder(7, 1, 3, ref(6, 1), "Anna"),
		folder(8, 4, 2, ref(7, 1), "gone"), // given free: its files know it as 3
		{Number: 9, Sequence: 2, Flags: 1, Links: 2, Attributes: []ntfstest.Attribute{
			ntfstest.Standard(ntfstest.Times{old, old, at(900), at(901)}, 0x22, 0x1f40000),
			ntfstest.Name(ref(7, 1), ntfstest.Same(at(800)), 2, "SVCHST~1.EXE"), ntfstest.Name(ref(7, 1), ntfstest.Same(at(800)), 1, "svchöst process.exe"),
			ntfstest.ObjectID([16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}),
			ntfstest.Data("", []byte("MZ")), ntfstest.Data("Zone.Identifier", []byte("[ZoneTransfer]\r\nZoneId=3\r\n")),
		}},
		{Number: 10, Sequence: 7, Flags: 0, Links: 0, Attributes: []ntfstest.Attribute{
			ntfstest.Standard(ntfstest.Times{at(1), at(2), at(3), at(4)}, 0x20, 0), ntfstest.Name(ref(8, 3), ntfstest.Same(at(1)), 3, "plan.txt"), ntfstest.DataOutside(0, 70_000),
		}},
		{Number: 11, Sequence: 3, Flags: 0, Attributes: []ntfstest.Attribute{
			ntfstest.Standard(ntfstest.Same(at(5)), 0x20, 0), ntfstest.Name(ref(7, 9), ntfstest.Same(at(5)), 3, "whose.txt"),
		}},
		// A file with two links whose attributes fill two records.
		{Number: 12, Sequence: 1, Flags: 1, Links: 2, Attributes: []ntfstest.Attribute{
			ntfstest.Standard(ntfstest.Same(at(20)), 0x20, 0), ntfstest.List(), ntfstest.Name(ref(7, 1), ntfstest.Same(at(20)), 0, "first:link"), ntfstest.DataOutside(0, 5<<30),
		}},
		{Number: 13, Sequence: 1, Flags: 1, Base: ref(12, 1), Attributes: []ntfstest.Attribute{
			ntfstest.Name(ref(6, 1), ntfstest.Same(at(25)), 0, "second link"), ntfstest.DataOutside(900, 5<<30), ntfstest.Data("more", nil),
		}},
		// Given free, though its base record is in use: another file's by now.
		{Number: 14, Sequence: 5, Flags: 0, Base: ref(12, 1), Attributes: []ntfstest.Attribute{ntfstest.Name(ref(7, 1), ntfstest.Same(at(10)), 0, "stale")}},
		{Number: 15, Sequence: 1, Flags: 1, Links: 1, Attributes: []ntfstest.Attribute{ntfstest.Data("", []byte("no times"))}},
		{Number: 16, Sequence: 1, Flags: 0}, // never used
		{Number: 18, Sequence: 1, Flags: 1, Links: 1, Attributes: []ntfstest.Attribute{
			ntfstest.Standard(ntfstest.Times{0, 1<<63 - 1, 3_000_000_000_000_000_000, at(7)}, 0x400, 0),
			ntfstest.NameUnits(ref(5, 5), ntfstest.Same(at(7)), 0, []uint16{'a', 0xdc00}), ntfstest.Reparse(0xa000000c),
		}},
	}
	write("windows_mft", "$MFT", ntfstest.Table(records...))

	b := ntfstest.Table(records...)
	b[9*1024+510] ^= 1        // torn: its first sector
	copy(b[10*1024:], "BAAD") // by NTFS itself
	copy(b[11*1024:], bytes.Repeat([]byte("junk"), 256))
	clear(b[6*1024 : 7*1024])     // Users
	b[12*1024+0x38+0x60+4] = 0xf1 // the length of an attribute
	write("windows_mft", "damaged-MFT", b[:len(b)-300])
}

// The corpus' tables: every time that plaso's parser (libfsntfs) finds, and the
// paths that dfir_ntfs makes.
func TestMFTAgreesWithPlasoAndDfirNTFS(t *testing.T) {
	dfir := map[string][]any{}
	for _, name := range []string{"ntfs.mft.dfir_ntfs.jsonl.gz", "ntfs.mft_damaged.dfir_ntfs.jsonl.gz"} {
		for _, want := range corpusRows(t, name) {
			dfir[want["path"].(string)] = want["rows"].([]any)
		}
	}
	for _, name := range []string{"ntfs.mft.plaso_run.jsonl.gz", "ntfs.mft_damaged.plaso_run.jsonl.gz"} {
		for _, want := range corpusExact(t, name) {
			path := want["path"].(string)
			data, err := os.ReadFile(filepath.Join(testenv.Corpus(t), path))
			if err != nil {
				t.Fatal(err)
			}
			res := parsertest.Parse(t, windowsMFT, parsertest.Sample{Name: filepath.Base(path), Data: data})
			ours := mftTimes(res.Events)
			theirs := plasoTimes(t, want["event_data_rows"].([]any))
			for key := range theirs {
				if !ours[key] {
					t.Errorf("%s: plaso has %s", path, key)
				}
			}
			whole := len(res.Problems) == 0
			if whole && len(ours) != len(theirs) {
				t.Errorf("%s: %d times, plaso has %d", path, len(ours), len(theirs))
			}
			if strings.Contains(path, "bad_signatures") {
				continue // dfir_ntfs takes paths from records that NTFS marked as not whole
			}
			paths := mftPaths(res.Events)
			for _, row := range dfir[path] {
				var their []string
				for _, p := range row.([]any)[2].([]any) {
					their = append(their, p.(string))
				}
				slices.Sort(their)
				key := strings.Join(their, "|")
				if paths[key]--; paths[key] < 0 && key != "" {
					t.Errorf("%s: dfir_ntfs has the paths %q", path, key)
				}
			}
		}
	}
}

// mftTimes are record, attribute, letter and time of every event.
func mftTimes(events []*timeline.Event) map[string]bool {
	set := map[string]bool{}
	for _, ev := range events {
		attribute, _ := ev.Attr("attribute")
		macb, _ := ev.Attr("macb")
		at := ""
		if when, ok := ev.Time(); ok {
			at = when.Format("2006-01-02T15:04:05.0000000")
		}
		for _, letter := range strings.ReplaceAll(macb, ".", "") {
			set[fmt.Sprint(ev.RecNo, attribute, string(letter), at)] = true
		}
	}
	return set
}

func plasoTimes(t *testing.T, rows []any) map[string]bool {
	set := map[string]bool{}
	for _, r := range rows {
		row := r.(map[string]any)
		if row["data_type"] != "fs:stat:ntfs" {
			continue
		}
		reference, err := strconv.ParseUint(row["file_reference"].(json.Number).String(), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		attribute := map[any]string{json.Number("16"): "$STANDARD_INFORMATION", json.Number("48"): "$FILE_NAME"}[row["attribute_type"]]
		for letter, key := range map[string]string{"m": "modification_time", "a": "access_time", "c": "entry_modification_time", "b": "creation_time"} {
			at, _ := row[key].(string)
			set[fmt.Sprint(reference&(1<<48-1), attribute, letter, strings.TrimSuffix(at, "+00:00"))] = true
		}
	}
	return set
}

// mftPaths counts the files by their paths, those of short names too, in the
// form of dfir_ntfs.
func mftPaths(events []*timeline.Event) map[string]int {
	byRecord := map[int64]map[string]bool{}
	for _, ev := range events {
		if attribute, _ := ev.Attr("attribute"); attribute != "$FILE_NAME" {
			continue
		}
		path := ev.File
		if _, rest, ok := strings.Cut(path, ">"); ok && path[0] == '<' {
			path = "<Orphan>" + rest
		}
		if byRecord[ev.RecNo] == nil {
			byRecord[ev.RecNo] = map[string]bool{}
		}
		byRecord[ev.RecNo][path] = true
		if short, ok := ev.Attr("short_name"); ok {
			byRecord[ev.RecNo][path[:strings.LastIndexByte(path, '/')+1]+short] = true
		}
	}
	count := map[string]int{}
	for _, paths := range byRecord {
		var list []string
		for p := range paths {
			list = append(list, p)
		}
		slices.Sort(list)
		count[strings.Join(list, "|")]++
	}
	return count
}

// A volume that ntfs-3g wrote, as sleuthkit's fls lists it.
func TestMFTAgreesWithSleuthkit(t *testing.T) {
	for _, tool := range []string{"mkntfs", "ntfs-3g", "icat", "fls", "fusermount"} {
		testenv.Tool(t, tool)
	}
	if os.Getuid() != 0 {
		t.Skip("skipped: mounting needs root")
	}
	dir := t.TempDir()
	out, err := exec.Command("sh", "-ec", `cd "$0"
truncate -s 24M win.fs; mkntfs -q -F win.fs >/dev/null 2>&1; mkdir m
ntfs-3g -o streams_interface=windows win.fs m
trap 'umount m' EXIT
mkdir -p m/Users/Anna/Documents m/gone/deeper
for i in $(seq 300); do echo $i > m/Users/Anna/Documents/file-$i.txt; done
printf zone > m/Users/Anna/Documents/file-1.txt:Zone.Identifier
for i in $(seq 60); do ln m/Users/Anna/Documents/file-2.txt "m/Users/Anna/a name as long as it takes to fill a record $i"; done
echo deep > m/gone/deeper/secret.txt; echo ü > m/Users/übung.txt
touch -d '2001-02-03 04:05:06.7' m/Users/übung.txt
rm -r m/gone; rm m/Users/Anna/Documents/file-77.txt`, dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	image := filepath.Join(dir, "win.fs")
	data, err := exec.Command("icat", image, "0").Output()
	if err != nil {
		t.Fatal(err)
	}
	body, err := exec.Command("fls", "-r", "-p", "-m", "", image).Output()
	if err != nil {
		t.Fatal(err)
	}
	res := parsertest.Parse(t, windowsMFT, parsertest.Sample{Name: "$MFT", Data: data})
	if len(res.Problems) > 0 || res.Err != nil {
		t.Errorf("problems: %v %v", res.Problems, res.Err)
	}
	ours := map[string]bool{}
	deleted := map[string]bool{}
	for _, ev := range res.Events {
		macb, _ := ev.Attr("macb")
		attribute, _ := ev.Attr("attribute")
		when, _ := ev.Time()
		for _, letter := range strings.ReplaceAll(macb, ".", "") {
			ours[fmt.Sprint(ev.RecNo, attribute, string(letter), when.Unix())] = true
			ours[fmt.Sprint(ev.RecNo, attribute, ev.File)] = true
		}
		if _, ok := ev.Attr("deleted"); ok {
			deleted[ev.File] = true
		}
	}
	rows := 0
	for line := range strings.Lines(string(body)) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if strings.Contains(f[1], "$OrphanFiles") || strings.Contains(f[1], ":") || f[7] == "3373865674" {
			continue // without a path; streams, which repeat the times of their file; its way to write 0
		}
		attribute, name := "$STANDARD_INFORMATION", strings.TrimSuffix(f[1], " (deleted)")
		if cut, ok := strings.CutSuffix(name, " ($FILE_NAME)"); ok {
			attribute, name = "$FILE_NAME", cut
			name = strings.TrimSuffix(name, " (deleted)")
		}
		record, _, _ := strings.Cut(f[2], "-")
		for i, letter := range []string{"a", "m", "c", "b"} {
			rows++
			// Of a file with several names fls shows the times of one beside another.
			if key := fmt.Sprint(record, attribute, letter, f[7+i]); !ours[key] {
				t.Errorf("fls has %s, we do not: %s", key, line)
			}
			if key := fmt.Sprint(record, attribute, name); attribute == "$FILE_NAME" && !ours[key] {
				t.Errorf("fls has %s, we do not: %s", key, line)
			}
		}
	}
	if rows < 2000 {
		t.Errorf("fls listed %d times only", rows)
	}
	for _, path := range []string{"/gone/deeper/secret.txt", "/Users/Anna/Documents/file-77.txt"} {
		if !deleted[path] {
			t.Errorf("%s is not told as deleted", path)
		}
	}
	if n := count(res.Events, func(ev *timeline.Event) bool { a, _ := ev.Attr("ads"); return a == "Zone.Identifier" }); n == 0 {
		t.Error("the alternate data stream is missing")
	}
	at := time.Date(2001, 2, 3, 4, 5, 6, 700_000_000, time.Local)
	if n := count(res.Events, func(ev *timeline.Event) bool { return ev.File == "/Users/übung.txt" && ev.TS == at.UnixNano() }); n == 0 {
		t.Error("a time that was set is missing")
	}
}

func count(events []*timeline.Event, is func(*timeline.Event) bool) (n int) {
	for _, ev := range events {
		if is(ev) {
			n++
		}
	}
	return n
}
