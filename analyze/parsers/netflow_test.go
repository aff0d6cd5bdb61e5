package parsers

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-dfir/exhibit/analyze/parsertest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

func TestNetNetflow(t *testing.T) { parsertest.Run(t, netNetflow, "testdata/net_netflow") }

func FuzzNetNetflow(f *testing.F) { parsertest.Fuzz(f, netNetflow, "testdata/net_netflow") }

var network = binary.BigEndian

// exported is the time of the samples' packets.
const exported = 1_795_000_000

// netflow5 is a packet of version 5 about flows from one network to another.
func netflow5(sequence uint32, flows int) []byte {
	b := network.AppendUint16(network.AppendUint16(nil, 5), uint16(flows))
	b = network.AppendUint32(b, 3_600_000)
	b = network.AppendUint32(network.AppendUint32(b, exported), 250_000_000)
	b = append(network.AppendUint32(b, sequence), 0, 1, 0, 0)
	for i := range flows {
		r := make([]byte, 48)
		copy(r, []byte{10, 66, 0, byte(i), 203, 0, 113, 45, 192, 0, 2, 1, 0, 2, 0, 3})
		network.PutUint32(r[16:], uint32(10+i))
		network.PutUint32(r[20:], uint32(1000*(i+1)))
		network.PutUint32(r[24:], uint32(3_500_000+1000*i))
		network.PutUint32(r[28:], uint32(3_550_000+1000*i))
		network.PutUint16(r[32:], uint16(51000+i))
		network.PutUint16(r[34:], 443)
		r[37], r[38] = 0x1b, 6
		if i%3 == 2 { // an echo request
			r[38], r[37] = 1, 0
			network.PutUint16(r[32:], 0)
			network.PutUint16(r[34:], 8<<8)
		}
		b = append(b, r...)
	}
	return b
}

func flowSet(id uint16, content ...[]byte) []byte {
	all := slices.Concat(content...)
	return append(network.AppendUint16(network.AppendUint16(nil, id), uint16(4+len(all))), all...)
}

// flowTemplate lists elements and their lengths; those from 0x8000 on are of
// enterprise 29305.
func flowTemplate(id uint16, fields ...uint16) []byte {
	b := network.AppendUint16(network.AppendUint16(nil, id), uint16(len(fields)/2))
	for i := 0; i < len(fields); i += 2 {
		b = network.AppendUint16(network.AppendUint16(b, fields[i]), fields[i+1])
		if fields[i] >= 0x8000 {
			b = network.AppendUint32(b, 29305)
		}
	}
	return b
}

func netflow9(sequence, domain uint32, sets ...[]byte) []byte {
	b := network.AppendUint16(network.AppendUint16(nil, 9), uint16(len(sets)))
	b = network.AppendUint32(network.AppendUint32(b, 3_600_000), exported)
	b = network.AppendUint32(network.AppendUint32(b, sequence), domain)
	return append(b, slices.Concat(sets...)...)
}

func ipfixMessage(sequence, domain uint32, sets ...[]byte) []byte {
	content := slices.Concat(sets...)
	b := network.AppendUint16(network.AppendUint16(nil, 10), uint16(16+len(content)))
	b = network.AppendUint32(network.AppendUint32(network.AppendUint32(b, exported), sequence), domain)
	return append(b, content...)
}

// netflow9Sample has a template, an options template with its data, and flows
// of which the last is padded.
func netflow9Sample(sequence uint32) []byte {
	record := func(host, proto byte, port uint16, octets uint32) []byte {
		r := []byte{10, 66, 0, 1, 198, 51, 100, host}
		r = network.AppendUint16(network.AppendUint16(r, 53000), port)
		r = append(r, proto, 0x12)
		r = network.AppendUint32(network.AppendUint32(r, 3), octets)
		return network.AppendUint32(network.AppendUint32(r, 3_590_000), 3_595_500)
	}
	options := []byte{1, 1, 0, 4, 0, 4, 0, 1, 0, 4, 0, 34, 0, 4}
	return netflow9(sequence, 7,
		flowSet(0, flowTemplate(256, 8, 4, 12, 4, 7, 2, 11, 2, 4, 1, 6, 1, 2, 4, 1, 4, 22, 4, 21, 4)),
		flowSet(1, options), flowSet(257, []byte{0, 0, 0, 1, 0, 0, 0, 100}),
		flowSet(256, record(1, 6, 22, 4000), record(2, 17, 53, 120), []byte{0, 0}))
}

func ipfixSample(sequence uint32) []byte {
	v6 := func(last byte) []byte { a := make([]byte, 16); a[0], a[1], a[15] = 0x20, 0x01, last; return a }
	record := slices.Concat(v6(1), v6(2))
	record = network.AppendUint16(network.AppendUint16(record, 40000), 8443)
	record = append(record, 6)
	record = network.AppendUint64(network.AppendUint64(record, 12), 34567)
	record = network.AppendUint64(network.AppendUint64(record, exported*1000-9001), exported*1000-1)
	return ipfixMessage(sequence, 3,
		flowSet(2, flowTemplate(300, 27, 16, 28, 16, 7, 2, 11, 2, 4, 1, 2, 8, 1, 8, 152, 8, 153, 8)), flowSet(300, record))
}

// biflowSample has what Wireshark and nfdump do not show: answers, values of
// variable length, addresses behind NAT, flows without times.
func biflowSample() []byte {
	record := []byte{10, 66, 0, 1, 203, 0, 113, 45, 6, 0x9c, 0x40, 0x01, 0xbb}
	record = network.AppendUint32(network.AppendUint32(record, 5), 700)
	record = append(append(record, 11), "c2.\x1b[31mexa"...)
	record = append(record, 198, 51, 100, 1, 0xea, 0x60)
	return ipfixMessage(1, 9,
		flowSet(2, flowTemplate(400, 8, 4, 12, 4, 4, 1, 7, 2, 11, 2, 0x8002, 4, 0x8001, 4, 460, 65535, 225, 4, 227, 2)), flowSet(400, record))
}

// TestNetflowSamplesAreMade runs only with -samples.
func TestNetflowSamplesAreMade(t *testing.T) {
	if !*makeSamples {
		t.Skip("skipped: runs with -samples only")
	}
	damaged := slices.Concat(netflow9(1, 8, flowSet(256, make([]byte, 40))), netflow9Sample(2), []byte("not a packet"), netflow5(3, 1)[:60])
	for name, b := range map[string][]byte{
		"export.v5": slices.Concat(netflow5(0, 3), netflow5(3, 1)), "export.v9": slices.Concat(netflow9Sample(1), netflow9Sample(2)),
		"flows.ipfix": slices.Concat(ipfixSample(0), biflowSample()), "damaged.nf": damaged,
	} {
		if err := os.WriteFile(filepath.Join("testdata", "net_netflow", name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFlowsAgreeWithWireshark has tshark read the same packets as UDP.
func TestFlowsAgreeWithWireshark(t *testing.T) {
	shark := testenv.Tool(t, "tshark")
	packets := [][]byte{netflow5(0, 30), netflow5(30, 3), netflow9Sample(1), netflow9Sample(2), ipfixSample(0), ipfixSample(1)}
	k := &talk{t: t, at: time.Unix(exported, 0)}
	for _, p := range packets {
		k.udp("192.0.2.9", 2055, "192.0.2.10", 2055, p)
	}
	path := filepath.Join(t.TempDir(), "export.pcap")
	if err := os.WriteFile(path, k.classic(), 0o600); err != nil {
		t.Fatal(err)
	}
	fields := []string{"cflow.srcaddr", "cflow.srcaddrv6", "cflow.dstaddr", "cflow.dstaddrv6", "cflow.srcport", "cflow.dstport", "cflow.protocol", "cflow.packets", "cflow.octets", "cflow.timestart"}
	args := []string{"-n", "-r", path, "-d", "udp.port==2055,cflow", "-T", "fields"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	out, err := exec.Command(shark, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(out)) {
		cells := strings.Split(strings.TrimRight(line, "\n"), "\t")
		src, dst := strings.Split(cells[0]+cells[1], ","), strings.Split(cells[2]+cells[3], ",")
		ports, to, proto, n, octets := strings.Split(cells[4], ","), strings.Split(cells[5], ","), strings.Split(cells[6], ","), strings.Split(cells[7], ","), strings.Split(cells[8], ",")
		for i := range src {
			want = append(want, strings.Join([]string{src[i], dst[i], ports[i], to[i], proto[i], n[i], octets[i]}, " "))
		}
	}
	var got []string
	res := parsertest.Parse(t, netNetflow, parsertest.Sample{Name: "export", Data: bytes.Join(packets, nil)})
	for _, ev := range res.Events {
		packets, _ := ev.Attr("packets_out")
		octets, _ := ev.Attr("bytes_out")
		srcPort, dstPort, proto := strconv.FormatInt(ev.SrcPort, 10), strconv.FormatInt(ev.DstPort, 10), map[string]string{"tcp": "6", "udp": "17", "icmp": "1"}[ev.Channel]
		if ev.Channel == "icmp" {
			srcPort, dstPort = "0", "2048"
		}
		got = append(got, strings.Join([]string{ev.SrcIP, ev.DstIP, srcPort, dstPort, proto, packets, octets}, " "))
	}
	if !slices.Equal(got, want) || len(got) != 39 {
		t.Errorf("%d flows, tshark %d\n%q\n%q", len(got), len(want), got, want)
	}
}

func BenchmarkNetNetflow(b *testing.B) {
	var data []byte
	flows := 0
	for i := range uint32(4000) {
		data = append(data, netflow5(i*30, 30)...)
		data = append(data, netflow9Sample(i)...)
		flows += 32
	}
	meter := parsertest.Bench(b, netNetflow, parsertest.Sample{Name: "bench.nf", Data: data})
	meter.Report(b, float64(flows)*float64(b.N), "flows")
}
