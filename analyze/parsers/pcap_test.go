package parsers

import (
	"bytes"
	"encoding/binary"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
	"github.com/exhibit-dfir/exhibit/timeline"
)

func TestNetPcap(t *testing.T) { parsertest.Run(t, netPcap, "testdata/net_pcap") }

func FuzzNetPcap(f *testing.F) { parsertest.Fuzz(f, netPcap, "testdata/net_pcap") }

// talk builds the packets of the samples.
type talk struct {
	t       testing.TB
	at      time.Time
	packets [][]byte
	times   []time.Time
}

func (k *talk) send(ls ...gopacket.SerializableLayer) {
	k.t.Helper()
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ls...); err != nil {
		k.t.Fatal(err)
	}
	k.at = k.at.Add(1234567 * time.Nanosecond)
	k.packets = append(k.packets, bytes.Clone(buf.Bytes()))
	k.times = append(k.times, k.at)
}

func ether(src, dst string) (*layers.Ethernet, *layers.IPv4) {
	return &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4},
		&layers.IPv4{Version: 4, TTL: 64, SrcIP: net.ParseIP(src).To4(), DstIP: net.ParseIP(dst).To4()}
}

func (k *talk) tcp(src string, sport uint16, dst string, dport uint16, seq uint32, flags, payload string) {
	e, ip := ether(src, dst)
	ip.Protocol = layers.IPProtocolTCP
	tcp := &layers.TCP{
		SrcPort: layers.TCPPort(sport), DstPort: layers.TCPPort(dport), Seq: seq, Window: 1000,
		SYN: strings.Contains(flags, "S"), ACK: strings.Contains(flags, "A"), FIN: strings.Contains(flags, "F"), RST: strings.Contains(flags, "R"),
	}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		k.t.Fatal(err)
	}
	k.send(e, ip, tcp, gopacket.Payload(payload))
}

func (k *talk) dns(src string, sport uint16, dst string, dport uint16, d *layers.DNS) {
	e, ip := ether(src, dst)
	ip.Protocol = layers.IPProtocolUDP
	udp := &layers.UDP{SrcPort: layers.UDPPort(sport), DstPort: layers.UDPPort(dport)}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		k.t.Fatal(err)
	}
	k.send(e, ip, udp, d)
}

// clientHelloRecord is a minimal TLS 1.2 handshake record with a server name.
func clientHelloRecord(name string) string {
	sni := append([]byte{0}, binary.BigEndian.AppendUint16(nil, uint16(len(name)))...)
	sni = append(sni, name...)
	list := append(binary.BigEndian.AppendUint16(nil, uint16(len(sni))), sni...)
	ext := append([]byte{0, 0}, binary.BigEndian.AppendUint16(nil, uint16(len(list)))...)
	ext = append(ext, list...)
	ext = append(ext, 0, 16, 0, 5, 0, 3, 2, 'h', '2')
	ext = append(ext, 0, 43, 0, 5, 4, 3, 4, 3, 3)
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0, 2, 0x13, 1, 1, 0)
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(ext))), ext...)
	hs := append([]byte{1, 0}, binary.BigEndian.AppendUint16(nil, uint16(len(body)))...)
	hs = append(hs, body...)
	return string(append(append([]byte{22, 3, 1}, binary.BigEndian.AppendUint16(nil, uint16(len(hs)))...), hs...))
}

// sampleTalk is the traffic of the samples: a scan, a web request split over
// segments, a TLS handshake, name look-ups, a flow the capture came late to.
func sampleTalk(t testing.TB) *talk {
	k := &talk{t: t, at: time.Date(2026, 11, 23, 9, 8, 0, 0, time.UTC)}
	const a, b = "10.66.0.1", "203.0.113.45"
	for _, port := range []uint16{21, 23, 3306} {
		k.tcp(b, 40000+port, a, port, 1, "S", "")
		k.tcp(a, port, b, 40000+port, 0, "RA", "")
	}
	k.tcp(b, 41000, a, 25, 1, "S", "")
	k.tcp(a, 51200, b, 8080, 100, "S", "")
	k.tcp(b, 8080, a, 51200, 500, "SA", "")
	k.tcp(a, 51200, b, 8080, 101, "A", "")
	k.tcp(a, 51200, b, 8080, 101, "A", "GET /sysupd HTTP/1.1\r\nHost: 203.0.")
	k.tcp(a, 51200, b, 8080, 135, "A", "113.45:8080\r\nUser-Agent: curl/7.88.1\r\nCookie: secret\r\n\r\n")
	k.tcp(a, 51200, b, 8080, 101, "A", "GET /sysupd HTTP/1.1\r\nHost: 203.0.") // sent again
	k.tcp(b, 8080, a, 51200, 501, "A", "HTTP/1.1 200 OK\r\n\r\n")
	k.tcp(a, 51200, b, 8080, 191, "FA", "")
	k.tcp(b, 8080, a, 51200, 520, "FA", "")
	k.tcp(a, 51300, b, 443, 9, "S", "")
	k.tcp(b, 443, a, 51300, 9, "SA", "")
	k.tcp(a, 51300, b, 443, 10, "A", clientHelloRecord("Update.Example.net"))
	q := layers.DNSQuestion{Name: []byte("cdn.example.net"), Type: layers.DNSTypeTXT, Class: layers.DNSClassIN}
	k.dns(a, 54551, b, 53, &layers.DNS{ID: 7, RD: true, QDCount: 1, Questions: []layers.DNSQuestion{q}})
	k.dns(b, 53, a, 54551, &layers.DNS{ID: 7, QR: true, QDCount: 1, ANCount: 1, Questions: []layers.DNSQuestion{q}, Answers: []layers.DNSResourceRecord{
		{Name: q.Name, Type: layers.DNSTypeTXT, Class: layers.DNSClassIN, TTL: 60, TXTs: [][]byte{[]byte("ok \x1b[31m")}},
	}})
	k.dns(a, 54552, b, 53, &layers.DNS{ID: 8, RD: true, QDCount: 1, Questions: []layers.DNSQuestion{{Name: []byte("gone.example"), Type: layers.DNSTypeA, Class: layers.DNSClassIN}}})
	k.dns(b, 53, a, 54552, &layers.DNS{
		ID: 8, QR: true, ResponseCode: layers.DNSResponseCodeNXDomain, QDCount: 1,
		Questions: []layers.DNSQuestion{{Name: []byte("gone.example"), Type: layers.DNSTypeA, Class: layers.DNSClassIN}},
	})
	k.tcp(a, 51400, b, 80, 100, "A", "POST /cut HTTP/1.1\r\nHost: cut.example\r\nX-Never-Ends: ")
	k.tcp(b, 22, a, 40022, 77, "A", "late to the talk")
	e, ip := ether(a, b)
	ip.Protocol = layers.IPProtocolICMPv4
	k.send(e, ip, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 1, Seq: 1}, gopacket.Payload("ping"))
	return k
}

// TestPcapSamplesAreMade runs only with -samples.
func TestPcapSamplesAreMade(t *testing.T) {
	if !*makeSamples {
		t.Skip("skipped: runs with -samples only")
	}
	talk, apps := sampleTalk(t), sampleApplications(t)
	damaged := talk.classic()
	binary.LittleEndian.PutUint32(damaged[24+16+len(talk.packets[0])+8:], 1<<31)
	for name, b := range map[string][]byte{
		"talk.pcap": talk.classic(), "talk.pcapng": talk.ng(), "damaged.pcap": damaged, "applications.pcap": apps.classic(),
	} {
		if err := os.WriteFile(filepath.Join("testdata", "net_pcap", name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// classic returns the packets as a pcap file with nanoseconds.
func (k *talk) classic() []byte {
	k.t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriterNanos(&b)
	if err := w.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		k.t.Fatal(err)
	}
	for i, p := range k.packets {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: k.times[i], CaptureLength: len(p), Length: len(p)}, p); err != nil {
			k.t.Fatal(err)
		}
	}
	return b.Bytes()
}

// ng returns the packets as a pcapng file.
func (k *talk) ng() []byte {
	k.t.Helper()
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, layers.LinkTypeEthernet)
	if err != nil {
		k.t.Fatal(err)
	}
	for i, p := range k.packets {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: k.times[i], CaptureLength: len(p), Length: len(p)}, p); err != nil {
			k.t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		k.t.Fatal(err)
	}
	return b.Bytes()
}

// tunnelled are packets inside others, which the parser reports as flows of
// the tunnel only, and link types it says it does not decode.
var tunnelled = regexp.MustCompile(`gre|erspan|vxlan|pppoe|mpls|gtp|radiotap|:ip(v6)?:.*:ip(v6)?:`)

// wiresharkCounts is what Wireshark sees of the things the parser reports.
func wiresharkCounts(e *testenv.ExpectedRows) map[string]int {
	m := map[string]int{}
	for i := range e.Rows {
		protocols := e.Get(i, "protocols")
		if tunnelled.MatchString(protocols) {
			continue
		}
		if method := e.Get(i, "http.request.method"); method != "" && strings.Contains(protocols, ":tcp:http") {
			m["http "+method+" "+e.Get(i, "http.request.uri")]++
		}
		if name := e.Get(i, "tls.sni"); name != "" && (strings.Contains(protocols, ":tcp:tls") || strings.Contains(protocols, ":quic:tls")) {
			m["tls "+strings.ToLower(name)]++
		}
		port53 := e.Get(i, "udp.srcport") == "53" || e.Get(i, "udp.dstport") == "53"
		if name := e.Get(i, "dns.qry.name"); name != "" && port53 && strings.HasSuffix(protocols, ":udp:dns") {
			m["dns "+strings.ToLower(name)]++
		}
	}
	return m
}

func ourCounts(events []*timeline.Event) map[string]int {
	m := map[string]int{}
	for _, ev := range events {
		switch ev.DataType {
		case typeHTTP:
			method, ok := ev.Attr("method")
			if !ok {
				continue // a response whose request is not there
			}
			target := ev.URL
			if rest, ok := strings.CutPrefix(target, "http://"); ok && ev.Domain != "" {
				_, path, _ := strings.Cut(rest, "/")
				target = "/" + path
			}
			m["http "+method+" "+target]++
		case typeTLS:
			if ev.Domain != "" {
				m["tls "+ev.Domain]++
			}
		case typeDNS:
			if ev.Domain != "" && (ev.SrcPort == 53 || ev.DstPort == 53) && ev.Channel == "udp" {
				m["dns "+ev.Domain]++
			}
		}
	}
	return m
}

// TestPcapCorpusAgreesWithWireshark compares requests, server names and
// queries of every capture of the corpus with Wireshark's. What only one side
// sees is listed; the two must agree on nearly everything.
func TestPcapCorpusAgreesWithWireshark(t *testing.T) {
	dir := testenv.Corpus(t)
	agreed, missed, extra := 0, 0, 0
	for _, set := range []string{"pcap_zeek", "pcap_suricata", "pcap_large"} {
		for _, e := range testenv.Expected(t, filepath.Join(dir, "expected", "pcap."+set+".wireshark.jsonl.gz")) {
			b, err := os.ReadFile(filepath.Join(dir, e.Path))
			if err != nil {
				t.Fatal(err)
			}
			res := parsertest.Parse(t, netPcap, parsertest.Sample{Name: filepath.Base(e.Path), Data: b})
			want, got := wiresharkCounts(&e), ourCounts(res.Events)
			keys := maps.Clone(want)
			maps.Copy(keys, got)
			for _, key := range slices.Sorted(maps.Keys(keys)) {
				w, g := want[key], got[key]
				agreed += min(w, g)
				missed += max(w-g, 0)
				extra += max(g-w, 0)
				if w != g {
					t.Logf("%s: %.80q: Wireshark %d, here %d", filepath.Base(e.Path), key, w, g)
				}
			}
		}
	}
	t.Logf("%d agreed, %d seen by Wireshark only, %d here only", agreed, missed, extra)
	if agreed < 400 || missed*50 > agreed || extra*40 > agreed {
		t.Errorf("%d agreed, %d missed, %d extra", agreed, missed, extra)
	}
}

func BenchmarkNetPcap(b *testing.B) {
	data, packets := repeated(b, sampleTalk(b), 2000)
	meter := parsertest.Bench(b, netPcap, parsertest.Sample{Name: "bench.pcap", Data: data})
	meter.Report(b, float64(packets)*float64(b.N), "packets")
}

// repeated is a capture of the same packets between other networks, rounds
// times.
func repeated(b *testing.B, k *talk, rounds int) (capture []byte, packets int) {
	b.Helper()
	var data bytes.Buffer
	w := pcapgo.NewWriterNanos(&data)
	if err := w.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		b.Fatal(err)
	}
	for round := range rounds {
		for i, p := range k.packets {
			p = bytes.Clone(p)
			binary.BigEndian.PutUint16(p[28:], uint16(round))
			if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: k.times[i].Add(time.Duration(round) * time.Second), CaptureLength: len(p), Length: len(p)}, p); err != nil {
				b.Fatal(err)
			}
			packets++
		}
	}
	return data.Bytes(), packets
}

// BenchmarkNetPcapPlain reads TCP flows of 20 packets that carry nothing which
// is taken apart.
func BenchmarkNetPcapPlain(b *testing.B) {
	k := &talk{t: b, at: time.Date(2026, 11, 23, 9, 8, 0, 0, time.UTC)}
	const here, there = "10.66.0.1", "203.0.113.45"
	k.tcp(here, 51200, there, 8443, 100, "S", "")
	k.tcp(there, 8443, here, 51200, 500, "SA", "")
	for i := range uint32(16) {
		k.tcp(here, 51200, there, 8443, 101+600*i, "A", strings.Repeat("\x17\x99\x01 no protocol", 40))
	}
	k.tcp(here, 51200, there, 8443, 10000, "FA", "")
	k.tcp(there, 8443, here, 51200, 501, "FA", "")
	data, packets := repeated(b, k, 5000)
	meter := parsertest.Bench(b, netPcap, parsertest.Sample{Name: "bench.pcap", Data: data})
	meter.Report(b, float64(packets)*float64(b.N), "packets")
}
