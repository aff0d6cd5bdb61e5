package parsers

import (
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/evidence"
)

func TestFishHistory(t *testing.T) { parsertest.Run(t, fishHistory, "testdata/fish_history") }

func TestProgramHistory(t *testing.T) { parsertest.Run(t, programHistory, "testdata/program_history") }

func TestLessHistory(t *testing.T) { parsertest.Run(t, lessHistory, "testdata/less_history") }

func TestVimInfo(t *testing.T) { parsertest.Run(t, vimInfo, "testdata/viminfo") }

func FuzzFishHistory(f *testing.F) { parsertest.Fuzz(f, fishHistory, "testdata/fish_history") }

func FuzzProgramHistory(f *testing.F) { parsertest.Fuzz(f, programHistory, "testdata/program_history") }

func FuzzLessHistory(f *testing.F) { parsertest.Fuzz(f, lessHistory, "testdata/less_history") }

func FuzzVimInfo(f *testing.F) { parsertest.Fuzz(f, vimInfo, "testdata/viminfo") }

func TestFishHistoryAgreesWithPlaso(t *testing.T) {
	const path = "linux/fish_history/plaso/part1__fish_history"
	res := parsertest.Parse(t, fishHistory, corpusText(t, path))
	want := plasoRows(t, "linux.fish_history.plaso_run.jsonl.gz", path)
	if len(res.Events) != len(want) || len(res.Problems) > 0 {
		t.Fatalf("%d events, plaso has %d; problems %v", len(res.Events), len(want), res.Problems)
	}
	for i, ev := range res.Events {
		at, _ := ev.Time()
		if got := at.Format("2006-01-02T15:04:05+00:00"); got != want[i]["written_time"] || ev.Cmdline != want[i]["command"] {
			t.Errorf("%d: %s %q, plaso has %v %q", i, got, ev.Cmdline, want[i]["written_time"], want[i]["command"])
		}
	}
}

// plaso reads the history only: commands, searches and so on that have a time.
func TestVimInfoAgreesWithPlaso(t *testing.T) {
	const path = "linux/viminfo/plaso/.viminfo_alt"
	res := parsertest.Parse(t, vimInfo, corpusText(t, path))
	want := plasoRows(t, "linux.viminfo.plaso_test.jsonl.gz", path)
	n := 0
	for _, ev := range res.Events {
		if section, _ := ev.Attr("section"); section != "command" {
			continue
		}
		at, _ := ev.Time()
		if got := at.Format("2006-01-02T15:04:05+00:00"); n >= len(want) || got != want[n]["recorded_time"] || ev.Cmdline != want[n]["history_value"] {
			t.Fatalf("%d: %s %q, plaso has %v", n, got, ev.Cmdline, want)
		}
		n++
	}
	if n != len(want) || len(res.Problems) > 0 {
		t.Errorf("%d commands, plaso has %d; problems %v", n, len(want), res.Problems)
	}
}

func TestEscapesOfHistoriesAreUndone(t *testing.T) {
	for in, want := range map[string]string{
		`select\0401;`: "select 1;", `a\\b`: `a\b`, `\04`: `\04`, `x\`: `x\`, `\303\244`: "ä",
	} {
		if got := string(unescapeOctal([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{`a\nb`: "a\nb", `a\\nb`: `a\nb`, `a\`: `a\`, `\t`: `\t`} {
		if got := string(unescapeFish(nil, []byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestAshHistoryOfBusyboxIsRead(t *testing.T) {
	text := "ls -l /tmp\ncat /etc/passwd\n"
	it := &evidence.Item{Path: "/root/.ash_history"}
	if !bashHistory.Match(it, []byte(text)) {
		t.Error("nobody takes it")
	}
	res := parsertest.Parse(t, bashHistory, parsertest.Sample{Name: "h", Data: []byte(text), Facts: parsertest.Facts{Path: it.Path}})
	if len(res.Events) != 2 || !strings.HasPrefix(text, res.Events[0].Cmdline) || res.Events[1].User != "root" {
		t.Errorf("%d events", len(res.Events))
	}
}
