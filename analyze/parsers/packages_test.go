package parsers

import (
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
)

func TestDpkgLog(t *testing.T) { parsertest.Run(t, dpkgLog, "testdata/dpkg_log") }

func TestAptHistory(t *testing.T) { parsertest.Run(t, aptHistory, "testdata/apt_history") }

func FuzzDpkgLog(f *testing.F) { parsertest.Fuzz(f, dpkgLog, "testdata/dpkg_log") }

func FuzzAptHistory(f *testing.F) { parsertest.Fuzz(f, aptHistory, "testdata/apt_history") }

func TestPackageLogsAgreeWithPlaso(t *testing.T) {
	dpkg := parsertest.Parse(t, dpkgLog, corpusText(t, "linux/dpkg/grr/dpkg.log"))
	for i, want := range plasoRows(t, "linux.dpkg.plaso_run.jsonl.gz", "linux/dpkg/grr/dpkg.log") {
		// plaso leaves out the line of update-alternatives; we keep it.
		for i < len(dpkg.Events) && dpkg.Events[i].Message != want["message_body"] {
			dpkg.Events = append(dpkg.Events[:i], dpkg.Events[i+1:]...)
		}
		if i >= len(dpkg.Events) {
			t.Fatalf("no event %v", want["message_body"])
		}
		if at, _ := dpkg.Events[i].Time(); at.Format("2006-01-02T15:04:05") != want["added_time"] {
			t.Errorf("%v at %v, plaso has %v", want["message_body"], at, want["added_time"])
		}
	}
	apt := parsertest.Parse(t, aptHistory, corpusText(t, "linux/apt/plaso/part1__apt_history.log"))
	seen := map[string]bool{}
	for _, ev := range apt.Events {
		at, _ := ev.Time()
		end := time.Unix(0, ev.TSEnd).UTC()
		seen[at.Format("2006-01-02T15:04:05")+end.Format("2006-01-02T15:04:05")+ev.Cmdline] = true
	}
	rows := plasoRows(t, "linux.apt.plaso_run.jsonl.gz", "linux/apt/plaso/part1__apt_history.log")
	for _, want := range rows {
		end, _ := want["end_time"].(string)
		command, _ := want["command_line"].(string)
		if end != "" && !seen[want["start_time"].(string)+end+command] {
			t.Errorf("no event %v %v", want["start_time"], command)
		}
	}
	if len(rows) == 0 {
		t.Error("plaso has no rows")
	}
}

func BenchmarkDpkgLog(b *testing.B) {
	text := strings.Repeat("2026-11-23 06:05:19 status half-installed tree:amd64 2.1.0-1\n2026-11-23 06:05:20 upgrade sudo:amd64 1.9.13p3-1 1.9.13p3-1+deb12u1\n", 10_000)
	parsertest.Bench(b, dpkgLog, parsertest.Sample{Name: "dpkg.log", Data: []byte(text)})
}
