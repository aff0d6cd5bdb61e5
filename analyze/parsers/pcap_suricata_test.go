package parsers

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// eveEvent is what is compared of an event of Suricata.
type eveEvent struct {
	Type string `json:"event_type"`
	TLS  struct {
		Fingerprint, Subject, Serial, NotBefore, NotAfter string
	}
	SSH struct {
		Client, Server struct {
			Proto    string `json:"proto_version"`
			Software string `json:"software_version"`
		}
	}
}

// eachSuricata calls f for every capture of the corpus of which Suricata
// reports an event of the kind.
func eachSuricata(t *testing.T, kind string, f func(path string, want []eveEvent, got parsertest.Result)) {
	t.Helper()
	dir := testenv.Corpus(t)
	for _, set := range []string{"pcap_suricata", "pcap_zeek"} {
		file, err := os.Open(filepath.Join(dir, "expected", "pcap."+set+".suricata_eve.jsonl.gz"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		z, err := gzip.NewReader(file)
		if err != nil {
			t.Fatal(err)
		}
		for dec := json.NewDecoder(z); ; {
			var line struct {
				Path   string
				Events []eveEvent
			}
			if err := dec.Decode(&line); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			var want []eveEvent
			for _, e := range line.Events {
				if e.Type == kind {
					want = append(want, e)
				}
			}
			if len(want) > 0 {
				f(line.Path, want, readCapture(t, line.Path))
			}
		}
	}
}

func readCapture(t *testing.T, path string) parsertest.Result {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testenv.Corpus(t), path))
	if err != nil {
		t.Fatal(err)
	}
	return parsertest.Parse(t, netPcap, parsertest.Sample{Name: filepath.Base(path), Data: b})
}

// TestCertificatesAgreeWithSuricata compares the servers' own certificates.
func TestCertificatesAgreeWithSuricata(t *testing.T) {
	agreed := 0
	eachSuricata(t, "tls", func(path string, want []eveEvent, got parsertest.Result) {
		have := map[string]string{}
		for _, ev := range got.Events {
			if ev.DataType == typeCertificate {
				sha1, _ := ev.Attr("sha1")
				serial, _ := ev.Attr("serial")
				from, _ := ev.Attr("not_before")
				to, _ := ev.Attr("not_after")
				have[sha1] = strings.TrimLeft(serial, "0") + " " + strings.TrimSuffix(from, "Z") + " " + strings.TrimSuffix(to, "Z")
			}
		}
		for _, e := range want {
			if e.TLS.Fingerprint == "" || strings.Contains(path, "pppoe") { // PPPoE is not looked into
				continue
			}
			serial := strings.TrimLeft(strings.ToLower(strings.ReplaceAll(e.TLS.Serial, ":", "")), "0")
			says := serial + " " + e.TLS.NotBefore + " " + e.TLS.NotAfter
			if sha1 := strings.ReplaceAll(e.TLS.Fingerprint, ":", ""); have[sha1] != says {
				t.Errorf("%s: %s: %q, Suricata %q", path, sha1, have[sha1], says)
			} else {
				agreed++
			}
		}
	})
	if agreed < 15 {
		t.Errorf("only %d certificates", agreed)
	}
}

// TestJA4OfSuricata is its check of QUIC clients.
func TestJA4OfSuricata(t *testing.T) {
	res := readCapture(t, "pcap/pcap_suricata/suricata-verify/ja4-quic__input.pcap")
	if n := attrCounts(res, typeTLS, "ja4")["ja4 q13d0310h3_55b375c5d22e_cd85d2d88918"]; n != 11 {
		t.Errorf("%d of 11 clients: %v", n, attrCounts(res, typeTLS, "ja4"))
	}
}

// TestHASSHOfSuricata is its check of both sides of SSH.
func TestHASSHOfSuricata(t *testing.T) {
	for path, want := range map[string][2]string{
		"ssh-hassh__input.pcap":            {"2dd6531c7e89d3c925db9214711be76a", "6832f1ce43d4397c2c0a3e2f8c94334e"},
		"ssh-hassh-only__input.pcap":       {"2dd6531c7e89d3c925db9214711be76a", "6832f1ce43d4397c2c0a3e2f8c94334e"},
		"ssh-hassh-incomplete__input.pcap": {"46c5bd9748882f1a5d75753fb7d47a61", ""},
	} {
		res := readCapture(t, "pcap/pcap_suricata/suricata-verify/"+path)
		got := attrCounts(res, typeSSH, "hassh", "hassh_server")
		if got["hassh "+want[0]] == 0 || want[1] != "" && got["hassh_server "+want[1]] == 0 {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// TestSSHBannersAgreeWithSuricata compares the software of both sides.
func TestSSHBannersAgreeWithSuricata(t *testing.T) {
	agreed := 0
	eachSuricata(t, "ssh", func(path string, want []eveEvent, got parsertest.Result) {
		have := attrCounts(got, typeSSH, "client", "server")
		for _, e := range want {
			client := "client SSH-" + e.SSH.Client.Proto + "-" + e.SSH.Client.Software
			server := "server SSH-" + e.SSH.Server.Proto + "-" + e.SSH.Server.Software
			if strings.Contains(path, "gre") {
				continue // tunnels are not looked into
			}
			if found(have, client) && found(have, server) {
				agreed++
			} else {
				t.Errorf("%s: %q and %q are not among %v", path, client, server, have)
			}
		}
	})
	if agreed < 7 {
		t.Errorf("only %d connections", agreed)
	}
}

// found looks for a key that begins so: Suricata leaves comments out.
func found(have map[string]int, prefix string) bool {
	for key := range have {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}
