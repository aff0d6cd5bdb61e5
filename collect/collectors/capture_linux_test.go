package collectors

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/collect"
	"github.com/exhibit-dfir/exhibit/evidence"
	"github.com/exhibit-dfir/exhibit/evidence/record"
	"github.com/exhibit-dfir/exhibit/internal/packet/packettest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// capturing runs a capture while traffic runs, ends it, and returns what it
// gave to out.
func capturing(t testing.TB, opt CaptureOptions, out collect.Taker, traffic func()) {
	t.Helper()
	capturingOf(t, &collect.Host{Root: "/", Live: true}, opt, out, traffic)
}

func capturingOf(t testing.TB, h *collect.Host, opt CaptureOptions, out collect.Taker, traffic func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Capture(opt).Run(ctx, h, out) }()
	time.Sleep(200 * time.Millisecond) // the socket is open by then
	traffic()
	cancel()
	begun := time.Now()
	select {
	case err := <-done:
		check(t, err)
	case <-time.After(20 * time.Second):
		t.Fatal("the capture does not end")
	}
	t.Logf("ended %v after it was told to", time.Since(begun))
}

func statisticsOf(t testing.TB, out *memoryTaker) CaptureStatistics {
	t.Helper()
	var s CaptureStatistics
	if err := json.Unmarshal(out.streams[captureStatistics], &s); err != nil {
		t.Fatalf("statistics %q: %v", out.streams[captureStatistics], err)
	}
	return s
}

// pcapFile writes the capture to a file for other programs.
func pcapFile(t testing.TB, out *memoryTaker) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "capture.pcapng")
	check(t, os.WriteFile(file, out.streams[record.Capture], 0o644))
	return file
}

// flood sends broadcast frames of one kind from an interface and returns how
// many the kernel took.
func flood(t testing.TB, name string, count, size int) int {
	t.Helper()
	i, err := net.InterfaceByName(name)
	check(t, err)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	check(t, err)
	defer unix.Close(fd)
	frame := append(bytes.Repeat([]byte{0xff}, 6), 2, 0, 0, 0, 0, 1, 0x88, 0xb5)
	frame = append(frame, make([]byte, size-len(frame))...)
	sent := 0
	for range count {
		switch err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: i.Index}); err {
		case nil:
			sent++
		case unix.ENOBUFS:
			time.Sleep(time.Millisecond)
		default:
			t.Fatal(err)
		}
	}
	return sent
}

func veth(t testing.TB) {
	t.Helper()
	packettest.IP(t, "link add v0 type veth peer name v1")
	packettest.IP(t, "link set v0 up")
	packettest.IP(t, "link set v1 up")
}

func TestCaptureHoldsEveryPacketAsOtherToolsCount(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	capinfos, tshark := testenv.Tool(t, "capinfos"), testenv.Tool(t, "tshark")
	veth(t)
	out := newMemoryTaker(nil)
	sent := 0
	capturing(t, CaptureOptions{Interfaces: []string{"v1"}}, out, func() { sent = flood(t, "v0", 20_000, 200) })
	s, file := statisticsOf(t, out), pcapFile(t, out)
	if got := shell(t, tshark+" -r "+file+" -Y 'eth.type == 0x88b5' -T fields -e frame.len | sort | uniq -c"); strings.Join(strings.Fields(got), " ") != fmt.Sprint(sent, " 200") {
		t.Errorf("tshark counts %q, %d were sent", got, sent)
	}
	if got := shell(t, capinfos+" -M -c "+file); !strings.HasSuffix(strings.TrimSpace(got), fmt.Sprint(" ", s.Packets)) {
		t.Errorf("capinfos says %q, statistics %+v", got, s)
	}
	// Every packet is in the file or told as dropped.
	if s.Received != uint64(s.Packets)+s.Dropped || len(s.Interfaces) != 1 || s.Interfaces[0].Name != "v1" || s.Interfaces[0].Link != 1 {
		t.Errorf("statistics %+v", s)
	}
	told := 0
	if s.Dropped > 0 {
		told = 1
	}
	if out.seen[captureRule] != int(s.Packets) || len(out.problems) != told {
		t.Errorf("ledger %v, problems %+v", out.seen, out.problems)
	}
}

func TestCaptureOfRealTrafficIsReadByTshark(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	tshark := testenv.Tool(t, "tshark")
	packettest.IP(t, "tuntap add dev tun0 mode tun")
	packettest.IP(t, "link set tun0 up")
	listener, err := net.Listen("tcp", "127.0.0.1:8080")
	check(t, err)
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "planted answer") }))
	}()
	out := newMemoryTaker(nil)
	capturing(t, CaptureOptions{}, out, func() {
		answer, err := http.Get("http://127.0.0.1:8080/planted?x=1")
		check(t, err)
		_, err = io.Copy(io.Discard, answer.Body)
		check(t, err)
	})
	file := pcapFile(t, out)
	if got := shell(t, tshark+" -r "+file+" -d tcp.port==8080,http -Y http.request -T fields -e http.request.uri -e frame.interface_name"); got != "/planted?x=1\tlo\n" {
		t.Errorf("tshark saw %q", got)
	}
	if got := shell(t, tshark+" -r "+file+" -Y tcp.flags.syn==1 -T fields -e tcp.flags | wc -l"); strings.TrimSpace(got) != "2" {
		t.Errorf("tshark saw %q SYN segments, want 2: each packet once", got)
	}
	names := map[string]uint16{}
	for _, i := range statisticsOf(t, out).Interfaces {
		names[i.Name] = i.Link
	}
	if names["lo"] != 1 || names["tun0"] != 101 {
		t.Errorf("link types %v, want Ethernet for lo and raw IP for tun0", names)
	}
}

// stalledTaker reads nothing of a capture until told.
type stalledTaker struct {
	*memoryTaker
	going chan struct{}
}

func (s stalledTaker) Stream(ctx context.Context, it evidence.Item, r io.Reader) error {
	if it.Path == record.Capture {
		<-s.going
	}
	return s.memoryTaker.Stream(ctx, it, r)
}

func TestDropsOfAStalledSinkAreCounted(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	veth(t)
	out := stalledTaker{newMemoryTaker(nil), make(chan struct{})}
	sent := 0
	capturing(t, CaptureOptions{Interfaces: []string{"v1"}}, out, func() {
		sent = flood(t, "v0", 20_000, 1500)
		close(out.going)
	})
	s := statisticsOf(t, out.memoryTaker)
	if s.Dropped == 0 || uint64(s.Packets)+s.Dropped != s.Received || s.Received < uint64(sent) {
		t.Errorf("sent %d, statistics %+v", sent, s)
	}
	if len(out.problems) != 1 || out.problems[0].Code != evidence.Dropped {
		t.Errorf("problems %+v", out.problems)
	}
	if tshark := testenv.Tool(t, "tshark"); !strings.Contains(shell(t, tshark+" -r "+pcapFile(t, out.memoryTaker)+" -q -z io,stat,0"), fmt.Sprint(s.Packets)) {
		t.Error("tshark counts differently")
	}
}

func TestCaptureEndsAtItsLimitsAndSaysSo(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	veth(t)
	for _, tc := range []struct {
		name   string
		opt    CaptureOptions
		reason string
	}{
		{"bytes", CaptureOptions{Interfaces: []string{"v1"}, MaxBytes: 10_000}, "10000 bytes"},
		{"packets", CaptureOptions{Interfaces: []string{"v1"}, MaxPackets: 7}, "7 packets"},
	} {
		out := newMemoryTaker(nil)
		capturing(t, tc.opt, out, func() {
			flood(t, "v0", 1000, 100)
			time.Sleep(200 * time.Millisecond)
		})
		s := statisticsOf(t, out)
		if !strings.Contains(s.Reason, tc.reason) || len(out.problems) != 1 || out.problems[0].Code != evidence.Skipped {
			t.Errorf("%s: %+v, problems %+v", tc.name, s, out.problems)
		}
		if tc.opt.MaxPackets > 0 && s.Packets != tc.opt.MaxPackets {
			t.Errorf("%s: %d packets", tc.name, s.Packets)
		}
		if tc.opt.MaxBytes > 0 && len(out.streams[record.Capture]) > int(tc.opt.MaxBytes)+1000 {
			t.Errorf("%s: file of %d bytes", tc.name, len(out.streams[record.Capture]))
		}
	}
	out := newMemoryTaker(nil)
	check(t, Capture(CaptureOptions{Interfaces: []string{"v1"}, For: 50 * time.Millisecond}).Run(context.Background(), &collect.Host{Live: true}, out))
	if s := statisticsOf(t, out); s.Reason != "its time was over" || len(out.problems) != 0 {
		t.Errorf("time: %+v, problems %+v", s, out.problems)
	}
	if len(out.streams[record.Capture]) == 0 {
		t.Error("a quiet link leaves no file")
	}
}

func TestInterfaceThatIsNotThereIsRecorded(t *testing.T) {
	out := newMemoryTaker(nil)
	check(t, Capture(CaptureOptions{Interfaces: []string{"no-such-if"}}).Run(context.Background(), &collect.Host{Live: true}, out))
	it, ok := out.note("network/no-such-if")
	if !ok || it.Kind != evidence.KindAbsent {
		t.Errorf("record %+v", it)
	}
}

func TestCaptureWithoutPermissionIsRecordedAsDenied(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	check(t, unix.Capset(&header, &none[0]))
	out := newMemoryTaker(nil)
	check(t, Capture(CaptureOptions{}).Run(context.Background(), &collect.Host{Live: true}, out))
	it, ok := out.note(record.Capture)
	if !ok || it.Kind != evidence.KindDenied || !strings.Contains(it.Detail, "CAP_NET_RAW") {
		t.Errorf("record %+v", it)
	}
}

// BenchmarkCapture captures frames as fast as one sender makes them; the CPU
// time is that of sender, capture and pcapng writer together.
func BenchmarkCapture(b *testing.B) {
	if packettest.Elsewhere(b) {
		return
	}
	veth(b)
	const frames = 200_000
	var captured, dropped, wall float64
	for b.Loop() {
		out := newMemoryTaker(nil)
		capturing(b, CaptureOptions{Interfaces: []string{"v1"}}, out, func() {
			begun := time.Now()
			flood(b, "v0", frames, 200)
			wall += time.Since(begun).Seconds()
		})
		s := statisticsOf(b, out)
		captured += float64(s.Packets)
		dropped += float64(s.Dropped)
	}
	b.ReportMetric(captured/wall, "packets/s")
	b.ReportMetric(dropped/(captured+dropped)*100, "%dropped")
}
