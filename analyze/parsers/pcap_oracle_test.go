package parsers

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// merged is every capture of the corpus of up to 128 KiB, one behind the
// other in one pcapng file, and what is read of it here.
var merged struct {
	sync.Once
	path string
	res  parsertest.Result
}

// mergeCaptures needs a folder that outlives the test that calls it first.
var mergeDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "captures")
	if err != nil {
		panic(err)
	}
	mergeDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func mergeCaptures(t *testing.T) (path string, res parsertest.Result) {
	t.Helper()
	dir, tool := testenv.Corpus(t), testenv.Tool(t, "mergecap")
	merged.Do(func() {
		var files []string
		for _, set := range []string{"pcap_zeek/zeek", "pcap_suricata/suricata-verify"} {
			more, err := filepath.Glob(filepath.Join(dir, "pcap", set, "*"))
			if err != nil || len(more) < 50 {
				t.Fatalf("%d files, %v", len(more), err)
			}
			files = append(files, more...)
		}
		path := filepath.Join(mergeDir, "merged.pcapng")
		if out, err := exec.Command(tool, append([]string{"-a", "-w", path}, files...)...).CombinedOutput(); err != nil {
			t.Fatalf("mergecap: %v: %s", err, out)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		merged.path, merged.res = path, parsertest.Parse(t, netPcap, parsertest.Sample{Name: "merged.pcapng", Data: data})
	})
	if merged.path == "" {
		t.Fatal("the captures could not be merged: see the test that failed first")
	}
	return merged.path, merged.res
}

// tshark returns the fields of the packets that a display filter lets through.
func tshark(t *testing.T, path, filter string, fields ...string) [][]string {
	t.Helper()
	args := []string{"-n", "-r", path, "--enable-protocol", "communityid", "-Y", filter, "-T", "fields", "-E", "separator=/t"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	out, err := exec.Command(testenv.Tool(t, "tshark"), args...).Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	var rows [][]string
	for line := range strings.Lines(string(out)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows
}

// difference lists what is on one side only.
func difference(a, b map[string]int) (onlyA, onlyB []string) {
	for k, n := range a {
		if b[k] < n {
			onlyA = append(onlyA, k)
		}
	}
	for k, n := range b {
		if a[k] < n {
			onlyB = append(onlyB, k)
		}
	}
	slices.Sort(onlyA)
	slices.Sort(onlyB)
	return onlyA, onlyB
}

// wrapped are link layers of which the packets inside are not looked for, and
// fragments, whose ports nobody sees.
var wrapped = regexp.MustCompile(`cfp|ieee8021ah|vntag|nsh|eth:llc:ip|:ip:data$`)

// inTunnel is tunnelled with those of IP directly in IP.
var inTunnel = regexp.MustCompile(tunnelled.String() + `|teredo|:ip(v6)?:ip(v6)?(:|$)`)

// TestCommunityIDsAgreeWithWireshark compares the hashes of all flows that are
// in no tunnel; flows of tunnels have those of their outer addresses here.
func TestCommunityIDsAgreeWithWireshark(t *testing.T) {
	path, res := mergeCaptures(t)
	want, got, outer := map[string]int{}, map[string]int{}, map[string]bool{}
	for _, row := range tshark(t, path, "communityid", "communityid", "frame.protocols", "ip.src", "ipv6.src") {
		switch {
		case inTunnel.MatchString(row[1]):
			for _, cell := range row[2:] {
				addr, _, _ := strings.Cut(cell, ",")
				outer[addr] = true
			}
		case !wrapped.MatchString(row[1]):
			want[row[0]] = 1
		}
	}
	for _, ev := range res.Events {
		if id, ok := ev.Attr("community_id"); ok && ev.DataType == typeFlow && !outer[ev.SrcIP] && !outer[ev.DstIP] {
			got[id] = 1
		} else if ok {
			delete(want, id)
		}
	}
	missed, extra := difference(want, got)
	t.Logf("%d flows agree, missed %v, only here %v", len(got)-len(extra), missed, extra)
	if len(got) < 600 || len(missed) > 0 || len(extra) > 1 { // one has a header of IPv6 that is not passed over
		t.Errorf("%d flows, missed %v, only here %v", len(got), missed, extra)
	}
}
