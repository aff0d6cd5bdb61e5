package parsers

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func TestIDSFast(t *testing.T) { parsertest.Run(t, idsFast, "testdata/ids_fast") }

func FuzzIDSFast(f *testing.F) { parsertest.Fuzz(f, idsFast, "testdata/ids_fast") }

// Every line of the corpus becomes an alert with its time and both ends.
func TestIDSFastOnTheCorpus(t *testing.T) {
	for path, first := range map[string]string{
		"suricata/alert_fast/plaso/suricata_alert_fast.log":   "2010-05-10T10:08:59.667372Z",
		"suricata/suricata_hub/hub/suricata-logs-fastlog.log": "2022-07-11T10:29:01.860293Z",
	} {
		data, err := os.ReadFile(filepath.Join(testenv.Corpus(t), path))
		if err != nil {
			t.Fatal(err)
		}
		s := parsertest.Sample{Name: filepath.Base(path), Data: data}
		if !idsFast.Match(s.Item(), data) {
			t.Errorf("%s is not recognised", path)
		}
		want := 0
		for line := range bytes.Lines(data) {
			if len(bytes.TrimSpace(line)) > 0 {
				want++
			}
		}
		res := parsertest.Parse(t, idsFast, s)
		if len(res.Events) != want || len(res.Problems) > 0 {
			t.Fatalf("%s: %d events of %d lines, problems %v", path, len(res.Events), want, res.Problems)
		}
		if at, ok := res.Events[0].Time(); !ok || at.Format("2006-01-02T15:04:05.999999Z") != first {
			t.Errorf("%s: the first alert is of %v, want %s", path, at, first)
		}
		for _, ev := range res.Events {
			if ev.SrcIP == "" || ev.DstIP == "" || ev.TSState != timeline.TimeOK || ev.EventCode == "" {
				t.Errorf("%s: %+v", path, ev)
			}
		}
	}
}
