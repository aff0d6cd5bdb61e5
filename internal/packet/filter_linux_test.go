package packet

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/exhibit-dfir/exhibit/internal/packet/packettest"
	"github.com/exhibit-dfir/exhibit/internal/pcapfilter"
)

func compiled(t testing.TB, expression string) pcapfilter.Program {
	t.Helper()
	p, err := pcapfilter.Compile(expression)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// marked is a frame that ends in a mark of its own.
func marked(mark byte, header string) []byte {
	return append([]byte(header), bytes.Repeat([]byte{mark}, 60)...)
}

// marksOf returns the marks of the frames in a ring, in order.
func marksOf(t testing.TB, r *Ring) string {
	t.Helper()
	var marks []byte
	drain(t, r, func(p *Packet) {
		if last := p.Data[len(p.Data)-1]; bytes.HasSuffix(p.Data, bytes.Repeat([]byte{last}, 30)) && last != 0 {
			marks = append(marks, last)
		}
	})
	return string(marks)
}

const (
	broadcastMAC = "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01"
	udp53        = "\x45\x00\x00\x50\x00\x00\x00\x00\x40\x11\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02\x30\x39\x00\x35\x00\x3c\x00\x00"
	tcp80        = "\x45\x00\x00\x64\x00\x00\x00\x00\x40\x06\x00\x00\x0a\x00\x00\x03\x0a\x00\x00\x02\x00\x50\x30\x39\x00\x00\x00\x01\x00\x00\x00\x00\x50\x02\x00\x00\x00\x00\x00\x00"
)

// Frames as they are sent; the kernel takes the outer tag out where they arrive.
var sentFrames = [][]byte{
	marked('u', broadcastMAC+"\x08\x00"+udp53),
	marked('t', broadcastMAC+"\x08\x00"+tcp80),
	marked('v', broadcastMAC+"\x81\x00\x00\x05\x08\x00"+udp53),
	marked('w', broadcastMAC+"\x81\x00\x00\x07\x08\x00"+tcp80),
	marked('q', broadcastMAC+"\x88\xa8\x00\x05\x81\x00\x00\x09\x08\x00"+udp53),
	marked('x', broadcastMAC+"\x88\xb5"),
}

func TestKernelKeepsWhatTheFilterMatchesOnBothSidesOfALink(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	pair(t)
	for _, tc := range []struct{ filter, in, out string }{
		{"", "utvwqx", "utvwqx"},
		{"ether proto 0x88b5", "x", "x"},
		{"udp port 53 or ether proto 0x88b5", "uvx", "ux"}, // a tag that is taken out hides nothing
		{"vlan", "vwq", "vwq"},
		{"not vlan", "utx", "utx"},
		{"vlan 5", "vq", "vq"},
		{"vlan 5 and udp port 53", "v", "v"},
		{"vlan and tcp[tcpflags] & tcp-syn != 0", "w", "w"},
		{"vlan 5 and vlan 9 and udp dst port 53", "q", "q"},
		{"tcp port 80 or (vlan and tcp port 80)", "tw", "tw"},
		{"ether src 02:00:00:00:00:01 and broadcast and greater 100 and (ip or (vlan and ip))", "utvw", "utvw"},
		{"vlan or ip", "vwq", "vwq"}, // behind vlan everything is about what follows the tag, as in tcpdump,
		{"inbound and not arp and (ip or ether proto 0x88b5 or vlan)", "utvwqx", ""},
		{fmt.Sprint("ifindex ", index(t, "v1"), " and ip and tcp"), "tw", ""},
	} {
		var rings []*Ring
		for _, name := range []string{"v1", "v0"} {
			// A second interface makes the program for interfaces longer.
			rings = append(rings, open(t, Options{Interfaces: []int{index(t, name), index(t, "lo")}, RingBytes: 1 << 20, Filter: compiled(t, tc.filter)}))
		}
		s := newSender(t, "v0")
		for _, frame := range sentFrames {
			s.send(t, frame)
		}
		for i, want := range []string{tc.in, tc.out} {
			if got := marksOf(t, rings[i]); got != want {
				t.Errorf("%q, %s: kept %q, want %q", tc.filter, []string{"received", "sent"}[i], got, want)
			}
			rings[i].Close()
		}
	}
}

func TestFilterIsCutByTheSnapLengthAndTheProgramByTheKernelsLimit(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	pair(t)
	r := open(t, Options{Interfaces: []int{index(t, "v1")}, RingBytes: 1 << 20, SnapLen: 20, Filter: compiled(t, "ether proto 0x88b5")})
	newSender(t, "v0").send(t, numbered(1, 200))
	seen := 0
	drain(t, r, func(p *Packet) {
		seen++
		if len(p.Data) != 20 || p.Length != 200 {
			t.Errorf("%d of %d bytes", len(p.Data), p.Length)
		}
	})
	if seen != 1 {
		t.Errorf("%d packets", seen)
	}
	long := append(slices.Repeat(pcapfilter.Program{{Code: 0x80}}, pcapfilter.MaxInstructions-2), pcapfilter.Instruction{Code: 6, K: 1})
	if _, err := Open(Options{Filter: long}); err == nil {
		t.Error("a program that is too long for the kernel is taken")
	}
}

// What TCP sends on the loopback interface does not lie together in memory.
func TestPayloadIsSeenByTheFilterWhereverItLies(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	r := open(t, Options{Filter: compiled(t, "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420")})
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, text := range []string{"PUT /a", "GET /b", "HEAD /c"} {
		if _, err := c.Write([]byte(text + string(make([]byte, 1<<10)))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // a segment of its own
	}
	var seen []string
	drain(t, r, func(p *Packet) {
		at := bytes.Index(p.Data, []byte(" /"))
		seen = append(seen, string(p.Data[at-3:at+3]))
	})
	if !slices.Equal(seen, []string{"GET /b"}) {
		t.Errorf("kept %q", seen)
	}
}

func TestFilterHoldsForInterfacesWithoutLinkHeader(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("skipped: no tunnel interface to be had: %v", err)
	}
	defer tun.Close()
	request, err := unix.NewIfreq("tun0")
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, tun.Fd(), unix.TUNSETIFF, uintptr(unsafe.Pointer(request))); errno != 0 {
		t.Fatal(errno)
	}
	packettest.IP(t, "link set tun0 up")
	pair(t)
	for _, tc := range []struct{ filter, want string }{
		{"udp dst port 53", "uU"},
		{"src 10.0.0.3 and tcp[tcpflags] = tcp-syn", "tT"},
		{"ip and not ether src 02:00:00:00:00:01", "ut"},
		{"host 10.0.0.1 or vlan", "uU"},
	} {
		r := open(t, Options{RingBytes: 1 << 20, Filter: compiled(t, tc.filter)})
		for _, b := range [][]byte{marked('u', udp53), marked('t', tcp80)} {
			if _, err := tun.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		s := newSender(t, "v0")
		s.send(t, marked('U', broadcastMAC+"\x08\x00"+udp53))
		s.send(t, marked('T', broadcastMAC+"\x08\x00"+tcp80))
		got := []byte(marksOf(t, r))
		slices.Sort(got)
		want := []byte(tc.want)
		slices.Sort(want)
		if got = slices.Compact(got); !bytes.Equal(got, want) { // v0 and v1 both show theirs
			t.Errorf("%q: kept %q, want %q", tc.filter, got, want)
		}
		r.Close()
	}
}

func TestSpeedIsThatOfTheDriver(t *testing.T) {
	if packettest.Elsewhere(t) {
		return
	}
	pair(t)
	if speed, err := Speed("v0"); err != nil || speed != 10_000_000_000 { // veth_get_link_ksettings of the kernel
		t.Errorf("%d, %v", speed, err)
	}
	if _, err := Speed("lo"); err == nil {
		t.Error("the loopback interface has a speed")
	}
}
