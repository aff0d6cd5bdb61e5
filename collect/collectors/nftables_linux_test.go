package collectors

import (
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
	}
	chain other { meta mark set 7; return; }
}
table ip nat {
	chain pre {
		type nat hook prerouting priority dstnat
		tcp dport 8080 dnat to 198.51.100.9:80
	}
	chain post {
		type nat hook postrouting priority srcnat
		oifname "lo" masquerade
	}
}
`

// wantRules are what the rules say, by what nft(8) hides as well: a header is
// read when the protocol before it is the right one.
var wantRules = []string{
	"ct state established,related accept",
	`meta iifname "lo" accept`,
	`meta iifname "eth*" drop`,
	"meta nfproto ipv4 ip saddr 203.0.113.0/24 meta l4proto tcp tcp dport 22 counter packets 0 bytes 0 accept",
	"meta nfproto ipv4 ip saddr 10.0.0.0/8 drop",
	"meta nfproto ipv6 ip6 saddr fd00::/48 drop",
	"meta nfproto ipv4 ip daddr 172.16.0.0/12 drop",
	"meta nfproto ipv6 ip6 daddr 2001:db8::1 meta l4proto udp udp dport >= 1000 udp dport <= 2000 drop",
	`meta nfproto ipv4 ip saddr @bad log prefix "bad: " drop`,
	"meta l4proto tcp tcp dport @ports vmap",
	"meta skuid 1000 limit rate 5/minute burst 5 accept",
	"meta l4proto tcp tcp dport != 80 goto other",
	"meta mark set 7",
	"return",
	"meta l4proto tcp tcp dport 8080 dnat to 198.51.100.9:80",
	`meta oifname "lo" masquerade`,
}

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
	for _, want := range wantRules {
		if _, ok := rules[want]; !ok {
			t.Errorf("no rule %q", want)
		}
		delete(rules, want)
	}
	for text := range rules {
		t.Errorf("and there is a rule %q", text)
	}
	objectsAreThoseOfNFT(t, name, ours)
	elementsAreRead(t, ours)
}

func objectsAreThoseOfNFT(t *testing.T, name string, ours []record.NFTable) {
	t.Helper()
	out, err := inside(t, name, "nft", "-j", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	var theirs struct {
		Nftables []map[string]struct {
			Family, Name, Table, Chain, Type, Hook, Policy, Comment string
			Handle                                                  uint64
			Prio                                                    int64
		}
	}
	if err := json.Unmarshal(out, &theirs); err != nil {
		t.Fatalf("%v: %s", err, out)
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
			if object == "map" {
				object = "set"
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
			if object == "chain" && (string(o.Name) != w.Name || o.Type != w.Type || o.Hook != w.Hook || o.Policy != w.Policy || o.Priority != w.Prio) ||
				object == "rule" && string(o.Comment) != w.Comment {
				t.Errorf("nft says %+v, we %+v", w, o)
			}
		}
	}
	if n != len(have) || n < 18 {
		t.Errorf("nft has %d objects, we %d", n, len(have))
	}
}

func elementsAreRead(t *testing.T, ours []record.NFTable) {
	t.Helper()
	var bad, ports []string
	for _, o := range ours {
		if o.Object == "element" && string(o.Name) == "bad" {
			bad = append(bad, fmt.Sprintf("%s %d", o.Key, o.Flags&1)) // NFT_SET_ELEM_INTERVAL_END
		}
		if o.Object == "element" && string(o.Name) == "ports" {
			ports = append(ports, o.Key+" "+string(o.Text))
		}
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
