// Package opensearch proves what package push does with a real OpenSearch: one
// node, made of the jars that `make oracles` brings.
package opensearch

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
	"github.com/exhibit-dfir/exhibit/timeline/push"
	"github.com/exhibit-dfir/exhibit/timeline/storetest"
)

// start starts the node and returns its URL.
func start(t *testing.T) string {
	t.Helper()
	java := testenv.Tool(t, "java")
	jars := filepath.Join(testenv.Root(t), ".oracles/opensearch")
	if _, err := os.Stat(jars); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("OpenSearch is not in .oracles, and CI must have it: make oracles")
		}
		t.Skip("OpenSearch is not in .oracles: make oracles")
	}
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "config"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(java, "-Xmx512m", "-cp", jars+"/*", filepath.Join(testenv.Root(t), "test/opensearch/Node1.java"), home)
	cmd.Dir = home
	var said strings.Builder
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); io.Copy(io.Discard, out); cmd.Wait() }) //nolint:errcheck // it is going
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "listening "); ok {
			go io.Copy(io.Discard, out) //nolint:errcheck // its log
			return "http://" + address
		}
	}
	t.Fatalf("the node did not start: %s", said.String())
	return ""
}

func ask(t *testing.T, url, body string, into any) {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s %v", url, resp.StatusCode, answer, err)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
}

func TestPush(t *testing.T) {
	url := start(t)
	list, _, _ := storetest.Collect(t, storetest.Jobs(3, 4, 250))
	list[0].SrcIP, list[1].SrcIP = "192.0.2.7", "no address"
	list[2].Attrs = append(list[2].Attrs, timeline.Attr{Key: "a", Value: "x", Type: 's'}, timeline.Attr{Key: "a.b", Value: "y", Type: 's'})
	all := func(yield func(*timeline.Event, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
	// date_nanos begins in 1970: what is older is refused, and said so.
	dated, old := int64(0), int64(0)
	for _, e := range list {
		switch {
		case e.TSState != timeline.TimeOK:
		case e.TS < 0:
			old++
		default:
			dated++
		}
	}
	undated := int64(len(list)) - dated - old
	opt := push.Options{URL: url, Index: "web01", Template: true}
	res, err := push.OpenSearch(t.Context(), opt, all)
	if err != nil || res.Sent != dated || res.Refused != old || res.There != 0 || res.Undated != undated || dated == 0 || old == 0 || !strings.Contains(res.Reasons[0], "before the epoch") {
		t.Fatalf("%+v, %v; %d dated, %d old, %d undated", res, err, dated, old, undated)
	}
	// The same again changes nothing.
	res, err = push.OpenSearch(t.Context(), opt, all)
	if err != nil || res.Sent != 0 || res.There != dated || res.Refused != old {
		t.Fatalf("again: %+v, %v", res, err)
	}
	var done struct{}
	ask(t, url+"/web01/_refresh", " ", &done)
	var count struct{ Count int64 }
	ask(t, url+"/web01/_count", "", &count)
	if count.Count != dated {
		t.Errorf("%d documents, want %d", count.Count, dated)
	}
	// Times keep their nanoseconds, and the id leads back.
	for _, e := range list[:50] {
		if e.TSState != timeline.TimeOK || e.TS < 0 {
			continue
		}
		var found struct {
			Hits struct {
				Hits []struct {
					ID     string `json:"_id"`
					Fields map[string][]string
				}
			}
		}
		ask(t, url+"/web01/_search", fmt.Sprintf(`{"query":{"term":{"event.id":"%s"}},"docvalue_fields":[{"field":"@timestamp","format":"strict_date_optional_time_nanos"}]}`, e.ID), &found)
		if len(found.Hits.Hits) != 1 || found.Hits.Hits[0].ID != e.ID.String() {
			t.Fatalf("%s: %+v", e.ID, found)
		}
		at, err := time.Parse(time.RFC3339Nano, found.Hits.Hits[0].Fields["@timestamp"][0])
		if err != nil || at.UnixNano() != e.TS {
			t.Fatalf("%s: time %v, want %d (%v)", e.ID, found.Hits.Hits[0].Fields, e.TS, err)
		}
	}
	// An address can be asked for as a network, an attribute by its name.
	for query, want := range map[string]int64{
		`{"query":{"term":{"source.ip":"192.0.2.0/24"}}}`: 1,
		`{"query":{"term":{"exhibit.attr.a_b":"y"}}}`:     1,
	} {
		ask(t, url+"/web01/_count", query, &count)
		if count.Count != want {
			t.Errorf("%s: %d, want %d", query, count.Count, want)
		}
	}
}
