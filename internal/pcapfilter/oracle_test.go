package pcapfilter

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// writtenExpressions cover the grammar; tcpdump understands all of them.
var writtenExpressions = strings.Split(strings.TrimSpace(`
ip
ip6
arp
rarp
tcp
udp
sctp
icmp
icmp6
igmp
igrp
pim
vrrp
carp
ah
esp
not ip
! tcp
not not udp
!(!(tcp))
tcp or udp and not icmp
tcp && udp || arp
not tcp and not udp
not (tcp or udp)
((tcp))
host 10.0.0.1
src host 10.0.0.1
src 10.0.0.1
dst 10.0.0.2
src or dst host 10.0.0.1
dst or src 10.0.0.1
src and dst host 10.0.0.1
dst and src 10.0.0.1
ip host 10.0.0.1
ip src 10.0.0.1
arp host 10.0.0.1
arp dst host 10.0.0.2
rarp host 10.0.0.2
host 10.0.0.1 or 10.0.0.2
src 10.0.0.1 or 10.0.0.2 and dst 10.1.2.3
host (10.0.0.1 or 192.168.7.9)
host not 10.0.0.1
host 2001:db8::1
ip6 host 2001:db8::1
src 2001:db8::1
dst host ff02::1
src and dst 2001:db8::1
host fe80::1 or 10.0.0.1
net 10
net 10.1
net 10.0.0
net 10.0.0.0
net 10.0.0.0/8
net 10.0/16
net 10.1.0.0 mask 255.255.0.0
net 10.1 mask 255.255.0.0
src net 192.168
dst net 224.0.0.0/4
src or dst net 10.0.0.0/30
net 0.0.0.0/0
net 10.0.0.1/32
arp net 10
ip net 192.168.0.0/16
net 2001:db8::/32
ip6 net 2001:db8::/33
src net 2001:db8:1::/48
dst net fe80::/10
net ::/0
net 2001:db8::1/128
net 10 or 192.168
port 80
tcp port http
port 0x50
src port 53
dst port 443
src and dst port 80
src or dst port 22
tcp port 80
udp port 53
sctp port 443
tcp src port 80
udp dst port domain
port 80 or 443
port 80 or 443 or 22 and not host 10.0.0.1
port (80 or 443)
port (80 or (443 or 22))
port 80 or (443 or 22)
port 80 or (443)
port not 80
port 80 or not 443
port 80 and ! 443
not port 80 or 443
not port 80 or not 443
portrange 22-80
portrange 80-22
portrange 443-443
src portrange 22-79
tcp portrange 53-443
udp dst portrange 53-8080
portrange 22-53 or 443
tcp dst port 80 or 90
src and dst portrange 22-80
proto 6
proto \tcp
proto \udp or \icmp
ip proto 17
ip proto \udp
ip proto \tcp or \udp
ip6 proto 58
ip6 proto \tcp
ip proto 6 or 17
proto 47
ether proto 0x0800
ether proto \ip
ether proto \arp or \ip6
ether proto 0x88b5
ether host 02:00:00:00:00:01
ether src 02:00:00:00:00:01
ether dst ff:ff:ff:ff:ff:ff
ether src host 2:0:0:0:0:2
ether src and dst 02:00:00:00:00:01
ether host 02:00:00:00:00:01 or 02:00:00:00:00:02
ether src 02-00-00-00-00-01
ether src 0200.0000.0001
not ether host 02:00:00:00:00:01
broadcast
ether broadcast
multicast
ether multicast
ip multicast
ip6 multicast
broadcast or ip multicast
less 60
greater 60
less 0x40 and greater 20
vlan
vlan 3
vlan 5 and ip
vlan and tcp
vlan and vlan
vlan and vlan 3 and tcp port 80
vlan 3 or vlan 5
not vlan
not vlan 3 and ip
vlan and host 10.0.0.1
vlan 100 and ip6 host 2001:db8::1
vlan and ether host 02:00:00:00:00:01
ip or vlan and ip
tcp port 80 or vlan and tcp port 80
vlan and ip[8] = 64
len > 60
len = 0
len != 42
len <= 60
len >= 42 and len < 80
60 < len
tcp[13] & 2 != 0
tcp[tcpflags] & tcp-syn != 0
tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn
tcp[tcpflags] & (tcp-syn | tcp-fin) != 0 and not net 10
tcp[tcpflags] == tcp-syn
tcp[0:2] = 80
tcp[0:4] = 5242960
tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420
tcp[(tcp[12] >> 2) & 0x3c] > 3
udp[0:2] = 53 or udp[2:2] = 53
udp[8] & 0x80 = 0
icmp[icmptype] = icmp-echo
icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply
icmp[icmpcode] > 1
icmp6[0] = 128
icmp6[icmp6type] = icmp6-echo
icmp6[icmp6type] == icmp6-neighborsolicit
ip[0] & 0xf != 5
ip[6:2] & 0x1fff = 0
ip[8] < 65
ip[2:2] - ((ip[0] & 0xf) << 2) > 20
ip[12:4] = 0x0a000001
ip[ip[0] & 0xf] = 3
ip[9] = 6 or ip[9] = 17
ip[16] >= 224
ip6[6] = 6
ip6[6:2] > 3
ip6[40] = 0
arp[6:2] = 1
arp[7] = 2
rarp[7] = 1
ether[0] & 1 != 0
ether[12:2] = 0x0800
ether[6:4] = ether[0:4]
0x800 = ether[12:2]
sctp[0:2] = 80
igmp[0] = 3
pim[0] = 1
vrrp[0] & 3 = 1
ip[8] * 2 = 128
ip[8] / 2 = 32
ip[8] / ip[1] = 1
ip[2:2] + ip[4:2] > 60
ip[8] - 65 > 5
ip[8] - 65 = 0xffffffff
ip and 0 - ip[8] = 0xffffffc0
ip[8] | 1 = 65
ip[8] ^ 1 = 65
ip[8] % 3 = 1
(ip[8] % 3) + 1 = 2
ip and 1 + (ip[8] ^ 3) = 68
ip[8] + tcp[13] > 70 and tcp and ip[6:2] & 0x1fff = 0
ip[2:2] & 3 << 2 = 12
ip[8] + 2 * 3 = 70
(ip[8] + 2) * 3 = 198
ip[8] - 2 - 3 = 59
(ip[8] & 0xf0) >> 4 = 4
not tcp[13] & 2 != 0
not (tcp[13] & 2 != 0 and ip[8] = 64)
(tcp[13] & 2) != 0
(tcp[13] & 2 != 0) or (arp)
tcp[13] > tcp[12]
tcp[13] >= tcp[12]
tcp[13] < tcp[12]
tcp[13] <= tcp[12]
tcp[13] != tcp[12]
ip[8] = ip[9]
1 = 1
2 < 1
tcp and (port 80 or 443) and not host 10.0.0.1
(host 10.0.0.1 or host 10.0.0.2) and (tcp port 80 or udp port 53)
ip host 10.0.0.1 and ip6
host 10.0.0.1 and not (port 80 or port 443)
tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)
inbound
outbound and tcp
`), "\n")

// ancillary expressions ask the kernel; the machine in Go does not know them.
var ancillaryExpressions = map[string]bool{"inbound": true, "outbound and tcp": true}

// randomExpression makes an expression of random tests.
func randomExpression(r *rand.Rand, depth int) string {
	if depth > 0 && r.IntN(3) > 0 {
		a, b := randomExpression(r, depth-1), randomExpression(r, depth-1)
		switch r.IntN(5) {
		case 0:
			return a + " and " + b
		case 1:
			return a + " or " + b
		case 2:
			return "(" + a + " or " + b + ") and " + randomExpression(r, depth-1)
		case 3:
			return "not (" + a + " and " + b + ")"
		}
		return "not " + a + " or " + b
	}
	dir := pick(r, []string{"", "src ", "dst ", "src and dst ", "src or dst "})
	switch r.IntN(9) {
	case 0:
		return pick(r, []string{"ip", "ip6", "arp", "tcp", "udp", "icmp", "icmp6", "sctp", "pim", "esp"})
	case 1:
		return dir + "host " + pick(r, testHosts)
	case 2:
		return dir + "host " + pick(r, testHosts6)
	case 3:
		return pick(r, []string{"", "tcp ", "udp "}) + dir + "port " + fmt.Sprint(pick(r, testPorts))
	case 4:
		return dir + "portrange " + fmt.Sprintf("%d-%d", pick(r, testPorts), pick(r, testPorts))
	case 5:
		return dir + "net " + pick(r, []string{"10", "10.0.0.0/8", "192.168", "2001:db8::/32", "10.0.0.0/31", "fe80::/16"})
	case 6:
		return "ether " + pick(r, []string{"src ", "dst ", "host "}) + pick(r, testMACs)
	case 7:
		return pick(r, []string{"ip", "tcp", "udp", "ether", "icmp", "ip6", "icmp6"}) +
			fmt.Sprintf("[%d:%d] %s %d %s %d", r.IntN(24), 1<<r.IntN(3),
				pick(r, []string{"&", "|", "+", "-", "*", "/", "<<", ">>"}), 1+r.IntN(20),
				pick(r, []string{"=", "!=", "<", ">", "<=", ">="}), r.IntN(100))
	}
	return pick(r, []string{"less ", "greater "}) + fmt.Sprint(r.IntN(120))
}

// testExpressions are written and random ones, the same in every run.
func testExpressions() []string {
	r := rand.New(rand.NewPCG(4, 3))
	all := append([]string(nil), writtenExpressions...)
	for range 250 {
		all = append(all, randomExpression(r, 2))
	}
	return all
}

// machine is a program in the machine of golang.org/x/net/bpf.
func machine(t testing.TB, program Program) *bpf.VM {
	t.Helper()
	var raw []bpf.RawInstruction
	for _, i := range program {
		raw = append(raw, bpf.RawInstruction{Op: i.Code, Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	decoded, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatalf("program has an unknown instruction:\n%v", program)
	}
	vm, err := bpf.NewVM(decoded)
	if err != nil {
		t.Fatalf("%v in program\n%v", err, program)
	}
	return vm
}

// run returns how many bytes a program keeps of each packet.
func run(t testing.TB, program Program, packets [][]byte) []int {
	t.Helper()
	vm := machine(t, program)
	kept := make([]int, len(packets))
	for i, packet := range packets {
		n, err := vm.Run(packet)
		if err != nil {
			t.Fatal(err)
		}
		kept[i] = n
	}
	return kept
}

// compileFor compiles for one layout only.
func compileFor(expression string, l layout) (Program, error) {
	c, _, err := parse(expression, l)
	if err != nil {
		return nil, err
	}
	return assemble(c)
}

// tcpdumpCompiles has tcpdump compile without its optimizer, which leaves out
// loads that end a program on packets cut short.
func tcpdumpCompiles(t testing.TB, link, expression string) (Program, error) {
	t.Helper()
	out, err := exec.Command(testenv.Tool(t, "tcpdump"), "-O", "-y", link, "-ddd", "--", expression).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("tcpdump: %s", strings.TrimSpace(string(out)))
	}
	text := string(out)
	if _, after, ok := strings.Cut(text, "Warning"); ok {
		_, text, _ = strings.Cut(after, "\n")
	}
	return Parse(text)
}

func TestProgramsKeepWhatThoseOfTcpdumpKeep(t *testing.T) {
	frames := framesFor(rand.New(rand.NewPCG(1, 2)), 1200)
	expressions := testExpressions()
	if len(expressions) < 300 || len(frames) < 500 {
		t.Fatalf("%d expressions, %d packets", len(expressions), len(frames))
	}
	both := 0 // expressions that match some packets and not others
	for _, e := range expressions {
		theirs, err := tcpdumpCompiles(t, "EN10MB", e)
		if err != nil {
			t.Errorf("%q: %v", e, err)
			continue
		}
		ours, err := compileFor(e, layout{link: ethernetLink, network: 14})
		if err != nil {
			t.Errorf("%q: %v", e, err)
			continue
		}
		if ancillaryExpressions[e] {
			continue
		}
		want, got := run(t, theirs, frames), run(t, ours, frames)
		matched := 0
		for i := range frames {
			if got[i] != want[i] {
				t.Errorf("%q: keeps %d, tcpdump %d, of %x\n%v", e, got[i], want[i], frames[i], ours)
				break
			}
			if want[i] > 0 {
				matched++
			}
		}
		if matched > 0 && matched < len(frames) {
			both++
		}
	}
	if both < 300 {
		t.Errorf("only %d of %d expressions tell the packets apart", both, len(expressions))
	}
	t.Logf("%d expressions, of which %d tell the %d packets apart", len(expressions), both, len(frames))
}

// libpcap 1.10 leaves out what the right side of an operator asks of the packet
// and so reads other protocols' bytes as its own; we do not.
func TestBothSidesOfAnOperatorAskForTheirProtocol(t *testing.T) {
	frames := framesFor(rand.New(rand.NewPCG(3, 2)), 1200)
	for _, tc := range [][2]string{
		{"1 + ip[8] = 65", "ip and 1 + ip[8] = 65"},
		{"ip[8] + tcp[13] > 70", "tcp[13] < 256 and ip[8] + tcp[13] > 70"},
	} {
		short, err := compileFor(tc[0], layout{link: ethernetLink, network: 14})
		if err != nil {
			t.Fatal(err)
		}
		long, err := tcpdumpCompiles(t, "EN10MB", tc[1])
		if err != nil {
			t.Fatal(err)
		}
		got, want := run(t, short, frames), run(t, long, frames)
		if !slices.Equal(got, want) || slices.Max(got) == 0 {
			t.Errorf("%q does not keep what tcpdump keeps of %q", tc[0], tc[1])
		}
	}
}

func TestProgramsForPacketsWithoutLinkHeaderKeepWhatThoseOfTcpdumpKeep(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var packets [][]byte
	for len(packets) < 600 {
		b := pick(r, []func(*rand.Rand) []byte{ipv4, ipv6})(r)
		if r.IntN(4) == 0 {
			b = b[:r.IntN(len(b))]
		}
		packets = append(packets, b)
	}
	compared := 0
	for _, e := range testExpressions() {
		if strings.Contains(e, "ether") || strings.Contains(e, "vlan") || strings.Contains(e, "cast") || ancillaryExpressions[e] {
			continue // tcpdump refuses them
		}
		theirs, err := tcpdumpCompiles(t, "RAW", e)
		if err != nil {
			t.Logf("%q: %v", e, err)
			continue
		}
		ours, err := compileFor(e, layout{link: bareLink})
		if err != nil {
			t.Errorf("%q: %v", e, err)
			continue
		}
		compared++
		want, got := run(t, theirs, packets), run(t, ours, packets)
		for i := range packets {
			if got[i] != want[i] {
				t.Errorf("%q: keeps %d, tcpdump %d, of %x", e, got[i], want[i], packets[i])
				break
			}
		}
	}
	if compared < 250 {
		t.Errorf("compared %d expressions", compared)
	}
}
