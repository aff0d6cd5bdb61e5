package communityid

import (
	"net/netip"
	"testing"
)

// The first three are of the specification's baseline, the others of
// Wireshark 4.0.17.
func TestFlow(t *testing.T) {
	for _, c := range []struct {
		name             string
		proto            uint8
		src, dst         string
		srcPort, dstPort uint16
		icmp             bool // the ports are type and code
		want             string
	}{
		{"tcp", 6, "128.232.110.120", "66.35.250.204", 34855, 80, false, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{"udp", 17, "192.168.1.52", "8.8.8.8", 54585, 53, false, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
		{"echo request", 1, "192.168.0.89", "192.168.0.1", 8, 0, true, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
		{"echo reply", 1, "192.168.0.1", "192.168.0.89", 0, 0, true, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
		{"echo to all", 1, "192.168.0.1", "255.255.255.255", 8, 0, true, "1:76s0GqUpOoen1LppvPx4loZ+Pnk="},
		{"neighbour solicitation", 58, "::", "ff02::1:ff00:3", 135, 0, true, "1:vV8ti8ttRZ0dhIXl/vVdpUdDve8="},
		{"sctp of equal ports", 132, "192.168.170.56", "192.168.170.8", 7, 7, false, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="},
		{"ospf has no ports", 89, "10.199.242.132", "224.0.0.5", 0, 0, false, "1:seGB1zwgmCVb3tX7pckqW4JLysQ="},
		{"tcp over IPv6", 6, "2600:1f13:f8:d400:3a6:303c:e011:18eb", "2607:f8b0:400a:800::200e", 60202, 443, false, "1:njFHyHv2ATzLP9rSy0H6wbG73QU="},
	} {
		f := Flow{Src: netip.MustParseAddr(c.src), Dst: netip.MustParseAddr(c.dst), Proto: c.proto, SrcPort: c.srcPort, DstPort: c.dstPort}
		if c.icmp {
			f.SrcPort, f.DstPort, f.OneWay = ICMP(c.proto == 58, uint8(c.srcPort), uint8(c.dstPort))
		}
		if got := string(f.Append(nil, 0)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		back := Flow{Src: f.Dst, Dst: f.Src, Proto: f.Proto, SrcPort: f.DstPort, DstPort: f.SrcPort}
		if got := string(back.Append(nil, 0)); !f.OneWay && got != c.want {
			t.Errorf("%s, the other way: %s, want %s", c.name, got, c.want)
		}
	}
}

// What nothing answers has another name in the other direction.
func TestFlowOneWay(t *testing.T) {
	f := Flow{Src: netip.MustParseAddr("10.0.0.2"), Dst: netip.MustParseAddr("10.0.0.1"), Proto: 1}
	f.SrcPort, f.DstPort, f.OneWay = ICMP(false, 3, 1)
	there := string(f.Append(nil, 0))
	f.Src, f.Dst = f.Dst, f.Src
	if back := string(f.Append(nil, 0)); back == there || !f.OneWay {
		t.Errorf("unreachable: %s both ways", there)
	}
}

func TestSeedChangesTheHash(t *testing.T) {
	f := Flow{Src: netip.MustParseAddr("128.232.110.120"), Dst: netip.MustParseAddr("66.35.250.204"), Proto: 6, SrcPort: 34855, DstPort: 80}
	if got := string(f.Append(nil, 1)); got != "1:3V71V58M3Ksw/yuFALMcW0LAHvc=" {
		t.Error(got)
	}
}
