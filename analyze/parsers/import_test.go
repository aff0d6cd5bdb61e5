package parsers

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/export"
)

func TestPlasoJSONL(t *testing.T) { parsertest.Run(t, plasoJSONL, "testdata/plaso_jsonl") }

func TestPlasoCSV(t *testing.T) { parsertest.Run(t, plasoCSV, "testdata/plaso_csv") }

func TestL2TCSV(t *testing.T) { parsertest.Run(t, l2tCSV, "testdata/l2tcsv") }

func TestTimesketch(t *testing.T) { parsertest.Run(t, timesketch, "testdata/timesketch") }

func TestHayabusa(t *testing.T) { parsertest.Run(t, hayabusa, "testdata/hayabusa") }

func TestChainsaw(t *testing.T) { parsertest.Run(t, chainsaw, "testdata/chainsaw") }

func TestVolatility(t *testing.T) { parsertest.Run(t, volatility, "testdata/volatility") }

func TestDefenderHunting(t *testing.T) {
	parsertest.Run(t, defenderHunting, "testdata/defender_hunting")
}

func TestCrowdstrikeFDR(t *testing.T) {
	parsertest.Run(t, crowdstrikeFDR, "testdata/crowdstrike_fdr")
}

func TestElasticECS(t *testing.T) { parsertest.Run(t, elasticECS, "testdata/elastic_ecs") }

// FuzzTable is the other half of FuzzJSONMap: tables.
func FuzzTable(f *testing.F) { parsertest.Fuzz(f, volatility, "testdata/volatility") }

func FuzzL2TCSV(f *testing.F) { parsertest.Fuzz(f, l2tCSV, "testdata/l2tcsv") }

// Our own exports for Timesketch come back with their times, meanings and
// hosts, as what they are.
func TestTimesketchReadsOurExports(t *testing.T) {
	var want []*timeline.Event
	for _, s := range parsertest.Load(t, filepath.Join("testdata", "windows_evtx")) {
		for _, ev := range parsertest.Parse(t, windowsEvtx, s).Events {
			if _, ok := ev.Time(); ok {
				want = append(want, ev)
			}
		}
	}
	var b bytes.Buffer
	if _, err := export.Timesketch(&b, func(yield func(*timeline.Event, error) bool) {
		for _, ev := range want {
			if !yield(ev, nil) {
				return
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	s := parsertest.Sample{Name: "export.jsonl", Data: b.Bytes()}
	if !timesketch.Match(s.Item(), s.Data) {
		t.Fatal("not recognised")
	}
	res := parsertest.Parse(t, timesketch, s)
	if len(want) < 10 || len(res.Events) != len(want) || len(res.Problems) > 0 {
		t.Fatalf("%d events of %d, problems %v", len(res.Events), len(want), res.Problems)
	}
	for i, ev := range res.Events {
		w := want[i]
		if ev.TS != w.TS || ev.TSDesc != w.TSDesc || ev.Message != w.Message || ev.Host != w.Host || ev.EventCode != w.EventCode || ev.PID != w.PID || ev.SrcIP != w.SrcIP {
			t.Errorf("event %d: %+v, want %+v", i, ev, w)
		}
		if ev.DataType != "timesketch:event" {
			t.Errorf("event %d passes for one that was read from evidence", i)
		}
	}
}
