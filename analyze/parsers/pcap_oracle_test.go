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
		id, ok := ev.Attr("community_id")
		switch {
		case !ok || ev.DataType != typeFlow:
		case outer[ev.SrcIP] || outer[ev.DstIP]:
			delete(want, id)
		default:
			got[id] = 1
		}
	}
	missed, extra := difference(want, got)
	t.Logf("%d flows agree, missed %v, only here %v", len(got)-len(extra), missed, extra)
	if len(got) < 600 || len(missed) > 0 || len(extra) > 1 { // one has a header of IPv6 that is not passed over
		t.Errorf("%d flows, missed %v, only here %v", len(got), missed, extra)
	}
}

// counted compares how often two sides see something.
func counted(t *testing.T, want, got map[string]int, atLeast, mayMiss, mayAdd int) {
	t.Helper()
	agreed := 0
	for k, n := range want {
		agreed += min(n, got[k])
	}
	missed, extra := difference(want, got)
	t.Logf("%d agree; only Wireshark: %q; only here: %q", agreed, missed, extra)
	if agreed < atLeast || len(missed) > mayMiss || len(extra) > mayAdd {
		t.Errorf("%d agree, at least %d should; %d and %d are on one side only", agreed, atLeast, len(missed), len(extra))
	}
}

// attrCounts counts the values of attributes of rows of a type.
func attrCounts(res parsertest.Result, dataType string, attrs ...string) map[string]int {
	m := map[string]int{}
	for _, ev := range res.Events {
		if ev.DataType != dataType {
			continue
		}
		for _, key := range attrs {
			if v, ok := ev.Attr(key); ok {
				m[key+" "+v]++
			}
		}
	}
	return m
}

// TestFingerprintsAgreeWithWireshark compares JA3 and JA3S. Wireshark alone
// sees a hello within a flow that had one; it does not look for TLS on ports
// 853 over QUIC and 6667, and takes a connection that is in two captures for
// one.
func TestFingerprintsAgreeWithWireshark(t *testing.T) {
	path, res := mergeCaptures(t)
	want := map[string]int{}
	for _, row := range tshark(t, path, "tls.handshake", "frame.protocols", "tls.handshake.ja3", "tls.handshake.ja3s") {
		if inTunnel.MatchString(row[0]) || strings.Contains(row[0], "dtls") {
			continue
		}
		for i, key := range []string{"ja3", "ja3s"} {
			for v := range strings.SplitSeq(row[1+i], ",") {
				if v != "" {
					want[key+" "+v]++
				}
			}
		}
	}
	counted(t, want, attrCounts(res, typeTLS, "ja3", "ja3s"), 88, 1, 7)
}

// TestResponsesAgreeWithWireshark compares the codes of HTTP responses; one
// is on port 22, where Wireshark looks for SSH.
func TestResponsesAgreeWithWireshark(t *testing.T) {
	path, res := mergeCaptures(t)
	want := map[string]int{}
	for _, row := range tshark(t, path, "http.response.code && !ssdp", "frame.protocols", "http.response.code") {
		if inTunnel.MatchString(row[0]) {
			continue
		}
		for code := range strings.SplitSeq(row[1], ",") {
			if code[0] != '1' || code == "101" {
				want["status "+code]++
			}
		}
	}
	counted(t, want, attrCounts(res, typeHTTP, "status"), 64, 0, 1)
}
