package collectors

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/packet/packettest"
	"github.com/exhibit-dfir/exhibit/internal/pcapfilter"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// saved writes one stream of a capture to a file for other programs.
func saved(t testing.TB, out *memoryTaker, stream string) string {
	t.Helper()
	content, there := out.streams[stream]
	if !there {
		t.Fatalf("no stream %s", stream)
	}
	file := filepath.Join(t.TempDir(), filepath.Base(stream))
	check(t, os.WriteFile(file, content, 0o644))
	return file
}

func TestFilteredCaptureHoldsWhatTcpdumpKeepsOfTheWholeOne(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	tcpdump, capinfos := testenv.Tool(t, "tcpdump"), testenv.Tool(t, "capinfos")
	const expression = "udp dst port 9 or 10 and greater 50"
	program, err := pcapfilter.Compile(expression)
	check(t, err)
	whole, text, code := newMemoryTaker(nil), newMemoryTaker(nil), newMemoryTaker(nil)
	capturing(t, CaptureOptions{}, whole, func() {
		capturing(t, CaptureOptions{Filter: expression}, text, func() {
			capturing(t, CaptureOptions{Program: program}, code, func() {
				for n := range 200 {
					c, err := net.Dial("udp4", fmt.Sprint("127.0.0.1:", 8+n%4))
					check(t, err)
					_, _ = c.Write(make([]byte, n%30)) //nolint:errcheck // nobody listens there
					c.Close()
				}
			})
		})
	})
	list := func(out *memoryTaker, filter string) string {
		return shell(t, tcpdump+" -nn -tttt -r "+saved(t, out, record.Capture)+" '"+filter+"' 2>/dev/null")
	}
	want := list(whole, expression)
	if n := strings.Count(want, "\n"); n < 50 {
		t.Fatalf("only %d packets match:\n%s", n, want)
	}
	// The packets' times differ by socket; all else is the same.
	clock := regexp.MustCompile(`(?m)^\S+ \S+ `)
	want = clock.ReplaceAllString(want, "")
	for name, out := range map[string]*memoryTaker{"text": text, "program": code} {
		if got := clock.ReplaceAllString(list(out, ""), ""); got != want {
			t.Errorf("%s: kept %d lines, want %d\n%s", name, strings.Count(got, "\n"), strings.Count(want, "\n"), got)
		}
		if s := statisticsOf(t, out); s.Program != program.String() || s.Received != uint64(s.Packets)+s.Dropped {
			t.Errorf("%s: statistics %+v", name, s)
		}
	}
	if s := statisticsOf(t, text); s.Filter != expression {
		t.Errorf("record has the filter %q", s.Filter)
	}
	if info := shell(t, capinfos+" -M "+saved(t, text, record.Capture)); !strings.Contains(info, "Filter string = "+expression) {
		t.Errorf("capinfos does not name the filter:\n%s", info)
	}
}

func TestFilesOfARotatedCaptureAreWholeAndHoldEveryPacketOnce(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	tshark, capinfos := testenv.Tool(t, "tshark"), testenv.Tool(t, "capinfos")
	veth(t)
	for name, opt := range map[string]CaptureOptions{
		"size": {RotateBytes: 1 << 20}, "time": {RotateEvery: 100 * time.Millisecond},
	} {
		opt.Interfaces = []string{"v1"}
		out := newMemoryTaker(nil)
		sent := 0
		capturing(t, opt, out, func() {
			for range 6 {
				sent += flood(t, "v0", 3000, 400)
				time.Sleep(60 * time.Millisecond)
			}
		})
		s := statisticsOf(t, out)
		if len(s.Files) < 3 {
			t.Errorf("%s: files %+v", name, s.Files)
		}
		ours, packets, delivered := 0, int64(0), uint64(0)
		for i, f := range s.Files {
			if f.Path != captureName(i+1) || f.Size != int64(len(out.streams[f.Path])) {
				t.Errorf("%s: file %+v, stream of %d bytes", name, f, len(out.streams[f.Path]))
			}
			if opt.RotateBytes > 0 && f.Size > opt.RotateBytes+512<<10+4096 {
				t.Errorf("%s: file of %d bytes", name, f.Size)
			}
			file := saved(t, out, f.Path)
			if got := shell(t, capinfos+" -M -c "+file); !strings.HasSuffix(strings.TrimSpace(got), fmt.Sprint(" ", f.Packets)) {
				t.Errorf("%s: capinfos says %q of %+v", name, got, f)
			}
			ours += strings.Count(shell(t, tshark+" -r "+file+" -Y 'eth.type == 0x88b5' -T fields -e frame.interface_name"), "v1\n")
			packets += f.Packets
			delivered += f.Received - f.Dropped
		}
		if packets != s.Packets || uint64(packets) != delivered || s.Received != uint64(s.Packets)+s.Dropped || uint64(ours)+s.Dropped < uint64(sent) || ours > sent {
			t.Errorf("%s: sent %d, tshark sees %d, statistics %+v", name, sent, ours, s)
		}
	}
}

func TestCaptureNamesAddressesAndDescribesInterfaces(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	tshark, capinfos := testenv.Tool(t, "tshark"), testenv.Tool(t, "capinfos")
	packettest.IP(t, "link add v0 type veth peer name v1")
	packettest.IP(t, "addr add 192.0.2.9/24 dev v1")
	packettest.IP(t, "addr add 2001:db8::9/64 dev v1 nodad")
	packettest.IP(t, "link set v0 up")
	packettest.IP(t, "link set v1 up")
	root := t.TempDir()
	check(t, os.MkdirAll(filepath.Join(root, "etc"), 0o755))
	check(t, os.WriteFile(filepath.Join(root, "etc/hosts"), []byte("127.0.0.1 planted-host.test\n"), 0o644))
	h, err := collect.OpenHost(root, false)
	check(t, err)
	defer h.Close()
	h.Live = true
	server, err := net.ListenPacket("udp4", "127.0.0.1:53")
	check(t, err)
	defer server.Close()
	out := newMemoryTaker(nil)
	capturingOf(t, h, CaptureOptions{}, out, func() {
		// An answer: planted.test is 127.0.0.77.
		answer := "\x00\x01\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x07planted\x04test\x00\x00\x01\x00\x01" +
			"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x4d"
		to, err := net.ListenPacket("udp4", "127.0.0.77:0")
		check(t, err)
		defer to.Close()
		_, err = server.WriteTo([]byte(answer), to.LocalAddr())
		check(t, err)
	})
	file := saved(t, out, record.Capture)
	got := shell(t, tshark+" -2 -r "+file+" -N n -Y 'dns' -T fields -e ip.src_host -e ip.dst_host")
	if got != "planted-host.test\tplanted.test\n" {
		t.Errorf("tshark names the hosts %q", got)
	}
	info := shell(t, capinfos+" -M "+file)
	for _, want := range []string{"Name = v1", "Speed = 10000000000", "MTU 1500", "Number of resolved IPv4 addresses in file: 2"} {
		if !strings.Contains(info, want) {
			t.Errorf("capinfos does not say %q:\n%s", want, info)
		}
	}
	for _, i := range statisticsOf(t, out).Interfaces {
		if i.Name == "v1" && (!slices.Contains(i.Addresses, "192.0.2.9/24") || !slices.Contains(i.Addresses, "2001:db8::9/64") || i.MTU != 1500) {
			t.Errorf("facts of v1: %+v", i)
		}
	}
}

func TestDropsAreCountedOfEachInterfaceThatWasNamed(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	capinfos := testenv.Tool(t, "capinfos")
	veth(t)
	out := stalledTaker{newMemoryTaker(nil), make(chan struct{})}
	capturing(t, CaptureOptions{Interfaces: []string{"v1", "lo"}}, out, func() {
		flood(t, "v0", 20_000, 1500)
		close(out.going)
	})
	s := statisticsOf(t, out.memoryTaker)
	if len(s.Interfaces) != 2 || s.Interfaces[0].Dropped == nil || s.Interfaces[1].Dropped == nil {
		t.Fatalf("statistics %+v", s)
	}
	if *s.Interfaces[0].Dropped == 0 || *s.Interfaces[0].Dropped != s.Dropped || *s.Interfaces[1].Dropped != 0 {
		t.Errorf("drops %d of v1, %d of lo, %d in all", *s.Interfaces[0].Dropped, *s.Interfaces[1].Dropped, s.Dropped)
	}
	if s.Received != uint64(s.Packets)+s.Dropped {
		t.Errorf("statistics %+v", s)
	}
	if info := shell(t, capinfos+" -M "+saved(t, out.memoryTaker, record.Capture)); strings.Count(info, "Number of stat entries = 1") != 2 {
		t.Errorf("capinfos sees other counts:\n%s", info)
	}
	// What does not tell the interfaces apart says so.
	all := stalledTaker{newMemoryTaker(nil), make(chan struct{})}
	capturing(t, CaptureOptions{}, all, func() {
		flood(t, "v0", 20_000, 1500)
		close(all.going)
	})
	for _, i := range statisticsOf(t, all.memoryTaker).Interfaces {
		if i.Dropped != nil {
			t.Errorf("drops of %s are said to be %d", i.Name, *i.Dropped)
		}
	}
}

func TestPromiscuousModeIsAskedForRecordedAndLeftAgain(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	veth(t)
	// Frames for others: they come to v1 only in promiscuous mode as such.
	toOthers := func() {
		i, err := net.InterfaceByName("v0")
		check(t, err)
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		check(t, err)
		defer unix.Close(fd)
		frame := append([]byte("\x02\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x88\xb5"), make([]byte, 60)...)
		check(t, unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: i.Index}))
		time.Sleep(100 * time.Millisecond)
	}
	count := func() string {
		return regexp.MustCompile(`promiscuity \d+`).FindString(shell(t, testenv.Tool(t, "ip")+" -d link show v1"))
	}
	for _, promiscuous := range []bool{false, true} {
		out := newMemoryTaker(nil)
		during := ""
		capturing(t, CaptureOptions{Interfaces: []string{"v1"}, Promiscuous: promiscuous}, out, func() {
			during = count()
			toOthers()
		})
		s := statisticsOf(t, out)
		i := s.Interfaces[0]
		if after := count(); after != "promiscuity 0" {
			t.Errorf("promiscuous %v: %q when it is over", promiscuous, after)
		}
		if !promiscuous {
			if during != "promiscuity 0" || s.Promiscuous || i.Promiscuity != nil {
				t.Errorf("not asked for: %q, %+v", during, s)
			}
			continue
		}
		if during != "promiscuity 1" || !s.Promiscuous || i.PromiscuityBefore == nil || *i.PromiscuityBefore != 0 || *i.Promiscuity != 1 || *i.PromiscuityAfter != 0 {
			t.Errorf("asked for: %q, %+v", during, i)
		}
		tshark := testenv.Tool(t, "tshark")
		if got := shell(t, tshark+" -r "+saved(t, out, record.Capture)+" -Y 'eth.type == 0x88b5' -T fields -e frame.packet_flags_reception_type"); strings.TrimSpace(got) != "4" {
			t.Errorf("reception type %q, want promiscuous", got)
		}
	}
}
