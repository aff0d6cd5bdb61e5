package parsers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func TestAWSCloudTrail(t *testing.T) { parsertest.Run(t, awsCloudTrail, "testdata/aws_cloudtrail") }

func TestAzureActivity(t *testing.T) { parsertest.Run(t, azureActivity, "testdata/azure_activity") }

func TestAzureGateway(t *testing.T) { parsertest.Run(t, azureGateway, "testdata/azure_gateway") }

func TestGCPLog(t *testing.T) { parsertest.Run(t, gcpLog, "testdata/gcp_log") }

func TestM365Audit(t *testing.T) { parsertest.Run(t, m365Audit, "testdata/m365_audit") }

func TestKubernetesAudit(t *testing.T) {
	parsertest.Run(t, kubernetesAudit, "testdata/kubernetes_audit")
}

func TestSuricataEVE(t *testing.T) { parsertest.Run(t, suricataEVE, "testdata/suricata_eve") }

func TestDockerLog(t *testing.T) { parsertest.Run(t, dockerLog, "testdata/docker_log") }

func TestFalco(t *testing.T) { parsertest.Run(t, falcoAlerts, "testdata/falco") }

func TestOsqueryResults(t *testing.T) { parsertest.Run(t, osqueryResults, "testdata/osquery_results") }

func TestPodmanEvents(t *testing.T) { parsertest.Run(t, podmanEvents, "testdata/podman_events") }

func TestCaddy(t *testing.T) { parsertest.Run(t, caddyLog, "testdata/caddy_access") }

// One engine reads all of them: the maps differ, not the code that meets
// hostile input.
func FuzzJSONMap(f *testing.F) { parsertest.Fuzz(f, suricataEVE, "testdata/suricata_eve") }

func FuzzJSONMapRecords(f *testing.F) { parsertest.Fuzz(f, awsCloudTrail, "testdata/aws_cloudtrail") }

// Every record of the corpus becomes one dated event, as the counts there say.
func TestJSONMapsOnTheCorpus(t *testing.T) {
	corpus := testenv.Corpus(t)
	for _, c := range []struct {
		files  string
		parser string
	}{
		{"cloud/aws_cloudtrail/*/*.json", "aws_cloudtrail"},
		{"cloud/azure_activity/*/*", "azure_activity"},
		{"cloud/azure_appgw/*/*", "azure_gateway"},
		{"cloud/gcp_log/*/*", "gcp_log"},
		{"cloud/m365_audit/*/*", "m365_audit"},
		{"suricata/suricata_hub/hub/suricata-eve*", "suricata_eve"},
		{"containers/docker_log/*/*", "docker_log"},
		{"web/hub_web/hub/caddy-logs.log", "caddy_access"},
	} {
		files, err := filepath.Glob(filepath.Join(corpus, c.files))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: no files, %v", c.files, err)
		}
		for _, path := range files {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range All() {
				if p.Name != c.parser {
					continue
				}
				s := parsertest.Sample{Name: filepath.Base(path), Data: data}
				if !p.Match(s.Item(), data[:min(len(data), 64<<10)]) {
					t.Errorf("%s is not recognised as %s", path, p.Name)
					continue
				}
				res := parsertest.Parse(t, p, s)
				if want := jsonRecords(t, data); len(res.Events) != want || len(res.Problems) > 0 || res.Err != nil {
					t.Errorf("%s: %d events of %d records, problems %v, %v", path, len(res.Events), want, res.Problems, res.Err)
				}
				for _, ev := range res.Events {
					if ev.TSState != timeline.TimeOK {
						t.Errorf("%s: undated: %s", path, ev.Message)
					}
				}
			}
		}
	}
}

// jsonRecords counts records with the standard library: the elements of
// Records or value, else the values one after the other.
func jsonRecords(t *testing.T, data []byte) (n int) {
	d := json.NewDecoder(bytes.NewReader(data))
	for {
		var v any
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return n
		} else if err != nil {
			t.Fatal(err)
		}
		list, ok := v.([]any)
		if object, isObject := v.(map[string]any); isObject {
			if list, ok = object["Records"].([]any); !ok {
				list, ok = object["value"].([]any)
			}
		}
		if ok {
			n += len(list)
		} else {
			n++
		}
	}
}
