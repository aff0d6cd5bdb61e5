package parsers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/format/ntfs/ntfstest"
	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func TestWindowsUsnjrnl(t *testing.T) {
	parsertest.Run(t, windowsUsnjrnl, "testdata/windows_usnjrnl")
}

func FuzzWindowsUsnjrnl(f *testing.F) {
	parsertest.Fuzz(f, windowsUsnjrnl, "testdata/windows_usnjrnl")
}

func BenchmarkWindowsUsnjrnl(b *testing.B) {
	j := ntfstest.NewJournal(1 << 32)
	for i := range 40_000 {
		j.Add(ntfstest.Change{
			File: ntfstest.Ref(uint64(i), 2), Parent: ntfstest.Ref(uint64(i/20), 1), Time: ntfstest.Time(sampleStart) + uint64(i),
			Reason: 1 << (i % 3), Attributes: 0x20, Name: fmt.Sprintf("document-%d.docx", i),
		})
	}
	parsertest.Bench(b, windowsUsnjrnl, parsertest.Sample{Name: "$J", Data: j.Bytes()})
}

// TestNTFSSamplesAreMade runs only with -samples.
func TestNTFSSamplesAreMade(t *testing.T) {
	if !*makeSamples {
		t.Skip("skipped: runs with -samples only")
	}
	write := func(parser, name string, b []byte) {
		if err := os.WriteFile(filepath.Join("testdata", parser, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at := func(ms uint64) uint64 { return ntfstest.Time(sampleStart) + ms*10_000 + 1 }
	folder, tool, note := ntfstest.Ref(41, 2), ntfstest.Ref(1234, 7), ntfstest.Ref(99, 1)
	j := ntfstest.NewJournal(0x1f40000)
	for i, c := range []ntfstest.Change{
		{File: tool, Parent: folder, Reason: 0x100, Attributes: 0x20, Name: "u.exe"},
		{File: tool, Parent: folder, Reason: 0x102, Attributes: 0x20, Name: "u.exe"},
		{File: tool, Parent: folder, Reason: 0x80000102, Attributes: 0x20, Name: "u.exe"},
		{File: tool, Parent: folder, Reason: 0x1000, Attributes: 0x20, Name: "u.exe"},
		{File: tool, Parent: ntfstest.Ref(5, 5), Reason: 0x2000, Attributes: 0x22, Name: "svchöst.exe"},
		{File: tool, Parent: ntfstest.Ref(5, 5), Reason: 0x80008000, Attributes: 0x22, Name: "svchöst.exe"},
		{File: note, Parent: folder, Reason: 0x80200020, Attributes: 0x20, Name: "Zone.txt", Source: 1},
		{Major: 3, File: note, Parent: folder, Reason: 0x80000200, Attributes: 0x20, Name: "Zone.txt"},
		{Major: 4, File: note, Parent: folder, Reason: 0x80000001, Extents: [][2]int64{{0, 65536}, {1 << 20, 4096}}},
		{Major: 3, File: 0x1122334455667788, FileHigh: 1, Parent: folder, Reason: 0x04000000, Attributes: 1 << 30, Name: "on ReFS"},
		{File: note, Parent: folder, Reason: 0x10000, Units: []uint16{'a', 0xd800, 'b'}},
	} {
		c.Time = at(uint64(i) * 250)
		if i == 7 {
			c.Time = 0
		}
		j.Add(c)
	}
	write("windows_usnjrnl", "$UsnJrnl_$J", append(make([]byte, 8192), j.Bytes()...))
	b := j.Bytes()
	b[5] = 9       // the version of the first record
	b[2*72+1] ^= 8 // the length of the third
	write("windows_usnjrnl", "damaged-UsnJrnl.bin", b)
	makeMFTSamples(write)
}

// The corpus' journals, as M. Suhanov's dfir_ntfs reads them.
func TestUsnjrnlAgreesWithDfirNTFS(t *testing.T) {
	for _, want := range corpusRows(t, "ntfs.usnjrnl.dfir_ntfs.jsonl.gz") {
		path := want["path"].(string)
		data, err := os.ReadFile(filepath.Join(testenv.Corpus(t), path))
		if err != nil {
			t.Fatal(err)
		}
		res := parsertest.Parse(t, windowsUsnjrnl, parsertest.Sample{Name: filepath.Base(path), Data: data})
		rows := want["rows"].([]any)
		if len(res.Events) != len(rows) {
			t.Fatalf("%s: %d events, %d records expected; problems %v", path, len(res.Events), len(rows), res.Problems)
		}
		for i, r := range rows {
			ev, row := res.Events[i], r.([]any)
			at, _ := ev.Time()
			reason, _ := ev.Attr("reason")
			theirs := strings.NewReplacer("USN_REASON_", "", " | ", ",", "0x1000000", "DESIRED_STORAGE_CLASS_CHANGE").Replace(row[3].(string))
			// Theirs are computed in floating point: up to a microsecond off.
			theirTime, err := time.Parse("2006-01-02 15:04:05.000000", row[1].(string))
			if off := theirTime.Sub(at).Abs(); err != nil || float64(ev.RecNo) != row[0] || off > time.Microsecond ||
				!strings.HasSuffix(ev.File, "/"+row[2].(string)) || !sameWords(reason, theirs) {
				t.Errorf("%s, record %d: %d %s %s %s, expected %v", path, i, ev.RecNo, at, ev.File, reason, row)
			}
		}
	}
}

func sameWords(a, b string) bool {
	count := map[string]int{}
	for w := range strings.SplitSeq(a, ",") {
		count[w]++
	}
	for w := range strings.SplitSeq(b, ",") {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// Single records of the corpus, of versions 2 and 4.
func TestUsnjrnlReadsSingleRecords(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testenv.Corpus(t), "ntfs/usn_record/*/*"))
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	for _, want := range []struct {
		file, name, reason, at string
		usn                    int64
	}{
		{"record.usn", "BTDevManager.log", "DATA_EXTEND", "2013-10-19 12:16:53.2760403", 20342374400},
		{"usn_1170953448.bin", "large_file.txt", "DATA_OVERWRITE,CLOSE", "2019-01-21 22:36:05.1238386", 1170953448},
		{"usn_1170989584.bin", "", "DATA_EXTEND,FILE_CREATE,CLOSE", "", 1170989584},
	} {
		var data []byte
		for _, f := range files {
			if filepath.Base(f) == want.file {
				if data, err = os.ReadFile(f); err != nil {
					t.Fatal(err)
				}
			}
		}
		s := parsertest.Sample{Name: want.file, Data: data}
		if !windowsUsnjrnl.Match(s.Item(), data) {
			t.Errorf("%s is not recognised", want.file)
		}
		res := parsertest.Parse(t, windowsUsnjrnl, s)
		if len(res.Events) != 1 || len(res.Problems) != 0 {
			t.Fatalf("%s: %d events, %v", want.file, len(res.Events), res.Problems)
		}
		ev := res.Events[0]
		at := ""
		if when, ok := ev.Time(); ok {
			at = when.Format("2006-01-02 15:04:05.0000000")
		}
		if reason, _ := ev.Attr("reason"); at != want.at || reason != want.reason || ev.RecNo != want.usn || !strings.HasSuffix(ev.File, want.name) {
			t.Errorf("%s: %s %s %d %s", want.file, at, reason, ev.RecNo, ev.File)
		}
	}
}
