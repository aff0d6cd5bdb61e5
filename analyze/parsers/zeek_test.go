package parsers

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/exhibit-dfir/exhibit/analyze"
	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func TestZeekTSV(t *testing.T) { parsertest.Run(t, zeekTSV, "testdata/zeek_tsv") }

func TestZeekJSON(t *testing.T) { parsertest.Run(t, zeekJSON, "testdata/zeek_json") }

func FuzzZeekJSON(f *testing.F) { parsertest.Fuzz(f, zeekJSON, "testdata/zeek_json") }

func FuzzZeekTSV(f *testing.F) { parsertest.Fuzz(f, zeekTSV, "testdata/zeek_tsv") }

// Every row of every log of the corpus becomes one event, dated where the row
// is.
func TestZeekOnTheCorpus(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testenv.Corpus(t), "zeek/*/*/*"))
	more, _ := filepath.Glob(filepath.Join(testenv.Corpus(t), "zeek/*/*/*/*"))
	if files = append(files, more...); err != nil || len(files) < 50 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	rows, read := 0, 0
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // a folder
		}
		if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
			z, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if data, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		known := false
		s := parsertest.Sample{Name: filepath.Base(path), Data: data}
		for _, p := range []analyze.Parser{zeekTSV, zeekJSON} {
			if !p.Match(s.Item(), data[:min(len(data), analyze.HeadSize)]) {
				continue
			}
			want := 0
			for line := range bytes.Lines(data) {
				if len(bytes.TrimSpace(line)) > 0 && line[0] != '#' && (p.Name == "zeek_tsv" || bytes.HasSuffix(bytes.TrimSpace(line), []byte("}"))) {
					want++
				}
			}
			res := parsertest.Parse(t, p, s)
			read++
			known = true
			rows += want
			if len(res.Events) != want || res.Err != nil {
				t.Errorf("%s: %d events of %d rows, problems %v, %v", path, len(res.Events), want, res.Problems, res.Err)
			}
			for _, ev := range res.Events {
				if ev.TSState != timeline.TimeOK {
					t.Errorf("%s: undated: %s", path, ev.Message)
					break
				}
			}
			break
		}
		if !known { // one is cut out of a log, without the lines that name its fields
			t.Logf("not recognised: %s", path)
		}
	}
	t.Logf("%d of %d files, %d rows", read, len(files), rows)
	if read < 50 {
		t.Errorf("only %d files are recognised", read)
	}
}

// What the logs of the corpus say of who and what is in the columns.
func TestZeekColumnsOnTheCorpus(t *testing.T) {
	dir := testenv.Corpus(t)
	for _, c := range []struct {
		path     string
		parser   analyze.Parser
		dataType string
		fits     func(ev *timeline.Event) bool
	}{
		{"zeek_otrf/Security-Datasets/day1__SCRANTON_smb_files.log", zeekJSON, "zeek:smb_files", func(ev *timeline.Event) bool {
			name, ok := ev.Attr("name")
			return !ok || ev.File == name
		}},
		{"zeek_otrf/Security-Datasets/day1__SCRANTON_smb_mapping.log", zeekJSON, "zeek:smb_mapping", func(ev *timeline.Event) bool {
			path, ok := ev.Attr("path")
			return ok && ev.File == path
		}},
		{"zeek_otrf/Security-Datasets/day2__UTICA-A_dce_rpc.log", zeekJSON, "zeek:dce_rpc", func(ev *timeline.Event) bool {
			operation, ok := ev.Attr("operation")
			return !ok || ev.EventCode == operation
		}},
		{"zeek_rita/rita/proxy__software.log", zeekTSV, "zeek:software", func(ev *timeline.Event) bool { return ev.SrcIP != "" && ev.Domain == "" }},
		{"zeek_rita/rita/proxy__dhcp.log", zeekTSV, "zeek:dhcp", func(ev *timeline.Event) bool { return ev.SrcIP != "" }},
	} {
		data, err := os.ReadFile(filepath.Join(dir, "zeek", c.path))
		if err != nil {
			t.Fatal(err)
		}
		res := parsertest.Parse(t, c.parser, parsertest.Sample{Name: filepath.Base(c.path), Data: data})
		if len(res.Events) == 0 {
			t.Errorf("%s: no events", c.path)
		}
		for _, ev := range res.Events {
			if ev.DataType != c.dataType || !c.fits(ev) {
				t.Errorf("%s: %s, %q, file %q, code %q", c.path, ev.DataType, ev.Message, ev.File, ev.EventCode)
				break
			}
		}
	}
}
