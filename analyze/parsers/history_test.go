package parsers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func TestBashHistory(t *testing.T) { parsertest.Run(t, bashHistory, "testdata/bash_history") }

func TestZshHistory(t *testing.T) { parsertest.Run(t, zshHistory, "testdata/zsh_history") }

func FuzzBashHistory(f *testing.F) { parsertest.Fuzz(f, bashHistory, "testdata/bash_history") }

func FuzzZshHistory(f *testing.F) { parsertest.Fuzz(f, zshHistory, "testdata/zsh_history") }

// plasoRows returns the event data that plaso has for a corpus file.
func plasoRows(t *testing.T, bundle, path string) []map[string]any {
	t.Helper()
	for _, row := range corpusRows(t, bundle) {
		if row["path"] != path {
			continue
		}
		rows, ok := row["event_data_rows"].([]any)
		if !ok {
			rows = row["results"].([]any)[0].(map[string]any)["event_data_rows"].([]any)
		}
		var out []map[string]any
		for _, r := range rows {
			out = append(out, r.(map[string]any))
		}
		return out
	}
	t.Fatalf("%s has no row for %s", bundle, path)
	return nil
}

func TestHistoriesAgreeWithPlaso(t *testing.T) {
	for _, c := range []struct {
		bundle, path, item, field string
	}{
		{"linux.bash_history.plaso_test.jsonl.gz", "linux/bash_history/plaso/bash_history", "/root/.bash_history", "written_time"},
		{"linux.zsh_history.plaso_run.jsonl.gz", "linux/zsh_history/plaso/part1__zsh_extended_history.txt", "/root/.zsh_history", "last_written_time"},
	} {
		s := corpusText(t, c.path)
		s.Facts.Path = c.item
		p := bashHistory
		if strings.Contains(c.path, "zsh") {
			p = zshHistory
		}
		res := parsertest.Parse(t, p, s)
		want := plasoRows(t, c.bundle, c.path)
		if len(res.Events) != len(want) {
			t.Errorf("%s: %d events, plaso has %d", c.path, len(res.Events), len(want))
			continue
		}
		for i, ev := range res.Events {
			at, _ := ev.Time()
			w := strings.TrimSuffix(want[i][c.field].(string), "+00:00")
			if at.Format("2006-01-02T15:04:05") != w {
				t.Errorf("%s %d: %v, plaso has %s", c.path, i, at, w)
			}
			// plaso writes spaces for line ends, and keeps zsh's escapes.
			if got, w := strings.ReplaceAll(ev.Cmdline, "\n", " "), want[i]["command"].(string); got != w {
				t.Errorf("%s %d: %q, plaso has %q", c.path, i, got, w)
			}
		}
	}
}

func TestCommandsWithoutATimeHaveOrderAndInterval(t *testing.T) {
	text := "a\n#1795413800\nb\nc\nd\n#1795413900\ne\nf\n"
	res := parsertest.Parse(t, bashHistory, parsertest.Sample{Name: "h", Data: []byte(text), Facts: parsertest.Facts{
		Path: "home/u/.bash_history", Modified: time.Unix(1795414000, 0),
	}})
	var got []string
	for _, ev := range res.Events {
		show := func(ns int64) string {
			if ns == timeline.None {
				return "-"
			}
			return fmt.Sprint(ns/1e9 - 1795413000)
		}
		order, _ := ev.Attr("order")
		got = append(got, fmt.Sprintf("%s%s:%s[%s,%s]", order, ev.Cmdline, show(ev.TS), show(ev.TSLo), show(ev.TSHi)))
		if ev.User != "u" {
			t.Errorf("user %q", ev.User)
		}
	}
	want := "1a:-[-,800] 2b:800[-,-] 3c:-[800,900] 4d:-[800,900] 5e:900[-,-] 6f:-[900,1000]"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}

func TestATimeWithoutACommandIsReported(t *testing.T) {
	res := parsertest.Parse(t, bashHistory, parsertest.Sample{Name: "h", Data: []byte("#1795413800\nls\n#1795413900\n"), Facts: parsertest.Facts{Path: "/root/.bash_history"}})
	if len(res.Events) != 1 || len(res.Problems) != 1 || res.Problems[0].Ref.Offset != 15 {
		t.Errorf("%d events, problems %+v", len(res.Events), res.Problems)
	}
}

func TestUnfinishedCommandsAreRecognised(t *testing.T) {
	for text, want := range map[string]bool{
		"ls": false, "echo 'a": true, "echo 'a\nb'": false, `echo "a`: true, `echo "a\"`: true, `echo a\`: true, `echo a\\`: false,
		"# don't": false, "echo # don't": false, "echo a#'b": true, "cat <<E": true, "cat <<E\nx": true, "cat <<E\nx\nE": false,
		"cat <<-'E'\n\tE": false, "cat <<<word": false, `echo it\'s`: false,
	} {
		if got := unfinished([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestTheLabsHistoriesAreRead(t *testing.T) {
	for _, path := range []string{"home/alice/.bash_history", "root/.bash_history"} {
		data := labFile(t, path)
		want := strings.Count(string(data), "\n")
		res := parsertest.Parse(t, bashHistory, parsertest.Sample{Name: "h", Data: data, Facts: parsertest.Facts{Path: path}})
		lines := 0
		for _, ev := range res.Events {
			lines += strings.Count(string(data[ev.RecOff:ev.RecOff+ev.RecLen]), "\n")
		}
		if lines != want || len(res.Problems) > 0 {
			t.Errorf("%s: %d of %d lines are in events, %d problems", path, lines, want, len(res.Problems))
		}
	}
}

func BenchmarkBashHistory(b *testing.B) {
	text := strings.Repeat("#1795413800\nsudo systemctl status apache2 --no-pager | head -5\nls -l /tmp\n", 10_000)
	parsertest.Bench(b, bashHistory, parsertest.Sample{Name: "h", Data: []byte(text), Facts: parsertest.Facts{Path: "/root/.bash_history"}})
}
