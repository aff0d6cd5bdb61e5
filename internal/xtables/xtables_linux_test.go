package xtables

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/internal/packet/packettest"
	"github.com/exhibit-dfir/exhibit/internal/testenv"
)

// rules use what is told in words; hexadecimal is of no use to compare.
var rules = []string{
	"-N USER", "-N two", "-N three", "-P FORWARD DROP",
	"-A INPUT -i lo -j ACCEPT", "-A INPUT -p tcp --dport 22 -j USER", "-A INPUT ! -i eth+ -p udp --sport 53:60 -j DROP",
	"-A INPUT -p tcp --syn -m comment --comment not_a_word -j two", "-A OUTPUT -p 47 -o wg0 -j ACCEPT",
	"-A USER -m mark --mark 0x7/0xff -j RETURN", "-A USER -p tcp ! --dport 1:1024 -g two", "-A two -j three", "-A two",
}

func TestTablesAreThoseOfIptablesSave(t *testing.T) {
	tools := map[Family][2]string{IPv4: {"iptables-legacy", "iptables-legacy-save"}, IPv6: {"ip6tables-legacy", "ip6tables-legacy-save"}}
	for _, list := range tools {
		testenv.Tool(t, list[0])
		testenv.Tool(t, list[1])
	}
	if packettest.Elsewhere(t) {
		return
	}
	for f, list := range tools {
		addresses := []string{"-A INPUT -s 192.0.2.0/24 ! -d 198.51.100.7/32 -j ACCEPT", "-A two -s 10.1.0.0/255.255.0.255 -j DROP"}
		if f == IPv6 {
			addresses = []string{"-A INPUT -s 2001:db8::/32 ! -d 2001:db8:7::9/128 -j ACCEPT"}
		}
		for i, rule := range slices.Concat(rules, addresses) {
			out, err := exec.Command(list[0], strings.Fields(rule)...).CombinedOutput()
			if err != nil && i == 0 {
				t.Skipf("skipped: the kernel has no legacy iptables: %s: %v: %s", list[0], err, out)
			}
			if err != nil {
				t.Fatalf("%s %s: %v: %s", list[0], rule, err, out)
			}
		}
		out, err := exec.Command(list[1], "-c", "-t", "filter").Output()
		if err != nil {
			t.Fatal(err)
		}
		info, b, err := f.Table("filter")
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Text(info, b)
		if err != nil {
			t.Error(err)
		}
		want := map[string]int{}
		for line := range strings.Lines(string(out)) {
			if !strings.HasPrefix(line, "#") {
				want[line]++
			}
		}
		lines := 0
		for line := range strings.Lines(got) {
			lines++
			if want[strings.ReplaceAll(line, `"not_a_word"`, "not_a_word")] == 0 {
				t.Errorf("%s: %s is not in\n%s", f.Name, line, out)
			}
		}
		if n := len(want); lines != n || lines < len(rules)+5 {
			t.Errorf("%s: %d lines, %s has %d:\n%s", f.Name, lines, list[1], n, out)
		}
	}
}

func FuzzText(f *testing.F) {
	entry := make([]byte, IPv4.header+40)
	entry[IPv4.next], entry[IPv4.next+2] = byte(IPv4.header), byte(IPv4.header+40)
	f.Add(entry, uint32(0), true)
	f.Add(make([]byte, 400), uint32(0), false)
	for _, name := range []string{"filter", "nat"} { // a table that is in use is a good seed, but not needed
		if info, b, err := IPv4.Table(name); err == nil {
			f.Add(b, info.Hooks[1], true)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, hook uint32, v4 bool) {
		family := IPv6
		if v4 {
			family = IPv4
		}
		s, err := family.Text(Info{Name: "x", ValidHooks: 2, Hooks: [5]uint32{0, hook}, Size: uint32(len(b))}, b)
		if !strings.HasPrefix(s, "*x\n") || !strings.HasSuffix(s, "COMMIT\n") && !errors.Is(err, ErrLong) {
			t.Errorf("got %q", s)
		}
		parseInfo(b)
	})
}
