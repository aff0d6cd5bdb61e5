package pcapng

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// dnsPacket is an IPv4 packet of a DNS answer: www.example.com is an alias of
// web.example.net, which has an address of each family.
func dnsPacket() []byte {
	m := "\x00\x01\x81\x80\x00\x01\x00\x03\x00\x00\x00\x00" +
		"\x03www\x07example\x03com\x00\x00\x01\x00\x01" +
		"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x11\x03web\x07example\x03net\x00" +
		"\xc0\x2d\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01" +
		"\xc0\x2d\x00\x1c\x00\x01\x00\x00\x00\x3c\x00\x10\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	udp := binary.BigEndian.AppendUint16(nil, 53)
	udp = binary.BigEndian.AppendUint16(udp, 40000)
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(m)))
	udp = append(append(udp, 0, 0), m...)
	ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 53, 192, 0, 2, 9}
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(udp)))
	return append(ip, udp...)
}

func ethernet(kind string, payload []byte) []byte {
	return append([]byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02"+kind), payload...)
}

func number(n uint64) *uint64 { return &n }

// sample is a file with one of everything.
func sample(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, "exhibit test", "amd64", "linux")
	w.Interface(Interface{
		Link: 1, Name: "eth9", Description: "veth, MTU 1500", OS: "linux", MAC: []byte{2, 0, 0, 0, 0, 1}, Speed: 10_000_000_000,
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.9/24"), netip.MustParsePrefix("2001:db8::9/64")}, Filter: "udp port 53",
	})
	w.Interface(Interface{Link: 101, SnapLen: 100, Name: "tun0"})
	const at = 1_700_000_000_123_456_789
	if err := errors.Join(
		w.Packet(0, at, Inbound|Unicast, 500, ethernet("\x08\x00", dnsPacket())),
		w.Packet(1, at+1_000_000_001, Outbound, 0x7fff, dnsPacket()),
	); err != nil {
		t.Fatal(err)
	}
	w.Names("from the test", []Name{
		{netip.MustParseAddr("192.0.2.53"), []string{"alias.test", "resolver.test"}},
		{netip.MustParseAddr("2001:db8::1"), []string{"six.test"}},
		{netip.MustParseAddr("192.0.2.54"), nil},
	})
	w.Statistics(0, Statistics{Start: at, End: at + 5, Received: number(9), Accepted: number(8), Dropped: number(7), Delivered: 1, Comment: "counted"})
	w.Statistics(1, Statistics{Start: at, End: at + 5, Delivered: 1})
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if w.Size() != int64(out.Len()) {
		t.Errorf("size %d, written %d", w.Size(), out.Len())
	}
	return out.Bytes()
}

func TestOtherToolsReadEverything(t *testing.T) {
	tshark, capinfos := testenv.Tool(t, "tshark"), testenv.Tool(t, "capinfos")
	file := filepath.Join(t.TempDir(), "sample.pcapng")
	if err := os.WriteFile(file, sample(t), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(name string, arguments ...string) string {
		t.Helper()
		out, err := exec.Command(name, arguments...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return string(out)
	}
	info := run(capinfos, "-M", file)
	for _, want := range []string{
		"exhibit test", "Number of packets:   2", "Name = eth9", "Description = veth, MTU 1500", "Encapsulation = Ethernet",
		"Speed = 10000000000", "Time precision = nanoseconds (9)", "Filter string = udp port 53", "Name = tun0", "Encapsulation = Raw IP",
		"Number of stat entries = 1", "Number of packets = 1",
	} {
		if !strings.Contains(info, want) {
			t.Errorf("capinfos does not say %q:\n%s", want, info)
		}
	}
	fields := run(tshark, "-2", "-r", file, "-N", "n", "-T", "fields",
		"-e", "frame.time_epoch", "-e", "frame.len", "-e", "frame.packet_flags_direction", "-e", "frame.interface_name", "-e", "ip.src_host", "-e", "udp.srcport")
	var lines []string
	for line := range strings.Lines(fields) {
		if !strings.Contains(line, "root") { // a warning of who runs it
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	want := []string{
		"1700000000.123456789\t500\t0x00000001\teth9\tresolver.test\t53",
		"1700000001.123456790\t32767\t0x00000002\ttun0\tresolver.test\t53",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("tshark: %q, want %q", lines, want)
	}
}

func TestNamesComeFromAnswersOnEveryLink(t *testing.T) {
	packet := dnsPacket()
	want := []Name{
		{netip.MustParseAddr("192.0.2.1"), []string{"web.example.net", "www.example.com"}},
		{netip.MustParseAddr("2001:db8::1"), []string{"web.example.net", "www.example.com"}},
	}
	for _, tc := range []struct {
		name string
		link uint16
		data []byte
	}{
		{"ethernet", 1, ethernet("\x08\x00", packet)},
		{"two tags", 1, ethernet("\x88\xa8\x00\x05\x81\x00\x00\x06\x08\x00", packet)},
		{"raw", 101, packet},
		{"cooked", 113, append(make([]byte, 16), packet...)},
	} {
		var b Book
		b.Packet(tc.link, tc.data)
		if got := b.Names(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v", tc.name, got)
		}
		for n := range tc.data { // cut anywhere, it gives no other names
			var short Book
			short.Packet(tc.link, tc.data[:n])
			for _, got := range short.Names() {
				if !slices.Contains([]string{"192.0.2.1", "2001:db8::1"}, got.Address.String()) {
					t.Errorf("%s cut to %d bytes: %v", tc.name, n, got)
				}
			}
		}
	}
	for name, change := range map[string]func([]byte){
		"a question":           func(p []byte) { p[20+8+2] = 1 },
		"an error":             func(p []byte) { p[20+8+3] = 0x83 },
		"another port":         func(p []byte) { p[21] = 54 },
		"a fragment":           func(p []byte) { p[7] = 1 },
		"TCP":                  func(p []byte) { p[9] = 6 },
		"a pointer to itself":  func(p []byte) { p[20+8+12] = 0xc0; p[20+8+13] = 12 },
		"a name out of bounds": func(p []byte) { p[20+8+12] = 63 },
	} {
		wrong := dnsPacket()
		change(wrong)
		var b Book
		if b.Packet(101, wrong); len(b.Names()) > 0 {
			t.Errorf("%s gives names: %v", name, b.Names())
		}
	}
}

func TestBookIsBoundedAndKeepsNamesOfHostsOnly(t *testing.T) {
	var b Book
	one := netip.MustParseAddr("192.0.2.1")
	for _, name := range []string{"", " ", "a b", "esc\x1b", "nul\x00", strings.Repeat("x", 254), "ü.test"} {
		b.Add(one, name)
	}
	if len(b.Names()) != 0 {
		t.Errorf("names %q", b.Names())
	}
	for i := range maxNames + 3 {
		b.Add(one, fmt.Sprint("n", i))
		b.Add(one, fmt.Sprint("n", i))
	}
	if got := b.Names()[0].Names; len(got) != maxNames || !b.Full {
		t.Errorf("names %v, full %v", got, b.Full)
	}
	for i := range maxAddresses + 5 {
		b.Add(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), "x")
	}
	if len(b.Names()) != maxAddresses {
		t.Errorf("%d addresses", len(b.Names()))
	}
}

func TestHostsFileIsRead(t *testing.T) {
	b := HostsFile("# comment\n127.0.0.1 localhost\n192.0.2.7\tdb.test db # x y\nnot-an-address z\nfe80::1%eth0 router\n192.0.2.8\n")
	want := "[{127.0.0.1 [localhost]} {192.0.2.7 [db.test db]} {fe80::1 [router]}]"
	if got := fmt.Sprint(b.Names()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestErrorOfTheFileStays(t *testing.T) {
	w := NewWriter(broken{}, "x", "y", "z")
	w.Interface(Interface{Link: 1})
	if w.Flush() == nil || w.Packet(0, 1, 0, 1, []byte{1}) == nil || w.Flush() == nil {
		t.Error("the error is forgotten")
	}
}

func FuzzBookTakesOnlyWhatIsInBounds(f *testing.F) {
	f.Add(uint16(101), dnsPacket())
	f.Add(uint16(1), ethernet("\x81\x00\x00\x05\x08\x00", dnsPacket()))
	f.Add(uint16(113), make([]byte, 100))
	f.Fuzz(func(t *testing.T, link uint16, data []byte) {
		var b Book
		b.Packet(link, data)
		for _, n := range b.Names() {
			if len(n.Names) == 0 || len(n.Names) > maxNames || !bytes.Contains(data, n.Address.AsSlice()) {
				t.Fatalf("%v from %x", n, data)
			}
			for _, name := range n.Names {
				if !plainName(name) {
					t.Fatalf("name %q", name)
				}
			}
		}
	})
}
