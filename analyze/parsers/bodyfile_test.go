package parsers

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func TestBodyfile(t *testing.T) { parsertest.Run(t, bodyFile, "testdata/bodyfile") }

func FuzzBodyfile(f *testing.F) { parsertest.Fuzz(f, bodyFile, "testdata/bodyfile") }

func BenchmarkBodyfile(b *testing.B) {
	var text bytes.Buffer
	for i := range 50_000 {
		at := 1_700_000_000 + i
		fmt.Fprintf(&text, "0|/usr/share/doc/package-%d/file-%d.txt|%d|r/rrw-r--r--|0|0|%d|%d.123456789|%d|%d|%d\n", i/20, i, i+12, i*7, at, at-5, at-5, at-9000)
	}
	parsertest.Bench(b, bodyFile, parsertest.Sample{Name: "bodyfile", Data: text.Bytes()})
}

// The corpus' body file, as plaso's own test reads it: every time of every line
// under the same name.
func TestBodyfileAgreesWithPlaso(t *testing.T) {
	want := corpusRows(t, "misc.bodyfile.plaso_test.jsonl.gz")[0]
	path := want["path"].(string)
	data, err := os.ReadFile(filepath.Join(testenv.Corpus(t), path))
	if err != nil {
		t.Fatal(err)
	}
	res := parsertest.Parse(t, bodyFile, parsertest.Sample{Name: "bodyfile", Data: data})
	if len(res.Problems) > 0 {
		t.Errorf("problems: %v", res.Problems)
	}
	ours := map[string]int{}
	lines := map[int64]bool{}
	for _, ev := range res.Events {
		lines[ev.Line] = true
		macb, _ := ev.Attr("macb")
		at, ok := ev.Time()
		for i, letter := range macb {
			if letter != '.' && ok {
				ours[fmt.Sprint(attrOf(ev, "size"), "macb"[i:i+1], at.Round(10*time.Microsecond))]++
			}
		}
	}
	rows := want["results"].([]any)[0].(map[string]any)["event_data_rows"].([]any)
	if len(lines) != len(rows) {
		t.Errorf("%d lines, plaso has %d", len(lines), len(rows))
	}
	for _, r := range rows {
		row := r.(map[string]any)
		for letter, key := range map[string]string{"m": "modification_time", "a": "access_time", "c": "change_time", "b": "creation_time"} {
			if text, ok := row[key].(string); ok {
				at, err := time.Parse("2006-01-02T15:04:05.999999999", text)
				if err != nil {
					t.Fatal(err)
				}
				// plaso computes fractions in floating point.
				if k := fmt.Sprint(row["size"], letter, at.Round(10*time.Microsecond)); ours[k] == 0 {
					t.Errorf("plaso has %s", k)
				} else {
					ours[k]--
				}
			}
		}
	}
	for k, n := range ours {
		if n > 0 {
			t.Errorf("plaso does not have %s", k)
		}
	}
}

func attrOf(ev *timeline.Event, name string) string {
	v, _ := ev.Attr(name)
	return v
}
