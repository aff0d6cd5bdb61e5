package evtx_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/format/evtx"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// TestCorpusAsLibevtx holds the records of the corpus to what libevtx read:
// number, time, event, provider, channel and computer. Nothing may be missing;
// what is read beyond it must be explained.
func TestCorpusAsLibevtx(t *testing.T) {
	corpus := testenv.Corpus(t)
	beyond := map[string]string{
		"System2.evtx": "the third chunk is cut; libevtx leaves out all of it",
		"E_ShadowCopy6_windows_system32_winevt_logs_Microsoft-Windows-CAPI2%4Operational.evtx":                           "binary XML in values without dependency ids, where libevtx stops",
		"zero_second_chunk_header__E_ShadowCopy6_windows_system32_winevt_logs_Microsoft-Windows-CAPI2%4Operational.evtx": "the same",
		"2-vss_0-Microsoft-Windows-RemoteDesktopServices-RdpCoreTS%4Operational.evtx":                                    "records of another generation in a torn chunk, which its header does not list: unlinked",
		"bitflips__EID4769_Kerberoasting.evtx":                                                                           "records whose binary XML is damaged, which keep number and time",
	}
	files, records := 0, 0
	for _, name := range []string{"evtx.evtx", "evtx.evtx_attack", "evtx.evtx_damaged", "detections.sigma_regression"} {
		for _, e := range libevtxRows(t, filepath.Join(corpus, "expected", name+".libevtx.jsonl.gz")) {
			files++
			records += len(e.Rows)
			want := map[string]int{}
			for _, row := range e.Rows { // number, time, event, provider, channel, computer
				want[fmt.Sprintf("%v|%v|%v|%v|%v|%v", row[0], row[1], row[2], row[3], row[4], row[5])]++
			}
			extra := 0
			for _, key := range corpusKeys(t, filepath.Join(corpus, e.Path)) {
				if want[key]--; want[key] < 0 {
					extra++
				}
			}
			for key, n := range want {
				if n > 0 {
					t.Errorf("%s: %d times missing: %s", e.Path, n, key)
				}
			}
			if _, explained := beyond[filepath.Base(e.Path)]; extra > 0 && !explained {
				t.Errorf("%s: %d records that libevtx does not have", e.Path, extra)
			}
		}
	}
	t.Logf("%d files, %d records", files, records)
}

type libevtxFile struct {
	Path string
	Rows [][]any
}

func libevtxRows(t *testing.T, path string) (files []libevtxFile) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(z)
	d.UseNumber()
	for d.More() {
		var file libevtxFile
		if err := d.Decode(&file); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// corpusKeys reads the records of a file as libevtx names them: a provider's
// old source name goes before its own.
func corpusKeys(t *testing.T, path string) (keys []string) {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := evtx.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return keys
		} else if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if rec.Carved {
			continue
		}
		provider := rec.System[evtx.EventSourceName]
		if len(provider) == 0 {
			provider = rec.System[evtx.Provider]
		}
		written := "1601-01-01T00:00:00.0000000Z" // exported logs: the last record has no time
		if ns, ok := evtx.Nanos(rec.Written); ok {
			written = tick(ns)
		}
		keys = append(keys, strings.Join([]string{
			strconv.FormatUint(rec.ID, 10), written, string(rec.System[evtx.EventID]),
			string(provider), string(rec.System[evtx.Channel]), string(rec.System[evtx.Computer]),
		}, "|"))
	}
}
