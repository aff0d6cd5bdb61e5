package parsers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
)

func TestCRILog(t *testing.T) { parsertest.Run(t, criLog, "testdata/cri_log") }

func TestDockerConfig(t *testing.T) { parsertest.Run(t, dockerConfig, "testdata/docker_config") }

func FuzzCRILog(f *testing.F) { parsertest.Fuzz(f, criLog, "testdata/cri_log") }

func FuzzDockerConfig(f *testing.F) { parsertest.Fuzz(f, dockerConfig, "testdata/docker_config") }

// plaso gives a row for each part of a line and leaves the blank in front of
// the text; the corpus' only part never ends.
func TestCRILogAgreesWithPlaso(t *testing.T) {
	const path = "containers/cri_log/plaso/part1__cri.log"
	res := parsertest.Parse(t, criLog, corpusText(t, path))
	got := map[string]bool{}
	for _, ev := range res.Events {
		at, _ := ev.Time()
		got[fmt.Sprint(at.Format("2006-01-02T15:04:05.000000000+00:00"), " ", ev.Message)] = true
	}
	want := plasoRows(t, "containers.cri_log.plaso_run.jsonl.gz", path)
	for _, w := range want {
		if line := fmt.Sprint(w["written_time"], w["message_body"]); !got[line] {
			t.Errorf("no event %q", line)
		}
	}
	if len(got) != len(want) || len(res.Problems) > 0 {
		t.Errorf("%d events, plaso has %d; problems %v", len(got), len(want), res.Problems)
	}
}

func TestDockerConfigAgreesWithPlaso(t *testing.T) {
	const path = "containers/docker_config/plaso/config.json"
	res := parsertest.Parse(t, dockerConfig, corpusText(t, path))
	want := plasoRows(t, "containers.docker_config.plaso_test.jsonl.gz", path)[0]
	got := map[string]string{}
	for _, ev := range res.Events {
		at, _ := ev.Time()
		got[ev.TSDesc] = at.Format("2006-01-02T15:04:05.000000-07:00")
		if ev.ContainerID != want["container_identifier"] || !strings.HasPrefix(ev.ContainerID, want["container_name"].(string)) {
			t.Errorf("container %s", ev.ContainerID)
		}
	}
	if len(got) != 2 || got["Creation Time"] != want["creation_time"] || got["Start Time"] != want["start_time"] {
		t.Errorf("%v, plaso has %v", got, want)
	}
}

func TestPathsOfContainersAreRead(t *testing.T) {
	for path, want := range map[string]string{
		"/var/log/pods/prod_web-7d_0a1b/nginx/0.log":                               "namespace=prod pod=web-7d pod_uid=0a1b container=nginx",
		"/var/log/containers/web-7d_prod_nginx-0123abcd.log":                       "pod=web-7d namespace=prod container=nginx container_id=0123abcd",
		"/var/lib/containers/storage/overlay-containers/0123abcd/userdata/ctr.log": "container_id=0123abcd",
		"/var/log/containers/x.log":                                                "",
		"/var/log/pods/x/0.log":                                                    "",
	} {
		var got []string
		for _, a := range criWhere(path) {
			got = append(got, a.Key+"="+a.Value)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}

func BenchmarkCRILog(b *testing.B) {
	text := strings.Repeat("2026-11-23T09:00:00.123456789Z stdout F 10.0.2.1 - - \"GET /readiness HTTP/1.1\" 200 17 kube-probe/1.27\n2026-11-23T09:00:01.5Z stderr P one part of it \n2026-11-23T09:00:01.6Z stderr F and the other\n", 20_000)
	parsertest.Bench(b, criLog, parsertest.Sample{Name: "0.log", Data: []byte(text)})
}
