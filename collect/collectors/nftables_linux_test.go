package collectors

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-dfir/exhibit/collect/collecttest"
	"github.com/exhibit-dfir/exhibit/evidence/record"
)

// ruleSet has one of everything that is told in words.
const ruleSet = `
table inet guard {
	comment "of the test"
	set bad { type ipv4_addr; flags interval; elements = { 192.0.2.0/24, 198.51.100.7 } }
	map ports { type inet_service : verdict; elements = { 22 : accept, 23 : jump other } }
	set pairs { type ipv4_addr . inet_service; comment "of both"; elements = { 192.0.2.7 . 443 } }
	set seen { type ipv4_addr; size 64; flags dynamic,timeout; timeout 1m; }
	counter total { comment "of all" }
	quota month { over 500 mbytes }
	chain in {
		type filter hook input priority -5; policy drop;
		ct state established,related accept
		iifname "lo" accept
		iifname "eth*" drop
		ip saddr 203.0.113.0/24 tcp dport 22 counter accept comment "bastion"
		ip saddr 10.0.0.0/8 drop
		ip6 saddr fd00::/48 drop
		ip daddr 172.16.0.0/12 drop
		ip6 daddr 2001:db8::1 udp dport 1000-2000 drop
		ip saddr @bad log prefix "bad: " drop
		tcp dport vmap @ports
		meta skuid 1000 limit rate 5/minute accept
		tcp dport != 80 goto other
		ip saddr . tcp dport @pairs drop
		ip saddr . tcp dport != @pairs counter name "total"
		meta skuid 1000-2000 drop
		meta length > 1400 quota name "month" drop
		ct original ip saddr 192.0.2.1 drop
		ip protocol icmp icmp type 8 drop
		tcp flags & 3 == 3 drop
		tcp dport 25 add @seen { ip saddr timeout 2m limit rate over 5/second burst 3 packets } drop
		meta mark & 0xff == 7 drop
		meta mark set meta mark | 1
		ip dscp set 8
		fib saddr oif 0 drop
		iif 1 drop
		ip6 nexthdr 58 icmpv6 type 128 accept
	}
	chain other { meta mark set 7; return; }
}
table ip nat {
	chain pre {
		type nat hook prerouting priority dstnat
		tcp dport 8080 dnat to 198.51.100.9:80
		dnat to tcp dport map { 81 : 198.51.100.10, 82 : 198.51.100.11 }
	}
	chain post {
		type nat hook postrouting priority srcnat
		oifname "lo" masquerade
	}
}
table netdev mirror {
	chain in {
		type filter hook ingress device "lo" priority 0
		ip saddr 192.0.2.8 fwd to "lo"
		ip saddr 192.0.2.9 dup to "lo"
	}
}
`

// wantRules are what the rules say, and what nft(8) makes of them where it is
// not the same but for what it hides: a header is read when the protocol before
// it is the right one.
var wantRules = []struct{ ours, theirs string }{
	{"ct state established,related accept", ""},
	{`meta iifname "lo" accept`, ""},
	{`meta iifname "eth*" drop`, ""},
	{"meta nfproto ipv4 ip saddr 203.0.113.0/24 meta l4proto tcp tcp dport 22 counter packets 0 bytes 0 accept", ""},
	{"meta nfproto ipv4 ip saddr 10.0.0.0/8 drop", ""},
	{"meta nfproto ipv6 ip6 saddr fd00::/48 drop", ""},
	{"meta nfproto ipv4 ip daddr 172.16.0.0/12 drop", ""},
	{"meta nfproto ipv6 ip6 daddr 2001:db8::1 meta l4proto udp udp dport >= 1000 udp dport <= 2000 drop", "ip6 daddr 2001:db8::1 udp dport 1000-2000 drop"},
	{`meta nfproto ipv4 ip saddr @bad log prefix "bad: " drop`, ""},
	{"meta l4proto tcp tcp dport vmap @ports", ""},
	{"meta skuid 1000 limit rate 5/minute burst 5 accept", "meta skuid 1000 limit rate 5/minute accept"},
	{"meta l4proto tcp tcp dport != 80 goto other", ""},
	{"meta nfproto ipv4 meta l4proto tcp ip saddr . tcp dport @pairs drop", ""},
	{`meta nfproto ipv4 meta l4proto tcp ip saddr . tcp dport != @pairs counter name "total"`, ""},
	{"meta skuid >= 1000 meta skuid <= 2000 drop", "meta skuid 1000-2000 drop"},
	{`meta length > 1400 quota name "month" drop`, ""},
	{"ct original ip saddr 192.0.2.1 drop", ""},
	{"meta nfproto ipv4 ip protocol icmp icmp type 8 drop", ""},
	{"meta l4proto tcp tcp flags & 0x03 == 0x03 drop", "tcp flags 0x1,0x2 / 0x1,0x2 drop"},
	{"meta l4proto tcp tcp dport 25 meta nfproto ipv4 add @seen { ip saddr timeout 120000ms limit rate over 5/second burst 3 } drop", "tcp dport 25 add @seen { ip saddr timeout 120s limit rate over 5/second burst 3 packets } drop"},
	{"meta mark & 255 == 7 drop", "meta mark & 0x000000ff == 0x00000007 drop"},
	{"meta mark set (meta mark transformed)", "meta mark set meta mark | 0x00000001"},
	{"meta nfproto ipv4 @nh,0,16 set (@nh,0,16 transformed)", "ip dscp set 0x08"},
	{"fib 0x00000000 drop", "fib saddr oif 0 drop"},
	{"meta iif 1 drop", `iif "lo" drop`},
	{"meta nfproto ipv6 ip6 nexthdr icmpv6 icmpv6 type 128 accept", ""},
	{"meta mark set 7", "meta mark set 0x00000007"},
	{"return", ""},
	{"meta l4proto tcp tcp dport 8080 dnat to 198.51.100.9:80", ""},
	{"meta l4proto tcp dnat to tcp dport map @__map0", "dnat to tcp dport map { 81 : 198.51.100.10, 82 : 198.51.100.11 }"},
	{`meta oifname "lo" masquerade`, ""},
	{"meta protocol ip ip saddr 192.0.2.8 fwd device 1", `ip saddr 192.0.2.8 fwd to "lo"`},
	{"meta protocol ip ip saddr 192.0.2.9 dup device 1", `ip saddr 192.0.2.9 dup to "lo"`},
}

// hides is what nft leaves out or spells otherwise everywhere.
var hides = strings.NewReplacer("meta nfproto ipv4 ", "", "meta nfproto ipv6 ", "", "meta l4proto tcp ", "", "meta l4proto udp ", "",
	"meta iifname", "iifname", "meta oifname", "oifname", "protocol icmp", "protocol 1", "nexthdr icmpv6", "nexthdr 58")

func TestTheRuleSetIsThatOfNFT(t *testing.T) {
	name, ns := namedNetns(t)
	file := filepath.Join(t.TempDir(), "rules.nft")
	if err := os.WriteFile(file, []byte(ruleSet), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := inside(t, name, "nft", "-f", file); err != nil {
		t.Skipf("skipped: the kernel cannot have these rules: %v", err)
	}
	var ours []record.NFTable
	rules := map[string]record.NFTable{}
	for _, o := range collecttest.Lines[record.NFTable](t, live(t, linuxNFTables), record.NFTables) {
		if o.Netns == ns {
			ours = append(ours, o)
			if o.Object == "rule" {
				rules[string(o.Text)] = o
			}
		}
	}
	said := rulesOfNFT(t, name)
	for _, want := range wantRules {
		r, ok := rules[want.ours]
		if !ok {
			t.Errorf("no rule %q", want.ours)
			continue
		}
		delete(rules, want.ours)
		key := fmt.Sprint(r.Family, " ", string(r.Table), " ", string(r.Chain), " ", r.Handle)
		if theirs := cmp.Or(want.theirs, hides.Replace(want.ours)); said[key] != theirs {
			t.Errorf("rule %s: nft says %q, wanted %q", key, said[key], theirs)
		}
		delete(said, key)
		if raw, err := hex.DecodeString(r.Raw); err != nil || !bytes.Contains(raw, append(r.Table, 0)) || !bytes.Contains(raw, append(r.Chain, 0)) {
			t.Errorf("rule %s is not in what is kept of it: %s", key, r.Raw)
		}
	}
	if len(said) > 0 {
		t.Errorf("nft has more rules: %q", said)
	}
	for text := range rules {
		t.Errorf("and there is a rule %q", text)
	}
	objectsAreThoseOfNFT(t, name, ours)
	elementsAreRead(t, ours)
}

// rulesOfNFT returns what nft says of the rules by family, table, chain and
// handle.
func rulesOfNFT(t *testing.T, name string) map[string]string {
	t.Helper()
	out, err := inside(t, name, "nft", "-a", "-nn", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	var table, chain string
	for line := range strings.Lines(string(out)) {
		text, handle, _ := strings.Cut(strings.TrimSpace(line), " # handle ")
		switch f := strings.Fields(text); {
		case len(f) == 4 && f[0] == "table":
			table = f[1] + " " + f[2]
		case len(f) == 3 && strings.HasPrefix(line, "\t") && f[2] == "{":
			chain = ""
			if f[0] == "chain" {
				chain = f[1]
			}
		case chain != "" && handle != "":
			text, _, _ = strings.Cut(text, " comment ")
			said[table+" "+chain+" "+handle] = strings.Replace(text, "ct state 0x2,0x4", "ct state established,related", 1)
		}
	}
	return said
}

func objectsAreThoseOfNFT(t *testing.T, name string, ours []record.NFTable) {
	t.Helper()
	out, err := inside(t, name, "nft", "-j", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	var theirs struct {
		Nftables []map[string]struct {
			Family, Name, Table, Chain, Hook, Policy, Comment string

			Type   any // of a set of concatenations, a list
			Handle uint64
			Prio   int64
		}
	}
	if err := json.Unmarshal(out, &theirs); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said := func(v any) string {
		s, _ := v.(string)
		return s
	}
	if i := slices.IndexFunc(ours, func(o record.NFTable) bool { return o.Object == "table" && string(o.Name) == "guard" }); i < 0 || string(ours[i].Comment) != "of the test" {
		t.Errorf("table guard in %+v has no comment", ours)
	}
	key := func(object, family string, handle uint64, table, chain string) string {
		return fmt.Sprint(object, " ", family, " ", handle, " ", table, " ", chain)
	}
	have := map[string]record.NFTable{}
	for _, o := range ours {
		if o.Object != "element" && !strings.HasPrefix(string(o.Name), "__") { // sets without a name are shown in their rule
			have[key(o.Object, o.Family, o.Handle, string(o.Table), string(o.Chain))] = o
		}
	}
	n := 0
	for _, entry := range theirs.Nftables {
		for object, w := range entry {
			if object == "metainfo" {
				continue
			}
			switch object {
			case "map":
				object = "set"
			case "counter", "quota":
				object, w.Type = "object", object
			}
			if object == "table" {
				w.Table = w.Name
			}
			n++
			o, ok := have[key(object, w.Family, w.Handle, w.Table, w.Chain)]
			if !ok {
				t.Errorf("nft has a %s %+v", object, w)
				continue
			}
			if object == "chain" && (string(o.Name) != w.Name || o.Type != said(w.Type) || o.Hook != w.Hook || o.Policy != w.Policy || o.Priority != w.Prio) ||
				object == "object" && (string(o.Name) != w.Name || o.Type != said(w.Type) || len(o.Text) == 0) ||
				slices.Contains([]string{"rule", "set", "object"}, object) && string(o.Comment) != w.Comment {
				t.Errorf("nft says %+v, we %+v", w, o)
			}
		}
	}
	if n != len(have) || n < 47 {
		t.Errorf("nft has %d objects, we %d", n, len(have))
	}
}

func elementsAreRead(t *testing.T, ours []record.NFTable) {
	t.Helper()
	var bad, ports, pairs []string
	for _, o := range ours {
		if o.Object == "element" && string(o.Name) == "bad" {
			bad = append(bad, fmt.Sprintf("%s %d", o.Key, o.Flags&1)) // NFT_SET_ELEM_INTERVAL_END
		}
		if o.Object == "element" && string(o.Name) == "ports" {
			ports = append(ports, o.Key+" "+string(o.Text))
		}
	}
	for _, o := range ours {
		if o.Object == "element" && string(o.Name) == "pairs" {
			pairs = append(pairs, o.Key)
		}
	}
	if want := []string{"c000020701bb0000"}; !slices.Equal(pairs, want) {
		t.Errorf("elements of pairs: %q", pairs)
	}
	slices.Sort(bad)
	slices.Sort(ports)
	if want := []string{"c0000200 0", "c0000300 1", "c6336407 0", "c6336408 1"}; !slices.Equal(slices.DeleteFunc(bad, func(s string) bool {
		return strings.HasPrefix(s, "00000000")
	}), want) {
		t.Errorf("elements of bad: %q", bad)
	}
	if want := []string{"0016 accept", "0017 jump other"}; !slices.Equal(ports, want) {
		t.Errorf("elements of ports: %q", ports)
	}
}
